"""The equivalent of a step in Python: boto3, four clients created on import, one call to STS.

The loop is a minimal Lambda runtime.
"""

import http.client
import json
import os

import boto3
from botocore.exceptions import ClientError

CLIENTS = {service: boto3.client(service) for service in ("iam", "amp", "sts", "eks")}


class AccessDenied(Exception):
    pass


def handler(event, context):
    source = event["request"]["clusterArn"].split(":")[4]
    try:
        return CLIENTS["sts"].assume_role(
            RoleArn=f"arn:aws:iam::{source}:role/ampxa-reader-source",
            RoleSessionName="ampxa-bench",
        )
    except ClientError as error:
        raise AccessDenied(str(error)) from error


def serve():
    runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        runtime.request("GET", "/2018-06-01/runtime/invocation/next")
        invocation = runtime.getresponse()
        event = json.loads(invocation.read())
        request_id = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            kind, outcome = "response", handler(event, None)
        except Exception as error:
            kind, outcome = "error", {"errorType": type(error).__name__, "errorMessage": str(error)}
        runtime.request("POST", f"/2018-06-01/runtime/invocation/{request_id}/{kind}", json.dumps(outcome))
        runtime.getresponse().read()


serve()
