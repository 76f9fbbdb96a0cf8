"""The AMP service: validation, permissions and life cycle."""

import pytest
from conftest import SOURCE, TARGET, allow, deny, policy, wait_for
from support.location import YAML, Location

SERVICE_LINKED_ROLE = (
    f"arn:aws:iam::{SOURCE}:role/aws-service-role/scraper.aps.amazonaws.com/AWSServiceRoleForAmazonPrometheusScraper"
)


@pytest.fixture
def location(cloud):
    return Location(cloud)


def field_errors(location, request):
    """Creates a scraper, which must fail. Returns the message of each invalid field."""
    with pytest.raises(location.amp.exceptions.ValidationException) as caught:
        location.amp.create_scraper(**request)
    response = caught.value.response
    assert response["reason"] == "FIELD_VALIDATION_FAILED"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return {field["name"]: field["message"] for field in response["fieldList"]}


def test_a_scraper_has_the_life_cycle_of_amp(location):
    scraper = location.amp.create_scraper(**location.request(alias="one", tags={"a": "b"}, clientToken="t"))
    assert scraper["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert scraper["status"] == {"statusCode": "CREATING"}
    assert scraper["arn"] == f"arn:aws:aps:{location.region}:{SOURCE}:scraper/{scraper['scraperId']}"
    assert location.status(scraper) == "CREATING"
    with pytest.raises(location.amp.exceptions.ConflictException):
        location.amp.delete_scraper(scraperId=scraper["scraperId"])
    wait_for(lambda: location.status(scraper) == "ACTIVE")
    description = location.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
    assert description["scrapeConfiguration"]["configurationBlob"] == YAML
    assert description["roleConfiguration"] == location.roles()
    assert description["roleArn"].startswith(f"{SERVICE_LINKED_ROLE}_")
    [summary] = location.amp.list_scrapers()["scrapers"]
    assert summary["tags"] == {"a": "b"} and summary["roleConfiguration"] == location.roles()
    assert "scrapeConfiguration" not in summary

    changed = location.amp.update_scraper(scraperId=scraper["scraperId"], alias="two")
    assert changed["status"] == {"statusCode": "UPDATING"}
    wait_for(lambda: location.status(scraper) == "ACTIVE")
    assert location.amp.delete_scraper(scraperId=scraper["scraperId"])["status"] == {"statusCode": "DELETING"}
    assert location.amp.list_scrapers()["scrapers"][0]["status"] == {"statusCode": "DELETING"}
    wait_for(lambda: not location.amp.list_scrapers()["scrapers"])
    with pytest.raises(location.amp.exceptions.ResourceNotFoundException):
        location.amp.describe_scraper(scraperId=scraper["scraperId"])


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"scrapeConfiguration": None}, "scrapeConfiguration"),
        ({"source": None}, "source"),
        ({"destination": None}, "destination"),
        ({"source": {}}, "source"),
        ({"destination": {}}, "destination"),
        ({"alias": ".hidden"}, "alias"),
        ({"alias": "a" * 101}, "alias"),
        ({"clientToken": "two words"}, "clientToken"),
        ({"clientToken": "t" * 65}, "clientToken"),
        ({"tags": {"aws:x": "1"}}, "tags"),
        ({"tags": {"AWS:x": "1"}}, "tags"),
        ({"tags": {"a*": "1"}}, "tags"),
        ({"tags": {"a": "v" * 257}}, "tags.a"),
        ({"tags": {"k" * 129: ""}}, "tags"),
        ({"tags": {str(i): "" for i in range(51)}}, "tags"),
        ({"roleConfiguration": None}, "roleConfiguration"),
        ({"roleConfiguration": {"sourceRoleArn": f"arn:aws:iam::{SOURCE}:role/a"}}, "roleConfiguration"),
        ({"roleConfiguration": {"sourceRoleArn": "a", "targetRoleArn": "b"}}, "roleConfiguration.sourceRoleArn"),
        ({"scrapeConfiguration": {}}, "scrapeConfiguration"),
        ({"scrapeConfiguration": {"configurationBlob": b"c2NyYXBlX2NvbmZpZ3M6"}}, "scrapeConfiguration"),
    ],
)
def test_an_invalid_request_is_refused_with_the_name_of_the_field(cloud, shared, more, field):
    assert field in field_errors(shared, shared.request(**more))


