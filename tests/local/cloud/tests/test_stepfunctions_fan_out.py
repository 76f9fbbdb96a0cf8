"""Step Functions: distributed Map, nested executions, and the PutEvents task."""

import json
import time

import pytest
from conftest import HUB, REGION, allow, deny, wait_for
from support.eventing import allow_organization, receive, bus, assert_no_message, queue, rule
from support.machines import distributed, failing, task

SFN = f"arn:aws:states:{REGION}:{HUB}"
NESTED = "arn:aws:states:::states:startExecution.sync:2"
PUT = "arn:aws:states:::events:putEvents"
MANAGED = f"arn:aws:events:{REGION}:{HUB}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
NESTED_PERMISSIONS = [
    allow("states:StartExecution", f"{SFN}:stateMachine:*"),
    allow(["states:DescribeExecution", "states:StopExecution"], f"{SFN}:execution:*"),
    allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], MANAGED),
    allow("lambda:InvokeFunction"),
]


def test_the_context_of_a_child_contains_the_role_of_the_state_machine(machines, role):
    child = {"A": {"Type": "Pass", "Output": "{% $states.context.Execution.RoleArn %}", "End": True}}
    role_name = role(*NESTED_PERMISSIONS)
    output = machines.output({"M": distributed(child, Items=[1])}, role=role_name)
    assert output == [f"arn:aws:iam::{HUB}:role/{role_name}"]


def test_a_distributed_map_selects_the_input_of_each_child_and_returns_results_in_order(machines, role):
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
    output = machines.output(states, {"items": ["a", "b", "c"]}, role=role(*NESTED_PERMISSIONS))
    assert output == {"out": [{"v": "a!"}, {"v": "b!"}, {"v": "c!"}], "kept": 3}


def test_a_child_cannot_access_the_variables_of_its_parent(machines, role):
    visible = "{% [$exists($outer), $exists($states.context.Map), $states.context.Execution.Input] %}"
    child = {"A": {"Type": "Pass", "Assign": {"inner": 1}, "Output": visible, "End": True}}
    states = {
        "S": {"Type": "Pass", "Assign": {"outer": "!"}, "Next": "M"},
        "M": distributed(child, Items=[7], End=False, Next="E"),
        "E": {"Type": "Succeed", "Output": "{% {'children': $states.input, 'inner': $exists($inner)} %}"},
    }
    output = machines.output(states, role=role(*NESTED_PERMISSIONS))
    assert output == {"children": [[False, False, 7]], "inner": False}


def test_max_concurrency_limits_the_number_of_parallel_children(machines, role):
    child = {"A": {"Type": "Wait", "Seconds": 240, "End": True}}
    started = time.monotonic()
    machines.output({"M": distributed(child, Items=[1, 2, 3, 4], MaxConcurrency=2)}, role=role(*NESTED_PERMISSIONS))
    # Two rounds of 0.2 s.
    assert 0.4 <= time.monotonic() - started < 60


def test_a_distributed_map_without_items_has_no_children(machines, role):
    assert machines.output({"M": distributed({"A": failing(End=True)}, Items=[])}, role=role(*NESTED_PERMISSIONS)) == []


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
def test_a_failed_child_fails_the_map_unless_the_failure_is_tolerated(machines, role, tolerated, error):
    states = {"M": distributed(FAILING_SECOND, Items=[1, 2, 3, 4], **tolerated)}
    ended = machines.run(states, role=role(*NESTED_PERMISSIONS))
    assert ended.get("error") == error
    if error is None:
        results = json.loads(ended["output"])
        assert [results[index] for index in (0, 2, 3)] == ["fine"] * 3


