"""IAM: each correction, and the rules of the evaluator that other tests rely on."""

import json
import time

import pytest
from conftest import HUB, SOURCE, TARGET, Cloud, allow, allow_assume, deny, policy

BOUNDARY = policy(allow(["iam:*", "sts:AssumeRole"]))
EC2_TRUST = allow_assume({"Service": "ec2.amazonaws.com"})


def equals(**keys):
    return {"Condition": {"StringEquals": {key.replace("__", ":"): value for key, value in keys.items()}}}


def boundary(cloud, name, account=SOURCE, document=BOUNDARY):
    return cloud.client("iam", account).create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"]


# -- the evaluator ---------------------------------------------------------------------------------


def test_an_explicit_deny_wins(cloud, name, refusal):
    iam = cloud.client("iam", SOURCE, session=cloud.role(SOURCE, name, allow("*"), deny("iam:ListRoles")))
    iam.list_users()
    code, message = refusal(iam.list_roles)
    assert code == "AccessDenied" and "iam:ListRoles" in message and "explicit deny" in message


def test_not_resource_excludes_what_it_names(cloud, name, refusal):
    spared = f"arn:aws:iam::{SOURCE}:role/{name}"
    statement = {"Effect": "Deny", "Action": "iam:GetRole", "NotResource": spared}
    iam = cloud.client("iam", SOURCE, session=cloud.role(SOURCE, name, allow("*"), statement))
    iam.get_role(RoleName=name)
    assert refusal(iam.get_role, RoleName="other")[0] == "AccessDenied"


def test_a_boundary_limits_what_policies_allow(cloud, name, refusal):
    limit = boundary(cloud, name, document=policy(allow("iam:ListRoles")))
    session = cloud.role(SOURCE, name, allow("*"), PermissionsBoundary=limit)
    iam = cloud.client("iam", SOURCE, session=session)
    iam.list_roles()
    assert "iam:ListUsers" in refusal(iam.list_users)[1]


# -- condition keys and resources -------------------------------------------------------------------


def test_a_role_can_be_created_only_with_the_required_boundary(cloud, name, refusal):
    ours, other = boundary(cloud, name), boundary(cloud, name + "x")
    session = cloud.role(SOURCE, name, allow("iam:CreateRole", **equals(iam__PermissionsBoundary=ours)))
    iam = cloud.client("iam", SOURCE, session=session)
    made = {"RoleName": name + "-made", "AssumeRolePolicyDocument": EC2_TRUST}
    assert "iam:CreateRole" in refusal(iam.create_role, **made)[1]
    assert refusal(iam.create_role, **made, PermissionsBoundary=other)[0] == "AccessDenied"
    iam.create_role(**made, PermissionsBoundary=ours)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("attach_role_policy", {"PolicyArn": "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"}),
        ("put_role_policy", {"PolicyName": "p", "PolicyDocument": policy(allow("aps:RemoteWrite"))}),
        ("delete_role_policy", {"PolicyName": "p"}),
        ("detach_role_policy", {"PolicyArn": "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"}),
        ("delete_role_permissions_boundary", {}),
        ("update_assume_role_policy", {"PolicyDocument": EC2_TRUST}),
        ("update_role", {"Description": "d"}),
    ],
)
def test_the_boundary_of_the_role_is_a_condition_key(cloud, name, refusal, call, arguments):
    ours = boundary(cloud, name)
    root = cloud.client("iam", SOURCE)
    for suffix, more in (("-in", {"PermissionsBoundary": ours}), ("-out", {})):
        root.create_role(RoleName=name + suffix, AssumeRolePolicyDocument=EC2_TRUST, **more)
        root.put_role_policy(RoleName=name + suffix, PolicyName="p", PolicyDocument=policy(allow("s3:*")))
        root.attach_role_policy(
            RoleName=name + suffix, PolicyArn="arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"
        )
    session = cloud.role(SOURCE, name, allow("iam:*", **equals(iam__PermissionsBoundary=ours)))
    iam = cloud.client("iam", SOURCE, session=session)
    assert refusal(getattr(iam, call), RoleName=name + "-out", **arguments)[0] == "AccessDenied"
    getattr(iam, call)(RoleName=name + "-in", **arguments)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("get_role", {}),
        ("tag_role", {"Tags": [{"Key": "a", "Value": "b"}]}),
    ],
)
def test_actions_without_the_boundary_key_do_not_get_it(cloud, name, refusal, call, arguments):
    ours = boundary(cloud, name)
    cloud.client("iam", SOURCE).create_role(
        RoleName=name + "-in", AssumeRolePolicyDocument=EC2_TRUST, PermissionsBoundary=ours
    )
    session = cloud.role(SOURCE, name, allow("iam:*", **equals(iam__PermissionsBoundary=ours)))
    iam = cloud.client("iam", SOURCE, session=session)
    assert refusal(getattr(iam, call), RoleName=name + "-in", **arguments)[0] == "AccessDenied"


