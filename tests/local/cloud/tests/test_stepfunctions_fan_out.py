"""Step Functions: distributed Map, executions that wait for others, and the task that puts events."""

import json
import time

import pytest
from conftest import HUB, REGION, allow, deny, policy, wait_for
from support.eventing import admit, arrived, bus, nothing_arrives, queue, rule
from support.machines import failing, task

SFN = f"arn:aws:states:{REGION}:{HUB}"
NESTED = "arn:aws:states:::states:startExecution.sync:2"
PUT = "arn:aws:states:::events:putEvents"
MANAGED = f"arn:aws:events:{REGION}:{HUB}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
MAY_NEST = [
    allow("states:StartExecution", f"{SFN}:stateMachine:*"),
    allow(["states:DescribeExecution", "states:StopExecution"], f"{SFN}:execution:*"),
    allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], MANAGED),
    allow("lambda:InvokeFunction"),
]


@pytest.fixture
def role(cloud, name):
    """Makes a machine's role with these rights; answers its name."""

    def make(*statements):
        trust = policy(
            {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
        )
        iam = cloud.client("iam", HUB)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))
        return name

    return make


def distributed(states, **more):
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": next(iter(states)),
        "States": states,
    }
    return {"Type": "Map", "ItemProcessor": processor, "End": True, **more}


def test_the_context_of_a_child_names_the_role_of_the_machine(machines, role):
    child = {"A": {"Type": "Pass", "Output": "{% $states.context.Execution.RoleArn %}", "End": True}}
    fan_out = role(*MAY_NEST)
    output = machines.output({"M": distributed(child, Items=[1])}, role=fan_out)
    assert output == [f"arn:aws:iam::{HUB}:role/{fan_out}"]


def test_a_distributed_map_selects_the_input_of_each_child_and_keeps_the_order(machines, role):
    child = {"A": task({"n": "{% $states.input %}"}, Output="{% $states.result.Payload.event.n %}", End=True)}
    selector = "{% $states.context.Map.Item.Value & $suffix %}"
    states = {
        "S": {"Type": "Pass", "Assign": {"suffix": "!"}, "Next": "M"},
        "M": distributed(
            child,
            Items="{% $states.input.items %}",
            ItemSelector={"v": selector},
            Output="{% {'out': $states.result} %}",
            Assign={"kept": "{% $count($states.result) %}"},
            End=False,
            Next="E",
        ),
        "E": {"Type": "Succeed", "Output": "{% $merge([$states.input, {'kept': $kept}]) %}"},
    }
    output = machines.output(states, {"items": ["a", "b", "c"]}, role=role(*MAY_NEST))
    assert output == {"out": [{"v": "a!"}, {"v": "b!"}, {"v": "c!"}], "kept": 3}


def test_a_child_does_not_see_the_variables_of_its_parent(machines, role):
    seen = "{% [$exists($outer), $exists($states.context.Map), $states.context.Execution.Input] %}"
    child = {"A": {"Type": "Pass", "Assign": {"mine": 1}, "Output": seen, "End": True}}
    states = {
        "S": {"Type": "Pass", "Assign": {"outer": "!"}, "Next": "M"},
        "M": distributed(child, Items=[7], End=False, Next="E"),
        "E": {"Type": "Succeed", "Output": "{% {'children': $states.input, 'mine': $exists($mine)} %}"},
    }
    output = machines.output(states, role=role(*MAY_NEST))
    assert output == {"children": [[False, False, 7]], "mine": False}


def test_no_more_children_run_at_once_than_max_concurrency(machines, role):
    child = {"A": {"Type": "Wait", "Seconds": 240, "End": True}}
    began = time.monotonic()
    machines.output({"M": distributed(child, Items=[1, 2, 3, 4], MaxConcurrency=2)}, role=role(*MAY_NEST))
    # Two rounds of 0.2 s.
    assert 0.4 <= time.monotonic() - began < 60


def test_without_items_there_are_no_children(machines, role):
    assert machines.output({"M": distributed({"A": failing(End=True)}, Items=[])}, role=role(*MAY_NEST)) == []


FAILING_SECOND = {"A": task({"error": "{% $states.input = 2 ? 'Odd' : null %}"}, Output="fine", End=True)}


