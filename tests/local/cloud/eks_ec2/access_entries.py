"""EKS: the ARNs of access entries, and their condition keys.

Source: service authorization reference, "Actions, resources, and condition keys for Amazon Elastic Kubernetes
Service". CreateAccessEntry and ListAccessEntries are authorized on the cluster, all other actions on the access entry.
The key `eks:accessScope` is the type of the scope, `cluster` or `namespace`.
"""

import contextvars
import json
import re
import uuid
from urllib.parse import unquote

from ministack import app
from ministack.core import iam_actions
from ministack.services import eks

from core.settings import Settings
from iam import resource_keys

_PATH = re.compile(r"/clusters/([^/]+)/access-entries(?:/(.+?)(?:/access-policies(?:/(.+))?)?)?")
# The path of the current request.
_path: contextvars.ContextVar[str] = contextvars.ContextVar("path_of_request", default="")


def install(cloud: Settings) -> None:
    """ministack authorizes all these actions on the cluster, and sets none of these keys."""
    del cloud
    resource_keys.register("eks", "cluster", _keys_of_cluster)
    resource_keys.register("eks", "access-entry", _keys_of_entry)
    eks._access_entry_arn = lambda cluster, principal: arn(eks._cluster_arn(cluster), principal)
    _authorize_on_the_entry()
    _set_keys_of_requests()


def arn(cluster_arn: str, principal: str) -> str:
    """The ARN of an access entry. In AWS, the last part is random. Here it depends on the other parts, so that the ARN
    is known before the entry exists."""
    start, _, cluster = cluster_arn.partition(":cluster/")
    account, _, identity = principal.partition("::")[2].partition(":")
    kind, name = identity.partition("/")[0], identity.rpartition("/")[2]
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, f"{cluster_arn} {principal}")
    return f"{start}:access-entry/{cluster}/{kind}/{account}/{name}/{identifier}"


def keys_of(cluster: str, principal: str, kind: str = "STANDARD") -> dict:
    """The condition keys of an access entry that does not exist yet."""
    return {"eks:accessEntryType": kind, "eks:clusterName": cluster, "eks:principalArn": principal}


def _keys_of_cluster(action: str, account: str, region: str, name: str) -> dict:
    del action
    tags = eks._tags.get_scoped(account, region, f"arn:aws:eks:{region}:{account}:cluster/{name}")
    return resource_keys.of_tags(tags or {})


def _keys_of_entry(action: str, account: str, region: str, name: str) -> dict:
    del action
    entry_arn = f"arn:aws:eks:{region}:{account}:access-entry/{name}"
    for (owner, entry_region, _), entry in list(eks._access_entries._data.items()):
        if (owner, entry_region, entry["accessEntryArn"]) == (account, region, entry_arn):
            return {
                **resource_keys.of_tags(eks._tags.get_scoped(account, region, entry_arn) or {}),
                **keys_of(entry["clusterName"], entry["principalArn"], entry["type"]),
                "eks:kubernetesGroups": entry["kubernetesGroups"],
                "eks:username": entry["username"],
            }
    return {}


def _authorize_on_the_entry() -> None:
    original = iam_actions.extract_resource_arn

    def extract_resource_arn(service, method, path, headers, body, query, region, account):
        match = _PATH.fullmatch(path) if service == "eks" else None
        if match and match[2]:
            return arn(f"arn:aws:eks:{region}:{account}:cluster/{match[1]}", unquote(match[2]))
        return original(service, method, path, headers, body, query, region, account)

    iam_actions.extract_resource_arn = extract_resource_arn


def _set_keys_of_requests() -> None:
    dispatch, original = app._dispatch_service_request, iam_actions.request_tag_context

    async def with_path(method, path, headers, body, query, request_id):
        _path.set(path)
        return await dispatch(method, path, headers, body, query, request_id)

    def request_tag_context(service, iam_action, body, parameters):
        keys = original(service, iam_action, body, parameters)
        match = _PATH.fullmatch(_path.get()) if service == "eks" else None
        return keys | _keys_of_request(iam_action, match, _json(body)) if match else keys

    app._dispatch_service_request, iam_actions.request_tag_context = with_path, request_tag_context


def _keys_of_request(action: str, path: re.Match, body: dict) -> dict:
    keys = {}
    if path[2]:
        # The entry need not exist.
        keys = {"eks:clusterName": path[1], "eks:principalArn": unquote(path[2])}
    if action == "eks:CreateAccessEntry":
        names = {
            "principalArn": "eks:principalArn",
            "type": "eks:accessEntryType",
            "kubernetesGroups": "eks:kubernetesGroups",
            "username": "eks:username",
        }
        keys = {key: body[name] for name, key in names.items() if body.get(name)}
    elif action == "eks:AssociateAccessPolicy":
        scope = body.get("accessScope") or {}
        keys |= {"eks:policyArn": body.get("policyArn"), "eks:accessScope": scope.get("type")}
        keys |= {"eks:namespaces": scope.get("namespaces")}
    elif action == "eks:DisassociateAccessPolicy":
        keys |= {"eks:policyArn": unquote(path[3])}
    return {key: value for key, value in keys.items() if value}


def _json(body: bytes) -> dict:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
