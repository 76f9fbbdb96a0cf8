"""AMP: validation of scrape configurations."""

import base64
import json

import pytest

from amp import promtool, scrape_rules
from amp.errors import ApiError
from support import scrape_corpus

JOB = "scrape_configs:\n- job_name: a\n"


def blob(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("", ""),
        ("just text", ""),
        ("a: [", ""),
        ("scrape_configs: []", "scrape_configs"),
        ("remote_write: []\n" + JOB, "remote_write"),
        ("rule_files: []\n" + JOB, "rule_files"),
        ("alerting: {}\n" + JOB, "alerting"),
        ("global: {scrape_interval: 29s}\n" + JOB, "global.scrape_interval"),
        ("global: {scrape_interval: often}\n" + JOB, "global.scrape_interval"),
        ("global: {external_labels: {a-b: c}}\n" + JOB, "global.external_labels"),
        (JOB + "  scrape_interval: 29999ms", "scrape_configs[0].scrape_interval"),
        (JOB + "  scrape_interval: 30s\n  scrape_timeout: 31s", "scrape_configs[0].scrape_timeout"),
        (JOB + "- job_name: a", "scrape_configs[1].job_name"),
        ("scrape_configs: [{}]", "scrape_configs[0]"),
        (JOB + "  ec2_sd_configs: []", "scrape_configs[0].ec2_sd_configs"),
        (JOB + "  basic_auth: {}", "scrape_configs[0].basic_auth"),
        (JOB + "  authorization: {credentials: x}", "scrape_configs[0].authorization.credentials"),
        (JOB + "  authorization: {credentials_file: /x}", "scrape_configs[0].authorization.credentials_file"),
        (JOB + "  authorization: {type: Basic}", "scrape_configs[0].authorization.type"),
        (JOB + "  tls_config: {ca_file: /x}", "scrape_configs[0].tls_config.ca_file"),
        (
            JOB + "  kubernetes_sd_configs: [{role: pod, api_server: x}]",
            "scrape_configs[0].kubernetes_sd_configs[0].api_server",
        ),
        (JOB + "  static_configs: [{targets: ['example.com:80']}]", "scrape_configs[0].static_configs[0].targets"),
    ],
)
def test_an_unsupported_field_is_refused_with_its_path(text, location):
    with pytest.raises(ApiError) as caught:
        scrape_rules.parse(blob(text))
    [field] = caught.value.members["fieldList"]
    assert field["name"] == ".".join(filter(None, ["scrapeConfiguration", location]))


@pytest.mark.parametrize(
    "text",
    [
        JOB,
        "global: {scrape_interval: 1m30s}\n" + JOB,
        JOB + "  scrape_interval: 30000ms",
        JOB + "  static_configs: [{targets: ['10.0.0.1:80', '[::1]:80', '10.0.0.1', 'kubernetes.default.svc:443']}]",
        JOB + "  bearer_token_file: /var/run/secrets/kubernetes.io/serviceaccount/token",
        JOB + "  tls_config: {insecure_skip_verify: true}",
    ],
)
def test_a_supported_configuration_is_accepted(text):
    scrape_rules.parse(blob(text))


def test_a_blob_that_was_encoded_twice_is_refused():
    with pytest.raises(ApiError):
        scrape_rules.parse(blob(blob(JOB)))


def test_external_labels_are_converted_as_in_prometheus():
    tree = scrape_rules.parse(blob("global: {external_labels: {a: b, n: 1, t: true}}\n" + JOB))
    assert scrape_rules.external_labels(tree) == {"a": "b", "n": "1", "t": "true"}


@pytest.mark.parametrize("value", ['""', "~", ""])
@pytest.mark.parametrize("key", ["kubeconfig_file", "api_server", "basic_auth", "proxy_url", "bearer_token_file"])
def test_an_unset_field_is_accepted(key, value):
    if key == "basic_auth" and value == '""':
        pytest.skip("a mapping is unset by null only")
    scrape_rules.parse(blob(JOB + f"  kubernetes_sd_configs:\n  - role: pod\n    {key}: {value}\n"))


EXPECTED = json.loads((scrape_corpus.FOLDER / "ampxa.json").read_text())


# A rule of ampxa itself is none of AMP's.
@pytest.mark.skipif(promtool.version() is None, reason="promtool decides what Prometheus refuses")
@pytest.mark.parametrize(
    "entry",
    [entry for entry in scrape_corpus.entries() if not (entry.reason or "").startswith("ampxa: ")],
    ids=lambda entry: entry.name,
)
def test_the_verdict_on_a_configuration_is_the_expected_one(entry):
    try:
        scrape_rules.parse(blob(entry.configuration))
        accepted = True
    except ApiError as error:
        accepted = False
        assert EXPECTED[entry.name]["problems"], error.members
    assert accepted == (EXPECTED[entry.name]["problems"] == [])
