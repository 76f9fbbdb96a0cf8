"""EKS: the defaults, the status transitions and the updates of clusters.

Source: EKS API reference: CreateCluster (defaults of accessConfig and of the VPC configuration; the cluster security
group), UpdateClusterConfig (the status of the cluster is UPDATING during an update, and a second update is
ResourceInUseException), Update and DescribeUpdate, ListClusters (paging), CreateAccessEntry (not supported with
CONFIG_MAP). EKS user guide, "Change authentication mode to use access entries" (a mode cannot be reverted). Service
authorization reference, "Actions, resources, and condition keys for Amazon Elastic Kubernetes Service".
https://github.com/pulumi/pulumi-eks/issues/1493 and https://github.com/pulumi/pulumi-aws/issues/4789: EKS refuses
CONFIG_MAP -> API. https://github.com/aws/aws-cdk/issues/31032: EKS refuses the current mode.
https://github.com/aws/aws-cdk/issues/33452: one request contains one type of update.
Not documented: whether DescribeCluster returns the new configuration before the end of the update. Here it does not.
"""

import contextvars
import json
import time
import uuid

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import ec2, eks

from core.settings import Settings

_MODES = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
# Fields of the VPC configuration -> parameters of an update.
_ENDPOINT = {"endpointPublicAccess": "EndpointPublicAccess", "endpointPrivateAccess": "EndpointPrivateAccess"}
_UPDATING_MINUTES = 1.0
_creating = contextvars.ContextVar("creating_cluster", default=False)


def install(cloud: Settings) -> None:
    """In ministack, clusters are ACTIVE immediately, have no access configuration and lose their tags."""
    _allow_a_missing_cluster_role()
    _create_clusters(cloud)
    _describe_clusters()
    _page_lists()
    _refuse_access_entries_with_config_map()
    _update_clusters(cloud)
    _set_keys_of_updates()


def current(cluster: dict) -> dict:
    """The cluster, after the effect of an update that has ended."""
    update = cluster.get("_updates", [{}])[-1]
    if update.get("_changes") and time.time() >= cluster["_due_at"]:
        for field, changes in update.pop("_changes").items():
            cluster[field].update(changes)
        update["status"] = "Successful"
    return cluster


def status_of(cluster: dict) -> str:
    """The current status of a cluster."""
    current(cluster)
    if time.time() < cluster.get("_due_at", 0):
        return cluster["_status_until_due"]
    return "ACTIVE" if cluster["status"] == "CREATING" else cluster["status"]


def _allow_a_missing_cluster_role() -> None:
    """The role of a cluster need not exist, because no emulated service assumes it.

    This is not an AWS rule. It shortens tests.
    """
    original = iam_evaluator.validate_role_arn
    iam_evaluator.validate_role_arn = lambda arn: None if _creating.get() else original(arn)


def _create_clusters(cloud: Settings) -> None:
    original = eks._create_cluster

    def create_cluster(body, creator_arn=None):
        ec2._ensure_defaults_initialized()
        requested = body.get("resourcesVpcConfig", {}).get("subnetIds") or []
        subnets = [ec2._subnets.get(identifier) for identifier in requested]
        if None in subnets:
            missing = requested[subnets.index(None)]
            return _invalid(f"The subnet ID '{missing}' does not exist")
        if len({subnet["AvailabilityZone"] for subnet in subnets}) < 2:
            return _invalid("Subnets specified must be in at least two different AZs")
        if len({subnet["VpcId"] for subnet in subnets}) > 1:
            return _invalid("Subnets specified must belong to the same VPC")
        token = _creating.set(True)
        try:
            response = original(body, creator_arn)
        finally:
            _creating.reset(token)
        if response[0] != 200:
            return response
        cluster = eks._clusters[body["name"]]
        defaults = {"authenticationMode": "CONFIG_MAP", "bootstrapClusterCreatorAdminPermissions": True}
        cluster["accessConfig"] = {**defaults, **cluster["accessConfig"]}
        cluster["resourcesVpcConfig"]["vpcId"] = subnets[0]["VpcId"]
        cluster["resourcesVpcConfig"]["clusterSecurityGroupId"] = _create_security_group(cluster)
        minutes = float((cluster.get("tags") or {}).get("local:creating-minutes", 0))
        # Milliseconds, as in AWS. The product compares this time with the creation time of scrapers.
        cluster["createdAt"] = round(time.time(), 3)
        cluster["_due_at"], cluster["_status_until_due"] = time.time() + cloud.real_seconds(minutes=minutes), "CREATING"
        return eks._json_resp(200, {"cluster": {**eks._sanitize(cluster), "status": "CREATING"}})

    eks._create_cluster = create_cluster


def _create_security_group(cluster: dict) -> str:
    identifier = f"sg-{uuid.uuid4().hex[:17]}"
    ec2._security_groups[identifier] = {
        "GroupId": identifier,
        "GroupName": f"eks-cluster-sg-{cluster['name']}-{uuid.uuid4().int % 10**10}",
        "Description": "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes",
        "VpcId": cluster["resourcesVpcConfig"]["vpcId"],
        "OwnerId": get_account_id(),
        "IpPermissions": [],
        "IpPermissionsEgress": [],
    }
    return identifier


def _describe_clusters() -> None:
    def describe_cluster(name):
        cluster = eks._clusters.get(name)
        if cluster is None:
            return eks._error(404, "ResourceNotFoundException", f"No cluster found for name: {name}.")
        cluster["tags"] = dict(eks._tags.get(cluster["arn"]) or {})
        status = status_of(cluster)
        return eks._json_resp(200, {"cluster": {**eks._sanitize(cluster), "status": status}})

    eks._describe_cluster = describe_cluster


