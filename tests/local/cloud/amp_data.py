"""A workspace's data plane: remote write, and the queries that show what arrived.

Samples come as JSON rows (`[{"labels": {…}, "value": 1}]`), not as compressed protocol buffers: the
collector of this cloud is the only one that writes. What IAM asks of either is the same.
"""

import json
import re
import time
from urllib.parse import parse_qs

import amp_store as store
import promql
from amp_errors import Refusal, answer, invalid
from settings import Settings

# Service authorization reference, Amazon Managed Service for Prometheus.
_ACTIONS = {
    "remote_write": "RemoteWrite",
    "query": "QueryMetrics",
    "series": "GetSeries",
    "labels": "GetLabels",
    "label": "GetLabels",
    "metadata": "GetMetricMetadata",
}
_PATH = re.compile(r"/workspaces/([^/]+)/api/v1/([a-z_]+)(?:/.*)?")
# Prometheus looks back five minutes for a sample. Never so short that a test could miss it.
_LOOK_BACK_MINUTES = 5.0
_LEAST_LOOK_BACK_SECONDS = 10.0


def action(path: str) -> str | None:
    """The IAM action of a data-plane request, or None for one of the control plane."""
    match = _PATH.fullmatch(path)
    name = _ACTIONS.get(match[2]) if match else None
    return f"aps:{name}" if name else None


class PrometheusError(Refusal):
    """A refusal in the Prometheus API's own shape, which is not that of AWS's APIs."""

    def response(self):
        return answer(self.status, {"status": "error", "errorType": self.name, "error": self.message})

    def __init__(self, kind: str, message: str):
        super().__init__(400, kind, message)


class DataPlane:
    """The data plane of one cloud."""

    def __init__(self, cloud: Settings):
        minutes = cloud.real_seconds(minutes=_LOOK_BACK_MINUTES)
        self._look_back = max(minutes, _LEAST_LOOK_BACK_SECONDS)

    def remote_write(self, workspace_id: str, body: bytes):
        store.get(store.workspaces, "workspace", workspace_id)
        try:
            rows = [(tuple(sorted(row["labels"].items())), float(row["value"])) for row in json.loads(body)]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise invalid("body", "this cloud takes samples as JSON rows of labels and value") from None
        series = store.samples.setdefault(workspace_id, {})
        now = time.time()
        for labels, value in rows:
            series[labels] = (now, value)
        return answer(200)

    def query(self, workspace_id: str, query: dict, body: bytes):
        found = self._select(workspace_id, _parameter("query", query, body))
        now = time.time()
        result = [{"metric": labels, "value": [now, f"{value:g}"]} for labels, value in found]
        return _success({"resultType": "vector", "result": result})

    def labels(self, workspace_id: str):
        return _success(sorted({name for labels, _ in self._recent(workspace_id) for name in labels}))

    def label_values(self, workspace_id: str, name: str):
        values = {labels[name] for labels, _ in self._recent(workspace_id) if name in labels}
        return _success(sorted(values))

    def series(self, workspace_id: str, query: dict, body: bytes):
        return _success([labels for labels, _ in self._select(workspace_id, _parameter("match[]", query, body))])

    def _select(self, workspace_id: str, asked: str) -> list[tuple[dict, float]]:
        try:
            return promql.evaluate(asked, self._recent(workspace_id))
        except promql.BadQuery as error:
            raise PrometheusError("bad_data", str(error)) from None

    def _recent(self, workspace_id: str) -> list[tuple[dict, float]]:
        store.get(store.workspaces, "workspace", workspace_id)
        since = time.time() - self._look_back
        series = store.samples.get(workspace_id) or {}
        return [(dict(labels), value) for labels, (at, value) in list(series.items()) if at >= since]


def _parameter(name: str, query: dict, body: bytes) -> str:
    values = query.get(name) or parse_qs((body or b"").decode("utf-8", "replace")).get(name) or [""]
    return values[0]


def _success(data):
    return answer(200, {"status": "success", "data": data})
