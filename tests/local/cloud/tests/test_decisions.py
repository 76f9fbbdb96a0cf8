"""The control API returns the decision of IAM on a request that is not sent."""

import json
import urllib.error

import pytest
from conftest import HUB, REGION, SOURCE, TARGET, allow, allow_assume, deny, policy
from support.eventing import ORGANIZATION, OUTSIDE_ACCOUNT, allow_organization, bus, queue

ALLOWED, IMPLICIT, EXPLICIT = "Allowed", "ImplicitlyDenied", "ExplicitlyDenied"
SERVICE = "scraper.aps.amazonaws.com"


@pytest.fixture
def decide(cloud):
    def decision(principal, action, resource, session_policy=None, **context):
        request = {"principal": principal, "action": action, "resource": resource}
        request["context"] = {key.replace("__", ":"): value for key, value in context.items()}
        if session_policy:
            request["sessionPolicy"] = session_policy
        return cloud.post("decisions", request)["decision"]

    return decision


def role_arn(name, account=SOURCE):
    return f"arn:aws:iam::{account}:role/{name}"


def equals(**keys):
    return {"Condition": {"StringEquals": {key.replace("__", ":"): value for key, value in keys.items()}}}


def test_inline_and_managed_policies_allow_and_deny(cloud, name, decide):
    cloud.role(SOURCE, name, allow("iam:GetRole"), deny("iam:ListRoles"), path="/p/")
    cloud.client("iam", SOURCE).attach_role_policy(
        RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonPrometheusQueryAccess"
    )
    principal, resource = role_arn(f"p/{name}"), role_arn("any")
    assert decide(principal, "iam:GetRole", resource) == ALLOWED
    assert decide(principal, "iam:DeleteRole", resource) == IMPLICIT
    assert decide(principal, "iam:ListRoles", "*") == EXPLICIT
    workspace = f"arn:aws:aps:{REGION}:{SOURCE}:workspace/ws-1"
    assert decide(principal, "aps:QueryMetrics", workspace) == ALLOWED
    assert decide(principal, "aps:RemoteWrite", workspace) == IMPLICIT
    assert decide(f"arn:aws:sts::{SOURCE}:assumed-role/{name}/any", "iam:GetRole", resource) == ALLOWED
    assert decide(f"arn:aws:iam::{SOURCE}:root", "iam:DeleteRole", resource) == ALLOWED


def test_a_boundary_and_a_session_policy_limit_a_role(cloud, name, decide):
    limit = cloud.client("iam", SOURCE).create_policy(
        PolicyName=name, PolicyDocument=policy(allow(["iam:GetRole", "iam:ListRoles"]))
    )["Policy"]["Arn"]
    cloud.role(SOURCE, name, allow("*"), PermissionsBoundary=limit)
    principal, resource = role_arn(name), role_arn("any")
    assert decide(principal, "iam:GetRole", resource) == ALLOWED
    assert decide(principal, "iam:DeleteRole", resource) == IMPLICIT
    session = json.loads(policy(allow("iam:GetRole"), deny("iam:ListRoles")))
    assert decide(principal, "iam:GetRole", resource, session) == ALLOWED
    assert decide(principal, "iam:ListRoles", "*", session) == EXPLICIT
    assert decide(principal, "iam:GetRole", resource, policy(allow("iam:ListRoles"))) == IMPLICIT


def test_the_context_is_merged_over_the_derived_keys(cloud, name, decide):
    tagged = equals(**{"aws__ResourceTag/owned": "yes", "aws__PrincipalOrgID": ORGANIZATION})
    cloud.role(SOURCE, name, allow("iam:DeleteRole", **tagged), Tags=[{"Key": "owned", "Value": "yes"}])
    own, other = role_arn(name), role_arn(name + "-none")
    assert decide(own, "iam:DeleteRole", own) == ALLOWED
    assert decide(own, "iam:DeleteRole", other) == IMPLICIT
    assert decide(own, "iam:DeleteRole", other, **{"aws:ResourceTag/owned": "yes"}) == ALLOWED
    assert decide(own, "iam:DeleteRole", other, **{"aws:ResourceTag/OWNED": "yes"}) == IMPLICIT
    assert decide(own, "iam:DeleteRole", own, **{"aws:ResourceTag/owned": None}) == IMPLICIT
    assert decide(own, "iam:DeleteRole", own, aws__PrincipalOrgID="o-other00000") == IMPLICIT


def test_assume_role_across_accounts_requires_both_policies(cloud, name, decide):
    granted = equals(sts__ExternalId="expected")
    cloud.role(SOURCE, name, allow("sts:AssumeRole", **equals(aws__ResourceOrgID=ORGANIZATION)))
    cloud.role(SOURCE, name + "-no")
    principals = {"AWS": [role_arn(name), role_arn(name + "-no")]}
    denied = {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole", **equals(sts__ExternalId="bad")}
    trust = json.loads(allow_assume(principals, **granted))
    trust["Statement"].append(denied)
    for account in (TARGET, OUTSIDE_ACCOUNT):
        cloud.client("iam", account).create_role(RoleName=name, Path="/p/", AssumeRolePolicyDocument=json.dumps(trust))
    target = role_arn(f"p/{name}", TARGET)

    def assume(principal, resource=target, **more):
        return decide(role_arn(principal), "sts:AssumeRole", resource, **{"sts__ExternalId": "expected", **more})

    assert assume(name) == ALLOWED
    assert assume(name, sts__ExternalId=None) == IMPLICIT
    assert assume(name, sts__ExternalId="bad") == EXPLICIT
    assert assume(name + "-no") == IMPLICIT
    assert assume(name, role_arn(f"p/{name}", OUTSIDE_ACCOUNT)) == IMPLICIT
    for missing in (role_arn(name, TARGET), role_arn(name + "-none", TARGET)):
        assert assume(name, missing) == IMPLICIT
    assert decide(f"arn:aws:iam::{TARGET}:root", "sts:AssumeRole", target, sts__ExternalId="expected") == IMPLICIT


def test_a_service_assumes_the_roles_that_trust_it(cloud, name, decide):
    trust = json.loads(allow_assume({"Service": SERVICE}, **equals(aws__SourceAccount=SOURCE)))
    trust["Statement"].append(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sts:AssumeRole",
            "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:aps:*:*:scraper/denied"}},
        }
    )
    cloud.client("iam", SOURCE).create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    arn = f"arn:aws:aps:{REGION}:{SOURCE}:scraper/"

    def assume(service=SERVICE, account=SOURCE, scraper="allowed"):
        keys = {"aws__SourceAccount": account, "aws__SourceArn": arn + scraper}
        return decide(service, "sts:AssumeRole", role_arn(name), **keys)

    assert assume() == ALLOWED
    assert assume("ec2.amazonaws.com") == IMPLICIT
    assert assume(account=TARGET) == IMPLICIT
    assert assume(scraper="denied") == EXPLICIT


