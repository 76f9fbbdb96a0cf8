"""Fixtures: clouds, and clients with the credentials of an account root user or of a role."""

import json
import re
import subprocess
import sys
import time
import urllib.request
import zlib
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent
# Some tests import a module and do not start a cloud.
sys.path.append(str(FOLDER))
HUB, SOURCE, TARGET = "111111111111", "222222222222", "333333333333"
REGION = "us-west-2"


class Cloud:
    """A running cloud."""

    def __init__(self, *options: str, **process_options):
        command = [sys.executable, str(FOLDER), "--port", "0", "--watch-stdin", *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **process_options
        )
        line = self.process.stdout.readline()
        assert line.startswith("ready http://127.0.0.1:"), line
        self.url = line.split()[1]

    def client(self, service: str, account: str, region: str = REGION, session: dict | None = None):
        """A client with the root access key of an account, or with the credentials of a session."""
        keys = {"aws_access_key_id": account, "aws_secret_access_key": "any"}
        if session:
            keys = {
                "aws_access_key_id": session["AccessKeyId"],
                "aws_secret_access_key": session["SecretAccessKey"],
                "aws_session_token": session["SessionToken"],
            }
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        return boto3.client(service, region_name=region, endpoint_url=self.url, config=config, **keys)

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(f"{self.url}/_cloud/{path}") as response:
            return json.load(response)

    def post(self, path: str, body: dict) -> dict:
        request = urllib.request.Request(f"{self.url}/_cloud/{path}", data=json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def role(
        self, account: str, name: str, *statements: dict, path: str = "/", trust: dict | None = None, **more
    ) -> dict:
        """Creates a role that its account can assume. Returns the credentials of a session."""
        iam = self.client("iam", account)
        trust = trust or allow_assume({"AWS": f"arn:aws:iam::{account}:root"})
        role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust, **more)["Role"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))
        sts = self.client("sts", account)
        return sts.assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)


def policy(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more) -> dict:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action, resource="*", **more) -> dict:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def allow_assume(principal, **more) -> str:
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more})


def wait_for(condition, seconds: float = 60.0):
    """Polls `condition` until its result is true, and returns the result."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, f"the condition is still false after {seconds} s"
        time.sleep(0.02)
    return result


@pytest.fixture(scope="session")
def cloud():
    """A cloud with a minute of 50 ms."""
    started = Cloud("--minute", "0.05")
    yield started
    started.stop()


@pytest.fixture(scope="session")
def machines(cloud):
    """State machines in the hub account, and the function that they invoke."""
    from support.machines import Machines

    return Machines(cloud)


@pytest.fixture
def role(cloud, name):
    """Creates a role for a state machine with the given statements. Returns the role name."""

    def create(*statements):
        trust = allow_assume({"Service": "states.amazonaws.com"})
        iam = cloud.client("iam", HUB)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))
        return name

    return create


@pytest.fixture
def name(request):
    """A unique name for each test, valid for roles and clusters."""
    plain = re.sub(r"[^0-9A-Za-z]+", "-", request.node.name.removeprefix("test_"))
    return f"t-{plain[:36].strip('-')}-{zlib.crc32(request.node.nodeid.encode()):08x}"


@pytest.fixture
def client_error():
    """Calls a function that must raise a ClientError. Returns the error code and the message."""

    def call_and_catch(call, **arguments) -> tuple[str, str]:
        from botocore.exceptions import ClientError

        with pytest.raises(ClientError) as caught:
            call(**arguments)
        error = caught.value.response["Error"]
        return error["Code"], error.get("Message", "")

    return call_and_catch