@pytest.mark.parametrize(
    ("tolerated", "error"),
    [
        ({}, "States.ExceedToleratedFailureThreshold"),
        ({"ToleratedFailurePercentage": 24}, "States.ExceedToleratedFailureThreshold"),
        ({"ToleratedFailurePercentage": 25}, None),
        ({"ToleratedFailureCount": 0}, "States.ExceedToleratedFailureThreshold"),
        ({"ToleratedFailureCount": 1}, None),
        ({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 1}, "States.ExceedToleratedFailureThreshold"),
    ],
)
def test_a_failing_child_fails_the_map_unless_it_is_tolerated(machines, role, tolerated, error):
    states = {"M": distributed(FAILING_SECOND, Items=[1, 2, 3, 4], **tolerated)}
    ended = machines.run(states, role=role(*MAY_NEST))
    assert ended.get("error") == error
    if error is None:
        results = json.loads(ended["output"])
        assert [results[index] for index in (0, 2, 3)] == ["fine"] * 3


def test_a_map_catches_an_exceeded_threshold(machines, role):
    caught = [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Output": "caught", "Next": "E"}]
    states = {"M": distributed(FAILING_SECOND, Items=[1, 2], Catch=caught), "E": {"Type": "Succeed"}}
    assert machines.output(states, role=role(*MAY_NEST)) == "caught"


def test_children_are_executions_with_a_history_that_shows_inner_states(machines, role):
    inner = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
    child = {"A": {"Type": "Map", "Items": [1, 2], "ItemProcessor": inner, "End": True}}
    machine = machines.make({"M": distributed(child, Items=[1], Label="l")}, role=role(*MAY_NEST))
    execution = machines._sfn.start_execution(stateMachineArn=machine)["executionArn"]
    machines.end(execution)
    assert machines.entered(execution) == ["M"]
    listed = machines.cloud.get(f"executions/{execution}")["children"]
    assert len(listed) == 1 and ":execution:" in listed[0] and "/l:" in listed[0]
    assert machines.entered(listed[0]) == ["A", "I", "I"]


def test_a_distributed_map_needs_the_permission_to_start_its_own_machine(machines, role):
    states = {"M": distributed({"A": {"Type": "Succeed"}}, Items=[1])}
    ended = machines.run(states, role=role(allow("states:StartExecution", f"{SFN}:stateMachine:another")))
    assert ended["error"] == "StepFunctions.AccessDeniedException"


def test_stopping_a_distributed_map_stops_its_children(machines, role):
    child = {"A": {"Type": "Wait", "Seconds": 600, "Next": "B"}, "B": {"Type": "Succeed"}}
    execution = machines.start({"M": distributed(child, Items=[1, 2], MaxConcurrency=1)}, role=role(*MAY_NEST))
    wait_for(lambda: machines.entered(execution))
    time.sleep(0.2)
    machines._sfn.stop_execution(executionArn=execution)
    time.sleep(0.8)
    (only,) = machines.cloud.get(f"executions/{execution}")["children"]
    assert machines.entered(only) == ["A"] and machines.describe(only)["status"] == "ABORTED"


def nested(machine, **more):
    arguments = {"StateMachineArn": machine, "Input": {"n": 1}, "Name": "{% $states.input.name %}"}
    return {"Type": "Task", "Resource": NESTED, "Arguments": arguments, "End": True, **more}


def test_a_nested_execution_is_an_execution_and_returns_its_output_as_json(machines, role, name):
    child = machines.make({"A": {"Type": "Succeed", "Output": "{% {'n': $states.input.n + 1} %}"}})
    states = {"A": nested(child, Output="{% [$states.result.Output.n, $states.result.ExecutionArn] %}")}
    number, execution = machines.output(states, {"name": name}, role=role(*MAY_NEST))
    assert number == 2 and execution == f"{child.replace('stateMachine', 'execution')}:{name}"
    assert machines.describe(execution)["status"] == "SUCCEEDED"


def test_a_nested_failure_is_task_failed_with_the_execution_as_its_cause(machines, role, name):
    child = machines.make({"A": {"Type": "Fail", "Error": "Odd", "Cause": "why"}})
    ended = machines.run({"A": nested(child)}, {"name": name}, role=role(*MAY_NEST))
    assert ended["error"] == "States.TaskFailed"
    cause = json.loads(ended["cause"])
    assert (cause["Error"], cause["Cause"], cause["Status"], cause["Name"]) == ("Odd", "why", "FAILED", name)
    assert json.loads(cause["Input"]) == {"n": 1} and cause["StateMachineArn"] == child


def test_a_nested_execution_of_the_same_name_joins_a_running_one_and_fails_afterwards(machines, role, name):
    child = machines.make({"A": {"Type": "Wait", "Seconds": 600, "End": True}})
    states, rights = {"A": nested(child, Output="{% $states.result.ExecutionArn %}")}, role(*MAY_NEST)
    first, second = (machines.start(states, {"name": name}, role=rights) for _ in range(2))
    outputs = [json.loads(machines.end(execution)["output"]) for execution in (first, second)]
    assert outputs[0] == outputs[1]
    third = machines.run(states, {"name": name}, role=rights)
    assert third["error"] == "StepFunctions.ExecutionAlreadyExistsException"


def test_stopping_stops_the_nested_execution(machines, role, name):
    child = machines.make({"A": {"Type": "Wait", "Seconds": 86400, "End": True}})
    execution = machines.start({"A": nested(child)}, {"name": name}, role=role(*MAY_NEST))
    there = f"{child.replace('stateMachine', 'execution')}:{name}"
    wait_for(lambda: there in {one["executionArn"] for one in machines.of(child)})
    machines._sfn.stop_execution(executionArn=execution)
    wait_for(lambda: machines.describe(there)["status"] == "ABORTED")


@pytest.mark.parametrize(
    "missing",
    [
        deny("states:StartExecution"),
        deny("states:DescribeExecution"),
        deny("states:StopExecution"),
        deny("events:PutRule"),
        deny("events:PutTargets"),
        deny("events:DescribeRule"),
    ],
    ids=lambda statement: statement["Action"].partition(":")[2],
)
def test_waiting_for_a_nested_execution_needs_each_permission(machines, role, name, missing):
    child = machines.make({"A": {"Type": "Succeed"}})
    ended = machines.run({"A": nested(child)}, {"name": name}, role=role(*MAY_NEST, missing))
    assert ended["error"].endswith(".AccessDeniedException") and machines.of(child) == []


def test_an_execution_puts_status_change_events(cloud, machines, name):
    url, target = queue(cloud, name)
    machine = machines.make({"A": {"Type": "Fail", "Error": "Odd", "Cause": "why"}})
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [machine]},
    }
    rule(cloud, name, pattern, target)
    execution = machines._sfn.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    (event,) = arrived(cloud, url)
    assert event["detail"]["executionArn"] == execution and event["resources"] == [execution]
    assert (event["detail"]["status"], event["detail"]["error"], event["detail"]["cause"]) == ("FAILED", "Odd", "why")


