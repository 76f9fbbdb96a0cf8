"""AMP: the scraper operations create, describe, list, update and delete (AMP API reference, 2020-08-01)."""

import json
import re
import uuid

from ministack.core.responses import get_account_id, get_region, now_epoch

from amp import clusters, network, scrape_rules, shapes, store
from amp.errors import ApiError, conflict, invalid, json_response
from amp.permissions import Caller
from amp.service_linked_role import ServiceRole
from core.settings import Settings

# Not documented. Users report eight minutes or more for a deletion. The duration of an update is an estimate.
DELETING_MINUTES = 8.0
UPDATING_MINUTES = 2.0
# AMP service quotas: scrapers per Region and account.
QUOTA = 10
QUOTA_CODE = "L-3D4A5F04"  # A placeholder, because the quota code is not published.
WORKSPACE = "destination.ampConfiguration.workspaceArn"


class Scrapers:
    """The scraper operations of one cloud."""

    def __init__(self, cloud: Settings):
        self._cloud = cloud

    # -- create ---------------------------------------------------------------------------------

    def create(self, request: dict, headers: dict):
        """CreateScraper: returns 202, and the scraper is CREATING."""
        caller = Caller(headers)
        shapes.client_token(request.get("clientToken"))
        shapes.scraper_alias(request.get("alias"))
        tags = shapes.tags(request.get("tags"))
        for member in ("scrapeConfiguration", "source", "destination"):
            if not isinstance(request.get(member), dict):
                raise invalid(member, "Member must not be null")
        repeated = self._repeated_response(request)
        if repeated is not None:
            return repeated
        tree = scrape_rules.parse(request["scrapeConfiguration"].get("configurationBlob"))
        source = _source(request["source"])
        workspace = _workspace(request["destination"])
        roles = _role_configuration(request.get("roleConfiguration"))
        account, region = get_account_id(), get_region()
        cluster_arn = source["clusterArn"]
        cluster_name = _cluster_name(cluster_arn, account, region)
        _check_destination(workspace, account, region, roles)

        scraper_id = f"s-{uuid.uuid4()}"
        arn = f"arn:aws:aps:{region}:{account}:scraper/{scraper_id}"
        service_role = ServiceRole(account, scraper_id)
        # ministack has already authorized aps:CreateScraper on the cluster.
        caller.must_be_allowed("aps:CreateScraper", workspace[0])
        if tags:
            caller.must_be_allowed_to_tag(arn, tags)
        caller.must_be_allowed("eks:DescribeCluster", cluster_arn)
        caller.must_be_allowed("ec2:DescribeSubnets", "*")
        caller.must_be_allowed("ec2:DescribeSecurityGroups", "*")
        cluster = network.cluster(cluster_arn, cluster_name)
        vpc = cluster["resourcesVpcConfig"]["vpcId"]
        network.check_subnets(source["subnetIds"], vpc)
        network.check_security_groups(source.get("securityGroupIds") or [], vpc)
        if workspace[2] == account:
            store.get(store.workspaces, "workspace", workspace[3])
        _check_roles(caller, roles, account)
        service_role.check_create_permission(caller)
        service_role.check_access_entry_permissions(caller, cluster)
        if len(store.list_all(store.scrapers)) >= QUOTA:
            raise ApiError(
                402,
                "ServiceQuotaExceededException",
                f"You have reached the limit of {QUOTA} scrapers in {region}.",
                resourceId=scraper_id,
                resourceType="scraper",
                serviceCode="aps",
                quotaCode=QUOTA_CODE,
            )

        now = now_epoch()
        record = {
            "scraperId": scraper_id,
            "arn": arn,
            "roleArn": service_role.arn,
            "createdAt": now,
            "lastModifiedAt": now,
            "scrapeConfiguration": request["scrapeConfiguration"],
            "source": request["source"],
            "destination": request["destination"],
            "tags": tags,
            "_labels": scrape_rules.external_labels(tree),
        }
        if request.get("alias"):
            record["alias"] = request["alias"]
        if roles:
            record["roleConfiguration"] = roles
        self._start_creation(record)
        service_role.create(cluster)
        store.scrapers[scraper_id] = record
        created = {"scraperId": scraper_id, "arn": arn, "status": {"statusCode": "CREATING"}, "tags": tags}
        self._store_token(request, created)
        return json_response(202, created)

    def _start_creation(self, record: dict) -> None:
        """Starts the creation. Tags of the cluster control the duration and the result."""
        tags = clusters.tags(record)
        minutes = float(tags.get("local:activation-minutes", self._cloud.activation_minutes))
        reason = tags.get("local:activation-fails")
        next_status = "CREATION_FAILED" if reason else "ACTIVE"
        store.start_transition(record, "CREATING", self._cloud.real_seconds(minutes=minutes), next_status, reason)

    def _repeated_response(self, request: dict):
        """The response to an earlier request with the same client token, or None.

        The API reference states only that the token makes the request idempotent. Two rules are assumptions: a
        different request with the same token is a ConflictException, and a token expires with its scraper.
        """
        token = ("CreateScraper", request.get("clientToken"))
        if token not in store.tokens:
            return None
        fingerprint, created = store.tokens[token]
        record = store.scrapers.get(created["scraperId"])
        if record is None or store.refresh(record)["_status"] == "DELETED":
            return None
        if fingerprint != _fingerprint(request):
            raise conflict("scraper", created["scraperId"], "The client token was used with another request.")
        return json_response(202, created)

    def _store_token(self, request: dict, created: dict) -> None:
        if request.get("clientToken"):
            store.tokens[("CreateScraper", request["clientToken"])] = (_fingerprint(request), created)

    # -- read -----------------------------------------------------------------------------------

    def describe(self, scraper_id: str):
        record = store.get(store.scrapers, "scraper", scraper_id)
        return json_response(200, {"scraper": store.to_api(record)})

    def list(self, query: dict):
        """ListScrapers: the values of a filter are combined with OR, and the filters with AND."""
        matching = store.list_all(store.scrapers)
        fields = {
            "alias": lambda record: record.get("alias"),
            "status": lambda record: record["_status"],
            "sourceArn": lambda record: record["source"].get("eksConfiguration", {}).get("clusterArn"),
            "destinationArn": lambda record: record["destination"]["ampConfiguration"]["workspaceArn"],
        }
        for key, field in fields.items():
            if key in query:
                matching = [record for record in matching if field(record) in _values(query[key])]
        page, more = _page(matching, query)
        summaries = [store.to_api(record, omit=("scrapeConfiguration",)) for record in page]
        return json_response(200, {"scrapers": summaries, **({"nextToken": more} if more else {})})

    # -- write ----------------------------------------------------------------------------------

    def update(self, scraper_id: str, request: dict, headers: dict):
        """UpdateScraper: the source cannot be changed.

        A destination without a role configuration uses the service-linked role (user guide, "Cross-account setup").
        """
        record = store.get(store.scrapers, "scraper", scraper_id)
        caller = Caller(headers)
        shapes.client_token(request.get("clientToken"))
        shapes.scraper_alias(request.get("alias"))
        change = {name: request[name] for name in ("alias",) if request.get(name)}
        account, region = get_account_id(), get_region()
        if request.get("scrapeConfiguration") is not None:
            tree = scrape_rules.parse(request["scrapeConfiguration"].get("configurationBlob"))
            change["scrapeConfiguration"] = request["scrapeConfiguration"]
            change["_labels"] = scrape_rules.external_labels(tree)
        roles = _role_configuration(request.get("roleConfiguration"))
        destination = request.get("destination")
        if destination is not None:
            workspace = _workspace(destination)
            _check_destination(workspace, account, region, roles)
            caller.must_be_allowed("aps:UpdateScraper", workspace[0])
            change["destination"] = destination
        if roles:
            _check_roles(caller, roles, account)
            change["roleConfiguration"] = roles
        if record["_status"] in store.IN_TRANSITION:
            raise conflict("scraper", scraper_id, f"The scraper is {record['_status']}.")
        record["_former_roles"] = record.get("roleConfiguration")
        if destination is not None and not roles:
            record.pop("roleConfiguration", None)
        record.update(change)
        tags = clusters.tags(record)
        reason = tags.get("local:update-fails")
        next_status = "UPDATE_FAILED" if reason else "ACTIVE"
        seconds = self._cloud.real_seconds(minutes=float(tags.get("local:updating-minutes", UPDATING_MINUTES)))
        store.start_transition(record, "UPDATING", seconds, next_status, reason)
        updated = {"scraperId": scraper_id, "arn": record["arn"], "status": {"statusCode": "UPDATING"}}
        return json_response(202, {**updated, "tags": record["tags"]})

    def delete(self, scraper_id: str, query: dict, headers: dict):
        """DeleteScraper: a scraper with a transitional status is a conflict. Otherwise the scraper is DELETING."""
        shapes.client_token(_values(query.get("clientToken", [None]))[0])
        record = store.get(store.scrapers, "scraper", scraper_id)
        if record["_status"] in store.IN_TRANSITION:
            raise conflict("scraper", scraper_id, f"The scraper is {record['_status']}.")
        role = ServiceRole(get_account_id(), scraper_id)
        role.check_delete_permissions(Caller(headers), record)
        minutes = float(clusters.tags(record).get("local:deleting-minutes", DELETING_MINUTES))
        store.start_transition(record, "DELETING", self._cloud.real_seconds(minutes=minutes), "DELETED")
        role.delete(record)
        return json_response(202, {"scraperId": scraper_id, "status": {"statusCode": "DELETING"}})


