"""The AMP service: its validation, its permissions, its life cycle."""

import pytest
from conftest import SOURCE, TARGET, allow, deny, wait_for
from support.location import YAML, Location


@pytest.fixture
def location(cloud):
    return Location(cloud)


def fields(location, request):
    with pytest.raises(location.amp.exceptions.ValidationException) as caught:
        location.amp.create_scraper(**request)
    response = caught.value.response
    assert response["reason"] == "FIELD_VALIDATION_FAILED"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return {field["name"]: field["message"] for field in response["fieldList"]}


def test_a_scraper_has_the_lifecycle_of_aws(location):
    made = location.amp.create_scraper(**location.request(alias="one", tags={"a": "b"}, clientToken="t"))
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert made["status"] == {"statusCode": "CREATING"}
    assert made["arn"] == f"arn:aws:aps:{location.region}:{SOURCE}:scraper/{made['scraperId']}"
    assert location.status(made) == "CREATING"
    with pytest.raises(location.amp.exceptions.ConflictException):
        location.amp.delete_scraper(scraperId=made["scraperId"])
    wait_for(lambda: location.status(made) == "ACTIVE")
    shown = location.amp.describe_scraper(scraperId=made["scraperId"])["scraper"]
    assert shown["scrapeConfiguration"]["configurationBlob"] == YAML
    assert shown["roleConfiguration"] == location.roles()
    role = f"arn:aws:iam::{SOURCE}:role/aws-service-role/scraper.aps.amazonaws.com/AWSServiceRoleForAmazonPrometheusScraper_"
    assert shown["roleArn"].startswith(role)
    [summary] = location.amp.list_scrapers()["scrapers"]
    assert summary["tags"] == {"a": "b"} and summary["roleConfiguration"] == location.roles()
    assert "scrapeConfiguration" not in summary

    changed = location.amp.update_scraper(scraperId=made["scraperId"], alias="two")
    assert changed["status"] == {"statusCode": "UPDATING"}
    wait_for(lambda: location.status(made) == "ACTIVE")
    assert location.amp.delete_scraper(scraperId=made["scraperId"])["status"] == {"statusCode": "DELETING"}
    assert location.amp.list_scrapers()["scrapers"][0]["status"] == {"statusCode": "DELETING"}
    wait_for(lambda: not location.amp.list_scrapers()["scrapers"])
    with pytest.raises(location.amp.exceptions.ResourceNotFoundException):
        location.amp.describe_scraper(scraperId=made["scraperId"])


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
def test_a_bad_request_is_refused_with_the_name_of_its_field(cloud, shared, more, field):
    assert field in fields(shared, shared.request(**more))


@pytest.fixture(scope="module")
def shared(cloud):
    """A location for tests that do not change it."""
    return Location(cloud)


def test_a_role_of_another_account_cannot_be_passed(shared):
    roles = {**shared.roles(), "sourceRoleArn": f"arn:aws:iam::{TARGET}:role/a"}
    why = fields(shared, shared.request(roleConfiguration=roles))
    assert why == {"roleConfiguration.sourceRoleArn": "Cross-account pass role is not allowed."}


