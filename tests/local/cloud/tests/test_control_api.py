"""The control API."""

import json
import time
import urllib.error
import urllib.request

import pytest
from conftest import HUB, SOURCE, TARGET, allow, allow_assume, policy
from support.location import Location


def test_health_returns_the_options_of_the_cloud(cloud):
    assert cloud.get("health") == {"ready": True, "minute": 0.05, "ministack": "1.5.33"}


def test_the_request_log_contains_principal_action_and_resource(cloud, name):
    point = cloud.get("calls")["next"]
    session = cloud.role(SOURCE, name, allow("iam:GetRole"), path="/p/")
    iam = cloud.client("iam", SOURCE, session=session)
    iam.get_role(RoleName=name)
    with pytest.raises(iam.exceptions.ClientError):
        iam.list_roles()
    log = cloud.get(f"calls?since={point}")
    assert log["next"] == point + len(log["calls"]) and [call["n"] for call in log["calls"]] == list(
        range(point + 1, log["next"] + 1)
    )
    assert [call["action"] for call in log["calls"]] == [
        "iam:CreateRole",
        "iam:PutRolePolicy",
        "sts:AssumeRole",
        "iam:GetRole",
        "iam:ListRoles",
    ]
    create, _, _, get, list_roles = log["calls"]
    assert create["principal"] == f"arn:aws:iam::{SOURCE}:root" and create["account"] == SOURCE
    assert get["principal"] == f"arn:aws:sts::{SOURCE}:assumed-role/{name}/test"
    assert get["resource"] == f"arn:aws:iam::{SOURCE}:role/p/{name}"
    assert (get["status"], list_roles["status"]) == (200, 403)
    assert get["at"] > 0 and get["milliseconds"] >= 0


def test_the_request_log_contains_the_condition_context(cloud, name):
    iam = cloud.client("iam", SOURCE)
    limit = iam.create_policy(PolicyName=name, PolicyDocument=policy(allow("*")))["Policy"]["Arn"]
    session = cloud.role(SOURCE, name, allow("*"), path="/p/")
    trust = allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"})
    arn, tags = f"arn:aws:iam::{SOURCE}:role/{name}-2", [{"Key": "Team:a", "Value": "b"}]
    point = cloud.get("calls")["next"]
    iam = cloud.client("iam", SOURCE, session=session)
    role = {"RoleName": name + "-2", "AssumeRolePolicyDocument": trust, "PermissionsBoundary": limit, "Tags": tags}
    iam.create_role(**role)
    sts = cloud.client("sts", SOURCE, session=session)
    sts.assume_role(RoleArn=arn, RoleSessionName="s", ExternalId="id-1", Policy=policy(allow("s3:*")))
    sts.assume_role(RoleArn=arn, RoleSessionName="s")
    iam.delete_role(RoleName=name + "-2")
    create, assume, without, delete = cloud.get(f"calls?since={point}")["calls"]
    everywhere = {
        "aws:PrincipalAccount": SOURCE,
        "aws:PrincipalArn": f"arn:aws:iam::{SOURCE}:role/p/{name}",
        "aws:PrincipalOrgID": "o-ampxalocal01",
        "aws:ResourceAccount": SOURCE,
        "aws:ResourceOrgID": "o-ampxalocal01",
    }
    tagged = {"aws:ResourceTag/Team:a": "b", "iam:ResourceTag/Team:a": "b"}
    requested = {"aws:RequestTag/Team:a": "b", "aws:TagKeys": ["Team:a"]}
    assert create["context"] == {**everywhere, **requested, "iam:PermissionsBoundary": limit}
    assert assume["context"] == {**everywhere, **tagged, "sts:ExternalId": "id-1", "sessionPolicy": True}
    assert without["context"] == {**everywhere, **tagged}
    assert delete["context"] == {**everywhere, **tagged, "iam:PermissionsBoundary": limit}


def test_the_request_log_contains_the_checks_of_amp_with_the_permissions_of_its_caller(cloud, name):
    location = Location(cloud)
    session = cloud.role(
        SOURCE, name, allow(["aps:*", "ec2:*", "iam:*", "eks:DescribeCluster", "eks:CreateAccessEntry"])
    )
    amp, point = location.client("amp", session=session), cloud.get("calls")["next"]
    with pytest.raises(amp.exceptions.AccessDeniedException):
        amp.create_scraper(**location.request(tags={"a": "b"}))
    log = cloud.get(f"calls?since={point}")
    [call] = log["calls"]
    assert (call["action"], call["resource"], call["status"]) == ("aps:CreateScraper", location.cluster, 403)
    assert cloud.get(f"calls?since={log['next']}")["forwarded"] == []
    assert {check["n"] for check in log["forwarded"]} == {call["n"]}
    assert {check["forwardedBy"] for check in log["forwarded"]} == {"aps"}
    assert {check["principal"] for check in log["forwarded"]} == {f"arn:aws:sts::{SOURCE}:assumed-role/{name}/test"}
    assert [(check["action"], check["result"]) for check in log["forwarded"]] == [
        ("aps:CreateScraper", "allowed"),
        ("aps:TagResource", "allowed"),
        ("eks:DescribeCluster", "allowed"),
        ("ec2:DescribeSubnets", "allowed"),
        ("ec2:DescribeSecurityGroups", "allowed"),
        ("iam:PassRole", "allowed"),
        ("iam:CreateServiceLinkedRole", "allowed"),
        ("eks:CreateAccessEntry", "allowed"),
        ("eks:AssociateAccessPolicy", "denied"),
    ]
    checks = {(check["action"]): check for check in log["forwarded"]}
    role = checks["iam:CreateServiceLinkedRole"]["resource"]
    entry, associate = checks["eks:CreateAccessEntry"], checks["eks:AssociateAccessPolicy"]
    assert (entry["resource"], entry["context"]["eks:principalArn"]) == (location.cluster, role)
    keys = {key: value for key, value in associate["context"].items() if key.startswith("eks:")}
    assert keys == {
        "eks:accessEntryType": "STANDARD",
        "eks:accessScope": "cluster",
        "eks:clusterName": location.cluster.rpartition("/")[2],
        "eks:policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonPrometheusScraperPolicy",
        "eks:principalArn": role,
    }
    assert checks["aps:TagResource"]["context"]["aws:RequestTag/a"] == "b"


