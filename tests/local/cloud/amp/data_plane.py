"""A workspace's data plane: remote write, and the queries that show which samples arrived.

With `--prometheus`, a Prometheus server takes the writes and answers the queries; otherwise a stand-in that
supports a little PromQL does.

Source: AMP user guide, "Ingest metrics" and "Query your metrics", and service authorization reference,
"… Amazon Managed Service for Prometheus". That a workspace of another account is answered with 403, and a
missing one too, follows from IAM's rule for requests across accounts: both sides must allow.
"""

import re
import time
from urllib.parse import parse_qs

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region

from amp import promql, remote_write, store
from amp.errors import Refusal, answer, denied, invalid
from amp.prometheus import Prometheus
from core.settings import Settings

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
# A Prometheus query finds samples of the last five minutes. The minimum keeps slow tests from missing one.
_LOOK_BACK_MINUTES = 5.0
_LEAST_LOOK_BACK_SECONDS = 10.0


def action(path: str) -> str | None:
    """The IAM action of a data-plane request, or None for one of the control plane."""
    match = _PATH.fullmatch(path)
    name = _ACTIONS.get(match[2]) if match else None
    return f"aps:{name}" if name else None


class PrometheusError(Refusal):
    """An error in the shape of the Prometheus HTTP API, which differs from that of AWS APIs."""

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
        _must_be_own(workspace_id, "aps:RemoteWrite")
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
        """The answer of the workspace's Prometheus server; None if the stand-in answers."""
        if not self.prometheus.serves():
            return None
        _must_be_own(workspace_id, action(f"/workspaces/{workspace_id}/api/v1/{path}"))
        given = parse_qs((body or b"").decode("utf-8", "replace")) | {name: _list(values) for name, values in query.items()}
        parameters = [(name, value) for name, values in given.items() for value in values]
        return answer(*self.prometheus.of(workspace_id).query(f"/api/v1/{path}", parameters))

    def query(self, workspace_id: str, query: dict, body: bytes):
        found = self._select(workspace_id, "aps:QueryMetrics", _parameter("query", query, body))
        now = time.time()
        result = [{"metric": labels, "value": [now, f"{value:g}"]} for labels, value in found]
        return _success({"resultType": "vector", "result": result})

    def labels(self, workspace_id: str):
        return _success(sorted({name for labels, _ in self._recent(workspace_id, "aps:GetLabels") for name in labels}))

    def label_values(self, workspace_id: str, name: str):
        values = {labels[name] for labels, _ in self._recent(workspace_id, "aps:GetLabels") if name in labels}
        return _success(sorted(values))

    def series(self, workspace_id: str, query: dict, body: bytes):
        found = self._select(workspace_id, "aps:GetSeries", _parameter("match[]", query, body))
        return _success([labels for labels, _ in found])

    def _select(self, workspace_id: str, needed: str, query: str) -> list[tuple[dict, float]]:
        try:
            return promql.evaluate(query, self._recent(workspace_id, needed))
        except promql.BadQuery as error:
            raise PrometheusError("bad_data", str(error)) from None

    def _recent(self, workspace_id: str, needed: str) -> list[tuple[dict, float]]:
        _must_be_own(workspace_id, needed)
        since = time.time() - self._look_back
        series = store.samples.get(workspace_id) or {}
        return [(dict(labels), value) for labels, (at, value) in list(series.items()) if at >= since]


def _must_be_own(workspace_id: str, needed: str) -> None:
    """Refuses a workspace that the caller's account does not hold in this Region.

    The answer does not reveal whether another account holds it: what the caller's policies allow on a
    workspace of that id does not count, because no resource policy of the workspace admits the caller.
    """
    workspace = store.workspaces.get(workspace_id)
    if workspace is None or store.settle(workspace)["_status"] == "GONE":
        resource = f"arn:aws:aps:{get_region()}:{get_account_id()}:workspace/{workspace_id}"
        raise denied(iam_evaluator.caller_arn(), needed, resource)


def _list(values) -> list:
    return values if isinstance(values, list) else [values]


def _parameter(name: str, query: dict, body: bytes) -> str:
    values = query.get(name) or parse_qs((body or b"").decode("utf-8", "replace")).get(name) or [""]
    return values[0]


def _success(data):
    return answer(200, {"status": "success", "data": data})
