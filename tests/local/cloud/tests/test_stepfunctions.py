"""Step Functions, and the Lambda functions that it invokes."""

import json
import time
from datetime import UTC, datetime

from conftest import HUB, REGION, allow, wait_for
from support.lambdas import create_function
from support.machines import FUNCTION, TASK, failing, mapped, task


def test_a_task_sends_its_payload_and_receives_the_result_of_the_function(machines):
    output = machines.output(
        {"A": task({"a": "{% $states.input.a %}"}, Output="{% $states.result.Payload.event %}", End=True)}, {"a": 1}
    )
    assert output == {"a": 1}


def test_assignments_of_a_state_use_the_previous_variables(machines):
    states = {
        "A": {"Type": "Pass", "Assign": {"a": 1, "b": 2}, "Next": "B"},
        "B": {"Type": "Pass", "Assign": {"a": "{% $b %}", "b": "{% $a %}"}, "Next": "C"},
        "C": {"Type": "Pass", "Output": {"a": "{% $a %}", "b": "{% $b %}"}, "End": True},
    }
    assert machines.output(states) == {"a": 2, "b": 1}


def test_output_is_applied_in_the_default_of_a_choice_and_in_succeed(machines):
    states = {
        "A": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input.n = 1 %}", "Output": "one", "Next": "B"}],
            "Output": "many",
            "Assign": {"seen": "default"},
            "Default": "B",
        },
        "B": {"Type": "Succeed", "Output": "{% $states.input & '!' %}"},
    }
    assert machines.output(states, {"n": 1}) == "one!"
    assert machines.output(states, {"n": 2}) == "many!"


def test_a_choice_without_a_match_fails_with_its_error_name(machines):
    states = {"A": {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "B"}]}, "B": {"Type": "Succeed"}}
    assert machines.run(states)["error"] == "States.NoChoiceMatched"


def test_a_failed_execution_has_an_error_a_cause_and_no_output(machines):
    ended = machines.run({"A": {"Type": "Fail", "Error": "{% 'No' & 'w' %}", "Cause": "why"}})
    assert (ended["status"], ended["error"], ended["cause"], ended.get("output")) == ("FAILED", "Now", "why", None)


def test_a_retrier_has_a_maximum_number_of_attempts_and_a_maximum_delay(machines):
    retry = [
        {"ErrorEquals": ["Odd"], "IntervalSeconds": 60, "BackoffRate": 4, "MaxDelaySeconds": 120, "MaxAttempts": 6}
    ]
    started = time.monotonic()
    ended = machines.run({"A": failing(Retry=retry, End=True)})
    duration = time.monotonic() - started
    # 60 + 5 * 120 seconds on the cloud's clock are 0.55 real seconds. Another maximum delay changes this duration.
    assert ended["error"] == "Odd" and 0.55 <= duration < 40
    assert json.loads(ended["cause"])["errorMessage"] == "requested by the event"


def test_full_jitter_uses_the_whole_delay(machines):
    retry = [
        {"ErrorEquals": ["Odd"], "IntervalSeconds": 600, "BackoffRate": 1, "MaxAttempts": 1, "JitterStrategy": "FULL"}
    ]

    def duration():
        started = time.monotonic()
        machines.run({"A": failing(Retry=retry, End=True)})
        return time.monotonic() - started

    # The maximum delay is 0.5 s. Each run takes at least 0.15 s without the delay.
    wait_for(lambda: duration() < 0.6)


def test_a_catcher_assigns_and_continues(machines):
    caught = {"ErrorEquals": ["States.ALL"], "Assign": {"e": "{% $states.errorOutput.Error %}"}, "Next": "B"}
    states = {"A": failing(Catch=[caught], End=True), "B": {"Type": "Pass", "Output": "{% $e %}", "End": True}}
    assert machines.output(states) == "Odd"


def test_the_role_of_the_state_machine_must_allow_the_task(machines):
    ended = machines.run({"A": task({}, End=True)}, role="no-permissions")
    assert ended["error"] == "Lambda.AWSLambdaException" and "lambda:InvokeFunction" in ended["cause"]