@pytest.mark.parametrize("path", ["nonsense", "calls?since=x", f"usage/{HUB}/us-west-2?since=x"])
def test_an_invalid_get_request_is_refused(cloud, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        cloud.get(path)
    assert caught.value.code == 400 and json.load(caught.value)["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("events", {"account": HUB}),
        ("organization", {"unit": {}}),
        ("organization", []),
        ("schedules", {"account": HUB, "region": "us-west-2", "name": "none"}),
    ],
)
def test_an_invalid_post_request_is_refused(cloud, path, body):
    with pytest.raises(urllib.error.HTTPError) as caught:
        cloud.post(path, body)
    assert caught.value.code == 400 and json.load(caught.value)["error"]


def test_the_status_of_a_scraper_can_be_set(cloud):
    location = Location(cloud)
    scraper = location.amp.create_scraper(**location.request())

    def set_status(status, reason=None):
        return cloud.post("scrapers", {"scraperArn": scraper["arn"], "status": status, "reason": reason})

    response = set_status("DELETION_FAILED", "stuck")
    assert response == {"scraperArn": scraper["arn"], "status": "DELETION_FAILED", "reason": "stuck"}
    time.sleep(20 * 0.05 + 0.2)  # After this time, CREATING becomes ACTIVE.
    description = location.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
    assert (description["status"]["statusCode"], description["statusReason"]) == ("DELETION_FAILED", "stuck")
    set_status("CREATING")
    assert location.status(scraper) == "CREATING"
    with pytest.raises(location.amp.exceptions.ConflictException):
        location.amp.delete_scraper(scraperId=scraper["scraperId"])
    set_status("ACTIVE")
    description = location.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
    assert description["status"]["statusCode"] == "ACTIVE" and "statusReason" not in description
    for invalid in ("DELETED", "active"):
        with pytest.raises(urllib.error.HTTPError):
            set_status(invalid)
    scraper["arn"] += "0"
    with pytest.raises(urllib.error.HTTPError):
        set_status("ACTIVE")


def test_a_missing_subnet_is_refused(cloud):
    body = {"account": HUB, "region": "us-west-2", "subnetId": "subnet-0", "availableIpAddressCount": 1}
    with pytest.raises(urllib.error.HTTPError):
        cloud.post("subnets", body)


def test_an_unsigned_request_is_refused(cloud):
    request = urllib.request.Request(f"{cloud.url}/scrapers", headers={"host": "aps.us-west-2.amazonaws.com"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code in (400, 403)


def test_an_account_can_be_described_and_deleted(cloud):
    location = Location(cloud)
    iam, account = cloud.client("iam", SOURCE), "232323232323"
    scraper = location.amp.create_scraper(**location.request(tags={"a": "b"}))
    snapshot = cloud.get(f"accounts/{SOURCE}")
    described = snapshot["scrapers"][scraper["arn"]]
    assert (described["status"], described["tags"], described["roleConfiguration"]) == (
        "CREATING",
        {"a": "b"},
        location.roles(),
    )
    assert cloud.get(f"accounts/{TARGET}")["workspaces"].count(location.workspace) == 1
    assert any("AWSServiceRoleForAmazonPrometheusScraper" in entry for entry in snapshot["accessEntries"])

    iam = cloud.client("iam", account)
    trust = allow_assume({"Service": "aps.amazonaws.com"})
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust, Tags=[{"Key": "a", "Value": "b"}])["Role"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy(allow("s3:*")))
    snapshot = cloud.get(f"accounts/{account}")
    assert snapshot["roles"][role["Arn"]] == {
        "trust": json.loads(trust),
        "tags": {"a": "b"},
        "policies": {"p": json.loads(policy(allow("s3:*")))},
        "attached": [],
        "boundary": None,
    }
    cloud.post("forget", {"account": account})
    assert cloud.get(f"accounts/{account}") == {"roles": {}, "scrapers": {}, "accessEntries": [], "workspaces": []}
    assert cloud.get(f"trusts/{role['Arn']}") == {"versions": []}
    assert cloud.get(f"accounts/{SOURCE}")["scrapers"][scraper["arn"]]


def test_a_request_for_an_execution_waits_for_its_end(cloud):
    sfn, iam = cloud.client("stepfunctions", HUB), cloud.client("iam", HUB)
    iam.create_role(RoleName="described", AssumeRolePolicyDocument=allow_assume({"Service": "states.amazonaws.com"}))
    states = {"W": {"Type": "Wait", "Seconds": 600, "Next": "F"}, "F": {"Type": "Fail", "Error": "E", "Cause": "c"}}
    machine = sfn.create_state_machine(
        name="described",
        roleArn=f"arn:aws:iam::{HUB}:role/described",
        definition=json.dumps({"StartAt": "W", "States": states}),
    )["stateMachineArn"]
    execution = sfn.start_execution(stateMachineArn=machine)["executionArn"]
    result = cloud.get(f"executions/{execution}")
    assert (result["status"], result["error"], result["cause"], result["states"]) == ("FAILED", "E", "c", ["W", "F"])
    with pytest.raises(urllib.error.HTTPError):
        cloud.get(f"executions/{execution}0")
