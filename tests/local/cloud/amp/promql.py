"""A subset of PromQL: a selector, alone or inside one aggregation (Prometheus, "Querying basics").

Examples: `up`, `up{job="a",instance=~"10.*"}`, `{__name__="up"}`, `count(up)`, `sum by (job) (up{…})`.
"""

import re

_MATCHER = re.compile(
    r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')\s*(?:,|$)'
)
_SELECTOR = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(?:\{(.*)\})?\s*", re.DOTALL)
_AGGREGATION = re.compile(
    r"\s*(count|sum|min|max|avg)\s*(?:by\s*\(([^)]*)\)\s*)?\((.*)\)\s*(?:by\s*\(([^)]*)\)\s*)?", re.DOTALL
)
_FUNCTIONS = {
    "count": len,
    "sum": sum,
    "min": min,
    "max": max,
    "avg": lambda values: sum(values) / len(values),
}


class BadQuery(ValueError):
    """The query is invalid or not supported."""


def evaluate(query: str, samples: list[tuple[dict, float]]) -> list[tuple[dict, float]]:
    """Evaluates a query over samples and returns the instant vector as (labels, value) pairs."""
    aggregation = _AGGREGATION.fullmatch(query)
    if aggregation is None:
        return _select(query, samples)
    function, before, inner, after = aggregation.groups()
    by = [name.strip() for name in (before or after or "").split(",") if name.strip()]
    groups: dict[tuple, list[float]] = {}
    for labels, value in _select(inner, samples):
        key = tuple((name, labels[name]) for name in by if name in labels)
        groups.setdefault(key, []).append(value)
    return [(dict(key), float(_FUNCTIONS[function](values))) for key, values in groups.items()]


def _select(selector: str, samples: list[tuple[dict, float]]) -> list[tuple[dict, float]]:
    match = _SELECTOR.fullmatch(selector)
    if match is None or (match[1] is None and not match[2]):
        raise BadQuery(f"cannot evaluate {selector!r}")
    matchers = [("__name__", "=", match[1])] if match[1] else []
    matchers += _matchers(match[2] or "")
    return [(labels, value) for labels, value in samples if all(_matches(labels, *matcher) for matcher in matchers)]


def _matchers(text: str) -> list[tuple[str, str, str]]:
    found, position = [], 0
    while text[position:].strip():
        match = _MATCHER.match(text, position)
        if match is None:
            raise BadQuery(f"cannot parse the matchers {text!r}")
        name, operator, quoted = match.groups()
        value = re.sub(r"\\(.)", r"\1", quoted[1:-1])
        found.append((name, operator, value))
        position = match.end()
    return found


def _matches(labels: dict, name: str, operator: str, value: str) -> bool:
    actual = labels.get(name, "")
    if operator in ("=", "!="):
        return (actual == value) == (operator == "=")
    try:
        return (re.fullmatch(value, actual) is not None) == (operator == "=~")
    except re.error as error:
        raise BadQuery(f"bad regular expression {value!r}: {error}") from None
