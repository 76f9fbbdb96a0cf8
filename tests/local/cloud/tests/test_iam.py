"""IAM: the corrections, and the policy evaluation rules on which other tests depend."""

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


# -- policy evaluation -----------------------------------------------------------------------------


def test_an_explicit_deny_overrides_an_allow(cloud, name, client_error):
    iam = cloud.client("iam", SOURCE, session=cloud.role(SOURCE, name, allow("*"), deny("iam:ListRoles")))
    iam.list_users()
    code, message = client_error(iam.list_roles)
    assert code == "AccessDenied" and "iam:ListRoles" in message and "explicit deny" in message


def test_a_statement_with_not_resource_excludes_the_named_resource(cloud, name, client_error):
    excluded = f"arn:aws:iam::{SOURCE}:role/{name}"
    statement = {"Effect": "Deny", "Action": "iam:GetRole", "NotResource": excluded}
    iam = cloud.client("iam", SOURCE, session=cloud.role(SOURCE, name, allow("*"), statement))
    iam.get_role(RoleName=name)
    assert client_error(iam.get_role, RoleName="other")[0] == "AccessDenied"


def test_a_permissions_boundary_limits_the_permissions_of_policies(cloud, name, client_error):
    limit = boundary(cloud, name, document=policy(allow("iam:ListRoles")))
    session = cloud.role(SOURCE, name, allow("*"), PermissionsBoundary=limit)
    iam = cloud.client("iam", SOURCE, session=session)
    iam.list_roles()
    assert "iam:ListUsers" in client_error(iam.list_users)[1]


# -- condition keys and resources -------------------------------------------------------------------


def test_a_role_can_be_created_only_with_the_required_boundary(cloud, name, client_error):
    boundary_arn, other = boundary(cloud, name), boundary(cloud, name + "x")
    session = cloud.role(SOURCE, name, allow("iam:CreateRole", **equals(iam__PermissionsBoundary=boundary_arn)))
    iam = cloud.client("iam", SOURCE, session=session)
    request = {"RoleName": name + "-new", "AssumeRolePolicyDocument": EC2_TRUST}
    assert "iam:CreateRole" in client_error(iam.create_role, **request)[1]
    assert client_error(iam.create_role, **request, PermissionsBoundary=other)[0] == "AccessDenied"
    iam.create_role(**request, PermissionsBoundary=boundary_arn)


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
        ("update_role_description", {"Description": "d"}),
    ],
)
def test_the_boundary_of_a_role_is_a_condition_key(cloud, name, client_error, call, arguments):
    boundary_arn = boundary(cloud, name)
    root = cloud.client("iam", SOURCE)
    for suffix, more in (("-in", {"PermissionsBoundary": boundary_arn}), ("-out", {})):
        root.create_role(RoleName=name + suffix, AssumeRolePolicyDocument=EC2_TRUST, **more)
        root.put_role_policy(RoleName=name + suffix, PolicyName="p", PolicyDocument=policy(allow("s3:*")))
        root.attach_role_policy(
            RoleName=name + suffix, PolicyArn="arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"
        )
    session = cloud.role(SOURCE, name, allow("iam:*", **equals(iam__PermissionsBoundary=boundary_arn)))
    iam = cloud.client("iam", SOURCE, session=session)
    assert client_error(getattr(iam, call), RoleName=name + "-out", **arguments)[0] == "AccessDenied"
    getattr(iam, call)(RoleName=name + "-in", **arguments)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("get_role", {}),
        ("tag_role", {"Tags": [{"Key": "a", "Value": "b"}]}),
    ],
)
def test_actions_without_the_boundary_condition_key_do_not_have_it(cloud, name, client_error, call, arguments):
    boundary_arn = boundary(cloud, name)
    cloud.client("iam", SOURCE).create_role(
        RoleName=name + "-in", AssumeRolePolicyDocument=EC2_TRUST, PermissionsBoundary=boundary_arn
    )
    session = cloud.role(SOURCE, name, allow("iam:*", **equals(iam__PermissionsBoundary=boundary_arn)))
    iam = cloud.client("iam", SOURCE, session=session)
    assert client_error(getattr(iam, call), RoleName=name + "-in", **arguments)[0] == "AccessDenied"


