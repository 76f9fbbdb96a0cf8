"""Step Functions: the execution history contains the states inside Map and Parallel.

Source: Step Functions developer guide, "Viewing execution details" (the history of an execution contains all inline
iterations and branches; each child of a distributed Map has its own history).
"""

import copy
import json
import threading

from ministack.core.responses import now_iso
from ministack.services import stepfunctions as engine

from core.settings import Settings
from stepfunctions import executions, processing

_STATES_WITH_EXECUTION = {"Task": "_execute_task", "Parallel": "_execute_parallel", "Map": "_execute_map"}
_OTHER_STATES = {"Pass": "_execute_pass", "Choice": "_execute_choice", "Wait": "_execute_wait"}


def install(cloud: Settings) -> None:
    """ministack records only the outermost states, and gives simultaneous events the same number."""
    del cloud
    engine._run_sub_machine = _run_sub_machine
    original, lock = engine._add_event, threading.Lock()

    def add_event(execution, event_type, details=None):
        with lock:
            return original(execution, event_type, details)

    engine._add_event = add_event


def _run_sub_machine(states: dict, start: str, data, execution: dict, context: dict):
    name, data = start, copy.deepcopy(data)
    while name:
        executions.check_running()
        state = states.get(name)
        if state is None:
            raise processing.Error("States.Runtime", f"State '{name}' not found")
        kind = state.get("Type")
        context["State"] = {"Name": name, "EnteredTime": now_iso(), "RetryCount": 0}
        entered = {"stateEnteredEventDetails": {"name": name, "input": json.dumps(data)}}
        engine._add_event(execution, f"{kind}StateEntered", entered)
        data, following = _run_state(kind, state, data, execution, context)
        exited = {"stateExitedEventDetails": {"name": name, "output": json.dumps(data)}}
        engine._add_event(execution, f"{kind}StateExited", exited)
        name = following
    return data


def _run_state(kind: str, state: dict, data, execution: dict, context: dict):
    """The output of a state and the name of the next state, which is None at the end."""
    # Resolved by name, because a later correction can replace each function.
    if kind in _STATES_WITH_EXECUTION:
        return getattr(engine, _STATES_WITH_EXECUTION[kind])(state, data, execution, context)
    if kind in _OTHER_STATES:
        return getattr(engine, _OTHER_STATES[kind])(state, data, context)
    if kind == "Succeed":
        return engine._apply_output_path(state, engine._apply_input_path(state, data, context), context), None
    if kind == "Fail":
        raise processing.Error(*engine._fail_state_error(state, data, context))
    raise processing.Error("States.Runtime", f"Unknown state type: {kind}")