def _page_lists() -> None:
    def list_clusters(query):
        names = sorted(eks._clusters.keys())
        start, size = int(query.get("nextToken") or 0), int(query.get("maxResults") or 100)
        more = {"nextToken": str(start + size)} if start + size < len(names) else {}
        return eks._json_resp(200, {"clusters": names[start : start + size], **more})

    eks._list_clusters = list_clusters


def _refuse_access_entries_with_config_map() -> None:
    original = eks._create_access_entry

    def create_access_entry(name, body):
        cluster = eks._clusters.get(name)
        if cluster and current(cluster)["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
            modes = "[API, API_AND_CONFIG_MAP]"
            message = f"The cluster's authentication mode must be set to one of {modes} to perform this operation."
            return eks._error(400, "InvalidRequestException", message)
        return original(name, body)

    eks._create_access_entry = create_access_entry


def _update_clusters(cloud: Settings) -> None:
    """Adds UpdateClusterConfig, DescribeUpdate and ListUpdates, which ministack lacks."""
    original = app.SERVICE_HANDLERS["eks"]

    async def handler(method, path, headers, body, query):
        match (method, *(part for part in path.split("/") if part)):
            case ("POST", "clusters", name, "update-config"):
                return _with_cluster(name, lambda cluster: _update(cloud, cluster, json.loads(body or b"{}")))
            case ("GET", "clusters", name, "updates"):
                return _with_cluster(name, _list_updates)
            case ("GET", "clusters", name, "updates", identifier):
                return _with_cluster(name, lambda cluster: _describe_update(cluster, identifier))
        return await original(method, path, headers, body, query)

    app.SERVICE_HANDLERS["eks"] = handler


def _with_cluster(name: str, answer):
    cluster = eks._clusters.get(name)
    if cluster is None:
        return eks._error(404, "ResourceNotFoundException", f"No cluster found for name: {name}.")
    return answer(cluster)


def _update(cloud: Settings, cluster: dict, request: dict):
    if status_of(cluster) != "ACTIVE":
        return eks._error(409, "ResourceInUseException", f"Cluster {cluster['name']} is {status_of(cluster)}")
    mode = (request.get("accessConfig") or {}).get("authenticationMode")
    endpoint = {name: value for name, value in (request.get("resourcesVpcConfig") or {}).items() if name in _ENDPOINT}
    if bool(mode) == bool(endpoint):
        return _invalid("Only one type of update can be allowed" if mode else "No changes needed")
    if mode:
        now = cluster["accessConfig"]["authenticationMode"]
        if mode not in _MODES or _MODES.index(mode) != _MODES.index(now) + 1:
            return _invalid(f"Unsupported authentication mode update from {now} to {mode}")
        kind, changes = "AccessConfigUpdate", {"accessConfig": {"authenticationMode": mode}}
        parameters = {"AuthenticationMode": mode}
    else:
        if endpoint.items() <= cluster["resourcesVpcConfig"].items():
            return _invalid(f"Cluster is already at the desired configuration with {endpoint}")
        kind, changes = "EndpointAccessUpdate", {"resourcesVpcConfig": endpoint}
        parameters = {_ENDPOINT[name]: json.dumps(value) for name, value in endpoint.items()}
    minutes = float((eks._tags.get(cluster["arn"]) or {}).get("local:updating-minutes", _UPDATING_MINUTES))
    cluster["_due_at"], cluster["_status_until_due"] = time.time() + cloud.real_seconds(minutes=minutes), "UPDATING"
    update = {
        "id": str(uuid.uuid4()),
        "status": "InProgress",
        "type": kind,
        "params": [{"type": name, "value": value} for name, value in parameters.items()],
        "createdAt": round(time.time(), 3),
        "errors": [],
        "_changes": changes,
    }
    cluster.setdefault("_updates", []).append(update)
    return eks._json_resp(200, {"update": eks._sanitize(update)})


def _list_updates(cluster: dict):
    return eks._json_resp(200, {"updateIds": [update["id"] for update in reversed(cluster.get("_updates", []))]})


def _describe_update(cluster: dict, identifier: str):
    for update in current(cluster).get("_updates", []):
        if update["id"] == identifier:
            return eks._json_resp(200, {"update": eks._sanitize(update)})
    return eks._error(404, "ResourceNotFoundException", f"No update found for ID: {identifier}")


def keys_of_update(request: dict) -> dict[str, str]:
    """The condition keys of UpdateClusterConfig for the fields that this cloud can update."""
    vpc, access = request.get("resourcesVpcConfig") or {}, request.get("accessConfig") or {}
    keys = {f"eks:{name}": json.dumps(vpc[name]) for name in _ENDPOINT if name in vpc}
    mode = access.get("authenticationMode")
    return {**keys, "eks:authenticationMode": mode} if mode else keys


def _set_keys_of_updates() -> None:
    """ministack sets none of these keys."""
    original = iam_actions.request_tag_context

    def request_tag_context(service, iam_action, body, parameters):
        keys = original(service, iam_action, body, parameters)
        if iam_action != "eks:UpdateClusterConfig":
            return keys
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            return keys
        return keys | keys_of_update(request) if isinstance(request, dict) else keys

    iam_actions.request_tag_context = request_tag_context


def _invalid(message: str):
    return eks._error(400, "InvalidParameterException", message)