def _fingerprint(request: dict) -> str:
    return json.dumps({name: value for name, value in request.items() if name != "clientToken"}, sort_keys=True)


def _values(value) -> list:
    return value if isinstance(value, list) else [value]


def _page(records: list, query: dict) -> tuple[list, str | None]:
    try:
        start = int(_values(query.get("nextToken", "0"))[0])
        size = int(_values(query.get("maxResults", "100"))[0])
    except ValueError:
        raise invalid("nextToken", "is not a valid token") from None
    if not 1 <= size <= 1000:
        raise invalid("maxResults", "must be between 1 and 1000")
    more = start + size < len(records)
    return records[start : start + size], str(start + size) if more else None


def _source(source: dict) -> dict:
    cluster = source.get("eksConfiguration")
    if set(source) != {"eksConfiguration"} or not isinstance(cluster, dict):
        raise invalid("source", "eksConfiguration is required, because this cloud supports no other source")
    shapes.arn(cluster.get("clusterArn"), network.CLUSTER, shapes.CLUSTER_ARN)
    shapes.identifiers(cluster.get("subnetIds"), network.SUBNETS, r"subnet-[0-9a-z]+", required=True)
    shapes.identifiers(cluster.get("securityGroupIds"), network.SECURITY_GROUPS, r"sg-[0-9a-z]+", required=False)
    return cluster