def test_a_nested_execution_puts_status_change_events(cloud, machines, role, name):
    url, target = queue(cloud, name)
    child = machines.make({"A": {"Type": "Succeed"}})
    rule(cloud, name, {"detail": {"stateMachineArn": [child], "status": ["SUCCEEDED"]}}, target)
    machines.output({"A": nested(child)}, {"name": name}, role=role(*MAY_NEST))
    assert arrived(cloud, url)[0]["detail"]["name"] == name


def putting(there, **more):
    """A state in JSONata within a machine in JSONPath, that passes its input on."""
    entry = {"Source": "our.own", "DetailType": "t", "EventBusName": there, "Detail": {"n": "{% $states.input.n %}"}}
    return {
        "Type": "Task",
        "QueryLanguage": "JSONata",
        "Resource": PUT,
        "Arguments": {"Entries": [entry]},
        "Output": "{% $states.input %}",
        "Next": "Z",
        **more,
    }


def in_jsonpath(state):
    return {
        "A": {"Type": "Pass", "Parameters": {"n.$": "$.m"}, "Next": "P"},
        "P": state,
        "Z": {"Type": "Pass", "Parameters": {"after.$": "$.n"}, "End": True},
    }


def test_events_are_put_onto_a_bus_by_a_jsonata_state_of_a_jsonpath_machine(cloud, machines, role, name):
    url, target = queue(cloud, name)
    there = bus(cloud, name, [])
    rule(cloud, name, {"source": ["our.own"]}, target, bus=name)
    states, rights = in_jsonpath(putting(there)), role(allow("events:PutEvents", there))
    assert machines.output(states, {"m": 7}, role=rights, QueryLanguage="JSONPath") == {"after": 7}
    (event,) = arrived(cloud, url)
    assert event["detail"] == {"n": 7}
    execution, machine = event["resources"]
    assert machine in execution.replace(":execution:", ":stateMachine:")


