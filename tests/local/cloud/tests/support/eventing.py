"""Helpers for event buses, rules, and queues that receive the events."""

import json
import time

from conftest import HUB, REGION, SOURCE, allow_assume, policy, wait_for

OUTSIDE_ACCOUNT = "999999999999"
ORGANIZATION = "o-ampxalocal01"


def queue(cloud, name, account=HUB, region=REGION, service="events.amazonaws.com", **attributes):
    """Creates a queue whose policy allows a service. Returns the URL and the ARN."""
    sqs = cloud.client("sqs", account, region)
    arn = f"arn:aws:sqs:{region}:{account}:{name}"
    if service:
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sqs:SendMessage", "Resource": arn}
        attributes["Policy"] = policy(statement)
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], arn


def messages(cloud, url, account=HUB, region=REGION):
    """Receives all visible messages of a queue and hides them."""
    sqs = cloud.client("sqs", account, region)
    received = []
    while found := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=600
    ).get("Messages"):
        received += found
    return received


def receive(cloud, url, count=1, **where):
    """Waits for the given number of messages and returns their bodies."""
    bodies = []

    def enough():
        bodies.extend(json.loads(message["Body"]) for message in messages(cloud, url, **where))
        return len(bodies) >= count

    wait_for(enough)
    return bodies


def assert_no_message(cloud, url, **where):
    time.sleep(0.3)
    assert messages(cloud, url, **where) == []


def rule(cloud, name, pattern, target, account=HUB, region=REGION, bus="default", **more):
    events = cloud.client("events", account, region)
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "t", "Arn": target, **more}])


def bus(cloud, name, statements, account=HUB, region=REGION):
    """Creates an event bus and its policy with a template. Returns the ARN of the bus."""
    resources = {"Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}}}
    for number, statement in enumerate(statements):
        resources[f"Policy{number}"] = {
            "Type": "AWS::Events::EventBusPolicy",
            "Properties": {"EventBusName": {"Ref": "Bus"}, "StatementId": f"s{number}", "Statement": statement},
        }
    stack(cloud, name, resources, account, region)
    return f"arn:aws:events:{region}:{account}:event-bus/{name}"


def stack(cloud, name, resources, account=HUB, region=REGION):
    """Creates or updates a stack. Returns the stack status and the status reasons of failed resources."""
    cloudformation = cloud.client("cloudformation", account, region)
    body = json.dumps({"Resources": resources})
    try:
        cloudformation.create_stack(StackName=name, TemplateBody=body)
    except cloudformation.exceptions.AlreadyExistsException:
        cloudformation.update_stack(StackName=name, TemplateBody=body)

    def ended():
        status = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        return status if not status.endswith("IN_PROGRESS") else None

    status = wait_for(ended)
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    return status, [event["ResourceStatusReason"] for event in events if event["ResourceStatus"].endswith("FAILED")]


def allow_organization(resource, **conditions):
    """A statement of a bus policy that requires the organization and the given conditions."""
    equals = {"aws:PrincipalOrgID": ORGANIZATION, **conditions}
    return {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "events:PutEvents",
        "Resource": resource,
        "Condition": {"StringEquals": equals},
    }


def service_role(cloud, name, service, *statements, account=SOURCE, **condition):
    """Creates a role that a service can assume. Returns the ARN."""
    iam = cloud.client("iam", account)
    trust = allow_assume({"Service": service}, **({"Condition": condition} if condition else {}))
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))
    return arn