def test_subnets_are_in_two_zones_of_the_vpc_one_in_each_with_free_addresses(cloud, location):
    field = "source.eksConfiguration.subnetIds"
    a, b, c = location.subnets
    zone = f"{location.region}a"

    def why(*subnets):
        return fields(location, location.with_source(subnetIds=list(subnets)))[field]

    twin = location.ec2.create_subnet(VpcId=location.vpc, CidrBlock="172.31.64.0/24", AvailabilityZone=zone)["Subnet"][
        "SubnetId"
    ]
    other_vpc = location.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    astray = location.ec2.create_subnet(VpcId=other_vpc, CidrBlock="10.0.0.0/24", AvailabilityZone=f"{location.region}b")
    assert "1 to 5" in why()
    assert "1 to 5" in why(a, b, c, a, b, c)
    assert "at least two" in why(a)
    assert "same Availability Zone" in why(a, twin, b)
    assert "same Availability Zone" in why(a, a)
    assert "does not exist" in why(a, "subnet-0000000000000000")
    assert "not in the cluster's VPC" in why(a, astray["Subnet"]["SubnetId"])
    here = {"account": SOURCE, "region": location.region, "subnetId": b}
    cloud.post("subnets", {**here, "availableIpAddressCount": 0})
    assert "no free IP address" in why(a, b)
    assert location.ec2.describe_subnets(SubnetIds=[b])["Subnets"][0]["AvailableIpAddressCount"] == 0
    cloud.post("subnets", {**here, "availableIpAddressCount": 1})
    location.amp.create_scraper(**location.request())


def test_security_groups_belong_to_the_vpc(location):
    field = "source.eksConfiguration.securityGroupIds"
    other_vpc = location.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    astray = location.ec2.create_security_group(GroupName="g", Description="g", VpcId=other_vpc)["GroupId"]
    assert "does not exist" in fields(location, location.with_source(securityGroupIds=["sg-00000000000000000"]))[field]
    assert "not in the cluster's VPC" in fields(location, location.with_source(securityGroupIds=[astray]))[field]
    assert "1 to 5" in fields(location, location.with_source(securityGroupIds=["sg-1"] * 6))[field]
    own = location.eks.describe_cluster(name=location.cluster.rpartition("/")[2])["cluster"]["resourcesVpcConfig"]
    location.amp.create_scraper(**location.with_source(securityGroupIds=[own["clusterSecurityGroupId"]]))


def test_the_cluster_exists_in_the_account_is_active_and_has_private_access(cloud, shared):
    field = "source.eksConfiguration.clusterArn"

    def why(arn):
        return fields(shared, shared.with_source(clusterArn=arn))[field]

    with pytest.raises(shared.amp.exceptions.ResourceNotFoundException):
        shared.amp.create_scraper(**shared.with_source(clusterArn=shared.cluster + "x"))
    assert SOURCE in why(shared.cluster.replace(SOURCE, TARGET))
    assert shared.region in why(shared.cluster.replace(shared.region, "eu-west-9"))
    assert "private access" in why(shared.create_cluster(private=False))
    assert "CREATING" in why(shared.create_cluster(tags={"local:creating-minutes": "1000"}))


def test_the_workspace_is_in_the_same_region_and_has_a_valid_arn(shared):
    field = "destination.ampConfiguration.workspaceArn"
    for wrong in (shared.workspace.replace(shared.region, "eu-west-9"), "arn:aws:aps:x", shared.workspace + "/more"):
        assert field in fields(shared, shared.request(destination={"ampConfiguration": {"workspaceArn": wrong}}))
    own = {"ampConfiguration": {"workspaceArn": shared.workspace.replace(TARGET, SOURCE)}}
    with pytest.raises(shared.amp.exceptions.ResourceNotFoundException):
        shared.amp.create_scraper(**shared.request(destination=own))


def test_the_same_client_token_gets_the_same_answer_and_another_request_a_conflict(location):
    first = location.amp.create_scraper(**location.request(clientToken="t"))
    again = location.amp.create_scraper(**location.request(clientToken="t"))
    assert again["scraperId"] == first["scraperId"] and again["status"] == first["status"]
    with pytest.raises(location.amp.exceptions.ConflictException):
        location.amp.create_scraper(**location.request(clientToken="t", alias="other"))
    assert len(location.amp.list_scrapers()["scrapers"]) == 1


