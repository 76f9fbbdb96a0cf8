"""Responses and error responses of Amazon Managed Service for Prometheus (REST-JSON, API of 2020-08-01)."""

import json


class ApiError(Exception):
    """An error response: HTTP status, error name, and the members of its shape in the API model."""

    def __init__(self, status: int, name: str, message: str, **members):
        super().__init__(message)
        self.status, self.name, self.message, self.members = status, name, message, members

    def response(self):
        """The return value of a ministack handler. SDKs read the error name from the header `x-amzn-ErrorType`."""
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": self.name}
        return self.status, headers, json.dumps({"message": self.message, **self.members}).encode()


def json_response(status: int, body: dict | None = None):
    """A successful response. Timestamps in `body` are seconds since the epoch, as in REST-JSON."""
    payload = b"" if body is None else json.dumps(body).encode()
    return status, {"Content-Type": "application/json"}, payload


def invalid(field: str, message: str) -> ApiError:
    """The ValidationException of AMP for one field."""
    return ApiError(
        400,
        "ValidationException",
        f"{field}: {message}",
        reason="FIELD_VALIDATION_FAILED",
        fieldList=[{"name": field, "message": message}],
    )


def not_found(kind: str, identifier: str) -> ApiError:
    return ApiError(
        404, "ResourceNotFoundException", f"{kind} not found: {identifier}", resourceId=identifier, resourceType=kind
    )


def conflict(kind: str, identifier: str, message: str) -> ApiError:
    return ApiError(409, "ConflictException", message, resourceId=identifier, resourceType=kind)


def denied(principal: str, action: str, resource: str) -> ApiError:
    return ApiError(
        403,
        "AccessDeniedException",
        f"User: {principal} is not authorized to perform: {action} on resource: {resource}",
    )
