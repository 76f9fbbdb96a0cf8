"""The decision of IAM on a request that is not sent, for the control API. It is not part of AWS.

The evaluator is that of real requests. Source: IAM user guide, "Policy evaluation logic": an explicit deny in any
policy wins; across accounts, the policies of the principal and of the resource must both allow the request.
"""

import json

from ministack.core import iam_evaluator
from ministack.core.arn import ArnParseError
from ministack.core.responses import request_scope
from ministack.services import iam

from events import buses
from iam import condition_keys, resource_keys, service_principals, service_roles, sessions

_ALLOW, _DENY, _IMPLICIT_DENY = "Allow", "Deny", "ImplicitDeny"
_SESSION = "decision"


class InvalidRequest(ValueError):
    """The principal does not exist, or a field is invalid."""


def decide(principal: str, action: str, resource: str, context: dict, session_policy: dict | str | None) -> str:
    """Allowed, ImplicitlyDenied or ExplicitlyDenied.

    `principal` is the ARN of a role, of a role session or of the root user of an account, or a service principal.
    `context` has precedence over the condition keys that the cloud derives from the principal and the resource. A key
    with the value None is not set.
    """
    if not all(isinstance(text, str) for text in (principal, action, resource)) or not isinstance(context, dict):
        raise InvalidRequest("principal, action and resource must be strings, and context an object")
    session_policy = json.dumps(session_policy) if isinstance(session_policy, dict) else session_policy
    error = None if session_policy is None else iam_evaluator.validate_policy_document(session_policy)
    if error:
        raise InvalidRequest(f"sessionPolicy: {error}")
    parts = (resource if principal.endswith(".amazonaws.com") else principal).split(":")
    account = parts[4] if len(parts) > 5 else ""
    region = (resource.split(":") + [""] * 4)[3] or "us-east-1"
    with condition_keys.replaced(context), request_scope(account, region):
        try:
            results = _results(principal, action, resource, region, context, session_policy)
        except ArnParseError:
            raise InvalidRequest(f"{resource} is not an ARN") from None
    if _DENY in results:
        return "ExplicitlyDenied"
    return "ImplicitlyDenied" if _IMPLICIT_DENY in results else "Allowed"


def _results(principal: str, action: str, resource: str, region: str, context: dict, session_policy) -> list[str]:
    """The results of the policies that must all allow the request: identity policies, then resource policies."""
    if principal.endswith(".amazonaws.com"):
        return _resource_results("*", action, resource, region, context, principal)
    if principal.endswith(":root"):
        identity = _enforce(principal.split(":")[4], action, resource, region)
        return [identity, *_resource_results(principal, action, resource, region, context)]
    session = _session_arn(principal)
    with sessions.temporary(session, session_policy) as credentials:
        identity = _enforce(credentials.access_key, action, resource, region)
    if action in ("sts:AssumeRole", "events:PutEvents"):
        return [identity, *_resource_results(session, action, resource, region, context)]
    # The evaluator has already evaluated the policy of the resource, for example of a queue.
    return [identity]


def _session_arn(principal: str) -> str:
    is_session = ":assumed-role/" in principal
    role_arn = condition_keys.role_of_session(principal) if is_session else principal
    parts = role_arn.split(":")
    role = iam._roles.get_scoped(parts[4], None, role_arn.rpartition("/")[2]) if len(parts) == 6 else None
    if role is None or role["Arn"] != role_arn:
        raise InvalidRequest(f"{principal} is not a role, a role session, a root user or a service principal")
    return principal if is_session else service_roles.session_arn(role_arn, _SESSION)


def _enforce(access_key: str, action: str, resource: str, region: str) -> str:
    result = iam_evaluator.enforce(access_key, action, action.partition(":")[0], region, resource_arn=resource)
    if isinstance(result, iam_evaluator.AuthError):
        raise InvalidRequest(result.message)
    return _ALLOW if result is None else result.decision


def _resource_results(
    principal: str, action: str, resource: str, region: str, context: dict, service: str | None = None
) -> list[str]:
    """The results of the policies of the resource, if the principal requires one. For a service, `principal` is `*`."""
    if action == "sts:AssumeRole":
        return [_trust_result(principal, resource, region, service)]
    if action == "events:PutEvents":
        return [
            _bus_result(principal, resource, context, source, detail_type, service)
            for source in _values(context, "events:source")
            for detail_type in _values(context, "events:detail-type")
        ]
    found = iam_evaluator._resource_policy(action.partition(":")[0], resource)
    evaluation = service_roles.evaluation_context(principal, action, resource, region)
    result = iam_evaluator.evaluate_resource_policy(found[0] if found else None, evaluation, service=service).decision
    is_owner = service is None and (found is None or found[1] == evaluation.principal_account)
    return [_ALLOW if result == _IMPLICIT_DENY and is_owner else result]


def _trust_result(principal: str, role_arn: str, region: str, service: str | None) -> str:
    parts = role_arn.split(":")
    role = iam._roles.get_scoped(parts[4], None, role_arn.rpartition("/")[2]) if len(parts) == 6 else None
    if role is None or role["Arn"] != role_arn:
        return _IMPLICIT_DENY

    def allows(document: dict) -> bool:
        if service:
            trusting = {**role, "AssumeRolePolicyDocument": document}
            return service_principals.may_assume(trusting, service, region, {})
        evaluation = service_roles.evaluation_context(principal, "sts:AssumeRole", role_arn, region)
        return iam_evaluator.evaluate_trust_policy(document, principal, evaluation)

    document = role["AssumeRolePolicyDocument"]
    document = json.loads(document) if isinstance(document, str) else document
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    # The evaluator of trust policies does not return which effect decided.
    denials = [{**statement, "Effect": "Allow"} for statement in statements if statement["Effect"] == "Deny"]
    if allows({"Statement": denials}):
        return _DENY
    return _ALLOW if allows(document) else _IMPLICIT_DENY


def _bus_result(principal: str, bus: str, context: dict, source: str, detail_type: str, service: str | None) -> str:
    # The policy of a bus is evaluated for each entry of a request, and the policies of the principal for all entries.
    with condition_keys.replaced({**context, "events:source": source, "events:detail-type": detail_type}):
        return buses.policy_decision(bus, principal, source, detail_type, by_rule=False, service=service)


def _values(context: dict, key: str) -> list[str]:
    value = {resource_keys.normalized(name): value for name, value in context.items()}.get(key, "")
    return value if isinstance(value, list) else [value]
