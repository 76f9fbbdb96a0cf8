"""State machines in the hub, and states for them."""

import json

from conftest import HUB, REGION, allow, allow_assume, policy, wait_for

from support.lambdas import make_function

FUNCTION = f"arn:aws:lambda:{REGION}:{HUB}:function:tested"
TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}


class Machines:
    """Creates and runs machines in JSONata, as the product does."""

    def __init__(self, cloud):
        self.cloud = cloud
        self._sfn, self._iam, self._made = cloud.client("stepfunctions", HUB), cloud.client("iam", HUB), 0
        trust = allow_assume({"Service": "states.amazonaws.com"})
        self._iam.create_role(RoleName="machine", AssumeRolePolicyDocument=trust)
        self._iam.create_role(RoleName="powerless", AssumeRolePolicyDocument=trust)
        document = policy(allow("lambda:InvokeFunction", f"arn:aws:lambda:{REGION}:{HUB}:function:*"))
        self._iam.put_role_policy(RoleName="machine", PolicyName="p", PolicyDocument=document)
        make_function(cloud, "tested")

    def make(self, states, role="machine", **more):
        self._made += 1
        definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **more}
        made = self._sfn.create_state_machine(
            name=f"m{self._made}", roleArn=f"arn:aws:iam::{HUB}:role/{role}", definition=json.dumps(definition)
        )
        return made["stateMachineArn"]

    def start(self, states, input=None, **more):
        machine = self.make(states, **more)
        return self._sfn.start_execution(stateMachineArn=machine, input=json.dumps(input or {}))["executionArn"]

    def of(self, machine):
        return self._sfn.list_executions(stateMachineArn=machine)["executions"]

    def describe(self, execution):
        return self._sfn.describe_execution(executionArn=execution)

    def end(self, execution):
        return wait_for(lambda: (now := self.describe(execution))["status"] != "RUNNING" and now)

    def run(self, states, input=None, **more):
        """The ended execution."""
        return self.end(self.start(states, input, **more))

    def output(self, states, input=None, **more):
        ended = self.run(states, input, **more)
        assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
        return json.loads(ended["output"])

    def entered(self, execution):
        events = self._sfn.get_execution_history(executionArn=execution, maxResults=1000)["events"]
        return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]


def task(payload, **more):
    return {**TASK, "Arguments": {"FunctionName": FUNCTION, "Payload": payload}, **more}


def failing(error="Odd", **more):
    return task({"error": error}, **more)


def mapped(states, **more):
    return {"Type": "Map", "ItemProcessor": {"StartAt": next(iter(states)), "States": states}, **more}
