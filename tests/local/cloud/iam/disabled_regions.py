"""STS: a Region that the account of a role has not enabled.

Source: IAM user guide, "Manage AWS STS in an AWS Region" (STS in an opt-in Region issues credentials only for roles of
accounts that have enabled the Region, and an account can deactivate STS in a Region) and STS API reference, AssumeRole
(RegionDisabledException). AWS does not document the error for an opt-in Region, so the control API names it.
"""

from urllib.parse import parse_qs

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.responses import get_region
from ministack.services import iam

from core.settings import Settings
from iam.condition_keys import parameter

# The error code by account and Region. Every other Region is enabled.
_disabled: dict[tuple[str, str], str] = {}


def install(cloud: Settings) -> None:
    """ministack enables all Regions in all accounts."""
    del cloud
    original = app.SERVICE_HANDLERS["sts"]

    async def handler(method, path, headers, body, query):
        parameters = {**parse_qs((body or b"").decode("utf-8", "replace")), **query}
        if parameter(parameters, "Action") == "AssumeRole":
            account = iam_evaluator._account_from_arn(parameter(parameters, "RoleArn"))
            code = _disabled.get((account, get_region()))
            if code:
                message = f"STS is not activated in {get_region()} for account {account}"
                return iam._error(403, code, message, ns="sts")
        return await original(method, path, headers, body, query)

    app.SERVICE_HANDLERS["sts"] = handler


def set_error(account: str, region: str, code: str | None) -> None:
    """Sets the error of AssumeRole for roles of an account in a Region; None enables the Region."""
    if code:
        _disabled[account, region] = code
    else:
        _disabled.pop((account, region), None)
