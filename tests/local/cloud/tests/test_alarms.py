"""CloudWatch alarms, SNS topics, schedules and Organizations."""

import json
import time

import pytest
from conftest import HUB, REGION, SOURCE, allow, wait_for
from support.eventing import OUTSIDE_ACCOUNT, assert_no_message, queue, receive, rule, service_role, stack

SFN = f"arn:aws:states:{REGION}:{HUB}"


def topic(name, policy_statements=(), **properties):
    resources = {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name, **properties}}}
    if policy_statements:
        document = {"Version": "2012-10-17", "Statement": list(policy_statements)}
        policy = {"Topics": [{"Ref": "Topic"}], "PolicyDocument": document}
        resources["TopicPolicy"] = {"Type": "AWS::SNS::TopicPolicy", "Properties": policy}
    return resources


def alarm(name, **properties):
    common = {
        "AlarmName": name,
        "AlarmActions": [{"Ref": "Topic"}],
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 1,
        "EvaluationPeriods": 1,
        "TreatMissingData": "notBreaching",
    }
    return {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {**common, **properties}}}


def metric(namespace, name, dimension, statistic="Sum"):
    key, value = dimension
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value}],
        "Period": 60,
        "Statistic": statistic,
    }


def state(cloud, name):
    (described,) = cloud.client("cloudwatch", HUB).describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return described["StateValue"]


def notifications(cloud, name):
    """The messages of an alarm to its topic, as (new state, description)."""
    arn = f"arn:aws:sns:{REGION}:{HUB}:{name}"
    notices = [json.loads(message["message"]) for message in cloud.get(f"messages?topicArn={arn}")["messages"]]
    return [(notice["NewStateValue"], notice["AlarmDescription"]) for notice in notices if notice["AlarmName"] == name]


def test_an_alarm_on_a_queue_is_in_alarm_while_the_queue_has_messages(cloud, name):
    url, _ = queue(cloud, name)
    monitored = metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", ("QueueName", name), "Maximum")
    stack(cloud, name, {**topic(name), **alarm(name, AlarmDescription="check the queue", **monitored)})
    wait_for(lambda: state(cloud, name) == "OK")
    assert notifications(cloud, name) == []
    sqs = cloud.client("sqs", HUB)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    wait_for(lambda: state(cloud, name) == "ALARM")
    assert wait_for(lambda: notifications(cloud, name)) == [("ALARM", "check the queue")]
    sqs.purge_queue(QueueUrl=url)
    wait_for(lambda: state(cloud, name) == "OK")
    assert notifications(cloud, name) == [("ALARM", "check the queue")]


@pytest.mark.parametrize("sender", ["request", "batch", "EventBridge"])
def test_an_alarm_on_sent_messages_returns_to_ok_while_the_message_stays_and_alarms_again(cloud, name, sender):
    url, arn = queue(cloud, name)
    monitored = metric("AWS/SQS", "NumberOfMessagesSent", ("QueueName", name))
    stack(cloud, name, {**topic(name), **alarm(name, AlarmDescription="read the message", **monitored)})
    if sender == "EventBridge":
        missing_function = f"arn:aws:lambda:{REGION}:{HUB}:function:{name}"
        rule(cloud, name, {"source": [name]}, missing_function, DeadLetterConfig={"Arn": arn})
    sqs, events = cloud.client("sqs", HUB), cloud.client("events", HUB)

    def send():
        if sender == "request":
            sqs.send_message(QueueUrl=url, MessageBody="x")
        elif sender == "batch":
            sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "x"}])
        else:
            events.put_events(Entries=[{"Source": name, "DetailType": "t", "Detail": "{}"}])

    wait_for(lambda: state(cloud, name) == "OK")
    assert notifications(cloud, name) == []
    expected = []
    for _ in range(2):
        send()
        expected.append(("ALARM", "read the message"))
        wait_for(lambda: notifications(cloud, name) == expected)
        wait_for(lambda: state(cloud, name) == "OK")
    depth = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    assert depth["Attributes"]["ApproximateNumberOfMessages"] == "2"


