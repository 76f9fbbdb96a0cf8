"""EventBridge: events of EKS, buses of other accounts, and events that are not delivered."""

import json
import time

import pytest
from conftest import HUB, REGION, SOURCE, allow, deny, policy
from support.eventing import (
    OUTSIDE_ACCOUNT,
    allow_organization,
    receive,
    bus,
    messages,
    assert_no_message,
    queue,
    rule,
    service_role,
    stack,
)
from support.lambdas import create_function
from support.location import Location

EKS = {"source": ["aws.eks"], "detail": {"eventSource": ["eks.amazonaws.com"]}}


@pytest.fixture
def location(cloud):
    return Location(cloud)


def events_in(cloud, location, name, pattern=EKS):
    """A queue that gets the events of the location's clusters."""
    url, arn = queue(cloud, name, SOURCE, location.region)
    rule(cloud, name, pattern, arn, SOURCE, location.region)
    return lambda how_many: receive(cloud, url, how_many, account=SOURCE, region=location.region)


def test_creating_and_deleting_a_cluster_put_cloudtrail_events(cloud, location, name):
    arriving = events_in(cloud, location, name)
    cluster = location.create_cluster(tags={"team": "a"})
    location.eks.delete_cluster(name=cluster.rpartition("/")[2])
    made, deleted = arriving(2)
    for event in (made, deleted):
        assert (event["source"], event["detail-type"]) == ("aws.eks", "AWS API Call via CloudTrail")
        assert (event["account"], event["region"]) == (SOURCE, location.region)
        detail = event["detail"]
        assert detail["eventSource"] == "eks.amazonaws.com" and detail["awsRegion"] == location.region
        assert detail["requestParameters"]["name"] == cluster.rpartition("/")[2]
        assert detail["responseElements"]["cluster"]["arn"] == cluster
        assert "errorCode" not in detail and detail["userIdentity"]["accountId"] == SOURCE
    assert made["detail"]["eventName"] == "CreateCluster" and deleted["detail"]["eventName"] == "DeleteCluster"
    assert made["detail"]["requestParameters"]["tags"] == {"team": "a"}
    assert made["detail"]["responseElements"]["cluster"]["status"] == "CREATING"
    assert made["detail"]["eventID"] != deleted["detail"]["eventID"]


def test_the_event_of_a_refused_request_has_its_error(cloud, location, name, client_error):
    arriving = events_in(cloud, location, name)
    cluster = location.cluster.rpartition("/")[2]
    made = {"name": cluster, "roleArn": f"arn:aws:iam::{SOURCE}:role/eks"}
    client_error(location.eks.create_cluster, resourcesVpcConfig={"subnetIds": location.subnets}, **made)
    powerless = location.client("eks", session=cloud.role(SOURCE, name))
    client_error(powerless.delete_cluster, name=cluster)
    taken, denied = arriving(2)
    assert taken["detail"]["errorCode"] == "ResourceInUseException" and taken["detail"]["errorMessage"]
    assert denied["detail"]["errorCode"] == "AccessDenied" and denied["detail"]["eventName"] == "DeleteCluster"
    assert denied["detail"]["userIdentity"]["type"] == "AssumedRole"
    assert taken["detail"]["responseElements"] is denied["detail"]["responseElements"] is None


def test_a_pattern_may_require_that_there_is_no_error(cloud, location, name, client_error):
    pattern = {**EKS, "detail": {**EKS["detail"], "errorCode": [{"exists": False}]}}
    arriving = events_in(cloud, location, name, pattern)
    made = {"name": location.cluster.rpartition("/")[2], "roleArn": f"arn:aws:iam::{SOURCE}:role/eks"}
    client_error(location.eks.create_cluster, resourcesVpcConfig={"subnetIds": location.subnets}, **made)
    location.create_cluster()
    assert [event["detail"]["responseElements"] is not None for event in arriving(1)] == [True]


