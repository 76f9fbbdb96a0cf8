"""Step Functions: validation of definitions, and YAML definitions."""

import json

import pytest
from conftest import HUB, allow_assume

from stepfunctions import definitions

TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}
DONE = {"Type": "Succeed"}


def machine(states, start=None, language="JSONata"):
    return {"QueryLanguage": language, "StartAt": start or next(iter(states)), "States": states}


def codes(definition):
    """The code and the location of each diagnostic."""
    return [(diagnostic["code"], diagnostic["location"]) for diagnostic in definitions.validate(json.dumps(definition))]


def in_parallel(states):
    return machine({"P": {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": states}], "End": True}})


def in_map(states):
    return machine({"M": {"Type": "Map", "ItemProcessor": {"StartAt": "A", "States": states}, "End": True}})


@pytest.mark.parametrize(
    ("definition", "location"),
    [
        (machine({"A": DONE}, start="B"), "/StartAt"),
        (machine({"A": {"Type": "Pass", "Next": "B"}, "C": DONE}), "/States/A/Next"),
        (
            machine({"A": {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "B"}]}, "C": DONE}),
            "/States/A/Choices[0]/Next",
        ),
        (
            machine(
                {
                    "A": {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "C"}], "Default": "B"},
                    "C": DONE,
                }
            ),
            "/States/A/Default",
        ),
        (
            machine({"A": {**TASK, "Catch": [{"ErrorEquals": ["E"], "Next": "B"}], "End": True}}),
            "/States/A/Catch[0]/Next",
        ),
        (in_parallel({"A": {"Type": "Pass", "Next": "B"}, "C": DONE}), "/States/P/Branches[0]/States/A/Next"),
        (in_map({"A": {"Type": "Pass", "Next": "B"}, "C": DONE}), "/States/M/ItemProcessor/States/A/Next"),
        # The target of a transition must be in the same scope.
        (in_map({"A": {"Type": "Pass", "Next": "M"}, "C": DONE}), "/States/M/ItemProcessor/States/A/Next"),
    ],
)
def test_a_transition_requires_a_target_in_its_scope(definition, location):
    assert codes(definition) == [("MISSING_TRANSITION_TARGET", location)]


@pytest.mark.parametrize(
    ("state", "location"),
    [
        *(({**TASK, field: "$.a", "End": True}, field) for field in ("InputPath", "OutputPath", "ResultPath")),
        *(({**TASK, field: {}, "End": True}, field) for field in ("Parameters", "ResultSelector")),
        *(({**TASK, field: "$.a", "End": True}, field) for field in ("TimeoutSecondsPath", "HeartbeatSecondsPath")),
        ({"Type": "Wait", "SecondsPath": "$.a", "End": True}, "SecondsPath"),
        ({"Type": "Pass", "Result": 1, "End": True}, "Result"),
        ({"Type": "Fail", "ErrorPath": "$.e"}, "ErrorPath"),
        ({**TASK, "Arguments": {"b": {"a.$": "$.a"}}, "End": True}, "Arguments/b/a.$"),
        ({"Type": "Pass", "Assign": {"a.$": "$.a"}, "End": True}, "Assign/a.$"),
        (
            {**TASK, "Catch": [{"ErrorEquals": ["E"], "ResultPath": "$.e", "Next": "Z"}], "End": True},
            "Catch[0]/ResultPath",
        ),
        ({"Type": "Choice", "Choices": [{"Variable": "$.a", "Next": "Z"}]}, "Choices[0]/Variable"),
    ],
)
def test_jsonpath_fields_are_refused_in_jsonata_states(state, location):
    assert codes(machine({"A": state, "Z": DONE})) == [("SCHEMA_VALIDATION_FAILED", f"/States/A/{location}")]


@pytest.mark.parametrize("field", ["Arguments", "Output"])
def test_jsonata_fields_are_refused_in_jsonpath_states(field):
    state = {**TASK, field: {}, "End": True}
    assert codes(machine({"A": state}, language="JSONPath")) == [("SCHEMA_VALIDATION_FAILED", f"/States/A/{field}")]
    assert codes(machine({"A": {**state, "QueryLanguage": "JSONata"}}, language="JSONPath")) == []


