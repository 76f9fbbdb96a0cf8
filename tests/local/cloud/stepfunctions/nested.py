"""Step Functions: a task that starts an execution and waits for its end.

Source: Step Functions developer guide, "Start workflow executions from a task state in Step Functions"
(`.sync:2` gives the output as JSON; a failed one is States.TaskFailed, whose cause describes it) and
"Discover service integration patterns" (a stopped execution stops what it waits for).
"""

import json
import time

from ministack.services import stepfunctions as engine

from core.settings import Settings
from stepfunctions import executions, processing

_POLL_SECONDS = 0.1
_DESCRIBED = {
    "ExecutionArn": "executionArn",
    "Input": "input",
    "Name": "name",
    "StartDate": "startDate",
    "StateMachineArn": "stateMachineArn",
    "Status": "status",
    "StopDate": "stopDate",
}


def install(cloud: Settings) -> None:
    """ministack runs it as an express execution under another name, and passes its error on as the task's error."""
    del cloud
    engine._invoke_nested_start_execution_sync = _run


def _run(resource: str, data: dict) -> dict:
    status, _, body = engine._start_execution(engine._nested_start_execution_request(data))
    answer = json.loads(body)
    if status >= 400:
        name = str(answer.get("__type", "InternalFailure")).rpartition("#")[2].removesuffix("Exception")
        raise processing.Error(f"StepFunctions.{name}Exception", answer.get("message", ""))
    execution = engine._executions[answer["executionArn"]]
    try:
        while execution["status"] == "RUNNING":
            executions.check_running()
            time.sleep(_POLL_SECONDS)
    except executions.Interrupted:
        engine._stop_execution({"executionArn": execution["executionArn"]})
        raise
    described = {name: execution.get(field) for name, field in _DESCRIBED.items()}
    if execution["status"] != "SUCCEEDED":
        failure = {"Error": execution.get("error"), "Cause": execution.get("cause")}
        failure = {name: value for name, value in failure.items() if value is not None}
        raise processing.Error("States.TaskFailed", json.dumps({**described, **failure}))
    output = execution["output"]
    return {**described, "Output": json.loads(output) if resource.endswith(":2") else output}