def test_the_boundary_of_a_role_is_a_condition_key_of_delete_role(cloud, name, client_error):
    boundary_arn = boundary(cloud, name)
    root = cloud.client("iam", SOURCE)
    root.create_role(RoleName=name + "-in", AssumeRolePolicyDocument=EC2_TRUST, PermissionsBoundary=boundary_arn)
    root.create_role(RoleName=name + "-out", AssumeRolePolicyDocument=EC2_TRUST)
    session = cloud.role(SOURCE, name, allow("iam:DeleteRole", **equals(iam__PermissionsBoundary=boundary_arn)))
    iam = cloud.client("iam", SOURCE, session=session)
    assert client_error(iam.delete_role, RoleName=name + "-out")[0] == "AccessDenied"
    iam.delete_role(RoleName=name + "-in")


def test_the_boundary_of_a_user_is_a_condition_key(cloud, name, client_error):
    boundary_arn = boundary(cloud, name)
    session = cloud.role(SOURCE, name, allow("iam:*", **equals(iam__PermissionsBoundary=boundary_arn)))
    iam, user_policy = cloud.client("iam", SOURCE, session=session), {"PolicyName": "p", "PolicyDocument": BOUNDARY}
    assert client_error(iam.create_user, UserName=name + "-out")[0] == "AccessDenied"
    iam.create_user(UserName=name + "-in", PermissionsBoundary=boundary_arn)
    cloud.client("iam", SOURCE).create_user(UserName=name + "-out")
    assert client_error(iam.put_user_policy, UserName=name + "-out", **user_policy)[0] == "AccessDenied"
    iam.put_user_policy(UserName=name + "-in", **user_policy)
    assert client_error(iam.get_user, UserName=name + "-in")[0] == "AccessDenied"


def test_a_policy_that_is_attached_or_is_a_boundary_cannot_be_deleted(cloud, name, client_error):
    iam = cloud.client("iam", SOURCE)
    boundary_arn = boundary(cloud, name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST, PermissionsBoundary=boundary_arn)
    assert client_error(iam.delete_policy, PolicyArn=boundary_arn)[0] == "DeleteConflict"
    iam.delete_role_permissions_boundary(RoleName=name)
    iam.attach_role_policy(RoleName=name, PolicyArn=boundary_arn)
    assert client_error(iam.delete_policy, PolicyArn=boundary_arn)[0] == "DeleteConflict"
    iam.detach_role_policy(RoleName=name, PolicyArn=boundary_arn)
    iam.delete_policy(PolicyArn=boundary_arn)


@pytest.mark.parametrize(
    "condition", [{"StringEquals": {"aws:ResourceTag/owned": "yes"}}, {"Null": {"aws:ResourceTag/owned": "false"}}]
)
def test_the_tags_of_a_role_are_condition_keys(cloud, name, client_error, condition):
    root = cloud.client("iam", SOURCE)
    for suffix, tags in (
        ("-owned", [{"Key": "owned", "Value": "yes"}]),
        ("-untagged", []),
        ("-case", [{"Key": "OWNED", "Value": "yes"}]),
    ):
        root.create_role(RoleName=name + suffix, AssumeRolePolicyDocument=EC2_TRUST, Tags=tags)
    iam = cloud.client("iam", SOURCE, session=cloud.role(SOURCE, name, allow("iam:DeleteRole", Condition=condition)))
    for suffix in ("-untagged", "-case"):
        assert client_error(iam.delete_role, RoleName=name + suffix)[0] == "AccessDenied"
    iam.delete_role(RoleName=name + "-owned")


