"""What a Region's executions cost an account: states entered, invocations and their milliseconds."""

import threading
import time
from datetime import datetime

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import lambda_svc, stepfunctions

from settings import Settings

_lock = threading.Lock()
_invocations: list[tuple[str, str, float, float]] = []  # account, Region, when, milliseconds


def install(cloud: Settings) -> None:
    """Notes how long each invocation took: ministack measures only those that come over its API."""
    del cloud
    original = lambda_svc._execute_function

    def execute_function(function, event):
        began = time.time()
        try:
            return original(function, event)
        finally:
            took = (time.time() - began) * 1000
            with _lock:
                _invocations.append((get_account_id(), get_region(), began, took))

    lambda_svc._execute_function = execute_function


def since(account: str, region: str, moment: float) -> dict:
    """Everything that was entered or invoked after a moment, in seconds since the epoch."""
    with request_scope(account, region):
        executions = list(stepfunctions._executions.values())
    entered = [
        event
        for execution in executions
        for event in list(execution["events"])
        if "stateEnteredEventDetails" in event and _seconds(event["timestamp"]) >= moment
    ]
    with _lock:
        took = [one[3] for one in _invocations if one[:2] == (account, region) and one[2] >= moment]
    return {"states": len(entered), "invocations": len(took), "lambdaMilliseconds": round(sum(took), 1)}


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