@pytest.mark.parametrize(
    ("definition", "code", "location"),
    [
        ([], "SCHEMA_VALIDATION_FAILED", "/"),
        ({"StartAt": "A"}, "SCHEMA_VALIDATION_FAILED", "/States"),
        (machine({"A": {"Type": "Tusk", "End": True}}), "SCHEMA_VALIDATION_FAILED", "/States/A/Type"),
        (machine({"A": {"Type": "Pass"}, "B": DONE}), "SCHEMA_VALIDATION_FAILED", "/States/A"),
        (
            machine({"A": {"Type": "Pass", "Next": "B", "End": True}, "B": DONE}),
            "SCHEMA_VALIDATION_FAILED",
            "/States/A",
        ),
        (machine({"A": {"Type": "Succeed", "End": True}}), "SCHEMA_VALIDATION_FAILED", "/States/A/End"),
        (machine({"A": {"Type": "Wait", "End": True}}), "SCHEMA_VALIDATION_FAILED", "/States/A"),
        (machine({"A": {"Type": "Task", "End": True}}), "SCHEMA_VALIDATION_FAILED", "/States/A"),
        (machine({"A": {"Type": "Pass", "Next": "A"}}), "MISSING_END_STATE", "/States"),
        (
            machine({"A": {"Type": "Pass", "Output": "{% 1 + %}", "End": True}}),
            "INVALID_JSONATA_EXPRESSION",
            "/States/A/Output",
        ),
        (in_map({"A": DONE, "M": DONE}), "DUPLICATE_STATE_NAME", "/States/M/ItemProcessor/States/M"),
    ],
)
def test_a_definition_must_follow_the_specification(definition, code, location):
    assert codes(definition) == [(code, location)]


def test_create_update_and_validate_apply_the_same_rules(cloud, name, client_error):
    sfn, iam = cloud.client("stepfunctions", HUB), cloud.client("iam", HUB)
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=allow_assume({"Service": "states.amazonaws.com"}))
    valid = json.dumps(machine({"A": DONE}))
    invalid = json.dumps(machine({"A": {"Type": "Pass", "Next": "B"}, "C": DONE}))
    request = {"name": name, "roleArn": role["Role"]["Arn"]}
    code, message = client_error(sfn.create_state_machine, **request, definition=invalid)
    assert code == "InvalidDefinition" and "MISSING_TRANSITION_TARGET" in message and "/States/A/Next" in message
    arn = sfn.create_state_machine(**request, definition=valid)["stateMachineArn"]
    assert client_error(sfn.update_state_machine, stateMachineArn=arn, definition=invalid)[0] == "InvalidDefinition"
    assert sfn.describe_state_machine(stateMachineArn=arn)["definition"] == valid
    assert sfn.validate_state_machine_definition(definition=valid)["result"] == "OK"
    validated = sfn.validate_state_machine_definition(definition=invalid)
    assert validated["result"] == "FAIL" and not validated["truncated"]
    (diagnostic,) = validated["diagnostics"]
    assert (diagnostic["severity"], diagnostic["code"]) == ("ERROR", "MISSING_TRANSITION_TARGET")


def test_the_api_accepts_only_json(cloud, name, client_error):
    sfn = cloud.client("stepfunctions", HUB)
    request = {"name": name, "roleArn": f"arn:aws:iam::{HUB}:role/none", "definition": YAML}
    assert client_error(sfn.create_state_machine, **request)[0] == "InvalidDefinition"
    assert sfn.validate_state_machine_definition(definition=YAML)["result"] == "FAIL"


# -- YAML in templates -------------------------------------------------------------------------------

YAML = """\
QueryLanguage: JSONata
StartAt: Read
States:
  Read: # a comment
    Type: Pass
    Output: {value: "${Value}", day: 2026-01-02, text: yes, number: 7}
    Next: Wait
  Wait: {Type: Wait, Seconds: ${Seconds}, Next: Done}
  Done:
    Type: Succeed
    Output: >-
      {% $merge([$states.input,
                 {'more': true}]) %}
"""


