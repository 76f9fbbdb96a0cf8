"""The AMP service: its validation, its permissions, its life cycle."""

import pytest
from conftest import SOURCE, TARGET, allow, deny, wait_for
from place import YAML, Place


@pytest.fixture
def place(cloud):
    return Place(cloud)


def fields(place, request):
    with pytest.raises(place.amp.exceptions.ValidationException) as caught:
        place.amp.create_scraper(**request)
    response = caught.value.response
    assert response["reason"] == "FIELD_VALIDATION_FAILED"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return {field["name"]: field["message"] for field in response["fieldList"]}


def test_a_scraper_lives_as_on_aws(place):
    made = place.amp.create_scraper(**place.request(alias="one", tags={"a": "b"}, clientToken="t"))
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert made["status"] == {"statusCode": "CREATING"}
    assert made["arn"] == f"arn:aws:aps:{place.region}:{SOURCE}:scraper/{made['scraperId']}"
    assert place.status(made) == "CREATING"
    with pytest.raises(place.amp.exceptions.ConflictException):
        place.amp.delete_scraper(scraperId=made["scraperId"])
    wait_for(lambda: place.status(made) == "ACTIVE")
    shown = place.amp.describe_scraper(scraperId=made["scraperId"])["scraper"]
    assert shown["scrapeConfiguration"]["configurationBlob"] == YAML
    assert shown["roleConfiguration"] == place.roles()
    role = f"arn:aws:iam::{SOURCE}:role/aws-service-role/scraper.aps.amazonaws.com/AWSServiceRoleForAmazonPrometheusScraper_"
    assert shown["roleArn"].startswith(role)
    [summary] = place.amp.list_scrapers()["scrapers"]
    assert summary["tags"] == {"a": "b"} and summary["roleConfiguration"] == place.roles()
    assert "scrapeConfiguration" not in summary

    changed = place.amp.update_scraper(scraperId=made["scraperId"], alias="two")
    assert changed["status"] == {"statusCode": "UPDATING"}
    wait_for(lambda: place.status(made) == "ACTIVE")
    assert place.amp.delete_scraper(scraperId=made["scraperId"])["status"] == {"statusCode": "DELETING"}
    assert place.amp.list_scrapers()["scrapers"][0]["status"] == {"statusCode": "DELETING"}
    wait_for(lambda: not place.amp.list_scrapers()["scrapers"])
    with pytest.raises(place.amp.exceptions.ResourceNotFoundException):
        place.amp.describe_scraper(scraperId=made["scraperId"])


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
def test_a_bad_request_is_refused_by_its_field(cloud, shared, more, field):
    assert field in fields(shared, shared.request(**more))


@pytest.fixture(scope="module")
def shared(cloud):
    """A place for tests that change nothing."""
    return Place(cloud)


def test_a_role_of_another_account_cannot_be_passed(shared):
    roles = {**shared.roles(), "sourceRoleArn": f"arn:aws:iam::{TARGET}:role/a"}
    why = fields(shared, shared.request(roleConfiguration=roles))
    assert why == {"roleConfiguration.sourceRoleArn": "Cross-account pass role is not allowed."}


def test_subnets_are_one_a_zone_in_two_zones_of_the_vpc_with_free_addresses(cloud, place):
    field = "source.eksConfiguration.subnetIds"
    a, b, c = place.subnets
    zone = f"{place.region}a"

    def why(*subnets):
        return fields(place, place.with_source(subnetIds=list(subnets)))[field]

    twin = place.ec2.create_subnet(VpcId=place.vpc, CidrBlock="172.31.64.0/24", AvailabilityZone=zone)["Subnet"][
        "SubnetId"
    ]
    other_vpc = place.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    astray = place.ec2.create_subnet(VpcId=other_vpc, CidrBlock="10.0.0.0/24", AvailabilityZone=f"{place.region}b")
    assert "1 to 5" in why()
    assert "1 to 5" in why(a, b, c, a, b, c)
    assert "at least two" in why(a)
    assert "same Availability Zone" in why(a, twin, b)
    assert "same Availability Zone" in why(a, a)
    assert "does not exist" in why(a, "subnet-0000000000000000")
    assert "not in the cluster's VPC" in why(a, astray["Subnet"]["SubnetId"])
    here = {"account": SOURCE, "region": place.region, "subnetId": b}
    cloud.tell("subnets", {**here, "availableIpAddressCount": 0})
    assert "no free IP address" in why(a, b)
    assert place.ec2.describe_subnets(SubnetIds=[b])["Subnets"][0]["AvailableIpAddressCount"] == 0
    cloud.tell("subnets", {**here, "availableIpAddressCount": 1})
    place.amp.create_scraper(**place.request())


