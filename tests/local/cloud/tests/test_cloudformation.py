"""CloudFormation: templates, resource types and stack deletion."""

import json

import pytest
from conftest import SOURCE, allow, allow_assume

TRUST = json.loads(allow_assume({"Service": "ec2.amazonaws.com"}))


class Stack:
    def __init__(self, cloud, name):
        self.cfn, self.name = cloud.client("cloudformation", SOURCE), name
        self.iam, self.sfn = cloud.client("iam", SOURCE), cloud.client("stepfunctions", SOURCE)

    def _wait(self, waiter):
        self.cfn.get_waiter(waiter).wait(StackName=self.name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 100})

    def create(self, resources, **more):
        body = json.dumps({"Resources": resources, **more.pop("template", {})})
        self.cfn.create_stack(StackName=self.name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"], **more)
        self._wait("stack_create_complete")

    def update(self, resources):
        body = json.dumps({"Resources": resources})
        self.cfn.update_stack(StackName=self.name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"])
        self._wait("stack_update_complete")

    def reasons(self):
        return [
            event.get("ResourceStatusReason", "")
            for event in self.cfn.describe_stack_events(StackName=self.name)["StackEvents"]
        ]

    def role(self):
        return self.iam.get_role(RoleName=self.name)["Role"]


@pytest.fixture
def stack(cloud, name):
    return Stack(cloud, name)


def role(stack, **properties):
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"RoleName": stack.name, "AssumeRolePolicyDocument": TRUST, **properties},
    }


def boundary(stack):
    document = {"Version": "2012-10-17", "Statement": [allow("s3:*")]}
    return {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {"ManagedPolicyName": stack.name, "PolicyDocument": document},
    }


def test_the_permissions_boundary_of_a_role_can_be_set_and_removed(stack):
    bounded = role(stack, PermissionsBoundary={"Ref": "B"})
    stack.create({"B": boundary(stack), "R": role(stack)})
    assert "PermissionsBoundary" not in stack.role()
    stack.update({"B": boundary(stack), "R": bounded})
    expected = f"arn:aws:iam::{SOURCE}:policy/{stack.name}"
    assert stack.role()["PermissionsBoundary"]["PermissionsBoundaryArn"] == expected
    stack.update({"B": boundary(stack), "R": role(stack)})
    assert "PermissionsBoundary" not in stack.role()


def test_a_role_is_created_with_its_permissions_boundary(stack):
    stack.create({"B": boundary(stack), "R": role(stack, PermissionsBoundary={"Ref": "B"})})
    assert "PermissionsBoundary" in stack.role()


def test_a_policy_that_is_the_boundary_of_another_role_fails_the_stack_deletion(cloud, stack, name):
    """The dependencies of the policy are retained, the other resources are deleted, and a second deletion succeeds."""
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}}
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}
    policy = boundary(stack)
    policy["Properties"]["Description"] = {"Fn::GetAtt": ["Named", "TopicName"]}
    policy["DependsOn"] = "Retained"
    stack.create({"B": policy, "Named": topic, "Retained": {**queue}, "Independent": role(stack)})
    arn = f"arn:aws:iam::{SOURCE}:policy/{stack.name}"
    stack.iam.create_role(RoleName=name + "-x", AssumeRolePolicyDocument=json.dumps(TRUST), PermissionsBoundary=arn)

    def resources():
        described = stack.cfn.describe_stack_resources(StackName=stack.name)["StackResources"]
        return {resource["LogicalResourceId"]: resource["ResourceStatus"] for resource in described}

    stack.cfn.delete_stack(StackName=stack.name)
    with pytest.raises(Exception):
        stack._wait("stack_delete_complete")
    description = stack.cfn.describe_stacks(StackName=stack.name)["Stacks"][0]
    assert description["StackStatus"] == "DELETE_FAILED" and "[B]" in description["StackStatusReason"]
    assert any("Cannot delete a policy attached to entities" in reason for reason in stack.reasons())
    assert resources() == {"B": "DELETE_FAILED", "Named": "CREATE_COMPLETE", "Retained": "CREATE_COMPLETE"}
    assert stack.iam.get_policy(PolicyArn=arn) and cloud.client("sqs", SOURCE).get_queue_url(QueueName=name)
    with pytest.raises(stack.iam.exceptions.NoSuchEntityException):
        stack.role()

    stack.iam.delete_role_permissions_boundary(RoleName=name + "-x")
    stack.cfn.delete_stack(StackName=stack.name)
    stack._wait("stack_delete_complete")
    with pytest.raises(stack.iam.exceptions.NoSuchEntityException):
        stack.iam.get_policy(PolicyArn=arn)


