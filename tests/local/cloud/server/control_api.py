"""The control API under `/_cloud/`, which is not part of AWS.

Tests and demonstrations use it to control and inspect the cloud.
"""

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
from iam import disabled_regions, organizations, principals, trust_history
from server import decisions, snapshot, usage
from server.request_log import RequestLog

PREFIX = "/_cloud/"
# Maximum time that a request for a running execution waits for the end of the execution.
_WAIT_SECONDS = 2.0
_ENTERED = "stateEnteredEventDetails"
_ATTEMPT = [{"labels": {"__name__": "up", "job": "attempt"}, "value": 1}]


class BadRequest(Exception):
    """The client sent an invalid request."""


class ControlApi:
    """An ASGI application that serves the control API and forwards all other requests to ministack."""

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
            status, response = 200, await self._handle(scope, body)
        except BadRequest as error:
            status, response = 400, {"error": str(error)}
        except Exception:
            # A defect in the emulator: the response contains the full traceback.
            status, response = 500, {"error": traceback.format_exc()}
        is_text = isinstance(response, bytes)
        payload = response if is_text else json.dumps(response).encode()
        content_type = exporter.CONTENT_TYPE if is_text else "application/json"
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(payload)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    async def _handle(self, scope, body: bytes) -> dict | bytes:
        query = parse_qs(scope.get("query_string", b"").decode())
        parts = [unquote(part) for part in scope["path"][len(PREFIX) :].split("/")]
        match (scope["method"], *parts):
            case ("GET", "health"):
                return {"ready": True, "minute": self._cloud.minute, "ministack": MINISTACK_VERSION}
            case ("GET", "data-plane"):
                return {"prometheus": await asyncio.to_thread(service.prometheus().version)}
            case ("GET", "exporters", cluster, instance):
                metrics = exporter.expose(cluster, instance)
                if metrics is None:
                    raise BadRequest(f"target {instance} does not exist")
                return metrics
            case ("GET", "calls"):
                return self._requests.since(_number(query.get("since", ["0"])[0], "since"))
            case ("GET", "collections", scraper_id):
                return {"collections": self._collector.results(scraper_id)}
            case ("GET", "accounts", account):
                return snapshot.describe_account(account)
            case ("GET", "usage", account, region):
                return usage.since(account, region, _seconds(query.get("since", ["0"])[0]))
            case ("GET", "executions", arn):
                return await _execution_result(arn)
            case ("GET", "messages"):
                return {"messages": topics.messages(query.get("topicArn", [""])[0])}
            case ("GET", "trusts", *arn):
                return {"versions": trust_history.versions("/".join(arn))}
            case ("POST", "trusts"):
                fields = _fields(body, "roleArn", "attempts")
                return {"versions": trust_history.evaluated(fields["roleArn"], fields["attempts"])}
            case ("POST", "decisions"):
                return _decide(_fields(body, "principal", "action", "resource"), _fields(body))
            case ("POST", "events"):
                fields = _fields(body, "account", "region", "event")
                buses.deliver(fields["account"], fields["region"], "default", fields["event"])
                return {"id": fields["event"]["id"]}
            case ("POST", "organization"):
                return _configure_organization(_fields(body))
            case ("POST", "schedules"):
                return _invoke_schedule(_fields(body, "account", "region", "name"))
            case ("POST", "visibility"):
                fields = _fields(body, "account", "seconds")
                principals.set_delay(fields["account"], self._cloud.real_seconds(seconds=float(fields["seconds"])))
                return fields
            case ("POST", "regions"):
                fields = _fields(body, "account", "region", "error")
                disabled_regions.set_error(fields["account"], fields["region"], fields["error"])
                return fields
            case ("POST", "forget"):
                fields = _fields(body, "account")
                snapshot.delete_account(fields["account"])
                return fields
            case ("POST", "attempt"):
                return await self._attempt(
                    _fields(body, "sourceRoleArn", "targetRoleArn", "workspaceArn", "scraperArn")
                )
            case ("POST", "scrapers"):
                return _set_scraper_status(_fields(body, "scraperArn", "status", "reason"))
            case ("POST", "subnets"):
                fields = _fields(body, "account", "region", "subnetId", "availableIpAddressCount")
                return _set_available_addresses(fields)
        raise BadRequest(f"unknown operation: {scope['method']} {scope['path']}")

    async def _attempt(self, fields: dict) -> dict:
        """Writes samples once with the identity of a scraper. The scraper can have any status and need not exist."""
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