def _workspace(destination) -> tuple[str, str, str, str]:
    """The workspace of a destination as (ARN, Region, account, id)."""
    configuration = destination.get("ampConfiguration") if isinstance(destination, dict) else None
    if not isinstance(configuration, dict):
        raise invalid("destination", "ampConfiguration is required, because this cloud supports no other destination")
    match = shapes.arn(configuration.get("workspaceArn"), WORKSPACE, shapes.WORKSPACE_ARN)
    if not re.fullmatch(r"[0-9A-Za-z][-.0-9A-Z_a-z]{0,63}", match[3]):
        raise invalid(WORKSPACE, "is not a workspace ARN")
    return match[0], match[1], match[2], match[3]


def _role_configuration(roles) -> dict | None:
    if roles is None:
        return None
    if not isinstance(roles, dict):
        raise invalid("roleConfiguration", "must be a structure")
    configuration = {name: roles[name] for name in ("sourceRoleArn", "targetRoleArn") if roles.get(name) is not None}
    for name, value in configuration.items():
        shapes.arn(value, f"roleConfiguration.{name}", shapes.ROLE_ARN)
    return configuration or None


def _cluster_name(arn: str, account: str, region: str) -> str:
    match = shapes.CLUSTER_ARN.fullmatch(arn)
    if (match[1], match[2]) != (region, account):
        raise invalid(network.CLUSTER, f"the cluster must be in {region} of account {account}")
    return match[3]


def _check_destination(workspace: tuple, account: str, region: str, roles: dict | None) -> None:
    if workspace[1] != region:
        raise invalid(WORKSPACE, f"the workspace must be in the scraper's Region {region}")
    if workspace[2] != account and (roles is None or len(roles) < 2):
        raise invalid(
            "roleConfiguration", "sourceRoleArn and targetRoleArn are required for a workspace of another account"
        )


def _check_roles(caller: Caller, roles: dict | None, account: str) -> None:
    """Checks that the caller can pass the source role. The target role is in another account and is not checked."""
    source = (roles or {}).get("sourceRoleArn")
    if source is None:
        return
    if shapes.ROLE_ARN.fullmatch(source)[1] != account:
        raise invalid("roleConfiguration.sourceRoleArn", "Cross-account pass role is not allowed.")
    caller.must_be_allowed("iam:PassRole", source, {"iam:PassedToService": "aps.amazonaws.com"})
