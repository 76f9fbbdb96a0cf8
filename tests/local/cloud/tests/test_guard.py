"""Requests of web pages and requests without the secret are refused."""

import http.client
import re
import shutil
import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import HUB, REGION, SOURCE, Cloud, allow
from support.lambdas import create_function

FORM = "application/x-www-form-urlencoded"


def user_request(cloud, name) -> tuple[str, bytes, dict]:
    """A signed CreateUser request: path, body and headers."""
    body = urlencode({"Action": "CreateUser", "Version": "2010-05-08", "UserName": name}).encode()
    request = AWSRequest("POST", f"{cloud.url}/", data=body, headers={"Content-Type": FORM})
    SigV4Auth(Credentials(SOURCE, "any"), "iam", "us-east-1").add_auth(request)
    return urlsplit(request.url).path, body, dict(request.headers)


def forget_request(cloud, name) -> tuple[str, bytes, dict]:
    """A request of the control API that deletes the account of the user."""
    body = b'{"account": "' + SOURCE.encode() + b'"}'
    return f"{urlsplit(cloud.url).path}/_cloud/forget", body, {"Content-Type": "text/plain"}


def send(url: str, path: str, body: bytes | None, headers: dict, method: str = "POST") -> tuple[int, str, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(url).port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in {"Host": urlsplit(url).netloc, "Content-Length": str(len(body or b"")), **headers}.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, response.read().decode(), dict(response.getheaders())
    finally:
        connection.close()


def user_exists(cloud, name) -> bool:
    return name in [user["UserName"] for user in cloud.client("iam", SOURCE).list_users()["Users"]]


@pytest.fixture(scope="module")
def own_cloud():
    """A cloud of this module, because a defect in the guard would delete an account that other tests use."""
    started = Cloud("--minute", "0.05")
    started.client("iam", SOURCE).create_user(UserName="kept")
    yield started
    started.stop()


@pytest.fixture(params=[user_request, forget_request])
def request_of(request):
    return request.param


@pytest.mark.parametrize(
    ("header", "value", "reason"),
    [
        ("Host", "attacker.example", "Host"),
        ("Host", "attacker.example:{port}", "Host"),
        ("Host", "127.0.0.1", "Host"),
        ("Host", "127.0.0.1:1", "Host"),
        ("Host", "iam.amazonaws.com", "Host"),
        ("Host", "bucket.s3.localhost:{port}", "Host"),
        ("Host", "bucket.localhost:{port}", "Host"),
        ("Host", "0.0.0.0:{port}", "Host"),
        ("Origin", "http://attacker.example", "Origin"),
        ("Origin", "http://127.0.0.1:{port}", "Origin"),
        ("Origin", "null", "Origin"),
        ("Origin", "", "Origin"),
        ("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Site"),
        ("Sec-Fetch-Site", "same-site", "Sec-Fetch-Site"),
        ("Sec-Fetch-Site", "", "Sec-Fetch-Site"),
    ],
)
def test_a_request_of_a_web_page_is_refused(own_cloud, name, request_of, header, value, reason):
    path, body, headers = request_of(own_cloud, name)
    point = own_cloud.get("calls")["next"]
    value = value.format(port=urlsplit(own_cloud.url).port)
    status, text, response_headers = send(own_cloud.url, path, body, {**headers, header: value})
    assert status == 403 and text.startswith(("A request", "The ")) and reason in text and text.count("\n") == 1
    assert not [header for header in response_headers if header.lower().startswith("access-control")]
    assert own_cloud.get(f"calls?since={point}")["calls"] == []
    assert user_exists(own_cloud, "kept") and not user_exists(own_cloud, name)


@pytest.mark.parametrize("kind", ["none", "empty", "equal length", "shorter", "longer", "upper case", "second"])
def test_a_path_without_the_secret_is_refused(own_cloud, name, request_of, kind):
    path, body, headers = request_of(own_cloud, name)
    secret = own_cloud.url.rpartition("/")[2]
    wrong = {
        "none": "",
        "empty": "/",
        "equal length": "/" + secret[:-1] + ("0" if secret[-1] != "0" else "1"),
        "shorter": "/" + secret[:-1],
        "longer": f"/{secret}0",
        "upper case": "/" + (secret.upper() if secret.upper() != secret else "A" * len(secret)),
        "second": f"/x/{secret}",
    }[kind]
    point = own_cloud.get("calls")["next"]
    path = wrong + path.removeprefix(f"/{secret}")
    status, text, _ = send(own_cloud.url, path, body, headers)
    assert status == 403 and "secret" in text and secret not in text
    assert own_cloud.get(f"calls?since={point}")["calls"] == []
    assert not user_exists(own_cloud, name)


def test_a_request_without_a_host_is_refused(own_cloud):
    path, body, headers = user_request(own_cloud, "no-host")
    with socket.create_connection(("127.0.0.1", urlsplit(own_cloud.url).port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = connection.makefile("rb").read().decode()
    assert answer.startswith("HTTP/1.1 403 ") and "Host" in answer


def test_a_preflight_request_is_refused(own_cloud):
    headers = {"Origin": "http://attacker.example", "Access-Control-Request-Method": "POST"}
    status, _, response_headers = send(own_cloud.url, urlsplit(own_cloud.url).path + "/", None, headers, "OPTIONS")
    assert status == 403 and not [name for name in response_headers if name.lower().startswith("access-control")]


def test_a_websocket_is_refused(own_cloud):
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert send(own_cloud.url, urlsplit(own_cloud.url).path + "/", None, headers, "GET")[0] == 403


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}, {"Host": "localhost:{port}"}]
)
def test_the_url_of_the_cloud_is_accepted(own_cloud, headers):
    headers = {name: value.format(port=urlsplit(own_cloud.url).port) for name, value in headers.items()}
    path = urlsplit(own_cloud.url).path
    status, text, _ = send(own_cloud.url, f"{path}/_cloud/health", None, headers, "GET")
    assert status == 200 and "ready" in text


