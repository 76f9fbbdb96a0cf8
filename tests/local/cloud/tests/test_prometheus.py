"""Workspaces on Prometheus servers: the collector writes samples, and Prometheus evaluates queries."""

import re
import shutil
import urllib.error
import urllib.request

import pytest
from conftest import Cloud, wait_for
from support.location import YAML
from test_collector import QUICK, Pair, query_result, send_query

from amp import remote_write

requires_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")


@pytest.fixture(scope="module")
def prometheus_cloud():
    started = Cloud("--minute", "0.05", "--prometheus")
    yield started
    started.stop()


def connected_pair(cloud, name, **more):
    pair = Pair(cloud, name, **more)
    pair.trust_source()
    pair.trust_target()
    return pair


@requires_prometheus
def test_prometheus_evaluates_queries_of_collected_samples(prometheus_cloud, name):
    pair = connected_pair(prometheus_cloud, name)
    workspace = pair.location.workspace
    wait_for(lambda: query_result(prometheus_cloud, workspace, "count(up)"))
    assert query_result(prometheus_cloud, workspace, "sum(up)")[0]["value"][1] == "3"
    results = query_result(prometheus_cloud, workspace, "count by (job) (up == 1)")
    by_job = {result["metric"]["job"]: result["value"][1] for result in results}
    assert by_job == {"kubernetes-nodes": "2", "pod_exporter": "1"}
    wait_for(lambda: query_result(prometheus_cloud, workspace, "sum(increase(demo_scrapes_total[1m])) > 0"))
    assert {"__name__", "job", "clusterArn"} <= set(
        send_query(prometheus_cloud, workspace, "", path="labels")[1]["data"]
    )
    status, body = send_query(prometheus_cloud, workspace, "sum(")
    assert (status, body["errorType"]) == (400, "bad_data")
    assert re.match(r"\d+\.\d+", prometheus_cloud.get("data-plane")["prometheus"])


@requires_prometheus
def test_workspaces_do_not_share_samples(prometheus_cloud, name):
    first, second = connected_pair(prometheus_cloud, name + "-a"), connected_pair(prometheus_cloud, name + "-b")
    wait_for(
        lambda: (
            query_result(prometheus_cloud, first.location.workspace, "up")
            and query_result(prometheus_cloud, second.location.workspace, "up")
        )
    )
    for pair in (first, second):
        assert query_result(prometheus_cloud, pair.location.workspace, "count(up)")[0]["value"][1] == "3"


@requires_prometheus
def test_clusters_in_one_workspace_have_different_labels(prometheus_cloud, name):
    pair = connected_pair(prometheus_cloud, name)
    location, scrape_configuration = pair.location, YAML.replace(b"clusterArn: c1", b"clusterArn: c2")
    source = {
        "eksConfiguration": {"clusterArn": location.create_cluster(tags=QUICK), "subnetIds": location.subnets[:2]}
    }
    configuration = {"configurationBlob": scrape_configuration}
    request = location.request(source=source, scrapeConfiguration=configuration, roleConfiguration=pair.arns)
    second = location.amp.create_scraper(**request)["arn"]
    wait_for(lambda: query_result(prometheus_cloud, location.workspace, 'up{clusterArn="c1"}'))
    assert query_result(prometheus_cloud, location.workspace, 'up{clusterArn="c2"}') == []
    # Both roles now name the second scraper. The first scraper no longer writes samples.
    pair.scraper = second
    pair.trust_source()
    pair.trust_target()
    wait_for(lambda: query_result(prometheus_cloud, location.workspace, 'up{clusterArn="c2"}'))
    results = query_result(prometheus_cloud, location.workspace, "count by (clusterArn) (up)")
    counts = {result["metric"]["clusterArn"]: result["value"][1] for result in results}
    assert counts["c2"] == "3" and counts.keys() <= {"c1", "c2"}


@requires_prometheus
def test_the_up_metric_of_a_target_that_is_down_is_0(prometheus_cloud, name):
    pair = connected_pair(prometheus_cloud, name, tags={"local:targets": "down"})
    wait_for(lambda: query_result(prometheus_cloud, pair.location.workspace, "up"))
    assert query_result(prometheus_cloud, pair.location.workspace, "sum(up)")[0]["value"][1] == "0"
    assert query_result(prometheus_cloud, pair.location.workspace, "demo_info") == []


def test_prometheus_is_not_used_by_default(cloud):
    assert cloud.get("data-plane") == {"prometheus": None}


def test_a_target_exposes_metrics(cloud):
    url = f"{cloud.url}/_cloud/exporters/demo/10.0.0.11:10250"
    with urllib.request.urlopen(url) as response:
        assert response.headers["content-type"].startswith("text/plain")
        assert b"# TYPE demo_scrapes_total counter" in response.read()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{cloud.url}/_cloud/exporters/demo/10.9.9.9:1")


def test_decoding_a_remote_write_returns_the_encoded_rows():
    rows = [{"labels": {"__name__": "up", "b": "é", "a": "1"}, "value": 0.5}]
    assert remote_write.decode(remote_write.encode(rows)) == rows
    for invalid in (b"", b"[]", b"\x05\x10hello"):
        try:
            assert remote_write.decode(invalid) == []
        except remote_write.BadWrite as error:
            assert "expected a Prometheus remote write request" in str(error)
