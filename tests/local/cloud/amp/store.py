"""The resources of AMP for each account and Region, and the transitions of their status.

A status changes when it is read after its time has come, so no timers are needed. Source: AMP API reference,
ScraperStatus and WorkspaceStatus.
"""

import threading
import time

from ministack.core.responses import AccountRegionScopedDict

from amp.errors import not_found

scrapers = AccountRegionScopedDict()  # scraper id -> record
workspaces = AccountRegionScopedDict()  # workspace id -> record
tokens = AccountRegionScopedDict()  # (operation, client token) -> (fingerprint of the request, answer, id)
samples = AccountRegionScopedDict()  # workspace id -> {labels: (time, value)}

# The collector reads records in a thread of its own.
_settling = threading.Lock()
IN_TRANSITION = ("CREATING", "UPDATING", "DELETING")
# ScraperStatusCode in AMP's API model.
STATUSES = (*IN_TRANSITION, "ACTIVE", "CREATION_FAILED", "UPDATE_FAILED", "DELETION_FAILED")


def reset() -> None:
    """Empties all stores, as the services of ministack do on reset."""
    for store in (scrapers, workspaces, tokens, samples):
        store._data.clear()


def begin(record: dict, status: str, seconds: float, then: str, reason: str | None = None) -> None:
    """Starts a transition that ends after some real seconds."""
    with _settling:
        record.update(_status=status, _due=time.time() + seconds, _then=then, _reason=reason)
        record.pop("statusReason", None)


def settle(record: dict) -> dict:
    """The record, after every transition whose time has come."""
    with _settling:
        if "_due" in record and time.time() >= record["_due"]:
            record["_status"] = record.pop("_then")
            record["lastModifiedAt"] = record.pop("_due")
            if record.get("_reason"):
                record["statusReason"] = record["_reason"]
    return record


def live(store) -> list[dict]:
    """The caller's records that exist, oldest first."""
    for identifier, record in store.items():
        if settle(record)["_status"] == "GONE":
            store.pop(identifier, None)
    return sorted(store.values(), key=lambda record: record["createdAt"])


def get(store, kind: str, identifier: str) -> dict:
    """The caller's record with this id; raises ResourceNotFoundException."""
    record = store.get(identifier)
    if record is None or settle(record)["_status"] == "GONE":
        store.pop(identifier, None)
        raise not_found(kind, identifier)
    return record


def put(record: dict, status: str, reason: str | None) -> None:
    """Sets the status of a record at once and ends its transition."""
    with _settling:
        for name in ("_due", "_then", "_reason", "statusReason"):
            record.pop(name, None)
        record.update(_status=status, lastModifiedAt=time.time(), **({"statusReason": reason} if reason else {}))


def shown(record: dict, leave_out: tuple[str, ...] = ()) -> dict:
    """A record in the shape of the API."""
    public = {name: value for name, value in record.items() if not name.startswith("_") and name not in leave_out}
    return {**public, "status": {"statusCode": record["_status"]}}
