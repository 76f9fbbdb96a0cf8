"""Step Functions: the distributed Map state, which runs a child execution for each item or batch of items.

Source: Step Functions developer guide, "Distributed mode", "ItemBatcher (Map)", "Setting failure thresholds for
Distributed Map states" (thresholds count items) and "Passing data between states with variables" (a child cannot
access the variables of its parent); API reference, DescribeMapRun (itemCounts, executionCounts) and ListMapRuns;
service authorization reference (the resource of DescribeMapRun is the Map Run).
The result of a child with a tolerated failure is not documented for a Map without ResultWriter. In this cloud it is
null.
"""

import contextvars
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor, wait

from ministack.core import iam_actions
from ministack.core.responses import get_account_id, get_region, now_iso
from ministack.services import stepfunctions as engine

from core.settings import Settings
from stepfunctions import executions, item_reader, machine_role, processing, result_writer

# The AWS default is 10,000 parallel children. This cloud needs one thread for each.
_DEFAULT_CONCURRENCY = 64
_THRESHOLD_EXCEEDED = "States.ExceedToleratedFailureThreshold"
_COUNTS = (
    "pending",
    "running",
    "succeeded",
    "failed",
    "timedOut",
    "aborted",
    "total",
    "resultsWritten",
    "failuresNotRedrivable",
    "pendingRedrive",
)


def install(cloud: Settings) -> None:
    """ministack ignores Items, ItemSelector, Output and Assign in JSONata, ItemBatcher and ResultWriter, gives
    children all variables, and ignores the role."""
    del cloud
    original = engine._run_distributed_map

    def run_distributed_map(state, raw_input, effective, iterator, execution, context):
        if not processing.in_jsonata(state, context):
            return original(state, raw_input, effective, iterator, execution, context)
        machine_role.check("states:StartExecution", execution["stateMachineArn"])
        run = _Run(state, raw_input, iterator, execution, context)
        result = run.result()
        output = engine._apply_jsonata_output(state, raw_input, context, result=result, default=result)
        processing.check_size(output, "The output of the Map")
        engine._apply_state_assign(state, raw_input, context, result=result)
        return output, engine._next_or_end(state)

    engine._run_distributed_map = run_distributed_map
    _authorize_map_runs()


def _authorize_map_runs() -> None:
    """The resource of DescribeMapRun is the Map Run; in ministack it is `*`."""
    original = iam_actions.extract_resource_arn

    def extract_resource_arn(service, method, path, headers, body, query, region, account):
        map_run = iam_actions._safe_json_field(body, "mapRunArn") if service == "states" else None
        return map_run or original(service, method, path, headers, body, query, region, account)

    iam_actions.extract_resource_arn = extract_resource_arn


