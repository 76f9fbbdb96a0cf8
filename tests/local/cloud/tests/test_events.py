"""EventBridge: CloudTrail events of EKS, buses in other accounts, and undelivered events."""

import json
import time

import pytest
from conftest import HUB, REGION, SOURCE, allow, deny, policy
from support.eventing import (
    OUTSIDE_ACCOUNT,
    allow_organization,
    assert_no_message,
    bus,
    messages,
    queue,
    receive,
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


def receive_cluster_events(cloud, location, name, pattern=EKS):
    """Creates a queue for the events of the clusters in a location. Returns a function that receives events."""
    url, arn = queue(cloud, name, SOURCE, location.region)
    rule(cloud, name, pattern, arn, SOURCE, location.region)
    return lambda count: receive(cloud, url, count, account=SOURCE, region=location.region)


def test_cluster_creation_and_deletion_put_cloudtrail_events(cloud, location, name):
    receive_events = receive_cluster_events(cloud, location, name)
    cluster = location.create_cluster(tags={"team": "a"})
    location.eks.delete_cluster(name=cluster.rpartition("/")[2])
    created, deleted = receive_events(2)
    for event in (created, deleted):
        assert (event["source"], event["detail-type"]) == ("aws.eks", "AWS API Call via CloudTrail")
        assert (event["account"], event["region"]) == (SOURCE, location.region)
        detail = event["detail"]
        assert detail["eventSource"] == "eks.amazonaws.com" and detail["awsRegion"] == location.region
        assert detail["requestParameters"]["name"] == cluster.rpartition("/")[2]
        assert detail["responseElements"]["cluster"]["arn"] == cluster
        assert "errorCode" not in detail and detail["userIdentity"]["accountId"] == SOURCE
    assert created["detail"]["eventName"] == "CreateCluster" and deleted["detail"]["eventName"] == "DeleteCluster"
    assert created["detail"]["requestParameters"]["tags"] == {"team": "a"}
    assert created["detail"]["responseElements"]["cluster"]["status"] == "CREATING"
    assert created["detail"]["eventID"] != deleted["detail"]["eventID"]


def test_the_event_of_a_failed_request_contains_the_error(cloud, location, name, client_error):
    receive_events = receive_cluster_events(cloud, location, name)
    cluster = location.cluster.rpartition("/")[2]
    request = {"name": cluster, "roleArn": f"arn:aws:iam::{SOURCE}:role/eks"}
    client_error(location.eks.create_cluster, resourcesVpcConfig={"subnetIds": location.subnets}, **request)
    no_permissions = location.client("eks", session=cloud.role(SOURCE, name))
    client_error(no_permissions.delete_cluster, name=cluster)
    existing, denied = receive_events(2)
    assert existing["detail"]["errorCode"] == "ResourceInUseException" and existing["detail"]["errorMessage"]
    assert denied["detail"]["errorCode"] == "AccessDenied" and denied["detail"]["eventName"] == "DeleteCluster"
    assert denied["detail"]["userIdentity"]["type"] == "AssumedRole"
    assert existing["detail"]["responseElements"] is denied["detail"]["responseElements"] is None


def test_a_pattern_can_exclude_events_with_an_error_code(cloud, location, name, client_error):
    pattern = {**EKS, "detail": {**EKS["detail"], "errorCode": [{"exists": False}]}}
    receive_events = receive_cluster_events(cloud, location, name, pattern)
    request = {"name": location.cluster.rpartition("/")[2], "roleArn": f"arn:aws:iam::{SOURCE}:role/eks"}
    client_error(location.eks.create_cluster, resourcesVpcConfig={"subnetIds": location.subnets}, **request)
    location.create_cluster()
    assert [event["detail"]["responseElements"] is not None for event in receive_events(1)] == [True]


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
def test_patterns_match_as_in_eventbridge(cloud, pattern, detail, matches):
    event = {"id": "1", "source": "s", "detail-type": "t", "account": HUB, "region": REGION, "resources": []}
    response = cloud.client("events", HUB).test_event_pattern(
        EventPattern=json.dumps({"detail": pattern}),
        Event=json.dumps({**event, "time": "2026-08-20T10:15:03Z", "detail": detail}),
    )
    assert response["Result"] is matches


def put(events, bus="default", source="custom.source"):
    entry = {"Source": source, "DetailType": "t", "Detail": '{"n": 1}', "EventBusName": bus}
    return events.put_events(Entries=[entry])


def test_a_client_cannot_put_events_with_an_aws_source(cloud, name):
    url, target = queue(cloud, name)
    bus_arn = bus(cloud, name, [allow_organization("*")])
    rule(cloud, name, {"account": [HUB, SOURCE]}, target, bus=name)
    for account, event_bus in ((HUB, name), (SOURCE, bus_arn)):
        response = put(cloud.client("events", account), event_bus, "aws.eks")
        assert response["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"
    assert_no_message(cloud, url)


def test_a_bus_accepts_the_events_that_its_policy_allows(cloud, name, client_error):
    url, target = queue(cloud, name)
    bus_arn = bus(cloud, name, [allow_organization("*", **{"events:source": "custom.source"})])
    rule(cloud, name, {"source": [{"prefix": ""}]}, target, bus=name)
    assert put(cloud.client("events", SOURCE), bus_arn)["FailedEntryCount"] == 0
    (event,) = receive(cloud, url)
    assert (event["account"], event["source"], event["detail"]) == (SOURCE, "custom.source", {"n": 1})
    for account, source in ((OUTSIDE_ACCOUNT, "custom.source"), (SOURCE, "another")):
        code, message = client_error(put, events=cloud.client("events", account), bus=bus_arn, source=source)
        assert code == "AccessDeniedException" and "resource-based policy" in message
    assert_no_message(cloud, url)


def test_a_bus_without_a_policy_accepts_no_event_from_another_account(cloud, name, client_error):
    bus_arn = bus(cloud, name, [])
    assert client_error(put, events=cloud.client("events", SOURCE), bus=bus_arn)[0] == "AccessDeniedException"
    assert put(cloud.client("events", HUB), name)["FailedEntryCount"] == 0


def test_put_events_requires_permission_on_the_bus_and_the_source(cloud, name, client_error):
    bus_arn = bus(cloud, name, [allow_organization("*")])
    condition = {"Condition": {"ForAllValues:StringEquals": {"events:source": "custom.source"}}}
    session = cloud.role(SOURCE, name, allow("events:PutEvents", bus_arn, **condition))
    events = cloud.client("events", SOURCE, session=session)
    assert put(events, bus_arn)["FailedEntryCount"] == 0
    assert client_error(put, events=events, bus=bus_arn, source="another")[0] == "AccessDeniedException"
    assert client_error(put, events=events)[0] == "AccessDeniedException"


class Forwarding:
    """A rule in the source account that forwards events to a bus in the hub account, in another Region."""

    def __init__(self, cloud, name, statements, role_statements, **trust):
        self.cloud, self.region = cloud, "eu-west-1"
        self.url, target = queue(cloud, name)
        self.bus = bus(cloud, name, statements)
        rule(cloud, name, {"source": [{"prefix": ""}]}, target, bus=name)
        role = service_role(cloud, name, "events.amazonaws.com", *role_statements(self.bus), **trust)
        self.dead_letter_url, dead_letter_arn = queue(cloud, f"{name}-dead", SOURCE, self.region)
        more = {"RoleArn": role, "DeadLetterConfig": {"Arn": dead_letter_arn}}
        rule(cloud, name, {"source": ["custom.source"]}, self.bus, SOURCE, self.region, **more)

    def put(self):
        put(self.cloud.client("events", SOURCE, self.region))

    def dead_letters(self):
        return messages(self.cloud, self.dead_letter_url, SOURCE, self.region)


def allow_put_events(bus):
    return [allow("events:PutEvents", bus)]


def test_a_rule_forwards_events_to_a_bus_in_another_account_and_region(cloud, name):
    forwarding = Forwarding(cloud, name, [allow_organization("*")], allow_put_events)
    forwarding.put()
    (event,) = receive(cloud, forwarding.url)
    assert (event["account"], event["region"]) == (SOURCE, "eu-west-1")
    assert event["detail"] == {"n": 1} and forwarding.dead_letters() == []


@pytest.mark.parametrize(
    ("statements", "role_statements", "trust"),
    [
        ([allow_organization("*", **{"aws:PrincipalOrgID": "o-another"})], allow_put_events, {}),
        ([allow_organization("*", **{"events:source": "another"})], allow_put_events, {}),
        ([allow_organization("*")], lambda bus: [], {}),
        ([allow_organization("*")], lambda bus: [allow("events:PutEvents", bus + "0")], {}),
        ([allow_organization("*"), deny("events:PutEvents", Principal="*")], allow_put_events, {}),
        ([allow_organization("*")], allow_put_events, {"StringEquals": {"aws:SourceAccount": HUB}}),
    ],
    ids=["organization", "source", "no-permission", "another-bus", "denied", "trust"],
)
def test_an_event_that_cannot_be_forwarded_goes_to_the_dead_letter_queue(
    cloud, name, statements, role_statements, trust
):
    forwarding = Forwarding(cloud, name, statements, role_statements, **trust)
    forwarding.put()
    assert_no_message(cloud, forwarding.url)
    (letter,) = forwarding.dead_letters()
    attributes = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS" and attributes["TARGET_ARN"] == forwarding.bus
    assert attributes["RULE_ARN"] == f"arn:aws:events:eu-west-1:{SOURCE}:rule/{name}"
    assert json.loads(letter["Body"])["detail"] == {"n": 1}


def test_an_event_from_another_account_is_not_forwarded_to_a_third_account(cloud, name):
    third = "444444444444"
    url, target = queue(cloud, name, third)
    third_bus = bus(cloud, name, [allow_organization("*")], third)
    rule(cloud, name, {"source": ["custom.source"]}, target, third, bus=name)
    hub_bus = bus(cloud, name, [allow_organization("*")])
    role = service_role(cloud, name, "events.amazonaws.com", allow("events:PutEvents", third_bus), account=HUB)
    rule(cloud, name, {"source": ["custom.source"]}, third_bus, bus=name, RoleArn=role)
    put(cloud.client("events", HUB), name)
    assert receive(cloud, url, account=third)[0]["account"] == HUB
    put(cloud.client("events", SOURCE), hub_bus)
    assert_no_message(cloud, url, account=third)


def test_a_target_in_another_account_requires_a_role(cloud, name):
    bus_arn = bus(cloud, name, [allow_organization("*")])
    properties = {"EventPattern": {"source": ["a"]}, "Targets": [{"Id": "t", "Arn": bus_arn}]}
    status, reasons = stack(
        cloud, f"{name}-r", {"Rule": {"Type": "AWS::Events::Rule", "Properties": properties}}, SOURCE
    )
    assert status == "ROLLBACK_COMPLETE" and "RoleArn is required" in reasons[0]


def test_a_rule_with_an_invalid_pattern_is_refused(cloud, name):
    properties = {"EventPattern": {"source": "not a list"}}
    status, reasons = stack(cloud, name, {"Rule": {"Type": "AWS::Events::Rule", "Properties": properties}})
    assert status == "ROLLBACK_COMPLETE" and "Event pattern is not valid" in reasons[0]


def test_a_stack_update_changes_and_deletes_a_bus_policy(cloud, name, client_error):
    bus(cloud, name, [allow_organization("*")])
    bus_arn = bus(cloud, name, [allow_organization("*", **{"events:source": "another"})])
    events = cloud.client("events", SOURCE)
    assert client_error(put, events=events, bus=bus_arn)[0] == "AccessDeniedException"
    assert put(events, bus_arn, "another")["FailedEntryCount"] == 0
    bus(cloud, name, [])
    assert client_error(put, events=events, bus=bus_arn, source="another")[0] == "AccessDeniedException"


def test_a_queue_that_does_not_allow_eventbridge_receives_no_event(cloud, name):
    url, target = queue(cloud, name, service="sns.amazonaws.com")
    dead_letter_url, dead_letter_arn = queue(cloud, f"{name}-dead")
    rule(cloud, name, {"source": [name]}, target, DeadLetterConfig={"Arn": dead_letter_arn})
    put(cloud.client("events", HUB), source=name)
    assert_no_message(cloud, url)
    assert receive(cloud, dead_letter_url)[0]["source"] == name


def test_a_queue_that_requires_tls_receives_events(cloud, name):
    target = f"arn:aws:sqs:{REGION}:{HUB}:{name}"
    without_tls = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    allowed = {**allow("sqs:SendMessage", target), "Principal": {"Service": "events.amazonaws.com"}}
    denied = {**deny("sqs:*", target, **without_tls), "Principal": "*"}
    url, _ = queue(cloud, name, service=None, Policy=policy(allowed, denied))
    rule(cloud, name, {"source": [name]}, target)
    put(cloud.client("events", HUB), source=name)
    assert receive(cloud, url)[0]["source"] == name


def test_a_queue_with_an_aws_managed_key_receives_no_event(cloud, name):
    url, target = queue(cloud, name, KmsMasterKeyId="alias/aws/sqs")
    rule(cloud, name, {"source": [name]}, target)
    put(cloud.client("events", HUB), source=name)
    assert_no_message(cloud, url)


class Function:
    """A function that is the target of a rule, with a failure destination and a dead-letter queue."""

    def __init__(self, cloud, name, rule_permission=True, destination_permission=True):
        self.cloud, self.name = cloud, name
        create_function(cloud, name)
        self.arn = f"arn:aws:lambda:{REGION}:{HUB}:function:{name}"
        functions = cloud.client("lambda", HUB)
        if rule_permission:
            functions.add_permission(
                FunctionName=name,
                StatementId="s",
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=f"arn:aws:events:{REGION}:{HUB}:rule/{name}",
            )
        self.failure_url, failure_arn = queue(cloud, f"{name}-failed", service=None)
        self.dead_letter_url, dead_letter_arn = queue(cloud, f"{name}-dead")
        if destination_permission:
            document = policy(allow("sqs:SendMessage", failure_arn))
            cloud.client("iam", HUB).put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
        functions.put_function_event_invoke_config(
            FunctionName=name, DestinationConfig={"OnFailure": {"Destination": failure_arn}}
        )
        more = {"DeadLetterConfig": {"Arn": dead_letter_arn}, "InputPath": "$.detail"}
        rule(cloud, name, {"source": [name]}, self.arn, **more)

    def put(self, **detail):
        entry = {"Source": self.name, "DetailType": "t", "Detail": json.dumps(detail)}
        self.cloud.client("events", HUB).put_events(Entries=[entry])


def test_a_failed_function_is_invoked_three_times_before_the_failure_record(cloud, name):
    function = Function(cloud, name)
    started = time.monotonic()
    function.put(error="Odd")
    (record,) = receive(cloud, function.failure_url)
    # The retries are after one minute and after two more minutes, of 50 ms each.
    assert time.monotonic() - started >= 0.15
    assert record["requestPayload"] == {"error": "Odd"} and record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responsePayload"]["errorType"] == "Odd"
    assert_no_message(cloud, function.dead_letter_url)


def test_a_successful_function_has_no_failure_record(cloud, name):
    function = Function(cloud, name)
    function.put(a=1)
    assert_no_message(cloud, function.failure_url)
    assert messages(cloud, function.dead_letter_url) == []


def test_a_function_without_permission_for_the_rule_is_not_invoked(cloud, name):
    function = Function(cloud, name, rule_permission=False)
    function.put(error="Odd")
    (letter,) = receive(cloud, function.dead_letter_url)
    assert letter["detail"] == {"error": "Odd"}
    assert_no_message(cloud, function.failure_url)


def test_a_failure_record_requires_permission_of_the_function_role(cloud, name):
    function = Function(cloud, name, destination_permission=False)
    function.put(error="Odd")
    time.sleep(0.6)
    assert_no_message(cloud, function.failure_url)


def test_the_control_api_puts_an_aws_event_without_changes(cloud, name):
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