def test_data_over_256_kib_fails_the_execution_unless_the_error_is_named(machines):
    caught = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    states = {"A": task({"big": 262144}, Catch=caught, End=True), "B": {"Type": "Succeed"}}
    assert machines.run(states)["error"] == "States.DataLimitExceeded"
    caught[0]["ErrorEquals"] = ["States.DataLimitExceeded"]
    assert machines.run(states)["status"] == "SUCCEEDED"
    within_limit = {"A": task({"big": 200000}, Output="ok", End=True)}
    assert machines.output(within_limit) == "ok"
    large = "{% $pad('', 262145, 'x') %}"
    for oversized in ({"Assign": {"x": large}}, {"Output": large}):
        states = {"A": {"Type": "Pass", **oversized, "Next": "B"}, "B": {"Type": "Succeed", "Output": "ok"}}
        assert machines.run(states)["error"] == "States.DataLimitExceeded"
    assert machines.run({"A": task(large, Output="ok", End=True)})["error"] == "States.DataLimitExceeded"


def test_input_over_256_kib_is_refused(machines, client_error):
    machine = machines.create({"A": {"Type": "Succeed"}})
    oversized = json.dumps("x" * 262144)
    assert (
        client_error(machines._sfn.start_execution, stateMachineArn=machine, input=oversized)[0]
        == "InvalidExecutionInput"
    )


def test_start_execution_is_idempotent(machines, client_error):
    machine = machines.create({"A": {"Type": "Wait", "Seconds": 600, "End": True}})
    named = {"stateMachineArn": machine, "name": "once"}
    first = machines._sfn.start_execution(**named, input='{"a":1}')
    again = machines._sfn.start_execution(**named, input='{"a":1}')
    assert (again["executionArn"], again["startDate"]) == (first["executionArn"], first["startDate"])
    assert client_error(machines._sfn.start_execution, **named, input='{"a":2}')[0] == "ExecutionAlreadyExists"
    machines.wait_for_end(first["executionArn"])
    assert client_error(machines._sfn.start_execution, **named, input='{"a":1}')[0] == "ExecutionAlreadyExists"


def test_stop_execution_interrupts_a_wait(machines):
    execution = machines.start({"A": {"Type": "Wait", "Seconds": 86400, "Next": "B"}, "B": {"Type": "Succeed"}})
    wait_for(lambda: machines.entered(execution))
    machines._sfn.stop_execution(executionArn=execution, error="E", cause="c")
    assert machines.describe(execution)["status"] == "ABORTED"
    time.sleep(0.3)
    assert machines.entered(execution) == ["A"] and machines.describe(execution)["status"] == "ABORTED"


def test_stop_execution_interrupts_a_retry(machines):
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 600, "BackoffRate": 1, "MaxAttempts": 100}]
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    states = {"A": failing(Retry=retry, Catch=catch, End=True), "B": {"Type": "Succeed"}}
    execution = machines.start(states)
    wait_for(lambda: machines.entered(execution))
    time.sleep(0.3)
    machines._sfn.stop_execution(executionArn=execution)
    time.sleep(0.7)
    assert machines.entered(execution) == ["A"] and machines.describe(execution)["status"] == "ABORTED"


def test_no_state_runs_after_stop_execution_during_a_task(machines):
    states = {"A": task({"sleep": 0.6}, Assign={"a": 1}, Next="B"), "B": {"Type": "Succeed"}}
    execution = machines.start(states)
    wait_for(lambda: machines.entered(execution))
    time.sleep(0.2)
    before = datetime.now(UTC)
    response = machines._sfn.stop_execution(executionArn=execution, error="E", cause="c")
    ended = machines.describe(execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "E", "c")
    assert abs((ended["stopDate"] - before).total_seconds()) < 2 and response["stopDate"] == ended["stopDate"]
    time.sleep(0.9)
    events = machines._sfn.get_execution_history(executionArn=execution)["events"]
    assert events[-1]["type"] == "ExecutionAborted" and machines.entered(execution) == ["A"]
    assert machines.describe(execution) | {"ResponseMetadata": 0} == ended | {"ResponseMetadata": 0}


def test_an_execution_has_a_stop_date_after_its_end(machines):
    running = machines.start({"A": {"Type": "Wait", "Seconds": 6000, "End": True}})
    assert machines.describe(running).get("stopDate") is None and machines.describe(running)["status"] == "RUNNING"
    for execution in (machines.wait_for_end(running), machines.run({"A": failing(End=True)})):
        assert execution["startDate"] < execution["stopDate"] <= datetime.now(UTC)
    assert execution["status"] == "FAILED"


