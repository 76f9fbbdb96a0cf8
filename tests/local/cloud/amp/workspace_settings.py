"""AMP: the resource policy and the configuration of a workspace (AMP API reference, 2020-08-01).

A resource policy applies only to the Prometheus-compatible APIs of the data plane; other actions in it are ignored
(API reference, PutResourcePolicy). The limits of a configuration are stored and not enforced.
"""

import json
import uuid

from ministack.core import iam_evaluator

from amp import shapes, store
from amp.errors import conflict, invalid, json_response, not_found
from iam import service_roles

# The retention of a workspace without a configuration (user guide, "Quotas").
_RETENTION_DAYS = 150
_CONFIGURABLE = (
    "limitsPerLabelSet",
    "retentionPeriodInDays",
    "outOfOrderTimeWindowInSeconds",
    "ruleQueryOffsetInSeconds",
)


def denies(record: dict, action: str, region: str) -> bool:
    """Whether the resource policy of a workspace denies an action of the data plane to the caller.

    ministack evaluates the policies of the caller before. What a resource policy allows has no effect here.
    """
    if "_policy" not in record:
        return False
    evaluation = service_roles.evaluation_context(iam_evaluator.caller_arn(), action, record["arn"], region)
    document = json.loads(record["_policy"]["policyDocument"])
    return iam_evaluator.evaluate_resource_policy(document, evaluation).decision == "Deny"


class ResourcePolicies:
    """PutResourcePolicy, DescribeResourcePolicy and DeleteResourcePolicy."""

    def put(self, workspace_id: str, request: dict):
        record = store.get(store.workspaces, "workspace", workspace_id)
        shapes.client_token(request.get("clientToken"))
        document = shapes.text(request.get("policyDocument"), "policyDocument")
        try:
            if not iam_evaluator.parse_policy_document(json.loads(document)):
                raise ValueError("it has no statement")
        except ValueError as error:
            raise invalid("policyDocument", f"must be a policy: {error}") from None
        status = "UPDATING" if "_policy" in record else "CREATING"
        _require_revision(record, request.get("revisionId"))
        record["_policy"] = {"policyDocument": document, "revisionId": str(uuid.uuid4())}
        return json_response(202, {"policyStatus": status, "revisionId": record["_policy"]["revisionId"]})

    def describe(self, workspace_id: str):
        return json_response(200, {**_policy(workspace_id), "policyStatus": "ACTIVE"})

    def delete(self, workspace_id: str, query: dict):
        _policy(workspace_id)
        record = store.get(store.workspaces, "workspace", workspace_id)
        _require_revision(record, (query.get("revisionId") or [None])[0])
        record.pop("_policy")
        return json_response(202)


def _policy(workspace_id: str) -> dict:
    record = store.get(store.workspaces, "workspace", workspace_id)
    if "_policy" not in record:
        raise not_found("policy", workspace_id)
    return record["_policy"]


def _require_revision(record: dict, revision: str | None) -> None:
    if revision is not None and revision != record.get("_policy", {}).get("revisionId"):
        raise conflict("policy", record["workspaceId"], "The policy has another revision.")


class Configurations:
    """UpdateWorkspaceConfiguration and DescribeWorkspaceConfiguration."""

    def update(self, workspace_id: str, request: dict):
        record = store.get(store.workspaces, "workspace", workspace_id)
        shapes.client_token(request.get("clientToken"))
        for index, limit in enumerate(request.get("limitsPerLabelSet") or []):
            _validate_limit(limit, f"limitsPerLabelSet[{index}]")
        changes = {name: request[name] for name in _CONFIGURABLE if request.get(name) is not None}
        record["_configuration"] = {**record.get("_configuration", {}), **changes}
        return json_response(202, {"status": {"statusCode": "UPDATING"}})

    def describe(self, workspace_id: str):
        record = store.get(store.workspaces, "workspace", workspace_id)
        configuration = {"retentionPeriodInDays": _RETENTION_DAYS, **record.get("_configuration", {})}
        return json_response(200, {"workspaceConfiguration": {"status": {"statusCode": "ACTIVE"}, **configuration}})


def _validate_limit(limit: dict, field: str) -> None:
    for name, value in limit.get("labelSet", {}).items():
        shapes.text(name, f"{field}.labelSet", pattern=r"[a-zA-Z_][a-zA-Z0-9_]*")
        shapes.text(value, f"{field}.labelSet.{name}")
    if limit.get("limits", {}).get("maxSeries", 0) < 0:
        raise invalid(f"{field}.limits.maxSeries", "must be at least 0")