def test_security_groups_are_the_vpcs(place):
    field = "source.eksConfiguration.securityGroupIds"
    other_vpc = place.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    astray = place.ec2.create_security_group(GroupName="g", Description="g", VpcId=other_vpc)["GroupId"]
    assert "does not exist" in fields(place, place.with_source(securityGroupIds=["sg-00000000000000000"]))[field]
    assert "not in the cluster's VPC" in fields(place, place.with_source(securityGroupIds=[astray]))[field]
    assert "1 to 5" in fields(place, place.with_source(securityGroupIds=["sg-1"] * 6))[field]
    own = place.eks.describe_cluster(name=place.cluster.rpartition("/")[2])["cluster"]["resourcesVpcConfig"]
    place.amp.create_scraper(**place.with_source(securityGroupIds=[own["clusterSecurityGroupId"]]))


def test_the_cluster_exists_here_is_active_and_can_be_reached_privately(cloud, shared):
    field = "source.eksConfiguration.clusterArn"

    def why(arn):
        return fields(shared, shared.with_source(clusterArn=arn))[field]

    with pytest.raises(shared.amp.exceptions.ResourceNotFoundException):
        shared.amp.create_scraper(**shared.with_source(clusterArn=shared.cluster + "x"))
    assert SOURCE in why(shared.cluster.replace(SOURCE, TARGET))
    assert shared.region in why(shared.cluster.replace(shared.region, "eu-west-9"))
    assert "private access" in why(shared.make_cluster(private=False))
    assert "CREATING" in why(shared.make_cluster(tags={"local:creating-minutes": "1000"}))


def test_the_workspace_is_in_the_same_region_and_of_the_right_shape(shared):
    field = "destination.ampConfiguration.workspaceArn"
    for wrong in (shared.workspace.replace(shared.region, "eu-west-9"), "arn:aws:aps:x", shared.workspace + "/more"):
        assert field in fields(shared, shared.request(destination={"ampConfiguration": {"workspaceArn": wrong}}))
    own = {"ampConfiguration": {"workspaceArn": shared.workspace.replace(TARGET, SOURCE)}}
    with pytest.raises(shared.amp.exceptions.ResourceNotFoundException):
        shared.amp.create_scraper(**shared.request(destination=own))


def test_the_same_client_token_gets_the_same_answer_and_another_request_a_conflict(place):
    first = place.amp.create_scraper(**place.request(clientToken="t"))
    again = place.amp.create_scraper(**place.request(clientToken="t"))
    assert again["scraperId"] == first["scraperId"] and again["status"] == first["status"]
    with pytest.raises(place.amp.exceptions.ConflictException):
        place.amp.create_scraper(**place.request(clientToken="t", alias="other"))
    assert len(place.amp.list_scrapers()["scrapers"]) == 1


def test_ten_scrapers_are_the_quota_of_a_region_and_account(place):
    for _ in range(10):
        place.amp.create_scraper(**place.request())
    with pytest.raises(place.amp.exceptions.ServiceQuotaExceededException) as caught:
        place.amp.create_scraper(**place.request())
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 402
    assert {"resourceId", "resourceType", "serviceCode", "quotaCode"} <= response.keys()
    # Filters and pages, while there are enough.
    amp = place.amp
    first = amp.list_scrapers(maxResults=6)
    second = amp.list_scrapers(maxResults=6, nextToken=first["nextToken"])
    assert (len(first["scrapers"]), len(second["scrapers"]), "nextToken" in second) == (6, 4, False)
    wanted = {"sourceArn": [place.cluster], "destinationArn": [place.workspace], "status": ["CREATING", "ACTIVE"]}
    assert len(amp.list_scrapers(filters=wanted)["scrapers"]) == 10
    assert not amp.list_scrapers(filters={**wanted, "alias": ["x"]})["scrapers"]
    assert not amp.list_scrapers(filters={**wanted, "destinationArn": ["x"]})["scrapers"]


def test_a_cluster_decides_by_tags_how_long_activation_takes_and_how_it_ends(cloud):
    quick = Place(cloud, tags={"local:activation-minutes": "0"})
    assert quick.status(quick.amp.create_scraper(**quick.request())) == "ACTIVE"
    failing = Place(cloud, tags={"local:activation-fails": "no way in", "local:activation-minutes": "0"})
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
def test_the_caller_needs_each_right_itself(cloud, missing):
    shared = Place(cloud, "eu-south-2")
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


