"""Step Functions: the PutEvents task.

Source: Step Functions developer guide, "Add EventBridge events with Step Functions" (Detail is JSON; the execution
and its state machine are added to the resources; a failed entry fails the task).
"""

import json

from ministack.services import eventbridge
from ministack.services import stepfunctions as engine

from core.settings import Settings
from events import buses
from iam import service_roles
from stepfunctions import executions, machine_role, processing

_TASK = "arn:aws:states:::events:putEvents"


def install(cloud: Settings) -> None:
    """ministack puts events without a principal, does not add the execution, and ignores failed entries."""
    del cloud
    engine._SERVICE_DISPATCH[_TASK] = _put


def _put(resource: str, data: dict) -> dict:
    del resource
    entries = [_complete(entry) for entry in data.get("Entries") or []]
    with buses.as_principal(service_roles.session_arn(executions.role(), machine_role.SESSION)):
        status, _, body = eventbridge._put_events({"Entries": entries})
    response = json.loads(body)
    if status >= 400:
        name = str(response.get("__type", "InternalException")).rpartition("#")[2]
        raise processing.Error(f"EventBridge.{name}", response.get("message", ""))
    if response["FailedEntryCount"]:
        raise processing.Error("EventBridge.FailedEntry", json.dumps(response))
    return response


def _complete(entry: dict) -> dict:
    detail, execution = entry.get("Detail", {}), executions.execution()
    return {
        **entry,
        "Detail": detail if isinstance(detail, str) else json.dumps(detail),
        "Resources": [*entry.get("Resources", []), execution["executionArn"], execution["stateMachineArn"]],
    }
