"""Step Functions: a task's time limit may be an expression, and the context names the machine's role.

Source: Amazon States Language specification, "Task State" (TimeoutSeconds may be a JSONata expression);
Step Functions developer guide, "Accessing execution data from the Context object" (Execution.RoleArn).
"""

import contextvars

from ministack.services import stepfunctions as engine

from core.settings import Settings
from stepfunctions import executions

# The input and the context of the task that runs.
_task: contextvars.ContextVar[tuple | None] = contextvars.ContextVar("task", default=None)


def install(cloud: Settings) -> None:
    """ministack compares an expression's text with seconds, and its context has no role."""
    del cloud
    _evaluate_timeouts()
    _name_the_role()


def _evaluate_timeouts() -> None:
    execute, invoke = engine._execute_task, engine._invoke_resource_with_timeout

    def execute_task(state, raw_input, execution, context):
        token = _task.set((state, raw_input, context))
        try:
            return execute(state, raw_input, execution, context)
        finally:
            _task.reset(token)

    def invoke_with_timeout(resource, data, timeout):
        # Here the state's retriers and catchers see an expression that fails.
        if isinstance(timeout, str) and _task.get():
            state, raw_input, context = _task.get()
            timeout = engine._jsonata_state_field(state, "TimeoutSeconds", "number", raw_input, context)
        return invoke(resource, data, timeout)

    engine._execute_task, engine._invoke_resource_with_timeout = execute_task, invoke_with_timeout


def _name_the_role() -> None:
    original = engine._state_query_language

    # Every state asks for its query language first, with the context that its expressions will see.
    def state_query_language(state, context=None):
        if context and "Execution" in context and "RoleArn" not in context["Execution"]:
            role = executions.role()
            if role:
                context["Execution"]["RoleArn"] = role
        return original(state, context)

    engine._state_query_language = state_query_language
