"""IAM: the resource on which a request is authorized, and the condition keys of the request.

Source: service authorization reference, "Actions, resources, and condition keys for AWS Identity and
Access Management" and "… AWS Security Token Service".
"""

import contextlib
import contextvars

from ministack.core import iam_actions, iam_evaluator
from ministack.services import iam

from core.settings import Settings
from iam import resource_keys

# The request contains the boundary. For other actions, resource_keys.py sets the boundary of the role.
BOUNDARY_OF_REQUEST = {"CreateRole", "CreateUser", "PutRolePermissionsBoundary", "PutUserPermissionsBoundary"}
_POLICY_ARN = {"AttachRolePolicy", "DetachRolePolicy"}
# Normalized condition key -> value, instead of the value of the request or the resource.
_replaced: contextvars.ContextVar[dict] = contextvars.ContextVar("replaced_condition_keys", default={})


def install(cloud: Settings) -> None:
    """ministack drops the paths of roles and does not set these keys.

    A policy with such a condition therefore allows no request.
    """
    _keep_paths()
    _set_condition_keys()
    _resolve_principal_arn()
    _set_organizations(cloud)
    _set_secure_transport()
    _replace_keys()


def parameter(parameters: dict, name: str) -> str:
    """The first value of a query parameter, or an empty string."""
    value = parameters.get(name)
    return (value[0] if value else "") if isinstance(value, list) else (value or "")


def _keep_paths() -> None:
    original = iam_actions.extract_resource_arn

    def extract_resource_arn(service, method, path, headers, body, query, region, account):
        action, name = parameter(query, "Action"), parameter(query, "RoleName")
        if service == "iam" and name:
            if action == "CreateRole":
                return f"arn:aws:iam::{account}:role{parameter(query, 'Path') or '/'}{name}"
            role = iam._roles.get_scoped(account, None, name)
            return role["Arn"] if role else f"arn:aws:iam::{account}:role/{name}"
        if service == "iam" and action == "CreatePolicy":
            return f"arn:aws:iam::{account}:policy{parameter(query, 'Path') or '/'}{parameter(query, 'PolicyName')}"
        return original(service, method, path, headers, body, query, region, account)

    iam_actions.extract_resource_arn = extract_resource_arn


def _set_condition_keys() -> None:
    original = iam_actions.request_tag_context

    def request_tag_context(service, iam_action, body, parameters):
        context = original(service, iam_action, body, parameters)
        if service == "iam":
            context |= _iam_keys(iam_action.partition(":")[2], parameters)
        elif service == "sts" and parameter(parameters, "ExternalId"):
            # ministack sets this key only for trust policies. The reference also lists it for identity policies.
            context["sts:ExternalId"] = parameter(parameters, "ExternalId")
        elif iam_action.endswith(":UntagResource") and parameters.get("tagKeys"):
            # ministack sets this key only for tag keys in the body.
            keys = parameters["tagKeys"]
            context["aws:TagKeys"] = keys if isinstance(keys, list) else [keys]
        return context

    iam_actions.request_tag_context = request_tag_context


def _iam_keys(action: str, parameters: dict) -> dict[str, str]:
    keys = {}
    if action in BOUNDARY_OF_REQUEST:
        keys["iam:PermissionsBoundary"] = parameter(parameters, "PermissionsBoundary")
    if action in _POLICY_ARN:
        keys["iam:PolicyARN"] = parameter(parameters, "PolicyArn")
    if action == "CreateServiceLinkedRole":
        keys["iam:AWSServiceName"] = parameter(parameters, "AWSServiceName")
    return {key: value for key, value in keys.items() if value}


def role_of_session(session_arn: str) -> str:
    """The ARN of the role of an assumed-role session, including the path of the role."""
    account, name = session_arn.split(":")[4], session_arn.split("/")[1]
    role = iam._roles.get_scoped(account, None, name)
    return role["Arn"] if role else f"arn:aws:iam::{account}:role/{name}"


def _resolve_principal_arn() -> None:
    """For a role session, `aws:PrincipalArn` is the ARN of the role, not of the session (IAM user guide,
    "AWS global condition context keys")."""
    original = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key, context):
        if key.lower() == "aws:principalarn" and ":assumed-role/" in context.principal_arn:
            return role_of_session(context.principal_arn)
        return original(key, context)

    iam_evaluator._resolve_condition_key = resolve_condition_key


def _set_organizations(cloud: Settings) -> None:
    """Sets `aws:PrincipalOrgID` and `aws:ResourceOrgID`; ministack requires that the account calls Organizations."""
    iam_evaluator._principal_org_id = cloud.organization_of
    original = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key, context):
        if key.lower() == "aws:resourceorgid":
            owner = iam_evaluator._account_from_arn(context.resource_arn) or context.principal_account
            return cloud.organization_of(owner)
        return original(key, context)

    iam_evaluator._resolve_condition_key = resolve_condition_key


def _set_secure_transport() -> None:
    """Sets `aws:SecureTransport` to true, because plain HTTP on this machine replaces TLS."""
    original = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key, context):
        return "true" if key.lower() == "aws:securetransport" else original(key, context)

    iam_evaluator._resolve_condition_key = resolve_condition_key


@contextlib.contextmanager
def replaced(keys: dict):
    """Evaluates policies with these condition keys. A key with the value None is not set."""
    token = _replaced.set({resource_keys.normalized(key): value for key, value in keys.items()})
    try:
        yield
    finally:
        _replaced.reset(token)


def _replace_keys() -> None:
    original = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key, context):
        keys, name = _replaced.get(), resource_keys.normalized(key)
        return keys[name] if name in keys else original(key, context)

    iam_evaluator._resolve_condition_key = resolve_condition_key
