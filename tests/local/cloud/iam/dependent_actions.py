"""IAM: additional permissions that the caller of an API requires.

Source: service authorization reference, column "Dependent actions" (iam:PassRole), and IAM API
reference, CreateRole: tags also require iam:TagRole.
"""

import json
import uuid
from urllib.parse import parse_qs

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.core.router import extract_access_key_id

from core.settings import Settings
from iam.condition_keys import parameter

_PASSES_ROLE = {
    "lambda": ("Role", "lambda.amazonaws.com"),
    "states": ("roleArn", "states.amazonaws.com"),
}


def install(cloud: Settings) -> None:
    """ministack does not check these permissions."""
    del cloud
    for service, (field, principal) in _PASSES_ROLE.items():
        _check_passed_role(service, field, principal)
    _check_tags_of_new_roles()


def _check_passed_role(service: str, field: str, principal: str) -> None:
    original = app.SERVICE_HANDLERS[service]

    async def handler(method, path, headers, body, query):
        role = _json_field(body, field) if method in ("POST", "PUT") else None
        if role:
            context = {"iam:PassedToService": principal}
            denied = _access_denied(service, headers, query, "iam:PassRole", role, context)
            if denied:
                return denied
        return await original(method, path, headers, body, query)

    app.SERVICE_HANDLERS[service] = handler


def _check_tags_of_new_roles() -> None:
    original = app.SERVICE_HANDLERS["iam"]

    async def handler(method, path, headers, body, query):
        parameters = {**parse_qs((body or b"").decode("utf-8", "replace")), **query}
        if parameter(parameters, "Action") == "CreateRole":
            context = iam_actions.request_tag_context("iam", "iam:TagRole", body, parameters)
            if "aws:TagKeys" in context:
                role = iam_actions.extract_resource_arn(
                    "iam", method, path, headers, body, parameters, get_region(), get_account_id()
                )
                denied = _access_denied("iam", headers, query, "iam:TagRole", role, context)
                if denied:
                    return denied
        return await original(method, path, headers, body, query)

    app.SERVICE_HANDLERS["iam"] = handler


def _access_denied(service: str, headers: dict, query: dict, action: str, resource: str, context: dict):
    """The error response if the caller is not allowed the action, or None."""
    denied = iam_evaluator.enforce(
        extract_access_key_id(headers, query),
        action,
        "iam",
        get_region(),
        resource_arn=resource,
        service_context=context,
    )
    if not isinstance(denied, iam_evaluator.EvalResult):
        return None
    return iam_actions.access_denied_response(
        service,
        action,
        denied.principal_arn,
        str(uuid.uuid4()),
        headers=headers,
        resource_arn=resource,
        explicit_deny=denied.decision == "Deny",
    )


def _json_field(body: bytes, field: str) -> str | None:
    try:
        value = json.loads(body or b"{}").get(field)
    except (ValueError, AttributeError):
        return None
    return value if isinstance(value, str) else None
