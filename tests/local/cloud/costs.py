"""What a Region's executions cost an account: states entered, invocations, and the functions' milliseconds."""

import threading
import time
from datetime import datetime

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import lambda_svc, stepfunctions

import lambda_workers
from settings import Settings

_lock = threading.Lock()
_invocations: list[tuple[str, str, float]] = []  # account, Region, when


def install(cloud: Settings) -> None:
    """Notes each invocation: ministack counts only those that come over its API."""
    del cloud
    original = lambda_svc._execute_function

    def execute_function(function, event):
        with _lock:
            _invocations.append((get_account_id(), get_region(), time.time()))
        return original(function, event)

    lambda_svc._execute_function = execute_function


def since(account: str, region: str, moment: float) -> dict:
    """What was entered and invoked after a moment, in seconds since the epoch; and the processor time of
    all functions until now."""
    with request_scope(account, region):
        executions = list(stepfunctions._executions.values())
    entered = [
        event
        for execution in executions
        for event in list(execution["events"])
        if "stateEnteredEventDetails" in event and _seconds(event["timestamp"]) >= moment
    ]
    with _lock:
        invoked = sum(one[:2] == (account, region) and one[2] >= moment for one in _invocations)
    milliseconds = round(lambda_workers.processor_milliseconds(), 1)
    return {"states": len(entered), "invocations": invoked, "lambdaMilliseconds": milliseconds}


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
