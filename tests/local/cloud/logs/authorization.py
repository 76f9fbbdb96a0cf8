"""CloudWatch Logs: the ARNs on which requests are authorized.

Source: CloudWatch Logs user guide, "Overview of managing access permissions to your CloudWatch Logs resources": in a
policy, the ARN of a log group ends with `:*`. Only TagResource, UntagResource and ListTagsForResource use the ARN
without this end. Service authorization reference, "Actions, resources, and condition keys for Amazon CloudWatch Logs":
some actions are authorized on a log stream. DescribeLogGroups and the actions on resource policies and on log
deliveries have no resource type, so a policy must allow them on `*`.
"""

import json

from ministack.core import iam_actions

from core.settings import Settings

_TAG_ACTIONS = {"TagResource", "UntagResource", "ListTagsForResource"}
# The actions whose resource type is `log-stream`.
STREAM_ACTIONS = {"CreateLogStream", "DeleteLogStream", "GetLogEvents", "PutLogEvents"}


def install(cloud: Settings) -> None:
    """ministack authorizes all actions on the log group, and those with `logGroupIdentifier` on `*`."""
    del cloud
    _authorize_on_streams()
    _keep_tags()


def _authorize_on_streams() -> None:
    original = iam_actions.extract_resource_arn

    def extract_resource_arn(service, method, path, headers, body, query, region, account):
        arn = original(service, method, path, headers, body, query, region, account)
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if service != "logs" or operation in _TAG_ACTIONS:
            return arn
        return _resource(operation, _json(body), region, account)

    iam_actions.extract_resource_arn = extract_resource_arn


def _resource(operation: str, request: dict, region: str, account: str) -> str:
    name = request.get("logGroupName") or request.get("logGroupIdentifier")
    if not isinstance(name, str):
        return "*"
    group = name.removesuffix(":*") if name.startswith("arn:") else f"arn:aws:logs:{region}:{account}:log-group:{name}"
    stream = request.get("logStreamName", "") if operation in STREAM_ACTIONS else ""
    return f"{group}:log-stream:{stream}"


def _keep_tags() -> None:
    """ministack finds the tags of a log group by its ARN without the log stream."""
    original = iam_actions.logs_service_context

    def logs_service_context(action, body, resource_arn, region, account_id):
        return original(action, body, resource_arn.partition(":log-stream:")[0], region, account_id)

    iam_actions.logs_service_context = logs_service_context


def _json(body: bytes) -> dict:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
