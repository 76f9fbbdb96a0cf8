"""AMP: the requests with which a scraper writes samples to a workspace. The IAM emulation authorizes each request.

Source: AMP user guide, "Using AWS managed collectors", "Cross-account setup" (the service assumes the source role;
the source role assumes the target role, with the scraper ARN as external id; the target role writes the samples).
"""

import re
from contextlib import contextmanager
from urllib.parse import urlencode

from botocore.credentials import Credentials
from ministack.core.responses import request_scope
from ministack.services import iam

from amp import remote_write, service, shapes, store
from amp.service_linked_role import SERVICE
from amp.signed_request import send
from core.settings import Settings
from iam import service_principals, service_roles, sessions

_SESSION = "AmazonPrometheusScraper"


class Steps:
    """The results of the requests, in the format of the control API."""

    def __init__(self):
        self._steps: list[dict] = []

    def record(self, step: str, error: str | None) -> bool:
        """Records the result of a request and returns whether the request succeeded."""
        self._steps.append({"step": step, "ok": error is None, **({"error": error} if error else {})})
        return error is None

    def result(self) -> dict:
        written = bool(self._steps) and self._steps[-1]["step"] == "write samples" and self._steps[-1]["ok"]
        return {"steps": self._steps, "written": written}


def write(cloud: Settings, source_role: str, target_role: str, workspace: str, scraper: str, rows: list[dict]) -> dict:
    """Writes samples once with the identity of a scraper. This function blocks: do not call it on the event loop."""
    steps = Steps()
    _, _, _, region, account, _ = scraper.split(":", 5)
    with _as_service(source_role, scraper, account, region) as (credentials, error):
        if steps.record("assume source role", error):
            credentials, error = _assume(cloud, credentials, region, target_role, scraper)
            if steps.record("assume target role", error):
                steps.record("write samples", _remote_write(cloud, credentials, workspace, rows))
                sessions.delete(credentials)
    return steps.result()


def write_with_service_role(workspace: str, rows: list[dict]) -> dict:
    """Writes samples with the service-linked role to a workspace in the same account."""
    steps = Steps()
    match = shapes.WORKSPACE_ARN.fullmatch(workspace)
    with request_scope(match[2], match[1]):
        exists = match[3] in store.workspaces
        if steps.record("write samples", None if exists else f"workspace not found: {match[3]}"):
            service.write(match[3], remote_write.encode(rows))
    return steps.result()


@contextmanager
def _as_service(role_arn: str, scraper: str, account: str, region: str):
    """Assumes the source role as the service. Yields (credentials, error)."""
    match = shapes.ROLE_ARN.fullmatch(role_arn or "")
    denied = f"{SERVICE} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
    role = iam._roles.get_scoped(match[1], None, role_arn.rpartition("/")[2]) if match else None
    if role is None or role["Arn"] != role_arn:
        yield None, denied
        return
    keys = {"aws:SourceArn": scraper, "aws:SourceAccount": account}
    if not service_principals.may_assume(role, SERVICE, region, keys):
        yield None, denied
        return
    with sessions.temporary(service_roles.session_arn(role_arn, _SESSION)) as credentials:
        yield credentials, None


def _assume(cloud: Settings, credentials: Credentials, region: str, role: str, external_id: str):
    """Sends a signed sts:AssumeRole request. Returns (credentials, error)."""
    body = urlencode(
        {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": _SESSION,
            "ExternalId": external_id,
        }
    ).encode()
    response = send(cloud, credentials, "sts", region, "/", "application/x-www-form-urlencoded", body)
    if response.status != 200:
        message = re.search(r"<Message>(.*?)</Message>", response.body, re.DOTALL)
        return None, message[1] if message else response.body[:500]
    parts = [
        re.search(rf"<{name}>(.*?)</{name}>", response.body)[1]
        for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
    ]
    return Credentials(*parts), None


def _remote_write(cloud: Settings, credentials: Credentials, workspace: str, rows: list[dict]) -> str | None:
    """Sends a signed aps:RemoteWrite request to the endpoint of the workspace. Returns the error or None."""
    match = shapes.WORKSPACE_ARN.fullmatch(workspace or "")
    if match is None:
        return f"{workspace} is not a workspace ARN"
    path = f"/workspaces/{match[3]}/api/v1/remote_write"
    body, content_type = remote_write.encode(rows), remote_write.CONTENT_TYPE
    response = send(cloud, credentials, "aps", match[1], path, content_type, body, remote_write.HEADERS)
    return None if response.status == 200 else f"{response.status}: {response.body[:500]}"
