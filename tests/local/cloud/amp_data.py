"""A workspace's data plane: remote write, and the queries that show what arrived.

Where a Prometheus is to be used and installed, it takes the writes and answers the queries; else a stand-in
that knows a little PromQL does.
"""

import re
import time
from urllib.parse import parse_qs

import amp_store as store
import promql
import remote_write
from amp_errors import Refusal, answer, invalid
from prometheus import Prometheus
from settings import Settings

# Service authorization reference, Amazon Managed Service for Prometheus.
_ACTIONS = {
    "remote_write": "RemoteWrite",
    "query": "QueryMetrics",
    "query_range": "QueryMetrics",
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
        self.prometheus = Prometheus(cloud, self._look_back)

    def remote_write(self, workspace_id: str, body: bytes):
        store.get(store.workspaces, "workspace", workspace_id)
        try:
            rows = remote_write.decode(body)
        except remote_write.BadWrite as error:
            raise invalid("body", str(error)) from None
        if self.prometheus.serves():
            status, said = self.prometheus.of(workspace_id).write(body, remote_write.HEADERS)
            if status >= 300:
                raise PrometheusError("bad_data", said.decode("utf-8", "replace"))
            return answer(200)
        rows = [(tuple(sorted(row["labels"].items())), row["value"]) for row in rows]
        series = store.samples.setdefault(workspace_id, {})
        now = time.time()
        for labels, value in rows:
            series[labels] = (now, value)
        return answer(200)

    def real(self, workspace_id: str, path: str, query: dict, body: bytes):
        """What the workspace's Prometheus answers; None where the stand-in serves."""
        if not self.prometheus.serves():
            return None
        store.get(store.workspaces, "workspace", workspace_id)
        asked = parse_qs((body or b"").decode("utf-8", "replace")) | {name: _list(values) for name, values in query.items()}
        parameters = [(name, value) for name, values in asked.items() for value in values]
        return answer(*self.prometheus.of(workspace_id).query(f"/api/v1/{path}", parameters))

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


def _list(values) -> list:
    return values if isinstance(values, list) else [values]


def _parameter(name: str, query: dict, body: bytes) -> str:
    values = query.get(name) or parse_qs((body or b"").decode("utf-8", "replace")).get(name) or [""]
    return values[0]


def _success(data):
    return answer(200, {"status": "success", "data": data})
