"""Policy evaluation for AWS services that this cloud emulates and that assume a role.

Source: IAM user guide, "Policy evaluation logic" and "The confused deputy problem".
"""

from ministack.core import iam_evaluator
from ministack.services import iam

from iam import service_principals


def session_arn(role_arn: str, session: str) -> str:
    """The ARN of a role session."""
    return f"arn:aws:sts::{role_arn.split(':')[4]}:assumed-role/{role_arn.rpartition('/')[2]}/{session}"


def assume_role_error(role_arn: str, service: str, region: str, keys: dict[str, str]) -> str | None:
    """The reason why a service cannot assume a role, or None if it can."""
    parts = str(role_arn or "").split(":")
    role = iam._roles.get_scoped(parts[4], None, parts[5].rpartition("/")[2]) if len(parts) == 6 else None
    if role is None or role["Arn"] != role_arn:
        return f"the role {role_arn} does not exist"
    if not service_principals.may_assume(role, service, region, keys):
        return f"{service} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
    return None


def action_error(role_arn: str, session: str, action: str, resource: str, region: str, **keys: str) -> str | None:
    """The IAM error message if a role is not allowed an action, or None if it is allowed.

    In the names of condition keys, two underscores replace the colon.
    """
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    context = evaluation_context(session_arn(role_arn, session), action, resource, region, **keys)
    policies = iam_evaluator._gather_role_policies(name, account)
    boundary = iam_evaluator._permissions_boundary(iam._roles, name, account)
    if iam_evaluator.evaluate(context, policies, *boundary).decision == "Allow":
        return None
    return (
        f"User: {context.principal_arn} is not authorized to perform: {action} on resource: {resource} because no "
        f"identity-based policy allows the {action} action"
    )


def evaluation_context(
    principal_arn: str, action: str, resource: str, region: str, **keys: str
) -> iam_evaluator.EvalContext:
    """The evaluation context of a request."""
    kinds = {":assumed-role/": "AssumedRole", ":user/": "User"}
    return iam_evaluator.EvalContext(
        principal_arn=principal_arn,
        principal_type=next((kind for mark, kind in kinds.items() if mark in principal_arn), "Root"),
        principal_account=iam_evaluator._account_from_arn(principal_arn) or "",
        action=action,
        resource_arn=resource,
        region=region,
        service_context={name.replace("__", ":").lower(): value for name, value in keys.items()},
    )
