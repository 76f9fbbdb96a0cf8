"""Lambda: asynchronous invocations, their retries and their failure destination.

Source: Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation" (two retries:
the first after one minute, the second after two more minutes) and "Capturing records of Lambda asynchronous
invocations" (the role of the function must allow the destination).
"""

import json
import logging
from urllib.parse import unquote

from ministack.core.arn import parse_arn
from ministack.services import eventbridge, lambda_svc

from core.settings import Settings
from iam import service_roles

log = logging.getLogger("lambda")
_ACTIONS = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "lambda": "lambda:InvokeFunction"}


def install(cloud: Settings) -> None:
    """ministack invokes the target of a rule only once, and does not check the permissions for a destination."""
    lambda_svc._LAMBDA_ASYNC_RETRY_BASE_SECONDS = cloud.real_seconds(minutes=1)
    lambda_svc._LAMBDA_ASYNC_RETRY_MAX_SECONDS = cloud.real_seconds(minutes=2)
    eventbridge._dispatch_to_lambda = _invoke
    _authorize_destinations()


def _invoke(arn: str, payload: str) -> None:
    function, config, _ = lambda_svc._get_func_record_for_ref(unquote(arn))
    record = lambda_svc._execution_record_for_config(function, config)
    lambda_svc.invoke_async_with_retry(record, json.loads(payload))


def _authorize_destinations() -> None:
    original = lambda_svc._route_async_failure

    def route_async_failure(target_arn, function_name, event, result):
        spec = parse_arn(target_arn)
        role = lambda_svc._functions[function_name]["config"]["Role"]
        action = _ACTIONS.get(spec.service, "")
        error = service_roles.action_error(role, function_name, action, target_arn, spec.region)
        if error:
            log.warning("the failure record of function %s is lost: %s", function_name, error)
            return
        original(target_arn, function_name, event, result)

    lambda_svc._route_async_failure = route_async_failure