def test_put_events_across_accounts_requires_the_policy_of_the_bus(cloud, name, decide):
    denied = {"Effect": "Deny", "Principal": "*", "Action": "events:PutEvents", "Resource": "*"}
    statements = [
        allow_organization("*", **{"events:source": ["custom.one", "custom.two", "denied"]}),
        {**denied, **equals(events__source="denied")},
    ]
    arn = bus(cloud, name, statements)
    cloud.role(SOURCE, name, allow("events:PutEvents", arn))
    cloud.role(SOURCE, name + "-no")

    def put(principal, *sources):
        return decide(
            principal, "events:PutEvents", arn, **{"events__source": list(sources), "events__detail-type": "t"}
        )

    assert put(role_arn(name), "custom.one", "custom.two") == ALLOWED
    assert put(role_arn(name), "custom.one", "ampxa.aft") == IMPLICIT
    assert put(role_arn(name), "custom.one", "denied") == EXPLICIT
    assert put(role_arn(name + "-no"), "custom.one") == IMPLICIT
    assert put(f"arn:aws:iam::{SOURCE}:root", "custom.one") == ALLOWED
    assert put(f"arn:aws:iam::{OUTSIDE_ACCOUNT}:root", "custom.one") == IMPLICIT


def test_send_message_uses_the_policy_of_the_queue(cloud, name, decide):
    _, arn = queue(cloud, name)
    cloud.role(HUB, name, allow("sqs:SendMessage", arn))
    cloud.role(SOURCE, name, allow("sqs:SendMessage", arn))
    assert decide("events.amazonaws.com", "sqs:SendMessage", arn) == ALLOWED
    assert decide("sns.amazonaws.com", "sqs:SendMessage", arn) == IMPLICIT
    assert decide(role_arn(name, HUB), "sqs:SendMessage", arn) == ALLOWED
    assert decide(role_arn(name), "sqs:SendMessage", arn) == IMPLICIT
    assert decide(f"arn:aws:iam::{HUB}:root", "sqs:SendMessage", arn) == ALLOWED
    assert decide(f"arn:aws:iam::{SOURCE}:root", "sqs:SendMessage", arn) == IMPLICIT
    statement = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": arn}
    _, denied = queue(cloud, name + "-no", service=None, Policy=policy({**statement, "Resource": "*"}))
    assert decide(f"arn:aws:iam::{HUB}:root", "sqs:SendMessage", denied) == EXPLICIT


def test_the_decision_equals_the_result_of_the_request(cloud, name, decide, client_error):
    """Each request of a role is sent, and its logged context is passed to the decision."""
    inline = allow(["iam:GetRole", "iam:TagRole"], role_arn(name + "*"))
    session = cloud.role(SOURCE, name, inline, allow("iam:CreateRole", **equals(**{"aws__RequestTag/a": "b"})))
    iam, trust = cloud.client("iam", SOURCE, session=session), allow_assume({"Service": "ec2.amazonaws.com"})
    point = cloud.get("calls")["next"]
    iam.get_role(RoleName=name)
    client_error(iam.get_role, RoleName="other")
    for suffix, value in (("-1", "b"), ("-2", "c")):
        create = {"RoleName": name + suffix, "AssumeRolePolicyDocument": trust, "Tags": [{"Key": "a", "Value": value}]}
        iam.create_role(**create) if value == "b" else client_error(iam.create_role, **create)
    calls = cloud.get(f"calls?since={point}")["calls"]
    assert [call["status"] for call in calls] == [200, 403, 200, 403]
    for call in calls:
        decision = decide(call["principal"], call["action"], call["resource"], **call["context"])
        assert (decision == ALLOWED) == (call["status"] == 200), call


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"principal": f"arn:aws:iam::{SOURCE}:role/none"}, "is not a role"),
        ({"principal": f"arn:aws:iam::{SOURCE}:user/none"}, "is not a role"),
        ({"action": 1}, "must be strings"),
        ({"context": []}, "an object"),
        ({"sessionPolicy": "{"}, "sessionPolicy"),
        ({"Context": {}}, "unknown fields"),
        ({"action": "events:PutEvents", "resource": "default"}, "is not an ARN"),
    ],
)
def test_an_invalid_request_is_refused(cloud, more, message):
    request = {"principal": f"arn:aws:iam::{SOURCE}:root", "action": "iam:GetRole", "resource": "*", **more}
    with pytest.raises(urllib.error.HTTPError) as caught:
        cloud.post("decisions", request)
    assert caught.value.code == 400 and message in json.load(caught.value)["error"]