@pytest.mark.parametrize("missing", ["notBreaching", "missing", "breaching", "ignore"])
def test_without_data_the_state_of_an_alarm_follows_treat_missing_data(cloud, name, missing):
    monitored = metric("AWS/States", "ExecutionsFailed", ("StateMachineArn", f"{SFN}:stateMachine:none"))
    stack(cloud, name, {**topic(name), **alarm(name, **monitored, TreatMissingData=missing)})
    expected = {"notBreaching": "OK", "breaching": "ALARM"}.get(missing, "INSUFFICIENT_DATA")
    wait_for(lambda: state(cloud, name) == expected)


def test_an_alarm_on_failed_executions_counts_only_its_state_machine(cloud, machines, name):
    failing, other = (machines.create({"A": {"Type": "Fail", "Error": "E", "Cause": "c"}}) for _ in range(2))
    monitored = metric("AWS/States", "ExecutionsFailed", ("StateMachineArn", failing))
    stack(cloud, name, {**topic(name), **alarm(name, **monitored)})
    machines.wait_for_end(machines._sfn.start_execution(stateMachineArn=other)["executionArn"])
    wait_for(lambda: state(cloud, name) == "OK")
    assert notifications(cloud, name) == []
    machines.wait_for_end(machines._sfn.start_execution(stateMachineArn=failing)["executionArn"])
    assert wait_for(lambda: notifications(cloud, name))[0][0] == "ALARM"


def test_data_of_another_dimension_does_not_change_an_alarm(cloud, name):
    monitored = metric(name, "Seen", ("Source", "a"))
    stack(cloud, name, {**topic(name), **alarm(name, **monitored)})
    wait_for(lambda: state(cloud, name) == "OK")
    datum = {"MetricName": "Seen", "Dimensions": [{"Name": "Source", "Value": "b"}], "Value": 5}
    cloud.client("cloudwatch", HUB).put_metric_data(Namespace=name, MetricData=[datum])
    time.sleep(0.2)
    assert state(cloud, name) == "OK" and notifications(cloud, name) == []
    datum["Dimensions"][0]["Value"] = "a"
    cloud.client("cloudwatch", HUB).put_metric_data(Namespace=name, MetricData=[datum])
    assert wait_for(lambda: notifications(cloud, name))[0][0] == "ALARM"


@pytest.mark.parametrize("expression", ["a + b", "SUM(METRICS())", "SUM([a, b])", "FILL(a, 0) + FILL(b, 0)"])
def test_an_alarm_can_sum_metrics(cloud, machines, name, expression):
    states = {"A": {"Type": "Fail", "Error": "E", "Cause": "c"}}
    monitored = [machines.create(states) for _ in range(2)]
    metrics = [{"Id": "sum", "Expression": expression, "ReturnData": True}]
    for identifier, machine in zip("ab", monitored, strict=True):
        source = {"Namespace": "AWS/States", "MetricName": "ExecutionsFailed"}
        source["Dimensions"] = [{"Name": "StateMachineArn", "Value": machine}]
        stat = {"Metric": source, "Period": 300, "Stat": "Sum"}
        metrics.append({"Id": identifier, "MetricStat": stat, "ReturnData": False})
    stack(cloud, name, {**topic(name), **alarm(name, Metrics=metrics, Threshold=2)})
    machines.wait_for_end(machines._sfn.start_execution(stateMachineArn=monitored[0])["executionArn"])
    assert notifications(cloud, name) == []
    for machine in monitored:
        machines._sfn.start_execution(stateMachineArn=machine)
    assert wait_for(lambda: notifications(cloud, name))[0][0] == "ALARM"


@pytest.mark.parametrize("cause", ["policy", "key"])
def test_a_topic_that_does_not_allow_cloudwatch_receives_no_message(cloud, name, cause):
    events_only = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish"}
    events_only["Resource"] = f"arn:aws:sns:{REGION}:{HUB}:{name}"
    closed_topic = topic(name, [events_only]) if cause == "policy" else topic(name, KmsMasterKeyId="alias/aws/sns")
    monitored = metric("AWS/States", "ExecutionsFailed", ("StateMachineArn", f"{SFN}:stateMachine:none"))
    breaching_alarm = alarm(name, **monitored, TreatMissingData="breaching")
    breaching_alarm["Alarm"]["DependsOn"] = list(closed_topic)
    stack(cloud, name, {**closed_topic, **breaching_alarm})
    wait_for(lambda: state(cloud, name) == "ALARM")
    assert notifications(cloud, name) == []