def test_a_role_and_its_boundary_are_deleted_with_their_stack(stack):
    stack.create({"B": boundary(stack), "R": role(stack, PermissionsBoundary={"Ref": "B"})})
    stack.cfn.delete_stack(StackName=stack.name)
    stack._wait("stack_delete_complete")


def test_a_role_keeps_its_path(stack):
    stack.create({"R": role(stack, Path="/p/")})
    assert stack.role()["Arn"] == f"arn:aws:iam::{SOURCE}:role/p/{stack.name}"


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"PermissionsBoundary": f"arn:aws:iam::{SOURCE}:policy/none"}, "does not exist or is not attachable"),
        (
            {"AssumeRolePolicyDocument": json.loads(allow_assume({"AWS": f"arn:aws:iam::{SOURCE}:role/none"}))},
            "Invalid principal in policy",
        ),
    ],
)
def test_a_role_that_iam_refuses_fails_the_stack(stack, properties, reason):
    with pytest.raises(Exception):
        stack.create({"R": role(stack, **properties)})
    assert any(reason in failure for failure in stack.reasons())


def test_an_existing_role_name_fails_the_stack_and_the_role_is_unchanged(stack):
    stack.iam.create_role(RoleName=stack.name, AssumeRolePolicyDocument=json.dumps(TRUST), Description="existing")
    with pytest.raises(Exception):
        stack.create({"R": role(stack, Description="new")})
    assert any("already exists" in reason for reason in stack.reasons())
    assert stack.role()["Description"] == "existing"


def test_a_role_deleted_with_its_stack_is_no_longer_trusted(cloud, stack, name):
    stack.create({"R": role(stack)})
    trust = allow_assume({"AWS": stack.role()["Arn"]})
    stack.iam.create_role(RoleName=name + "-t", AssumeRolePolicyDocument=trust)
    stack.cfn.delete_stack(StackName=stack.name)
    stack._wait("stack_delete_complete")
    document = stack.iam.get_role(RoleName=name + "-t")["Role"]["AssumeRolePolicyDocument"]
    assert document["Statement"][0]["Principal"]["AWS"].startswith("AROA")


def test_a_state_machine_keeps_its_logging_and_tracing_configuration(stack):
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    configuration = {
        "LoggingConfiguration": {
            "Level": "ALL",
            "IncludeExecutionData": True,
            "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["L", "Arn"]}}}],
        },
        "TracingConfiguration": {"Enabled": True},
    }

    def resources(**more):
        machine = {
            "StateMachineName": stack.name,
            "RoleArn": {"Fn::GetAtt": ["R", "Arn"]},
            "DefinitionString": definition,
        }
        return {
            "R": role(stack),
            "L": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": stack.name, "RetentionInDays": 7}},
            "M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {**machine, **more}},
        }

    def describe():
        arn = f"arn:aws:states:us-west-2:{SOURCE}:stateMachine:{stack.name}"
        return stack.sfn.describe_state_machine(stateMachineArn=arn)

    stack.create(resources(**configuration))
    machine = describe()
    assert machine["tracingConfiguration"] == {"enabled": True}
    assert machine["loggingConfiguration"]["level"] == "ALL" and machine["loggingConfiguration"]["includeExecutionData"]
    group = machine["loggingConfiguration"]["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"]
    assert group == f"arn:aws:logs:us-west-2:{SOURCE}:log-group:{stack.name}:*"
    stack.update(resources())
    machine = describe()
    assert machine["tracingConfiguration"] == {"enabled": False} and machine["loggingConfiguration"]["level"] == "OFF"
    stack.update(resources(**configuration))
    machine = describe()
    assert machine["tracingConfiguration"] == {"enabled": True} and machine["loggingConfiguration"]["level"] == "ALL"


