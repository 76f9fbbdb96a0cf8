"""CloudWatch Logs: the delivery of vended logs to a log group.

Source: CloudWatch Logs user guide, "Enable logging from AWS services", section "Logs sent to CloudWatch Logs": a
resource policy must allow the service `delivery.logs.amazonaws.com` to create log streams and to put log events. If no
policy does, and the caller is allowed logs:PutResourcePolicy, AWS adds the statement. A policy can name one log group,
or all log groups with a prefix such as `/aws/vendedlogs/`.
"""

import json
import time

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import cloudwatch_logs

SERVICE = "delivery.logs.amazonaws.com"
# The name and the statement id of the policy that AWS creates.
POLICY_NAME = "AWSLogDeliveryWrite20150319"
_ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")


def exists(group: str) -> bool:
    """Whether the log group exists in the account and Region of the current request."""
    return group in cloudwatch_logs._log_groups


def is_allowed(group: str, stream: str = "any") -> bool:
    """Whether the resource policies allow the delivery to a log stream."""
    policies = [*cloudwatch_logs._resource_policies.values()]
    policies += [policy for name, policy in cloudwatch_logs._log_group_policies.items() if name == group]
    statements = [statement for policy in policies for statement in _statements(policy)]
    document = {"Statement": statements}
    contexts = [_context(action, group, stream) for action in _ACTIONS]
    results = [iam_evaluator.evaluate_resource_policy(document, context, SERVICE) for context in contexts]
    return all(result.decision == "Allow" for result in results)


def allow(group: str) -> str | None:
    """Adds the statement that allows the delivery to a log group. Returns the error, or None."""
    existing = cloudwatch_logs._resource_policies.get(POLICY_NAME)
    statement = {
        "Sid": POLICY_NAME,
        "Effect": "Allow",
        "Principal": {"Service": SERVICE},
        "Action": list(_ACTIONS),
        "Resource": _stream_arn(group, "*"),
        "Condition": {
            "StringEquals": {"aws:SourceAccount": get_account_id()},
            "ArnLike": {"aws:SourceArn": _source_arn()},
        },
    }
    statements = [*(_statements(existing) if existing else []), statement]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    status, _, body = cloudwatch_logs._put_resource_policy({"policyName": POLICY_NAME, "policyDocument": document})
    return json.loads(body)["message"] if status >= 400 else None


def put(account: str, region: str, group: str, stream: str, messages: list[str]) -> bool:
    """Writes log events now. Returns False if the log group is missing or no policy allows the delivery."""
    with request_scope(account, region):
        if not exists(group) or not is_allowed(group, stream):
            return False
        # The result is an error if the log stream exists.
        cloudwatch_logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": message} for message in messages]
        put_events = {"logGroupName": group, "logStreamName": stream, "logEvents": events}
        return cloudwatch_logs._put_log_events(put_events)[0] == 200


def _statements(policy: dict) -> list[dict]:
    statements = json.loads(policy["policyDocument"])["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _context(action: str, group: str, stream: str) -> iam_evaluator.EvalContext:
    return iam_evaluator.EvalContext(
        principal_arn=SERVICE,
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=_stream_arn(group, stream),
        region=get_region(),
        service_context={
            "aws:sourceaccount": get_account_id(),
            "aws:sourcearn": _source_arn(),
            "aws:principalservicename": SERVICE,
            "aws:principalisawsservice": "true",
        },
    )


def _stream_arn(group: str, stream: str) -> str:
    return f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{group}:log-stream:{stream}"


def _source_arn() -> str:
    """The pattern in AWS's policy. It is not documented which ARN the service sends; it is an ARN of this pattern."""
    return f"arn:aws:logs:{get_region()}:{get_account_id()}:*"
