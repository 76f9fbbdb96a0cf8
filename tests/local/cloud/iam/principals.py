"""IAM: principals in trust policies must exist, and are bound to the unique id of the role.

Source: IAM user guide, "AWS JSON policy elements: Principal": a principal must exist when a policy that names it
is saved. IAM stores the unique id of the role, so that a new role with the same name is not trusted. After the
role is deleted, IAM shows the unique id in the policy.
"""

import json
import re
import time

from ministack.services import iam

from core.settings import Settings
from iam import trust_history

_ROLE_OR_USER = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):(role|user)/(.+)")
_OTHER = re.compile(
    r"\*|\d{12}|arn:aws[a-z-]*:iam::\d{12}:root|arn:aws[a-z-]*:sts::\d{12}:(assumed-role|federated-user)/.+"
)
_created: dict[str, float] = {}  # role id -> creation time, on the real clock
_delay = 0.0
_delays: dict[str, float] = {}  # account -> delay of this account


def install(cloud: Settings) -> None:
    """ministack accepts a missing principal, and still trusts a role that is deleted and created again."""
    global _delay
    # The user guide says "changes … are not always immediately visible". The delay follows user reports.
    _delay = cloud.real_seconds(seconds=cloud.iam_delay_seconds)
    _refuse_missing_principals("CreateRole", "AssumeRolePolicyDocument")
    _refuse_missing_principals("UpdateAssumeRolePolicy", "PolicyDocument")
    delete = iam._IAM_HANDLERS["DeleteRole"]

    def delete_role(parameters):
        role = iam._roles.get(iam._p(parameters, "RoleName"))
        response = delete(parameters)
        if role is not None and response[0] == 200:
            record_deletion(role)
        return response

    iam._IAM_HANDLERS["DeleteRole"] = delete_role


def _refuse_missing_principals(action: str, field: str) -> None:
    original = iam._IAM_HANDLERS[action]

    def handler(parameters):
        missing = missing_principal(iam._p(parameters, field))
        name = iam._p(parameters, "RoleName")
        exists = action == "CreateRole" and name in iam._roles
        if missing and not exists:
            return iam._error(400, "MalformedPolicyDocument", invalid_principal_message(missing), ns="iam")
        response = original(parameters)
        if action == "CreateRole" and response[0] == 200:
            record_creation(iam._roles[name])
        return response

    iam._IAM_HANDLERS[action] = handler


def invalid_principal_message(principal: str) -> str:
    """The IAM error message for a principal that does not exist."""
    return f'Invalid principal in policy: "AWS":"{principal}"'


def missing_principal(document: str | dict) -> str | None:
    """The first AWS principal in a trust policy that does not exist or is not visible yet."""
    try:
        document = json.loads(document) if isinstance(document, str) else document
        statements = document.get("Statement", [])
    except (ValueError, AttributeError):
        return None
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal") if isinstance(statement, dict) else None
        named = principal.get("AWS", []) if isinstance(principal, dict) else []
        for arn in [named] if isinstance(named, str) else named:
            if not _is_valid(arn):
                return arn
    return None


def _is_valid(arn: str) -> bool:
    match = _ROLE_OR_USER.fullmatch(arn)
    if match is None:
        return _OTHER.fullmatch(arn) is not None
    store = iam._roles if match[2] == "role" else iam._users
    record = store.get_scoped(match[1], None, match[3].rpartition("/")[2])
    if record is None or record["Arn"] != arn:
        return False
    return is_visible(record)


def is_visible(record: dict) -> bool:
    """Whether a role or user was created long enough ago to be visible."""
    created = _created.get(record.get("RoleId", ""))
    return created is None or time.monotonic() - created >= _delays.get(record["Arn"].split(":")[4], _delay)


def set_delay(account: str, seconds: float) -> None:
    """Sets the visibility delay of an account, in real seconds."""
    _delays[account] = seconds


def has_delay(account: str) -> bool:
    """Whether an account has its own visibility delay."""
    return account in _delays


def record_creation(role: dict) -> None:
    """Records the creation time of a role."""
    _created[role["RoleId"]] = time.monotonic()


def record_deletion(role: dict) -> None:
    """Replaces the ARN of a deleted role with its unique id in every trust policy."""
    _created.pop(role["RoleId"], None)
    for other in list(iam._roles._data.values()):
        document = other.get("AssumeRolePolicyDocument")
        text = document if isinstance(document, str) else json.dumps(document or {})
        if f'"{role["Arn"]}"' in text:
            other["AssumeRolePolicyDocument"] = text.replace(f'"{role["Arn"]}"', f'"{role["RoleId"]}"')
            trust_history.record(other["Arn"], "deletion of a principal", other["AssumeRolePolicyDocument"])