def topic_that_allows(name, principal="events.amazonaws.com"):
    statement = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sns:Publish"}
    return topic(name, [{**statement, "Resource": f"arn:aws:sns:{REGION}:{HUB}:{name}"}])


def test_a_rule_transforms_its_input_for_a_topic(cloud, name):
    stack(cloud, name, topic_that_allows(name))
    arn = f"arn:aws:sns:{REGION}:{HUB}:{name}"
    transformer = {
        "InputPathsMap": {"name": "$.detail.name", "why": "$.detail.error"},
        "InputTemplate": '"<name> failed with <why>: start it again."',
    }
    rule(cloud, name, {"source": [name]}, arn, InputTransformer=transformer)
    entry = {"Source": name, "DetailType": "t", "Detail": json.dumps({"name": "x", "error": "Odd"})}
    cloud.client("events", HUB).put_events(Entries=[entry])
    (message,) = cloud.get(f"messages?topicArn={arn}")["messages"]
    assert message["message"] == '"x failed with Odd: start it again."'


@pytest.mark.parametrize("resources", [topic, lambda name: topic_that_allows(name, "sns.amazonaws.com")])
def test_a_topic_that_does_not_allow_eventbridge_receives_no_message(cloud, name, resources):
    stack(cloud, name, resources(name))
    arn = f"arn:aws:sns:{REGION}:{HUB}:{name}"
    dead_letter_url, dead_letter_arn = queue(cloud, name)
    rule(cloud, name, {"source": [name]}, arn, DeadLetterConfig={"Arn": dead_letter_arn})
    cloud.client("events", HUB).put_events(Entries=[{"Source": name, "DetailType": "t", "Detail": "{}"}])
    assert receive(cloud, dead_letter_url)[0]["source"] == name
    assert cloud.get(f"messages?topicArn={arn}")["messages"] == []


class Schedule:
    """A schedule of a template that starts a state machine."""

    def __init__(self, cloud, machines, name, *statements, **trust):
        self.cloud, self.name, self.machines = cloud, name, machines
        self.machine = machines.create({"A": {"Type": "Succeed"}})
        statements = statements or (allow("states:StartExecution", self.machine),)
        role = service_role(cloud, name, "scheduler.amazonaws.com", *statements, account=HUB, **trust)
        self.dead_letter_url, dead_letter_arn = queue(cloud, name, service=None)
        target = {
            "Arn": self.machine,
            "RoleArn": role,
            "Input": '{"a": 1}',
            "DeadLetterConfig": {"Arn": dead_letter_arn},
        }
        properties = {"Name": name, "ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"}}
        resources = {"S": {"Type": "AWS::Scheduler::Schedule", "Properties": {**properties, "Target": target}}}
        assert stack(cloud, name, resources)[0] == "CREATE_COMPLETE"

    def invoke(self):
        self.cloud.post("schedules", {"account": HUB, "region": REGION, "name": self.name})


def test_a_schedule_starts_its_target_with_its_input(cloud, machines, name):
    group = f"arn:aws:scheduler:{REGION}:{HUB}:schedule-group/default"
    schedule = Schedule(cloud, machines, name, StringEquals={"aws:SourceArn": group, "aws:SourceAccount": HUB})
    assert machines.executions_of(schedule.machine) == []
    schedule.invoke()
    (execution,) = machines.executions_of(schedule.machine)
    assert json.loads(machines.describe(execution["executionArn"])["input"]) == {"a": 1}


@pytest.mark.parametrize("missing", ["permission", "trust"])
def test_a_schedule_requires_a_role_with_permission_and_trust(cloud, machines, name, missing):
    dead_letter = allow("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{HUB}:{name}")
    start = allow("states:StartExecution", f"{SFN}:stateMachine:*")
    statements = (dead_letter, start) if missing == "trust" else (dead_letter,)
    trust = {"StringEquals": {"aws:SourceAccount": SOURCE}} if missing == "trust" else {}
    schedule = Schedule(cloud, machines, name, *statements, **trust)
    schedule.invoke()
    assert machines.executions_of(schedule.machine) == []
    if missing == "permission":
        assert receive(cloud, schedule.dead_letter_url)[0]["source"] == "aws.scheduler"
    else:
        assert_no_message(cloud, schedule.dead_letter_url)


