"""CloudWatch alarms, SNS topics, schedules and Organizations."""

import json
import time

import pytest
from conftest import HUB, REGION, SOURCE, allow, wait_for
from support.eventing import OUTSIDE_ACCOUNT, receive, assert_no_message, queue, rule, service_role, stack

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
    (found,) = cloud.client("cloudwatch", HUB).describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return found["StateValue"]


def notifications(cloud, name):
    """The messages of an alarm to its topic, as (new state, description)."""
    arn = f"arn:aws:sns:{REGION}:{HUB}:{name}"
    said = [json.loads(message["message"]) for message in cloud.get(f"messages?topicArn={arn}")["messages"]]
    return [(one["NewStateValue"], one["AlarmDescription"]) for one in said if one["AlarmName"] == name]


def test_an_alarm_on_a_queue_is_in_alarm_while_the_queue_has_messages(cloud, name):
    url, _ = queue(cloud, name)
    watched = metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", ("QueueName", name), "Maximum")
    stack(cloud, name, {**topic(name), **alarm(name, AlarmDescription="look into it", **watched)})
    wait_for(lambda: state(cloud, name) == "OK")
    assert notifications(cloud, name) == []
    sqs = cloud.client("sqs", HUB)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    wait_for(lambda: state(cloud, name) == "ALARM")
    assert wait_for(lambda: notifications(cloud, name)) == [("ALARM", "look into it")]
    sqs.purge_queue(QueueUrl=url)
    wait_for(lambda: state(cloud, name) == "OK")
    assert notifications(cloud, name) == [("ALARM", "look into it")]


@pytest.mark.parametrize("missing", ["notBreaching", "missing", "breaching", "ignore"])
def test_without_data_an_alarm_has_the_state_of_its_missing_data_treatment(cloud, name, missing):
    watched = metric("AWS/States", "ExecutionsFailed", ("StateMachineArn", f"{SFN}:stateMachine:none"))
    stack(cloud, name, {**topic(name), **alarm(name, **watched, TreatMissingData=missing)})
    silent = {"notBreaching": "OK", "breaching": "ALARM"}.get(missing, "INSUFFICIENT_DATA")
    wait_for(lambda: state(cloud, name) == silent)


def test_an_alarm_on_failed_executions_counts_its_own_machine_only(cloud, machines, name):
    failing, other = (machines.create({"A": {"Type": "Fail", "Error": "E", "Cause": "c"}}) for _ in range(2))
    watched = metric("AWS/States", "ExecutionsFailed", ("StateMachineArn", failing))
    stack(cloud, name, {**topic(name), **alarm(name, **watched)})
    machines.wait_for_end(machines._sfn.start_execution(stateMachineArn=other)["executionArn"])
    wait_for(lambda: state(cloud, name) == "OK")
    assert notifications(cloud, name) == []
    machines.wait_for_end(machines._sfn.start_execution(stateMachineArn=failing)["executionArn"])
    assert wait_for(lambda: notifications(cloud, name))[0][0] == "ALARM"


def test_putting_data_of_another_dimension_does_not_change_an_alarm(cloud, name):
    watched = metric(name, "Seen", ("Who", "a"))
    stack(cloud, name, {**topic(name), **alarm(name, **watched)})
    wait_for(lambda: state(cloud, name) == "OK")
    datum = {"MetricName": "Seen", "Dimensions": [{"Name": "Who", "Value": "b"}], "Value": 5}
    cloud.client("cloudwatch", HUB).put_metric_data(Namespace=name, MetricData=[datum])
    time.sleep(0.2)
    assert state(cloud, name) == "OK" and notifications(cloud, name) == []
    datum["Dimensions"][0]["Value"] = "a"
    cloud.client("cloudwatch", HUB).put_metric_data(Namespace=name, MetricData=[datum])
    assert [one for one, _ in wait_for(lambda: notifications(cloud, name))][0] == "ALARM"


