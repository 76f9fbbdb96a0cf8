"""Step Functions: tasks that start an execution and wait for its end.

Source: Step Functions developer guide, "Start workflow executions from a task state in Step Functions"
(`.sync:2` returns the output as JSON; a failed execution is States.TaskFailed, and the cause describes the
execution) and "Discover service integration patterns" (StopExecution also stops the nested execution).
"""

import json
import time

from ministack.services import stepfunctions as engine

from core.settings import Settings
from stepfunctions import executions, processing

_POLL_SECONDS = 0.1
_FIELDS = {
    "ExecutionArn": "executionArn",
    "Input": "input",
    "Name": "name",
    "StartDate": "startDate",
    "StateMachineArn": "stateMachineArn",
    "Status": "status",
    "StopDate": "stopDate",
}


def install(cloud: Settings) -> None:
    """ministack runs an express execution with another name, and uses its error as the error of the task."""
    del cloud
    engine._invoke_nested_start_execution_sync = _run


def _run(resource: str, data: dict) -> dict:
    status, _, body = engine._start_execution(engine._nested_start_execution_request(data))
    response = json.loads(body)
    if status >= 400:
        name = str(response.get("__type", "InternalFailure")).rpartition("#")[2].removesuffix("Exception")
        raise processing.Error(f"StepFunctions.{name}Exception", response.get("message", ""))
    execution = engine._executions[response["executionArn"]]
    try:
        while execution["status"] == "RUNNING":
            executions.check_running()
            time.sleep(_POLL_SECONDS)
    except executions.Interrupted:
        engine._stop_execution({"executionArn": execution["executionArn"]})
        raise
    description = {name: execution.get(field) for name, field in _FIELDS.items()}
    if execution["status"] != "SUCCEEDED":
        failure = {"Error": execution.get("error"), "Cause": execution.get("cause")}
        failure = {name: value for name, value in failure.items() if value is not None}
        raise processing.Error("States.TaskFailed", json.dumps({**description, **failure}))
    output = execution["output"]
    return {**description, "Output": json.loads(output) if resource.endswith(":2") else output}