@pytest.mark.parametrize(
    ("pattern", "detail", "matches"),
    [
        ({"a": [{"prefix": "x"}]}, {"a": "xy"}, True),
        ({"a": [{"prefix": "x"}]}, {"a": "yx"}, False),
        ({"a": [{"anything-but": ["x"]}]}, {"a": "y"}, True),
        ({"a": [{"anything-but": ["x"]}]}, {"a": "x"}, False),
        ({"a": [{"exists": False}]}, {"b": 1}, True),
        ({"a": [{"exists": False}]}, {"a": None}, False),
        ({"$or": [{"a": ["x"]}, {"b": ["y"]}]}, {"b": "y"}, True),
        ({"$or": [{"a": ["x"]}, {"b": ["y"]}]}, {"b": "x"}, False),
    ],
)
def test_patterns_match_as_they_do_on_aws(cloud, pattern, detail, matches):
    event = {"id": "1", "source": "s", "detail-type": "t", "account": HUB, "region": REGION, "resources": []}
    answer = cloud.client("events", HUB).test_event_pattern(
        EventPattern=json.dumps({"detail": pattern}),
        Event=json.dumps({**event, "time": "2026-08-20T10:15:03Z", "detail": detail}),
    )
    assert answer["Result"] is matches


def put(events, bus="default", source="our.own"):
    entry = {"Source": source, "DetailType": "t", "Detail": '{"n": 1}', "EventBusName": bus}
    return events.put_events(Entries=[entry])


def test_a_client_cannot_put_events_with_a_source_of_aws(cloud, name):
    url, target = queue(cloud, name)
    there = bus(cloud, name, [allow_organization("*")])
    rule(cloud, name, {"account": [HUB, SOURCE]}, target, bus=name)
    for account, where in ((HUB, name), (SOURCE, there)):
        answer = put(cloud.client("events", account), where, "aws.eks")
        assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"
    assert_no_message(cloud, url)


def test_a_bus_accepts_what_its_policy_admits(cloud, name, client_error):
    url, target = queue(cloud, name)
    there = bus(cloud, name, [allow_organization("*", **{"events:source": "our.own"})])
    rule(cloud, name, {"source": [{"prefix": ""}]}, target, bus=name)
    assert put(cloud.client("events", SOURCE), there)["FailedEntryCount"] == 0
    (event,) = receive(cloud, url)
    assert (event["account"], event["source"], event["detail"]) == (SOURCE, "our.own", {"n": 1})
    for account, source in ((OUTSIDE_ACCOUNT, "our.own"), (SOURCE, "another")):
        code, message = client_error(put, events=cloud.client("events", account), bus=there, source=source)
        assert code == "AccessDeniedException" and "resource-based policy" in message
    assert_no_message(cloud, url)


def test_a_bus_without_a_policy_accepts_no_event_of_another_account(cloud, name, client_error):
    there = bus(cloud, name, [])
    assert client_error(put, events=cloud.client("events", SOURCE), bus=there)[0] == "AccessDeniedException"
    assert put(cloud.client("events", HUB), name)["FailedEntryCount"] == 0


def test_putting_events_needs_a_permission_on_the_bus_which_may_depend_on_the_source(cloud, name, client_error):
    there = bus(cloud, name, [allow_organization("*")])
    only = {"Condition": {"ForAllValues:StringEquals": {"events:source": "our.own"}}}
    session = cloud.role(SOURCE, name, allow("events:PutEvents", there, **only))
    events = cloud.client("events", SOURCE, session=session)
    assert put(events, there)["FailedEntryCount"] == 0
    assert client_error(put, events=events, bus=there, source="another")[0] == "AccessDeniedException"
    assert client_error(put, events=events)[0] == "AccessDeniedException"


class Forwarding:
    """A rule of the source account that forwards events to a bus of the hub's, in another Region."""

    def __init__(self, cloud, name, statements, role_statements, **trust):
        self.cloud, self.region = cloud, "eu-west-1"
        self.url, target = queue(cloud, name)
        self.bus = bus(cloud, name, statements)
        rule(cloud, name, {"source": [{"prefix": ""}]}, target, bus=name)
        role = service_role(cloud, name, "events.amazonaws.com", *role_statements(self.bus), **trust)
        self.dead, dead = queue(cloud, f"{name}-dead", SOURCE, self.region)
        more = {"RoleArn": role, "DeadLetterConfig": {"Arn": dead}}
        rule(cloud, name, {"source": ["our.own"]}, self.bus, SOURCE, self.region, **more)

    def put(self):
        put(self.cloud.client("events", SOURCE, self.region))

    def buried(self):
        return messages(self.cloud, self.dead, SOURCE, self.region)


