"""Workspaces that are real Prometheus servers: what a collector scrapes and writes is answered by real PromQL."""

import re
import shutil
import urllib.error
import urllib.request

import pytest
import remote_write
from conftest import Cloud, wait_for
from place import YAML
from test_collector import QUICK, Pair, ask, found

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
def test_a_collectors_samples_are_answered_by_real_promql(real, name):
    pair = connected(real, name)
    workspace = pair.place.workspace
    wait_for(lambda: found(real, workspace, "count(up)"))
    assert found(real, workspace, "sum(up)")[0]["value"][1] == "3"
    by_job = {one["metric"]["job"]: one["value"][1] for one in found(real, workspace, "count by (job) (up == 1)")}
    assert by_job == {"kubernetes-nodes": "2", "pod_exporter": "1"}
    wait_for(lambda: found(real, workspace, "sum(increase(demo_scrapes_total[1m])) > 0"))
    assert {"__name__", "job", "clusterArn"} <= set(ask(real, workspace, "", path="labels")[1]["data"])
    status, said = ask(real, workspace, "sum(")
    assert (status, said["errorType"]) == (400, "bad_data")
    assert re.match(r"\d+\.\d+", real.look("data-plane")["prometheus"])


@needs_it
def test_workspaces_are_kept_apart(real, name):
    first, second = connected(real, name + "-a"), connected(real, name + "-b")
    wait_for(lambda: found(real, first.place.workspace, "up") and found(real, second.place.workspace, "up"))
    for pair in (first, second):
        assert found(real, pair.place.workspace, "count(up)")[0]["value"][1] == "3"


@needs_it
def test_clusters_in_one_workspace_are_told_apart_by_their_label(real, name):
    pair = connected(real, name)
    place, labelled = pair.place, YAML.replace(b"clusterArn: c1", b"clusterArn: c2")
    source = {"eksConfiguration": {"clusterArn": place.make_cluster(tags=QUICK), "subnetIds": place.subnets[:2]}}
    configuration = {"configurationBlob": labelled}
    request = place.request(source=source, scrapeConfiguration=configuration, roleConfiguration=pair.arns)
    second = place.amp.create_scraper(**request)["arn"]
    wait_for(lambda: found(real, place.workspace, 'up{clusterArn="c1"}'))
    assert found(real, place.workspace, 'up{clusterArn="c2"}') == []
    # Both roles now name the second scraper: the first one's samples stop, and stay told apart.
    pair.scraper = second
    pair.trust_source()
    pair.trust_target()
    wait_for(lambda: found(real, place.workspace, 'up{clusterArn="c2"}'))
    told = {one["metric"]["clusterArn"]: one["value"][1] for one in found(real, place.workspace, "count by (clusterArn) (up)")}
    assert told["c2"] == "3" and told.keys() <= {"c1", "c2"}


@needs_it
def test_endpoints_that_are_down_are_told_as_such(real, name):
    pair = connected(real, name, tags={"local:endpoints": "down"})
    wait_for(lambda: found(real, pair.place.workspace, "up"))
    assert found(real, pair.place.workspace, "sum(up)")[0]["value"][1] == "0"
    assert found(real, pair.place.workspace, "demo_info") == []


def test_without_it_the_stand_in_serves(cloud):
    assert cloud.look("data-plane") == {"prometheus": None}


def test_an_endpoint_exposes_real_metrics(cloud):
    address = f"{cloud.url}/_cloud/exporters/demo/10.0.0.11:10250"
    with urllib.request.urlopen(address) as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        assert b"# TYPE demo_scrapes_total counter" in answer.read()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{cloud.url}/_cloud/exporters/demo/10.9.9.9:1")


def test_a_remote_write_is_read_as_it_was_written():
    rows = [{"labels": {"__name__": "up", "b": "é", "a": "1"}, "value": 0.5}]
    assert remote_write.decode(remote_write.encode(rows)) == rows
    for wrong in (b"", b"[]", b"\x05\x10hello"):
        try:
            assert remote_write.decode(wrong) == []
        except remote_write.BadWrite as error:
            assert "expected a remote write" in str(error)
