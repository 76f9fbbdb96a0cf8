"""Step Functions and the functions it invokes."""

import json
import time
from datetime import UTC, datetime

from conftest import HUB, REGION, allow, wait_for
from support.lambdas import create_function
from support.machines import FUNCTION, TASK, failing, mapped, task


def test_a_task_sends_its_payload_and_gets_the_result_of_the_function(machines):
    output = machines.output(
        {"A": task({"a": "{% $states.input.a %}"}, Output="{% $states.result.Payload.event %}", End=True)}, {"a": 1}
    )
    assert output == {"a": 1}


def test_assignments_of_a_state_see_the_previous_variables(machines):
    states = {
        "A": {"Type": "Pass", "Assign": {"a": 1, "b": 2}, "Next": "B"},
        "B": {"Type": "Pass", "Assign": {"a": "{% $b %}", "b": "{% $a %}"}, "Next": "C"},
        "C": {"Type": "Pass", "Output": {"a": "{% $a %}", "b": "{% $b %}"}, "End": True},
    }
    assert machines.output(states) == {"a": 2, "b": 1}


def test_output_works_in_the_default_of_a_choice_and_in_succeed(machines):
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


def test_no_matching_choice_has_its_error_name(machines):
    states = {"A": {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "B"}]}, "B": {"Type": "Succeed"}}
    assert machines.run(states)["error"] == "States.NoChoiceMatched"


def test_a_failed_execution_has_its_error_its_cause_and_no_output(machines):
    ended = machines.run({"A": {"Type": "Fail", "Error": "{% 'No' & 'w' %}", "Cause": "why"}})
    assert (ended["status"], ended["error"], ended["cause"], ended.get("output")) == ("FAILED", "Now", "why", None)


def test_retries_match_by_name_and_have_a_maximum_number_and_delay(machines):
    """At 50 ms a minute, ten retries that doubled from an hour would take over an hour."""
    retry = [
        {"ErrorEquals": ["Odd"], "IntervalSeconds": 60, "BackoffRate": 4, "MaxDelaySeconds": 120, "MaxAttempts": 6}
    ]
    began = time.monotonic()
    ended = machines.run({"A": failing(Retry=retry, End=True)})
    took = time.monotonic() - began
    # 60 + 5 * 120 seconds of the cloud's are 0.55 s; without the cap, or with one minute at most, it is otherwise.
    assert ended["error"] == "Odd" and 0.55 <= took < 40
    assert json.loads(ended["cause"])["errorMessage"] == "as asked"


def test_full_jitter_uses_the_whole_delay(machines):
    retry = [
        {"ErrorEquals": ["Odd"], "IntervalSeconds": 600, "BackoffRate": 1, "MaxAttempts": 1, "JitterStrategy": "FULL"}
    ]

    def took():
        began = time.monotonic()
        machines.run({"A": failing(Retry=retry, End=True)})
        return time.monotonic() - began

    # 0.5 s is the whole delay, on top of 0.15 s and more that every run takes.
    wait_for(lambda: took() < 0.6)


def test_a_catcher_assigns_and_continues(machines):
    caught = {"ErrorEquals": ["States.ALL"], "Assign": {"e": "{% $states.errorOutput.Error %}"}, "Next": "B"}
    states = {"A": failing(Catch=[caught], End=True), "B": {"Type": "Pass", "Output": "{% $e %}", "End": True}}
    assert machines.output(states) == "Odd"


def test_the_machines_role_must_allow_the_task(machines):
    ended = machines.run({"A": task({}, End=True)}, role="no-permissions")
    assert ended["error"] == "Lambda.AWSLambdaException" and "lambda:InvokeFunction" in ended["cause"]


def test_data_over_256_kib_ends_the_execution_whatever_is_caught(machines):
    caught = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    states = {"A": task({"big": 262144}, Catch=caught, End=True), "B": {"Type": "Succeed"}}
    assert machines.run(states)["error"] == "States.DataLimitExceeded"
    caught[0]["ErrorEquals"] = ["States.DataLimitExceeded"]
    assert machines.run(states)["status"] == "SUCCEEDED"
    fits = {"A": task({"big": 200000}, Output="ok", End=True)}
    assert machines.output(fits) == "ok"
    large = "{% $pad('', 262145, 'x') %}"
    for too_much in ({"Assign": {"x": large}}, {"Output": large}):
        states = {"A": {"Type": "Pass", **too_much, "Next": "B"}, "B": {"Type": "Succeed", "Output": "ok"}}
        assert machines.run(states)["error"] == "States.DataLimitExceeded"
    assert machines.run({"A": task(large, Output="ok", End=True)})["error"] == "States.DataLimitExceeded"


def test_input_over_256_kib_is_refused(machines, client_error):
    machine = machines.create({"A": {"Type": "Succeed"}})
    too_much = json.dumps("x" * 262144)
    assert client_error(machines._sfn.start_execution, stateMachineArn=machine, input=too_much)[0] == "InvalidExecutionInput"


