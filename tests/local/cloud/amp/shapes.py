"""AMP: validation of request members by the API model (2020-08-01): types, lengths and patterns.

Each function raises a ValidationException that names the member.
"""

import re
import unicodedata

from amp.errors import invalid

CLUSTER_ARN = re.compile(r"arn:aws[-a-z]*:eks:([-a-z0-9]+):([0-9]{12}):cluster/(.+)")
WORKSPACE_ARN = re.compile(r"arn:aws[-a-z]*:aps:([-a-z0-9]+):([0-9]{12}):workspace/(.+)")
ROLE_ARN = re.compile(r"arn:aws[-a-z]*:iam::([0-9]{12}):role/.+")


def text(
    value, field: str, *, pattern=None, min_length: int = 1, max_length: int | None = None, shown_pattern: str = ""
) -> str:
    """Validates the length and the pattern of a string."""
    if not isinstance(value, str):
        raise invalid(field, "must be a string")
    if len(value) < min_length:
        raise invalid(field, f"Member must have length greater than or equal to {min_length}")
    if max_length is not None and len(value) > max_length:
        raise invalid(field, f"Member must have length less than or equal to {max_length}")
    if pattern is not None and not re.fullmatch(pattern, value):
        raise invalid(field, f"Member must satisfy regular expression pattern: {shown_pattern or pattern}")
    return value


def arn(value, field: str, pattern: re.Pattern) -> re.Match:
    """Validates and parses an ARN."""
    text(value, field, pattern=pattern, shown_pattern=pattern.pattern)
    return pattern.fullmatch(value)


def client_token(value) -> None:
    """IdempotencyToken: 1 to 64 printable ASCII characters without spaces."""
    if value is not None:
        text(value, "clientToken", pattern=r"[!-~]+", max_length=64)


def scraper_alias(value) -> None:
    if value is not None:
        text(value, "alias", pattern=r"[0-9A-Za-z][-.0-9A-Z_a-z]*", max_length=100)


def workspace_alias(value) -> None:
    if value is not None:
        text(value, "alias", max_length=100)


def identifiers(value, field: str, pattern: str, required: bool) -> list[str]:
    """SubnetIds and SecurityGroupIds: one to five identifiers."""
    if value is None and not required:
        return []
    if not isinstance(value, list):
        raise invalid(field, "Member must not be null" if value is None else "must be a list")
    if not 1 <= len(value) <= 5:
        raise invalid(field, f"Member must have 1 to 5 elements, but has {len(value)}")
    for item in value:
        text(item, field, pattern=pattern, min_length=0, max_length=255)
    return value


def tags(value, field: str = "tags") -> dict:
    """TagMap: at most 50 tags. Keys have 1 to 128 characters and values 0 to 256 characters.

    The characters are letters, digits, spaces and `_.:/=+-@`. The key prefix `aws:` is reserved.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(field, "must be a map")
    if len(value) > 50:
        raise invalid(field, f"Member must have at most 50 entries, but has {len(value)}")
    for key, item in value.items():
        _tag_text(key, field, min_length=1, max_length=128)
        _tag_text(item, f"{field}.{key}", min_length=0, max_length=256)
        if key.lower().startswith("aws:"):
            raise invalid(field, f"{key}: keys that start with aws: are reserved")
    return dict(value)


def _tag_text(value, field: str, min_length: int, max_length: int) -> None:
    text(value, field, min_length=min_length, max_length=max_length)
    # [\p{L}\p{Z}\p{N}_.:/=+\-@]*
    if not all(unicodedata.category(character)[0] in "LZN" or character in "_.:/=+-@" for character in value):
        raise invalid(field, r"Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*")
