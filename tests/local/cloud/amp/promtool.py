"""What Prometheus refuses, as promtool says it. The scraper of AMP runs Prometheus.

promtool of Debian is older than Prometheus 3, and Debian builds it without the discovery in Kubernetes. So that part is
removed before promtool reads a configuration, and newer keys too if that is wanted.
"""

import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

_SECTION = "kubernetes_sd_configs"
# Keys that Prometheus introduced after 2.42. Source: the release notes of Prometheus up to 3.14.
NEWER_KEYS = frozenset(
    """
    always_scrape_classic_histograms body_size_limit ca_ref cert_ref convert_classic_histograms_to_nhcb
    credentials_ref enable_compression extra_scrape_metrics fallback_scrape_protocol http_headers keep_dropped_targets
    key_ref label_limit label_name_length_limit label_value_length_limit metric_name_escaping_scheme
    metric_name_validation_scheme native_histogram_bucket_limit native_histogram_min_bucket_factor no_proxy
    proxy_from_environment rule_query_offset sample_limit scrape_classic_histograms scrape_failure_log_file
    scrape_native_histograms scrape_protocols target_limit track_timestamps_staleness
    """.split()
)
_NOT_FOUND = re.compile(r"field (\w+) not found in type")


@functools.cache
def version() -> str | None:
    """The version of the installed promtool, such as `2.42.0`; None if there is none."""
    if shutil.which("promtool") is None:
        return None
    text = subprocess.run(["promtool", "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"version (\d+\.\d+\.\d+)", text).group(1)


def refusal(text: str) -> str | None:
    """The message with which promtool refuses a configuration without its discovery; None if it accepts it."""
    return _refusal(_without_discovery(text))


def refusal_by_any_version(text: str) -> str | None:
    """Like `refusal`, but what promtool is too old to know is changed: keys, and groups such as `(?<name>a)`."""
    # Go 1.22 accepts both forms (release notes, regexp/syntax).
    text = re.sub(r"\(\?<(?=\w)", "(?P<", text)
    message = refusal(text)
    unknown = set(_NOT_FOUND.findall(message or ""))
    while unknown & NEWER_KEYS:
        text = _changed(text, lambda key, _: None if key in unknown & NEWER_KEYS else key)
        message = refusal(text)
        unknown = set(_NOT_FOUND.findall(message or ""))
    return message


def _refusal(text: str) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prometheus.yaml"
        file.write_text(text, newline="")
        command = ["promtool", "check", "config", "--syntax-only", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    message = " ".join(done.stderr.replace(str(file), "FILE").replace(folder, "").split())
    return message.removeprefix("FAILED: ").removeprefix("parsing YAML file FILE: ")


def _without_discovery(text: str) -> str:
    if _SECTION not in text:
        return text

    def rename(key: str, value: yaml.Node) -> str:
        if key != _SECTION:
            return key
        if isinstance(value, yaml.SequenceNode):
            value.value = []
        return "file_sd_configs"

    return _changed(text, rename)


def _changed(text: str, change) -> str:
    """The first document of a text with other keys in the mappings of its jobs. `change` returns None to remove a key."""
    try:
        document = next(yaml.compose_all(text, Loader=yaml.CSafeLoader), None)
    except yaml.YAMLError:
        return text
    seen = set()

    def walk(node: yaml.Node) -> None:
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            kept = []
            for key, value in node.value:
                name = change(key.value, value) if isinstance(key, yaml.ScalarNode) else key.value
                if name is not None:
                    key.value = name
                    kept.append((key, value))
                    walk(value)
            node.value = kept
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                walk(item)

    if document is None:
        return text
    walk(document)
    return yaml.serialize(document, Dumper=yaml.CSafeDumper, allow_unicode=True)