@pytest.fixture(scope="module")
def shared(cloud):
    """A location for tests that do not change it."""
    return Location(cloud)


def test_a_role_in_another_account_cannot_be_passed(shared):
    roles = {**shared.roles(), "sourceRoleArn": f"arn:aws:iam::{TARGET}:role/a"}
    errors = field_errors(shared, shared.request(roleConfiguration=roles))
    assert errors == {"roleConfiguration.sourceRoleArn": "Cross-account pass role is not allowed."}


def test_subnets_require_different_availability_zones_and_available_addresses(cloud, location):
    field = "source.eksConfiguration.subnetIds"
    a, b, c = location.subnets

    def error(*subnets):
        return field_errors(location, location.with_source(subnetIds=list(subnets)))[field]

    def create_subnet(vpc, block, zone):
        return location.ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]

    same_zone = create_subnet(location.vpc, "172.31.64.0/24", f"{location.region}a")
    other_vpc = location.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    outside = create_subnet(other_vpc, "10.0.0.0/24", f"{location.region}b")
    assert "1 to 5" in error()
    assert "1 to 5" in error(a, b, c, a, b, c)
    assert "at least two" in error(a)
    assert "same Availability Zone" in error(a, same_zone, b)
    assert "same Availability Zone" in error(a, a)
    assert "does not exist" in error(a, "subnet-0000000000000000")
    assert "not in the cluster's VPC" in error(a, outside)
    subnet = {"account": SOURCE, "region": location.region, "subnetId": b}
    cloud.post("subnets", {**subnet, "availableIpAddressCount": 0})
    assert "no available IP address" in error(a, b)
    assert location.ec2.describe_subnets(SubnetIds=[b])["Subnets"][0]["AvailableIpAddressCount"] == 0
    cloud.post("subnets", {**subnet, "availableIpAddressCount": 1})
    location.amp.create_scraper(**location.request())


def test_security_groups_must_belong_to_the_vpc(location):
    field = "source.eksConfiguration.securityGroupIds"
    other_vpc = location.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    outside = location.ec2.create_security_group(GroupName="g", Description="g", VpcId=other_vpc)["GroupId"]

    def error(*groups):
        return field_errors(location, location.with_source(securityGroupIds=list(groups)))[field]

    assert "does not exist" in error("sg-00000000000000000")
    assert "not in the cluster's VPC" in error(outside)
    assert "1 to 5" in error(*["sg-1"] * 6)
    own = location.eks.describe_cluster(name=location.cluster.rpartition("/")[2])["cluster"]["resourcesVpcConfig"]
    location.amp.create_scraper(**location.with_source(securityGroupIds=[own["clusterSecurityGroupId"]]))


def test_a_scraper_requires_an_active_cluster_in_the_account_with_private_access(cloud, shared):
    field = "source.eksConfiguration.clusterArn"

    def error(arn):
        return field_errors(shared, shared.with_source(clusterArn=arn))[field]

    with pytest.raises(shared.amp.exceptions.ResourceNotFoundException):
        shared.amp.create_scraper(**shared.with_source(clusterArn=shared.cluster + "x"))
    assert SOURCE in error(shared.cluster.replace(SOURCE, TARGET))
    assert shared.region in error(shared.cluster.replace(shared.region, "eu-west-9"))
    assert "private access" in error(shared.create_cluster(private=False))
    assert "CREATING" in error(shared.create_cluster(tags={"local:creating-minutes": "1000"}))


def test_the_workspace_must_be_in_the_same_region_with_a_valid_arn(shared):
    field = "destination.ampConfiguration.workspaceArn"
    for invalid in (shared.workspace.replace(shared.region, "eu-west-9"), "arn:aws:aps:x", shared.workspace + "/more"):
        assert field in field_errors(
            shared, shared.request(destination={"ampConfiguration": {"workspaceArn": invalid}})
        )
    own = {"ampConfiguration": {"workspaceArn": shared.workspace.replace(TARGET, SOURCE)}}
    with pytest.raises(shared.amp.exceptions.ResourceNotFoundException):
        shared.amp.create_scraper(**shared.request(destination=own))


