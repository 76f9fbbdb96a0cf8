"""Step Functions: the distributed Map state, which runs a child execution for each item.

Source: Step Functions developer guide, "Distributed mode", "Setting failure thresholds for Distributed
Map states" and "Passing data between states with variables" (a child cannot access the variables of its parent).
The result of a child with a tolerated failure is not documented. In this cloud it is null.
"""

import contextvars
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor, wait

from ministack.core.responses import get_account_id, get_region, now_iso
from ministack.services import stepfunctions as engine

from core.settings import Settings
from stepfunctions import executions, machine_role, processing

# The AWS default is 10,000 parallel children. This cloud needs one thread for each.
_DEFAULT_CONCURRENCY = 64
_THRESHOLD_EXCEEDED = "States.ExceedToleratedFailureThreshold"


def install(cloud: Settings) -> None:
    """ministack ignores Items, ItemSelector, Output and Assign in JSONata, and gives children all variables."""
    del cloud
    original = engine._run_distributed_map

    def run_distributed_map(state, raw_input, effective, iterator, execution, context):
        if not processing.in_jsonata(state, context) or "ItemReader" in state:
            return original(state, raw_input, effective, iterator, execution, context)
        machine_role.check("states:StartExecution", execution["stateMachineArn"])
        run = _Run(state, raw_input, iterator, execution, context)
        results = run.results()
        output = engine._apply_jsonata_output(state, raw_input, context, result=results, default=results)
        processing.check_size(output, "The output of the Map")
        engine._apply_state_assign(state, raw_input, context, result=results)
        return output, engine._next_or_end(state)

    engine._run_distributed_map = run_distributed_map


class _Run:
    """One Map Run."""

    def __init__(self, state: dict, raw_input, iterator: dict, execution: dict, context: dict):
        self._state, self._raw_input, self._context = state, raw_input, context
        self._iterator, self._parent = iterator, execution
        self._items = self._field("Items", "array", raw_input)
        self._concurrency = int(self._field("MaxConcurrency", "number", 0)) or _DEFAULT_CONCURRENCY
        self._tolerated = {
            name: self._field(name, "number", 0)
            for name in ("ToleratedFailurePercentage", "ToleratedFailureCount")
            if name in state
        }
        self._lock, self._failed = threading.Lock(), 0
        machine = execution["stateMachineArn"].rpartition(":")[2]
        scope = f"{get_region()}:{get_account_id()}"
        label = state.get("Label") or str(uuid.uuid4())
        self._machine = f"arn:aws:states:{scope}:stateMachine:{machine}/{label}"
        self._arn = f"arn:aws:states:{scope}:mapRun:{machine}/{label}:{uuid.uuid4()}"

    def _field(self, field: str, kind: str, default):
        """The value of a field that can be an expression."""
        if field not in self._state:
            return default
        return engine._jsonata_state_field(self._state, field, kind, self._raw_input, self._context)

    def results(self) -> list:
        """The results of the children in item order. Raises an error if the failure threshold is exceeded."""
        with ThreadPoolExecutor(max_workers=min(self._concurrency, len(self._items) or 1)) as pool:
            inputs = [self._input(index, item) for index, item in enumerate(self._items)]
            children = [pool.submit(contextvars.copy_context().run, self._child, item) for item in inputs]
            wait(children)
        executions.check_running()
        if self._threshold_exceeded():
            raise processing.Error(_THRESHOLD_EXCEEDED, "The specified tolerated failure threshold was exceeded")
        return [child.result() for child in children]

    def _input(self, index: int, item):
        """The input of a child. ItemSelector is evaluated before the child starts, with the variables of the parent."""
        if "ItemSelector" not in self._state:
            return item
        context = {**self._context, "Map": {"Item": {"Index": index, "Value": item}}}
        return engine._apply_jsonata_template(self._state["ItemSelector"], self._raw_input, context)

    def _child(self, data):
        executions.check_running()
        if self._threshold_exceeded():
            return None
        child = self._execution(data)
        try:
            states, start = self._iterator.get("States", {}), self._iterator.get("StartAt")
            result = engine._run_sub_machine(states, start, data, child, self._child_context(child, data))
        except executions.Interrupted:
            child.update(status="ABORTED", stopDate=now_iso())
            raise
        except Exception as error:
            if not isinstance(error, processing.Error):
                error = processing.Error("States.Runtime", str(error))
            child.update(status="FAILED", error=error.error, cause=error.cause, stopDate=now_iso())
            with self._lock:
                self._failed += 1
            return None
        child.update(status="SUCCEEDED", output=json.dumps(result), stopDate=now_iso())
        return result

    def _execution(self, data) -> dict:
        name = str(uuid.uuid4())
        child = {
            "executionArn": self._machine.replace(":stateMachine:", ":execution:") + f":{name}",
            "stateMachineArn": self._machine,
            "mapRunArn": self._arn,
            "parent": self._parent["executionArn"],
            "name": name,
            "status": "RUNNING",
            "startDate": now_iso(),
            "stopDate": None,
            "input": json.dumps(data),
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": {"included": True},
            "events": [],
            "mockAttempts": {},
        }
        engine._executions[child["executionArn"]] = child
        return child

    def _child_context(self, child: dict, data) -> dict:
        """The context of a child. It contains nothing from the context of the parent."""
        execution = {"Id": child["executionArn"], "Input": data, "Name": child["name"], "StartTime": child["startDate"]}
        machine = {"Id": self._machine, "Name": self._machine.rpartition(":")[2]}
        language = self._context.get("QueryLanguage", "JSONPath")
        return {"QueryLanguage": language, "Execution": execution, "StateMachine": machine, "variables": {}}

    def _threshold_exceeded(self) -> bool:
        """Whether a failure threshold is exceeded. Without thresholds, the first failure exceeds it."""
        percentage, count = (self._tolerated.get(f"ToleratedFailure{kind}") for kind in ("Percentage", "Count"))
        over_percentage = percentage is not None and self._failed * 100 > percentage * len(self._items)
        over_count = count is not None and self._failed > count
        return over_percentage or over_count or (self._failed > 0 and not self._tolerated)