def test_a_map_can_catch_an_exceeded_failure_threshold(machines, role):
    caught = [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Output": "caught", "Next": "E"}]
    states = {"M": distributed(FAILING_SECOND, Items=[1, 2], Catch=caught), "E": {"Type": "Succeed"}}
    assert machines.output(states, role=role(*NESTED_PERMISSIONS)) == "caught"


def test_a_child_is_an_execution_whose_history_contains_inner_states(machines, role):
    inner = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
    child = {"A": {"Type": "Map", "Items": [1, 2], "ItemProcessor": inner, "End": True}}
    machine = machines.create({"M": distributed(child, Items=[1], Label="l")}, role=role(*NESTED_PERMISSIONS))
    execution = machines._sfn.start_execution(stateMachineArn=machine)["executionArn"]
    machines.wait_for_end(execution)
    assert machines.entered(execution) == ["M"]
    children = machines.cloud.get(f"executions/{execution}")["children"]
    assert len(children) == 1 and ":execution:" in children[0] and "/l:" in children[0]
    assert machines.entered(children[0]) == ["A", "I", "I"]


def test_a_distributed_map_requires_permission_to_start_its_state_machine(machines, role):
    states = {"M": distributed({"A": {"Type": "Succeed"}}, Items=[1])}
    ended = machines.run(states, role=role(allow("states:StartExecution", f"{SFN}:stateMachine:another")))
    assert ended["error"] == "StepFunctions.AccessDeniedException"


def test_stop_execution_stops_the_children_of_a_distributed_map(machines, role):
    child = {"A": {"Type": "Wait", "Seconds": 600, "Next": "B"}, "B": {"Type": "Succeed"}}
    execution = machines.start(
        {"M": distributed(child, Items=[1, 2], MaxConcurrency=1)}, role=role(*NESTED_PERMISSIONS)
    )
    wait_for(lambda: machines.entered(execution))
    time.sleep(0.2)
    machines._sfn.stop_execution(executionArn=execution)
    time.sleep(0.8)
    (child,) = machines.cloud.get(f"executions/{execution}")["children"]
    assert machines.entered(child) == ["A"] and machines.describe(child)["status"] == "ABORTED"


def nested(machine, **more):
    arguments = {"StateMachineArn": machine, "Input": {"n": 1}, "Name": "{% $states.input.name %}"}
    return {"Type": "Task", "Resource": NESTED, "Arguments": arguments, "End": True, **more}


def test_a_nested_execution_returns_its_output_as_json(machines, role, name):
    child = machines.create({"A": {"Type": "Succeed", "Output": "{% {'n': $states.input.n + 1} %}"}})
    states = {"A": nested(child, Output="{% [$states.result.Output.n, $states.result.ExecutionArn] %}")}
    number, execution = machines.output(states, {"name": name}, role=role(*NESTED_PERMISSIONS))
    assert number == 2 and execution == f"{child.replace('stateMachine', 'execution')}:{name}"
    assert machines.describe(execution)["status"] == "SUCCEEDED"


def test_a_failed_nested_execution_is_task_failed_with_its_description_as_cause(machines, role, name):
    child = machines.create({"A": {"Type": "Fail", "Error": "Odd", "Cause": "why"}})
    ended = machines.run({"A": nested(child)}, {"name": name}, role=role(*NESTED_PERMISSIONS))
    assert ended["error"] == "States.TaskFailed"
    cause = json.loads(ended["cause"])
    assert (cause["Error"], cause["Cause"], cause["Status"], cause["Name"]) == ("Odd", "why", "FAILED", name)
    assert json.loads(cause["Input"]) == {"n": 1} and cause["StateMachineArn"] == child


def test_a_nested_execution_with_an_existing_name_joins_it_or_fails_after_its_end(machines, role, name):
    child = machines.create({"A": {"Type": "Wait", "Seconds": 600, "End": True}})
    states, role_name = {"A": nested(child, Output="{% $states.result.ExecutionArn %}")}, role(*NESTED_PERMISSIONS)
    first, second = (machines.start(states, {"name": name}, role=role_name) for _ in range(2))
    outputs = [json.loads(machines.wait_for_end(execution)["output"]) for execution in (first, second)]
    assert outputs[0] == outputs[1]
    third = machines.run(states, {"name": name}, role=role_name)
    assert third["error"] == "StepFunctions.ExecutionAlreadyExistsException"


def test_stop_execution_stops_the_nested_execution(machines, role, name):
    child = machines.create({"A": {"Type": "Wait", "Seconds": 86400, "End": True}})
    execution = machines.start({"A": nested(child)}, {"name": name}, role=role(*NESTED_PERMISSIONS))
    nested_arn = f"{child.replace('stateMachine', 'execution')}:{name}"
    wait_for(lambda: nested_arn in {listed["executionArn"] for listed in machines.executions_of(child)})
    machines._sfn.stop_execution(executionArn=execution)
    wait_for(lambda: machines.describe(nested_arn)["status"] == "ABORTED")


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
def test_a_nested_execution_requires_each_permission(machines, role, name, missing):
    child = machines.create({"A": {"Type": "Succeed"}})
    ended = machines.run({"A": nested(child)}, {"name": name}, role=role(*NESTED_PERMISSIONS, missing))
    assert ended["error"].endswith(".AccessDeniedException") and machines.executions_of(child) == []


def test_an_execution_puts_status_change_events(cloud, machines, name):
    url, target = queue(cloud, name)
    machine = machines.create({"A": {"Type": "Fail", "Error": "Odd", "Cause": "why"}})
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [machine]},
    }
    rule(cloud, name, pattern, target)
    execution = machines._sfn.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    (event,) = receive(cloud, url)
    assert event["detail"]["executionArn"] == execution and event["resources"] == [execution]
    assert (event["detail"]["status"], event["detail"]["error"], event["detail"]["cause"]) == ("FAILED", "Odd", "why")


