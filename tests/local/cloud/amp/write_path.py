"""The path of a scraper's samples into a workspace: three requests, each authorized by the cloud's IAM.

Source: AMP user guide, "Using AWS managed collectors", "Cross-account setup": the service assumes the
source role, which assumes the target role with the scraper's ARN as external id, which writes.
"""

import re
import time
from contextlib import contextmanager
from urllib.parse import urlencode

from botocore.credentials import Credentials
from ministack.core.responses import request_scope
from ministack.services import iam, sts

from amp import remote_write, service, shapes, store
from amp.service_linked_role import SERVICE
from amp.signed_request import send
from core.settings import Settings
from iam import service_principals

_SESSION = "AmazonPrometheusScraper"


class Steps:
    """The result of each request, in the shape of the control API."""

    def __init__(self):
        self._steps: list[dict] = []

    def note(self, step: str, error: str | None) -> bool:
        """Records a request; returns whether it succeeded."""
        self._steps.append({"step": step, "ok": error is None, **({"error": error} if error else {})})
        return error is None

    def shown(self) -> dict:
        written = bool(self._steps) and self._steps[-1]["step"] == "write samples" and self._steps[-1]["ok"]
        return {"steps": self._steps, "written": written}


def write(cloud: Settings, source_role: str, target_role: str, workspace: str, scraper: str, rows: list[dict]) -> dict:
    """Writes samples once, with the identity of a scraper. Blocks: never call it on the event loop."""
    steps = Steps()
    _, _, _, region, account, _ = scraper.split(":", 5)
    with _as_service(source_role, scraper, account, region) as (credentials, error):
        if steps.note("assume source role", error):
            credentials, error = _assume(cloud, credentials, region, target_role, scraper)
            if steps.note("assume target role", error):
                steps.note("write samples", _remote_write(cloud, credentials, workspace, rows))
                _forget(credentials)
    return steps.shown()


def write_with_service_role(workspace: str, rows: list[dict]) -> dict:
    """Writes without a role configuration: as the service-linked role, into a workspace of the same account."""
    steps = Steps()
    match = shapes.WORKSPACE_ARN.fullmatch(workspace)
    with request_scope(match[2], match[1]):
        there = match[3] in store.workspaces
        if steps.note("write samples", None if there else f"workspace not found: {match[3]}"):
            service.write(match[3], remote_write.encode(rows))
    return steps.shown()


@contextmanager
def _as_service(role_arn: str, scraper: str, account: str, region: str):
    """The session in which the service has assumed the source role, as (credentials, error)."""
    match = shapes.ROLE_ARN.fullmatch(role_arn or "")
    refused = f"{SERVICE} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
    role = iam._roles.get_scoped(match[1], None, role_arn.rpartition("/")[2]) if match else None
    if role is None or role["Arn"] != role_arn:
        yield None, refused
        return
    keys = {"aws:SourceArn": scraper, "aws:SourceAccount": account}
    if not service_principals.may_assume(role, SERVICE, region, keys):
        yield None, refused
        return
    credentials = Credentials(iam._gen_session_access_key(), iam._gen_secret(), iam._gen_session_token())
    sts.register_session(
        credentials.access_key,
        {
            "Arn": f"arn:aws:sts::{match[1]}:assumed-role/{role['RoleName']}/{_SESSION}",
            "UserId": f"{role['RoleId']}:{_SESSION}",
            "SecretAccessKey": credentials.secret_key,
            "SessionToken": credentials.token,
            "Expiration": time.time() + 3600,
            "AccountId": match[1],
            "PrincipalType": "AssumedRole",
        },
    )
    try:
        yield credentials, None
    finally:
        _forget(credentials)


def _assume(cloud: Settings, credentials: Credentials, region: str, role: str, external_id: str):
    """sts:AssumeRole, signed, as (credentials, error)."""
    body = urlencode(
        {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": _SESSION,
            "ExternalId": external_id,
        }
    ).encode()
    answer = send(cloud, credentials, "sts", region, "/", "application/x-www-form-urlencoded", body)
    if answer.status != 200:
        message = re.search(r"<Message>(.*?)</Message>", answer.body, re.DOTALL)
        return None, message[1] if message else answer.body[:500]
    parts = [
        re.search(rf"<{name}>(.*?)</{name}>", answer.body)[1]
        for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
    ]
    return Credentials(*parts), None


def _remote_write(cloud: Settings, credentials: Credentials, workspace: str, rows: list[dict]) -> str | None:
    """aps:RemoteWrite, signed, at the workspace's endpoint; returns the error."""
    match = shapes.WORKSPACE_ARN.fullmatch(workspace or "")
    if match is None:
        return f"{workspace} is not a workspace's ARN"
    path = f"/workspaces/{match[3]}/api/v1/remote_write"
    body, kind = remote_write.encode(rows), remote_write.CONTENT_TYPE
    answer = send(cloud, credentials, "aps", match[1], path, kind, body, remote_write.HEADERS)
    return None if answer.status == 200 else f"{answer.status}: {answer.body[:500]}"


def _forget(credentials: Credentials) -> None:
    """Removes a session, because those of thousands of collections would otherwise stay until they expire."""
    sts._sessions.pop(credentials.access_key, None)
