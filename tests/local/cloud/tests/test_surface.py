"""The control surface."""

import json
import time
import urllib.error
import urllib.request

import pytest
from conftest import HUB, SOURCE, TARGET, allow, allow_assume, policy
from place import Place


def test_health_says_how_the_cloud_was_started(cloud):
    assert cloud.look("health") == {"ready": True, "minute": 0.05, "ministack": "1.5.33"}


def test_the_log_of_calls_tells_who_did_what_to_what(cloud, name):
    point = cloud.look("calls")["next"]
    session = cloud.role(SOURCE, name, allow("iam:GetRole"), path="/p/")
    iam = cloud.client("iam", SOURCE, session=session)
    iam.get_role(RoleName=name)
    with pytest.raises(iam.exceptions.ClientError):
        iam.list_roles()
    log = cloud.look(f"calls?since={point}")
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
def test_a_wrong_question_is_refused(cloud, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        cloud.look(path)
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
def test_a_wrong_order_is_refused(cloud, path, body):
    with pytest.raises(urllib.error.HTTPError) as caught:
        cloud.tell(path, body)
    assert caught.value.code == 400 and json.load(caught.value)["error"]


def test_a_scraper_is_put_into_any_state(cloud):
    place = Place(cloud)
    scraper = place.amp.create_scraper(**place.request())

    def put(status, reason=None):
        return cloud.tell("scrapers", {"scraperArn": scraper["arn"], "status": status, "reason": reason})

    told = put("DELETION_FAILED", "stuck")
    assert told == {"scraperArn": scraper["arn"], "status": "DELETION_FAILED", "reason": "stuck"}
    time.sleep(20 * 0.05 + 0.2)  # When it would have become ACTIVE.
    shown = place.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
    assert (shown["status"]["statusCode"], shown["statusReason"]) == ("DELETION_FAILED", "stuck")
    put("CREATING")
    assert place.status(scraper) == "CREATING"
    with pytest.raises(place.amp.exceptions.ConflictException):
        place.amp.delete_scraper(scraperId=scraper["scraperId"])
    put("ACTIVE")
    shown = place.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
    assert shown["status"]["statusCode"] == "ACTIVE" and "statusReason" not in shown
    for wrong in ("GONE", "active"):
        with pytest.raises(urllib.error.HTTPError):
            put(wrong)
    scraper["arn"] += "0"
    with pytest.raises(urllib.error.HTTPError):
        put("ACTIVE")


def test_a_subnet_that_is_not_there_is_refused(cloud):
    body = {"account": HUB, "region": "us-west-2", "subnetId": "subnet-0", "availableIpAddressCount": 1}
    with pytest.raises(urllib.error.HTTPError):
        cloud.tell("subnets", body)


def test_an_unsigned_request_is_refused(cloud):
    request = urllib.request.Request(f"{cloud.url}/scrapers", headers={"host": "aps.us-west-2.amazonaws.com"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code in (400, 403)


def test_an_account_is_shown_whole_and_emptied(cloud):
    place = Place(cloud)
    iam, account = cloud.client("iam", SOURCE), "232323232323"
    scraper = place.amp.create_scraper(**place.request(tags={"a": "b"}))
    shown = cloud.look(f"accounts/{SOURCE}")
    kept = shown["scrapers"][scraper["arn"]]
    assert (kept["status"], kept["tags"], kept["roleConfiguration"]) == ("CREATING", {"a": "b"}, place.roles())
    assert cloud.look(f"accounts/{TARGET}")["workspaces"].count(place.workspace) == 1
    assert any("AWSServiceRoleForAmazonPrometheusScraper" in entry for entry in shown["accessEntries"])

    iam = cloud.client("iam", account)
    trust = allow_assume({"Service": "aps.amazonaws.com"})
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust, Tags=[{"Key": "a", "Value": "b"}])["Role"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy(allow("s3:*")))
    whole = cloud.look(f"accounts/{account}")
    assert whole["roles"][role["Arn"]] == {
        "trust": json.loads(trust),
        "tags": {"a": "b"},
        "policies": {"p": json.loads(policy(allow("s3:*")))},
        "attached": [],
        "boundary": None,
    }
    cloud.tell("forget", {"account": account})
    assert cloud.look(f"accounts/{account}") == {"roles": {}, "scrapers": {}, "accessEntries": [], "workspaces": []}
    assert cloud.look(f"trusts/{role['Arn']}") == {"versions": []}
    assert cloud.look(f"accounts/{SOURCE}")["scrapers"][scraper["arn"]]


def test_an_execution_is_told_when_it_has_ended(cloud):
    sfn, iam = cloud.client("stepfunctions", HUB), cloud.client("iam", HUB)
    iam.create_role(RoleName="told", AssumeRolePolicyDocument=allow_assume({"Service": "states.amazonaws.com"}))
    states = {"W": {"Type": "Wait", "Seconds": 600, "Next": "F"}, "F": {"Type": "Fail", "Error": "E", "Cause": "c"}}
    machine = sfn.create_state_machine(
        name="told", roleArn=f"arn:aws:iam::{HUB}:role/told", definition=json.dumps({"StartAt": "W", "States": states})
    )["stateMachineArn"]
    execution = sfn.start_execution(stateMachineArn=machine)["executionArn"]
    told = cloud.look(f"executions/{execution}")
    assert (told["status"], told["error"], told["cause"], told["states"]) == ("FAILED", "E", "c", ["W", "F"])
    with pytest.raises(urllib.error.HTTPError):
        cloud.look(f"executions/{execution}0")