@pytest.mark.parametrize(
    "expression", ["a + b", "SUM(METRICS())", "SUM([a, b])", "FILL(a, 0) + FILL(b, 0)"]
)
def test_an_alarm_may_sum_metrics(cloud, machines, name, expression):
    states = {"A": {"Type": "Fail", "Error": "E", "Cause": "c"}}
    watched = [machines.create(states) for _ in range(2)]
    metrics = [{"Id": "sum", "Expression": expression, "ReturnData": True}]
    for identifier, machine in zip("ab", watched, strict=True):
        of = {"Namespace": "AWS/States", "MetricName": "ExecutionsFailed"}
        of["Dimensions"] = [{"Name": "StateMachineArn", "Value": machine}]
        stat = {"Metric": of, "Period": 300, "Stat": "Sum"}
        metrics.append({"Id": identifier, "MetricStat": stat, "ReturnData": False})
    stack(cloud, name, {**topic(name), **alarm(name, Metrics=metrics, Threshold=2)})
    machines.wait_for_end(machines._sfn.start_execution(stateMachineArn=watched[0])["executionArn"])
    assert notifications(cloud, name) == []
    for machine in watched:
        machines._sfn.start_execution(stateMachineArn=machine)
    assert wait_for(lambda: notifications(cloud, name))[0][0] == "ALARM"


@pytest.mark.parametrize("barred", ["policy", "key"])
def test_a_topic_that_does_not_admit_alarms_gets_no_message(cloud, name, barred):
    events_only = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish"}
    events_only["Resource"] = f"arn:aws:sns:{REGION}:{HUB}:{name}"
    closed = topic(name, [events_only]) if barred == "policy" else topic(name, KmsMasterKeyId="alias/aws/sns")
    watched = metric("AWS/States", "ExecutionsFailed", ("StateMachineArn", f"{SFN}:stateMachine:none"))
    rung = alarm(name, **watched, TreatMissingData="breaching")
    rung["Alarm"]["DependsOn"] = list(closed)
    stack(cloud, name, {**closed, **rung})
    wait_for(lambda: state(cloud, name) == "ALARM")
    assert notifications(cloud, name) == []


def publishing(name, principal="events.amazonaws.com"):
    statement = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sns:Publish"}
    return topic(name, [{**statement, "Resource": f"arn:aws:sns:{REGION}:{HUB}:{name}"}])


def test_a_rule_transforms_its_input_for_a_topic(cloud, name):
    stack(cloud, name, publishing(name))
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


@pytest.mark.parametrize("resources", [topic, lambda name: publishing(name, "sns.amazonaws.com")])
def test_a_topic_that_does_not_admit_events_gets_no_message(cloud, name, resources):
    stack(cloud, name, resources(name))
    arn = f"arn:aws:sns:{REGION}:{HUB}:{name}"
    dead_url, dead = queue(cloud, name)
    rule(cloud, name, {"source": [name]}, arn, DeadLetterConfig={"Arn": dead})
    cloud.client("events", HUB).put_events(Entries=[{"Source": name, "DetailType": "t", "Detail": "{}"}])
    assert receive(cloud, dead_url)[0]["source"] == name
    assert cloud.get(f"messages?topicArn={arn}")["messages"] == []


class Schedule:
    """A schedule that starts a machine, made by a template."""

    def __init__(self, cloud, machines, name, *rights, **trust):
        self.cloud, self.name, self.machines = cloud, name, machines
        self.machine = machines.create({"A": {"Type": "Succeed"}})
        rights = rights or (allow("states:StartExecution", self.machine),)
        role = service_role(cloud, name, "scheduler.amazonaws.com", *rights, account=HUB, **trust)
        self.dead, dead = queue(cloud, name, service=None)
        target = {"Arn": self.machine, "RoleArn": role, "Input": '{"a": 1}', "DeadLetterConfig": {"Arn": dead}}
        properties = {"Name": name, "ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"}}
        resources = {"S": {"Type": "AWS::Scheduler::Schedule", "Properties": {**properties, "Target": target}}}
        assert stack(cloud, name, resources)[0] == "CREATE_COMPLETE"

    def fire(self):
        self.cloud.post("schedules", {"account": HUB, "region": REGION, "name": self.name})


def test_a_schedule_fires_with_its_input(cloud, machines, name):
    group = f"arn:aws:scheduler:{REGION}:{HUB}:schedule-group/default"
    schedule = Schedule(cloud, machines, name, StringEquals={"aws:SourceArn": group, "aws:SourceAccount": HUB})
    assert machines.executions_of(schedule.machine) == []
    schedule.fire()
    (execution,) = machines.executions_of(schedule.machine)
    assert json.loads(machines.describe(execution["executionArn"])["input"]) == {"a": 1}