def test_the_arn_of_an_attached_policy_is_a_condition_key(cloud, name, client_error):
    allowed = "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"
    condition = {"Condition": {"ArnEquals": {"iam:PolicyARN": allowed}}}
    iam = cloud.client("iam", SOURCE, session=cloud.role(SOURCE, name, allow("iam:AttachRolePolicy", **condition)))
    assert (
        client_error(iam.attach_role_policy, RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")[0]
        == "AccessDenied"
    )
    iam.attach_role_policy(RoleName=name, PolicyArn=allowed)


def test_a_role_arn_contains_the_path_of_the_role(cloud, name, client_error):
    cloud.client("iam", SOURCE).create_role(RoleName=name + "-new", Path="/p/", AssumeRolePolicyDocument=EC2_TRUST)
    resource = f"arn:aws:iam::{SOURCE}:role/p/*"
    iam = cloud.client(
        "iam", SOURCE, session=cloud.role(SOURCE, name, allow(["iam:GetRole", "iam:CreateRole"], resource))
    )
    assert iam.get_role(RoleName=name + "-new")["Role"]["Arn"] == f"arn:aws:iam::{SOURCE}:role/p/{name}-new"
    iam.create_role(RoleName=name + "-with-path", Path="/p/", AssumeRolePolicyDocument=EC2_TRUST)
    assert (
        client_error(iam.create_role, RoleName=name + "-without-path", AssumeRolePolicyDocument=EC2_TRUST)[0]
        == "AccessDenied"
    )
    assert client_error(iam.get_role, RoleName=name)[0] == "AccessDenied"


def test_get_role_returns_all_properties_of_a_role(cloud, name):
    boundary_arn = boundary(cloud, name)
    iam = cloud.client("iam", SOURCE)
    tags = [{"Key": "a", "Value": "b"}]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST, PermissionsBoundary=boundary_arn, Tags=tags)
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(allow("s3:*")))
    raw = []
    iam.meta.events.register("after-call.iam.GetRole", lambda http_response, **_: raw.append(http_response.text))
    role = iam.get_role(RoleName=name)["Role"]
    assert "<AssumeRolePolicyDocument>%7B%22" in raw[0], "policy documents are URL-encoded on the wire"
    assert role["AssumeRolePolicyDocument"] == json.loads(EC2_TRUST)
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary_arn
    assert role["Tags"] == tags
    assert iam.get_role_policy(RoleName=name, PolicyName="p")["PolicyDocument"] == json.loads(policy(allow("s3:*")))


def test_creating_a_role_with_tags_requires_tag_role(cloud, name, client_error):
    iam = cloud.client("iam", SOURCE, session=cloud.role(SOURCE, name, allow("iam:CreateRole")))
    tags = [{"Key": "a", "Value": "b"}]
    code, message = client_error(iam.create_role, RoleName=name + "-new", AssumeRolePolicyDocument=EC2_TRUST, Tags=tags)
    assert code == "AccessDenied" and "iam:TagRole" in message
    iam.create_role(RoleName=name + "-new", AssumeRolePolicyDocument=EC2_TRUST)


def test_creating_a_state_machine_requires_pass_role(cloud, name, client_error):
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
    code, message = client_error(cloud.client("stepfunctions", SOURCE, session=without).create_state_machine, **machine)
    assert code == "AccessDeniedException" and "iam:PassRole" in message
    cloud.client("stepfunctions", SOURCE, session=session).create_state_machine(**machine)


def test_aws_managed_policies_exist_and_unknown_policies_do_not(cloud, name, client_error):
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
    code, _ = client_error(iam.attach_role_policy, RoleName=name, PolicyArn="arn:aws:iam::aws:policy/Nonsense")
    assert code == "NoSuchEntity"


def test_policies_have_size_quotas(cloud, name, client_error):
    iam = cloud.client("iam", SOURCE)
    long = allow_assume({"Service": "ec2.amazonaws.com"}, Sid="s" * 2048)
    assert client_error(iam.create_role, RoleName=name, AssumeRolePolicyDocument=long)[0] == "LimitExceeded"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)
    assert client_error(iam.update_assume_role_policy, RoleName=name, PolicyDocument=long)[0] == "LimitExceeded"
    half = policy(allow("s3:" + "x" * 6000))
    iam.put_role_policy(RoleName=name, PolicyName="a", PolicyDocument=half)
    assert client_error(iam.put_role_policy, RoleName=name, PolicyName="b", PolicyDocument=half)[0] == "LimitExceeded"


def test_a_role_requires_a_valid_name_and_a_json_trust_policy(cloud, name, client_error):
    iam = cloud.client("iam", SOURCE)
    for invalid in ("n" * 65, "a b", "a/b"):
        assert (
            client_error(iam.create_role, RoleName=invalid, AssumeRolePolicyDocument=EC2_TRUST)[0] == "ValidationError"
        )
    for invalid in ("{", "[]"):
        assert (
            client_error(iam.create_role, RoleName=name, AssumeRolePolicyDocument=invalid)[0]
            == "MalformedPolicyDocument"
        )
    iam.create_role(RoleName="n" * 64, AssumeRolePolicyDocument=EC2_TRUST)