def test_the_boundary_of_the_role_is_a_condition_key_of_delete_role(cloud, name, refusal):
    ours = boundary(cloud, name)
    root = cloud.client("iam", SOURCE)
    root.create_role(RoleName=name + "-in", AssumeRolePolicyDocument=EC2_TRUST, PermissionsBoundary=ours)
    root.create_role(RoleName=name + "-out", AssumeRolePolicyDocument=EC2_TRUST)
    session = cloud.role(SOURCE, name, allow("iam:DeleteRole", **equals(iam__PermissionsBoundary=ours)))
    iam = cloud.client("iam", SOURCE, session=session)
    assert refusal(iam.delete_role, RoleName=name + "-out")[0] == "AccessDenied"
    iam.delete_role(RoleName=name + "-in")


def test_a_policy_that_is_a_boundary_or_attached_cannot_be_deleted(cloud, name, refusal):
    iam = cloud.client("iam", SOURCE)
    ours = boundary(cloud, name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST, PermissionsBoundary=ours)
    assert refusal(iam.delete_policy, PolicyArn=ours)[0] == "DeleteConflict"
    iam.delete_role_permissions_boundary(RoleName=name)
    iam.attach_role_policy(RoleName=name, PolicyArn=ours)
    assert refusal(iam.delete_policy, PolicyArn=ours)[0] == "DeleteConflict"
    iam.detach_role_policy(RoleName=name, PolicyArn=ours)
    iam.delete_policy(PolicyArn=ours)


@pytest.mark.parametrize("condition", [{"StringEquals": {"aws:ResourceTag/ours": "yes"}}, {"Null": {"aws:ResourceTag/ours": "false"}}])
def test_the_tags_of_a_role_are_condition_keys(cloud, name, refusal, condition):
    root = cloud.client("iam", SOURCE)
    for suffix, tags in (("-ours", [{"Key": "ours", "Value": "yes"}]), ("-bare", []), ("-case", [{"Key": "OURS", "Value": "yes"}])):
        root.create_role(RoleName=name + suffix, AssumeRolePolicyDocument=EC2_TRUST, Tags=tags)
    iam = cloud.client("iam", SOURCE, session=cloud.role(SOURCE, name, allow("iam:DeleteRole", Condition=condition)))
    for suffix in ("-bare", "-case"):
        assert refusal(iam.delete_role, RoleName=name + suffix)[0] == "AccessDenied"
    iam.delete_role(RoleName=name + "-ours")


def test_the_attached_policy_is_a_condition_key(cloud, name, refusal):
    allowed = "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"
    condition = {"Condition": {"ArnEquals": {"iam:PolicyARN": allowed}}}
    iam = cloud.client("iam", SOURCE, session=cloud.role(SOURCE, name, allow("iam:AttachRolePolicy", **condition)))
    assert (
        refusal(iam.attach_role_policy, RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")[0]
        == "AccessDenied"
    )
    iam.attach_role_policy(RoleName=name, PolicyArn=allowed)


def test_role_arns_keep_their_path(cloud, name, refusal):
    cloud.client("iam", SOURCE).create_role(RoleName=name + "-made", Path="/p/", AssumeRolePolicyDocument=EC2_TRUST)
    resource = f"arn:aws:iam::{SOURCE}:role/p/*"
    iam = cloud.client(
        "iam", SOURCE, session=cloud.role(SOURCE, name, allow(["iam:GetRole", "iam:CreateRole"], resource))
    )
    assert iam.get_role(RoleName=name + "-made")["Role"]["Arn"] == f"arn:aws:iam::{SOURCE}:role/p/{name}-made"
    iam.create_role(RoleName=name + "-more", Path="/p/", AssumeRolePolicyDocument=EC2_TRUST)
    assert refusal(iam.create_role, RoleName=name + "-most", AssumeRolePolicyDocument=EC2_TRUST)[0] == "AccessDenied"
    assert refusal(iam.get_role, RoleName=name)[0] == "AccessDenied"


def test_a_role_is_described_completely(cloud, name):
    ours = boundary(cloud, name)
    iam = cloud.client("iam", SOURCE)
    tags = [{"Key": "a", "Value": "b"}]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST, PermissionsBoundary=ours, Tags=tags)
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(allow("s3:*")))
    raw = []
    iam.meta.events.register("after-call.iam.GetRole", lambda http_response, **_: raw.append(http_response.text))
    role = iam.get_role(RoleName=name)["Role"]
    assert "<AssumeRolePolicyDocument>%7B%22" in raw[0], "policy documents are URL-encoded on the wire"
    assert role["AssumeRolePolicyDocument"] == json.loads(EC2_TRUST)
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == ours
    assert role["Tags"] == tags
    assert iam.get_role_policy(RoleName=name, PolicyName="p")["PolicyDocument"] == json.loads(policy(allow("s3:*")))


