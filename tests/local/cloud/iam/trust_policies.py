"""IAM: which principals may assume a role.

Source: IAM user guide, "Policy evaluation logic" (a trust policy that names the role itself needs no
identity policy in the same account; one that names the account requires one; across accounts both must
allow) and "Roles terms and concepts" (role chaining ends after one hour); STS API reference,
AssumeRole (the shape of an external id).
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

_CHAINED_AT_MOST_SECONDS = 3600
# A policy may contain `*`, a request may not.
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)


def install(cloud: Settings) -> None:
    """See each function for what ministack does instead."""
    del cloud
    _services_are_not_roots()
    _named_in_the_same_account()
    _check_assume_role()


def _services_are_not_roots() -> None:
    """ministack admits the root of an account where a service is trusted, for the sake of its own services."""
    original = iam_evaluator.evaluate_trust_policy

    def evaluate_trust_policy(document, caller_arn, context=None):
        try:
            document = json.loads(document) if isinstance(document, str) else document
            statements = document.get("Statement", [])
        except (ValueError, AttributeError):
            return False
        statements = statements if isinstance(statements, list) else [statements]
        kept = [_without_services(statement) for statement in statements if isinstance(statement, dict)]
        return original({"Statement": [one for one in kept if one]}, caller_arn, context)

    iam_evaluator.evaluate_trust_policy = evaluate_trust_policy


def _without_services(statement: dict) -> dict | None:
    principal = statement.get("Principal")
    if not isinstance(principal, dict) or "Service" not in principal:
        return statement
    others = {kind: value for kind, value in principal.items() if kind != "Service"}
    return {**statement, "Principal": others} if others else None


def _named_in_the_same_account() -> None:
    """ministack requires an identity policy even of a role that the trust policy names."""
    original = iam_evaluator.enforce

    def enforce(access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
        result = original(
            access_key_id, iam_action, service, region, resource_arn=resource_arn, service_context=service_context
        )
        undecided = isinstance(result, iam_evaluator.EvalResult) and result.decision == "ImplicitDeny"
        if iam_action == "sts:AssumeRole" and undecided and _is_named(result.principal_arn, resource_arn):
            return None  # STS evaluates the trust policy itself.
        return result

    iam_evaluator.enforce = enforce


def _is_named(principal: str, role_arn: str) -> bool:
    account = iam_evaluator._account_from_arn(role_arn)
    if account is None or account != iam_evaluator._account_from_arn(principal):
        return False
    role = iam._roles.get_scoped(account, None, role_arn.rpartition("/")[2]) or {}
    document = role.get("AssumeRolePolicyDocument") or "{}"
    text = document if isinstance(document, str) else json.dumps(document)
    named = role_of_session(principal) if ":assumed-role/" in principal else principal
    return f'"{named}"' in text


def _check_assume_role() -> None:
    """ministack accepts any external id, ignores the path of a role, and does not limit chained sessions."""
    original = app.SERVICE_HANDLERS["sts"]

    async def handler(method, path, headers, body, query):
        parameters = {**parse_qs((body or b"").decode("utf-8", "replace")), **query}
        if parameter(parameters, "Action") == "AssumeRole":
            refused = _refusal(parameters, extract_access_key_id(headers, query))
            if refused:
                return refused
        return await original(method, path, headers, body, query)

    app.SERVICE_HANDLERS["sts"] = handler


def is_external_id(text: str) -> bool:
    """Whether STS accepts a text as an external id."""
    return _EXTERNAL_ID.fullmatch(text) is not None


def _refusal(parameters: dict, access_key: str):
    """The answer to an AssumeRole request that STS refuses before it evaluates the trust policy."""
    external_id = parameter(parameters, "ExternalId")
    if external_id and not is_external_id(external_id):
        why = "Value at 'externalId' failed to satisfy constraint: Member must satisfy regular expression pattern: "
        return iam._error(400, "ValidationError", why + r"[\w+=,.@:\/-]*", ns="sts")
    chained = access_key.startswith("ASIA")
    if chained and int(parameter(parameters, "DurationSeconds") or 0) > _CHAINED_AT_MOST_SECONDS:
        why = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        return iam._error(400, "ValidationError", why, ns="sts")
    arn = parameter(parameters, "RoleArn")
    account = iam_evaluator._account_from_arn(arn)
    role = iam._roles.get_scoped(account, None, arn.rpartition("/")[2]) if account else None
    if role is not None and role["Arn"] != arn:
        caller = iam_evaluator.caller_arn()
        why = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        return iam._error(403, "AccessDenied", why, ns="sts")
    return None
