"""IAM: size quotas of the policies of a role, and the name pattern of roles.

Source: IAM user guide, "IAM and AWS STS quotas": for each role, 2,048 characters of trust policy and 10,240
characters of inline policies, without white space; IAM API reference, CreateRole (the name pattern).
"""

import json
import re

from ministack.services import iam

from core.settings import Settings

TRUST = 2048
INLINE = 10240
_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)


def install(cloud: Settings) -> None:
    """ministack accepts any size, any name, and a trust policy that is not JSON."""
    del cloud
    _check_names()
    _limit_trust("CreateRole", "AssumeRolePolicyDocument")
    _limit_trust("UpdateAssumeRolePolicy", "PolicyDocument")
    _limit_inline_policies()


def _size(document) -> int:
    return len(re.sub(r"\s", "", document if isinstance(document, str) else json.dumps(document)))


def _is_object(document: str) -> bool:
    try:
        return isinstance(json.loads(document), dict)
    except ValueError:
        return False


def _check_names() -> None:
    original = iam._IAM_HANDLERS["CreateRole"]

    def handler(parameters):
        name = iam._p(parameters, "RoleName")
        if not _NAME.fullmatch(name):
            message = f"The specified value for roleName is invalid: {name}. It must match [\\w+=,.@-]{{1,64}}"
            return iam._error(400, "ValidationError", message, ns="iam")
        return original(parameters)

    iam._IAM_HANDLERS["CreateRole"] = handler


def _limit_trust(action: str, field: str) -> None:
    original = iam._IAM_HANDLERS[action]

    def handler(parameters):
        if not _is_object(iam._p(parameters, field)):
            return iam._error(400, "MalformedPolicyDocument", "This policy contains invalid Json", ns="iam")
        if _size(iam._p(parameters, field)) > TRUST:
            return iam._error(409, "LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {TRUST}", ns="iam")
        return original(parameters)

    iam._IAM_HANDLERS[action] = handler


def _limit_inline_policies() -> None:
    original = iam._IAM_HANDLERS["PutRolePolicy"]

    def handler(parameters):
        name, role = iam._p(parameters, "RoleName"), iam._roles.get(iam._p(parameters, "RoleName")) or {}
        documents = dict(role.get("InlinePolicies") or {})
        documents[iam._p(parameters, "PolicyName")] = iam._p(parameters, "PolicyDocument")
        if sum(map(_size, documents.values())) > INLINE:
            message = f"Maximum policy size of {INLINE} bytes exceeded for role {name}"
            return iam._error(409, "LimitExceeded", message, ns="iam")
        return original(parameters)

    iam._IAM_HANDLERS["PutRolePolicy"] = handler
