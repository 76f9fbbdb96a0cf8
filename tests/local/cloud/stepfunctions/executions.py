"""Step Functions: idempotent StartExecution, StopExecution during a wait, and timeouts of executions.

Source: Step Functions API reference, StartExecution and StopExecution; Amazon States Language, "Timeouts".
"""

import contextvars
import json
import threading
import time

from ministack.core.responses import get_account_id, get_region, json_response
from ministack.services import stepfunctions as engine

from core.settings import Settings
from stepfunctions import processing

_current = contextvars.ContextVar("execution", default=None)
_retry = threading.local()


class Interrupted(BaseException):
    """The execution was stopped or timed out and must not continue. A state cannot catch this error."""


def install(cloud: Settings) -> None:
    """The docstring of each function states what ministack does instead."""
    del cloud
    _make_start_idempotent()
    _keep_first_result()
    _interrupt_waits()
    _apply_timeouts()


def check_running() -> None:
    """Raises Interrupted if the status of the current execution is not RUNNING."""
    execution = _current.get()
    if execution is not None and execution["status"] != "RUNNING":
        raise Interrupted


def execution() -> dict | None:
    """The current execution. In a child of a distributed Map, this is the parent execution."""
    return _current.get()


def role() -> str | None:
    """The role of the state machine of the current execution."""
    execution = _current.get()
    machine = engine._state_machines.get(execution["stateMachineArn"]) if execution else None
    return machine["roleArn"] if machine else None


def _make_start_idempotent() -> None:
    """StartExecution with the name and input of a running execution returns that execution; ministack refuses it.

    If the execution has ended or the input differs, the error is ExecutionAlreadyExists.
    """
    original = engine._start_execution

    def start_execution(data):
        if len((data.get("input") or "").encode()) > processing.LIMIT:
            message = "Input exceeds the maximum number of bytes allowed."
            return engine.error_response_json("InvalidExecutionInput", message, 400)
        machine = engine._resolve_state_machine_arn((data.get("stateMachineArn") or "").split("#")[0])
        if machine and data.get("name"):
            scope = f"{get_region()}:{get_account_id()}"
            arn = f"arn:aws:states:{scope}:execution:{engine._state_machines[machine]['name']}:{data['name']}"
            existing = engine._executions.get(arn)
            if existing and existing["status"] == "RUNNING" and existing["input"] == data.get("input", "{}"):
                return json_response({"executionArn": arn, "startDate": existing["startDate"]})
        return original(data)

    engine._start_execution = start_execution


def _keep_first_result() -> None:
    """A failure after the end does not change the result of an execution. A failed execution has no output."""
    original = engine._fail_execution

    def fail_execution(execution, error, cause):
        if execution["status"] == "RUNNING":
            original(execution, error, cause)
            execution["output"] = None

    engine._fail_execution = fail_execution


def _interrupt_waits() -> None:
    """The end of an execution interrupts waits and retries; ministack completes the wait and runs the next state."""
    find = engine._find_matching_retrier

    def find_matching_retrier(retriers, error, counts):
        retrier, index = find(retriers, error, counts)
        if retrier is not None:
            _retry.seconds = processing.retry_delay(retrier, counts.get(index, 0))
        return retrier, index

    def scaled_sleep(seconds):
        retry_delay, _retry.seconds = getattr(_retry, "seconds", None), None
        seconds = seconds if retry_delay is None else retry_delay
        end = time.monotonic() + seconds * engine._SFN_WAIT_SCALE
        while (remaining := end - time.monotonic()) > 0:
            check_running()
            time.sleep(min(remaining, 0.05))
        check_running()

    engine._find_matching_retrier, engine._scaled_sleep = find_matching_retrier, scaled_sleep


def _apply_timeouts() -> None:
    """Applies TimeoutSeconds of a state machine, in real seconds as for tasks; ministack ignores it."""
    original = engine._run_execution

    def run_execution(arn):
        execution = engine._executions.get(arn)
        machine = engine._state_machines.get(execution["stateMachineArn"]) if execution else None
        if machine is None:
            original(arn)
            return
        _current.set(execution)
        timer = _timer(execution, machine)
        try:
            original(arn)
        except Interrupted:
            pass
        finally:
            if timer:
                timer.cancel()

    engine._run_execution = run_execution


def _timer(execution: dict, machine: dict) -> threading.Timer | None:
    try:
        limit = json.loads(machine["definition"]).get("TimeoutSeconds")
    except ValueError:
        return None
    if not limit:
        return None

    def expire():
        if execution["status"] != "RUNNING":
            return
        execution.update(status="TIMED_OUT", stopDate=engine.now_iso(), error="States.Timeout", cause="")
        engine._add_event(
            execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {"error": "States.Timeout"}}
        )
        engine._emit_execution_status_event(execution)

    timer = threading.Timer(limit, contextvars.copy_context().run, args=(expire,))
    timer.daemon = True
    timer.start()
    return timer
