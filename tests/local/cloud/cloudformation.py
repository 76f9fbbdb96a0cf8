"""CloudFormation: what it drops or overlooks of roles and state machines.

Source: CloudFormation template reference, AWS::IAM::Role and AWS::StepFunctions::StateMachine; Step
Functions API reference, CreateStateMachine.
"""

import json

from ministack.services import iam, stepfunctions
from ministack.services.cloudformation import provisioners

import iam_principals
from settings import Settings

_ROLE, _MACHINE = "AWS::IAM::Role", "AWS::StepFunctions::StateMachine"
_NOT_LOGGED = {"level": "OFF", "includeExecutionData": False}


def install(cloud: Settings) -> None:
    """ministack drops a role's boundary and a machine's tracing, and overwrites a role of the same name."""
    del cloud
    _roles()
    _machines()
    _keep_tracing()


def _roles() -> None:
    handlers = provisioners._RESOURCE_HANDLERS[_ROLE]
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def create_role(logical_id, properties, stack):
        if properties.get("RoleName") in iam._roles:
            raise ValueError(f"Role with name {properties['RoleName']} already exists.")
        _check_role(properties)
        name, attributes = create(logical_id, properties, stack)
        iam._roles[name]["PermissionsBoundary"] = properties.get("PermissionsBoundary")
        iam_principals.bear(iam._roles[name])
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
            iam_principals.bury(role)

    handlers.update(create=create_role, update=update_role, delete=delete_role)
    # A replacement goes past the table, to the functions by name.
    provisioners._iam_role_create, provisioners._iam_role_delete = create_role, delete_role


def _check_role(properties: dict) -> None:
    """What IAM itself would refuse."""
    missing = iam_principals.missing_principal(properties.get("AssumeRolePolicyDocument", {}))
    if missing:
        raise ValueError(iam_principals.refusal(missing))
    boundary = properties.get("PermissionsBoundary")
    if boundary and not iam._policy_exists(boundary):
        raise ValueError(f"Scope ARN: {boundary} does not exist or is not attachable.")


def _machines() -> None:
    handlers = provisioners._RESOURCE_HANDLERS[_MACHINE]
    create, update = handlers["create"], handlers["update"]

    def create_machine(logical_id, properties, stack):
        arn, attributes = create(logical_id, properties, stack)
        _observe(arn, properties)
        return arn, attributes

    def update_machine(physical_id, old, new, stack, *more):
        arn, attributes = update(physical_id, old, new, stack, *more)
        _observe(arn, new)
        return arn, attributes

    handlers.update(create=create_machine, update=update_machine)


def _observe(arn: str, properties: dict) -> None:
    """Keeps a machine's logging and tracing as its API has them: ministack keeps the template's capitals."""
    machine = stepfunctions._state_machines[arn]
    machine["loggingConfiguration"] = _small_initials(properties.get("LoggingConfiguration") or _NOT_LOGGED)
    machine["tracingConfiguration"] = _small_initials(properties.get("TracingConfiguration") or {"Enabled": False})


def _small_initials(value):
    if isinstance(value, dict):
        return {name[:1].lower() + name[1:]: _small_initials(item) for name, item in value.items()}
    return [_small_initials(item) for item in value] if isinstance(value, list) else value


def _keep_tracing() -> None:
    """The same for machines that are made or changed by the API."""
    for name in ("_create_state_machine", "_update_state_machine"):
        setattr(stepfunctions, name, _keeping_tracing(getattr(stepfunctions, name)))


def _keeping_tracing(original):
    def handler(data):
        answer = original(data)
        if answer[0] == 200:
            arn = data.get("stateMachineArn") or json.loads(answer[2])["stateMachineArn"]
            machine = stepfunctions._state_machines.get(arn)
            if machine is not None and "tracingConfiguration" in data:
                machine["tracingConfiguration"] = data["tracingConfiguration"]
        return answer

    return handler