def test_creating_a_role_with_tags_needs_the_permission_to_tag(cloud, name, refusal):
    iam = cloud.client("iam", SOURCE, session=cloud.role(SOURCE, name, allow("iam:CreateRole")))
    tags = [{"Key": "a", "Value": "b"}]
    code, message = refusal(iam.create_role, RoleName=name + "-made", AssumeRolePolicyDocument=EC2_TRUST, Tags=tags)
    assert code == "AccessDenied" and "iam:TagRole" in message
    iam.create_role(RoleName=name + "-made", AssumeRolePolicyDocument=EC2_TRUST)


def test_passing_a_role_to_a_state_machine_needs_the_permission(cloud, name, refusal):
    cloud.client("iam", SOURCE).create_role(RoleName=name + "-passed", AssumeRolePolicyDocument=EC2_TRUST)
    machine = {
        "name": name,
        "roleArn": f"arn:aws:iam::{SOURCE}:role/{name}-passed",
        "definition": json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}),
    }
    session = cloud.role(
        SOURCE, name, allow("states:*"), allow("iam:PassRole", **equals(iam__PassedToService="states.amazonaws.com"))
    )
    without = cloud.role(
        SOURCE,
        name + "-no",
        allow("states:*"),
        allow("iam:PassRole", **equals(iam__PassedToService="ec2.amazonaws.com")),
    )
    code, message = refusal(cloud.client("stepfunctions", SOURCE, session=without).create_state_machine, **machine)
    assert code == "AccessDeniedException" and "iam:PassRole" in message
    cloud.client("stepfunctions", SOURCE, session=session).create_state_machine(**machine)


def test_the_managed_policies_of_amp_exist_and_others_do_not(cloud, name, refusal):
    iam = cloud.client("iam", SOURCE)
    for policy_name in (
        "AmazonPrometheusRemoteWriteAccess",
        "AmazonPrometheusQueryAccess",
        "AWSXRayDaemonWriteAccess",
        "AWSXrayWriteOnlyAccess",
        "service-role/AWSLambdaBasicExecutionRole",
    ):
        iam.get_policy(PolicyArn=f"arn:aws:iam::aws:policy/{policy_name}")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)
    code, _ = refusal(iam.attach_role_policy, RoleName=name, PolicyArn="arn:aws:iam::aws:policy/Nonsense")
    assert code == "NoSuchEntity"


def test_policies_have_the_size_limits_of_aws(cloud, name, refusal):
    iam = cloud.client("iam", SOURCE)
    long = allow_assume({"Service": "ec2.amazonaws.com"}, Sid="s" * 2048)
    assert refusal(iam.create_role, RoleName=name, AssumeRolePolicyDocument=long)[0] == "LimitExceeded"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)
    assert refusal(iam.update_assume_role_policy, RoleName=name, PolicyDocument=long)[0] == "LimitExceeded"
    half = policy(allow("s3:" + "x" * 6000))
    iam.put_role_policy(RoleName=name, PolicyName="a", PolicyDocument=half)
    assert refusal(iam.put_role_policy, RoleName=name, PolicyName="b", PolicyDocument=half)[0] == "LimitExceeded"


def test_role_names_follow_the_pattern_and_trust_policies_are_json(cloud, name, refusal):
    iam = cloud.client("iam", SOURCE)
    for wrong in ("n" * 65, "a b", "a/b"):
        assert refusal(iam.create_role, RoleName=wrong, AssumeRolePolicyDocument=EC2_TRUST)[0] == "ValidationError"
    for wrong in ("{", "[]"):
        assert refusal(iam.create_role, RoleName=name, AssumeRolePolicyDocument=wrong)[0] == "MalformedPolicyDocument"
    iam.create_role(RoleName="n" * 64, AssumeRolePolicyDocument=EC2_TRUST)


# -- principals of trust policies --------------------------------------------------------------------


