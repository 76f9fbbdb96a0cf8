"""IAM: a new role is not visible for some seconds.

Source: IAM user guide, "Troubleshooting IAM", "Changes that I make are not always immediately visible".
The seconds follow people's reports. Only accounts for which a test has set a delay have one.
"""

from ministack.core.responses import get_account_id
from ministack.services import iam

from core.settings import Settings
from iam import principals


def install(cloud: Settings) -> None:
    """ministack shows a role at once. CreateRole still reports that a role exists which is not visible yet."""
    del cloud
    for action, original in list(iam._IAM_HANDLERS.items()):
        if action != "CreateRole":
            iam._IAM_HANDLERS[action] = _hiding(original)


def _hiding(original):
    def handler(parameters):
        name = iam._p(parameters, "RoleName")
        role = iam._roles.get(name) if name and principals.is_delayed(get_account_id()) else None
        if role is not None and not principals.is_visible(role):
            return iam._error(404, "NoSuchEntity", f"The role with name {name} cannot be found.", ns="iam")
        return original(parameters)

    return handler
