"""A log of the AWS API calls that the cloud's gateway answered."""

import threading
import time

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.core.router import detect_service, extract_region

from signed_request import COLLECTOR_HEADER


class Calls:
    """Every call of an API, numbered from 1; the collector's own are left out."""

    def __init__(self):
        self._calls: list[dict] = []
        self._lock = threading.Lock()

    def install(self) -> None:
        """Listens at the one place through which ministack's service requests pass."""
        dispatch = app._dispatch_service_request

        async def logged(method, path, headers, body, query, request_id):
            if COLLECTOR_HEADER in headers:
                return await dispatch(method, path, headers, body, query, request_id)
            # Before the call: a role that it deletes still has its path.
            asked = _asked(method, path, headers, body, query)
            began = time.perf_counter()
            answer = await dispatch(method, path, headers, body, query, request_id)
            took = round((time.perf_counter() - began) * 1000, 1)
            caller = {"account": get_account_id(), "principal": iam_evaluator.caller_arn()}
            self._note({"at": time.time(), **caller, **asked, "status": answer[0], "milliseconds": took})
            return answer

        app._dispatch_service_request = logged

    def since(self, number: int) -> dict:
        """The calls after a number, and the number to ask with next time."""
        with self._lock:
            return {"calls": self._calls[max(number, 0) :], "next": len(self._calls)}

    def _note(self, call: dict) -> None:
        with self._lock:
            self._calls.append({"n": len(self._calls) + 1, **call})


def _asked(method, path, headers, body, query) -> dict:
    parameters = app._routing_params(method, path, headers, body, query)
    service, region = detect_service(method, path, headers, parameters), extract_region(headers)
    request = (service, method, path, headers, body, parameters)
    return {
        "region": region,
        "action": iam_actions.extract_iam_action(*request) or f"{service}:Unknown",
        "resource": iam_actions.extract_resource_arn(*request, region, get_account_id()),
    }
