"""Refuses requests of web pages, and requests without the secret of this run. This is not an AWS rule.

Source: Fetch standard and W3C, "Fetch Metadata Request Headers" (a page cannot set or remove `Host`, `Origin` and
`Sec-Fetch-Site`). A page that gives its own host name the address of this machine (DNS rebinding) sends that name as
`Host`. An old browser omits `Sec-Fetch-Site`, but no page knows the secret.
"""

import hmac
import http.server
from collections.abc import Iterable

from core.settings import Settings

# `none`: a person opened the URL. `same-origin`: a page of the same server, which `Host` identifies.
_ALLOWED_SITES = ("none", "same-origin")


class Guard:
    """An ASGI application that removes the secret from the path of each request, and forwards the request."""

    def __init__(self, cloud: Settings, inner):
        self._cloud, self._inner = cloud, inner

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        secret, _, rest = scope["path"].removeprefix("/").partition("/")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        reason = refusal(headers, self._cloud.hosts)
        if reason is None and not hmac.compare_digest(secret.encode(), self._cloud.secret.encode()):
            host = self._cloud.hosts[0]
            reason = (
                "The path must begin with the secret of this run: "
                f"use the whole URL that the cloud printed when it started, http://{host}/<secret>."
            )
        if reason is None:
            # `raw_path` keeps the secret, because the client signed it.
            await self._inner({**scope, "path": f"/{rest}"}, receive, send)
            return
        body = f"{reason}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def refusal(headers: Iterable[tuple[str, str]], hosts: tuple[str, ...]) -> str | None:
    """The reason why a request with these headers is refused, or None. `hosts` are the valid values of `Host`."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value.strip())
    host = values.get("host", [])
    if len(host) != 1 or host[0] not in hosts:
        return f"The Host header must be {hosts[0]}: use the URL that the cloud printed when it started."
    if "origin" in values:
        return "A request with an Origin header is from a web page: use an AWS SDK, the AWS CLI or curl."
    if any(site not in _ALLOWED_SITES for site in values.get("sec-fetch-site", [])):
        return "The Sec-Fetch-Site header shows a request of another web page: open the URL in the address bar."
    return None


def protect_http_servers() -> None:
    """Applies `refusal` to each server of Python's `http.server`: the Lambda Runtime APIs of ministack."""
    original = http.server.BaseHTTPRequestHandler.parse_request

    def parse_request(self):
        if not original(self):
            return False
        address, port = self.server.server_address[:2]
        reason = refusal(self.headers.items(), (f"{address}:{port}", f"localhost:{port}"))
        if reason is not None:
            self.send_error(403, explain=reason)
        return reason is None

    http.server.BaseHTTPRequestHandler.parse_request = parse_request
