"""The control surface under `/_cloud/`: what tests and demonstrations ask of the cloud itself. No AWS API."""

import asyncio
import json
import time
import traceback
from contextlib import nullcontext
from urllib.parse import parse_qs, unquote

from ministack.core.responses import request_scope
from ministack.services import ec2, stepfunctions

import amp
import amp_store
import costs
import event_buses
import exporter
import iam_principals
import iam_trust_history
import organization
import schedules
import snapshot
import topics
import write_path
from calls import Calls
from collector import Collector
from settings import MINISTACK_VERSION, Settings

PREFIX = "/_cloud/"
# So long a question about an execution is held at most.
_PATIENCE_SECONDS = 2.0
_ENTERED = "stateEnteredEventDetails"
_ATTEMPT = [{"labels": {"__name__": "up", "job": "attempt"}, "value": 1}]


class BadRequest(Exception):
    """The caller of the control surface made a mistake."""


class Surface:
    """An ASGI application around ministack's that answers the control surface itself."""

    def __init__(self, cloud: Settings, inner, calls: Calls, collector: Collector):
        self._cloud, self._inner, self._calls, self._collector = cloud, inner, calls, collector

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
            # A fault of this cloud's own: told in full to whoever asked.
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
                return {"prometheus": await asyncio.to_thread(amp.prometheus().version)}
            case ("GET", "exporters", cluster, instance):
                exposed = exporter.expose(cluster, instance)
                if exposed is None:
                    raise BadRequest(f"no endpoint {instance}")
                return exposed
            case ("GET", "calls"):
                return self._calls.since(_number(query.get("since", ["0"])[0], "since"))
            case ("GET", "collections", scraper_id):
                return {"collections": self._collector.results(scraper_id)}
            case ("GET", "accounts", account):
                return snapshot.of(account)
            case ("GET", "costs", account, region):
                return costs.since(account, region, _seconds(query.get("since", ["0"])[0]))
            case ("GET", "executions", arn):
                return await _ended(arn)
            case ("GET", "messages"):
                return {"messages": topics.messages(query.get("topicArn", [""])[0])}
            case ("GET", "trusts", *arn):
                return {"versions": iam_trust_history.versions("/".join(arn))}
            case ("POST", "trusts"):
                asked = _fields(body, "roleArn", "attempts")
                return {"versions": iam_trust_history.judged(asked["roleArn"], asked["attempts"])}
            case ("POST", "events"):
                asked = _fields(body, "account", "region", "event")
                event_buses.deliver(asked["account"], asked["region"], "default", asked["event"])
                return {"id": asked["event"]["id"]}
            case ("POST", "organization"):
                return _organization(_fields(body))
            case ("POST", "schedules"):
                return _fire(_fields(body, "account", "region", "name"))
            case ("POST", "visibility"):
                asked = _fields(body, "account", "seconds")
                iam_principals.delay(asked["account"], self._cloud.real_seconds(seconds=float(asked["seconds"])))
                return asked
            case ("POST", "forget"):
                asked = _fields(body, "account")
                snapshot.forget(asked["account"])
                return asked
            case ("POST", "attempt"):
                return await self._attempt(
                    _fields(body, "sourceRoleArn", "targetRoleArn", "workspaceArn", "scraperArn")
                )
            case ("POST", "scrapers"):
                return _put_scraper(_fields(body, "scraperArn", "status", "reason"))
            case ("POST", "subnets"):
                return _set_free_addresses(_fields(body, "account", "region", "subnetId", "availableIpAddressCount"))
        raise BadRequest(f"unknown: {scope['method']} {scope['path']}")

    async def _attempt(self, asked: dict) -> dict:
        """One write wearing exactly this scraper's identity, whatever its state, and whether it exists at all."""
        if asked["scraperArn"].count(":") != 5:
            raise BadRequest("scraperArn is no ARN")
        return await asyncio.to_thread(
            write_path.write,
            self._cloud,
            asked["sourceRoleArn"],
            asked["targetRoleArn"],
            asked["workspaceArn"],
            asked["scraperArn"],
            _ATTEMPT,
        )


async def _ended(arn: str) -> dict:
    """How an execution ended, once it has; after a while, that it still runs."""
    with request_scope(arn.split(":")[4], arn.split(":")[3]) if arn.count(":") >= 7 else nullcontext():
        execution = stepfunctions._executions.get(arn)
    if execution is None:
        raise BadRequest(f"no execution {arn}")
    end = time.monotonic() + _PATIENCE_SECONDS
    while execution["status"] == "RUNNING" and time.monotonic() < end:
        await asyncio.sleep(0.01)
    entered = [event[_ENTERED]["name"] for event in execution["events"] if _ENTERED in event]
    told = {name: execution.get(name) for name in ("status", "error", "cause", "output")}
    return {**told, "states": entered, "children": _children(arn, execution)}


def _children(arn: str, execution: dict) -> list[str]:
    """The executions of its distributed Maps: they alone know whose they are."""
    machine = execution["stateMachineArn"]
    with request_scope(machine.split(":")[4], machine.split(":")[3]):
        return [one["executionArn"] for one in stepfunctions._executions.values() if one.get("parent") == arn]


def _put_scraper(asked: dict) -> dict:
    """Puts a scraper into a state, with a reason or null. One in transition stays there until it is put elsewhere."""
    parts = str(asked["scraperArn"]).split(":", 5)
    if asked["status"] not in amp_store.STATUSES:
        raise BadRequest(f"no status of a scraper: {asked['status']}")
    identifier = parts[-1].removeprefix("scraper/")
    record = amp_store.scrapers.get_scoped(parts[4], parts[3], identifier) if len(parts) == 6 else None
    if record is None:
        raise BadRequest(f"no scraper {asked['scraperArn']}")
    amp_store.put(record, asked["status"], asked["reason"])
    return {name: asked[name] for name in ("scraperArn", "status", "reason")}


def _organization(asked: dict) -> dict:
    try:
        return organization.tell(asked)
    except ValueError as why:
        raise BadRequest(str(why)) from None


def _fire(asked: dict) -> dict:
    try:
        schedules.fire(asked["account"], asked["region"], asked["name"])
    except schedules.Unknown as why:
        raise BadRequest(str(why)) from None
    return asked


def _set_free_addresses(asked: dict) -> dict:
    """Sets how many addresses of a subnet are free, for EC2 and AMP alike."""
    count = _number(asked["availableIpAddressCount"], "availableIpAddressCount")
    with request_scope(asked["account"], asked["region"]):
        ec2._ensure_defaults_initialized()
        subnet = ec2._subnets.get(asked["subnetId"])
        if subnet is None:
            raise BadRequest(f"no subnet {asked['subnetId']} in {asked['region']} of {asked['account']}")
        subnet["AvailableIpAddressCount"] = count
    return {"subnetId": asked["subnetId"], "availableIpAddressCount": count}


def _fields(body: bytes, *names: str) -> dict:
    """The named fields of a request, which must be there; all of them when none is named."""
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
