"""Workspaces: create, describe, list, delete; tags of workspaces and scrapers (AMP API reference, 2020-08-01)."""

import json
import uuid

from ministack.core.responses import get_account_id, get_region, now_epoch

from amp import shapes, store
from amp.errors import answer, conflict, invalid, not_found
from core.settings import Settings


class Workspaces:
    """The workspace operations of one cloud."""

    def __init__(self, cloud: Settings):
        self._cloud = cloud

    def create(self, request: dict):
        """CreateWorkspace: ACTIVE at once, unless the tag `local:creating-minutes` says otherwise."""
        shapes.client_token(request.get("clientToken"))
        shapes.workspace_alias(request.get("alias"))
        tags = shapes.tags(request.get("tags"))
        token = ("CreateWorkspace", request.get("clientToken"))
        fingerprint = json.dumps({k: v for k, v in request.items() if k != "clientToken"}, sort_keys=True)
        if request.get("clientToken") and token in store.tokens:
            before, made = store.tokens[token]
            if before != fingerprint:
                raise conflict("workspace", made["workspaceId"], "The client token was used with another request.")
            return answer(202, made)
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
            store.begin(record, "CREATING", seconds, "ACTIVE")
        store.workspaces[workspace_id] = record
        status = {"statusCode": "CREATING"}
        made = {"workspaceId": workspace_id, "arn": record["arn"], "status": status, "tags": tags}
        if request.get("clientToken"):
            store.tokens[token] = (fingerprint, made)
        return answer(202, made)

    def describe(self, workspace_id: str):
        return answer(200, {"workspace": _shown(store.get(store.workspaces, "workspace", workspace_id))})

    def list(self, query: dict):
        """ListWorkspaces: all whose alias begins with the given one, on one page."""
        alias = (query.get("alias") or [""])[0]
        kept = [record for record in store.live(store.workspaces) if record.get("alias", "").startswith(alias)]
        return answer(200, {"workspaces": [_shown(record, ("prometheusEndpoint",)) for record in kept]})

    def delete(self, workspace_id: str):
        store.get(store.workspaces, "workspace", workspace_id)
        store.workspaces.pop(workspace_id)
        store.samples.pop(workspace_id, None)
        return answer(202)


def _shown(record: dict, leave_out: tuple[str, ...] = ()) -> dict:
    return store.shown(record, leave_out=("lastModifiedAt", *leave_out))


class Tags:
    """TagResource, UntagResource and ListTagsForResource."""

    def add(self, arn: str, request: dict):
        more = shapes.tags(request.get("tags"))
        tags = _tagged(arn)["tags"]
        if len({**tags, **more}) > 50:
            raise invalid("tags", "a resource has at most 50 tags")
        tags.update(more)
        return answer(200, {})

    def remove(self, arn: str, query: dict):
        tags = _tagged(arn)["tags"]
        for key in query.get("tagKeys", []):
            tags.pop(key, None)
        return answer(200, {})

    def list(self, arn: str):
        return answer(200, {"tags": _tagged(arn)["tags"]})


def _tagged(arn: str) -> dict:
    for records in (store.scrapers, store.workspaces):
        for record in store.live(records):
            if record["arn"] == arn:
                return record
    raise not_found("resource", arn)
