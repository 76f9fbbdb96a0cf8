"""STS: the removal of expired sessions is thread-safe.

This is not an AWS rule. The collector adds sessions in another thread.
"""

import time

from ministack.services import sts

from core.settings import Settings


def install(cloud: Settings) -> None:
    """ministack iterates over the session dictionary and raises a RuntimeError if another thread adds a session."""
    del cloud
    sts._evict_expired_sessions = _evict


def _evict() -> None:
    now = time.time()
    for key, session in sts._sessions.copy().items():
        expiration = session.get("Expiration")
        if isinstance(expiration, (int, float)) and now > expiration:
            sts._sessions.pop(key, None)