def may_put(bus):
    return [allow("events:PutEvents", bus)]


def test_a_rule_forwards_to_a_bus_of_another_account_and_region(cloud, name):
    forwarding = Forwarding(cloud, name, [allow_organization("*")], may_put)
    forwarding.put()
    (event,) = receive(cloud, forwarding.url)
    assert (event["account"], event["region"]) == (SOURCE, "eu-west-1")
    assert event["detail"] == {"n": 1} and forwarding.buried() == []


@pytest.mark.parametrize(
    ("statements", "rights", "trust"),
    [
        ([allow_organization("*", **{"aws:PrincipalOrgID": "o-another"})], may_put, {}),
        ([allow_organization("*", **{"events:source": "another"})], may_put, {}),
        ([allow_organization("*")], lambda bus: [], {}),
        ([allow_organization("*")], lambda bus: [allow("events:PutEvents", bus + "0")], {}),
        ([allow_organization("*"), deny("events:PutEvents", Principal="*")], may_put, {}),
        ([allow_organization("*")], may_put, {"StringEquals": {"aws:SourceAccount": HUB}}),
    ],
    ids=["organization", "source", "no-right", "another-bus", "denied", "trust"],
)
def test_an_event_that_may_not_be_forwarded_goes_to_the_dead_letter_queue(cloud, name, statements, rights, trust):
    forwarding = Forwarding(cloud, name, statements, rights, **trust)
    forwarding.put()
    assert_no_message(cloud, forwarding.url)
    (letter,) = forwarding.buried()
    attributes = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS" and attributes["TARGET_ARN"] == forwarding.bus
    assert attributes["RULE_ARN"] == f"arn:aws:events:eu-west-1:{SOURCE}:rule/{name}"
    assert json.loads(letter["Body"])["detail"] == {"n": 1}


def test_an_event_of_another_account_is_not_forwarded_to_a_third(cloud, name):
    third = "444444444444"
    url, target = queue(cloud, name, third)
    beyond = bus(cloud, name, [allow_organization("*")], third)
    rule(cloud, name, {"source": ["our.own"]}, target, third, bus=name)
    here = bus(cloud, name, [allow_organization("*")])
    role = service_role(cloud, name, "events.amazonaws.com", allow("events:PutEvents", beyond), account=HUB)
    rule(cloud, name, {"source": ["our.own"]}, beyond, bus=name, RoleArn=role)
    put(cloud.client("events", HUB), name)
    assert receive(cloud, url, account=third)[0]["account"] == HUB
    put(cloud.client("events", SOURCE), here)
    assert_no_message(cloud, url, account=third)


def test_a_rule_to_another_account_names_a_role(cloud, name):
    there = bus(cloud, name, [allow_organization("*")])
    properties = {"EventPattern": {"source": ["a"]}, "Targets": [{"Id": "t", "Arn": there}]}
    status, why = stack(cloud, f"{name}-r", {"Rule": {"Type": "AWS::Events::Rule", "Properties": properties}}, SOURCE)
    assert status == "ROLLBACK_COMPLETE" and "RoleArn is required" in why[0]


def test_a_rule_with_a_wrong_pattern_is_refused(cloud, name):
    properties = {"EventPattern": {"source": "not a list"}}
    status, why = stack(cloud, name, {"Rule": {"Type": "AWS::Events::Rule", "Properties": properties}})
    assert status == "ROLLBACK_COMPLETE" and "Event pattern is not valid" in why[0]


def test_a_bus_policy_changes_with_its_template_and_is_deleted_with_its_stack(cloud, name, client_error):
    bus(cloud, name, [allow_organization("*")])
    there = bus(cloud, name, [allow_organization("*", **{"events:source": "another"})])
    events = cloud.client("events", SOURCE)
    assert client_error(put, events=events, bus=there)[0] == "AccessDeniedException"
    assert put(events, there, "another")["FailedEntryCount"] == 0
    bus(cloud, name, [])
    assert client_error(put, events=events, bus=there, source="another")[0] == "AccessDeniedException"


def test_a_queue_that_does_not_admit_events_gets_none(cloud, name):
    url, target = queue(cloud, name, service="sns.amazonaws.com")
    dead_url, dead = queue(cloud, f"{name}-dead")
    rule(cloud, name, {"source": [name]}, target, DeadLetterConfig={"Arn": dead})
    put(cloud.client("events", HUB), source=name)
    assert_no_message(cloud, url)
    assert receive(cloud, dead_url)[0]["source"] == name


