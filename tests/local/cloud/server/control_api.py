"""The control API under `/_cloud/`: tests and demonstrations control and inspect the cloud by it. Not a part of AWS."""

import asyncio
import json
import time
import traceback
from contextlib import nullcontext
from urllib.parse import parse_qs, unquote

from ministack.core.responses import request_scope
from ministack.services import ec2, stepfunctions

from amp import exporter, service, write_path
from amp import store as amp_store
from amp.collector import Collector
from core.settings import MINISTACK_VERSION, Settings
from events import buses, schedules, topics
from iam import organizations, principals, trust_history
from server import snapshot, usage
from server.request_log import RequestLog

PREFIX = "/_cloud/"
# How long a request for a running execution waits for its end.
_WAIT_SECONDS = 2.0
_ENTERED = "stateEnteredEventDetails"
_ATTEMPT = [{"labels": {"__name__": "up", "job": "attempt"}, "value": 1}]


class BadRequest(Exception):
    """The client sent a wrong request."""


class ControlApi:
    """An ASGI application that serves the control API and passes all other requests to ministack."""

    def __init__(self, cloud: Settings, inner, requests: RequestLog, collector: Collector):
        self._cloud, self._inner, self._requests, self._collector = cloud, inner, requests, collector

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._inner(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        try:
            status, answer = 200, await self._answer(scope, body)
        except BadRequest as error:
            status, answer = 400, {"error": str(error)}
        except Exception:
            # A defect of this cloud: the client gets the whole traceback.
            status, answer = 500, {"error": traceback.format_exc()}
        text = isinstance(answer, bytes)
        payload = answer if text else json.dumps(answer).encode()
        kind = exporter.CONTENT_TYPE if text else "application/json"
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(payload)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    async def _answer(self, scope, body: bytes) -> dict | bytes:
        query = parse_qs(scope.get("query_string", b"").decode())
        parts = [unquote(part) for part in scope["path"][len(PREFIX) :].split("/")]
        match (scope["method"], *parts):
            case ("GET", "health"):
                return {"ready": True, "minute": self._cloud.minute, "ministack": MINISTACK_VERSION}
            case ("GET", "data-plane"):
                return {"prometheus": await asyncio.to_thread(service.prometheus().version)}
            case ("GET", "exporters", cluster, instance):
                exposed = exporter.expose(cluster, instance)
                if exposed is None:
                    raise BadRequest(f"no endpoint {instance}")
                return exposed
            case ("GET", "calls"):
                return self._requests.since(_number(query.get("since", ["0"])[0], "since"))
            case ("GET", "collections", scraper_id):
                return {"collections": self._collector.results(scraper_id)}
            case ("GET", "accounts", account):
                return snapshot.of(account)
            case ("GET", "costs", account, region):
                return usage.since(account, region, _seconds(query.get("since", ["0"])[0]))
            case ("GET", "executions", arn):
                return await _ended(arn)
            case ("GET", "messages"):
                return {"messages": topics.messages(query.get("topicArn", [""])[0])}
            case ("GET", "trusts", *arn):
                return {"versions": trust_history.versions("/".join(arn))}
            case ("POST", "trusts"):
                fields = _fields(body, "roleArn", "attempts")
                return {"versions": trust_history.judged(fields["roleArn"], fields["attempts"])}
            case ("POST", "events"):
                fields = _fields(body, "account", "region", "event")
                buses.deliver(fields["account"], fields["region"], "default", fields["event"])
                return {"id": fields["event"]["id"]}
            case ("POST", "organization"):
                return _organization(_fields(body))
            case ("POST", "schedules"):
                return _fire(_fields(body, "account", "region", "name"))
            case ("POST", "visibility"):
                fields = _fields(body, "account", "seconds")
                principals.delay(fields["account"], self._cloud.real_seconds(seconds=float(fields["seconds"])))
                return fields
            case ("POST", "forget"):
                fields = _fields(body, "account")
                snapshot.forget(fields["account"])
                return fields
            case ("POST", "attempt"):
                return await self._attempt(
                    _fields(body, "sourceRoleArn", "targetRoleArn", "workspaceArn", "scraperArn")
                )
            case ("POST", "scrapers"):
                return _put_scraper(_fields(body, "scraperArn", "status", "reason"))
            case ("POST", "subnets"):
                return _set_free_addresses(_fields(body, "account", "region", "subnetId", "availableIpAddressCount"))
        raise BadRequest(f"unknown: {scope['method']} {scope['path']}")

    async def _attempt(self, fields: dict) -> dict:
        """Writes once with the identity of this scraper, in any state, even if the scraper does not exist."""
        if fields["scraperArn"].count(":") != 5:
            raise BadRequest("scraperArn is not an ARN")
        return await asyncio.to_thread(
            write_path.write,
            self._cloud,
            fields["sourceRoleArn"],
            fields["targetRoleArn"],
            fields["workspaceArn"],
            fields["scraperArn"],
            _ATTEMPT,
        )


async def _ended(arn: str) -> dict:
    """The result of an execution, once it has ended; after some time, that it still runs."""
    with request_scope(arn.split(":")[4], arn.split(":")[3]) if arn.count(":") >= 7 else nullcontext():
        execution = stepfunctions._executions.get(arn)
    if execution is None:
        raise BadRequest(f"no execution {arn}")
    end = time.monotonic() + _WAIT_SECONDS
    while execution["status"] == "RUNNING" and time.monotonic() < end:
        await asyncio.sleep(0.01)
    entered = [event[_ENTERED]["name"] for event in execution["events"] if _ENTERED in event]
    shown = {name: execution.get(name) for name in ("status", "error", "cause", "output")}
    return {**shown, "states": entered, "children": _children(arn, execution)}


def _children(arn: str, execution: dict) -> list[str]:
    """The child executions of its distributed Map states."""
    machine = execution["stateMachineArn"]
    with request_scope(machine.split(":")[4], machine.split(":")[3]):
        return [one["executionArn"] for one in stepfunctions._executions.values() if one.get("parent") == arn]


def _put_scraper(fields: dict) -> dict:
    """Sets the status of a scraper, with a reason or null. A transitional status stays until the next request."""
    parts = str(fields["scraperArn"]).split(":", 5)
    if fields["status"] not in amp_store.STATUSES:
        raise BadRequest(f"no status of a scraper: {fields['status']}")
    identifier = parts[-1].removeprefix("scraper/")
    record = amp_store.scrapers.get_scoped(parts[4], parts[3], identifier) if len(parts) == 6 else None
    if record is None:
        raise BadRequest(f"no scraper {fields['scraperArn']}")
    amp_store.put(record, fields["status"], fields["reason"])
    return {name: fields[name] for name in ("scraperArn", "status", "reason")}


def _organization(fields: dict) -> dict:
    try:
        return organizations.configure(fields)
    except ValueError as why:
        raise BadRequest(str(why)) from None


def _fire(fields: dict) -> dict:
    try:
        schedules.fire(fields["account"], fields["region"], fields["name"])
    except schedules.Unknown as why:
        raise BadRequest(str(why)) from None
    return fields


def _set_free_addresses(fields: dict) -> dict:
    """Sets the number of free addresses of a subnet, for EC2 and AMP."""
    count = _number(fields["availableIpAddressCount"], "availableIpAddressCount")
    with request_scope(fields["account"], fields["region"]):
        ec2._ensure_defaults_initialized()
        subnet = ec2._subnets.get(fields["subnetId"])
        if subnet is None:
            raise BadRequest(f"no subnet {fields['subnetId']} in {fields['region']} of {fields['account']}")
        subnet["AvailableIpAddressCount"] = count
    return {"subnetId": fields["subnetId"], "availableIpAddressCount": count}


def _fields(body: bytes, *names: str) -> dict:
    """The named fields of a request, all of which must exist; every field if none is named."""
    try:
        fields = json.loads(body)
        return {name: fields[name] for name in names or fields.keys()}
    except (AttributeError, ValueError, TypeError):
        raise BadRequest("the body must be a JSON object") from None
    except KeyError as missing:
        raise BadRequest(f"{missing.args[0]} is missing") from None


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRequest("since must be seconds since the epoch") from None


def _number(text, name: str) -> int:
    try:
        return int(text)
    except (ValueError, TypeError):
        raise BadRequest(f"{name} must be a whole number") from None
