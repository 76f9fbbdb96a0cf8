"""The process: start, command-line errors, stop and cleanup."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import FOLDER, HUB, SOURCE, Cloud, allow_assume, wait_for
from support.lambdas import create_function
from support.location import Location


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def with_function(*options, **process_options):
    """Starts a cloud and a function. Returns the cloud and the process id of the function."""
    cloud = Cloud(*options, **process_options)
    create_function(cloud, "f")
    result = json.load(cloud.client("lambda", HUB).invoke(FunctionName="f", Payload=b"{}")["Payload"])
    return cloud, result["pid"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_the_cloud_and_its_functions(number, tmp_path):
    cloud, function = with_function("--dir", str(tmp_path))
    assert alive(function)
    cloud.process.send_signal(number)
    code = cloud.process.wait(60)
    wait_for(lambda: not alive(function))
    assert code == (0 if number != signal.SIGKILL else -9)


def test_a_busy_function_ends_when_the_cloud_is_killed(tmp_path):
    cloud, function = with_function("--dir", str(tmp_path))
    cloud.client("lambda", HUB).invoke(FunctionName="f", InvocationType="Event", Payload=b'{"sleep": 120}')
    time.sleep(0.3)
    cloud.process.kill()
    cloud.process.wait(60)
    wait_for(lambda: not alive(function))


def test_a_change_of_a_function_continues_the_function_of_the_same_name_in_another_account(tmp_path):
    cloud, function = with_function("--dir", str(tmp_path))
    create_function(cloud, "f", account=SOURCE)
    other = cloud.client("lambda", SOURCE)
    before = json.load(other.invoke(FunctionName="f", Payload=b"{}")["Payload"])["pid"]
    other.update_function_configuration(FunctionName="f", Timeout=6)
    wait_for(lambda: not alive(before))
    assert alive(function)
    cloud.process.terminate()
    cloud.process.wait(60)


def test_the_end_of_standard_input_ends_the_cloud_and_its_functions():
    cloud, function = with_function()
    cloud.process.stdin.close()
    assert cloud.process.wait(60) == 0
    wait_for(lambda: not alive(function))


def test_the_cloud_ends_immediately_without_standard_input():
    command = [sys.executable, str(FOLDER), "--port", "0", "--watch-stdin"]
    assert subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).returncode == 0


def test_the_cloud_ends_when_its_parent_is_killed():
    program = (
        "import subprocess, sys, time\n"
        f"command = [sys.executable, {str(FOLDER)!r}, '--port', '0', '--watch-stdin']\n"
        "c = subprocess.Popen(command, stdin=subprocess.PIPE)\n"
        "print(c.pid, flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert parent.stdout.readline().startswith("ready ")
    parent.kill()
    parent.wait()
    wait_for(lambda: not alive(pid))


def test_a_running_execution_does_not_delay_the_end_of_the_cloud():
    cloud, function = with_function("--minute", "60")
    sfn, iam = cloud.client("stepfunctions", HUB), cloud.client("iam", HUB)
    iam.create_role(RoleName="m", AssumeRolePolicyDocument=allow_assume({"Service": "states.amazonaws.com"}))
    definition = '{"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":600,"End":true}}}'
    machine = sfn.create_state_machine(name="m", roleArn=f"arn:aws:iam::{HUB}:role/m", definition=definition)
    sfn.start_execution(stateMachineArn=machine["stateMachineArn"])
    cloud.process.terminate()
    assert cloud.process.wait(60) == 0


def test_without_watch_stdin_the_cloud_ignores_standard_input():
    command = [sys.executable, str(FOLDER), "--port", "0"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("ready ")
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    assert process.wait(60) == 0
    assert process.stdout.read() == "", "the output is exactly one line"


def test_the_cloud_listens_only_on_loopback_and_writes_only_to_its_directory(tmp_path):
    home, working_directory = tmp_path / "home", tmp_path / "here"
    home.mkdir(), working_directory.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "AWS_PROFILE": "user",
        "HTTP_PROXY": "http://nowhere:1",
        "TMPDIR": str(tmp_path / "t"),
    }
    (tmp_path / "t").mkdir()
    directory = tmp_path / "given"
    cloud, function = with_function("--dir", str(directory), env=environment, cwd=working_directory)
    port = urlsplit(cloud.url).port
    address = socket.gethostbyname(socket.gethostname())
    if not address.startswith("127."):
        with pytest.raises(OSError):
            socket.create_connection((address, port), timeout=1)
    text = Path(f"/proc/{function}/environ").read_text()
    assert "AWS_PROFILE" not in text and "PROXY" not in text
    cloud.stop()
    assert not list(home.iterdir()) and not list(working_directory.iterdir()) and not list((tmp_path / "t").iterdir())
    assert directory.is_dir() and not list(directory.iterdir())


def test_a_temporary_directory_is_deleted(tmp_path):
    cloud, _ = with_function(env={**os.environ, "TMPDIR": str(tmp_path)})
    assert list(tmp_path.iterdir())
    cloud.stop()
    assert not list(tmp_path.iterdir())


def test_a_port_in_use_is_reported_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = subprocess.run(
            [sys.executable, str(FOLDER), "--port", str(port)], capture_output=True, text=True, timeout=60
        )
    assert result.returncode != 0 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and f"127.0.0.1:{port}" in result.stderr


def test_another_ministack_version_is_reported_in_one_line(tmp_path):
    copy = tmp_path / "cloud"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    settings = copy / "core" / "settings.py"
    settings.write_text(settings.read_text().replace('"1.5.33"', '"1.5.34"'))
    result = subprocess.run([sys.executable, str(copy), "--port", "0"], capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and result.stderr.count("\n") == 1 and "1.5.34" in result.stderr


def test_the_requirements_pin_the_supported_ministack_version():
    sys.path.insert(0, str(FOLDER))
    from core.settings import MINISTACK_VERSION

    lines = (FOLDER / "requirements.txt").read_text().splitlines()
    assert f"ministack=={MINISTACK_VERSION} \\" in lines
    assert not [line for line in lines if line.startswith("-") or "://" in line]


def test_functions_use_the_given_endpoint(tmp_path):
    cloud = Cloud("--functions-endpoint", "http://127.0.0.1:1", "--no-collection")
    try:
        create_function(cloud, "f")
        result = json.load(cloud.client("lambda", HUB).invoke(FunctionName="f", Payload=b"{}")["Payload"])
        secret = cloud.url.rpartition("/")[2]
        assert result["environment"]["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:1/{secret}"
    finally:
        cloud.stop()


def test_without_collection_a_scraper_writes_no_samples():
    cloud = Cloud("--minute", "0.01", "--no-collection")
    try:
        location = Location(cloud)
        scraper = location.amp.create_scraper(**location.request())
        wait_for(lambda: location.status(scraper) == "ACTIVE")
        time.sleep(0.5)
        assert cloud.get(f"collections/{scraper['scraperId']}") == {"collections": []}
    finally:
        cloud.stop()


def test_idle_functions_use_almost_no_processor_time():
    cloud, count, seconds = Cloud(), 6, 3

    def context_switches() -> int:
        tasks = Path(f"/proc/{cloud.process.pid}/task").iterdir()
        lines = [line for task in tasks for line in (task / "status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))

    for number in range(count):
        create_function(cloud, f"f{number}")
        cloud.client("lambda", HUB).invoke(FunctionName=f"f{number}", Payload=b"{}")
    time.sleep(1)
    before = context_switches()
    time.sleep(seconds)
    switches_per_second = (context_switches() - before) / seconds
    cloud.stop()
    assert switches_per_second < 5 * count