@pytest.mark.parametrize("barred", ["right", "trust"])
def test_a_schedules_role_must_allow_what_it_does(cloud, machines, name, barred):
    dead = allow("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{HUB}:{name}")
    start = allow("states:StartExecution", f"{SFN}:stateMachine:*")
    rights = (dead, start) if barred == "trust" else (dead,)
    trust = {"StringEquals": {"aws:SourceAccount": SOURCE}} if barred == "trust" else {}
    schedule = Schedule(cloud, machines, name, *rights, **trust)
    schedule.fire()
    assert machines.executions_of(schedule.machine) == []
    if barred == "right":
        assert receive(cloud, schedule.dead)[0]["source"] == "aws.scheduler"
    else:
        assert_no_message(cloud, schedule.dead)


def test_a_schedule_without_a_target_is_refused(cloud, name):
    properties = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"}}
    status, why = stack(cloud, name, {"S": {"Type": "AWS::Scheduler::Schedule", "Properties": properties}})
    assert status == "ROLLBACK_COMPLETE" and "[Target] not found" in why[0]


class Organization:
    """25 accounts below a unit below a unit."""

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
        found = self.cloud.client("organizations", HUB).list_parents(ChildId=child)["Parents"]
        return [(parent["Id"], parent["Type"]) for parent in found]


@pytest.fixture(scope="module")
def organization(cloud):
    return Organization(cloud)


def test_accounts_of_an_organization_are_listed_in_pages_of_twenty(cloud, organization):
    client = cloud.client("organizations", HUB)
    assert len(client.list_accounts()["Accounts"]) == 20
    pages = client.get_paginator("list_accounts").paginate()
    found = [account for page in pages for account in page["Accounts"]]
    assert [account["Id"] for account in found] == organization.accounts
    assert [account["Status"] for account in found] == ["SUSPENDED"] + ["ACTIVE"] * 24
    assert [account["State"] for account in found] == [account["Status"] for account in found]


def test_parents_are_listed_up_to_the_root(organization):
    assert organization.parents(organization.accounts[3]) == [("ou-abcd-production", "ORGANIZATIONAL_UNIT")]
    assert organization.parents("ou-abcd-production") == [("ou-abcd-workloads", "ORGANIZATIONAL_UNIT")]
    assert organization.parents("ou-abcd-workloads") == [("r-abcd", "ROOT")]


def test_an_organization_is_shown_to_its_administrators_only(cloud, organization, client_error):
    cloud.client("organizations", "444444444444").list_accounts()
    assert client_error(cloud.client("organizations", SOURCE).list_accounts)[0] == "AccessDeniedException"
    outside = cloud.client("organizations", OUTSIDE_ACCOUNT)
    assert client_error(outside.list_accounts)[0] == "AWSOrganizationsNotInUseException"
    unknown = cloud.client("organizations", HUB)
    assert client_error(unknown.list_parents, ChildId="777777777777")[0] == "ChildNotFoundException"


def test_listing_accounts_needs_a_permission(cloud, organization, name, client_error):
    session = cloud.role(HUB, name, allow("organizations:ListParents"))
    client = cloud.client("organizations", HUB, session=session)
    client.list_parents(ChildId=organization.accounts[3])
    assert client_error(client.list_accounts)[0].startswith("AccessDenied")


def test_reading_a_parameter_needs_a_permission(cloud, name, client_error):
    mine, other = f"/{name}/routes", f"/{name}x/routes"
    for parameter in (mine, other):
        cloud.client("ssm", HUB).put_parameter(Name=parameter, Value="{}", Type="String")
    only = allow("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{HUB}:parameter/{name}/*")
    client = cloud.client("ssm", HUB, session=cloud.role(HUB, name, only))
    assert client.get_parameter(Name=mine)["Parameter"]["Value"] == "{}"
    assert client_error(client.get_parameter, Name=other)[0] == "AccessDeniedException"
    assert client_error(client.get_parameters, Names=[mine])[0] == "AccessDeniedException"
    assert client_error(client.get_parameter, Name=f"/{name}/none")[0] == "ParameterNotFound"