def test_a_trust_policy_cannot_name_a_missing_role(cloud, name, refusal):
    iam = cloud.client("iam", TARGET)
    missing = f"arn:aws:iam::{SOURCE}:role/{name}-missing"
    trust = allow_assume({"AWS": missing})
    expected = ("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{missing}"')
    assert refusal(iam.create_role, RoleName=name, AssumeRolePolicyDocument=trust) == expected
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)
    assert refusal(iam.update_assume_role_policy, RoleName=name, PolicyDocument=trust) == expected
    cloud.client("iam", SOURCE).create_role(RoleName=name + "-missing", AssumeRolePolicyDocument=EC2_TRUST)
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)


def test_a_role_that_is_created_again_is_not_trusted_until_the_policy_is_saved_again(cloud, name, refusal):
    source, target = cloud.client("iam", SOURCE), cloud.client("iam", TARGET)
    trusted = f"arn:aws:iam::{SOURCE}:role/{name}"
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole"))
    target.create_role(RoleName=name, AssumeRolePolicyDocument=allow_assume({"AWS": trusted}))
    role = {"RoleArn": f"arn:aws:iam::{TARGET}:role/{name}", "RoleSessionName": "s"}
    cloud.client("sts", SOURCE, session=session).assume_role(**role)
    source.delete_role_policy(RoleName=name, PolicyName="p")
    source.delete_role(RoleName=name)
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole"))
    shown = target.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]
    assert shown.startswith("AROA")
    sts = cloud.client("sts", SOURCE, session=session)
    assert refusal(sts.assume_role, **role)[0] == "AccessDenied"
    target.update_assume_role_policy(RoleName=name, PolicyDocument=allow_assume({"AWS": trusted}))
    sts.assume_role(**role)


def test_a_new_role_cannot_be_a_principal_yet(refusal):
    cloud = Cloud("--minute", "1", "--iam-delay-seconds", "120")
    try:
        iam = cloud.client("iam", SOURCE)
        iam.create_role(RoleName="new", AssumeRolePolicyDocument=EC2_TRUST)
        trust = allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:role/new"})
        trusting = {"RoleName": "trusting", "AssumeRolePolicyDocument": trust}
        assert refusal(iam.create_role, **trusting)[0] == "MalformedPolicyDocument"
        time.sleep(2.1)
        iam.create_role(**trusting)
    finally:
        cloud.stop()


# -- who may assume -----------------------------------------------------------------------------------


def assume(cloud, session, account, name, caller=SOURCE, **more):
    sts = cloud.client("sts", caller, session=session)
    return sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/{name}", RoleSessionName="s", **more)


def test_across_accounts_both_the_caller_and_the_trust_must_allow(cloud, name, refusal):
    able, unable = cloud.role(SOURCE, name, allow("sts:AssumeRole")), cloud.role(SOURCE, name + "-no")
    target = cloud.client("iam", TARGET)
    both = [f"arn:aws:iam::{SOURCE}:role/{name}", f"arn:aws:iam::{SOURCE}:role/{name}-no"]
    target.create_role(RoleName=name, AssumeRolePolicyDocument=allow_assume({"AWS": both}))
    target.create_role(RoleName=name + "-shut", AssumeRolePolicyDocument=EC2_TRUST)
    assume(cloud, able, TARGET, name)
    assert refusal(assume, cloud=cloud, session=unable, account=TARGET, name=name)[0] == "AccessDenied"
    assert refusal(assume, cloud=cloud, session=able, account=TARGET, name=name + "-shut")[0] == "AccessDenied"


