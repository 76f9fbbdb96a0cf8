"""IAM: the principals that trust policies name must exist, and stay bound to the role that existed.

Source: IAM user guide, "AWS JSON policy elements: Principal": a principal must exist when a policy
that names it is saved; IAM keeps the role's unique id, so that a role that is created again under the
same name is not trusted, and IAM shows that id once the role is deleted.
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
_created: dict[str, float] = {}  # role id -> time of its creation, by the real clock
_delay = 0.0
_delays: dict[str, float] = {}  # account -> its own delay


def install(cloud: Settings) -> None:
    """ministack accepts a missing principal, and trusts a role that is deleted and created again."""
    global _delay
    # The user guide says "changes … are not always immediately visible"; the seconds follow people's reports.
    _delay = cloud.real_seconds(seconds=cloud.iam_delay_seconds)
    _refuse_missing_principals("CreateRole", "AssumeRolePolicyDocument")
    _refuse_missing_principals("UpdateAssumeRolePolicy", "PolicyDocument")
    delete = iam._IAM_HANDLERS["DeleteRole"]

    def delete_role(parameters):
        role = iam._roles.get(iam._p(parameters, "RoleName"))
        answer = delete(parameters)
        if role is not None and answer[0] == 200:
            note_deletion(role)
        return answer

    iam._IAM_HANDLERS["DeleteRole"] = delete_role


def _refuse_missing_principals(action: str, field: str) -> None:
    original = iam._IAM_HANDLERS[action]

    def handler(parameters):
        missing = missing_principal(iam._p(parameters, field))
        name = iam._p(parameters, "RoleName")
        taken = action == "CreateRole" and name in iam._roles
        if missing and not taken:
            return iam._error(400, "MalformedPolicyDocument", refusal(missing), ns="iam")
        answer = original(parameters)
        if action == "CreateRole" and answer[0] == 200:
            note_creation(iam._roles[name])
        return answer

    iam._IAM_HANDLERS[action] = handler


def refusal(principal: str) -> str:
    """The message of IAM for a principal that does not exist."""
    return f'Invalid principal in policy: "AWS":"{principal}"'


def missing_principal(document: str | dict) -> str | None:
    """The first AWS principal of a trust policy that does not exist or is not visible yet."""
    try:
        document = json.loads(document) if isinstance(document, str) else document
        statements = document.get("Statement", [])
    except (ValueError, AttributeError):
        return None
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal") if isinstance(statement, dict) else None
        named = principal.get("AWS", []) if isinstance(principal, dict) else []
        for arn in [named] if isinstance(named, str) else named:
            if not _seen(arn):
                return arn
    return None


def _seen(arn: str) -> bool:
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


def delay(account: str, seconds: float) -> None:
    """Sets the delay of an account, in real seconds."""
    _delays[account] = seconds


def is_delayed(account: str) -> bool:
    """Whether a delay was set for an account."""
    return account in _delays


def note_creation(role: dict) -> None:
    """Records the creation of a role."""
    _created[role["RoleId"]] = time.monotonic()


def note_deletion(role: dict) -> None:
    """Replaces the ARN of a deleted role by its unique id in every trust policy."""
    _created.pop(role["RoleId"], None)
    for other in list(iam._roles._data.values()):
        document = other.get("AssumeRolePolicyDocument")
        text = document if isinstance(document, str) else json.dumps(document or {})
        if f'"{role["Arn"]}"' in text:
            other["AssumeRolePolicyDocument"] = text.replace(f'"{role["Arn"]}"', f'"{role["RoleId"]}"')
            trust_history.note(other["Arn"], "death of a principal", other["AssumeRolePolicyDocument"])
