"""AMP: validation of scrape configurations. The messages are not those of AWS.

AMP refuses two kinds of configurations:

- What Prometheus refuses. promtool decides that (`promtool.py`), if it is installed. The discovery in Kubernetes, which
  Debian's promtool lacks, is checked in `_discovery`. Source: Prometheus, `discovery/kubernetes/kubernetes.go`.
- What a managed collector does not support. Source: AMP user guide, "Using AWS managed collectors", sections "Scraper
  configuration" and "Prometheus configuration for managed collectors".

To Prometheus, null and an empty string are unset values (documentation of `yaml.Unmarshal` of Go's YAML library, and
`omitempty` in the structures of Prometheus' configuration). So an unsupported field with such a value is accepted.
"""

import base64
import binascii
import ipaddress
import re

import yaml

from amp import promtool
from amp.errors import ApiError, invalid

FIELD = "scrapeConfiguration"
_TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_CA_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
_ALLOWED_HOST = "kubernetes.default.svc"
_MIN_INTERVAL = 30.0
_UNSUPPORTED_CREDENTIALS = ("basic_auth", "oauth2", "sigv4", "bearer_token", "azuread", "google_iam", "proxy_url")
_HTTP_KEYS = (
    "authorization basic_auth bearer_token bearer_token_file enable_http2 follow_redirects http_headers no_proxy oauth2 "
    "proxy_connect_header proxy_from_environment proxy_url tls_config"
)
# The selectors that a role supports.
_SELECTORS = {
    "endpoints": ("pod", "service", "endpoints"),
    "endpointslice": ("pod", "service", "endpointslice"),
    "ingress": ("ingress",),
    "node": ("node",),
    "pod": ("pod", "node"),
    "service": ("service",),
}
_RESERVED_HEADERS = ("authorization", "host", "user-agent", "content-type", "content-length", "connection")
_PROTOCOLS = (
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
    "PrometheusProto",
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
)
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
        # libyaml, as Prometheus. Prometheus reads the first document.
        tree = next(yaml.load_all(text, Loader=yaml.CSafeLoader), None)
    except (binascii.Error, UnicodeDecodeError) as error:
        raise invalid(FIELD, f"configurationBlob is not base64-encoded UTF-8 text: {error}") from None
    except yaml.YAMLError as error:
        raise invalid(FIELD, f"is not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        # For example, a blob that was encoded twice.
        raise invalid(FIELD, "is not a Prometheus configuration")
    for key, value in tree.items():
        if key not in ("global", "scrape_configs") and value is not None:
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
    message = promtool.refusal_by_any_version(text) if promtool.version() else None
    if message is not None:
        raise invalid(FIELD, f"is not a valid Prometheus configuration: {message}")
    return tree


def external_labels(tree: dict) -> dict[str, str]:
    """The labels that a validated configuration adds to each sample."""
    labels = (tree.get("global") or {}).get("external_labels") or {}
    return {str(name): _label_value(value) for name, value in labels.items()}


def _label_value(value) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _invalid(path: str, message: str) -> ApiError:
    return invalid(f"{FIELD}.{path}", message)


def _is_set(settings: dict, key: str) -> bool:
    return settings.get(key) not in (None, "")


def _mapping(value, path: str) -> None:
    if not isinstance(value, dict):
        raise _invalid(path, "must be a mapping")


def _list(settings: dict, key: str, path: str) -> list:
    value = settings.get(key)
    if value is not None and not isinstance(value, list):
        raise _invalid(f"{path}.{key}", "must be a list")
    return value or []


def _labels(labels) -> None:
    if labels is None:
        return
    _mapping(labels, "global.external_labels")
    for name in labels:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", str(name)):
            raise _invalid("global.external_labels", f"{name!r} is not a valid label name")


def _seconds(value, path: str) -> float:
    if value == 0:
        return 0.0
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise _invalid(path, f"{value!r} is not a valid duration")
    return sum(int(part) * unit for part, unit in zip(match.groups(), _UNITS) if part)


def _interval(settings: dict, path: str, default: float) -> float:
    interval = default
    if settings.get("scrape_interval") is not None:
        interval = _seconds(settings["scrape_interval"], f"{path}.scrape_interval")
        if interval < _MIN_INTERVAL:
            raise _invalid(f"{path}.scrape_interval", "must be at least 30s")
    # A rule of Prometheus.
    if settings.get("scrape_timeout") is not None and _seconds(settings["scrape_timeout"], f"{path}.scrape_timeout") > interval:
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
    _newer(job, path)
    for key in job:
        if re.search(r"_sd_configs?$", str(key)) and key != "kubernetes_sd_configs" and job[key] is not None:
            raise _invalid(f"{path}.{key}", "only kubernetes_sd_configs and static_configs are supported")
    for index, discovery in enumerate(_list(job, "kubernetes_sd_configs", path)):
        _discovery(discovery, f"{path}.kubernetes_sd_configs[{index}]")
    for index, static in enumerate(_list(job, "static_configs", path)):
        entry_path = f"{path}.static_configs[{index}]"
        _mapping(static, entry_path)
        for target in _list(static, "targets", entry_path):
            _target(str(target), entry_path)


def _discovery(discovery, path: str) -> None:
    _mapping(discovery, path)
    for key in ("kubeconfig_file", "api_server"):
        if _is_set(discovery, key):
            raise _invalid(f"{path}.{key}", "is not supported")
    _known(discovery, path, "api_server attach_metadata kubeconfig_file namespaces role selectors " + _HTTP_KEYS)
    role = discovery.get("role")
    if role not in _SELECTORS:
        raise _invalid(path, "role is missing" if role is None else f"unknown role {role!r}")
    # "to use custom HTTP client configuration please provide the 'api_server' URL explicitly"
    for key in _HTTP_KEYS.split():
        value = discovery.get(key)
        tls_default = key == "tls_config" and isinstance(value, dict) and not any(value.values())
        if value not in (None, "", True) and not tls_default:
            raise _invalid(f"{path}.{key}", "needs api_server")
    namespaces = discovery.get("namespaces") or {}
    _known(namespaces, f"{path}.namespaces", "names own_namespace")
    if not isinstance(namespaces.get("own_namespace"), bool | None):
        raise _invalid(f"{path}.namespaces.own_namespace", "must be a boolean")
    metadata = discovery.get("attach_metadata") or {}
    _known(metadata, f"{path}.attach_metadata", "cronjob deployment job namespace node")
    roles = []
    for selector in _list(discovery, "selectors", path):
        _known(selector, f"{path}.selectors", "field label role")
        if selector.get("role") not in _SELECTORS[role] or selector["role"] in roles:
            raise _invalid(f"{path}.selectors", f"{role} supports one selector for each of {_SELECTORS[role]}")
        roles.append(selector["role"])


def _known(settings, path: str, keys: str) -> None:
    _mapping(settings, path)
    for key in settings:
        if key not in keys.split():
            raise _invalid(f"{path}.{key}", "is not known")


def _credentials(settings: dict, path: str) -> None:
    """Accepts only the token and the certificate of the service account. The collector has no other files."""
    for key in _UNSUPPORTED_CREDENTIALS:
        if _is_set(settings, key):
            raise _invalid(f"{path}.{key}", "is not supported")
    if _is_set(settings, "bearer_token_file") and settings["bearer_token_file"] != _TOKEN_FILE:
        raise _invalid(f"{path}.bearer_token_file", f"must be {_TOKEN_FILE}")
    authorization = settings.get("authorization")
    if authorization is not None:
        _mapping(authorization, f"{path}.authorization")
        if (authorization.get("type") or "Bearer") != "Bearer":
            raise _invalid(f"{path}.authorization.type", "must be Bearer")
        if _is_set(authorization, "credentials"):
            raise _invalid(f"{path}.authorization.credentials", "is not supported")
        if authorization.get("credentials_file") != _TOKEN_FILE:
            raise _invalid(f"{path}.authorization.credentials_file", f"must be {_TOKEN_FILE}")
    tls = settings.get("tls_config") or {}
    _mapping(tls, f"{path}.tls_config")
    for key in ("cert_file", "key_file"):
        if _is_set(tls, key):
            raise _invalid(f"{path}.tls_config.{key}", "is not supported")
    if _is_set(tls, "ca_file") and tls["ca_file"] != _CA_FILE:
        raise _invalid(f"{path}.tls_config.ca_file", f"must be {_CA_FILE}")


def _newer(settings: dict, path: str) -> None:
    """Values of keys that the installed promtool may be too old to know. Source: the configuration of Prometheus 3.14."""
    for name, header in (settings.get("http_headers") or {}).items():
        if name.lower() in _RESERVED_HEADERS:
            raise _invalid(f"{path}.http_headers.{name}", "is reserved")
        _known(header, f"{path}.http_headers.{name}", "files secrets values")
    for protocol in settings.get("scrape_protocols") or []:
        if protocol not in _PROTOCOLS:
            raise _invalid(f"{path}.scrape_protocols", f"unknown protocol {protocol}")


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
