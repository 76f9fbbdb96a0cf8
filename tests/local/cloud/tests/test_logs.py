"""CloudWatch Logs: authorization, resource policies and resource types of CloudFormation."""

import json

import pytest
from conftest import SOURCE, allow
from support.location import Location
from test_cloudformation import Stack

DELIVERY = "delivery.logs.amazonaws.com"


@pytest.fixture
def location(cloud):
    return Location(cloud)


@pytest.fixture
def group(location, name):
    """A log group with one stream and one event."""
    logs, group = location.client("logs"), f"/aws/vendedlogs/{name}"
    logs.create_log_group(logGroupName=group, tags={"a": "b"})
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=[{"timestamp": 1, "message": "one"}])
    return group


def arn(location, group, rest=":*"):
    return f"arn:aws:logs:{location.region}:{SOURCE}:log-group:{group}{rest}"


CALLS = {
    "create_log_group": {},
    "delete_log_group": {},
    "put_retention_policy": {"retentionInDays": 7},
    "filter_log_events": {},
    "describe_log_streams": {},
    "get_log_events": {"logStreamName": "s"},
}


@pytest.mark.parametrize("call", CALLS)
def test_an_action_on_a_log_group_is_authorized_on_the_log_group(cloud, location, name, group, client_error, call):
    session = cloud.role(SOURCE, name, allow("logs:*", arn(location, group)))
    request = getattr(location.client("logs", session=session), call)
    denied = {"logGroupName": group + "x", **CALLS[call]}
    assert client_error(request, **denied)[0] == "AccessDeniedException"
    if call == "create_log_group":
        assert client_error(request, logGroupName=group)[0] == "ResourceAlreadyExistsException"
        return
    request(logGroupName=group, **CALLS[call])


def test_the_arn_of_a_log_group_in_a_policy_ends_with_a_wildcard(cloud, location, name, group, client_error):
    logs = location.client("logs", session=cloud.role(SOURCE, name, allow("logs:*", arn(location, group, ""))))
    assert client_error(logs.filter_log_events, logGroupName=group)[0] == "AccessDeniedException"
    assert logs.list_tags_for_resource(resourceArn=arn(location, group, ""))["tags"] == {"a": "b"}


def test_events_are_read_with_the_permission_of_the_stream_or_the_group(cloud, location, name, group, client_error):
    statements = [
        allow("logs:GetLogEvents", arn(location, group, ":log-stream:s")),
        allow("logs:FilterLogEvents", arn(location, group)),
    ]
    logs = location.client("logs", session=cloud.role(SOURCE, name, *statements))
    [event] = logs.get_log_events(logGroupName=group, logStreamName="s")["events"]
    assert event["message"] == "one"
    denied = client_error(logs.get_log_events, logGroupName=group, logStreamName="t")
    assert denied[0] == "AccessDeniedException"
    [found] = logs.filter_log_events(logGroupIdentifier=arn(location, group, ""))["events"]
    assert found["message"] == "one"
    other = arn(location, group + "x", "")
    assert client_error(logs.filter_log_events, logGroupIdentifier=other)[0] == "AccessDeniedException"


def test_the_tags_of_a_log_group_are_condition_keys(cloud, location, name, group, client_error):
    def client(suffix, value):
        tagged = {"Condition": {"StringEquals": {"aws:ResourceTag/a": value}}}
        session = cloud.role(SOURCE, name + suffix, allow("logs:FilterLogEvents", "*", **tagged))
        return location.client("logs", session=session)

    client("1", "b").filter_log_events(logGroupName=group)
    assert client_error(client("2", "c").filter_log_events, logGroupName=group)[0] == "AccessDeniedException"


LISTS = {
    "describe_log_groups": {},
    "describe_resource_policies": {},
    "put_resource_policy": {"policyName": "p", "policyDocument": '{"Statement": []}'},
}


@pytest.mark.parametrize("call", LISTS)
def test_lists_and_resource_policies_require_permissions_on_all_resources(cloud, location, name, client_error, call):
    action = "logs:" + "".join(word.capitalize() for word in call.split("_"))
    one = location.client("logs", session=cloud.role(SOURCE, name + "1", allow(action, arn(location, "*"))))
    assert client_error(getattr(one, call), **LISTS[call])[0] == "AccessDeniedException"
    every = location.client("logs", session=cloud.role(SOURCE, name + "2", allow(action)))
    getattr(every, call)(**LISTS[call])


def test_the_document_of_a_resource_policy_is_a_policy_of_limited_size(location, client_error):
    logs = location.client("logs")
    for document in ("text", "[]", "{}", json.dumps({"Statement": [], "Id": "i" * 5120})):
        error = client_error(logs.put_resource_policy, policyName="p", policyDocument=document)
        assert error[0] == "InvalidParameterException", document
    assert not logs.describe_resource_policies()["resourcePolicies"]


def test_a_template_can_contain_a_log_group_and_a_resource_policy(cloud, name):
    stack, logs = Stack(cloud, name), cloud.client("logs", SOURCE)
    group = f"/aws/vendedlogs/{name}"
    policy = {
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": DELIVERY}, "Action": "logs:PutLogEvents", "Resource": "*"}
        ]
    }
    resources = {
        "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": group, "RetentionInDays": 7}},
        "Policy": {
            "Type": "AWS::Logs::ResourcePolicy",
            "Properties": {"PolicyName": name, "PolicyDocument": json.dumps(policy)},
        },
    }
    outputs = {"Arn": {"Value": {"Fn::GetAtt": ["Group", "Arn"]}}}
    stack.create(resources, template={"Outputs": outputs})
    [output] = stack.cfn.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    [created] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert output["OutputValue"] == created["arn"] and created["arn"].endswith(f":log-group:{group}:*")
    assert created["retentionInDays"] == 7

    def policies():
        found = logs.describe_resource_policies()["resourcePolicies"]
        return [json.loads(policy["policyDocument"]) for policy in found if policy["policyName"] == name]

    assert policies() == [policy]
    stack.cfn.delete_stack(StackName=name)
    stack._wait("stack_delete_complete")
    assert not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] and not policies()
