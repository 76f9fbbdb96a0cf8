"""The resources of AMP by account and Region, and their status transitions.

A due transition is applied when the record is read, so that no timers are necessary. Source: AMP API reference,
ScraperStatus and WorkspaceStatus.
"""

import threading
import time

from ministack.core.responses import AccountRegionScopedDict

from amp.errors import not_found

scrapers = AccountRegionScopedDict()  # scraper id -> record
workspaces = AccountRegionScopedDict()  # workspace id -> record
tokens = AccountRegionScopedDict()  # (operation, client token) -> (request fingerprint, response)
samples = AccountRegionScopedDict()  # workspace id -> {labels: (time, value)}

# The collector reads records in another thread.
_lock = threading.Lock()
IN_TRANSITION = ("CREATING", "UPDATING", "DELETING")
# ScraperStatusCode in AMP's API model.
STATUSES = (*IN_TRANSITION, "ACTIVE", "CREATION_FAILED", "UPDATE_FAILED", "DELETION_FAILED")


def reset() -> None:
    """Deletes all records, like the reset functions of ministack services."""
    for store in (scrapers, workspaces, tokens, samples):
        store._data.clear()


def start_transition(record: dict, status: str, seconds: float, next_status: str, reason: str | None = None) -> None:
    """Sets a transitional status. After the given real seconds, the status becomes `next_status`."""
    with _lock:
        record.update(_status=status, _due_at=time.time() + seconds, _next_status=next_status, _reason=reason)
        record.pop("statusReason", None)


def refresh(record: dict) -> dict:
    """Applies a due transition and returns the record."""
    with _lock:
        if "_due_at" in record and time.time() >= record["_due_at"]:
            record["_status"] = record.pop("_next_status")
            record["lastModifiedAt"] = record.pop("_due_at")
            if record.get("_reason"):
                record["statusReason"] = record["_reason"]
    return record


def list_all(store) -> list[dict]:
    """The existing records of the caller, oldest first."""
    for identifier, record in store.items():
        if refresh(record)["_status"] == "DELETED":
            store.pop(identifier, None)
    return sorted(store.values(), key=lambda record: record["createdAt"])


def get(store, kind: str, identifier: str) -> dict:
    """The record of the caller with this id. Raises ResourceNotFoundException if it does not exist."""
    record = store.get(identifier)
    if record is None or refresh(record)["_status"] == "DELETED":
        store.pop(identifier, None)
        raise not_found(kind, identifier)
    return record


def set_status(record: dict, status: str, reason: str | None) -> None:
    """Sets the status of a record immediately and cancels its transition."""
    with _lock:
        for name in ("_due_at", "_next_status", "_reason", "statusReason"):
            record.pop(name, None)
        record.update(_status=status, lastModifiedAt=time.time(), **({"statusReason": reason} if reason else {}))


def to_api(record: dict, omit: tuple[str, ...] = ()) -> dict:
    """Converts a record to the format of the API."""
    public = {name: value for name, value in record.items() if not name.startswith("_") and name not in omit}
    return {**public, "status": {"statusCode": record["_status"]}}