def test_ten_scrapers_are_the_quota_of_a_region_and_account(location):
    for _ in range(10):
        location.amp.create_scraper(**location.request())
    with pytest.raises(location.amp.exceptions.ServiceQuotaExceededException) as caught:
        location.amp.create_scraper(**location.request())
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 402
    assert {"resourceId", "resourceType", "serviceCode", "quotaCode"} <= response.keys()
    # Filters and pages, while there are enough.
    amp = location.amp
    first = amp.list_scrapers(maxResults=6)
    second = amp.list_scrapers(maxResults=6, nextToken=first["nextToken"])
    assert (len(first["scrapers"]), len(second["scrapers"]), "nextToken" in second) == (6, 4, False)
    wanted = {"sourceArn": [location.cluster], "destinationArn": [location.workspace], "status": ["CREATING", "ACTIVE"]}
    assert len(amp.list_scrapers(filters=wanted)["scrapers"]) == 10
    assert not amp.list_scrapers(filters={**wanted, "alias": ["x"]})["scrapers"]
    assert not amp.list_scrapers(filters={**wanted, "destinationArn": ["x"]})["scrapers"]


def test_tags_of_a_cluster_set_the_duration_and_the_result_of_an_activation(cloud):
    quick = Location(cloud, tags={"local:activation-minutes": "0"})
    assert quick.status(quick.amp.create_scraper(**quick.request())) == "ACTIVE"
    failing = Location(cloud, tags={"local:activation-fails": "no way in", "local:activation-minutes": "0"})
    made = failing.amp.create_scraper(**failing.request())
    shown = failing.amp.describe_scraper(scraperId=made["scraperId"])["scraper"]
    assert (shown["status"]["statusCode"], shown["statusReason"]) == ("CREATION_FAILED", "no way in")


RIGHTS = [
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
        f"arn:aws:iam::{SOURCE}:role/aws-service-role/scraper.aps.amazonaws.com/AWSServiceRoleForAmazonPrometheusScraper*",
        {"iam:AWSServiceName": "scraper.aps.amazonaws.com"},
    ),
    ("iam:PassRole", f"arn:aws:iam::{SOURCE}:role/a-source", {"iam:PassedToService": "aps.amazonaws.com"}),
]


def statement(action, resource, equal=None):
    return allow(action, resource, **({"Condition": {"StringEquals": equal}} if equal else {}))


@pytest.mark.parametrize("missing", [None, *range(len(RIGHTS))])
def test_the_caller_needs_each_permission_itself(cloud, missing):
    shared = Location(cloud, "eu-south-2")
    statements = [statement(*right) for index, right in enumerate(RIGHTS) if index != missing]
    session = cloud.role(SOURCE, f"creator-{missing}", *statements)
    amp = shared.client("amp", session=session)
    request = shared.request(tags={"a": "b"})
    if missing is None:
        amp.create_scraper(**request)
        return
    with pytest.raises(amp.exceptions.AccessDeniedException) as caught:
        amp.create_scraper(**request)
    assert f"is not authorized to perform: {RIGHTS[missing][0]}" in caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_access_entry_is_created_unless_the_mode_is_config_map(cloud):
    region = "ap-northeast-2"
    rights = [statement(*right) for right in RIGHTS if not right[0].startswith(("eks:Create", "eks:Assoc"))]
    session = cloud.role(SOURCE, "no-access-entries", *rights)
    with_map = Location(cloud, region, mode="CONFIG_MAP")
    with_map.client("amp", session=session).create_scraper(**with_map.request(tags={"a": "b"}))
    without = Location(cloud, region)
    made = without.amp.create_scraper(**without.request())
    role = without.amp.describe_scraper(scraperId=made["scraperId"])["scraper"]["roleArn"]
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
        "aps:TagResource": lambda: denied.tag_resource(resourceArn=shared.workspace, tags={"a": "b"}),
    }
    for action, call in calls.items():
        with pytest.raises(denied.exceptions.AccessDeniedException) as caught:
            call()
        assert action in str(caught.value)