# -- principals in trust policies --------------------------------------------------------------------


def test_a_trust_policy_cannot_name_a_missing_role(cloud, name, client_error):
    iam = cloud.client("iam", TARGET)
    missing = f"arn:aws:iam::{SOURCE}:role/{name}-missing"
    trust = allow_assume({"AWS": missing})
    expected = ("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{missing}"')
    assert client_error(iam.create_role, RoleName=name, AssumeRolePolicyDocument=trust) == expected
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)
    assert client_error(iam.update_assume_role_policy, RoleName=name, PolicyDocument=trust) == expected
    cloud.client("iam", SOURCE).create_role(RoleName=name + "-missing", AssumeRolePolicyDocument=EC2_TRUST)
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)


def test_a_role_that_is_created_again_is_not_trusted_until_the_trust_policy_is_saved(cloud, name, client_error):
    source, target = cloud.client("iam", SOURCE), cloud.client("iam", TARGET)
    trusted = f"arn:aws:iam::{SOURCE}:role/{name}"
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole"))
    target.create_role(RoleName=name, AssumeRolePolicyDocument=allow_assume({"AWS": trusted}))
    role = {"RoleArn": f"arn:aws:iam::{TARGET}:role/{name}", "RoleSessionName": "s"}
    cloud.client("sts", SOURCE, session=session).assume_role(**role)
    source.delete_role_policy(RoleName=name, PolicyName="p")
    source.delete_role(RoleName=name)
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole"))
    principal = target.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]
    assert principal.startswith("AROA")
    sts = cloud.client("sts", SOURCE, session=session)
    assert client_error(sts.assume_role, **role)[0] == "AccessDenied"
    target.update_assume_role_policy(RoleName=name, PolicyDocument=allow_assume({"AWS": trusted}))
    sts.assume_role(**role)


def test_a_new_role_cannot_be_a_principal_before_the_delay(client_error):
    cloud = Cloud("--minute", "1", "--iam-delay-seconds", "120")
    try:
        iam = cloud.client("iam", SOURCE)
        iam.create_role(RoleName="new", AssumeRolePolicyDocument=EC2_TRUST)
        trust = allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:role/new"})
        trusting = {"RoleName": "trusting", "AssumeRolePolicyDocument": trust}
        assert client_error(iam.create_role, **trusting)[0] == "MalformedPolicyDocument"
        time.sleep(2.1)
        iam.create_role(**trusting)
    finally:
        cloud.stop()


# -- assuming roles -----------------------------------------------------------------------------------


def assume(cloud, session, account, name, caller=SOURCE, **more):
    sts = cloud.client("sts", caller, session=session)
    return sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/{name}", RoleSessionName="s", **more)


def test_across_accounts_identity_and_trust_policy_must_both_allow(cloud, name, client_error):
    allowed, not_allowed = cloud.role(SOURCE, name, allow("sts:AssumeRole")), cloud.role(SOURCE, name + "-no")
    target = cloud.client("iam", TARGET)
    both = [f"arn:aws:iam::{SOURCE}:role/{name}", f"arn:aws:iam::{SOURCE}:role/{name}-no"]
    target.create_role(RoleName=name, AssumeRolePolicyDocument=allow_assume({"AWS": both}))
    target.create_role(RoleName=name + "-placeholder", AssumeRolePolicyDocument=EC2_TRUST)
    assume(cloud, allowed, TARGET, name)
    assert client_error(assume, cloud=cloud, session=not_allowed, account=TARGET, name=name)[0] == "AccessDenied"
    assert (
        client_error(assume, cloud=cloud, session=allowed, account=TARGET, name=name + "-placeholder")[0]
        == "AccessDenied"
    )


