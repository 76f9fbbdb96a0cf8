"""IAM: every version of a role's trust policy, and the principals that each version admits. Not a part of AWS.

It also finds a version that admitted a principal for a millisecond only, between two requests of a test.
"""

import json
import time

from ministack.core import iam_evaluator
from ministack.services import iam

from core.settings import Settings
from iam import trust_policies

_versions: dict[str, list[dict]] = {}  # role ARN -> {at, by, document}, oldest first


def install(cloud: Settings) -> None:
    """Records the requests that change a trust policy. The deletion of a principal changes the policies of other roles."""
    del cloud
    for action in ("CreateRole", "UpdateAssumeRolePolicy", "DeleteRole"):
        iam._IAM_HANDLERS[action] = _noting(action, iam._IAM_HANDLERS[action])


def _noting(action: str, original):
    def handler(parameters):
        name = iam._p(parameters, "RoleName")
        before = iam._roles.get(name)
        answer = original(parameters)
        role = iam._roles.get(name)
        if role is not None:
            note(role["Arn"], action, role.get("AssumeRolePolicyDocument"))
        elif before is not None:
            note(before["Arn"], action, None)
        return answer

    return handler


def note(arn: str, by: str, document: str | dict | None) -> None:
    """Adds a version, unless it equals the previous one. No document means that the role is deleted."""
    document = json.loads(document) if isinstance(document, str) else document
    versions = _versions.setdefault(arn, [])
    if not versions or versions[-1]["document"] != document:
        versions.append({"at": time.time(), "by": by, "document": document})


def versions(arn: str) -> list[dict]:
    """The versions of a role's trust policy, oldest first."""
    return list(_versions.get(arn, ()))


def judged(arn: str, attempts: list[dict]) -> list[dict]:
    """The versions, each with whether it admits each of the attempts."""
    return [
        {**version, "admits": [_admits(arn, version["document"], attempt) for attempt in attempts]}
        for version in versions(arn)
    ]


def _admits(role: str, document: dict | None, attempt: dict) -> bool:
    """Whether STS would let a principal (an ARN) assume the role with an external id (or none), as far as the
    trust policy decides it. The principal's own policies do not count."""
    principal, external_id = attempt["principal"], attempt.get("externalId")
    if document is None or (external_id is not None and not trust_policies.is_external_id(external_id)):
        return False
    keys = {} if external_id is None else {"sts:externalid": external_id}
    context = iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole" if ":assumed-role/" in principal else "Root",
        principal_account=principal.split(":")[4],
        action="sts:AssumeRole",
        resource_arn=role,
        region="us-east-1",
        service_context=keys,
    )
    return iam_evaluator.evaluate_trust_policy(document, principal, context)


def forget(account: str) -> None:
    """Removes the roles of an account."""
    for arn in [arn for arn in _versions if arn.split(":")[4] == account]:
        del _versions[arn]
