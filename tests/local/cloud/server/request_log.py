"""The log of AWS API requests to the cloud (`/_cloud/calls`). It is not part of AWS."""

import threading
import time

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.core.router import detect_service, extract_region

from amp.signed_request import COLLECTOR_HEADER
from iam import authorizations


class RequestLog:
    """All API requests except those of the collector. The first request has number 1."""

    def __init__(self):
        self._calls: list[dict] = []
        self._forwarded: list[dict] = []
        self._lock = threading.Lock()

    def install(self) -> None:
        """Wraps the ministack function that dispatches all service requests."""
        dispatch = app._dispatch_service_request

        async def logged(method, path, headers, body, query, request_id):
            if COLLECTOR_HEADER in headers:
                return await dispatch(method, path, headers, body, query, request_id)
            # Described before dispatch, so that the path of a role is known even if the request deletes the role.
            description = _describe(method, path, headers, body, query)
            started = time.perf_counter()
            with authorizations.recorded() as checks:
                response = await dispatch(method, path, headers, body, query, request_id)
            milliseconds = round((time.perf_counter() - started) * 1000, 1)
            caller = {"account": get_account_id(), "principal": iam_evaluator.caller_arn()}
            # The first check is that of the request itself.
            own = [check["context"] for check in checks if check["action"] == description["action"]]
            description["context"] |= own[0] if own else {}
            call = {"at": time.time(), **caller, **description, "status": response[0]}
            self._append({**call, "milliseconds": milliseconds}, checks)
            return response

        app._dispatch_service_request = logged

    def since(self, number: int) -> dict:
        """The requests with a greater number, and the number to pass in the next query.

        `forwarded` are the checks that a service made with the permissions of the caller of such a request. They have
        the number of the request.
        """
        with self._lock:
            forwarded = [check for check in self._forwarded if check["n"] > number]
            return {"calls": self._calls[max(number, 0) :], "forwarded": forwarded, "next": len(self._calls)}

    def _append(self, call: dict, checks: list[dict]) -> None:
        with self._lock:
            number = len(self._calls) + 1
            self._calls.append({"n": number, **call})
            self._forwarded += [{"n": number, **check} for check in checks if "forwardedBy" in check]


def _describe(method, path, headers, body, query) -> dict:
    parameters = app._routing_params(method, path, headers, body, query)
    service, region = detect_service(method, path, headers, parameters), extract_region(headers)
    request = (service, method, path, headers, body, parameters)
    action = iam_actions.extract_iam_action(*request) or f"{service}:Unknown"
    has_policy = action == "sts:AssumeRole" and ("Policy" in parameters or "PolicyArns.member.1.arn" in parameters)
    return {
        "region": region,
        "action": action,
        "resource": iam_actions.extract_resource_arn(*request, region, get_account_id()),
        "context": {"sessionPolicy": True} if has_policy else {},
    }