def test_a_queue_that_requires_tls_gets_events(cloud, name):
    target = f"arn:aws:sqs:{REGION}:{HUB}:{name}"
    plain = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    service = {**allow("sqs:SendMessage", target), "Principal": {"Service": "events.amazonaws.com"}}
    url, _ = queue(cloud, name, service=None, Policy=policy(service, {**deny("sqs:*", target, **plain), "Principal": "*"}))
    rule(cloud, name, {"source": [name]}, target)
    put(cloud.client("events", HUB), source=name)
    assert receive(cloud, url)[0]["source"] == name


def test_a_queue_with_an_aws_managed_key_gets_no_event(cloud, name):
    url, target = queue(cloud, name, KmsMasterKeyId="alias/aws/sqs")
    rule(cloud, name, {"source": [name]}, target)
    put(cloud.client("events", HUB), source=name)
    assert_no_message(cloud, url)


class Function:
    """A function that a rule invokes for events of this source."""

    def __init__(self, cloud, name, admitted=True, may_report=True):
        self.cloud, self.name = cloud, name
        create_function(cloud, name)
        self.arn = f"arn:aws:lambda:{REGION}:{HUB}:function:{name}"
        functions = cloud.client("lambda", HUB)
        if admitted:
            functions.add_permission(
                FunctionName=name,
                StatementId="s",
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=f"arn:aws:events:{REGION}:{HUB}:rule/{name}",
            )
        self.failed, failed = queue(cloud, f"{name}-failed", service=None)
        self.dead, dead = queue(cloud, f"{name}-dead")
        if may_report:
            document = policy(allow("sqs:SendMessage", failed))
            cloud.client("iam", HUB).put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
        functions.put_function_event_invoke_config(
            FunctionName=name, DestinationConfig={"OnFailure": {"Destination": failed}}
        )
        more = {"DeadLetterConfig": {"Arn": dead}, "InputPath": "$.detail"}
        rule(cloud, name, {"source": [name]}, self.arn, **more)

    def put(self, **detail):
        entry = {"Source": self.name, "DetailType": "t", "Detail": json.dumps(detail)}
        self.cloud.client("events", HUB).put_events(Entries=[entry])


def test_a_failing_function_is_invoked_three_times_and_then_reported(cloud, name):
    function = Function(cloud, name)
    began = time.monotonic()
    function.put(error="Odd")
    (report,) = receive(cloud, function.failed)
    # One minute and two more, of 50 ms each.
    assert time.monotonic() - began >= 0.15
    assert report["requestPayload"] == {"error": "Odd"} and report["requestContext"]["approximateInvokeCount"] == 3
    assert report["responsePayload"]["errorType"] == "Odd"
    assert_no_message(cloud, function.dead)


def test_a_function_that_succeeds_is_not_reported(cloud, name):
    function = Function(cloud, name)
    function.put(a=1)
    assert_no_message(cloud, function.failed)
    assert messages(cloud, function.dead) == []


def test_a_function_without_a_permission_for_the_rule_is_not_invoked(cloud, name):
    function = Function(cloud, name, admitted=False)
    function.put(error="Odd")
    (letter,) = receive(cloud, function.dead)
    assert letter["detail"] == {"error": "Odd"}
    assert_no_message(cloud, function.failed)


def test_reporting_a_failure_needs_a_permission_of_the_function_role(cloud, name):
    function = Function(cloud, name, may_report=False)
    function.put(error="Odd")
    time.sleep(0.6)
    assert_no_message(cloud, function.failed)


def test_the_control_api_puts_an_event_of_aws_unchanged(cloud, name):
    url, target = queue(cloud, name)
    rule(cloud, name, {"source": ["aws.controltower"], "detail": {"name": [name]}}, target)
    event = {
        "version": "0",
        "id": "999cccaa-eaaa-0000-1111-123456789012",
        "detail-type": "AWS Service Event via CloudTrail",
        "source": "aws.controltower",
        "account": "444444444444",
        "time": "2026-08-20T09:32:18Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {"name": name},
    }
    cloud.post("events", {"account": HUB, "region": REGION, "event": event})
    assert receive(cloud, url) == [event]
