"""State machines in the hub account, and states for them."""

import json

from conftest import HUB, REGION, allow, allow_assume, policy, wait_for

from support.lambdas import create_function

FUNCTION = f"arn:aws:lambda:{REGION}:{HUB}:function:tested"
TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}


class Machines:
    """Creates and runs JSONata state machines, like those of the product."""

    def __init__(self, cloud):
        self.cloud = cloud
        self._sfn, self._iam, self._count = cloud.client("stepfunctions", HUB), cloud.client("iam", HUB), 0
        trust = allow_assume({"Service": "states.amazonaws.com"})
        self._iam.create_role(RoleName="machine", AssumeRolePolicyDocument=trust)
        self._iam.create_role(RoleName="no-permissions", AssumeRolePolicyDocument=trust)
        document = policy(allow("lambda:InvokeFunction", f"arn:aws:lambda:{REGION}:{HUB}:function:*"))
        self._iam.put_role_policy(RoleName="machine", PolicyName="p", PolicyDocument=document)
        create_function(cloud, "tested")

    def create(self, states, role="machine", **more):
        self._count += 1
        definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **more}
        created = self._sfn.create_state_machine(
            name=f"m{self._count}", roleArn=f"arn:aws:iam::{HUB}:role/{role}", definition=json.dumps(definition)
        )
        return created["stateMachineArn"]

    def start(self, states, input=None, **more):
        machine = self.create(states, **more)
        return self._sfn.start_execution(stateMachineArn=machine, input=json.dumps(input or {}))["executionArn"]

    def executions_of(self, machine):
        return self._sfn.list_executions(stateMachineArn=machine)["executions"]

    def describe(self, execution):
        return self._sfn.describe_execution(executionArn=execution)

    def wait_for_end(self, execution):
        return wait_for(lambda: (now := self.describe(execution))["status"] != "RUNNING" and now)

    def run(self, states, input=None, **more):
        """Runs a state machine with these states and returns the execution after its end."""
        return self.wait_for_end(self.start(states, input, **more))

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


def distributed(states, **more):
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": next(iter(states)),
        "States": states,
    }
    return {"Type": "Map", "ItemProcessor": processor, "End": True, **more}
