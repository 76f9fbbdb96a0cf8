"""IAM: the history of trust policies, and the principals that each version allows. It is not part of AWS.

The history also contains a version that was valid for only a millisecond, between two requests of a test.
"""

import json
import time

from ministack.core import iam_evaluator
from ministack.services import iam

from core.settings import Settings
from iam import trust_policies

_versions: dict[str, list[dict]] = {}  # role ARN -> [{at, by, document}], oldest first


def install(cloud: Settings) -> None:
    """Records a version after each request that changes a trust policy."""
    del cloud
    for action in ("CreateRole", "UpdateAssumeRolePolicy", "DeleteRole"):
        iam._IAM_HANDLERS[action] = _recording(action, iam._IAM_HANDLERS[action])


def _recording(action: str, original):
    def handler(parameters):
        name = iam._p(parameters, "RoleName")
        before = iam._roles.get(name)
        response = original(parameters)
        role = iam._roles.get(name)
        if role is not None:
            record(role["Arn"], action, role.get("AssumeRolePolicyDocument"))
        elif before is not None:
            record(before["Arn"], action, None)
        return response

    return handler


def record(arn: str, by: str, document: str | dict | None) -> None:
    """Adds a version, unless it equals the previous version. `document` is None if the role is deleted."""
    document = json.loads(document) if isinstance(document, str) else document
    versions = _versions.setdefault(arn, [])
    if not versions or versions[-1]["document"] != document:
        versions.append({"at": time.time(), "by": by, "document": document})


def versions(arn: str) -> list[dict]:
    """The versions of the trust policy of a role, oldest first."""
    return list(_versions.get(arn, ()))


def evaluated(arn: str, attempts: list[dict]) -> list[dict]:
    """The versions with the evaluation of each attempt: `admits` has one boolean for each attempt."""
    return [
        {**version, "admits": [_allows(arn, version["document"], attempt) for attempt in attempts]}
        for version in versions(arn)
    ]


def _allows(role_arn: str, document: dict | None, attempt: dict) -> bool:
    """Whether a trust policy allows a principal to assume the role with an external id or without one.

    The identity policies of the principal are not evaluated.
    """
    principal, external_id = attempt["principal"], attempt.get("externalId")
    if document is None or (external_id is not None and not trust_policies.is_external_id(external_id)):
        return False
    keys = {} if external_id is None else {"sts:externalid": external_id}
    context = iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole" if ":assumed-role/" in principal else "Root",
        principal_account=principal.split(":")[4],
        action="sts:AssumeRole",
        resource_arn=role_arn,
        region="us-east-1",
        service_context=keys,
    )
    return iam_evaluator.evaluate_trust_policy(document, principal, context)


def delete_account(account: str) -> None:
    """Deletes the history of all roles of an account."""
    for arn in [arn for arn in _versions if arn.split(":")[4] == account]:
        del _versions[arn]
