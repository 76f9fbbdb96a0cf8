"""Workspaces that are real Prometheus servers: what a collector scrapes and writes is answered by real PromQL."""

import re
import shutil
import urllib.error
import urllib.request

import pytest
from conftest import Cloud, wait_for
from support.location import YAML
from test_collector import QUICK, Pair, ask, found

from amp import remote_write

needs_it = pytest.mark.skipif(shutil.which("prometheus") is None, reason="no prometheus is installed")


@pytest.fixture(scope="module")
def real():
    started = Cloud("--minute", "0.05", "--prometheus")
    yield started
    started.stop()


def connected(cloud, name, **more):
    pair = Pair(cloud, name, **more)
    pair.trust_source()
    pair.trust_target()
    return pair


@needs_it
def test_prometheus_answers_queries_for_collected_samples(real, name):
    pair = connected(real, name)
    workspace = pair.location.workspace
    wait_for(lambda: found(real, workspace, "count(up)"))
    assert found(real, workspace, "sum(up)")[0]["value"][1] == "3"
    by_job = {one["metric"]["job"]: one["value"][1] for one in found(real, workspace, "count by (job) (up == 1)")}
    assert by_job == {"kubernetes-nodes": "2", "pod_exporter": "1"}
    wait_for(lambda: found(real, workspace, "sum(increase(demo_scrapes_total[1m])) > 0"))
    assert {"__name__", "job", "clusterArn"} <= set(ask(real, workspace, "", path="labels")[1]["data"])
    status, said = ask(real, workspace, "sum(")
    assert (status, said["errorType"]) == (400, "bad_data")
    assert re.match(r"\d+\.\d+", real.get("data-plane")["prometheus"])


@needs_it
def test_workspaces_do_not_share_samples(real, name):
    first, second = connected(real, name + "-a"), connected(real, name + "-b")
    wait_for(lambda: found(real, first.location.workspace, "up") and found(real, second.location.workspace, "up"))
    for pair in (first, second):
        assert found(real, pair.location.workspace, "count(up)")[0]["value"][1] == "3"


@needs_it
def test_clusters_in_one_workspace_differ_in_their_label(real, name):
    pair = connected(real, name)
    location, labelled = pair.location, YAML.replace(b"clusterArn: c1", b"clusterArn: c2")
    source = {"eksConfiguration": {"clusterArn": location.make_cluster(tags=QUICK), "subnetIds": location.subnets[:2]}}
    configuration = {"configurationBlob": labelled}
    request = location.request(source=source, scrapeConfiguration=configuration, roleConfiguration=pair.arns)
    second = location.amp.create_scraper(**request)["arn"]
    wait_for(lambda: found(real, location.workspace, 'up{clusterArn="c1"}'))
    assert found(real, location.workspace, 'up{clusterArn="c2"}') == []
    # Both roles now name the second scraper: the first one's samples stop, and the labels still differ.
    pair.scraper = second
    pair.trust_source()
    pair.trust_target()
    wait_for(lambda: found(real, location.workspace, 'up{clusterArn="c2"}'))
    counts = {one["metric"]["clusterArn"]: one["value"][1] for one in found(real, location.workspace, "count by (clusterArn) (up)")}
    assert counts["c2"] == "3" and counts.keys() <= {"c1", "c2"}


@needs_it
def test_targets_that_are_down_have_an_up_of_0(real, name):
    pair = connected(real, name, tags={"local:endpoints": "down"})
    wait_for(lambda: found(real, pair.location.workspace, "up"))
    assert found(real, pair.location.workspace, "sum(up)")[0]["value"][1] == "0"
    assert found(real, pair.location.workspace, "demo_info") == []


def test_without_prometheus_the_stand_in_answers(cloud):
    assert cloud.get("data-plane") == {"prometheus": None}


def test_a_target_exposes_metrics(cloud):
    address = f"{cloud.url}/_cloud/exporters/demo/10.0.0.11:10250"
    with urllib.request.urlopen(address) as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        assert b"# TYPE demo_scrapes_total counter" in answer.read()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{cloud.url}/_cloud/exporters/demo/10.9.9.9:1")


def test_a_remote_write_is_decoded_to_what_was_encoded():
    rows = [{"labels": {"__name__": "up", "b": "é", "a": "1"}, "value": 0.5}]
    assert remote_write.decode(remote_write.encode(rows)) == rows
    for wrong in (b"", b"[]", b"\x05\x10hello"):
        try:
            assert remote_write.decode(wrong) == []
        except remote_write.BadWrite as error:
            assert "expected a remote write" in str(error)