def test_stop_execution_during_a_map_ends_each_item(machines):
    item = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1200, "Next": "V"}, "V": failing(End=True)}}
    states = {
        "A": {
            "Type": "Map",
            "Items": [1, 2],
            "ItemProcessor": item,
            "Output": "{% $states.result[0].no %}",
            "Next": "B",
        },
        "B": {"Type": "Succeed"},
    }
    execution = machines.start(states)
    wait_for(lambda: machines.entered(execution))
    machines._sfn.stop_execution(executionArn=execution)
    time.sleep(1.4)
    events = machines._sfn.get_execution_history(executionArn=execution)["events"]
    assert events[-1]["type"] == "ExecutionAborted" and machines.describe(execution)["status"] == "ABORTED"


def test_a_map_selects_the_input_of_each_item_and_returns_results_in_order(machines):
    inner = {
        "A": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.n = 1 %}", "Next": "W"}], "Default": "B"},
        "W": {"Type": "Wait", "Seconds": 300, "Next": "B"},
        "B": task(
            {"n": "{% $states.input.n %}"}, Output="{% $states.result.Payload.event.n & $states.input.of %}", End=True
        ),
    }
    selector = {"n": "{% $states.context.Map.Item.Value %}", "of": "{% '/' & $states.input.of %}"}
    outer = mapped(
        inner,
        Items="{% $states.input.items %}",
        ItemSelector=selector,
        MaxConcurrency=2,
        Assign={"all": "{% $states.result %}"},
        Output="{% {'out': $states.result} %}",
        Next="C",
    )
    states = {"M": outer, "C": {"Type": "Succeed", "Output": "{% [$all, $states.input.out] %}"}}
    assert machines.output(states, {"items": [1, 2, 3], "of": 3}) == ["1/3", "2/3", "3/3"] * 2
    nothing = {"M": {**outer, "Output": "{% $states.result %}"}, "C": {"Type": "Succeed"}}
    assert machines.output(nothing, {"items": [], "of": 0}) == []


def test_an_item_has_its_own_variables(machines):
    inner = {
        "I": {"Type": "Pass", "Assign": {"item": "{% $states.input %}"}, "Next": "W"},
        "W": {"Type": "Wait", "Seconds": 60, "Next": "J"},
        "J": {"Type": "Pass", "Output": "{% $item & $outer %}", "End": True},
    }
    states = {
        "A": {"Type": "Pass", "Assign": {"outer": "!"}, "Next": "M"},
        "M": mapped(inner, Items=["a", "b"], Next="C"),
        "C": {"Type": "Pass", "Output": {"seen": "{% $exists($item) %}", "items": "{% $states.input %}"}, "End": True},
    }
    assert machines.output(states) == {"seen": False, "items": ["a!", "b!"]}


def test_an_item_that_catches_its_failure_does_not_stop_the_others(machines):
    caught = {
        "ErrorEquals": ["States.ALL"],
        "Output": "{% {'failed': $states.errorOutput.Error, 'item': $states.input} %}",
        "Next": "B",
    }
    inner = {
        "A": task({"error": "{% $states.input = 2 ? 'Odd' : null %}"}, Output="fine", Catch=[caught], Next="B"),
        "B": {"Type": "Pass", "End": True},
    }
    output = machines.output({"M": mapped(inner, Items=[1, 2, 3], End=True)})
    assert output == ["fine", {"failed": "Odd", "item": 2}, "fine"]


def test_an_uncaught_failure_of_an_item_fails_the_map(machines):
    inner = {"A": task({"error": "{% $states.input = 2 ? 'Odd' : null %}"}, End=True)}
    assert machines.run({"M": mapped(inner, Items=[1, 2], End=True)})["error"] == "Odd"
    caught = [{"ErrorEquals": ["Odd"], "Assign": {"e": "{% $states.errorOutput.Error %}"}, "Next": "C"}]
    states = {
        "M": mapped(inner, Items=[1, 2], Catch=caught, End=True),
        "C": {"Type": "Succeed", "Output": "{% $e %}"},
    }
    assert machines.output(states) == "Odd"


def test_an_item_applies_its_own_retriers(machines):
    retry = [{"ErrorEquals": ["Odd"], "IntervalSeconds": 300, "BackoffRate": 1, "MaxAttempts": 2}]
    inner = {"A": failing(Retry=retry, End=True)}
    started = time.monotonic()
    assert machines.run({"M": mapped(inner, Items=[1, 2], End=True)})["error"] == "Odd"
    assert 0.5 <= time.monotonic() - started < 60


