"""IAM: the condition keys that describe the resource of a request, for example `aws:ResourceTag/<key>`.

Source: service authorization reference, "Actions, resources, and condition keys for AWS services": the table of
resource types lists these keys. For roles and users, the table of actions lists `iam:PermissionsBoundary`.
"""

from collections.abc import Callable

from ministack.core import iam_evaluator
from ministack.services import iam

from core.settings import Settings

# (action, account, Region, name of the resource) -> condition keys.
KeysOf = Callable[[str, str, str, str], dict]
# The actions for which `iam:PermissionsBoundary` is the boundary of the existing role or user. The reference also
# lists the key for GetRole. This cloud does not set it there, so that no policy can depend on it.
BOUNDARY_OF_RESOURCE = {
    *(f"iam:{verb}RolePolicy" for verb in ("Attach", "Detach", "Put", "Delete")),
    *(f"iam:{verb}UserPolicy" for verb in ("Attach", "Detach", "Put", "Delete")),
    "iam:DeleteRole",
    "iam:DeleteRolePermissionsBoundary",
    "iam:DeleteUserPermissionsBoundary",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole",
    "iam:UpdateRoleDescription",
}
_TYPES: dict[tuple[str, str], KeysOf] = {}


def install(cloud: Settings) -> None:
    """ministack sets none of these keys. A policy with such a condition therefore allows no request."""
    del cloud
    for kind, store in (("role", iam._roles), ("user", iam._users)):
        register("iam", kind, _keys_of_entity(store))
    original = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key, context):
        keys, name = of(context.action, context.resource_arn or ""), normalized(key)
        if keys is None or not (name.startswith("aws:resourcetag/") or name in map(normalized, keys)):
            return original(key, context)
        return {normalized(other): value for other, value in keys.items()}.get(name)

    iam_evaluator._resolve_condition_key = resolve_condition_key


def register(service: str, kind: str, keys_of: KeysOf) -> None:
    """Sets the condition keys of a resource type. `kind` is the first part of the resource in the ARN."""
    _TYPES[service, kind] = keys_of


def of(action: str, arn: str) -> dict | None:
    """The condition keys of a resource, or None if no function is registered for the resource type."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return None
    service, region, account, resource = parts[2:]
    kind, _, name = resource.partition("/")
    keys_of = _TYPES.get((service, kind))
    return keys_of(action, account, region, name) if keys_of else None


def of_tags(tags: dict[str, str], service: str = "aws") -> dict[str, str]:
    """The keys `aws:ResourceTag/<key>`, or those of a service, for example `iam:ResourceTag/<key>`."""
    return {f"{service}:ResourceTag/{key}": value for key, value in tags.items()}


def normalized(key: str) -> str:
    """The name of a condition key for comparisons. Only a tag key, after the slash, is case-sensitive (IAM user
    guide, "Controlling access to AWS resources")."""
    name, slash, tag = key.partition("/")
    return name.lower() + slash + tag


def _keys_of_entity(store) -> KeysOf:
    def keys_of(action, account, region, name):
        del region
        record = store.get_scoped(account, None, name.rpartition("/")[2]) or {}
        tags = {tag["Key"]: tag["Value"] for tag in record.get("Tags") or []}
        keys = {**of_tags(tags), **of_tags(tags, "iam")}
        if action in BOUNDARY_OF_RESOURCE and record.get("PermissionsBoundary"):
            keys["iam:PermissionsBoundary"] = record["PermissionsBoundary"]
        return keys

    return keys_of
