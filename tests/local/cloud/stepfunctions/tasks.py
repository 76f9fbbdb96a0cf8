"""Step Functions: TimeoutSeconds of a task can be an expression, and the context contains the role of the machine.

Source: Amazon States Language specification, "Task State" (TimeoutSeconds may be a JSONata expression);
Step Functions developer guide, "Accessing execution data from the Context object" (Execution.RoleArn).
"""

import contextvars

from ministack.services import stepfunctions as engine

from core.settings import Settings
from stepfunctions import executions

# The state, the input and the context of the current task.
_task: contextvars.ContextVar[tuple | None] = contextvars.ContextVar("task", default=None)


def install(cloud: Settings) -> None:
    """ministack compares the text of an expression with seconds, and its context has no role."""
    del cloud
    _evaluate_timeouts()
    _set_role_in_context()


def _evaluate_timeouts() -> None:
    execute, invoke = engine._execute_task, engine._invoke_resource_with_timeout

    def execute_task(state, raw_input, execution, context):
        token = _task.set((state, raw_input, context))
        try:
            return execute(state, raw_input, execution, context)
        finally:
            _task.reset(token)

    def invoke_with_timeout(resource, data, timeout):
        # Evaluated here, so that the retriers and catchers of the state handle an expression that fails.
        if isinstance(timeout, str) and _task.get():
            state, raw_input, context = _task.get()
            timeout = engine._jsonata_state_field(state, "TimeoutSeconds", "number", raw_input, context)
        return invoke(resource, data, timeout)

    engine._execute_task, engine._invoke_resource_with_timeout = execute_task, invoke_with_timeout


def _set_role_in_context() -> None:
    original = engine._state_query_language

    # ministack calls this function before it evaluates the expressions of a state, with the same context.
    def state_query_language(state, context=None):
        if context and "Execution" in context and "RoleArn" not in context["Execution"]:
            role = executions.role()
            if role:
                context["Execution"]["RoleArn"] = role
        return original(state, context)

    engine._state_query_language = state_query_language
