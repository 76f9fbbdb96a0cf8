"""Step Functions: starting an execution once, and stopping it or timing it out during a wait.

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
    """The execution was stopped or has timed out and must not continue. A state cannot catch it."""


def install(cloud: Settings) -> None:
    """See each function for what ministack does instead."""
    del cloud
    _start_once()
    _end_once()
    _wait_interruptibly()
    _time_out()


def check_running() -> None:
    """Raises Interrupted unless the current execution is RUNNING."""
    execution = _current.get()
    if execution is not None and execution["status"] != "RUNNING":
        raise Interrupted


def execution() -> dict | None:
    """The current execution; in a child of a distributed Map, the parent."""
    return _current.get()


def role() -> str | None:
    """The role of the current execution's machine."""
    execution = _current.get()
    machine = engine._state_machines.get(execution["stateMachineArn"]) if execution else None
    return machine["roleArn"] if machine else None


def _start_once() -> None:
    """StartExecution with the name and input of a running execution returns that one; ministack refuses it.
    A closed one, or another input, is ExecutionAlreadyExists."""
    original = engine._start_execution

    def start_execution(data):
        if len((data.get("input") or "").encode()) > processing.LIMIT:
            why = "Input exceeds the maximum number of bytes allowed."
            return engine.error_response_json("InvalidExecutionInput", why, 400)
        machine = engine._resolve_state_machine_arn((data.get("stateMachineArn") or "").split("#")[0])
        if machine and data.get("name"):
            scope = f"{get_region()}:{get_account_id()}"
            arn = f"arn:aws:states:{scope}:execution:{engine._state_machines[machine]['name']}:{data['name']}"
            there = engine._executions.get(arn)
            if there and there["status"] == "RUNNING" and there["input"] == data.get("input", "{}"):
                return json_response({"executionArn": arn, "startDate": there["startDate"]})
        return original(data)

    engine._start_execution = start_execution


def _end_once() -> None:
    """A late failure does not change the result of an execution; a failed execution has no output."""
    original = engine._fail_execution

    def fail_execution(execution, error, cause):
        if execution["status"] == "RUNNING":
            original(execution, error, cause)
            execution["output"] = None

    engine._fail_execution = fail_execution


def _wait_interruptibly() -> None:
    """Waits and retries end with the execution; ministack completes the wait, and then runs the next state."""
    find = engine._find_matching_retrier

    def find_matching_retrier(retriers, error, counts):
        retrier, index = find(retriers, error, counts)
        if retrier is not None:
            _retry.seconds = processing.delay_of(retrier, counts.get(index, 0))
        return retrier, index

    def scaled_sleep(seconds):
        chosen, _retry.seconds = getattr(_retry, "seconds", None), None
        seconds = seconds if chosen is None else chosen
        end = time.monotonic() + seconds * engine._SFN_WAIT_SCALE
        while (left := end - time.monotonic()) > 0:
            check_running()
            time.sleep(min(left, 0.05))
        check_running()

    engine._find_matching_retrier, engine._scaled_sleep = find_matching_retrier, scaled_sleep


def _time_out() -> None:
    """A machine's TimeoutSeconds, which ministack ignores: real seconds, as for a task."""
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
