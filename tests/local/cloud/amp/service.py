"""Request routing of Amazon Managed Service for Prometheus (signing name `aps`).

ministack authorizes each request before this module handles it. permissions.py implements the additional
authorization by AMP. Source: AMP API reference (2020-08-01).
"""

import base64
import json
import sys
from urllib.parse import unquote

from amp import data_plane, default_configuration, store
from amp.errors import ApiError, json_response
from amp.scraper_logging import LoggingConfigurations
from amp.scrapers import Scrapers
from amp.workspace_settings import Configurations, ResourcePolicies
from amp.workspaces import Tags, Workspaces
from core.registration import Service, register
from core.settings import Settings
from iam import resource_keys

# The actions on scrapers and workspaces for which the service authorization reference does not list `aws:ResourceTag`.
# The reference lists the key for both resource types, so AWS may set it. This cloud does not, so that no policy can
# depend on it.
WITHOUT_RESOURCE_TAGS = {
    "aps:CreateAnomalyDetector",
    "aps:ListTagsForResource",
    "aps:TagResource",
    "aps:UntagResource",
}
reset = store.reset
_operations: "Operations | None" = None


def install(cloud: Settings) -> None:
    """Registers the service with ministack."""
    global _operations
    _operations = Operations(cloud)
    resource_keys.register("aps", "scraper", _keys_of(store.scrapers))
    resource_keys.register("aps", "workspace", _keys_of(store.workspaces))
    register(
        Service(
            signing_name="aps",
            sdk_model="amp",
            handler=sys.modules[__name__],
            data_action=lambda method, path: data_plane.action(path),
            resource=resource,
        )
    )


def _keys_of(records) -> resource_keys.KeysOf:
    """The tags of scrapers or workspaces, for the actions for which the reference lists `aws:ResourceTag`."""

    def keys_of(action, account, region, name):
        record = records.get_scoped(account, region, name)
        return {} if record is None or action in WITHOUT_RESOURCE_TAGS else resource_keys.of_tags(record["tags"])

    return keys_of


def write(workspace_id: str, body: bytes) -> None:
    """Writes samples as AMP, without a signed request, in the account and Region of the current request."""
    _operations.write(workspace_id, body)


def prometheus():
    """The Prometheus servers of the workspaces."""
    return _operations.prometheus


async def handle_request(method: str, path: str, headers: dict, body: bytes, query: dict):
    """Handles one request and returns status, headers and body."""
    try:
        return _operations.route(method, path, headers, body, query)
    except ApiError as error:
        return error.response()


def resource(method: str, path: str, body: bytes, region: str, account: str) -> str:
    """The ARN on which a request is authorized (service authorization reference, AMP).

    CreateScraper is authorized on the cluster and on the workspace. This function returns the cluster; scrapers.py
    authorizes the request on the workspace.
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
    """Routes requests to operations."""

    def __init__(self, cloud: Settings):
        self._scrapers, self._workspaces = Scrapers(cloud), Workspaces(cloud)
        self._logging = LoggingConfigurations(cloud)
        self._tags, self._data = Tags(), data_plane.DataPlane(cloud)
        self._policies, self._configurations = ResourcePolicies(), Configurations()
        self.prometheus, self.write = self._data.prometheus, self._data.remote_write

    def route(self, method: str, path: str, headers: dict, body: bytes, query: dict):
        parts = [unquote(part) for part in path.split("/") if part]
        if data_plane.action(path):
            return self._data_plane(method, parts, body, query)
        request = _json(body)
        match (method, *parts):
            case ("GET", "scraperconfiguration"):
                text = base64.b64encode(default_configuration.TEXT.encode()).decode()
                return json_response(200, {"configuration": text})
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
            case ("PUT", "scrapers", identifier, "logging-configuration"):
                return self._logging.update(identifier, request, headers)
            case ("GET", "scrapers", identifier, "logging-configuration"):
                return self._logging.describe(identifier)
            case ("DELETE", "scrapers", identifier, "logging-configuration"):
                return self._logging.delete(identifier, query, headers)
            case ("POST", "workspaces"):
                return self._workspaces.create(request)
            case ("GET", "workspaces"):
                return self._workspaces.list(query)
            case ("GET", "workspaces", identifier):
                return self._workspaces.describe(identifier)
            case ("DELETE", "workspaces", identifier):
                return self._workspaces.delete(identifier)
            case ("PUT", "workspaces", identifier, "policy"):
                return self._policies.put(identifier, request)
            case ("GET", "workspaces", identifier, "policy"):
                return self._policies.describe(identifier)
            case ("DELETE", "workspaces", identifier, "policy"):
                return self._policies.delete(identifier, query)
            case ("PATCH", "workspaces", identifier, "configuration"):
                return self._configurations.update(identifier, request)
            case ("GET", "workspaces", identifier, "configuration"):
                return self._configurations.describe(identifier)
            case ("POST", "tags", *arn):
                return self._tags.add("/".join(arn), request)
            case ("DELETE", "tags", *arn):
                return self._tags.remove("/".join(arn), query)
            case ("GET", "tags", *arn):
                return self._tags.list("/".join(arn))
        raise ApiError(404, "UnknownOperationException", f"Unsupported operation: {method} {path}.")

    def _data_plane(self, method: str, parts: list[str], body: bytes, query: dict):
        identifier, operation, more = parts[1], parts[4], parts[5:]
        if operation != "remote_write":
            response = self._data.forward(identifier, "/".join(parts[4:]), query, body)
            if response is not None:
                return response
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
        raise ApiError(404, "UnknownOperationException", f"Unsupported operation: {operation}.")


def _json(body: bytes) -> dict:
    try:
        request = json.loads(body) if body else {}
    except ValueError:
        request = None
    if not isinstance(request, dict):
        raise ApiError(400, "ValidationException", "The request is not JSON.", reason="CANNOT_PARSE", fieldList=[])
    return request
