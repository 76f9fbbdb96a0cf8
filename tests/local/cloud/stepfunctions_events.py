"""Step Functions: the task that puts events.

Source: Step Functions developer guide, "Add EventBridge events with Step Functions" (Detail is JSON; the
execution and its machine are added to the resources; an entry that failed fails the task).
"""

import json

from ministack.services import eventbridge
from ministack.services import stepfunctions as engine

import event_buses
import service_role
import stepfunctions
import stepfunctions_life
import stepfunctions_role
from settings import Settings

_TASK = "arn:aws:states:::events:putEvents"


def install(cloud: Settings) -> None:
    """ministack puts them as nobody, says nothing of the execution, and calls it a success whatever comes of it."""
    del cloud
    engine._SERVICE_DISPATCH[_TASK] = _put


def _put(resource: str, data: dict) -> dict:
    del resource
    entries = [_completed(entry) for entry in data.get("Entries") or []]
    with event_buses.acting_as(service_role.session_arn(stepfunctions_life.role(), stepfunctions_role.SESSION)):
        status, _, body = eventbridge._put_events({"Entries": entries})
    answer = json.loads(body)
    if status >= 400:
        name = str(answer.get("__type", "InternalException")).rpartition("#")[2]
        raise stepfunctions.Error(f"EventBridge.{name}", answer.get("message", ""))
    if answer["FailedEntryCount"]:
        raise stepfunctions.Error("EventBridge.FailedEntry", json.dumps(answer))
    return answer


def _completed(entry: dict) -> dict:
    detail, execution = entry.get("Detail", {}), stepfunctions_life.execution()
    return {
        **entry,
        "Detail": detail if isinstance(detail, str) else json.dumps(detail),
        "Resources": [*entry.get("Resources", []), execution["executionArn"], execution["stateMachineArn"]],
    }
