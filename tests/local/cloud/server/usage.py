"""The billable usage of an account in a Region: states entered, invocations, and milliseconds of functions.

ministack does not measure usage. This module is part of the control API (`/_cloud/usage/…`), not of AWS.
"""

import threading
import time
from datetime import datetime

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import lambda_svc, stepfunctions

from core.settings import Settings
from functions import workers

_lock = threading.Lock()
_invocations: list[tuple[str, str, float]] = []  # (account, Region, time)


def install(cloud: Settings) -> None:
    """Counts each invocation. ministack counts only invocations through its API."""
    del cloud
    original = lambda_svc._execute_function

    def execute_function(function, event):
        with _lock:
            _invocations.append((get_account_id(), get_region(), time.time()))
        return original(function, event)

    lambda_svc._execute_function = execute_function


def since(account: str, region: str, moment: float) -> dict:
    """The states entered and the invocations since a time, and the total processor time of all functions.

    `moment` is in seconds since the epoch.
    """
    with request_scope(account, region):
        executions = list(stepfunctions._executions.values())
    entered = [
        event
        for execution in executions
        for event in list(execution["events"])
        if "stateEnteredEventDetails" in event and _seconds(event["timestamp"]) >= moment
    ]
    with _lock:
        invocations = sum(
            invocation[:2] == (account, region) and invocation[2] >= moment for invocation in _invocations
        )
    milliseconds = round(workers.processor_milliseconds(), 1)
    return {"states": len(entered), "invocations": invocations, "lambdaMilliseconds": milliseconds}


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
