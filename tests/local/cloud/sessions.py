"""STS: the sessions are looked through by several threads at once, where a collector writes."""

import time

from ministack.services import sts

from settings import Settings


def install(cloud: Settings) -> None:
    """ministack goes over the sessions while another thread may add one, which Python does not allow."""
    del cloud
    sts._evict_expired_sessions = _evict


def _evict() -> None:
    now = time.time()
    for key, session in sts._sessions.copy().items():
        ends = session.get("Expiration")
        if isinstance(ends, (int, float)) and now > ends:
            sts._sessions.pop(key, None)