def test_in_one_account_a_trust_that_names_the_role_is_enough_and_one_that_names_the_account_is_not(
    cloud, name, refusal
):
    session = cloud.role(SOURCE, name)
    iam = cloud.client("iam", SOURCE)
    iam.create_role(
        RoleName=name + "-a", AssumeRolePolicyDocument=allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:role/{name}"})
    )
    iam.create_role(RoleName=name + "-b", AssumeRolePolicyDocument=allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"}))
    assume(cloud, session, SOURCE, name + "-a")
    assert refusal(assume, cloud=cloud, session=session, account=SOURCE, name=name + "-b")[0] == "AccessDenied"


def test_the_external_id_is_compared_in_trust_and_identity_policies(cloud, name, refusal):
    trust = allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"}, **equals(sts__ExternalId="ours"))
    cloud.client("iam", TARGET).create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole", **equals(sts__ExternalId="ours")))
    assume(cloud, session, TARGET, name, ExternalId="ours")
    for other in ({}, {"ExternalId": "theirs"}):
        assert refusal(assume, cloud=cloud, session=session, account=TARGET, name=name, **other)[0] == "AccessDenied"


def test_the_principal_arn_of_a_session_is_its_roles_with_its_path(cloud, name, refusal):
    like = {"Condition": {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{HUB}:role/ampxa/*"}}}
    trust = allow_assume({"AWS": f"arn:aws:iam::{HUB}:root"}, **like)
    cloud.client("iam", TARGET).create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    inside = cloud.role(HUB, name, allow("sts:AssumeRole"), path="/ampxa/")
    outside = cloud.role(HUB, name + "-no", allow("sts:AssumeRole"))
    assume(cloud, inside, TARGET, name, caller=HUB)
    assert refusal(assume, cloud=cloud, session=outside, account=TARGET, name=name, caller=HUB)[0] == "AccessDenied"


def test_organizations_are_condition_keys_of_both_sides(cloud, name, refusal):
    ours, outside = equals(aws__PrincipalOrgID="o-ampxalocal01"), "999999999999"
    trust = allow_assume({"AWS": [f"arn:aws:iam::{account}:root" for account in (SOURCE, outside)]}, **ours)
    for account in (TARGET, outside):
        cloud.client("iam", account).create_role(RoleName=name + "-to", AssumeRolePolicyDocument=trust)
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole", **equals(aws__ResourceOrgID="o-ampxalocal01")))
    outsider = cloud.role(outside, name, allow("sts:AssumeRole"))
    assume(cloud, session, TARGET, name + "-to")
    denied = refusal(assume, cloud=cloud, session=session, account=outside, name=name + "-to")
    assert denied[0] == "AccessDenied"
    denied = refusal(assume, cloud=cloud, session=outsider, account=TARGET, name=name + "-to", caller=outside)
    assert denied[0] == "AccessDenied"


def test_the_external_id_of_a_request_has_no_wildcard(cloud, name, refusal):
    trust = allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"}, **equals(sts__ExternalId="scraper/*"))
    cloud.client("iam", TARGET).create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole"))
    for wrong in ("scraper/*", "x"):
        denied = refusal(assume, cloud=cloud, session=session, account=TARGET, name=name, ExternalId=wrong)
        assert denied[0] == "ValidationError"


def test_assuming_a_role_needs_its_complete_arn(cloud, name, refusal):
    trust = allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"})
    cloud.client("iam", SOURCE).create_role(RoleName=name + "-p", Path="/p/", AssumeRolePolicyDocument=trust)
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole"))
    assume(cloud, session, SOURCE, f"p/{name}-p")
    assert refusal(assume, cloud=cloud, session=session, account=SOURCE, name=f"{name}-p")[0] == "AccessDenied"


def test_a_trusted_service_does_not_admit_account_roots(cloud, name, refusal):
    cloud.client("iam", SOURCE).create_role(
        RoleName=name, AssumeRolePolicyDocument=allow_assume({"Service": "ec2.amazonaws.com"})
    )
    assert refusal(assume, cloud=cloud, session=None, account=SOURCE, name=name)[0] == "AccessDenied"


def test_a_chained_session_lasts_an_hour_at_most(cloud, name, refusal):
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole"))
    trust = allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"})
    cloud.client("iam", SOURCE).create_role(
        RoleName=name + "-next", AssumeRolePolicyDocument=trust, MaxSessionDuration=7200
    )
    assume(cloud, session, SOURCE, name + "-next", DurationSeconds=3600)
    denied = refusal(assume, cloud=cloud, session=session, account=SOURCE, name=name + "-next", DurationSeconds=3601)
    assert denied[0] == "ValidationError"


def test_a_new_role_is_not_visible_in_an_account_with_a_delay(cloud, name, refusal):
    account = "212121212121"
    cloud.post("visibility", {"account": account, "seconds": 2400})  # 2 s at 50 ms a minute.
    iam = cloud.client("iam", account)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)
    for call, more in (
        (iam.get_role, {}),
        (iam.put_role_policy, {"PolicyName": "p", "PolicyDocument": policy(allow("s3:*"))}),
        (iam.get_role_policy, {"PolicyName": "p"}),
        (iam.update_assume_role_policy, {"PolicyDocument": EC2_TRUST}),
        (iam.delete_role, {}),
    ):
        assert refusal(call, RoleName=name, **more)[0] == "NoSuchEntity"
    assert refusal(iam.create_role, RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)[0] == "EntityAlreadyExists"
    trust = allow_assume({"AWS": f"arn:aws:iam::{account}:role/{name}"})
    unseen = refusal(iam.create_role, RoleName=name + "-2", AssumeRolePolicyDocument=trust)
    assert unseen[0] == "MalformedPolicyDocument"
    time.sleep(2.1)
    assert iam.get_role(RoleName=name)["Role"]["RoleName"] == name
    other = cloud.client("iam", SOURCE)
    other.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)
    assert other.get_role(RoleName=name)["Role"]["RoleName"] == name
