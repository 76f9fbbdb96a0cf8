"""The control API."""

import json
import time
import urllib.error
import urllib.request

import pytest
from conftest import HUB, SOURCE, TARGET, allow, allow_assume, policy
from support.location import Location


def test_health_shows_the_options_of_the_cloud(cloud):
    assert cloud.get("health") == {"ready": True, "minute": 0.05, "ministack": "1.5.33"}


def test_the_request_log_has_principal_action_and_resource(cloud, name):
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
    made, _, _, got, listed = log["calls"]
    assert made["principal"] == f"arn:aws:iam::{SOURCE}:root" and made["account"] == SOURCE
    assert got["principal"] == f"arn:aws:sts::{SOURCE}:assumed-role/{name}/test"
    assert got["resource"] == f"arn:aws:iam::{SOURCE}:role/p/{name}"
    assert (got["status"], listed["status"]) == (200, 403)
    assert got["at"] > 0 and got["milliseconds"] >= 0


@pytest.mark.parametrize("path", ["nonsense", "calls?since=x", f"costs/{HUB}/us-west-2?since=x"])
def test_a_wrong_get_is_refused(cloud, path):
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
def test_a_wrong_post_is_refused(cloud, path, body):
    with pytest.raises(urllib.error.HTTPError) as caught:
        cloud.post(path, body)
    assert caught.value.code == 400 and json.load(caught.value)["error"]


def test_a_scraper_can_be_set_to_any_status(cloud):
    location = Location(cloud)
    scraper = location.amp.create_scraper(**location.request())

    def put(status, reason=None):
        return cloud.post("scrapers", {"scraperArn": scraper["arn"], "status": status, "reason": reason})

    shown = put("DELETION_FAILED", "stuck")
    assert shown == {"scraperArn": scraper["arn"], "status": "DELETION_FAILED", "reason": "stuck"}
    time.sleep(20 * 0.05 + 0.2)  # When it would have become ACTIVE.
    shown = location.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
    assert (shown["status"]["statusCode"], shown["statusReason"]) == ("DELETION_FAILED", "stuck")
    put("CREATING")
    assert location.status(scraper) == "CREATING"
    with pytest.raises(location.amp.exceptions.ConflictException):
        location.amp.delete_scraper(scraperId=scraper["scraperId"])
    put("ACTIVE")
    shown = location.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
    assert shown["status"]["statusCode"] == "ACTIVE" and "statusReason" not in shown
    for wrong in ("GONE", "active"):
        with pytest.raises(urllib.error.HTTPError):
            put(wrong)
    scraper["arn"] += "0"
    with pytest.raises(urllib.error.HTTPError):
        put("ACTIVE")


def test_a_missing_subnet_is_refused(cloud):
    body = {"account": HUB, "region": "us-west-2", "subnetId": "subnet-0", "availableIpAddressCount": 1}
    with pytest.raises(urllib.error.HTTPError):
        cloud.post("subnets", body)


def test_an_unsigned_request_is_refused(cloud):
    request = urllib.request.Request(f"{cloud.url}/scrapers", headers={"host": "aps.us-west-2.amazonaws.com"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code in (400, 403)


def test_an_account_is_shown_completely_and_emptied(cloud):
    location = Location(cloud)
    iam, account = cloud.client("iam", SOURCE), "232323232323"
    scraper = location.amp.create_scraper(**location.request(tags={"a": "b"}))
    shown = cloud.get(f"accounts/{SOURCE}")
    kept = shown["scrapers"][scraper["arn"]]
    assert (kept["status"], kept["tags"], kept["roleConfiguration"]) == ("CREATING", {"a": "b"}, location.roles())
    assert cloud.get(f"accounts/{TARGET}")["workspaces"].count(location.workspace) == 1
    assert any("AWSServiceRoleForAmazonPrometheusScraper" in entry for entry in shown["accessEntries"])

    iam = cloud.client("iam", account)
    trust = allow_assume({"Service": "aps.amazonaws.com"})
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust, Tags=[{"Key": "a", "Value": "b"}])["Role"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy(allow("s3:*")))
    whole = cloud.get(f"accounts/{account}")
    assert whole["roles"][role["Arn"]] == {
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


def test_an_execution_is_shown_when_it_has_ended(cloud):
    sfn, iam = cloud.client("stepfunctions", HUB), cloud.client("iam", HUB)
    iam.create_role(RoleName="shown", AssumeRolePolicyDocument=allow_assume({"Service": "states.amazonaws.com"}))
    states = {"W": {"Type": "Wait", "Seconds": 600, "Next": "F"}, "F": {"Type": "Fail", "Error": "E", "Cause": "c"}}
    machine = sfn.create_state_machine(
        name="shown", roleArn=f"arn:aws:iam::{HUB}:role/shown", definition=json.dumps({"StartAt": "W", "States": states})
    )["stateMachineArn"]
    execution = sfn.start_execution(stateMachineArn=machine)["executionArn"]
    shown = cloud.get(f"executions/{execution}")
    assert (shown["status"], shown["error"], shown["cause"], shown["states"]) == ("FAILED", "E", "c", ["W", "F"])
    with pytest.raises(urllib.error.HTTPError):
        cloud.get(f"executions/{execution}0")