class _Run:
    """One Map Run."""

    def __init__(self, state: dict, raw_input, iterator: dict, execution: dict, context: dict):
        self._state, self._raw_input, self._context = state, raw_input, context
        self._iterator, self._parent = iterator, execution
        if "ItemReader" in state:
            self._items = item_reader.read(state["ItemReader"], raw_input, context)
        else:
            self._items = _items(self._field("Items", None, raw_input))
        concurrency = int(self._field("MaxConcurrency", "number", 0))
        self._concurrency = concurrency or _DEFAULT_CONCURRENCY
        self._tolerated = {
            name: self._field(name, "number", 0)
            for name in ("ToleratedFailurePercentage", "ToleratedFailureCount")
            if name in state
        }
        self._lock, self._failed_items, self._ended = threading.Lock(), 0, []
        machine = execution["stateMachineArn"].rpartition(":")[2]
        scope = f"{get_region()}:{get_account_id()}"
        label = state.get("Label") or str(uuid.uuid4())
        self._machine = f"arn:aws:states:{scope}:stateMachine:{machine}/{label}"
        self._arn = f"arn:aws:states:{scope}:mapRun:{machine}/{label}:{uuid.uuid4()}"
        self._inputs = self._batches([self._input(index, item) for index, item in enumerate(self._items)])
        for data, _ in self._inputs:
            processing.check_size(data, "The input of a child workflow execution")
        writer = state.get("ResultWriter")
        self._writer = result_writer.Writer(writer, self._arn, raw_input, context) if writer else None
        self._map_run = self._describe(concurrency)
        engine._map_runs[self._arn] = self._map_run

    def _field(self, field: str, kind: str | None, default):
        """The value of a field that can be an expression."""
        if field not in self._state:
            return default
        if kind is None:
            return engine._apply_jsonata_template(self._state[field], self._raw_input, self._context)
        return engine._jsonata_state_field(self._state, field, kind, self._raw_input, self._context)

    def _describe(self, concurrency: int) -> dict:
        counts = [dict.fromkeys(_COUNTS, 0) for _ in range(2)]
        for count, total in zip(counts, (len(self._items), len(self._inputs)), strict=True):
            count.update(total=total, pending=total)
        return {
            "mapRunArn": self._arn,
            "executionArn": self._parent["executionArn"],
            "status": "RUNNING",
            "startDate": now_iso(),
            "maxConcurrency": concurrency,
            "toleratedFailurePercentage": float(self._tolerated.get("ToleratedFailurePercentage", 0)),
            "toleratedFailureCount": int(self._tolerated.get("ToleratedFailureCount", 0)),
            "itemCounts": counts[0],
            "executionCounts": counts[1],
            "redriveCount": 0,
            "_stateMachineArn": self._machine,
        }

    def result(self):
        """The result of the Map state. Raises an error if the failure threshold is exceeded."""
        try:
            result = self._results()
        except executions.Interrupted:
            self._map_run.update(status="ABORTED", stopDate=now_iso())
            raise
        except Exception:
            self._map_run.update(status="FAILED", stopDate=now_iso())
            raise
        self._map_run.update(status="SUCCEEDED", stopDate=now_iso())
        return result

    def _results(self):
        with ThreadPoolExecutor(max_workers=min(self._concurrency, len(self._inputs) or 1)) as pool:
            run = [
                pool.submit(contextvars.copy_context().run, self._child, data, items) for data, items in self._inputs
            ]
            wait(run)
        executions.check_running()
        children = [child.result() for child in run]
        result = self._write(children)
        if self._threshold_exceeded():
            raise processing.Error(_THRESHOLD_EXCEEDED, "The specified tolerated failure threshold was exceeded")
        if self._writer:
            return result
        return [json.loads(child["output"]) if child["status"] == "SUCCEEDED" else None for child in children]

    def _write(self, children: list[dict]):
        """The result of the ResultWriter. A Map Run that fails also writes the results."""
        if self._writer is None:
            return None
        pending = [child for child in children if child["status"] == "PENDING"]
        result = self._writer.result(self._ended + pending)
        for counts in (self._map_run["itemCounts"], self._map_run["executionCounts"]):
            counts["resultsWritten"] = counts["succeeded"] + counts["failed"]
        return result

    def _input(self, index: int, item: item_reader.Item):
        """The input for an item. ItemSelector is evaluated before the child starts, with the variables of the
        parent."""
        if "ItemSelector" not in self._state:
            return item.value
        context = {**self._context, "Map": {"Item": item.context(index)}}
        return engine._apply_jsonata_template(self._state["ItemSelector"], self._raw_input, context)

    def _batches(self, inputs: list) -> list[tuple[object, int]]:
        """The input of each child, with the number of its items."""
        batcher = self._state.get("ItemBatcher")
        if batcher is None:
            return [(data, 1) for data in inputs]
        batcher = engine._apply_jsonata_template(batcher, self._raw_input, self._context)
        size = int(batcher.get("MaxItemsPerBatch") or len(inputs) or 1)
        common = {"BatchInput": batcher["BatchInput"]} if "BatchInput" in batcher else {}
        batches = [inputs[start : start + size] for start in range(0, len(inputs), size)]
        return [({**common, "Items": batch}, len(batch)) for batch in batches]

    def _child(self, data, items: int) -> dict:
        """The execution after its end. It has the status PENDING if it was not started."""
        executions.check_running()
        if self._threshold_exceeded():
            return {"status": "PENDING", "input": json.dumps(data)}
        child = self._execution(data)
        self._count(items, "pending", "running")
        try:
            states, start = self._iterator.get("States", {}), self._iterator.get("StartAt")
            result = engine._run_sub_machine(states, start, data, child, self._child_context(child, data))
        except executions.Interrupted:
            child.update(status="ABORTED", stopDate=now_iso())
            self._count(items, "running", "aborted")
            raise
        except Exception as error:
            if not isinstance(error, processing.Error):
                error = processing.Error("States.Runtime", str(error))
            child.update(status="FAILED", error=error.error, cause=error.cause, stopDate=now_iso())
            self._count(items, "running", "failed", child)
            return child
        child.update(status="SUCCEEDED", output=json.dumps(result), stopDate=now_iso())
        self._count(items, "running", "succeeded", child)
        return child

    def _count(self, items: int, before: str, after: str, ended: dict | None = None) -> None:
        """Moves a child and its items to another status."""
        with self._lock:
            for counts, number in ((self._map_run["itemCounts"], items), (self._map_run["executionCounts"], 1)):
                counts[before] -= number
                counts[after] += number
            if after == "failed":
                self._failed_items += items
            if ended is not None:
                self._ended.append(ended)

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
        over_percentage = percentage is not None and self._failed_items * 100 > percentage * len(self._items)
        over_count = count is not None and self._failed_items > count
        return over_percentage or over_count or (self._failed_items > 0 and not self._tolerated)


def _items(value) -> list[item_reader.Item]:
    """The items of the field Items: the elements of an array, or the entries of an object."""
    if isinstance(value, dict):
        return [item_reader.Item({"Key": key, "Value": item}, key) for key, item in value.items()]
    if not isinstance(value, list):
        message = f"The field 'Items' must be an array or an object, but was: {json.dumps(value)}"
        raise processing.Error("States.QueryEvaluationError", message)
    return [item_reader.Item(item) for item in value]
