"""IAM: a new role becomes visible after a delay.

Source: IAM user guide, "Troubleshooting IAM", "Changes that I make are not always immediately visible".
The delay follows user reports. It applies only to accounts for which a test sets a delay.
"""

from ministack.core.responses import get_account_id
from ministack.services import iam

from core.settings import Settings
from iam import principals


def install(cloud: Settings) -> None:
    """In ministack, a role is visible immediately. CreateRole is not delayed: it returns EntityAlreadyExists."""
    del cloud
    for action, original in list(iam._IAM_HANDLERS.items()):
        if action != "CreateRole":
            iam._IAM_HANDLERS[action] = _hide_new_roles(original)


def _hide_new_roles(original):
    def handler(parameters):
        name = iam._p(parameters, "RoleName")
        role = iam._roles.get(name) if name and principals.has_delay(get_account_id()) else None
        if role is not None and not principals.is_visible(role):
            return iam._error(404, "NoSuchEntity", f"The role with name {name} cannot be found.", ns="iam")
        return original(parameters)

    return handler
