"""A cloud in another partition than `aws`."""

import json

import pytest
from conftest import HUB, SOURCE, TARGET, Cloud, allow, allow_assume, wait_for
from core import partition

GOV, REGION = "arn:aws-us-gov", "us-gov-west-1"
TEMPLATE = {
    "Resources": {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": "of-stack",
                "AssumeRolePolicyDocument": json.loads(allow_assume({"Service": "lambda.amazonaws.com"})),
            },
        }
    },
    "Outputs": {
        "Partition": {"Value": {"Ref": "AWS::Partition"}},
        "Sub": {"Value": {"Fn::Sub": "${AWS::Partition}"}},
        "Arn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}},
    },
}


@pytest.fixture(scope="module")
def gov():
    cloud = Cloud("--partition", "aws-us-gov")
    yield cloud
    cloud.stop()


def test_arns_pseudo_parameters_and_comparisons_of_the_source_have_the_partition():
    source = (
        b'f"arn:aws:iam::{a}:root"; r"arn:aws[a-z-]*:iam"; {"AWS::Partition": "aws"}; '
        b'spec.partition != "aws"; "aws"'
    )
    expected = (
        b'f"arn:aws-us-gov:iam::{a}:root"; r"arn:aws[a-z-]*:iam"; {"AWS::Partition": "aws-us-gov"}; '
        b'spec.partition != "aws-us-gov"; "aws"'
    )
    assert partition.rewrite(source, "aws-us-gov") == expected


def test_resources_have_arns_of_the_partition(gov):
    iam = gov.client("iam", SOURCE, REGION)
    role = iam.create_role(RoleName="a", AssumeRolePolicyDocument=allow_assume({"AWS": f"{GOV}:iam::{HUB}:root"}))
    assert role["Role"]["Arn"] == f"{GOV}:iam::{SOURCE}:role/a"
    iam.attach_role_policy(RoleName="a", PolicyArn=f"{GOV}:iam::aws:policy/AmazonPrometheusRemoteWriteAccess")
    workspace = gov.client("amp", TARGET, REGION).create_workspace(alias="a")
    assert workspace["arn"].startswith(f"{GOV}:aps:{REGION}:{TARGET}:workspace/ws-")
    identity = gov.client("sts", TARGET, REGION).get_caller_identity()
    assert identity["Arn"] == f"{GOV}:iam::{TARGET}:root"


def test_policies_allow_only_resources_of_the_partition(gov, client_error):
    iam, sts = gov.client("iam", SOURCE, REGION), gov.client("sts", SOURCE, REGION)
    for name, arn in (("own", GOV), ("aws", "arn:aws")):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=allow_assume({"AWS": f"{GOV}:iam::{SOURCE}:root"}))
        document = json.dumps(
            {"Version": "2012-10-17", "Statement": [allow("iam:GetRole", f"{arn}:iam::{SOURCE}:role/own")]}
        )
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
    sessions = {
        name: sts.assume_role(RoleArn=f"{GOV}:iam::{SOURCE}:role/{name}", RoleSessionName="s")["Credentials"]
        for name in ("own", "aws")
    }
    gov.client("iam", SOURCE, REGION, session=sessions["own"]).get_role(RoleName="own")
    denied = gov.client("iam", SOURCE, REGION, session=sessions["aws"])
    assert client_error(denied.get_role, RoleName="own")[0] == "AccessDenied"


def test_an_integration_of_the_partition_aws_is_refused(gov, client_error):
    sfn, iam = gov.client("stepfunctions", HUB, REGION), gov.client("iam", HUB, REGION)
    iam.create_role(RoleName="m", AssumeRolePolicyDocument=allow_assume({"Service": "states.amazonaws.com"}))

    def run(arn):
        resource = f"{arn}:states:::lambda:invoke"
        task = {"Type": "Task", "Resource": resource, "Parameters": {"FunctionName": "f"}, "End": True}
        definition = json.dumps({"StartAt": "A", "States": {"A": task}})
        name = arn.replace(":", "-")
        machine = sfn.create_state_machine(name=name, roleArn=f"{GOV}:iam::{HUB}:role/m", definition=definition)
        assert machine["stateMachineArn"] == f"{GOV}:states:{REGION}:{HUB}:stateMachine:{name}"
        execution = sfn.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
        wait_for(lambda: sfn.describe_execution(executionArn=execution)["status"] != "RUNNING")
        return sfn.describe_execution(executionArn=execution)

    assert run("arn:aws")["error"] == "States.Runtime"
    assert run(GOV)["error"] == "Lambda.AWSLambdaException", "only the function does not exist"


def test_the_pseudo_parameter_of_templates_is_the_partition(gov):
    cloudformation = gov.client("cloudformation", SOURCE, REGION)
    cloudformation.create_stack(
        StackName="s", TemplateBody=json.dumps(TEMPLATE), Capabilities=["CAPABILITY_NAMED_IAM"]
    )

    def stack():
        return cloudformation.describe_stacks(StackName="s")["Stacks"][0]

    wait_for(lambda: stack()["StackStatus"] == "CREATE_COMPLETE")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack()["Outputs"]}
    assert outputs == {
        "Partition": "aws-us-gov",
        "Sub": "aws-us-gov",
        "Arn": f"{GOV}:iam::{SOURCE}:role/of-stack",
    }
