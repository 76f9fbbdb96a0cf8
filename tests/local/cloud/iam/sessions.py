"""STS: sessions of roles for this cloud itself, and the removal of expired sessions, which is thread-safe.

This is not an AWS rule. The collector adds sessions in another thread.
"""

import contextlib
import time

from botocore.credentials import Credentials
from ministack.services import iam, sts

from core.settings import Settings


def install(cloud: Settings) -> None:
    """ministack iterates over the session dictionary and raises a RuntimeError if another thread adds a session."""
    del cloud
    sts._evict_expired_sessions = _evict


@contextlib.contextmanager
def temporary(arn: str, session_policy: str | None = None):
    """A session with the given assumed-role ARN, without a request. Yields its credentials, then deletes it."""
    account, name = arn.split(":")[4], arn.split("/")[1]
    role = iam._roles.get_scoped(account, None, name) or {}
    credentials = Credentials(iam._gen_session_access_key(), iam._gen_secret(), iam._gen_session_token())
    session = {
        "Arn": arn,
        "UserId": f"{role.get('RoleId')}:{arn.rpartition('/')[2]}",
        "SecretAccessKey": credentials.secret_key,
        "SessionToken": credentials.token,
        "Expiration": time.time() + 3600,
        "AccountId": account,
        "PrincipalType": "AssumedRole",
    }
    if session_policy is not None:
        session["SessionPolicies"] = {"Policy": session_policy, "PolicyArns": []}
    sts.register_session(credentials.access_key, session)
    try:
        yield credentials
    finally:
        delete(credentials)


def delete(credentials: Credentials) -> None:
    """Deletes a session. Otherwise the sessions of thousands of collections stay until they expire."""
    sts._sessions.pop(credentials.access_key, None)


def _evict() -> None:
    now = time.time()
    for key, session in sts._sessions.copy().items():
        expiration = session.get("Expiration")
        if isinstance(expiration, (int, float)) and now > expiration:
            sts._sessions.pop(key, None)
