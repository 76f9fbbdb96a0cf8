"""Systems Manager: the maximum size of a parameter value.

Source: Systems Manager user guide, "Managing parameter tiers" (4 KB for a standard parameter and 8 KB for an
advanced parameter; Intelligent-Tiering uses the advanced tier if the value requires it; an advanced parameter never
becomes a standard parameter). The message for a standard parameter follows user reports.
"""

from ministack.core.responses import error_response_json
from ministack.services import ssm

from core.settings import Settings

_LIMITS = {"Standard": 4096, "Advanced": 8192}
_GUIDE = "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"
_UPGRADE_HINT = {
    "Standard": " To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier.",
    "Advanced": "",
}


def install(cloud: Settings) -> None:
    """ministack stores values of any size, and returns Intelligent-Tiering as the tier of a parameter."""
    del cloud
    original = ssm._put_parameter

    def put_parameter(data):
        value, existing = data.get("Value") or "", ssm._parameters.get(data.get("Name"))
        tier = data.get("Tier") or ssm._default_tier(data, value, existing)
        size = len(value.encode())
        if tier == "Intelligent-Tiering":
            was_advanced = existing is not None and existing.get("Tier") == "Advanced"
            needs_advanced = size > _LIMITS["Standard"] or bool(data.get("Policies"))
            tier = "Advanced" if was_advanced or needs_advanced else "Standard"
        if size > _LIMITS.get(tier, size):
            limit = f"{tier} tier parameters support a maximum parameter value of {_LIMITS[tier]} characters."
            message = f"{limit}{_UPGRADE_HINT[tier]} For more information, see {_GUIDE}"
            return error_response_json("ValidationException", message, 400)
        return original({**data, "Tier": tier})

    ssm._put_parameter = put_parameter
