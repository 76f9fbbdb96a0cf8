"""Sessions of STS that several threads look through at once."""

import sys
import time

from conftest import FOLDER
from ministack.services import sts

sys.path.insert(0, str(FOLDER))

from iam import sessions


class Growing(dict):
    """A session during whose inspection another thread adds one."""

    def get(self, key, default=None):
        sts._sessions[f"added-{len(sts._sessions)}"] = {}
        return super().get(key, default)


def test_expired_sessions_are_removed_while_others_are_added(monkeypatch):
    monkeypatch.setattr(sts, "_sessions", {"old": Growing(Expiration=time.time() - 1), "new": Growing()})
    sessions._evict()
    assert "old" not in sts._sessions
    assert {"new", "added-2"} <= sts._sessions.keys()
