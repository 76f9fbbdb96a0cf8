"""Buses, rules and queues that show which events arrived."""

import json
import time

from conftest import HUB, REGION, SOURCE, allow_assume, policy, wait_for

OUTSIDE_ACCOUNT = "999999999999"
ORGANIZATION = "o-ampxalocal01"


def queue(cloud, name, account=HUB, region=REGION, admits="events.amazonaws.com", **attributes):
    """Creates a queue that admits a service; returns its URL and ARN."""
    sqs = cloud.client("sqs", account, region)
    arn = f"arn:aws:sqs:{region}:{account}:{name}"
    if admits:
        statement = {"Effect": "Allow", "Principal": {"Service": admits}, "Action": "sqs:SendMessage", "Resource": arn}
        attributes["Policy"] = policy(statement)
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], arn


def messages(cloud, url, account=HUB, region=REGION):
    """Receives and hides the messages of a queue."""
    sqs = cloud.client("sqs", account, region)
    taken = []
    while found := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=600
    ).get("Messages"):
        taken += found
    return taken


def arrived(cloud, url, how_many=1, **where):
    """The bodies of the given number of messages, once they have arrived."""
    seen = []

    def enough():
        seen.extend(json.loads(message["Body"]) for message in messages(cloud, url, **where))
        return len(seen) >= how_many

    wait_for(enough)
    return seen


def nothing_arrives(cloud, url, **where):
    time.sleep(0.3)
    assert messages(cloud, url, **where) == []


def rule(cloud, name, pattern, target, account=HUB, region=REGION, bus="default", **more):
    events = cloud.client("events", account, region)
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "t", "Arn": target, **more}])


def bus(cloud, name, statements, account=HUB, region=REGION):
    """Creates a bus and its policy by a template; returns its ARN."""
    resources = {"Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}}}
    for number, statement in enumerate(statements):
        resources[f"Policy{number}"] = {
            "Type": "AWS::Events::EventBusPolicy",
            "Properties": {"EventBusName": {"Ref": "Bus"}, "StatementId": f"s{number}", "Statement": statement},
        }
    stack(cloud, name, resources, account, region)
    return f"arn:aws:events:{region}:{account}:event-bus/{name}"


def stack(cloud, name, resources, account=HUB, region=REGION):
    """Creates or updates a stack; returns its status and the reasons of failed resources."""
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


def admit(resource, **conditions):
    """A statement of a bus policy: requires the organization and the given conditions."""
    equals = {"aws:PrincipalOrgID": ORGANIZATION, **conditions}
    return {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "events:PutEvents",
        "Resource": resource,
        "Condition": {"StringEquals": equals},
    }


def service_role(cloud, name, service, *statements, account=SOURCE, **condition):
    """Creates a role for a service; returns its ARN."""
    iam = cloud.client("iam", account)
    trust = allow_assume({"Service": service}, **({"Condition": condition} if condition else {}))
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))
    return arn
