"""AMP's rules for a scrape configuration, in one place.

Source: AMP user guide, "Using AWS managed collectors", section "Scraper configuration", and
"Prometheus configuration" for the rules of Prometheus itself. The messages are ours.
"""

import base64
import binascii
import ipaddress
import re

import yaml

from amp.errors import Refusal, invalid

FIELD = "scrapeConfiguration"
_TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_CA_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
_ONLY_NAME = "kubernetes.default.svc"
_LEAST_INTERVAL = 30.0
_SECRETS = ("basic_auth", "oauth2", "sigv4", "bearer_token", "azuread", "google_iam", "proxy_url")
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_UNITS = (31536000, 604800, 86400, 3600, 60, 1, 0.001)


def parse(blob) -> dict:
    """Checks a request's `configurationBlob` (base64 of YAML) and returns the parsed YAML.

    Raises a ValidationException that names the offending place.
    """
    if not isinstance(blob, str):
        raise invalid(FIELD, "configurationBlob is required")
    try:
        text = base64.b64decode(blob, validate=True).decode()
        tree = yaml.safe_load(text)
    except (binascii.Error, UnicodeDecodeError) as error:
        raise invalid(FIELD, f"configurationBlob is not base64 of UTF-8 text: {error}") from None
    except yaml.YAMLError as error:
        raise invalid(FIELD, f"is not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        # A blob that was encoded twice ends here.
        raise invalid(FIELD, "is not a Prometheus configuration")
    for key in tree:
        if key not in ("global", "scrape_configs"):
            raise _refused(str(key), "field is not supported")
    settings = tree.get("global") or {}
    _mapping(settings, "global")
    _labels(settings.get("external_labels"))
    default = _interval(settings, "global", 60.0)
    jobs = tree.get("scrape_configs")
    if not isinstance(jobs, list) or not jobs:
        raise _refused("scrape_configs", "at least one scrape job is required")
    names = set()
    for index, job in enumerate(jobs):
        _job(job, f"scrape_configs[{index}]", default, names)
    return tree


def external_labels(tree: dict) -> dict[str, str]:
    """The labels that a checked configuration adds to every sample."""
    labels = (tree.get("global") or {}).get("external_labels") or {}
    return {str(name): _as_go_reads(value) for name, value in labels.items()}


def _as_go_reads(value) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _refused(place: str, why: str) -> Refusal:
    return invalid(f"{FIELD}.{place}", why)


def _mapping(value, place: str) -> None:
    if not isinstance(value, dict):
        raise _refused(place, "must be a mapping")


def _labels(labels) -> None:
    if labels is None:
        return
    _mapping(labels, "global.external_labels")
    for name in labels:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", str(name)):
            raise _refused("global.external_labels", f"{name!r} is not a valid label name")


def _seconds(value, place: str) -> float:
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise _refused(place, f"{value!r} is not a valid duration")
    return sum(int(part) * unit for part, unit in zip(match.groups(), _UNITS) if part)


def _interval(settings: dict, place: str, default: float) -> float:
    interval = default
    if "scrape_interval" in settings:
        interval = _seconds(settings["scrape_interval"], f"{place}.scrape_interval")
        if interval < _LEAST_INTERVAL:
            raise _refused(f"{place}.scrape_interval", "must be at least 30s")
    # Prometheus' own rule.
    if "scrape_timeout" in settings and _seconds(settings["scrape_timeout"], f"{place}.scrape_timeout") > interval:
        raise _refused(f"{place}.scrape_timeout", "must not exceed the scrape interval")
    return interval


def _job(job, place: str, default: float, names: set) -> None:
    _mapping(job, place)
    name = job.get("job_name")
    if not name:
        raise _refused(place, "job_name is required")
    if name in names:
        raise _refused(f"{place}.job_name", f"{name!r} is used twice")
    names.add(name)
    _interval(job, place, default)
    _credentials(job, place)
    for key in job:
        if re.search(r"_sd_configs?$", str(key)) and key != "kubernetes_sd_configs":
            raise _refused(f"{place}.{key}", "only kubernetes_sd_configs and static_configs are supported")
    for index, discovery in enumerate(job.get("kubernetes_sd_configs") or []):
        here = f"{place}.kubernetes_sd_configs[{index}]"
        _mapping(discovery, here)
        _credentials(discovery, here)
        for key in ("kubeconfig_file", "api_server"):
            if key in discovery:
                raise _refused(f"{here}.{key}", "is not supported")
    for index, static in enumerate(job.get("static_configs") or []):
        here = f"{place}.static_configs[{index}]"
        _mapping(static, here)
        for target in static.get("targets") or []:
            _target(str(target), here)


def _credentials(settings: dict, place: str) -> None:
    """Accepts only the token and certificate of the service account: the collector has no other file."""
    for key in _SECRETS:
        if key in settings:
            raise _refused(f"{place}.{key}", "is not supported")
    if settings.get("bearer_token_file", _TOKEN_FILE) != _TOKEN_FILE:
        raise _refused(f"{place}.bearer_token_file", f"must be {_TOKEN_FILE}")
    authorization = settings.get("authorization")
    if authorization is not None:
        _mapping(authorization, f"{place}.authorization")
        if authorization.get("type", "Bearer") != "Bearer":
            raise _refused(f"{place}.authorization.type", "must be Bearer")
        if "credentials" in authorization:
            raise _refused(f"{place}.authorization.credentials", "is not supported")
        if authorization.get("credentials_file") != _TOKEN_FILE:
            raise _refused(f"{place}.authorization.credentials_file", f"must be {_TOKEN_FILE}")
    tls = settings.get("tls_config") or {}
    _mapping(tls, f"{place}.tls_config")
    for key in ("cert_file", "key_file"):
        if key in tls:
            raise _refused(f"{place}.tls_config.{key}", "is not supported")
    if tls.get("ca_file", _CA_FILE) != _CA_FILE:
        raise _refused(f"{place}.tls_config.ca_file", f"must be {_CA_FILE}")


def _target(target: str, place: str) -> None:
    host = target
    if target.startswith("["):
        host = target[1:].partition("]")[0]
    elif target.count(":") == 1:
        host = target.partition(":")[0]
    if host == _ONLY_NAME:
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise _refused(f"{place}.targets", f"{target} is not an IP address") from None