def test_the_url_has_another_secret_in_each_run(own_cloud, cloud):
    secrets = [re.fullmatch(r"http://127\.0\.0\.1:\d+/([0-9a-f]{32})", one.url)[1] for one in (own_cloud, cloud)]
    assert secrets[0] != secrets[1]


def test_signatures_of_sessions_cover_the_secret(own_cloud, name):
    """ministack verifies the signatures of sessions, and the client signs the path with the secret."""
    session = own_cloud.role(SOURCE, name, allow("*"))
    own_cloud.client("iam", SOURCE, session=session).get_role(RoleName=name)
    s3, eks = (own_cloud.client(service, SOURCE, session=session) for service in ("s3", "eks"))
    assert eks.list_clusters()["clusters"] == []
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=name, Key="a/b c", Body=b"content")
    assert s3.get_object(Bucket=name, Key="a/b c")["Body"].read() == b"content"
    session["SecretAccessKey"] = "wrong"
    with pytest.raises(s3.exceptions.ClientError, match="SignatureDoesNotMatch"):
        own_cloud.client("iam", SOURCE, session=session).get_role(RoleName=name)


def test_a_stack_is_created_from_a_template_url_of_the_cloud(own_cloud, name):
    s3, cloudformation = own_cloud.client("s3", HUB), own_cloud.client("cloudformation", HUB)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    template = '{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    s3.put_object(Bucket=name, Key="t.json", Body=template.encode())
    cloudformation.create_stack(StackName=name, TemplateURL=f"{own_cloud.url}/{name}/t.json")
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


def listening_ports(process: int) -> set[int]:
    """The TCP ports on which a process and its children listen."""
    inodes = set()
    for task in (process, *children(process)):
        for entry in Path(f"/proc/{task}/fd").iterdir():
            try:
                inodes.add(str(entry.readlink()))
            except FileNotFoundError:
                continue
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_the_lambda_runtime_api_refuses_web_pages(own_cloud, name):
    create_function(own_cloud, name)
    before = listening_ports(own_cloud.process.pid)
    own_cloud.client("lambda", HUB).invoke(FunctionName=name, Payload=b"{}")
    (port,) = listening_ports(own_cloud.process.pid) - before
    url, path = f"http://127.0.0.1:{port}", "/2018-06-01/runtime/invocation/x/response"
    assert send(url, path, b"{}", {})[0] == 400  # The invocation does not exist.
    for header, value in [("Host", "a.example"), ("Origin", "http://a.example"), ("Sec-Fetch-Site", "cross-site")]:
        status, text, _ = send(url, path, b"{}", {header: value})
        assert status == 403 and header in text


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_a_prometheus_server_refuses_web_pages(name):
    cloud = Cloud("--minute", "0.05", "--prometheus", "--no-collection")
    try:
        before = listening_ports(cloud.process.pid)
        amp = cloud.client("amp", SOURCE)
        workspace = amp.create_workspace()["workspaceId"]
        body = urlencode({"query": "1"}).encode()
        url = f"{cloud.url}/workspaces/{workspace}/api/v1/query"
        request = AWSRequest("POST", url, data=body, headers={"Content-Type": FORM})
        SigV4Auth(Credentials(SOURCE, "any"), "aps", REGION).add_auth(request)
        assert send(cloud.url, urlsplit(url).path, body, dict(request.headers))[0] == 200
        (port,) = listening_ports(cloud.process.pid) - before
        status, _, headers = send(
            f"http://127.0.0.1:{port}", "/api/v1/query?query=1", None, {"Origin": "http://a.example"}, "GET"
        )
        assert status == 404 and "Access-Control-Allow-Origin" not in headers
    finally:
        cloud.stop()
