"""CloudWatch Logs: validation of resource policies.

Source: CloudWatch Logs API reference, PutResourcePolicy: a document is JSON and has at most 5,120 characters.
"""

import json

from ministack.core.responses import error_response_json
from ministack.services import cloudwatch_logs

from core.settings import Settings

MAX_CHARACTERS = 5120


def install(cloud: Settings) -> None:
    """ministack stores any text."""
    del cloud
    original = cloudwatch_logs._put_resource_policy

    def put_resource_policy(request):
        document = request.get("policyDocument")
        problem = _problem(document) if document else None
        if problem:
            return error_response_json("InvalidParameterException", problem, 400)
        return original(request)

    cloudwatch_logs._put_resource_policy = put_resource_policy


def _problem(document: str) -> str | None:
    if len(document) > MAX_CHARACTERS:
        return f"policyDocument: Member must have length less than or equal to {MAX_CHARACTERS}"
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, TypeError, KeyError):
        statements = None
    return None if isinstance(statements, list | dict) else "Resource policy document is not a valid policy."