def test_describe_execution_requires_permission(cloud, machines, name, client_error):
    executions = [machines.start({"A": {"Type": "Succeed"}}) for _ in range(2)]
    statement = allow("states:DescribeExecution", executions[0].rpartition(":")[0] + ":*")
    sfn = cloud.client("stepfunctions", HUB, session=cloud.role(HUB, name, statement))
    assert sfn.describe_execution(executionArn=executions[0])["executionArn"] == executions[0]
    for operation, execution in ((sfn.describe_execution, executions[1]), (sfn.stop_execution, executions[0])):
        assert client_error(operation, executionArn=execution)[0] == "AccessDeniedException"


def test_a_missing_execution_is_execution_does_not_exist(machines, client_error):
    arn = machines.start({"A": {"Type": "Succeed"}})
    assert client_error(machines._sfn.describe_execution, executionArn=arn + "0")[0] == "ExecutionDoesNotExist"


def test_a_state_machine_can_time_out(machines):
    ended = machines.run({"A": {"Type": "Wait", "Seconds": 86400, "End": True}}, TimeoutSeconds=1)
    assert (ended["status"], ended["error"]) == ("TIMED_OUT", "States.Timeout")


def test_a_task_can_time_out(machines):
    ended = machines.run({"A": task({"sleep": 3}, TimeoutSeconds=1, End=True)})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")


def test_the_timeout_of_a_task_can_be_an_expression(machines):
    limited = task({"sleep": 3}, TimeoutSeconds="{% $states.input.limit %}", End=True)
    ended = machines.run({"A": limited}, {"limit": 1})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")
    completed = task({}, TimeoutSeconds="{% $states.input.limit %}", Output="done", End=True)
    assert machines.output({"A": completed}, {"limit": 30}) == "done"


def test_a_state_can_catch_a_timeout_that_is_not_a_number(machines):
    caught = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "B"}]
    invalid = task({}, TimeoutSeconds="{% 'soon' %}", Catch=caught, Next="B")
    assert machines.output({"A": invalid, "B": {"Type": "Succeed", "Output": "caught"}}) == "caught"


def test_the_context_contains_the_role_of_the_state_machine(machines):
    role = f"arn:aws:iam::{HUB}:role/machine"
    state = {"Type": "Pass", "Output": "{% $states.context.Execution.RoleArn %}", "End": True}
    assert machines.output({"A": state}) == role
    assert machines.output({"M": mapped({"A": state}, Items=[1], End=True)}) == [role]


def test_a_wait_uses_the_clock_of_the_cloud(machines):
    started = time.monotonic()
    machines.run({"A": {"Type": "Wait", "Seconds": "{% 600 %}", "End": True}})
    assert 0.5 <= time.monotonic() - started < 60


def test_a_function_that_exits_is_runtime_exit_error(cloud, machines):
    assert machines.run({"A": task({"exit": True}, End=True)})["error"] == "Runtime.ExitError"
    create_function(cloud, "exits", EXIT_AT_START="yes")
    exits = {**TASK, "Arguments": {"FunctionName": FUNCTION.replace("tested", "exits"), "Payload": {}}, "End": True}
    assert machines.run({"A": exits})["error"] == "Runtime.ExitError"


def test_a_function_has_its_role_and_no_variables_of_the_user(cloud, machines):
    environment = machines.output({"A": task({}, Output="{% $states.result.Payload.environment %}", End=True)})
    assert environment["AWS_ENDPOINT_URL"] == cloud.url and environment["AWS_REGION"] == REGION
    assert environment["AWS_CONFIG_FILE"] == environment["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"
    assert environment["AWS_ACCESS_KEY_ID"].startswith("ASIA") and environment["AWS_SESSION_TOKEN"]
    expected = (
        "AWS_LAMBDA_",
        "AWS_",
        "_HANDLER",
        "LAMBDA_TASK_ROOT",
        "PATH",
        "LANG",
        "LC_",
        "TZ",
        "TMPDIR",
        "PYTHON",
        "_X_AMZN",
    )
    assert [name for name in environment if not name.startswith(expected)] == []
    assert not {"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"} & environment.keys()


def test_a_warm_function_responds_quickly(cloud, machines):
    function = cloud.client("lambda", HUB)
    function.invoke(FunctionName="tested", Payload=b"{}")

    def duration():
        started = time.monotonic()
        function.invoke(FunctionName="tested", Payload=b"{}")
        return time.monotonic() - started

    # A delayed acknowledgement adds 0.04 s to each invocation.
    wait_for(lambda: duration() < 0.035)
