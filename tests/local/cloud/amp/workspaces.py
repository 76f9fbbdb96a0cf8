"""AMP: the workspace operations, and the tags of workspaces and scrapers (AMP API reference, 2020-08-01)."""

import json
import uuid

from ministack.core.responses import get_account_id, get_region, now_epoch

from amp import shapes, store
from amp.errors import conflict, invalid, json_response, not_found
from core.settings import Settings


class Workspaces:
    """The workspace operations of one cloud."""

    def __init__(self, cloud: Settings):
        self._cloud = cloud

    def create(self, request: dict):
        """CreateWorkspace: the tag `local:creating-minutes` sets the minutes until ACTIVE. The default is 0."""
        shapes.client_token(request.get("clientToken"))
        shapes.workspace_alias(request.get("alias"))
        tags = shapes.tags(request.get("tags"))
        token = ("CreateWorkspace", request.get("clientToken"))
        fingerprint = json.dumps({key: value for key, value in request.items() if key != "clientToken"}, sort_keys=True)
        if request.get("clientToken") and token in store.tokens:
            stored, created = store.tokens[token]
            if stored != fingerprint:
                raise conflict("workspace", created["workspaceId"], "The client token was used with another request.")
            return json_response(202, created)
        workspace_id = f"ws-{uuid.uuid4()}"
        record = {
            "workspaceId": workspace_id,
            "arn": f"arn:aws:aps:{get_region()}:{get_account_id()}:workspace/{workspace_id}",
            "createdAt": now_epoch(),
            "prometheusEndpoint": f"{self._cloud.url}/workspaces/{workspace_id}/",
            "tags": tags,
            "_status": "ACTIVE",
        }
        if request.get("alias"):
            record["alias"] = request["alias"]
        if "local:creating-minutes" in tags:
            seconds = self._cloud.real_seconds(minutes=float(tags["local:creating-minutes"]))
            store.start_transition(record, "CREATING", seconds, "ACTIVE")
        store.workspaces[workspace_id] = record
        status = {"statusCode": "CREATING"}
        created = {"workspaceId": workspace_id, "arn": record["arn"], "status": status, "tags": tags}
        if request.get("clientToken"):
            store.tokens[token] = (fingerprint, created)
        return json_response(202, created)

    def describe(self, workspace_id: str):
        return json_response(200, {"workspace": _to_api(store.get(store.workspaces, "workspace", workspace_id))})

    def list(self, query: dict):
        """ListWorkspaces: all workspaces with the given alias prefix, on one page."""
        alias = (query.get("alias") or [""])[0]
        matching = [record for record in store.list_all(store.workspaces) if record.get("alias", "").startswith(alias)]
        return json_response(200, {"workspaces": [_to_api(record, ("prometheusEndpoint",)) for record in matching]})

    def delete(self, workspace_id: str):
        store.get(store.workspaces, "workspace", workspace_id)
        store.workspaces.pop(workspace_id)
        store.samples.pop(workspace_id, None)
        return json_response(202)


def _to_api(record: dict, omit: tuple[str, ...] = ()) -> dict:
    return store.to_api(record, omit=("lastModifiedAt", *omit))


class Tags:
    """TagResource, UntagResource and ListTagsForResource."""

    def add(self, arn: str, request: dict):
        more = shapes.tags(request.get("tags"))
        tags = _tagged(arn)["tags"]
        if len({**tags, **more}) > 50:
            raise invalid("tags", "a resource has at most 50 tags")
        tags.update(more)
        return json_response(200, {})

    def remove(self, arn: str, query: dict):
        tags = _tagged(arn)["tags"]
        for key in query.get("tagKeys", []):
            tags.pop(key, None)
        return json_response(200, {})

    def list(self, arn: str):
        return json_response(200, {"tags": _tagged(arn)["tags"]})


def _tagged(arn: str) -> dict:
    for records in (store.scrapers, store.workspaces):
        for record in store.list_all(records):
            if record["arn"] == arn:
                return record
    raise not_found("resource", arn)
