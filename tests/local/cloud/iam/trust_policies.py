"""IAM: the principals that can assume a role.

Source: IAM user guide, "Policy evaluation logic" (in one account, a trust policy that names the role requires no
identity policy, and a trust policy that names the account requires one; across accounts both policies must allow
the request) and "Roles terms and concepts" (a session by role chaining lasts at most one hour); STS API reference,
AssumeRole (the pattern of an external id).
"""

import json
import re
from urllib.parse import parse_qs

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.router import extract_access_key_id
from ministack.services import iam

from core.settings import Settings
from iam.condition_keys import parameter, role_of_session

_MAX_CHAINED_SECONDS = 3600
# `*` is valid in a policy but not in a request.
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)


def install(cloud: Settings) -> None:
    """The docstring of each function states what ministack does instead."""
    del cloud
    _exclude_service_principals()
    _allow_named_principals()
    _check_assume_role()


def _exclude_service_principals() -> None:
    """ministack allows the account root if a trust policy names a service, because its own services depend on that."""
    original = iam_evaluator.evaluate_trust_policy

    def evaluate_trust_policy(document, caller_arn, context=None):
        try:
            document = json.loads(document) if isinstance(document, str) else document
            statements = document.get("Statement", [])
        except (ValueError, AttributeError):
            return False
        statements = statements if isinstance(statements, list) else [statements]
        statements = [_without_services(statement) for statement in statements if isinstance(statement, dict)]
        return original({"Statement": [statement for statement in statements if statement]}, caller_arn, context)

    iam_evaluator.evaluate_trust_policy = evaluate_trust_policy


def _without_services(statement: dict) -> dict | None:
    principal = statement.get("Principal")
    if not isinstance(principal, dict) or "Service" not in principal:
        return statement
    others = {kind: value for kind, value in principal.items() if kind != "Service"}
    return {**statement, "Principal": others} if others else None


def _allow_named_principals() -> None:
    """ministack requires an identity policy even for a role that the trust policy names."""
    original = iam_evaluator.enforce

    def enforce(access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
        result = original(
            access_key_id, iam_action, service, region, resource_arn=resource_arn, service_context=service_context
        )
        implicit_deny = isinstance(result, iam_evaluator.EvalResult) and result.decision == "ImplicitDeny"
        if iam_action == "sts:AssumeRole" and implicit_deny and _is_named(result.principal_arn, resource_arn):
            return None  # STS evaluates the trust policy.
        return result

    iam_evaluator.enforce = enforce


def _is_named(principal: str, role_arn: str) -> bool:
    account = iam_evaluator._account_from_arn(role_arn)
    if account is None or account != iam_evaluator._account_from_arn(principal):
        return False
    role = iam._roles.get_scoped(account, None, role_arn.rpartition("/")[2]) or {}
    document = role.get("AssumeRolePolicyDocument") or "{}"
    text = document if isinstance(document, str) else json.dumps(document)
    principal_arn = role_of_session(principal) if ":assumed-role/" in principal else principal
    return f'"{principal_arn}"' in text


def _check_assume_role() -> None:
    """ministack accepts any external id, ignores the path of a role, and does not limit chained sessions."""
    original = app.SERVICE_HANDLERS["sts"]

    async def handler(method, path, headers, body, query):
        parameters = {**parse_qs((body or b"").decode("utf-8", "replace")), **query}
        if parameter(parameters, "Action") == "AssumeRole":
            error = _request_error(parameters, extract_access_key_id(headers, query))
            if error:
                return error
        return await original(method, path, headers, body, query)

    app.SERVICE_HANDLERS["sts"] = handler


def is_external_id(text: str) -> bool:
    """Whether a text matches the pattern of an external id in a request."""
    return _EXTERNAL_ID.fullmatch(text) is not None


def _request_error(parameters: dict, access_key: str):
    """The error response if STS refuses an AssumeRole request before it evaluates the trust policy, or None."""
    external_id = parameter(parameters, "ExternalId")
    if external_id and not is_external_id(external_id):
        message = "Value at 'externalId' failed to satisfy constraint: Member must satisfy regular expression pattern: "
        return iam._error(400, "ValidationError", message + r"[\w+=,.@:\/-]*", ns="sts")
    chained = access_key.startswith("ASIA")
    if chained and int(parameter(parameters, "DurationSeconds") or 0) > _MAX_CHAINED_SECONDS:
        message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        return iam._error(400, "ValidationError", message, ns="sts")
    arn = parameter(parameters, "RoleArn")
    account = iam_evaluator._account_from_arn(arn)
    role = iam._roles.get_scoped(account, None, arn.rpartition("/")[2]) if account else None
    if role is not None and role["Arn"] != arn:
        caller = iam_evaluator.caller_arn()
        message = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        return iam._error(403, "AccessDenied", message, ns="sts")
    return None
