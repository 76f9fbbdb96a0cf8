"""What AMP holds, per account and Region, and how it changes with time.

A status moves by the clock when it is looked at: no timers that could be lost.
"""

import threading
import time

from ministack.core.responses import AccountRegionScopedDict

from amp_errors import not_found

scrapers = AccountRegionScopedDict()  # scraper id -> record
workspaces = AccountRegionScopedDict()  # workspace id -> record
tokens = AccountRegionScopedDict()  # (operation, client token) -> (fingerprint of the request, answer, id)
samples = AccountRegionScopedDict()  # workspace id -> {labels: (time, value)}

# The collector's thread looks at records too.
_settling = threading.Lock()
IN_TRANSITION = ("CREATING", "UPDATING", "DELETING")
# ScraperStatusCode in AMP's API model.
STATUSES = (*IN_TRANSITION, "ACTIVE", "CREATION_FAILED", "UPDATE_FAILED", "DELETION_FAILED")


def reset() -> None:
    """Forgets everything, as ministack's own services do on reset."""
    for store in (scrapers, workspaces, tokens, samples):
        store._data.clear()


def begin(record: dict, status: str, seconds: float, then: str, reason: str | None = None) -> None:
    """Puts a record into a transition that ends after some real seconds."""
    with _settling:
        record.update(_status=status, _due=time.time() + seconds, _then=then, _reason=reason)
        record.pop("statusReason", None)


def settle(record: dict) -> dict:
    """The record with every transition that is due carried out."""
    with _settling:
        if "_due" in record and time.time() >= record["_due"]:
            record["_status"] = record.pop("_then")
            record["lastModifiedAt"] = record.pop("_due")
            if record.get("_reason"):
                record["statusReason"] = record["_reason"]
    return record


def live(store) -> list[dict]:
    """The caller's records that are still there, oldest first."""
    for identifier, record in store.items():
        if settle(record)["_status"] == "GONE":
            store.pop(identifier, None)
    return sorted(store.values(), key=lambda record: record["createdAt"])


def get(store, kind: str, identifier: str) -> dict:
    """The caller's record of that id, or AMP's refusal."""
    record = store.get(identifier)
    if record is None or settle(record)["_status"] == "GONE":
        store.pop(identifier, None)
        raise not_found(kind, identifier)
    return record


def put(record: dict, status: str, reason: str | None) -> None:
    """Puts a record into a state at once, and ends the transition that it was in."""
    with _settling:
        for name in ("_due", "_then", "_reason", "statusReason"):
            record.pop(name, None)
        record.update(_status=status, lastModifiedAt=time.time(), **({"statusReason": reason} if reason else {}))


def shown(record: dict, leave_out: tuple[str, ...] = ()) -> dict:
    """A record as the API shows it."""
    public = {name: value for name, value in record.items() if not name.startswith("_") and name not in leave_out}
    return {**public, "status": {"statusCode": record["_status"]}}
