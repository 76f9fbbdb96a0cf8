"""Step Functions: the ResultWriter of a distributed Map, which writes the results of the children to S3.

Source: Step Functions developer guide, "ResultWriter (Map)": Transformation and OutputType; the result of the state;
`manifest.json` and the files `SUCCEEDED_n.json`, `FAILED_n.json` and `PENDING_n.json`, also for OutputType JSONL; a
failed child is written as with NONE; the bucket is in the account and the Region of the state machine, otherwise
States.ResultWriterFailed. The section "IAM policies for ResultWriter" lists the permissions.

Not documented: the order of the results, the number of files per status, and the time at which Step Functions checks
the permissions. In this cloud the order is the order in which the children end, each status has at most one file, and
the permissions are checked when the results are written, after the last child.
"""

import json

from ministack.services import s3
from ministack.services import stepfunctions as engine

from stepfunctions import item_reader, processing

_ERROR = "States.ResultWriterFailed"
RESOURCES = ("arn:aws:states:::s3:putObject",)
_PERMISSIONS = ("s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload")
# The status of a child -> the name of the list in the manifest. Aborted children are in the files of failed ones.
_LISTS = {
    "SUCCEEDED": "SUCCEEDED",
    "FAILED": "FAILED",
    "TIMED_OUT": "FAILED",
    "ABORTED": "FAILED",
    "PENDING": "PENDING",
}
_FIELDS = {
    "ExecutionArn": "executionArn",
    "Name": "name",
    "StateMachineArn": "stateMachineArn",
    "Status": "status",
    "StartDate": "startDate",
    "StopDate": "stopDate",
    "Input": "input",
    "Error": "error",
    "Cause": "cause",
    "Output": "output",
}


class Writer:
    """The ResultWriter of one Map Run."""

    def __init__(self, writer: dict, map_run: str, raw_input, context: dict):
        def evaluate(field):
            return engine._apply_jsonata_template(writer.get(field) or {}, raw_input, context)

        configuration = evaluate("WriterConfig")
        self._map_run, self._exports, self._bucket = map_run, "Resource" in writer, ""
        self._transformation = configuration.get("Transformation", "NONE" if self._exports else "COMPACT")
        self._lines = configuration.get("OutputType", "JSON") == "JSONL"
        self._arguments = evaluate("Arguments")
        prefix = str(self._arguments.get("Prefix") or "").rstrip("/")
        self._folder = f"{prefix}/" * bool(prefix) + map_run.rpartition(":")[2]

    def result(self, children: list[dict]) -> dict | list | str:
        """Writes the results of children. Returns the result of the Map state."""
        if not self._exports:
            results = self._results(children)
            return _serialize(results, True) if self._lines else results
        self._bucket = item_reader.s3_bucket(self._arguments, _ERROR)
        for action in _PERMISSIONS:
            item_reader.check(_ERROR, action, f"arn:aws:s3:::{self._bucket}/{self._folder}/manifest.json")
        files = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
        for name, listed in files.items():
            results = self._results([child for child in children if _LISTS[child["status"]] == name])
            if results:
                listed.append(self._put(f"{name}_0.json", _serialize(results, self._lines)))
        manifest = {"DestinationBucket": self._bucket, "MapRunArn": self._map_run, "ResultFiles": files}
        written = self._put("manifest.json", json.dumps(manifest))
        return {
            "MapRunArn": self._map_run,
            "ResultWriterDetails": {"Bucket": self._bucket, "Key": written["Key"]},
        }

    def _results(self, children: list[dict]) -> list:
        results = []
        for child in children:
            if child["status"] != "SUCCEEDED" or self._transformation == "NONE":
                results.append(_metadata(child))
                continue
            output = json.loads(child["output"])
            flatten = self._transformation == "FLATTEN" and isinstance(output, list)
            results += output if flatten else [output]
        return results

    def _put(self, name: str, text: str) -> dict:
        key, body = f"{self._folder}/{name}", text.encode()
        status, _, _ = s3._put_object(self._bucket, key, body, {})
        if status != 200:
            raise processing.Error(_ERROR, f"S3 did not accept {key} (Service: S3, Status Code: {status})")
        return {"Key": key, "Size": len(body)}


def _serialize(results: list, lines: bool) -> str:
    return "\n".join(json.dumps(result) for result in results) if lines else json.dumps(results)


def _metadata(child: dict) -> dict:
    """The description of an execution that Transformation NONE writes. Output and Input are JSON in a string."""
    described = {name: child.get(field) for name, field in _FIELDS.items()}
    described = {name: value for name, value in described.items() if value is not None}
    if "Input" in described:
        described["InputDetails"] = {"Included": True}
    if "Output" in described:
        described["OutputDetails"] = {"Included": True}
    return described
