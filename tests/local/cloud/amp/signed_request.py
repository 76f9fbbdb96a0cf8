"""SigV4-signed HTTP requests of the collector to the cloud."""

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from core.settings import Settings

# Marks requests of the collector. The request log excludes them.
COLLECTOR_HEADER = "x-cloud-collector"


@dataclass(frozen=True)
class Response:
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
    """Sends a SigV4-signed POST request to the cloud."""
    request = AWSRequest("POST", cloud.url + path, data=body, headers={"Content-Type": content_type, **(more or {})})
    SigV4Auth(credentials, service, region).add_auth(request)
    url = urlsplit(request.url)
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    try:
        headers = {**dict(request.headers), COLLECTOR_HEADER: "yes"}
        connection.request("POST", url.path, body=body, headers=headers)
        response = connection.getresponse()
        return Response(response.status, response.read().decode("utf-8", "replace"))
    finally:
        connection.close()
