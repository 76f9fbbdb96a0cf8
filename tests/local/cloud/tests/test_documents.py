"""The commands of the AWS CLI in the documents: Bash parses them, and the CLI checks them against botocore's models."""

import contextlib
import io
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from awscli.clidriver import create_clidriver
from awscli.customizations.cloudformation.deploy import DeployCommand
from awscli.customizations.s3.subcommands import CpCommand
from botocore.awsrequest import AWSResponse

ROOT = Path(__file__).parents[4]
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?:sh|bash)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The words in angle brackets stand for values. In a script they would be redirections.
PLACEHOLDER = re.compile(r"<[a-z][^<>\n]*>", re.IGNORECASE)
# The commands that have no model, and the options of every command.
WITHOUT_MODEL = {("cloudformation", "deploy"): DeployCommand, ("s3", "cp"): CpCommand}
OF_EVERY_COMMAND = {"--region", "--query", "--output"}
# Every other command does nothing. A file that a command reads exists.
SHELL = """
PATH=
aws() { printf '%s\\0' "$@" >&3; printf '\\n\\0' >&3; echo value; }
command_not_found_handle() { :; }
HUB=111111111111 ORGANIZATION=o-a1b2c3d4e5 IAM_REGION=us-west-2 SOURCE_UNITS=ou-a1b2-c3d4e5f6 TARGET_UNITS=ou-a1b2-d4e5f6a7
PREFERENCES=MaxConcurrentPercentage=20 EVENT_BUS=arn:aws:events:us-west-2:111111111111:event-bus/ampxa
workspace=arn:aws:aps:us-west-2:333333333333:workspace/ws-0a1b cluster=arn:aws:eks:us-west-2:222222222222:cluster/demo
"""


def commands() -> list[tuple[str, list[str]]]:
    """Every call of the AWS CLI in the documents, with its document, as Bash passes it on."""
    found = []
    for document in DOCUMENTS:
        for block in BLOCK.findall(document.read_text()):
            if not re.search(r"\baws ", block):
                continue
            script = SHELL + PLACEHOLDER.sub("placeholder", block)
            reading, writing = os.pipe()
            command = ["/bin/bash", "-c", f"exec 3>&{writing}\n{script}"]
            # Some of the commands write files.
            with tempfile.TemporaryDirectory() as folder:
                done = subprocess.run(command, pass_fds=[writing], capture_output=True, text=True, cwd=folder)
            os.close(writing)
            with os.fdopen(reading) as recorded:
                calls = recorded.read().split("\0\n\0")
            assert "syntax error" not in done.stderr, f"{document.name}: {done.stderr}\n{block}"
            found += [(document.name, call.split("\0")) for call in calls if call]
    return found


COMMANDS = commands()


def checked(arguments: list[str]) -> tuple[int, str]:
    """The exit code and the errors of a command that is checked, and not sent."""
    driver, errors = create_clidriver(), io.StringIO()
    # This event comes after the validation. A response ends the call.
    response = (AWSResponse("", 200, {}, None), {})
    driver.session.register("before-call", lambda **_: response)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            code = driver.main(arguments)
        except SystemExit as end:
            code = end.code
    return code, errors.getvalue()


def test_the_documents_have_commands():
    assert len(COMMANDS) > 30, len(COMMANDS)
    assert {name for name, _ in COMMANDS} >= {"README.md", "deployment.md", "adoption.md", "routing.md", "request.md"}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-west-2")):
        monkeypatch.setenv(f"AWS_{name}", value)


def test_a_wrong_command_is_found():
    create = ["cloudformation", "create-stack-set", "--stack-set-name", "a"]
    assert checked(create)[0] == 0
    for wrong in (["--no-such-option"], ["--operation-preferences", "NoSuchField=1"], ["--parameters", '"ParameterKey=a"']):
        assert checked([*create, *wrong])[0] != 0, wrong


@pytest.mark.parametrize(("document", "arguments"), COMMANDS, ids=[f"{d}: {' '.join(a[:2])}" for d, a in COMMANDS])
def test_a_command_of_a_document_is_valid(document, arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for argument in arguments:
        if argument.startswith("file://"):
            name = argument.removeprefix("file://")
            source = ROOT / name
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(source.read_text() if source.exists() else json.dumps({}))
    command = WITHOUT_MODEL.get(tuple(arguments[:2]))
    if command:
        known = {f"--{option['name']}" for option in command.ARG_TABLE} | OF_EVERY_COMMAND
        assert {argument for argument in arguments if argument.startswith("--")} <= known
        return
    code, errors = checked(arguments)
    assert code == 0, f"{document}: aws {' '.join(arguments)}\n{errors}"