def test_a_state_machine_of_the_api_keeps_its_tracing_configuration(stack):
    stack.iam.create_role(RoleName=stack.name, AssumeRolePolicyDocument=json.dumps(TRUST))
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    role_arn = f"arn:aws:iam::{SOURCE}:role/{stack.name}"
    machine = {"name": stack.name, "roleArn": role_arn, "definition": definition}
    arn = stack.sfn.create_state_machine(**machine, tracingConfiguration={"enabled": True})["stateMachineArn"]
    assert stack.sfn.describe_state_machine(stateMachineArn=arn)["tracingConfiguration"] == {"enabled": True}
    stack.sfn.update_state_machine(stateMachineArn=arn, tracingConfiguration={"enabled": False})
    assert stack.sfn.describe_state_machine(stateMachineArn=arn)["tracingConfiguration"] == {"enabled": False}


def test_a_condition_can_compare_a_parameter(stack):
    template = {
        "Parameters": {"Enabled": {"Type": "String", "Default": "no"}},
        "Conditions": {"IsEnabled": {"Fn::Equals": [{"Ref": "Enabled"}, "yes"]}},
    }
    description = {"Fn::If": ["IsEnabled", "enabled", {"Ref": "AWS::NoValue"}]}
    conditional = {**boundary(stack), "Condition": "IsEnabled"}
    stack.create(
        {"R": role(stack, Description=description), "B": conditional},
        template=template,
        Parameters=[{"ParameterKey": "Enabled", "ParameterValue": "yes"}],
    )
    assert stack.role()["Description"] == "enabled"
    stack.iam.get_policy(PolicyArn=f"arn:aws:iam::{SOURCE}:policy/{stack.name}")


def test_a_condition_can_compare_the_region_and_a_joined_list(cloud, name):
    template = {
        "Parameters": {
            "Home": {"Type": "String", "Default": "eu-west-1"},
            "Many": {"Type": "CommaDelimitedList", "Default": ""},
        },
        "Conditions": {
            "AtHome": {"Fn::Or": [{"Fn::Equals": [{"Ref": "Home"}, {"Ref": "AWS::Region"}]}, {"Condition": "HasMany"}]},
            "HasMany": {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": [",", {"Ref": "Many"}]}, ""]}]},
        },
        "Resources": {
            "Q": {"Type": "AWS::SQS::Queue", "Condition": "AtHome"},
            "Always": {"Type": "AWS::SNS::Topic"},
        },
    }

    def create(region, **parameters):
        cfn = cloud.client("cloudformation", SOURCE, region)
        values = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        stack = f"{name}-{len(values)}"
        cfn.create_stack(StackName=stack, TemplateBody=json.dumps(template), Parameters=values)
        cfn.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 0.05, "MaxAttempts": 100})
        resources = cfn.describe_stack_resources(StackName=stack)["StackResources"]
        return {resource["LogicalResourceId"] for resource in resources}

    assert create("eu-west-1") == {"Q", "Always"} and create("us-west-2") == {"Always"}
    assert create("us-west-2", Many="a,b") == {"Q", "Always"}


def test_stacks_with_the_same_name_in_two_regions_create_different_roles(cloud, name):
    template = {"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}}}

    def create(region):
        cfn = cloud.client("cloudformation", SOURCE, region)
        cfn.create_stack(StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"])
        cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 100})
        return cfn.describe_stack_resource(StackName=name, LogicalResourceId="R")["StackResourceDetail"]

    names = [create(region)["PhysicalResourceId"] for region in ("eu-west-1", "us-west-2")]
    assert names[0] != names[1]
    for role in names:
        cloud.client("iam", SOURCE).get_role(RoleName=role)
