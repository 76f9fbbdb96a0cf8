"""The history of trust policies, and the principals that each version allows."""

import pytest
from conftest import SOURCE, TARGET, allow_assume

ID = "arn:aws:aps:us-west-2:222222222222:scraper/s-1"


@pytest.fixture
def roles(cloud, name):
    """A source role, and a target role whose trust policy names the source role with external id `scraper/*`."""
    source, target = cloud.client("iam", SOURCE), cloud.client("iam", TARGET)
    placeholder = allow_assume({"Service": "aps.amazonaws.com"})
    source_arn = source.create_role(RoleName=name, AssumeRolePolicyDocument=placeholder)["Role"]["Arn"]
    trust = _trust(source_arn, ID.replace("s-1", "*"))
    return source_arn, target.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]


def _trust(principal, external_id):
    return allow_assume({"AWS": principal}, Condition={"StringEquals": {"sts:ExternalId": external_id}})


def test_each_change_of_a_trust_policy_is_one_version(cloud, name, roles):
    source, target = roles
    iam = cloud.client("iam", TARGET)
    for _ in range(2):
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=_trust(source, ID))
    cloud.client("iam", SOURCE).delete_role(RoleName=name)
    iam.delete_role(RoleName=name)
    versions = cloud.get(f"trusts/{target}")["versions"]
    assert [version["by"] for version in versions] == [
        "CreateRole",
        "UpdateAssumeRolePolicy",
        "deletion of a principal",
        "DeleteRole",
    ]
    principals = [version["document"]["Statement"][0]["Principal"]["AWS"] for version in versions[:3]]
    assert principals[:2] == [source, source] and principals[2].startswith("AROA")
    assert versions[3]["document"] is None
    assert [version["at"] for version in versions] == sorted(version["at"] for version in versions)


def test_each_version_is_evaluated_for_each_attempt(cloud, name, roles):
    source, target = roles
    iam = cloud.client("iam", TARGET)
    wider = allow_assume({"AWS": source}), allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:root"})
    for trust in (_trust(source, ID), *wider):
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    iam.delete_role(RoleName=name)
    session = f"arn:aws:sts::{SOURCE}:assumed-role/{name}/s"
    other = session.replace(name, "other")
    attempts = [
        {"principal": session, "externalId": ID},
        {"principal": session, "externalId": ID + "0"},
        {"principal": session, "externalId": ID.replace("s-1", "*")},
        {"principal": session},
        {"principal": other, "externalId": ID},
        {"principal": f"arn:aws:iam::{SOURCE}:root", "externalId": ID},
        {"principal": f"arn:aws:iam::{TARGET}:root", "externalId": ID},
    ]
    evaluated = cloud.post("trusts", {"roleArn": target, "attempts": attempts})["versions"]
    y, n = True, False
    assert [version["admits"] for version in evaluated] == [
        [n, n, n, n, n, n, n],
        [y, n, n, n, n, n, n],
        # `*` is not valid in the external id of a request.
        [y, y, n, y, n, n, n],
        [y, y, n, y, y, y, n],
        [n, n, n, n, n, n, n],
    ]