def test_no_access_entry_is_made_with_config_map_and_one_otherwise(cloud):
    region = "ap-northeast-2"
    rights = [statement(*right) for right in RIGHTS if not right[0].startswith(("eks:Create", "eks:Assoc"))]
    session = cloud.role(SOURCE, "no-access-entries", *rights)
    with_map = Place(cloud, region, mode="CONFIG_MAP")
    with_map.client("amp", session=session).create_scraper(**with_map.request(tags={"a": "b"}))
    without = Place(cloud, region)
    made = without.amp.create_scraper(**without.request())
    role = without.amp.describe_scraper(scraperId=made["scraperId"])["scraper"]["roleArn"]
    entries = without.eks.list_access_entries(clusterName=without.cluster.rpartition("/")[2])["accessEntries"]
    assert role in entries


def test_every_operation_is_authorized(cloud, shared):
    nobody = shared.client("amp", session=cloud.role(SOURCE, "amp-nobody", deny("*")))
    calls = {
        "aps:ListScrapers": lambda: nobody.list_scrapers(),
        "aps:DescribeScraper": lambda: nobody.describe_scraper(scraperId="s-1"),
        "aps:DeleteScraper": lambda: nobody.delete_scraper(scraperId="s-1"),
        "aps:UpdateScraper": lambda: nobody.update_scraper(scraperId="s-1"),
        "aps:GetDefaultScraperConfiguration": lambda: nobody.get_default_scraper_configuration(),
        "aps:CreateWorkspace": lambda: nobody.create_workspace(),
        "aps:DescribeWorkspace": lambda: nobody.describe_workspace(workspaceId="ws-1"),
        "aps:TagResource": lambda: nobody.tag_resource(resourceArn=shared.workspace, tags={"a": "b"}),
    }
    for action, call in calls.items():
        with pytest.raises(nobody.exceptions.AccessDeniedException) as caught:
            call()
        assert action in str(caught.value)


def test_the_default_configuration_keeps_amps_own_rules(shared):
    blob = shared.amp.get_default_scraper_configuration()["configuration"]
    request = shared.request(scrapeConfiguration={"configurationBlob": blob}, alias=".")
    assert set(fields(shared, request)) == {"alias"}
    place = Place(shared.cloud)
    place.amp.create_scraper(**place.request(scrapeConfiguration={"configurationBlob": blob}))


def test_workspaces_are_made_shown_tagged_and_removed(shared):
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


def test_the_tags_of_a_scraper_are_condition_keys(cloud, place, name, refusal):
    made = [place.amp.create_scraper(**place.request(tags=tags)) for tags in ({"ours": "yes"}, {"theirs": "yes"})]
    for scraper in made:
        wait_for(lambda scraper=scraper: place.status(scraper) == "ACTIVE")
    ours = {"Condition": {"Null": {"aws:ResourceTag/ours": "false"}}}
    rest = ["eks:DeleteAccessEntry", "iam:DeleteServiceLinkedRole"]
    session = cloud.role(SOURCE, name, allow(["aps:UpdateScraper", "aps:DeleteScraper"], **ours), allow(rest))
    amp = cloud.client("amp", SOURCE, region=place.region, session=session)
    for call, more in ((amp.update_scraper, {"alias": "a"}), (amp.delete_scraper, {})):
        assert refusal(call, scraperId=made[1]["scraperId"], **more)[0] == "AccessDeniedException"
    amp.update_scraper(scraperId=made[0]["scraperId"], alias="a")
    wait_for(lambda: place.status(made[0]) == "ACTIVE")
    amp.delete_scraper(scraperId=made[0]["scraperId"])


def test_an_update_fails_where_the_cluster_says_so(cloud):
    place = Place(cloud)
    made = place.amp.create_scraper(**place.request())
    wait_for(lambda: place.status(made) == "ACTIVE")
    place.eks.tag_resource(resourceArn=place.cluster, tags={"local:update-fails": "cannot be reached"})
    place.amp.update_scraper(scraperId=made["scraperId"], alias="two")
    assert place.status(made) == "UPDATING"
    wait_for(lambda: place.status(made) == "UPDATE_FAILED")
    shown = place.amp.describe_scraper(scraperId=made["scraperId"])["scraper"]
    assert (shown["statusReason"], shown["alias"]) == ("cannot be reached", "two")
    place.eks.untag_resource(resourceArn=place.cluster, tagKeys=["local:update-fails"])
    place.amp.update_scraper(scraperId=made["scraperId"], alias="three")
    wait_for(lambda: place.status(made) == "ACTIVE")
    assert "statusReason" not in place.amp.describe_scraper(scraperId=made["scraperId"])["scraper"]
