"""IAM: a role that was made just now is not there yet, for a while.

Source: IAM user guide, "Troubleshooting IAM", "Changes that I make are not always immediately visible".
The seconds are what people report. Off, but for accounts that a test has asked it for.
"""

from ministack.core.responses import get_account_id
from ministack.services import iam

import iam_principals
from settings import Settings


def install(cloud: Settings) -> None:
    """ministack shows a role at once. CreateRole of one that is not shown yet says that it exists."""
    del cloud
    for action, original in list(iam._IAM_HANDLERS.items()):
        if action != "CreateRole":
            iam._IAM_HANDLERS[action] = _hiding(original)


def _hiding(original):
    def handler(parameters):
        name = iam._p(parameters, "RoleName")
        role = iam._roles.get(name) if name and iam_principals.is_delayed(get_account_id()) else None
        if role is not None and not iam_principals.is_visible(role):
            return iam._error(404, "NoSuchEntity", f"The role with name {name} cannot be found.", ns="iam")
        return original(parameters)

    return handler
