"""EventBridge: events across accounts and Regions.

Source: EventBridge user guide, "Sending and receiving events between AWS accounts" (the role of
the sender and the policy of the receiver must both allow the request; account and Region of the event are those of
the sender; an event from another account is not forwarded to a third account) and "… between AWS Regions"; service
authorization reference, "… for Amazon EventBridge" (events:source, events:detail-type,
events:eventBusInvocation).
"""

import contextlib
import contextvars
import json

from ministack.core import iam_actions, iam_evaluator
from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import eventbridge

from core.settings import Settings
from iam import service_roles

SERVICE = "events.amazonaws.com"
_NO_BUS = ("ResourceNotFoundException", "Event bus {} does not exist.")
_principal = contextvars.ContextVar("principal_of_put_events", default=None)


class AccessDenied(Exception):
    """The policy of a bus does not allow an event. The message is that of IAM."""


def install(cloud: Settings) -> None:
    """ministack does not support buses in another account or Region, and does not evaluate the policy of a bus."""
    del cloud
    _put_across_accounts()
    _forward_across_accounts()
    _set_condition_keys()


@contextlib.contextmanager
def as_principal(principal_arn: str):
    """Puts events as a principal that did not send the request, for example the role of a state machine."""
    token = _principal.set(principal_arn)
    try:
        yield
    finally:
        _principal.reset(token)


def deliver(account: str, region: str, bus: str, envelope: dict) -> None:
    """Matches an event with the rules of a bus. The event is not changed."""
    event = {
        "EventId": envelope["id"],
        "Source": envelope["source"],
        "DetailType": envelope["detail-type"],
        "Detail": json.dumps(envelope["detail"]),
        "EventBusName": bus,
        "Time": envelope["time"],
        "Resources": envelope.get("resources", []),
        "Account": envelope["account"],
        "Region": envelope["region"],
    }
    with request_scope(account, region):
        eventbridge._ensure_default_bus()
        eventbridge._dispatch_event(event)


def check_policy(bus: str, principal: str, source: str, detail_type: str, by_rule: bool) -> None:
    """Raises AccessDenied if the policy of a bus in another account does not allow the event of a principal."""
    if policy_decision(bus, principal, source, detail_type, by_rule) != "Allow":
        raise AccessDenied(
            f"User: {principal} is not authorized to perform: events:PutEvents on resource: {bus} because no "
            "resource-based policy allows the events:PutEvents action"
        )


def policy_decision(
    bus: str, principal: str, source: str, detail_type: str, by_rule: bool, service: str | None = None
) -> str:
    """Allow, Deny or ImplicitDeny. In the account of the bus, the policy of the bus is not required.

    For a service, `principal` is `*`.
    """
    spec = parse_arn(bus)
    account = iam_evaluator._account_from_arn(principal)
    if account == spec.account_id:
        return "Allow"
    policy = eventbridge._event_bus_policies.get_scoped(spec.account_id, spec.region, _name(spec))
    keys = {
        "events__source": source,
        "events__detail-type": detail_type,
        "events__eventBusInvocation": str(by_rule).lower(),
    }
    context = service_roles.evaluation_context(principal, "events:PutEvents", bus, spec.region, **keys)
    return iam_evaluator.evaluate_resource_policy(policy, context, service=service).decision


def exists(spec) -> bool:
    """Whether the event bus of a parsed ARN exists."""
    name = _name(spec)
    return name == "default" or eventbridge._event_buses.get_scoped(spec.account_id, spec.region, name) is not None


def _name(spec) -> str:
    return spec.resource.partition("/")[2]


def _put_across_accounts() -> None:
    original = eventbridge._put_events

    def put_events(data, allow_aws_source=False):
        entries = data.get("Entries", [])
        remote = {index: spec for index, entry in enumerate(entries) if (spec := _remote_bus(entry))}
        if not remote or allow_aws_source or len(entries) > 10:
            return original(data, allow_aws_source)
        principal = _principal.get() or iam_evaluator.caller_arn()
        try:
            # If one entry is denied, the request fails before any event is put.
            for index, spec in remote.items():
                entry = entries[index]
                check_policy(str(spec), principal, entry.get("Source", ""), entry.get("DetailType", ""), False)
        except AccessDenied as error:
            return eventbridge.error_response_json("AccessDeniedException", str(error), 400)
        results = [_put(original, entry, remote.get(index)) for index, entry in enumerate(entries)]
        failed = sum("ErrorCode" in result for result in results)
        return eventbridge.json_response({"FailedEntryCount": failed, "Entries": results})

    eventbridge._put_events = put_events


def _put(original, entry: dict, spec) -> dict:
    if spec is None:
        return json.loads(original({"Entries": [entry]})[2])["Entries"][0]
    if not exists(spec):
        return {"ErrorCode": _NO_BUS[0], "ErrorMessage": _NO_BUS[1].format(spec)}
    if str(entry.get("Source", "")).startswith("aws."):
        return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
    identifier = eventbridge.new_uuid()
    event = {
        "EventId": identifier,
        "Source": entry.get("Source", ""),
        "DetailType": entry.get("DetailType", ""),
        "Detail": entry.get("Detail", "{}"),
        "EventBusName": _name(spec),
        "Time": int(eventbridge._now_ts()),
        "Resources": entry.get("Resources", []),
        "Account": get_account_id(),
        "Region": spec.region,
    }
    with request_scope(spec.account_id, spec.region):
        eventbridge._dispatch_event(event)
    return {"EventId": identifier}


def _remote_bus(entry):
    """The parsed ARN of the bus if it is in another account or Region, or None."""
    bus = entry.get("EventBusName") if isinstance(entry, dict) else None
    if not isinstance(bus, str) or not bus.startswith("arn:"):
        return None
    try:
        spec = parse_arn(bus)
    except ArnParseError:
        return None
    return None if (spec.account_id, spec.region) == (get_account_id(), get_region()) else spec


def _forward_across_accounts() -> None:
    original = eventbridge._dispatch_to_event_bus

    def dispatch_to_event_bus(spec, event, rule, event_path, target_input_payload=None):
        if (spec.account_id, spec.region) == (get_account_id(), get_region()):
            original(spec, event, rule, event_path, target_input_payload)
            return
        if event["Account"] != get_account_id():
            return
        forwarded = {**event, "EventBusName": _name(spec)}
        forwarded.pop("_DispatchPath", None)
        if target_input_payload is not None:
            forwarded["Detail"] = target_input_payload
        with request_scope(spec.account_id, spec.region):
            eventbridge._dispatch_event(forwarded)

    eventbridge._dispatch_to_event_bus = dispatch_to_event_bus


def _set_condition_keys() -> None:
    """Sets `events:source` and `events:detail-type` for the policies of the caller; ministack does not."""
    original = iam_actions.request_tag_context

    def request_tag_context(service, iam_action, body, parameters):
        context = original(service, iam_action, body, parameters)
        if iam_action == "events:PutEvents":
            entries = [entry for entry in _json(body).get("Entries", []) if isinstance(entry, dict)]
            context["events:source"] = [str(entry.get("Source", "")) for entry in entries]
            context["events:detail-type"] = [str(entry.get("DetailType", "")) for entry in entries]
        return context

    iam_actions.request_tag_context = request_tag_context


def _json(body) -> dict:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
