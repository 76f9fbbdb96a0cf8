"""The log of the AWS API requests that the cloud has answered (`/_cloud/calls`). Not a part of AWS."""

import threading
import time

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.core.router import detect_service, extract_region

from amp.signed_request import COLLECTOR_HEADER


class RequestLog:
    """Every API request, numbered from 1, except those of the collector."""

    def __init__(self):
        self._calls: list[dict] = []
        self._lock = threading.Lock()

    def install(self) -> None:
        """Wraps the function through which all service requests of ministack pass."""
        dispatch = app._dispatch_service_request

        async def logged(method, path, headers, body, query, request_id):
            if COLLECTOR_HEADER in headers:
                return await dispatch(method, path, headers, body, query, request_id)
            # Before the request is handled: a role that it deletes still has its path.
            described = _described(method, path, headers, body, query)
            began = time.perf_counter()
            answer = await dispatch(method, path, headers, body, query, request_id)
            took = round((time.perf_counter() - began) * 1000, 1)
            caller = {"account": get_account_id(), "principal": iam_evaluator.caller_arn()}
            self._note({"at": time.time(), **caller, **described, "status": answer[0], "milliseconds": took})
            return answer

        app._dispatch_service_request = logged

    def since(self, number: int) -> dict:
        """The requests after a number, and the number for the next query."""
        with self._lock:
            return {"calls": self._calls[max(number, 0) :], "next": len(self._calls)}

    def _note(self, call: dict) -> None:
        with self._lock:
            self._calls.append({"n": len(self._calls) + 1, **call})


def _described(method, path, headers, body, query) -> dict:
    parameters = app._routing_params(method, path, headers, body, query)
    service, region = detect_service(method, path, headers, parameters), extract_region(headers)
    request = (service, method, path, headers, body, parameters)
    return {
        "region": region,
        "action": iam_actions.extract_iam_action(*request) or f"{service}:Unknown",
        "resource": iam_actions.extract_resource_arn(*request, region, get_account_id()),
    }
