"""CloudFormation: validation of AWS::IAM::Role and AWS::IAM::ManagedPolicy as in IAM.

Source: CloudFormation template reference, AWS::IAM::Role (PermissionsBoundary) and
AWS::IAM::ManagedPolicy; IAM API reference, CreateRole (EntityAlreadyExists, MalformedPolicyDocument) and
DeletePolicy (DeleteConflict for a policy that is attached or is a permissions boundary).
"""

import re

from ministack.services import iam
from ministack.services.cloudformation import provisioners

from core.settings import Settings
from iam import principals

_ROLE, _POLICY = "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"


def install(cloud: Settings) -> None:
    """ministack drops the boundary of a role, overwrites a role with the same name, and deletes a policy in use."""
    del cloud
    _check_roles()
    _keep_policies_in_use()


def _check_roles() -> None:
    handlers = provisioners._RESOURCE_HANDLERS[_ROLE]
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def create_role(logical_id, properties, stack):
        if properties.get("RoleName") in iam._roles:
            raise ValueError(f"Role with name {properties['RoleName']} already exists.")
        _check_role(properties)
        name, attributes = create(logical_id, properties, stack)
        iam._roles[name]["PermissionsBoundary"] = properties.get("PermissionsBoundary")
        principals.record_creation(iam._roles[name])
        return name, attributes

    def update_role(physical_id, old, new, stack, *more):
        _check_role(new)
        name, attributes = update(physical_id, old, new, stack, *more)
        iam._roles[name]["PermissionsBoundary"] = new.get("PermissionsBoundary")
        return name, attributes

    def delete_role(physical_id, properties):
        role = iam._roles.get(physical_id)
        delete(physical_id, properties)
        if role is not None:
            principals.record_deletion(role)

    handlers.update(create=create_role, update=update_role, delete=delete_role)
    # A replacement bypasses the handler table and calls these functions by name.
    provisioners._iam_role_create, provisioners._iam_role_delete = create_role, delete_role


def _check_role(properties: dict) -> None:
    """Raises an error if IAM refuses the role."""
    missing = principals.missing_principal(properties.get("AssumeRolePolicyDocument", {}))
    if missing:
        raise ValueError(principals.invalid_principal_message(missing))
    boundary = properties.get("PermissionsBoundary")
    if boundary and not iam._policy_exists(boundary):
        raise ValueError(f"Scope ARN: {boundary} does not exist or is not attachable.")


def _keep_policies_in_use() -> None:
    """Deletion fails if a policy is the boundary of a role or is attached outside the template."""
    handlers = provisioners._RESOURCE_HANDLERS[_POLICY]

    def delete_policy(physical_id, properties):
        if physical_id not in iam._policies:
            return
        provisioners._iam_policy_reconcile_entities(physical_id, properties, {})
        status, _, body = iam._delete_policy({"PolicyArn": physical_id})
        if status >= 400:
            message = re.search(r"<Message>(.*?)</Message>", body.decode(), re.DOTALL)[1]
            raise provisioners._sfn_handler_error(provisioners._sdk_error(message, "Iam", status))

    handlers["delete"] = delete_policy
