"""CloudFormation: validation of event bus policies, rules and schedules as in EventBridge.

Source: CloudFormation template reference, AWS::Events::EventBusPolicy, AWS::Events::Rule and
AWS::Scheduler::Schedule.
"""

import json

from ministack.core.responses import get_account_id, get_region
from ministack.services import eventbridge, scheduler
from ministack.services.cloudformation import provisioners

from core.settings import Settings

_POLICY, _RULE = "AWS::Events::EventBusPolicy", "AWS::Events::Rule"
_SCHEDULE = "AWS::Scheduler::Schedule"


def install(cloud: Settings) -> None:
    """ministack lacks bus policies, and accepts any rule and schedule."""
    del cloud
    handlers = provisioners._RESOURCE_HANDLERS
    handlers[_POLICY] = {"create": _create_policy, "update": _update_policy, "delete": _delete_policy}
    _check_rules(handlers[_RULE])
    _check_schedules(handlers[_SCHEDULE])


def _create_policy(logical_id, properties, stack):
    del logical_id, stack
    bus, name = properties.get("EventBusName") or "default", properties["StatementId"]
    eventbridge._ensure_default_bus()
    if bus not in eventbridge._event_buses:
        raise ValueError(f"Event bus {bus} does not exist.")
    statement = properties.get("Statement") or {
        "Effect": "Allow",
        "Principal": _principal(properties.get("Principal", "*")),
        "Action": properties.get("Action", "events:PutEvents"),
        "Resource": f"arn:aws:events:{get_region()}:{get_account_id()}:event-bus/{bus}",
        **_condition(properties.get("Condition")),
    }
    statement = json.loads(statement) if isinstance(statement, str) else statement
    policy = eventbridge._event_bus_policies.setdefault(bus, {"Version": "2012-10-17", "Statement": []})
    others = [other for other in policy["Statement"] if other.get("Sid") != name]
    policy["Statement"] = [*others, {**statement, "Sid": name}]
    return f"{bus}|{name}", {}


def _principal(account: str):
    return account if account == "*" else {"AWS": account}


def _condition(condition: dict | None) -> dict:
    """Converts the legacy Condition property, which has an operator, one key and one value."""
    return {"Condition": {condition["Type"]: {condition["Key"]: condition["Value"]}}} if condition else {}


def _update_policy(physical_id, old, new, stack, *more):
    del more
    _delete_policy(physical_id, old)
    return _create_policy("", new, stack)


def _delete_policy(physical_id, properties):
    del properties
    bus, _, name = physical_id.partition("|")
    eventbridge._remove_permission({"EventBusName": bus, "StatementId": name})


def _check_rules(handlers: dict) -> None:
    create, update = handlers["create"], handlers["update"]

    def create_rule(logical_id, properties, stack):
        _check_rule(properties)
        return create(logical_id, properties, stack)

    def update_rule(physical_id, old, new, stack, *more):
        _check_rule(new)
        return update(physical_id, old, new, stack, *more)

    handlers.update(create=create_rule, update=update_rule)


def _check_rule(properties: dict) -> None:
    """Raises an error if PutRule or PutTargets refuses the rule."""
    pattern = properties.get("EventPattern")
    if pattern:
        reason = eventbridge._event_pattern_error(pattern if isinstance(pattern, str) else json.dumps(pattern))
        if reason:
            raise ValueError(f"Event pattern is not valid. Reason: {reason}")
    for target in properties.get("Targets") or []:
        error = eventbridge._validate_target_arn(target)
        if error:
            raise ValueError(json.loads(error[2])["message"])


def _check_schedules(handlers: dict) -> None:
    """ministack adds a target if the template has none, and reports a refused schedule as created."""
    create = handlers["create"]

    def create_schedule(logical_id, properties, stack):
        for name in ("FlexibleTimeWindow", "ScheduleExpression", "Target"):
            if not properties.get(name):
                raise ValueError(f"Properties validation failed: required key [{name}] not found")
        for name in ("Arn", "RoleArn"):
            if not properties["Target"].get(name):
                raise ValueError(f"Properties validation failed: #/Target: required key [{name}] not found")
        name, attributes = create(logical_id, properties, stack)
        if scheduler._schedules.get(f"{properties.get('GroupName', 'default')}/{name}") is None:
            raise ValueError(f"Schedule {name} could not be created")
        return name, attributes

    handlers["create"] = create_schedule