def test_a_repeated_client_token_returns_the_same_response_or_a_conflict(location):
    first = location.amp.create_scraper(**location.request(clientToken="t"))
    again = location.amp.create_scraper(**location.request(clientToken="t"))
    assert again["scraperId"] == first["scraperId"] and again["status"] == first["status"]
    with pytest.raises(location.amp.exceptions.ConflictException):
        location.amp.create_scraper(**location.request(clientToken="t", alias="other"))
    assert len(location.amp.list_scrapers()["scrapers"]) == 1


def test_the_quota_is_ten_scrapers_per_region_and_account(location):
    for _ in range(10):
        location.amp.create_scraper(**location.request())
    with pytest.raises(location.amp.exceptions.ServiceQuotaExceededException) as caught:
        location.amp.create_scraper(**location.request())
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 402
    assert {"resourceId", "resourceType", "serviceCode", "quotaCode"} <= response.keys()
    # Filters and pages of the ten scrapers.
    amp = location.amp
    first = amp.list_scrapers(maxResults=6)
    second = amp.list_scrapers(maxResults=6, nextToken=first["nextToken"])
    assert (len(first["scrapers"]), len(second["scrapers"]), "nextToken" in second) == (6, 4, False)
    matching = {
        "sourceArn": [location.cluster],
        "destinationArn": [location.workspace],
        "status": ["CREATING", "ACTIVE"],
    }
    assert len(amp.list_scrapers(filters=matching)["scrapers"]) == 10
    assert not amp.list_scrapers(filters={**matching, "alias": ["x"]})["scrapers"]
    assert not amp.list_scrapers(filters={**matching, "destinationArn": ["x"]})["scrapers"]


def test_tags_of_a_cluster_set_the_duration_and_the_result_of_a_creation(cloud):
    quick = Location(cloud, tags={"local:activation-minutes": "0"})
    assert quick.status(quick.amp.create_scraper(**quick.request())) == "ACTIVE"
    failing = Location(
        cloud, tags={"local:activation-fails": "cannot reach the cluster", "local:activation-minutes": "0"}
    )
    scraper = failing.amp.create_scraper(**failing.request())
    description = failing.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
    assert (description["status"]["statusCode"], description["statusReason"]) == (
        "CREATION_FAILED",
        "cannot reach the cluster",
    )


PERMISSIONS = [
    ("aps:CreateScraper", "arn:aws:eks:*:*:cluster/*"),
    ("aps:CreateScraper", "arn:aws:aps:*:*:workspace/*"),
    ("aps:TagResource", "arn:aws:aps:*:*:scraper/*"),
    ("eks:DescribeCluster", "arn:aws:eks:*:*:cluster/*"),
    ("eks:CreateAccessEntry", "arn:aws:eks:*:*:cluster/*"),
    (
        "eks:AssociateAccessPolicy",
        f"arn:aws:eks:*:{SOURCE}:access-entry/*/role/{SOURCE}/AWSServiceRoleForAmazonPrometheusScraper_*/*",
    ),
    ("ec2:DescribeSubnets", "*"),
    ("ec2:DescribeSecurityGroups", "*"),
    (
        "iam:CreateServiceLinkedRole",
        f"{SERVICE_LINKED_ROLE}*",
        {"iam:AWSServiceName": "scraper.aps.amazonaws.com"},
    ),
    ("iam:PassRole", f"arn:aws:iam::{SOURCE}:role/a-source", {"iam:PassedToService": "aps.amazonaws.com"}),
]


def statement(action, resource, equal=None):
    return allow(action, resource, **({"Condition": {"StringEquals": equal}} if equal else {}))


