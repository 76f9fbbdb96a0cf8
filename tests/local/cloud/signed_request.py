"""Requests that the cloud's own collector signs and sends to the cloud, over the wire like anybody's."""

import http.client
from dataclasses import dataclass

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from settings import Settings

# Marks the collector's requests, so that the log of calls shows only what its reader did.
COLLECTOR_HEADER = "x-cloud-collector"


@dataclass(frozen=True)
class Answer:
    status: int
    body: str


def send(
    cloud: Settings,
    credentials: Credentials,
    service: str,
    region: str,
    path: str,
    content_type: str,
    body: bytes,
    more: dict[str, str] | None = None,
):
    """POSTs a SigV4-signed request to the cloud."""
    request = AWSRequest("POST", cloud.url + path, data=body, headers={"Content-Type": content_type, **(more or {})})
    SigV4Auth(credentials, service, region).add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=30)
    try:
        headers = {**dict(request.headers), COLLECTOR_HEADER: "yes"}
        connection.request("POST", path, body=body, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode("utf-8", "replace"))
    finally:
        connection.close()