def test_a_nested_execution_puts_status_change_events(cloud, machines, role, name):
    url, target = queue(cloud, name)
    child = machines.create({"A": {"Type": "Succeed"}})
    rule(cloud, name, {"detail": {"stateMachineArn": [child], "status": ["SUCCEEDED"]}}, target)
    machines.output({"A": nested(child)}, {"name": name}, role=role(*NESTED_PERMISSIONS))
    assert receive(cloud, url)[0]["detail"]["name"] == name


def put_events_state(bus_arn, **more):
    """A JSONata state for a JSONPath state machine. Its output is its input."""
    entry = {
        "Source": "custom.source",
        "DetailType": "t",
        "EventBusName": bus_arn,
        "Detail": {"n": "{% $states.input.n %}"},
    }
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


def test_a_jsonata_state_of_a_jsonpath_state_machine_puts_events(cloud, machines, role, name):
    url, target = queue(cloud, name)
    bus_arn = bus(cloud, name, [])
    rule(cloud, name, {"source": ["custom.source"]}, target, bus=name)
    states, role_name = in_jsonpath(put_events_state(bus_arn)), role(allow("events:PutEvents", bus_arn))
    assert machines.output(states, {"m": 7}, role=role_name, QueryLanguage="JSONPath") == {"after": 7}
    (event,) = receive(cloud, url)
    assert event["detail"] == {"n": 7}
    execution, machine = event["resources"]
    assert machine in execution.replace(":execution:", ":stateMachine:")


def test_put_events_requires_permissions_of_the_role_and_of_the_bus_policy(cloud, machines, role, name):
    url, target = queue(cloud, name, "444444444444")
    bus_arn = bus(cloud, name, [allow_organization("*", **{"aws:PrincipalAccount": HUB})], "444444444444")
    rule(cloud, name, {"source": ["custom.source"]}, target, "444444444444", bus=name)
    closed = bus(cloud, f"{name}-closed", [], "444444444444")
    role_name = role(allow("events:PutEvents", [bus_arn, closed]))
    no_permissions = machines.run(in_jsonpath(put_events_state(bus_arn)), {"m": 7}, QueryLanguage="JSONPath")
    denied = machines.run(in_jsonpath(put_events_state(closed)), {"m": 7}, role=role_name, QueryLanguage="JSONPath")
    for ended in (no_permissions, denied):
        assert ended["error"] == "EventBridge.AccessDeniedException"
    assert_no_message(cloud, url, account="444444444444")
    machines.output(in_jsonpath(put_events_state(bus_arn)), {"m": 7}, role=role_name, QueryLanguage="JSONPath")
    assert receive(cloud, url, account="444444444444")[0]["account"] == HUB


def test_a_failed_entry_fails_the_task(cloud, machines, role, name):
    missing = f"arn:aws:events:{REGION}:{HUB}:event-bus/{name}"
    role_name = role(allow("events:PutEvents", "*"))
    source = {"Entries": [{"Source": "aws.custom", "DetailType": "t", "EventBusName": "default", "Detail": {}}]}
    states = in_jsonpath(put_events_state(missing, Arguments=source))
    ended = machines.run(states, {"m": 7}, role=role_name, QueryLanguage="JSONPath")
    assert ended["error"] == "EventBridge.FailedEntry"
    caught = [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.input %}", "Next": "Z"}]
    states = in_jsonpath(put_events_state(missing, Arguments=source, Catch=caught))
    assert machines.output(states, {"m": 7}, role=role_name, QueryLanguage="JSONPath") == {"after": 7}


def test_a_state_can_catch_a_failed_expression(machines, role):
    caught = [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.input %}", "Next": "Z"}]
    invalid = {"Entries": "{% $states.input.no.such.field %}"}
    states = in_jsonpath(put_events_state("default", Arguments=invalid, Catch=caught))
    role_name = role(allow("events:PutEvents", "*"))
    assert machines.output(states, {"m": 7}, role=role_name, QueryLanguage="JSONPath") == {"after": 7}


def test_the_usage_contains_states_invocations_and_processor_time(cloud, machines, role):
    started = time.time()
    before = cloud.get(f"usage/{HUB}/{REGION}?since={started}")
    inner = {"StartAt": "I", "States": {"I": task({"work": 0.3, "sleep": 0.3}, End=True)}}
    child = {"A": {"Type": "Map", "Items": [1, 2], "ItemProcessor": inner, "End": True}}
    machines.output({"M": distributed(child, Items=[1])}, role=role(*NESTED_PERMISSIONS))
    usage = cloud.get(f"usage/{HUB}/{REGION}?since={started}")
    assert (before["states"], before["invocations"]) == (0, 0)
    assert (usage["states"], usage["invocations"]) == (4, 2)
    # Two invocations with 300 ms of processor time each, and possibly a process start. Sleep time is not included.
    assert 550 <= usage["lambdaMilliseconds"] - before["lambdaMilliseconds"] < 1200
    assert cloud.get(f"usage/{HUB}/{REGION}?since={time.time() + 1}")["states"] == 0