class Template:
    """Deploys a state machine whose definition is in different template properties."""

    def __init__(self, cloud, name):
        self.cloud, self.name = cloud, name
        self.s3, self.cfn, self.sfn = (
            cloud.client(service, HUB) for service in ("s3", "cloudformation", "stepfunctions")
        )
        trust = allow_assume({"Service": "states.amazonaws.com"})
        self.role = cloud.client("iam", HUB).create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        self.s3.create_bucket(Bucket=name.lower(), CreateBucketConfiguration={"LocationConstraint": "us-west-2"})

    def upload(self, text, key="machine.asl.yaml"):
        self.s3.put_object(Bucket=self.name.lower(), Key=key, Body=text.encode())
        return {"Bucket": self.name.lower(), "Key": key}

    def deploy(self, update=False, kind="AWS::StepFunctions::StateMachine", **properties):
        names = ("RoleArn", "StateMachineName") if "Functions" in kind else ("Role", "Name")
        values = {names[0]: self.role, names[1]: self.name, **properties}
        body = {"Resources": {"M": {"Type": kind, "Properties": values}}}
        if "Serverless" in kind:
            body["Transform"] = "AWS::Serverless-2016-10-31"
        call = self.cfn.update_stack if update else self.cfn.create_stack
        capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
        call(StackName=self.name, TemplateBody=json.dumps(body), Capabilities=capabilities)
        waiter = self.cfn.get_waiter("stack_update_complete" if update else "stack_create_complete")
        waiter.wait(StackName=self.name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})

    def reasons(self):
        events = self.cfn.describe_stack_events(StackName=self.name)["StackEvents"]
        return " ".join(event.get("ResourceStatusReason", "") for event in events)

    def output(self):
        arn = f"arn:aws:states:us-west-2:{HUB}:stateMachine:{self.name}"
        started = self.sfn.start_execution(stateMachineArn=arn)["executionArn"]
        return json.loads(self.cloud.get(f"executions/{started}")["output"])


@pytest.fixture
def template(cloud, name):
    return Template(cloud, name)


VALUES = {"Value": "42", "Seconds": "60"}
EXPECTED = {"value": "42", "day": "2026-01-02", "text": "yes", "number": 7, "more": True}


@pytest.mark.parametrize("kind", ["AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine"])
@pytest.mark.parametrize("key", ["machine.asl.yaml", "8f1d2c"])
def test_a_definition_file_can_be_yaml_with_any_name(template, kind, key):
    location = "DefinitionS3Location" if "Functions" in kind else "DefinitionUri"
    template.deploy(kind=kind, **{location: template.upload(YAML, key)}, DefinitionSubstitutions=VALUES)
    assert template.output() == EXPECTED


def test_an_update_also_reads_yaml(template):
    template.deploy(DefinitionString=json.dumps(machine({"A": DONE})))
    location = template.upload(YAML)
    template.deploy(update=True, DefinitionS3Location=location, DefinitionSubstitutions=VALUES)
    assert template.output() == EXPECTED


def test_a_definition_can_be_a_json_file_or_an_inline_object(template):
    text = json.dumps(machine({"A": {"Type": "Pass", "Output": "${Value}", "End": True}}))
    template.deploy(DefinitionS3Location=template.upload(text), DefinitionSubstitutions=VALUES)
    assert template.output() == "42"
    template.deploy(update=True, Definition=json.loads(text), DefinitionSubstitutions={"Value": "43"})
    assert template.output() == "43"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("StartAt: &a A\nStates: {A: {Type: Succeed, Comment: *a}}\n", "aliases are not supported"),
        ("StartAt: [A\n", "neither JSON nor YAML"),
        ("StartAt: A\nStates: {A: {Type: Pass, Next: B}, C: {Type: Succeed}}\n", "MISSING_TRANSITION_TARGET"),
    ],
)
def test_an_invalid_definition_file_fails_the_stack(template, text, reason):
    with pytest.raises(Exception):
        template.deploy(DefinitionS3Location=template.upload(text))
    assert reason in template.reasons()


def test_a_definition_string_must_be_json(template):
    with pytest.raises(Exception):
        template.deploy(DefinitionString=YAML, DefinitionSubstitutions=VALUES)
    assert "INVALID_JSON_DESCRIPTION" in template.reasons()


def test_an_update_with_an_invalid_definition_is_rolled_back(template):
    valid = machine({"A": DONE})
    template.deploy(DefinitionString=json.dumps(valid))
    with pytest.raises(Exception):
        template.deploy(update=True, DefinitionString=json.dumps(machine({"A": DONE}, start="B")))
    arn = f"arn:aws:states:us-west-2:{HUB}:stateMachine:{template.name}"
    assert json.loads(template.sfn.describe_state_machine(stateMachineArn=arn)["definition"]) == valid