@pytest.mark.parametrize("missing", [None, *range(len(PERMISSIONS))])
def test_create_scraper_requires_each_permission_of_the_caller(cloud, missing):
    shared = Location(cloud, "eu-south-2")
    statements = [statement(*permission) for index, permission in enumerate(PERMISSIONS) if index != missing]
    session = cloud.role(SOURCE, f"creator-{missing}", *statements)
    amp = shared.client("amp", session=session)
    request = shared.request(tags={"a": "b"})
    if missing is None:
        amp.create_scraper(**request)
        return
    with pytest.raises(amp.exceptions.AccessDeniedException) as caught:
        amp.create_scraper(**request)
    assert f"is not authorized to perform: {PERMISSIONS[missing][0]}" in caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_access_entry_is_created_unless_the_authentication_mode_is_config_map(cloud):
    region = "ap-northeast-2"
    statements = [
        statement(*permission)
        for permission in PERMISSIONS
        if not permission[0].startswith(("eks:Create", "eks:Assoc"))
    ]
    session = cloud.role(SOURCE, "no-access-entries", *statements)
    with_map = Location(cloud, region, mode="CONFIG_MAP")
    with_map.client("amp", session=session).create_scraper(**with_map.request(tags={"a": "b"}))
    without = Location(cloud, region)
    scraper = without.amp.create_scraper(**without.request())
    role = without.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]["roleArn"]
    entries = without.eks.list_access_entries(clusterName=without.cluster.rpartition("/")[2])["accessEntries"]
    assert role in entries


def test_every_operation_is_authorized(cloud, shared):
    denied = shared.client("amp", session=cloud.role(SOURCE, "amp-denied", deny("*")))
    calls = {
        "aps:ListScrapers": lambda: denied.list_scrapers(),
        "aps:DescribeScraper": lambda: denied.describe_scraper(scraperId="s-1"),
        "aps:DeleteScraper": lambda: denied.delete_scraper(scraperId="s-1"),
        "aps:UpdateScraper": lambda: denied.update_scraper(scraperId="s-1"),
        "aps:GetDefaultScraperConfiguration": lambda: denied.get_default_scraper_configuration(),
        "aps:CreateWorkspace": lambda: denied.create_workspace(),
        "aps:DescribeWorkspace": lambda: denied.describe_workspace(workspaceId="ws-1"),
        "aps:DescribeWorkspaceConfiguration": lambda: denied.describe_workspace_configuration(workspaceId="ws-1"),
        "aps:UpdateWorkspaceConfiguration": lambda: denied.update_workspace_configuration(workspaceId="ws-1"),
        "aps:DescribeResourcePolicy": lambda: denied.describe_resource_policy(workspaceId="ws-1"),
        "aps:PutResourcePolicy": lambda: denied.put_resource_policy(workspaceId="ws-1", policyDocument="{}"),
        "aps:DeleteResourcePolicy": lambda: denied.delete_resource_policy(workspaceId="ws-1"),
        "aps:TagResource": lambda: denied.tag_resource(resourceArn=shared.workspace, tags={"a": "b"}),
    }
    for action, call in calls.items():
        with pytest.raises(denied.exceptions.AccessDeniedException) as caught:
            call()
        assert action in str(caught.value)


def test_the_default_configuration_is_valid(shared):
    blob = shared.amp.get_default_scraper_configuration()["configuration"]
    request = shared.request(scrapeConfiguration={"configurationBlob": blob}, alias=".")
    assert set(field_errors(shared, request)) == {"alias"}
    location = Location(shared.cloud)
    location.amp.create_scraper(**location.request(scrapeConfiguration={"configurationBlob": blob}))


def test_a_workspace_can_be_created_described_tagged_and_deleted(shared):
    amp = shared.client("amp")
    created = amp.create_workspace(alias="main", tags={"a": "1"})
    assert created["status"] == {"statusCode": "CREATING"}
    workspace = amp.describe_workspace(workspaceId=created["workspaceId"])["workspace"]
    assert workspace["status"] == {"statusCode": "ACTIVE"} and workspace["createdAt"].year > 2000
    assert workspace["prometheusEndpoint"].endswith(f"/workspaces/{created['workspaceId']}/")
    amp.tag_resource(resourceArn=created["arn"], tags={"b": "2"})
    amp.untag_resource(resourceArn=created["arn"], tagKeys=["a"])
    assert amp.list_tags_for_resource(resourceArn=created["arn"])["tags"] == {"b": "2"}
    assert created["arn"] in [listed["arn"] for listed in amp.list_workspaces(alias="ma")["workspaces"]]
    slow = amp.create_workspace(tags={"local:creating-minutes": "1000"})
    assert amp.describe_workspace(workspaceId=slow["workspaceId"])["workspace"]["status"]["statusCode"] == "CREATING"
    amp.delete_workspace(workspaceId=created["workspaceId"])
    with pytest.raises(amp.exceptions.ResourceNotFoundException):
        amp.describe_workspace(workspaceId=created["workspaceId"])