def test_the_default_configuration_follows_the_rules_of_amp(shared):
    blob = shared.amp.get_default_scraper_configuration()["configuration"]
    request = shared.request(scrapeConfiguration={"configurationBlob": blob}, alias=".")
    assert set(fields(shared, request)) == {"alias"}
    location = Location(shared.cloud)
    location.amp.create_scraper(**location.request(scrapeConfiguration={"configurationBlob": blob}))


def test_workspaces_are_created_described_tagged_and_deleted(shared):
    amp = shared.client("amp")
    made = amp.create_workspace(alias="mine", tags={"a": "1"})
    assert made["status"] == {"statusCode": "CREATING"}
    shown = amp.describe_workspace(workspaceId=made["workspaceId"])["workspace"]
    assert shown["status"] == {"statusCode": "ACTIVE"} and shown["createdAt"].year > 2000
    assert shown["prometheusEndpoint"].endswith(f"/workspaces/{made['workspaceId']}/")
    amp.tag_resource(resourceArn=made["arn"], tags={"b": "2"})
    amp.untag_resource(resourceArn=made["arn"], tagKeys=["a"])
    assert amp.list_tags_for_resource(resourceArn=made["arn"])["tags"] == {"b": "2"}
    assert made["arn"] in [one["arn"] for one in amp.list_workspaces(alias="mi")["workspaces"]]
    slow = amp.create_workspace(tags={"local:creating-minutes": "1000"})
    assert amp.describe_workspace(workspaceId=slow["workspaceId"])["workspace"]["status"]["statusCode"] == "CREATING"
    amp.delete_workspace(workspaceId=made["workspaceId"])
    with pytest.raises(amp.exceptions.ResourceNotFoundException):
        amp.describe_workspace(workspaceId=made["workspaceId"])


def test_the_tags_of_a_scraper_are_condition_keys(cloud, location, name, client_error):
    made = [location.amp.create_scraper(**location.request(tags=tags)) for tags in ({"ours": "yes"}, {"theirs": "yes"})]
    for scraper in made:
        wait_for(lambda scraper=scraper: location.status(scraper) == "ACTIVE")
    ours = {"Condition": {"Null": {"aws:ResourceTag/ours": "false"}}}
    rest = ["eks:DeleteAccessEntry", "iam:DeleteServiceLinkedRole"]
    session = cloud.role(SOURCE, name, allow(["aps:UpdateScraper", "aps:DeleteScraper"], **ours), allow(rest))
    amp = cloud.client("amp", SOURCE, region=location.region, session=session)
    for call, more in ((amp.update_scraper, {"alias": "a"}), (amp.delete_scraper, {})):
        assert client_error(call, scraperId=made[1]["scraperId"], **more)[0] == "AccessDeniedException"
    amp.update_scraper(scraperId=made[0]["scraperId"], alias="a")
    wait_for(lambda: location.status(made[0]) == "ACTIVE")
    amp.delete_scraper(scraperId=made[0]["scraperId"])


def test_a_tag_of_the_cluster_makes_an_update_fail(cloud):
    location = Location(cloud)
    made = location.amp.create_scraper(**location.request())
    wait_for(lambda: location.status(made) == "ACTIVE")
    location.eks.tag_resource(resourceArn=location.cluster, tags={"local:update-fails": "cannot be reached"})
    location.amp.update_scraper(scraperId=made["scraperId"], alias="two")
    assert location.status(made) == "UPDATING"
    wait_for(lambda: location.status(made) == "UPDATE_FAILED")
    shown = location.amp.describe_scraper(scraperId=made["scraperId"])["scraper"]
    assert (shown["statusReason"], shown["alias"]) == ("cannot be reached", "two")
    location.eks.untag_resource(resourceArn=location.cluster, tagKeys=["local:update-fails"])
    location.amp.update_scraper(scraperId=made["scraperId"], alias="three")
    wait_for(lambda: location.status(made) == "ACTIVE")
    assert "statusReason" not in location.amp.describe_scraper(scraperId=made["scraperId"])["scraper"]
