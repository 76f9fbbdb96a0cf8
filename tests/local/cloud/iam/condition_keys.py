"""IAM: the resource on which a request is authorized, and the condition keys of the request.

Source: service authorization reference, "Actions, resources, and condition keys for AWS Identity and
Access Management" and "… AWS Security Token Service".
"""

from collections.abc import Callable

from ministack.core import iam_actions, iam_evaluator
from ministack.services import iam

from core.settings import Settings

# The actions for which the reference lists `iam:PermissionsBoundary`. The key contains the boundary of the request
# or of the role. Other actions, for example GetRole and TagRole, do not have the key.
_BOUNDARY_IN_REQUEST = {"CreateRole", "PutRolePermissionsBoundary"}
_BOUNDARY_OF_ROLE = {
    "AttachRolePolicy",
    "DetachRolePolicy",
    "PutRolePolicy",
    "DeleteRolePolicy",
    "DeleteRolePermissionsBoundary",
    "UpdateAssumeRolePolicy",
    "UpdateRole",
    "DeleteRole",
}
_POLICY_ARN = {"AttachRolePolicy", "DetachRolePolicy"}
# (service, resource type) -> function that returns the tags of a resource by account, Region and name.
_TAGS: dict[tuple[str, str], Callable[[str, str, str], dict[str, str]]] = {}


def install(cloud: Settings) -> None:
    """ministack drops the paths of roles and does not set these keys.

    A policy with such a condition therefore allows no request.
    """
    _keep_paths()
    _set_condition_keys()
    _resolve_principal_arn()
    _set_organizations(cloud)
    _set_resource_tags()
    _set_secure_transport()


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
        return context

    iam_actions.request_tag_context = request_tag_context


def _iam_keys(action: str, parameters: dict) -> dict[str, str]:
    role = iam._roles.get(parameter(parameters, "RoleName")) or {}
    keys = {}
    if action in _BOUNDARY_IN_REQUEST:
        keys["iam:PermissionsBoundary"] = parameter(parameters, "PermissionsBoundary")
    elif action in _BOUNDARY_OF_ROLE:
        keys["iam:PermissionsBoundary"] = role.get("PermissionsBoundary")
    if action in _POLICY_ARN:
        keys["iam:PolicyARN"] = parameter(parameters, "PolicyArn")
    if action == "CreateServiceLinkedRole":
        keys["iam:AWSServiceName"] = parameter(parameters, "AWSServiceName")
    for tag in role.get("Tags") or []:
        keys[f"iam:ResourceTag/{tag['Key']}"] = tag["Value"]
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


def _set_resource_tags() -> None:
    """Sets `aws:ResourceTag/<key>`. ministack sets this key neither for roles nor for AMP."""
    register_tags("iam", "role", _tags_of_role)
    original, prefix = iam_evaluator._resolve_condition_key, "aws:resourcetag/"

    def resolve_condition_key(key, context):
        tags = _tags_of(context.resource_arn or "") if key.lower().startswith(prefix) else None
        if tags is None:
            return original(key, context)
        # Tag keys are case-sensitive (IAM user guide, "Controlling access to AWS resources").
        return tags.get(key[len(prefix) :])

    iam_evaluator._resolve_condition_key = resolve_condition_key


def register_tags(service: str, kind: str, tags_of: Callable[[str, str, str], dict[str, str]]) -> None:
    """Sets the tags of a resource type as condition keys. The arguments of `tags_of` are account, Region and name."""
    _TAGS[service, kind] = tags_of


def _tags_of(arn: str) -> dict[str, str] | None:
    """The tags of a resource, or `None` if no function is registered for the resource type."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return None
    service, region, account, resource = parts[2:]
    kind, _, name = resource.partition("/")
    tags_of = _TAGS.get((service, kind))
    return tags_of(account, region, name) if tags_of else None


def _tags_of_role(account: str, region: str, name: str) -> dict[str, str]:
    del region
    role = iam._roles.get_scoped(account, None, name.rpartition("/")[2]) or {}
    return {tag["Key"]: tag["Value"] for tag in role.get("Tags") or []}


def _set_secure_transport() -> None:
    """Sets `aws:SecureTransport` to true, because plain HTTP on this machine replaces TLS."""
    original = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key, context):
        return "true" if key.lower() == "aws:securetransport" else original(key, context)

    iam_evaluator._resolve_condition_key = resolve_condition_key
