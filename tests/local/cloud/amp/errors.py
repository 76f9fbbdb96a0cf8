"""Amazon Managed Service for Prometheus's errors and answers on the wire (REST-JSON, API of 2020-08-01)."""

import json


class Refusal(Exception):
    """An error answer: HTTP status, the error's name, and the members of its shape in the API model."""

    def __init__(self, status: int, name: str, message: str, **members):
        super().__init__(message)
        self.status, self.name, self.message, self.members = status, name, message, members

    def response(self):
        """The answer as a ministack handler returns it. SDKs read the name from the header `x-amzn-ErrorType`."""
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": self.name}
        return self.status, headers, json.dumps({"message": self.message, **self.members}).encode()


def answer(status: int, body: dict | None = None):
    """A successful answer. Timestamps in `body` are seconds since the epoch, as in REST-JSON."""
    payload = b"" if body is None else json.dumps(body).encode()
    return status, {"Content-Type": "application/json"}, payload


def invalid(field: str, why: str) -> Refusal:
    """A ValidationException that names its field, as AMP returns it."""
    return Refusal(
        400,
        "ValidationException",
        f"{field}: {why}",
        reason="FIELD_VALIDATION_FAILED",
        fieldList=[{"name": field, "message": why}],
    )


def not_found(kind: str, identifier: str) -> Refusal:
    return Refusal(
        404, "ResourceNotFoundException", f"{kind} not found: {identifier}", resourceId=identifier, resourceType=kind
    )


def conflict(kind: str, identifier: str, why: str) -> Refusal:
    return Refusal(409, "ConflictException", why, resourceId=identifier, resourceType=kind)


def denied(principal: str, action: str, resource: str) -> Refusal:
    return Refusal(
        403,
        "AccessDeniedException",
        f"User: {principal} is not authorized to perform: {action} on resource: {resource}",
    )