def test_a_schedule_without_a_target_is_refused(cloud, name):
    properties = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"}}
    status, reasons = stack(cloud, name, {"S": {"Type": "AWS::Scheduler::Schedule", "Properties": properties}})
    assert status == "ROLLBACK_COMPLETE" and "[Target] not found" in reasons[0]


class Organization:
    """An organization with 25 accounts in a nested organizational unit."""

    def __init__(self, cloud):
        self.cloud, self.accounts = cloud, [f"5{number:011}" for number in range(25)]
        cloud.post(
            "organization",
            {
                "management": "444444444444",
                "administrators": [HUB],
                "root": "r-abcd",
                "units": {"ou-abcd-workloads": "r-abcd", "ou-abcd-production": "ou-abcd-workloads"},
                "accounts": {account: "ou-abcd-production" for account in self.accounts},
                "suspended": self.accounts[:1],
            },
        )

    def parents(self, child):
        parents = self.cloud.client("organizations", HUB).list_parents(ChildId=child)["Parents"]
        return [(parent["Id"], parent["Type"]) for parent in parents]


@pytest.fixture(scope="module")
def organization(cloud):
    return Organization(cloud)


def test_list_accounts_returns_pages_of_twenty_accounts(cloud, organization):
    client = cloud.client("organizations", HUB)
    assert len(client.list_accounts()["Accounts"]) == 20
    pages = client.get_paginator("list_accounts").paginate()
    accounts = [account for page in pages for account in page["Accounts"]]
    assert [account["Id"] for account in accounts] == organization.accounts
    assert [account["Status"] for account in accounts] == ["SUSPENDED"] + ["ACTIVE"] * 24
    assert [account["State"] for account in accounts] == [account["Status"] for account in accounts]


def test_list_parents_returns_each_parent_up_to_the_root(organization):
    assert organization.parents(organization.accounts[3]) == [("ou-abcd-production", "ORGANIZATIONAL_UNIT")]
    assert organization.parents("ou-abcd-production") == [("ou-abcd-workloads", "ORGANIZATIONAL_UNIT")]
    assert organization.parents("ou-abcd-workloads") == [("r-abcd", "ROOT")]


def test_only_administrators_can_read_an_organization(cloud, organization, client_error):
    cloud.client("organizations", "444444444444").list_accounts()
    assert client_error(cloud.client("organizations", SOURCE).list_accounts)[0] == "AccessDeniedException"
    outside = cloud.client("organizations", OUTSIDE_ACCOUNT)
    assert client_error(outside.list_accounts)[0] == "AWSOrganizationsNotInUseException"
    administrator = cloud.client("organizations", HUB)
    assert client_error(administrator.list_parents, ChildId="777777777777")[0] == "ChildNotFoundException"


def test_list_accounts_requires_permission(cloud, organization, name, client_error):
    session = cloud.role(HUB, name, allow("organizations:ListParents"))
    client = cloud.client("organizations", HUB, session=session)
    client.list_parents(ChildId=organization.accounts[3])
    assert client_error(client.list_accounts)[0].startswith("AccessDenied")


def test_get_parameter_requires_permission(cloud, name, client_error):
    allowed, other = f"/{name}/routes", f"/{name}x/routes"
    for parameter in (allowed, other):
        cloud.client("ssm", HUB).put_parameter(Name=parameter, Value="{}", Type="String")
    statement = allow("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{HUB}:parameter/{name}/*")
    client = cloud.client("ssm", HUB, session=cloud.role(HUB, name, statement))
    assert client.get_parameter(Name=allowed)["Parameter"]["Value"] == "{}"
    assert client_error(client.get_parameter, Name=other)[0] == "AccessDeniedException"
    assert client_error(client.get_parameters, Names=[allowed])[0] == "AccessDeniedException"
    assert client_error(client.get_parameter, Name=f"/{name}/none")[0] == "ParameterNotFound"
