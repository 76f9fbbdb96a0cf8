"""Step Functions: input and output processing, variables, and errors of states.

Source: Amazon States Language specification and the Step Functions developer guide ("Passing data
between states with variables", "Handling errors", "Service quotas").
"""

import json
import random

from ministack.services import stepfunctions as engine

from core.settings import Settings

LIMIT = 262144  # Maximum bytes of input, result or variables: developer guide, "Service quotas".
Error = engine._ExecutionError
# Only a retrier or catcher that names these errors handles them: developer guide, "Handling errors".
_TERMINAL_ERRORS = ("States.DataLimitExceeded", "States.Runtime")


def install(cloud: Settings) -> None:
    """The docstring of each function states what ministack does instead."""
    del cloud
    _assign_simultaneously()
    _apply_output()
    _limit_data()
    _exclude_terminal_errors()
    _name_exit_errors()


def in_jsonata(state: dict, context: dict | None) -> bool:
    """Whether the query language of a state is JSONata."""
    return engine._state_query_language(state, context) == "JSONata"


def _assign_simultaneously() -> None:
    """Evaluates all expressions of `Assign` with the previous variables; ministack assigns them one by one."""

    def apply_state_assign(state, raw_input, context, result=None, error_output=None):
        assign = state.get("Assign")
        if context is None or not in_jsonata(state, context) or not isinstance(assign, dict):
            return
        new = {
            name: engine._apply_jsonata_template(value, raw_input, context, result=result, error_output=error_output)
            for name, value in assign.items()
        }
        check_size(new, "The variables assigned by the state")
        context.setdefault("variables", {}).update(new)

    engine._apply_state_assign = apply_state_assign


def _apply_output() -> None:
    """Applies `Output` of a Succeed state and of the default of a Choice state; ministack ignores it."""
    output_path, choice = engine._apply_output_path, engine._execute_choice

    def apply_output_path(state, data, context=None):
        if state.get("Type") == "Succeed" and in_jsonata(state, context):
            return engine._apply_jsonata_output(state, data, context, default=data)
        return output_path(state, data, context)

    def execute_choice(state, raw_input, context=None):
        if not in_jsonata(state, context):
            return choice(state, raw_input, context)
        for rule in state.get("Choices", []):
            if engine._evaluate_jsonata_choice_rule(rule, raw_input, context):
                # A rule without Output uses the Output of the state.
                source = rule if "Output" in rule else state
                output = engine._apply_jsonata_output(source, raw_input, context, default=raw_input)
                engine._apply_state_assign(rule, raw_input, context)
                return output, rule["Next"]
        if not state.get("Default"):
            raise Error("States.NoChoiceMatched", "No choice rule matched and there is no Default.")
        output = engine._apply_jsonata_output(state, raw_input, context, default=raw_input)
        engine._apply_state_assign(state, raw_input, context)
        return output, state["Default"]

    engine._apply_output_path, engine._execute_choice = apply_output_path, execute_choice


def check_size(value, what: str) -> None:
    """Raises States.DataLimitExceeded if a value exceeds the service quota."""
    if len(json.dumps(value).encode()) > LIMIT:
        raise Error(
            "States.DataLimitExceeded", f"{what} has a size exceeding the maximum number of bytes service limit."
        )


def _limit_data() -> None:
    """Limits the size of data; ministack does not."""
    for name in ("_apply_jsonata_arguments", "_apply_jsonata_output"):
        original = getattr(engine, name)

        def check_result(state, *arguments, _original=original, **options):
            value = _original(state, *arguments, **options)
            check_size(value, "The data of the state")
            return value

        setattr(engine, name, check_result)


def _exclude_terminal_errors() -> None:
    """`States.ALL` and `States.TaskFailed` do not match terminal errors; in ministack they do."""
    matches = engine._error_matches

    def error_matches(error_equals, error):
        return error in error_equals if error in _TERMINAL_ERRORS else matches(error_equals, error)

    engine._error_matches = error_matches


def _name_exit_errors() -> None:
    """The error of a function that exits before its first invocation is Runtime.ExitError (Lambda developer guide,
    "Troubleshoot execution issues"); ministack has no error name for this case."""
    original = engine._call_lambda

    def call_lambda(function, event):
        try:
            return original(function, event)
        except Error as error:
            if error.error == "Runtime.Unknown" and "exited during init" in (error.cause or ""):
                raise Error("Runtime.ExitError", error.cause) from None
            raise

    engine._call_lambda = call_lambda


def retry_delay(retrier: dict, retry_count: int) -> float:
    """Seconds before a retry: exponential backoff, limited by MaxDelaySeconds, with jitter if it is configured.

    ministack ignores MaxDelaySeconds and jitter, and waits at most one minute.
    """
    delay = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** retry_count
    delay = min(delay, retrier.get("MaxDelaySeconds", 31622400))
    return random.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay
