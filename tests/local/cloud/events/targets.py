"""EventBridge: whether a target admits an event, and the dead-letter queue for an event that is not delivered.

Source: EventBridge user guide, "Using resource-based policies for Amazon EventBridge" (functions,
queues and topics admit events.amazonaws.com by their own policy, other targets need a role, and a schedule
always needs one), "Using dead-letter queues to process undelivered events" (the message's attributes; a
missing permission or resource is not retried) and "Amazon EventBridge encryption" (a queue or topic under an AWS managed
key cannot be reached: its key's policy admits no service and cannot be changed).
"""

import json
import logging

from ministack.core import iam_evaluator
from ministack.core.arn import parse_arn
from ministack.core.responses import get_account_id, get_region
from ministack.services import eventbridge, lambda_svc, sns, sqs, stepfunctions

from core.settings import Settings
from events import buses
from iam import service_roles

log = logging.getLogger("events")
_ACTIONS = {
    "events": "events:PutEvents",
    "lambda": "lambda:InvokeFunction",
    "sns": "sns:Publish",
    "sqs": "sqs:SendMessage",
    "states": "states:StartExecution",
}
_BY_ROLE = ("events", "states")


def install(cloud: Settings) -> None:
    """ministack checks no permission, and drops an event that it cannot deliver."""
    del cloud
    original = eventbridge._invoke_target

    def invoke_target(target, event, rule, view=None):
        error, why = refusal(target, rule["Arn"], event)
        if error is None:
            original(target, event, rule, view)
        else:
            _put_into_dead_letter_queue(target, rule["Arn"], error, why, event)

    eventbridge._invoke_target = invoke_target


def refusal(target: dict, origin: str, event: dict) -> tuple[str | None, str]:
    """Why an event of a rule or schedule cannot reach a target: an error code and a message."""
    arn = target.get("Arn", "")
    spec = parse_arn(arn)
    action = _ACTIONS.get(spec.service)
    if action is None:
        return None, ""
    if not _exists(spec, arn):
        return "RESOURCE_NOT_FOUND", f"{arn} does not exist"
    service, source = _service_of(origin)
    if spec.service in _BY_ROLE or service != buses.SERVICE:
        why = _refused_by_role(target, spec, source, service, action, event)
    else:
        why = refused_by_resource(spec.service, arn, action, service, source)
    return ("NO_PERMISSIONS", why) if why else (None, "")


def _service_of(origin: str) -> tuple[str, str]:
    """The service that delivers for a rule or schedule, and the source ARN that it sends."""
    if ":schedule/" not in origin:
        return buses.SERVICE, origin
    # EventBridge Scheduler sends the ARN of the group, not of the schedule.
    group = origin.rpartition("/")[0].replace(":schedule/", ":schedule-group/")
    return "scheduler.amazonaws.com", group


def refused_by_resource(
    kind: str, arn: str, action: str, service: str, origin: str, for_owner: bool = False
) -> str | None:
    """Why a function, queue or topic does not admit a service that acts for a resource (`origin`).

    With `for_owner` the service sends `aws:SourceOwner`, which the default policy of a topic requires.
    """
    if (_key_of(kind, arn) or "").startswith("alias/aws/"):
        return f"{service} may not use the AWS managed key of {arn}"
    found = iam_evaluator._resource_policy(kind, arn)
    keys = {"aws__SourceArn": origin, "aws__SourceAccount": get_account_id()}
    keys |= {"aws__SourceOwner": get_account_id()} if for_owner else {}
    # The service itself, which has no principal ARN.
    context = service_roles.context_of("*", action, arn, get_region(), **keys)
    if found and iam_evaluator.evaluate_resource_policy(found[0], context, service=service).decision == "Allow":
        return None
    return f"no resource-based policy of {arn} allows {service} the {action} action for {origin}"


def _refused_by_role(target: dict, spec, origin: str, service: str, action: str, event: dict) -> str | None:
    role, arn = target.get("RoleArn"), target["Arn"]
    if spec.service == "events" and not role and (spec.account_id, spec.region) == (get_account_id(), get_region()):
        return None
    keys = {"aws:SourceArn": origin, "aws:SourceAccount": get_account_id()}
    why = service_roles.may_not_assume(role, service, get_region(), keys)
    if why:
        return why
    context = {"events__source": event["Source"], "events__detail-type": event["DetailType"]}
    why = service_roles.may_not_do(role, "events", action, arn, get_region(), **context)
    if why or spec.service != "events":
        return why
    try:
        session = service_roles.session_arn(role, "events")
        buses.check_policy(arn, session, event["Source"], event["DetailType"], by_rule=True)
    except buses.Refused as refused:
        return str(refused)
    return None


def _exists(spec, arn: str) -> bool:
    match spec.service:
        case "events":
            return not spec.resource.startswith("event-bus/") or buses.exists(spec)
        case "lambda":
            return lambda_svc._get_func_record_for_ref(arn)[0] is not None
        case "sns":
            return sns._topic_by_arn_any_scope(arn) is not None
        case "sqs":
            return sqs._queue_by_arn(arn) is not None
    return stepfunctions._resolve_state_machine_arn(arn) is not None


def _key_of(kind: str, arn: str) -> str | None:
    if kind == "sqs":
        return sqs._queue_by_arn(arn)["attributes"].get("KmsMasterKeyId")
    return sns._topic_by_arn_any_scope(arn)["attributes"].get("KmsMasterKeyId") if kind == "sns" else None


def _put_into_dead_letter_queue(target: dict, origin: str, error: str, why: str, event: dict) -> None:
    """Puts an event that was not delivered into the target's dead-letter queue."""
    log.warning("an event of %s did not reach %s: %s", origin, target.get("Arn"), why)
    arn = (target.get("DeadLetterConfig") or {}).get("Arn", "")
    if not arn or refusal({**target, "Arn": arn}, origin, event)[0]:
        return
    body = json.dumps(eventbridge._pattern_event_view(event).event_with_detail())
    eventbridge._dispatch_to_sqs(parse_arn(arn), body)
    attributes = {
        "RULE_ARN": origin,
        "TARGET_ARN": target.get("Arn", ""),
        "ERROR_CODE": error,
        "ERROR_MESSAGE": why,
    }
    sqs._queue_by_arn(arn)["messages"][-1]["message_attributes"] = {
        name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
    }