@pytest.mark.parametrize("code", ["RegionDisabledException", "AccessDenied"])
def test_a_role_of_an_account_without_the_region_is_not_assumed_there(cloud, name, client_error, code):
    account = "2" + name.encode().hex()[-11:].translate(str.maketrans("abcdef", "123456"))
    cloud.client("iam", account).create_role(
        RoleName=name, AssumeRolePolicyDocument=allow_assume({"AWS": f"arn:aws:iam::{account}:root"})
    )
    cloud.post("regions", {"account": account, "region": "ap-east-1", "error": code})
    role = {"RoleArn": f"arn:aws:iam::{account}:role/{name}", "RoleSessionName": "s"}
    assert client_error(cloud.client("sts", account, region="ap-east-1").assume_role, **role)[0] == code
    cloud.client("sts", account).assume_role(**role)
    cloud.post("regions", {"account": account, "region": "ap-east-1", "error": None})
    cloud.client("sts", account, region="ap-east-1").assume_role(**role)


def test_in_one_account_a_trust_policy_that_names_the_role_is_sufficient(cloud, name, client_error):
    session = cloud.role(SOURCE, name)
    iam = cloud.client("iam", SOURCE)
    iam.create_role(
        RoleName=name + "-a", AssumeRolePolicyDocument=allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:role/{name}"})
    )
    iam.create_role(RoleName=name + "-b", AssumeRolePolicyDocument=allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"}))
    assume(cloud, session, SOURCE, name + "-a")
    assert client_error(assume, cloud=cloud, session=session, account=SOURCE, name=name + "-b")[0] == "AccessDenied"


def test_the_external_id_is_a_condition_key_of_trust_and_identity_policies(cloud, name, client_error):
    trust = allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"}, **equals(sts__ExternalId="expected"))
    cloud.client("iam", TARGET).create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole", **equals(sts__ExternalId="expected")))
    assume(cloud, session, TARGET, name, ExternalId="expected")
    for other in ({}, {"ExternalId": "other"}):
        assert (
            client_error(assume, cloud=cloud, session=session, account=TARGET, name=name, **other)[0] == "AccessDenied"
        )


def test_the_principal_arn_of_a_session_is_the_role_arn_with_its_path(cloud, name, client_error):
    like = {"Condition": {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{HUB}:role/ampxa/*"}}}
    trust = allow_assume({"AWS": f"arn:aws:iam::{HUB}:root"}, **like)
    cloud.client("iam", TARGET).create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    inside = cloud.role(HUB, name, allow("sts:AssumeRole"), path="/ampxa/")
    outside = cloud.role(HUB, name + "-no", allow("sts:AssumeRole"))
    assume(cloud, inside, TARGET, name, caller=HUB)
    assert (
        client_error(assume, cloud=cloud, session=outside, account=TARGET, name=name, caller=HUB)[0] == "AccessDenied"
    )


def test_the_organizations_of_principal_and_resource_are_condition_keys(cloud, name, client_error):
    in_organization, outside = equals(aws__PrincipalOrgID="o-ampxalocal01"), "999999999999"
    trust = allow_assume({"AWS": [f"arn:aws:iam::{account}:root" for account in (SOURCE, outside)]}, **in_organization)
    for account in (TARGET, outside):
        cloud.client("iam", account).create_role(RoleName=name + "-to", AssumeRolePolicyDocument=trust)
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole", **equals(aws__ResourceOrgID="o-ampxalocal01")))
    outsider = cloud.role(outside, name, allow("sts:AssumeRole"))
    assume(cloud, session, TARGET, name + "-to")
    denied = client_error(assume, cloud=cloud, session=session, account=outside, name=name + "-to")
    assert denied[0] == "AccessDenied"
    denied = client_error(assume, cloud=cloud, session=outsider, account=TARGET, name=name + "-to", caller=outside)
    assert denied[0] == "AccessDenied"


def test_the_accounts_of_principal_and_resource_are_condition_keys(cloud, name, client_error):
    trust = allow_assume({"AWS": "*"}, **equals(aws__PrincipalAccount=SOURCE))
    for account in (TARGET, HUB):
        cloud.client("iam", account).create_role(RoleName=name + "-to", AssumeRolePolicyDocument=trust)
    to_target = equals(aws__ResourceAccount=[TARGET, SOURCE])
    session = cloud.role(SOURCE, name, allow(["sts:AssumeRole", "iam:GetRole", "iam:ListRoles"], **to_target))
    assume(cloud, session, TARGET, name + "-to")
    assert client_error(assume, cloud=cloud, session=session, account=HUB, name=name + "-to")[0] == "AccessDenied"
    iam = cloud.client("iam", SOURCE, session=session)
    assert iam.get_role(RoleName=name) and iam.list_roles()
    other = cloud.role(HUB, name, allow(["sts:AssumeRole", "iam:GetRole"], **to_target))
    denied = client_error(assume, cloud=cloud, session=other, account=TARGET, name=name + "-to", caller=HUB)
    assert denied[0] == "AccessDenied"
    assert client_error(cloud.client("iam", HUB, session=other).get_role, RoleName=name)[0] == "AccessDenied"


def test_the_organization_of_a_missing_role_is_a_condition_key(cloud, name, client_error):
    """The message of an identity policy names the principal, and the message of STS for a missing role does not."""
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole", **equals(aws__ResourceOrgID="o-ampxalocal01")))
    for account, is_named in (("999999999999", True), (TARGET, False)):
        denied = client_error(assume, cloud=cloud, session=session, account=account, name=name + "-none")
        assert denied[0] == "AccessDenied" and (f"assumed-role/{name}" in denied[1]) == is_named


def test_the_external_id_of_a_request_must_match_the_pattern(cloud, name, client_error):
    trust = allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"}, **equals(sts__ExternalId="scraper/*"))
    cloud.client("iam", TARGET).create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole"))
    for invalid in ("scraper/*", "x"):
        denied = client_error(assume, cloud=cloud, session=session, account=TARGET, name=name, ExternalId=invalid)
        assert denied[0] == "ValidationError"


def test_assume_role_requires_the_complete_role_arn(cloud, name, client_error):
    trust = allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"})
    cloud.client("iam", SOURCE).create_role(RoleName=name + "-p", Path="/p/", AssumeRolePolicyDocument=trust)
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole"))
    assume(cloud, session, SOURCE, f"p/{name}-p")
    assert client_error(assume, cloud=cloud, session=session, account=SOURCE, name=f"{name}-p")[0] == "AccessDenied"


def test_a_trust_policy_for_a_service_does_not_allow_the_account_root(cloud, name, client_error):
    cloud.client("iam", SOURCE).create_role(
        RoleName=name, AssumeRolePolicyDocument=allow_assume({"Service": "ec2.amazonaws.com"})
    )
    assert client_error(assume, cloud=cloud, session=None, account=SOURCE, name=name)[0] == "AccessDenied"


def test_a_chained_session_lasts_at_most_one_hour(cloud, name, client_error):
    session = cloud.role(SOURCE, name, allow("sts:AssumeRole"))
    trust = allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"})
    cloud.client("iam", SOURCE).create_role(
        RoleName=name + "-next", AssumeRolePolicyDocument=trust, MaxSessionDuration=7200
    )
    assume(cloud, session, SOURCE, name + "-next", DurationSeconds=3600)
    denied = client_error(
        assume, cloud=cloud, session=session, account=SOURCE, name=name + "-next", DurationSeconds=3601
    )
    assert denied[0] == "ValidationError"


def test_a_new_role_is_not_visible_in_an_account_with_a_delay(cloud, name, client_error):
    account = "212121212121"
    cloud.post("visibility", {"account": account, "seconds": 2400})  # 2 real seconds at 50 ms per minute.
    iam = cloud.client("iam", account)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)
    for call, more in (
        (iam.get_role, {}),
        (iam.put_role_policy, {"PolicyName": "p", "PolicyDocument": policy(allow("s3:*"))}),
        (iam.get_role_policy, {"PolicyName": "p"}),
        (iam.update_assume_role_policy, {"PolicyDocument": EC2_TRUST}),
        (iam.delete_role, {}),
    ):
        assert client_error(call, RoleName=name, **more)[0] == "NoSuchEntity"
    assert client_error(iam.create_role, RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)[0] == "EntityAlreadyExists"
    trust = allow_assume({"AWS": f"arn:aws:iam::{account}:role/{name}"})
    denied = client_error(iam.create_role, RoleName=name + "-2", AssumeRolePolicyDocument=trust)
    assert denied[0] == "MalformedPolicyDocument"
    time.sleep(2.1)
    assert iam.get_role(RoleName=name)["Role"]["RoleName"] == name
    other = cloud.client("iam", SOURCE)
    other.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)
    assert other.get_role(RoleName=name)["Role"]["RoleName"] == name
