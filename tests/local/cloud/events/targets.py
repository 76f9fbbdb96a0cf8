"""EventBridge: permissions of targets, and dead-letter queues for undelivered events.

Source: EventBridge user guide, "Using resource-based policies for Amazon EventBridge" (the resource-based policies of
functions, queues and topics allow events.amazonaws.com; other targets require a role; a schedule always requires a
role), "Using dead-letter queues to process undelivered events" (the message attributes; EventBridge does not retry
if a permission or a resource is missing) and "Amazon EventBridge encryption" (EventBridge cannot use a queue or topic
with an AWS managed key, because the policy of the key allows no service and cannot be changed).
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
_ROLE_TARGETS = ("events", "states")


def install(cloud: Settings) -> None:
    """ministack does not check permissions, and drops undelivered events."""
    del cloud
    original = eventbridge._invoke_target

    def invoke_target(target, event, rule, view=None):
        code, message = delivery_error(target, rule["Arn"], event)
        if code is None:
            original(target, event, rule, view)
        else:
            _put_into_dead_letter_queue(target, rule["Arn"], code, message, event)

    eventbridge._invoke_target = invoke_target


def delivery_error(target: dict, origin: str, event: dict) -> tuple[str | None, str]:
    """The error code and message if an event of a rule or schedule cannot be delivered, or (None, "")."""
    arn = target.get("Arn", "")
    spec = parse_arn(arn)
    action = _ACTIONS.get(spec.service)
    if action is None:
        return None, ""
    if not _exists(spec, arn):
        return "RESOURCE_NOT_FOUND", f"{arn} does not exist"
    service, source = _service_of(origin)
    if spec.service in _ROLE_TARGETS or service != buses.SERVICE:
        error = _role_error(target, spec, source, service, action, event)
    else:
        error = resource_policy_error(spec.service, arn, action, service, source)
    return ("NO_PERMISSIONS", error) if error else (None, "")


def _service_of(origin: str) -> tuple[str, str]:
    """The service that delivers events of a rule or schedule, and the `aws:SourceArn` of its requests."""
    if ":schedule/" not in origin:
        return buses.SERVICE, origin
    # The source ARN of EventBridge Scheduler is the schedule group, not the schedule.
    group = origin.rpartition("/")[0].replace(":schedule/", ":schedule-group/")
    return "scheduler.amazonaws.com", group


def resource_policy_error(
    kind: str, arn: str, action: str, service: str, origin: str, for_owner: bool = False
) -> str | None:
    """The reason why a function, queue or topic does not allow a service that acts for a resource (`origin`), or None.

    With `for_owner`, the service sends `aws:SourceOwner`, which the default policy of a topic requires.
    """
    if (_key_of(kind, arn) or "").startswith("alias/aws/"):
        return f"{service} is not allowed to use the AWS managed key of {arn}"
    policy = iam_evaluator._resource_policy(kind, arn)
    keys = {"aws__SourceArn": origin, "aws__SourceAccount": get_account_id()}
    keys |= {"aws__SourceOwner": get_account_id()} if for_owner else {}
    # A service principal has no ARN.
    context = service_roles.evaluation_context("*", action, arn, get_region(), **keys)
    if policy and iam_evaluator.evaluate_resource_policy(policy[0], context, service=service).decision == "Allow":
        return None
    return f"no resource-based policy of {arn} allows {service} the {action} action for {origin}"


def _role_error(target: dict, spec, origin: str, service: str, action: str, event: dict) -> str | None:
    """The reason why the role of a target does not allow the delivery, or None."""
    role, arn = target.get("RoleArn"), target["Arn"]
    if spec.service == "events" and not role and (spec.account_id, spec.region) == (get_account_id(), get_region()):
        return None
    keys = {"aws:SourceArn": origin, "aws:SourceAccount": get_account_id()}
    error = service_roles.assume_role_error(role, service, get_region(), keys)
    if error:
        return error
    context = {"events__source": event["Source"], "events__detail-type": event["DetailType"]}
    error = service_roles.action_error(role, "events", action, arn, get_region(), **context)
    if error or spec.service != "events":
        return error
    try:
        session = service_roles.session_arn(role, "events")
        buses.check_policy(arn, session, event["Source"], event["DetailType"], by_rule=True)
    except buses.AccessDenied as denied:
        return str(denied)
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


def _put_into_dead_letter_queue(target: dict, origin: str, code: str, message: str, event: dict) -> None:
    """Puts an undelivered event into the dead-letter queue of the target."""
    log.warning("an event of %s was not delivered to %s: %s", origin, target.get("Arn"), message)
    arn = (target.get("DeadLetterConfig") or {}).get("Arn", "")
    if not arn or delivery_error({**target, "Arn": arn}, origin, event)[0]:
        return
    body = json.dumps(eventbridge._pattern_event_view(event).event_with_detail())
    eventbridge._dispatch_to_sqs(parse_arn(arn), body)
    attributes = {
        "RULE_ARN": origin,
        "TARGET_ARN": target.get("Arn", ""),
        "ERROR_CODE": code,
        "ERROR_MESSAGE": message,
    }
    sqs._queue_by_arn(arn)["messages"][-1]["message_attributes"] = {
        name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
    }