def test_a_workspace_has_a_configuration(cloud, client_error):
    amp = cloud.client("amp", TARGET)
    workspace = amp.create_workspace()["workspaceId"]
    configuration = amp.describe_workspace_configuration(workspaceId=workspace)["workspaceConfiguration"]
    assert configuration == {"status": {"statusCode": "ACTIVE"}, "retentionPeriodInDays": 150}
    limits = [{"labelSet": {"team": "a"}, "limits": {"maxSeries": 10}}, {"labelSet": {}, "limits": {"maxSeries": 0}}]
    updated = amp.update_workspace_configuration(workspaceId=workspace, limitsPerLabelSet=limits)
    assert updated["status"] == {"statusCode": "UPDATING"}
    amp.update_workspace_configuration(workspaceId=workspace, retentionPeriodInDays=30)
    configuration = amp.describe_workspace_configuration(workspaceId=workspace)["workspaceConfiguration"]
    assert (configuration["limitsPerLabelSet"], configuration["retentionPeriodInDays"]) == (limits, 30)
    bad = [{"labelSet": {"a-b": "c"}, "limits": {}}]
    update = amp.update_workspace_configuration
    assert client_error(update, workspaceId=workspace, limitsPerLabelSet=bad)[0] == "ValidationException"
    missing = amp.describe_workspace_configuration
    assert client_error(missing, workspaceId="ws-missing")[0] == "ResourceNotFoundException"


def test_a_resource_policy_can_be_put_described_and_deleted(cloud, client_error):
    amp = cloud.client("amp", TARGET)
    workspace = amp.create_workspace()["workspaceId"]
    assert client_error(amp.describe_resource_policy, workspaceId=workspace)[0] == "ResourceNotFoundException"
    put = amp.put_resource_policy
    for document in ("{", "[]", "{}"):
        assert client_error(put, workspaceId=workspace, policyDocument=document)[0] == "ValidationException"
    document = policy(deny("aps:RemoteWrite", Principal="*"))
    created = put(workspaceId=workspace, policyDocument=document)
    assert created["policyStatus"] == "CREATING"
    described = amp.describe_resource_policy(workspaceId=workspace)
    assert (described["policyDocument"], described["policyStatus"]) == (document, "ACTIVE")
    assert described["revisionId"] == created["revisionId"]
    changed = put(workspaceId=workspace, policyDocument=document, revisionId=created["revisionId"])
    assert changed["policyStatus"] == "UPDATING"
    stale = {"workspaceId": workspace, "revisionId": created["revisionId"]}
    assert client_error(put, policyDocument=document, **stale)[0] == "ConflictException"
    assert client_error(amp.delete_resource_policy, **stale)[0] == "ConflictException"
    amp.delete_resource_policy(workspaceId=workspace)
    assert client_error(amp.describe_resource_policy, workspaceId=workspace)[0] == "ResourceNotFoundException"


def test_the_tags_of_a_scraper_are_condition_keys(cloud, location, name, client_error):
    owned, other = (
        location.amp.create_scraper(**location.request(tags=tags)) for tags in ({"owned": "yes"}, {"other": "yes"})
    )
    for scraper in (owned, other):
        wait_for(lambda scraper=scraper: location.status(scraper) == "ACTIVE")
    has_tag = {"Condition": {"Null": {"aws:ResourceTag/owned": "false"}}}
    dependent = ["eks:DeleteAccessEntry", "iam:DeleteServiceLinkedRole"]
    session = cloud.role(SOURCE, name, allow(["aps:UpdateScraper", "aps:DeleteScraper"], **has_tag), allow(dependent))
    amp = cloud.client("amp", SOURCE, region=location.region, session=session)
    for call, more in ((amp.update_scraper, {"alias": "a"}), (amp.delete_scraper, {})):
        assert client_error(call, scraperId=other["scraperId"], **more)[0] == "AccessDeniedException"
    amp.update_scraper(scraperId=owned["scraperId"], alias="a")
    wait_for(lambda: location.status(owned) == "ACTIVE")
    amp.delete_scraper(scraperId=owned["scraperId"])


