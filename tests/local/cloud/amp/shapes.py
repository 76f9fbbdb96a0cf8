"""The limits that AMP's API model (2020-08-01) sets on members of requests: types, lengths, patterns.

Every function raises a ValidationException that names the member.
"""

import re
import unicodedata

from amp.errors import invalid

CLUSTER_ARN = re.compile(r"arn:aws[-a-z]*:eks:([-a-z0-9]+):([0-9]{12}):cluster/(.+)")
WORKSPACE_ARN = re.compile(r"arn:aws[-a-z]*:aps:([-a-z0-9]+):([0-9]{12}):workspace/(.+)")
ROLE_ARN = re.compile(r"arn:aws[-a-z]*:iam::([0-9]{12}):role/.+")


def text(value, field: str, *, pattern=None, least: int = 1, most: int | None = None, like: str = "") -> str:
    """A string within its limits."""
    if not isinstance(value, str):
        raise invalid(field, "must be a string")
    if len(value) < least:
        raise invalid(field, f"Member must have length greater than or equal to {least}")
    if most is not None and len(value) > most:
        raise invalid(field, f"Member must have length less than or equal to {most}")
    if pattern is not None and not re.fullmatch(pattern, value):
        raise invalid(field, f"Member must satisfy regular expression pattern: {like or pattern}")
    return value


def arn(value, field: str, pattern: re.Pattern) -> re.Match:
    """An ARN of the wanted kind, taken apart."""
    text(value, field, pattern=pattern, like=pattern.pattern)
    return pattern.fullmatch(value)


def client_token(value) -> None:
    """IdempotencyToken: 1 to 64 printable ASCII characters without blanks."""
    if value is not None:
        text(value, "clientToken", pattern=r"[!-~]+", most=64)


def scraper_alias(value) -> None:
    if value is not None:
        text(value, "alias", pattern=r"[0-9A-Za-z][-.0-9A-Z_a-z]*", most=100)


def workspace_alias(value) -> None:
    if value is not None:
        text(value, "alias", most=100)


def identifiers(value, field: str, pattern: str, required: bool) -> list[str]:
    """SubnetIds and SecurityGroupIds: one to five identifiers of a kind."""
    if value is None and not required:
        return []
    if not isinstance(value, list):
        raise invalid(field, "Member must not be null" if value is None else "must be a list")
    if not 1 <= len(value) <= 5:
        raise invalid(field, f"Member must have 1 to 5 elements, but has {len(value)}")
    for item in value:
        text(item, field, pattern=pattern, least=0, most=255)
    return value


def tags(value, field: str = "tags") -> dict:
    """TagMap: at most 50; keys of 1 to 128 and values of 0 to 256 letters, digits, blanks and `_.:/=+-@`;
    no key begins with `aws:`, which is reserved."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(field, "must be a map")
    if len(value) > 50:
        raise invalid(field, f"Member must have at most 50 entries, but has {len(value)}")
    for key, item in value.items():
        _tag_text(key, field, least=1, most=128)
        _tag_text(item, f"{field}.{key}", least=0, most=256)
        if key.lower().startswith("aws:"):
            raise invalid(field, f"{key}: keys that begin with aws: are reserved")
    return dict(value)


def _tag_text(value, field: str, least: int, most: int) -> None:
    text(value, field, least=least, most=most)
    # [\p{L}\p{Z}\p{N}_.:/=+\-@]*
    if not all(unicodedata.category(character)[0] in "LZN" or character in "_.:/=+-@" for character in value):
        raise invalid(field, r"Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*")
