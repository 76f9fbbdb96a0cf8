"""CloudTrail: the EventBridge events for the creation and deletion of EKS clusters.

Source: EventBridge user guide, "AWS service events delivered via AWS CloudTrail"; CloudTrail user
guide, "CloudTrail record contents" (a failed call has errorCode and no responseElements); EKS user
guide, "Logging API calls using AWS CloudTrail".
"""

import json
import time
import uuid

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region

from core.settings import Settings
from events import buses

# (HTTP method, number of path segments) -> name of the recorded event.
_RECORDED = {("POST", 1): "CreateCluster", ("DELETE", 2): "DeleteCluster"}


def install(cloud: Settings) -> None:
    """ministack puts no event for CreateCluster and DeleteCluster requests."""
    del cloud
    dispatch = app._dispatch_service_request

    async def recorded(method, path, headers, body, query, request_id):
        parts = [part for part in path.split("/") if part]
        name = _RECORDED.get((method, len(parts))) if parts[:1] == ["clusters"] else None
        response = await dispatch(method, path, headers, body, query, request_id)
        if name:
            request = _json(body) if method == "POST" else {"name": parts[1]}
            _put(name, request, response[0], _json(response[2]), headers, request_id)
        return response

    app._dispatch_service_request = recorded


def _json(body) -> dict:
    try:
        return json.loads(body or b"{}")
    except ValueError:
        return {}


def _put(name: str, request: dict, status: int, response: dict, headers: dict, request_id: str) -> None:
    account, region, caller = get_account_id(), get_region(), iam_evaluator.caller_arn()
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    failed = status >= 300
    detail = {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole" if ":assumed-role/" in caller else "Root",
            "arn": caller,
            "accountId": account,
        },
        "eventTime": now,
        "eventSource": "eks.amazonaws.com",
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": "127.0.0.1",
        "userAgent": headers.get("user-agent", ""),
        **(_error(response) if failed else {}),
        "requestParameters": request,
        "responseElements": None if failed else response,
        "requestID": request_id,
        "eventID": str(uuid.uuid4()),
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
        "eventCategory": "Management",
    }
    buses.deliver(
        account,
        region,
        "default",
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "AWS API Call via CloudTrail",
            "source": "aws.eks",
            "account": account,
            "time": now,
            "region": region,
            "resources": [],
            "detail": detail,
        },
    )


def _error(response: dict) -> dict:
    code = str(response.get("__type") or response.get("code") or "UnknownError").rpartition("#")[2]
    return {
        # CloudTrail reports an IAM denial without the suffix `Exception`.
        "errorCode": "AccessDenied" if code == "AccessDeniedException" else code,
        "errorMessage": response.get("message") or response.get("Message") or "",
    }