def test_putting_events_needs_the_permission_of_the_machine_and_the_policy_of_the_other_account(cloud, machines, role, name):
    url, target = queue(cloud, name, "444444444444")
    there = bus(cloud, name, [admit("*", **{"aws:PrincipalAccount": HUB})], "444444444444")
    rule(cloud, name, {"source": ["our.own"]}, target, "444444444444", bus=name)
    closed = bus(cloud, f"{name}-closed", [], "444444444444")
    rights = role(allow("events:PutEvents", [there, closed]))
    powerless = machines.run(in_jsonpath(putting(there)), {"m": 7}, QueryLanguage="JSONPath")
    refused = machines.run(in_jsonpath(putting(closed)), {"m": 7}, role=rights, QueryLanguage="JSONPath")
    for ended in (powerless, refused):
        assert ended["error"] == "EventBridge.AccessDeniedException"
    nothing_arrives(cloud, url, account="444444444444")
    machines.output(in_jsonpath(putting(there)), {"m": 7}, role=rights, QueryLanguage="JSONPath")
    assert arrived(cloud, url, account="444444444444")[0]["account"] == HUB


def test_a_failed_entry_fails_the_task(cloud, machines, role, name):
    missing = f"arn:aws:events:{REGION}:{HUB}:event-bus/{name}"
    rights = role(allow("events:PutEvents", "*"))
    source = {"Entries": [{"Source": "aws.ours", "DetailType": "t", "EventBusName": "default", "Detail": {}}]}
    states = in_jsonpath(putting(missing, Arguments=source))
    ended = machines.run(states, {"m": 7}, role=rights, QueryLanguage="JSONPath")
    assert ended["error"] == "EventBridge.FailedEntry"
    caught = [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.input %}", "Next": "Z"}]
    states = in_jsonpath(putting(missing, Arguments=source, Catch=caught))
    assert machines.output(states, {"m": 7}, role=rights, QueryLanguage="JSONPath") == {"after": 7}


def test_an_expression_that_fails_is_caught_like_any_error(machines, role):
    caught = [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.input %}", "Next": "Z"}]
    wrong = {"Entries": "{% $states.input.no.such.field %}"}
    states = in_jsonpath(putting("default", Arguments=wrong, Catch=caught))
    rights = role(allow("events:PutEvents", "*"))
    assert machines.output(states, {"m": 7}, role=rights, QueryLanguage="JSONPath") == {"after": 7}


def test_the_usage_of_executions_is_counted(cloud, machines, role):
    began = time.time()
    before = cloud.get(f"costs/{HUB}/{REGION}?since={began}")
    inner = {"StartAt": "I", "States": {"I": task({"work": 0.3, "sleep": 0.3}, End=True)}}
    child = {"A": {"Type": "Map", "Items": [1, 2], "ItemProcessor": inner, "End": True}}
    machines.output({"M": distributed(child, Items=[1])}, role=role(*MAY_NEST))
    cost = cloud.get(f"costs/{HUB}/{REGION}?since={began}")
    assert (before["states"], before["invocations"]) == (0, 0)
    assert (cost["states"], cost["invocations"]) == (4, 2)
    # Two functions that work for 300 ms each, and perhaps a process to begin; not that they sleep.
    assert 550 <= cost["lambdaMilliseconds"] - before["lambdaMilliseconds"] < 1200
    assert cloud.get(f"costs/{HUB}/{REGION}?since={time.time() + 1}")["states"] == 0