def test_starting_the_same_execution_twice_starts_one(machines, client_error):
    machine = machines.create({"A": {"Type": "Wait", "Seconds": 600, "End": True}})
    named = {"stateMachineArn": machine, "name": "once"}
    first = machines._sfn.start_execution(**named, input='{"a":1}')
    again = machines._sfn.start_execution(**named, input='{"a":1}')
    assert (again["executionArn"], again["startDate"]) == (first["executionArn"], first["startDate"])
    assert client_error(machines._sfn.start_execution, **named, input='{"a":2}')[0] == "ExecutionAlreadyExists"
    machines.wait_for_end(first["executionArn"])
    assert client_error(machines._sfn.start_execution, **named, input='{"a":1}')[0] == "ExecutionAlreadyExists"


def test_stopping_interrupts_a_wait_and_no_state_follows(machines):
    execution = machines.start({"A": {"Type": "Wait", "Seconds": 86400, "Next": "B"}, "B": {"Type": "Succeed"}})
    wait_for(lambda: machines.entered(execution))
    machines._sfn.stop_execution(executionArn=execution, error="E", cause="c")
    assert machines.describe(execution)["status"] == "ABORTED"
    time.sleep(0.3)
    assert machines.entered(execution) == ["A"] and machines.describe(execution)["status"] == "ABORTED"


def test_stopping_interrupts_a_retry(machines):
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 600, "BackoffRate": 1, "MaxAttempts": 100}]
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    states = {"A": failing(Retry=retry, Catch=catch, End=True), "B": {"Type": "Succeed"}}
    execution = machines.start(states)
    wait_for(lambda: machines.entered(execution))
    time.sleep(0.3)
    machines._sfn.stop_execution(executionArn=execution)
    time.sleep(0.7)
    assert machines.entered(execution) == ["A"] and machines.describe(execution)["status"] == "ABORTED"


def test_stopping_during_a_task_lets_no_state_follow(machines):
    states = {"A": task({"sleep": 0.6}, Assign={"a": 1}, Next="B"), "B": {"Type": "Succeed"}}
    execution = machines.start(states)
    wait_for(lambda: machines.entered(execution))
    time.sleep(0.2)
    before = datetime.now(UTC)
    answer = machines._sfn.stop_execution(executionArn=execution, error="E", cause="c")
    ended = machines.describe(execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "E", "c")
    assert abs((ended["stopDate"] - before).total_seconds()) < 2 and answer["stopDate"] == ended["stopDate"]
    time.sleep(0.9)
    events = machines._sfn.get_execution_history(executionArn=execution)["events"]
    assert events[-1]["type"] == "ExecutionAborted" and machines.entered(execution) == ["A"]
    assert machines.describe(execution) | {"ResponseMetadata": 0} == ended | {"ResponseMetadata": 0}


def test_an_execution_has_a_stop_date_once_it_has_ended(machines):
    running = machines.start({"A": {"Type": "Wait", "Seconds": 6000, "End": True}})
    assert machines.describe(running).get("stopDate") is None and machines.describe(running)["status"] == "RUNNING"
    for execution in (machines.wait_for_end(running), machines.run({"A": failing(End=True)})):
        assert execution["startDate"] < execution["stopDate"] <= datetime.now(UTC)
    assert execution["status"] == "FAILED"


def test_stopping_during_a_map_ends_each_of_its_items(machines):
    item = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1200, "Next": "V"}, "V": failing(End=True)}}
    states = {
        "A": {"Type": "Map", "Items": [1, 2], "ItemProcessor": item, "Output": "{% $states.result[0].no %}", "Next": "B"},
        "B": {"Type": "Succeed"},
    }
    execution = machines.start(states)
    wait_for(lambda: machines.entered(execution))
    machines._sfn.stop_execution(executionArn=execution)
    time.sleep(1.4)
    events = machines._sfn.get_execution_history(executionArn=execution)["events"]
    assert events[-1]["type"] == "ExecutionAborted" and machines.describe(execution)["status"] == "ABORTED"


def test_a_map_selects_the_input_of_each_item_and_keeps_the_order(machines):
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


def test_variables_of_an_item_are_its_own(machines):
    inner = {
        "I": {"Type": "Pass", "Assign": {"mine": "{% $states.input %}"}, "Next": "W"},
        "W": {"Type": "Wait", "Seconds": 60, "Next": "J"},
        "J": {"Type": "Pass", "Output": "{% $mine & $outer %}", "End": True},
    }
    states = {
        "A": {"Type": "Pass", "Assign": {"outer": "!"}, "Next": "M"},
        "M": mapped(inner, Items=["a", "b"], Next="C"),
        "C": {"Type": "Pass", "Output": {"seen": "{% $exists($mine) %}", "items": "{% $states.input %}"}, "End": True},
    }
    assert machines.output(states) == {"seen": False, "items": ["a!", "b!"]}


def test_an_item_catches_its_own_failure_and_the_others_continue(machines):
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