async def _execution_result(arn: str) -> dict:
    """Waits a limited time for the end of an execution, then describes the execution."""
    with request_scope(arn.split(":")[4], arn.split(":")[3]) if arn.count(":") >= 7 else nullcontext():
        execution = stepfunctions._executions.get(arn)
    if execution is None:
        raise BadRequest(f"execution {arn} does not exist")
    end = time.monotonic() + _WAIT_SECONDS
    while execution["status"] == "RUNNING" and time.monotonic() < end:
        await asyncio.sleep(0.01)
    entered = [event[_ENTERED]["name"] for event in execution["events"] if _ENTERED in event]
    described = {name: execution.get(name) for name in ("status", "error", "cause", "output")}
    return {**described, "states": entered, "children": _children(arn, execution)}


def _children(arn: str, execution: dict) -> list[str]:
    """The child executions of the distributed Map states of an execution."""
    machine = execution["stateMachineArn"]
    with request_scope(machine.split(":")[4], machine.split(":")[3]):
        return [child["executionArn"] for child in stepfunctions._executions.values() if child.get("parent") == arn]


def _set_scraper_status(fields: dict) -> dict:
    """Sets the status of a scraper and the status reason, which can be null. A transitional status does not expire."""
    parts = str(fields["scraperArn"]).split(":", 5)
    if fields["status"] not in amp_store.STATUSES:
        raise BadRequest(f"not a scraper status: {fields['status']}")
    identifier = parts[-1].removeprefix("scraper/")
    record = amp_store.scrapers.get_scoped(parts[4], parts[3], identifier) if len(parts) == 6 else None
    if record is None:
        raise BadRequest(f"scraper {fields['scraperArn']} does not exist")
    amp_store.set_status(record, fields["status"], fields["reason"])
    return {name: fields[name] for name in ("scraperArn", "status", "reason")}


def _decide(request: dict, fields: dict) -> dict:
    unknown = fields.keys() - {*request, "context", "sessionPolicy"}
    if unknown:
        raise BadRequest(f"unknown fields of a request: {', '.join(sorted(unknown))}")
    try:
        decision = decisions.decide(*request.values(), fields.get("context", {}), fields.get("sessionPolicy"))
    except decisions.InvalidRequest as error:
        raise BadRequest(str(error)) from None
    return {"decision": decision}


def _configure_organization(fields: dict) -> dict:
    try:
        return organizations.configure(fields)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _invoke_schedule(fields: dict) -> dict:
    try:
        schedules.invoke(fields["account"], fields["region"], fields["name"])
    except schedules.ScheduleNotFound as error:
        raise BadRequest(str(error)) from None
    return fields


def _set_available_addresses(fields: dict) -> dict:
    """Sets the number of available IP addresses of a subnet, for EC2 and AMP."""
    count = _number(fields["availableIpAddressCount"], "availableIpAddressCount")
    with request_scope(fields["account"], fields["region"]):
        ec2._ensure_defaults_initialized()
        subnet = ec2._subnets.get(fields["subnetId"])
        if subnet is None:
            raise BadRequest(
                f"subnet {fields['subnetId']} does not exist in {fields['region']} of account {fields['account']}"
            )
        subnet["AvailableIpAddressCount"] = count
    return {"subnetId": fields["subnetId"], "availableIpAddressCount": count}


def _fields(body: bytes, *names: str) -> dict:
    """The named fields of a request, which must all exist. Without names, all fields of the request."""
    try:
        fields = json.loads(body)
        return {name: fields[name] for name in names or fields.keys()}
    except (AttributeError, ValueError, TypeError):
        raise BadRequest("the body must be a JSON object") from None
    except KeyError as missing:
        raise BadRequest(f"{missing.args[0]} is required") from None


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRequest("since must be a number of seconds since the epoch") from None


def _number(text, name: str) -> int:
    try:
        return int(text)
    except (ValueError, TypeError):
        raise BadRequest(f"{name} must be an integer") from None
