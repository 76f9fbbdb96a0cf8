"""AMP: authorization with the credentials of the caller (forward access sessions).

Source: AMP user guide, "Using AWS managed collectors", section "Permissions and IAM policies" (a missing permission
is a 403 AccessDeniedException). The order of the checks is not documented.
"""

from ministack.core import iam_evaluator
from ministack.core.responses import get_region
from ministack.core.router import extract_access_key_id

from amp.errors import denied


class Caller:
    """The caller of AMP, and its permissions in services that AMP uses on its behalf."""

    def __init__(self, headers: dict):
        self._access_key = extract_access_key_id(headers, {})

    def must_be_allowed(self, action: str, resource: str, **condition_keys: str) -> None:
        """Raises AccessDeniedException if the caller is not allowed the action.

        In the names of condition keys, two underscores replace the colon.
        """
        context = {name.replace("__", ":"): value for name, value in condition_keys.items()}
        denial = iam_evaluator.enforce(
            self._access_key,
            action,
            action.partition(":")[0],
            get_region(),
            resource_arn=resource,
            service_context=context,
        )
        if denial is not None:
            raise denied(getattr(denial, "principal_arn", "") or iam_evaluator.caller_arn(), action, resource)

    def must_be_allowed_to_tag(self, resource: str, tags: dict) -> None:
        """Checks TagResource like must_be_allowed, with the tags of the request as condition keys."""
        context = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        denial = iam_evaluator.enforce(
            self._access_key,
            "aps:TagResource",
            "aps",
            get_region(),
            resource_arn=resource,
            service_context={**context, "aws:TagKeys": list(tags)},
        )
        if denial is not None:
            raise denied(
                getattr(denial, "principal_arn", "") or iam_evaluator.caller_arn(), "aps:TagResource", resource
            )
