"""AMP: validation of scrape configurations.

Source: AMP user guide, "Using AWS managed collectors", section "Scraper configuration", and
"Prometheus configuration" for the rules of Prometheus. The messages are not those of AWS.
"""

import base64
import binascii
import ipaddress
import re

import yaml

from amp.errors import ApiError, invalid

FIELD = "scrapeConfiguration"
_TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_CA_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
_ALLOWED_HOST = "kubernetes.default.svc"
_MIN_INTERVAL = 30.0
_UNSUPPORTED_CREDENTIALS = ("basic_auth", "oauth2", "sigv4", "bearer_token", "azuread", "google_iam", "proxy_url")
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_UNITS = (31536000, 604800, 86400, 3600, 60, 1, 0.001)


def parse(blob) -> dict:
    """Validates a `configurationBlob` (base64-encoded YAML) and returns the parsed YAML.

    Raises a ValidationException that names the invalid field.
    """
    if not isinstance(blob, str):
        raise invalid(FIELD, "configurationBlob is required")
    try:
        text = base64.b64decode(blob, validate=True).decode()
        tree = yaml.safe_load(text)
    except (binascii.Error, UnicodeDecodeError) as error:
        raise invalid(FIELD, f"configurationBlob is not base64-encoded UTF-8 text: {error}") from None
    except yaml.YAMLError as error:
        raise invalid(FIELD, f"is not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        # For example, a blob that was encoded twice.
        raise invalid(FIELD, "is not a Prometheus configuration")
    for key in tree:
        if key not in ("global", "scrape_configs"):
            raise _invalid(str(key), "field is not supported")
    settings = tree.get("global") or {}
    _mapping(settings, "global")
    _labels(settings.get("external_labels"))
    default = _interval(settings, "global", 60.0)
    jobs = tree.get("scrape_configs")
    if not isinstance(jobs, list) or not jobs:
        raise _invalid("scrape_configs", "at least one scrape job is required")
    names = set()
    for index, job in enumerate(jobs):
        _job(job, f"scrape_configs[{index}]", default, names)
    return tree


def external_labels(tree: dict) -> dict[str, str]:
    """The labels that a validated configuration adds to each sample."""
    labels = (tree.get("global") or {}).get("external_labels") or {}
    return {str(name): _label_value(value) for name, value in labels.items()}


def _label_value(value) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _invalid(path: str, message: str) -> ApiError:
    return invalid(f"{FIELD}.{path}", message)


def _mapping(value, path: str) -> None:
    if not isinstance(value, dict):
        raise _invalid(path, "must be a mapping")


def _labels(labels) -> None:
    if labels is None:
        return
    _mapping(labels, "global.external_labels")
    for name in labels:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", str(name)):
            raise _invalid("global.external_labels", f"{name!r} is not a valid label name")


def _seconds(value, path: str) -> float:
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise _invalid(path, f"{value!r} is not a valid duration")
    return sum(int(part) * unit for part, unit in zip(match.groups(), _UNITS) if part)


def _interval(settings: dict, path: str, default: float) -> float:
    interval = default
    if "scrape_interval" in settings:
        interval = _seconds(settings["scrape_interval"], f"{path}.scrape_interval")
        if interval < _MIN_INTERVAL:
            raise _invalid(f"{path}.scrape_interval", "must be at least 30s")
    # A rule of Prometheus.
    if "scrape_timeout" in settings and _seconds(settings["scrape_timeout"], f"{path}.scrape_timeout") > interval:
        raise _invalid(f"{path}.scrape_timeout", "must not be greater than the scrape interval")
    return interval


def _job(job, path: str, default: float, names: set) -> None:
    _mapping(job, path)
    name = job.get("job_name")
    if not name:
        raise _invalid(path, "job_name is required")
    if name in names:
        raise _invalid(f"{path}.job_name", f"{name!r} is used twice")
    names.add(name)
    _interval(job, path, default)
    _credentials(job, path)
    for key in job:
        if re.search(r"_sd_configs?$", str(key)) and key != "kubernetes_sd_configs":
            raise _invalid(f"{path}.{key}", "only kubernetes_sd_configs and static_configs are supported")
    for index, discovery in enumerate(job.get("kubernetes_sd_configs") or []):
        entry_path = f"{path}.kubernetes_sd_configs[{index}]"
        _mapping(discovery, entry_path)
        _credentials(discovery, entry_path)
        for key in ("kubeconfig_file", "api_server"):
            if key in discovery:
                raise _invalid(f"{entry_path}.{key}", "is not supported")
    for index, static in enumerate(job.get("static_configs") or []):
        entry_path = f"{path}.static_configs[{index}]"
        _mapping(static, entry_path)
        for target in static.get("targets") or []:
            _target(str(target), entry_path)


def _credentials(settings: dict, path: str) -> None:
    """Accepts only the token and the certificate of the service account. The collector has no other files."""
    for key in _UNSUPPORTED_CREDENTIALS:
        if key in settings:
            raise _invalid(f"{path}.{key}", "is not supported")
    if settings.get("bearer_token_file", _TOKEN_FILE) != _TOKEN_FILE:
        raise _invalid(f"{path}.bearer_token_file", f"must be {_TOKEN_FILE}")
    authorization = settings.get("authorization")
    if authorization is not None:
        _mapping(authorization, f"{path}.authorization")
        if authorization.get("type", "Bearer") != "Bearer":
            raise _invalid(f"{path}.authorization.type", "must be Bearer")
        if "credentials" in authorization:
            raise _invalid(f"{path}.authorization.credentials", "is not supported")
        if authorization.get("credentials_file") != _TOKEN_FILE:
            raise _invalid(f"{path}.authorization.credentials_file", f"must be {_TOKEN_FILE}")
    tls = settings.get("tls_config") or {}
    _mapping(tls, f"{path}.tls_config")
    for key in ("cert_file", "key_file"):
        if key in tls:
            raise _invalid(f"{path}.tls_config.{key}", "is not supported")
    if tls.get("ca_file", _CA_FILE) != _CA_FILE:
        raise _invalid(f"{path}.tls_config.ca_file", f"must be {_CA_FILE}")


def _target(target: str, path: str) -> None:
    host = target
    if target.startswith("["):
        host = target[1:].partition("]")[0]
    elif target.count(":") == 1:
        host = target.partition(":")[0]
    if host == _ALLOWED_HOST:
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise _invalid(f"{path}.targets", f"{target} is not an IP address") from None
