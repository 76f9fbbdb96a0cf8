"""Step Functions: the role of a state machine must allow the actions of its tasks.

Source: Step Functions developer guide, "How Step Functions generates IAM policies for integrated
services", with "… Step Functions" for nested executions (`.sync` requires permissions on a managed rule; AWS checks
them when a state machine is created, and this cloud checks them when the task runs) and "Creating Distributed Map
policies". ministack ignores the role. It also ignores the
partition of an integration, which must be that of the Region.
"""

from ministack.core.responses import get_account_id, get_region
from ministack.services import stepfunctions as engine

from core.settings import Settings
from iam import service_roles
from stepfunctions import executions, processing

SESSION = "StepFunctions"
# In a cloud of another partition, the loader replaces the partition (`core/partition.py`).
_PARTITION = "arn:aws:"
_LAMBDA = "states:::lambda:invoke"
_NESTED = "arn:aws:states:::states:startExecution"
_EVENTS = "arn:aws:states:::events:putEvents"
_MANAGED_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"
_ERRORS = {
    "events": "EventBridge.AccessDeniedException",
    "lambda": "Lambda.AWSLambdaException",
    "states": "StepFunctions.AccessDeniedException",
}


def install(cloud: Settings) -> None:
    """Authorizes each task with the role of the state machine before it runs, and checks the size of its result."""
    del cloud
    original = engine._invoke_resource

    def invoke_resource(resource, data):
        executions.check_running()
        if not resource.startswith(_PARTITION):
            # Not catchable, as every States.Runtime.
            raise processing.Error("States.Runtime", f"The resource {resource} is not in the partition of this Region")
        for action, target, keys in _required_permissions(resource, data if isinstance(data, dict) else {}):
            check(action, target, **keys)
        result = original(resource, data)
        executions.check_running()
        processing.check_size(result, f"The state/task '{resource}' returned a result which")
        return result

    engine._invoke_resource = invoke_resource


def check(action: str, target: str, **keys: str) -> None:
    """Raises the error of the service if the role of the current state machine is not allowed an action."""
    error = denial(action, target, **keys)
    if error:
        service = action.partition(":")[0]
        raise processing.Error(_ERRORS[service], f"{error} (Service: {service}; Status Code: 403)")


def denial(action: str, target: str, **keys: str) -> str | None:
    """The IAM error message if the role of the current state machine is not allowed an action."""
    role = executions.role()
    return service_roles.action_error(role, SESSION, action, target, get_region(), **keys) if role else None


def _required_permissions(resource: str, data: dict) -> list[tuple[str, str, dict[str, str]]]:
    """The actions, resources and condition keys of a task. Integrations that the product does not use have none."""
    if _LAMBDA in resource:
        return [("lambda:InvokeFunction", _function(str(data.get("FunctionName", ""))), {})]
    if resource.startswith("arn:aws:lambda:"):
        return [("lambda:InvokeFunction", resource, {})]
    if resource.startswith(_NESTED):
        return _nested(str(data.get("StateMachineArn", "")), ".sync" in resource)
    if resource.startswith(_EVENTS):
        entries = [entry for entry in data.get("Entries") or [] if isinstance(entry, dict)]
        return [("events:PutEvents", _bus(entry), {"events__source": str(entry.get("Source"))}) for entry in entries]
    return []


def _function(name: str) -> str:
    return name if name.startswith("arn:") else f"arn:aws:lambda:{get_region()}:{get_account_id()}:function:{name}"


def _nested(machine: str, sync: bool) -> list[tuple[str, str, dict[str, str]]]:
    permissions = [("states:StartExecution", machine, {})]
    if sync:
        execution = machine.replace(":stateMachine:", ":execution:") + ":any"
        rule = f"arn:aws:events:{get_region()}:{get_account_id()}:rule/{_MANAGED_RULE}"
        permissions += [(f"states:{action}", execution, {}) for action in ("DescribeExecution", "StopExecution")]
        permissions += [(f"events:{action}", rule, {}) for action in ("PutTargets", "PutRule", "DescribeRule")]
    return permissions


def _bus(entry: dict) -> str:
    bus = str(entry.get("EventBusName") or "default")
    return bus if bus.startswith("arn:") else f"arn:aws:events:{get_region()}:{get_account_id()}:event-bus/{bus}"
