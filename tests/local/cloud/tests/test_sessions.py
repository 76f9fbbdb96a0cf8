"""STS sessions that several threads read and change."""

import sys
import time

from conftest import FOLDER
from ministack.services import sts

sys.path.insert(0, str(FOLDER))

from iam import sessions


class SessionThatAddsAnother(dict):
    """A session that adds another session when it is read."""

    def get(self, key, default=None):
        sts._sessions[f"added-{len(sts._sessions)}"] = {}
        return super().get(key, default)


def test_expired_sessions_are_removed_while_sessions_are_added(monkeypatch):
    monkeypatch.setattr(
        sts, "_sessions", {"old": SessionThatAddsAnother(Expiration=time.time() - 1), "new": SessionThatAddsAnother()}
    )
    sessions._evict()
    assert "old" not in sts._sessions
    assert {"new", "added-2"} <= sts._sessions.keys()
