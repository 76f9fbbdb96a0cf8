"""Step Functions: a machine's role, which must allow what its tasks do.

Source: Step Functions developer guide, "How Step Functions generates IAM policies for integrated
services". ministack never looks at the role.
"""

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam
from ministack.services import stepfunctions as engine

import stepfunctions
import stepfunctions_life
from settings import Settings

_LAMBDA = "states:::lambda:invoke"


def install(cloud: Settings) -> None:
    """Judges each task by the machine's role before it runs, and its result by its size afterwards."""
    del cloud
    original = engine._invoke_resource

    def invoke_resource(resource, data):
        stepfunctions_life.check_running()
        role = stepfunctions_life.role()
        if role:
            _check(role, resource, data)
        result = original(resource, data)
        stepfunctions_life.check_running()
        stepfunctions.check_size(result, f"The state/task '{resource}' returned a result which")
        return result

    engine._invoke_resource = invoke_resource


def _check(role: str, resource: str, data) -> None:
    action, target = _asked(resource, data)
    if action is None:
        return
    account, name = role.split(":")[4], role.rpartition("/")[2]
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{account}:assumed-role/{name}/StepFunctions",
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=target,
        region=get_region(),
    )
    policies = iam_evaluator._gather_role_policies(name, account)
    boundary = iam_evaluator._permissions_boundary(iam._roles, name, account)
    if iam_evaluator.evaluate(context, policies, *boundary).decision == "Allow":
        return
    service = action.partition(":")[0]
    error = "Lambda.AWSLambdaException" if service == "lambda" else f"{service.capitalize()}.AccessDeniedException"
    raise stepfunctions.Error(
        error,
        f"User: {context.principal_arn} is not authorized to perform: {action} on resource: {target} because no "
        f"identity-based policy allows the {action} action (Service: {service}; Status Code: 403)",
    )


def _asked(resource: str, data) -> tuple[str | None, str]:
    """The action and resource of a task; no action for integrations that nothing here uses."""
    if _LAMBDA in resource:
        target = str((data if isinstance(data, dict) else {}).get("FunctionName", ""))
    elif resource.startswith("arn:aws:lambda:"):
        target = resource
    else:
        return None, "*"
    if not target.startswith("arn:"):
        target = f"arn:aws:lambda:{get_region()}:{get_account_id()}:function:{target}"
    return "lambda:InvokeFunction", target
