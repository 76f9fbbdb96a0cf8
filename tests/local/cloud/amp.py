"""Amazon Managed Service for Prometheus (signing name `aps`), which ministack lacks: its front door.

IAM is enforced by ministack on every request before it comes here; what AMP checks on top of that
with its caller's rights is in amp_permissions.py.
"""

import base64
import json
import sys
from urllib.parse import unquote

import amp_data
import amp_default_configuration
import amp_store
from amp_errors import Refusal, answer
from amp_scrapers import Scrapers
from amp_workspaces import Tags, Workspaces
from plug import Service, plug
from settings import Settings

reset = amp_store.reset
_operations: "Operations | None" = None


def install(cloud: Settings) -> None:
    """Plugs the service into ministack."""
    global _operations
    _operations = Operations(cloud)
    plug(
        Service(
            signing_name="aps",
            sdk_model="amp",
            handler=sys.modules[__name__],
            data_action=lambda method, path: amp_data.action(path),
            resource=resource,
        )
    )


def write(workspace_id: str, body: bytes) -> None:
    """A remote write that nobody signed: AMP's own, in the request's account and Region."""
    _operations.write(workspace_id, body)


def prometheus():
    """The Prometheus servers behind the workspaces."""
    return _operations.prometheus


async def handle_request(method: str, path: str, headers: dict, body: bytes, query: dict):
    """Answers one request: status, headers, body."""
    try:
        return _operations.route(method, path, headers, body, query)
    except Refusal as refusal:
        return refusal.response()


def resource(method: str, path: str, body: bytes, region: str, account: str) -> str:
    """What a request is authorized on (service authorization reference, AMP).

    CreateScraper is authorized on the cluster and on the workspace: the cluster here, the workspace
    in amp_scrapers.py.
    """
    parts = [unquote(part) for part in path.split("/") if part]
    match parts:
        case ["scrapers"] if method == "POST":
            try:
                return str(json.loads(body)["source"]["eksConfiguration"]["clusterArn"])
            except (ValueError, KeyError, TypeError):
                return "*"
        case ["scrapers", identifier, *_]:
            return f"arn:aws:aps:{region}:{account}:scraper/{identifier}"
        case ["workspaces", identifier, *_]:
            return f"arn:aws:aps:{region}:{account}:workspace/{identifier}"
        case ["tags", *arn]:
            return "/".join(arn) or "*"
    return "*"


class Operations:
    """Which operation a request is for."""

    def __init__(self, cloud: Settings):
        self._scrapers, self._workspaces = Scrapers(cloud), Workspaces(cloud)
        self._tags, self._data = Tags(), amp_data.DataPlane(cloud)
        self.prometheus, self.write = self._data.prometheus, self._data.remote_write

    def route(self, method: str, path: str, headers: dict, body: bytes, query: dict):
        parts = [unquote(part) for part in path.split("/") if part]
        if amp_data.action(path):
            return self._data_plane(method, parts, body, query)
        request = _json(body)
        match (method, *parts):
            case ("GET", "scraperconfiguration"):
                text = base64.b64encode(amp_default_configuration.TEXT.encode()).decode()
                return answer(200, {"configuration": text})
            case ("POST", "scrapers"):
                return self._scrapers.create(request, headers)
            case ("GET", "scrapers"):
                return self._scrapers.list(query)
            case ("GET", "scrapers", identifier):
                return self._scrapers.describe(identifier)
            case ("PUT", "scrapers", identifier):
                return self._scrapers.update(identifier, request, headers)
            case ("DELETE", "scrapers", identifier):
                return self._scrapers.delete(identifier, query, headers)
            case ("POST", "workspaces"):
                return self._workspaces.create(request)
            case ("GET", "workspaces"):
                return self._workspaces.list(query)
            case ("GET", "workspaces", identifier):
                return self._workspaces.describe(identifier)
            case ("DELETE", "workspaces", identifier):
                return self._workspaces.delete(identifier)
            case ("POST", "tags", *arn):
                return self._tags.add("/".join(arn), request)
            case ("DELETE", "tags", *arn):
                return self._tags.remove("/".join(arn), query)
            case ("GET", "tags", *arn):
                return self._tags.list("/".join(arn))
        raise Refusal(404, "UnknownOperationException", f"This cloud does not know {method} {path}.")

    def _data_plane(self, method: str, parts: list[str], body: bytes, query: dict):
        identifier, operation, more = parts[1], parts[4], parts[5:]
        if operation != "remote_write":
            real = self._data.real(identifier, "/".join(parts[4:]), query, body)
            if real is not None:
                return real
        match (method, operation, *more):
            case ("POST", "remote_write"):
                return self._data.remote_write(identifier, body)
            case (_, "query"):
                return self._data.query(identifier, query, body)
            case (_, "labels"):
                return self._data.labels(identifier)
            case (_, "label", name, "values"):
                return self._data.label_values(identifier, name)
            case (_, "series"):
                return self._data.series(identifier, query, body)
        raise Refusal(404, "UnknownOperationException", f"This cloud does not know {operation}.")


def _json(body: bytes) -> dict:
    try:
        request = json.loads(body) if body else {}
    except ValueError:
        request = None
    if not isinstance(request, dict):
        raise Refusal(400, "ValidationException", "The request is not JSON.", reason="CANNOT_PARSE", fieldList=[])
    return request