def test_an_item_that_catches_nothing_fails_the_map_which_may_catch_it(machines):
    inner = {"A": task({"error": "{% $states.input = 2 ? 'Odd' : null %}"}, End=True)}
    assert machines.run({"M": mapped(inner, Items=[1, 2], End=True)})["error"] == "Odd"
    caught = [{"ErrorEquals": ["Odd"], "Assign": {"e": "{% $states.errorOutput.Error %}"}, "Next": "C"}]
    states = {
        "M": mapped(inner, Items=[1, 2], Catch=caught, End=True),
        "C": {"Type": "Succeed", "Output": "{% $e %}"},
    }
    assert machines.output(states) == "Odd"


def test_an_item_retries_on_its_own(machines):
    retry = [{"ErrorEquals": ["Odd"], "IntervalSeconds": 300, "BackoffRate": 1, "MaxAttempts": 2}]
    inner = {"A": failing(Retry=retry, End=True)}
    began = time.monotonic()
    assert machines.run({"M": mapped(inner, Items=[1, 2], End=True)})["error"] == "Odd"
    assert 0.5 <= time.monotonic() - began < 60


def test_describing_an_execution_needs_a_permission_on_it(cloud, machines, name, client_error):
    executions = [machines.start({"A": {"Type": "Succeed"}}) for _ in range(2)]
    may = allow("states:DescribeExecution", executions[0].rpartition(":")[0] + ":*")
    sfn = cloud.client("stepfunctions", HUB, session=cloud.role(HUB, name, may))
    assert sfn.describe_execution(executionArn=executions[0])["executionArn"] == executions[0]
    for refused, execution in ((sfn.describe_execution, executions[1]), (sfn.stop_execution, executions[0])):
        assert client_error(refused, executionArn=execution)[0] == "AccessDeniedException"


def test_a_missing_execution_has_its_error_name(machines, client_error):
    arn = machines.start({"A": {"Type": "Succeed"}})
    assert client_error(machines._sfn.describe_execution, executionArn=arn + "0")[0] == "ExecutionDoesNotExist"


def test_a_machine_times_out(machines):
    ended = machines.run({"A": {"Type": "Wait", "Seconds": 86400, "End": True}}, TimeoutSeconds=1)
    assert (ended["status"], ended["error"]) == ("TIMED_OUT", "States.Timeout")


def test_a_task_times_out(machines):
    ended = machines.run({"A": task({"sleep": 3}, TimeoutSeconds=1, End=True)})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")


def test_the_time_limit_of_a_task_may_be_an_expression(machines):
    limited = task({"sleep": 3}, TimeoutSeconds="{% $states.input.limit %}", End=True)
    ended = machines.run({"A": limited}, {"limit": 1})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")
    quick = task({}, TimeoutSeconds="{% $states.input.limit %}", Output="done", End=True)
    assert machines.output({"A": quick}, {"limit": 30}) == "done"


def test_a_time_limit_that_is_not_a_number_is_an_error_that_the_state_can_catch(machines):
    caught = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "B"}]
    wrong = task({}, TimeoutSeconds="{% 'soon' %}", Catch=caught, Next="B")
    assert machines.output({"A": wrong, "B": {"Type": "Succeed", "Output": "caught"}}) == "caught"


def test_the_context_names_the_role_of_the_machine(machines):
    role = f"arn:aws:iam::{HUB}:role/machine"
    shown = {"Type": "Pass", "Output": "{% $states.context.Execution.RoleArn %}", "End": True}
    assert machines.output({"A": shown}) == role
    assert machines.output({"M": mapped({"A": shown}, Items=[1], End=True)}) == [role]


def test_a_wait_follows_the_clock_of_the_cloud(machines):
    began = time.monotonic()
    machines.run({"A": {"Type": "Wait", "Seconds": "{% 600 %}", "End": True}})
    assert 0.5 <= time.monotonic() - began < 60


def test_a_function_that_exits_has_its_error_name(cloud, machines):
    assert machines.run({"A": task({"exit": True}, End=True)})["error"] == "Runtime.ExitError"
    create_function(cloud, "dead", EXIT_AT_START="yes")
    dead = {**TASK, "Arguments": {"FunctionName": FUNCTION.replace("tested", "dead"), "Payload": {}}, "End": True}
    assert machines.run({"A": dead})["error"] == "Runtime.ExitError"


def test_a_function_gets_its_role_and_none_of_the_users_variables(cloud, machines):
    environment = machines.output({"A": task({}, Output="{% $states.result.Payload.environment %}", End=True)})
    assert environment["AWS_ENDPOINT_URL"] == cloud.url and environment["AWS_REGION"] == REGION
    assert environment["AWS_CONFIG_FILE"] == environment["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"
    assert environment["AWS_ACCESS_KEY_ID"].startswith("ASIA") and environment["AWS_SESSION_TOKEN"]
    wanted = (
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
    assert [name for name in environment if not name.startswith(wanted)] == []
    assert not {"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"} & environment.keys()


def test_a_warm_function_answers_quickly(cloud, machines):
    function = cloud.client("lambda", HUB)
    function.invoke(FunctionName="tested", Payload=b"{}")

    def took():
        began = time.monotonic()
        function.invoke(FunctionName="tested", Payload=b"{}")
        return time.monotonic() - began

    # A delayed acknowledgement adds 0.04 s to every single one.
    wait_for(lambda: took() < 0.035)
