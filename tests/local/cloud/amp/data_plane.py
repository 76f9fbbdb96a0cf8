"""AMP data plane: remote write to workspaces, and queries of workspaces.

With `--prometheus`, a Prometheus server serves the workspace. Otherwise this module stores the latest samples and
evaluates a subset of PromQL.

Source: AMP user guide, "Ingest metrics" and "Query your metrics", and service authorization reference,
"… Amazon Managed Service for Prometheus". A request to a missing workspace or to a workspace of another account
returns 403: across accounts, the policies of both accounts must allow a request.
"""

import re
import time
from urllib.parse import parse_qs

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region

from amp import promql, remote_write, store, workspace_settings
from amp.errors import ApiError, denied, invalid, json_response
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
# A Prometheus query returns samples of the last five minutes. The minimum keeps samples visible in slow tests.
_LOOKBACK_MINUTES = 5.0
_MIN_LOOKBACK_SECONDS = 10.0


def action(path: str) -> str | None:
    """The IAM action of a data-plane request, or None for a control-plane request."""
    match = _PATH.fullmatch(path)
    name = _ACTIONS.get(match[2]) if match else None
    return f"aps:{name}" if name else None


class PrometheusError(ApiError):
    """An error in the format of the Prometheus HTTP API, which differs from AWS APIs."""

    def response(self):
        return json_response(self.status, {"status": "error", "errorType": self.name, "error": self.message})

    def __init__(self, kind: str, message: str):
        super().__init__(400, kind, message)


class DataPlane:
    """The data plane of one cloud."""

    def __init__(self, cloud: Settings):
        lookback = cloud.real_seconds(minutes=_LOOKBACK_MINUTES)
        self._lookback = max(lookback, _MIN_LOOKBACK_SECONDS)
        self.prometheus = Prometheus(cloud, self._lookback)

    def remote_write(self, workspace_id: str, body: bytes):
        _require_own_workspace(workspace_id, "aps:RemoteWrite")
        try:
            rows = remote_write.decode(body)
        except remote_write.BadWrite as error:
            raise invalid("body", str(error)) from None
        if self.prometheus.enabled():
            status, output = self.prometheus.server(workspace_id).write(body, remote_write.HEADERS)
            if status >= 300:
                raise PrometheusError("bad_data", output.decode("utf-8", "replace"))
            return json_response(200)
        rows = [(tuple(sorted(row["labels"].items())), row["value"]) for row in rows]
        series = store.samples.setdefault(workspace_id, {})
        now = time.time()
        for labels, value in rows:
            series[labels] = (now, value)
        return json_response(200)

    def forward(self, workspace_id: str, path: str, query: dict, body: bytes):
        """The response of the Prometheus server of the workspace, or None if Prometheus servers are not used."""
        if not self.prometheus.enabled():
            return None
        _require_own_workspace(workspace_id, action(f"/workspaces/{workspace_id}/api/v1/{path}"))
        form = parse_qs((body or b"").decode("utf-8", "replace"))
        form |= {name: _list(values) for name, values in query.items()}
        parameters = [(name, value) for name, values in form.items() for value in values]
        return json_response(*self.prometheus.server(workspace_id).query(f"/api/v1/{path}", parameters))

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

    def _select(self, workspace_id: str, iam_action: str, query: str) -> list[tuple[dict, float]]:
        try:
            return promql.evaluate(query, self._recent(workspace_id, iam_action))
        except promql.BadQuery as error:
            raise PrometheusError("bad_data", str(error)) from None

    def _recent(self, workspace_id: str, iam_action: str) -> list[tuple[dict, float]]:
        _require_own_workspace(workspace_id, iam_action)
        since = time.time() - self._lookback
        series = store.samples.get(workspace_id) or {}
        return [(dict(labels), value) for labels, (at, value) in list(series.items()) if at >= since]


def _require_own_workspace(workspace_id: str, iam_action: str) -> None:
    """Raises AccessDeniedException unless the workspace exists in the account of the caller in this Region, and its
    resource policy does not deny the action.

    The error is the same for a missing workspace and for a workspace of another account. The policies of the caller
    have no effect, because no resource policy of the workspace allows the caller.
    """
    workspace = store.workspaces.get(workspace_id)
    exists = workspace is not None and store.refresh(workspace)["_status"] != "DELETED"
    if not exists or workspace_settings.denies(workspace, iam_action, get_region()):
        resource = f"arn:aws:aps:{get_region()}:{get_account_id()}:workspace/{workspace_id}"
        raise denied(iam_evaluator.caller_arn(), iam_action, resource)


def _list(values) -> list:
    return values if isinstance(values, list) else [values]


def _parameter(name: str, query: dict, body: bytes) -> str:
    values = query.get(name) or parse_qs((body or b"").decode("utf-8", "replace")).get(name) or [""]
    return values[0]


def _success(data):
    return json_response(200, {"status": "success", "data": data})
