"""STS: expired sessions are removed while other threads add sessions.

This restores no rule of AWS: ministack iterates over a dictionary that the collector changes.
"""

import time

from ministack.services import sts

from core.settings import Settings


def install(cloud: Settings) -> None:
    """ministack iterates over the sessions while another thread may add one, which raises a RuntimeError."""
    del cloud
    sts._evict_expired_sessions = _evict


def _evict() -> None:
    now = time.time()
    for key, session in sts._sessions.copy().items():
        ends = session.get("Expiration")
        if isinstance(ends, (int, float)) and now > ends:
            sts._sessions.pop(key, None)