def test_the_tags_of_a_workspace_are_condition_keys(cloud, name, client_error):
    root = cloud.client("amp", TARGET)
    tagged, other = (root.create_workspace(tags=tags) for tags in ({"accept": "1"}, {"Accept": "1"}))
    has_tag = {"Condition": {"Null": {"aws:ResourceTag/accept": "false"}}}
    session = cloud.role(
        TARGET, name, allow(["aps:DescribeWorkspace", "aps:GetLabels", "aps:CreateScraper"], **has_tag)
    )
    amp = cloud.client("amp", TARGET, session=session)
    assert amp.describe_workspace(workspaceId=tagged["workspaceId"])["workspace"]["tags"] == {"accept": "1"}
    assert client_error(amp.describe_workspace, workspaceId=other["workspaceId"])[0] == "AccessDeniedException"


def test_untag_resource_has_the_keys_of_the_request_and_not_the_tags_of_the_resource(cloud, name, client_error):
    root = cloud.client("amp", TARGET)
    arn = root.create_workspace(tags={"a": "1", "b": "2"})["arn"]
    only_a = {"Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}}
    by_keys = cloud.client("amp", TARGET, session=cloud.role(TARGET, name, allow("aps:UntagResource", **only_a)))
    for keys in (["b"], ["a", "b"]):
        assert client_error(by_keys.untag_resource, resourceArn=arn, tagKeys=keys)[0] == "AccessDeniedException"
    owned = {"Condition": {"StringEquals": {"aws:ResourceTag/a": "1"}}}
    actions = ["aps:UntagResource", "aps:TagResource", "aps:ListTagsForResource", "aps:DescribeWorkspace"]
    by_tags = cloud.client("amp", TARGET, session=cloud.role(TARGET, name + "-tags", allow(actions, **owned)))
    for call, more in (
        (by_tags.untag_resource, {"tagKeys": ["a"]}),
        (by_tags.tag_resource, {"tags": {"c": "3"}}),
        (by_tags.list_tags_for_resource, {}),
    ):
        assert client_error(call, resourceArn=arn, **more)[0] == "AccessDeniedException"
    by_tags.describe_workspace(workspaceId=arn.rpartition("/")[2])
    by_keys.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert root.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}


@pytest.mark.parametrize(
    ("key", "value", "is_valid"),
    [
        ("ampxa:accept", "222222222222 ou-a1b2-c3d4e5f6 organization _.:/=+-@", True),
        ("k" * 128, "v" * 256, True),
        ("empty", "", True),
        ("k" * 129, "v", False),
        ("k", "v" * 257, False),
        ("k", "222222222222,333333333333", False),
        ("k,l", "v", False),
    ],
)
def test_a_tag_of_a_workspace_has_the_characters_and_the_length_of_amp(shared, key, value, is_valid):
    amp, tags = shared.client("amp"), {key: value}
    workspace = amp.create_workspace()
    for call, arguments in ((amp.create_workspace, {}), (amp.tag_resource, {"resourceArn": workspace["arn"]})):
        if is_valid:
            call(**arguments, tags=tags)
        else:
            with pytest.raises(amp.exceptions.ValidationException):
                call(**arguments, tags=tags)
    described = amp.describe_workspace(workspaceId=workspace["workspaceId"])["workspace"]
    assert described["tags"] == (tags if is_valid else {})


def test_a_tag_of_the_cluster_fails_an_update(cloud):
    location = Location(cloud)
    scraper = location.amp.create_scraper(**location.request())
    wait_for(lambda: location.status(scraper) == "ACTIVE")
    location.eks.tag_resource(resourceArn=location.cluster, tags={"local:update-fails": "cannot reach the cluster"})
    location.amp.update_scraper(scraperId=scraper["scraperId"], alias="two")
    assert location.status(scraper) == "UPDATING"
    wait_for(lambda: location.status(scraper) == "UPDATE_FAILED")
    description = location.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
    assert (description["statusReason"], description["alias"]) == ("cannot reach the cluster", "two")
    location.eks.untag_resource(resourceArn=location.cluster, tagKeys=["local:update-fails"])
    location.amp.update_scraper(scraperId=scraper["scraperId"], alias="three")
    wait_for(lambda: location.status(scraper) == "ACTIVE")
    assert "statusReason" not in location.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
