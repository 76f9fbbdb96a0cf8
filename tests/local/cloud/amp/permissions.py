"""AMP: authorization with the credentials of the caller (forward access sessions).

Source: AMP user guide, "Using AWS managed collectors", section "Permissions and IAM policies" (a missing permission
is a 403 AccessDeniedException). The order of the checks is not documented.
"""

from ministack.core import iam_evaluator
from ministack.core.responses import get_region
from ministack.core.router import extract_access_key_id

from amp.errors import denied
from iam import authorizations


class Caller:
    """The caller of AMP, and its permissions in services that AMP uses on its behalf."""

    def __init__(self, headers: dict):
        self._access_key = extract_access_key_id(headers, {})

    def must_be_allowed(self, action: str, resource: str, condition_keys: dict | None = None) -> None:
        """Raises AccessDeniedException if the caller is not allowed the action."""
        denial = authorizations.enforce_for(
            "aps", self._access_key, action, resource, get_region(), condition_keys or {}
        )
        if denial is not None:
            raise denied(getattr(denial, "principal_arn", "") or iam_evaluator.caller_arn(), action, resource)

    def must_be_allowed_to_tag(self, resource: str, tags: dict) -> None:
        """Checks TagResource like must_be_allowed, with the tags of the request as condition keys."""
        keys = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        self.must_be_allowed("aps:TagResource", resource, {**keys, "aws:TagKeys": list(tags)})
