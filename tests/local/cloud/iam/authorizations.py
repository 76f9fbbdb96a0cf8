"""IAM: the authorization checks of each request, for the request log. It is not part of AWS."""

import contextlib
import contextvars

from ministack.core import iam_evaluator

from core.settings import Settings
from iam import resource_keys, service_roles

# The checks of the current request, in order.
_checks: contextvars.ContextVar[list | None] = contextvars.ContextVar("authorization_checks", default=None)
_GLOBAL_KEYS = (
    "aws:PrincipalArn",
    "aws:PrincipalAccount",
    "aws:PrincipalOrgID",
    "aws:ResourceAccount",
    "aws:ResourceOrgID",
)


def install(cloud: Settings) -> None:
    """Records each check before the request can change the resource."""
    del cloud
    original = iam_evaluator.enforce

    def enforce(access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
        checks, check = _checks.get(), {"principal": iam_evaluator.caller_arn()}
        if checks is not None:
            check |= {"action": iam_action, "resource": resource_arn}
            check["context"] = _context(check, region, service_context or {})
            checks.append(check)
        result = original(
            access_key_id, iam_action, service, region, resource_arn=resource_arn, service_context=service_context
        )
        check["result"] = "allowed" if result is None else "denied"
        return result

    iam_evaluator.enforce = enforce


@contextlib.contextmanager
def recorded():
    """Records the checks of the request that this block handles. Yields the list."""
    checks = []
    token = _checks.set(checks)
    try:
        yield checks
    finally:
        _checks.reset(token)


def enforce_for(service: str, access_key: str, action: str, resource: str, region: str, keys: dict):
    """Checks a permission of the caller of a service that acts with the permissions of its caller.

    Returns the denial, or None. The record of the check contains the service in the field `forwardedBy`.
    """
    denial = iam_evaluator.enforce(
        access_key, action, action.partition(":")[0], region, resource_arn=resource, service_context=keys
    )
    checks = _checks.get()
    if checks:
        checks[-1]["forwardedBy"] = service
    return denial


def _context(check: dict, region: str, request_keys: dict) -> dict:
    """The condition keys that have a value, with the names of the AWS references."""
    evaluation = service_roles.evaluation_context(check["principal"], check["action"], check["resource"], region)
    keys = {name: iam_evaluator._resolve_condition_key(name, evaluation) for name in _GLOBAL_KEYS}
    # ministack changes the names of request tags to lower case.
    tags = {f"aws:RequestTag/{key}".lower(): f"aws:RequestTag/{key}" for key in request_keys.get("aws:TagKeys") or []}
    keys |= {tags.get(name.lower(), name): value for name, value in request_keys.items()}
    keys |= resource_keys.of(check["action"], check["resource"]) or {}
    return {name: keys[name] for name in sorted(keys) if keys[name]}
