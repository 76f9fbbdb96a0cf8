"""The log lines of a scraper about its own failures."""

import json
from datetime import datetime

import pytest
from conftest import SOURCE, TARGET, wait_for
from support.location import Location
from support.pair import QUICK, Pair

GROUP = "/aws/vendedlogs/ampxa"


class LoggedPair(Pair):
    """A pair whose scraper writes logs, for all components or for the given ones."""

    def __init__(self, cloud, name, components=None, **cluster):
        super().__init__(cloud, name, **cluster)
        self.logs = self.location.client("logs")
        self.logs.create_log_group(logGroupName=GROUP)
        wait_for(lambda: self.location.status({"scraperId": self.id}) == "ACTIVE")
        arn = f"arn:aws:logs:{self.location.region}:{SOURCE}:log-group:{GROUP}:*"
        more = {"scraperComponents": [{"type": component} for component in components]} if components else {}
        self.location.amp.update_scraper_logging_configuration(
            scraperId=self.id, loggingDestination={"cloudWatchLogs": {"logGroupArn": arn}}, **more
        )

    def is_active(self):
        configuration = self.location.amp.describe_scraper_logging_configuration(scraperId=self.id)
        return configuration["status"]["statusCode"] == "ACTIVE"

    def patch(self):
        self.trust_source()
        self.trust_target()

    def lines(self):
        events = self.logs.filter_log_events(logGroupName=GROUP)["events"]
        assert all(event["logStreamName"] == self.id for event in events)
        return [json.loads(event["message"]) for event in events]

    def wait_for_lines(self, component):
        return wait_for(lambda: [line for line in self.lines() if line["component"] == component])

    def collections_after(self, cloud, count):
        """Waits for some collections that start after this call."""
        start = cloud.get(f"collections/{self.id}")["collections"][-1:]
        since = start[0]["time"] if start else 0.0

        def later():
            found = cloud.get(f"collections/{self.id}")["collections"]
            return [collection for collection in found if collection["time"] > since][count:]

        return wait_for(later)


def is_iso_time(text):
    return text.endswith("Z") and datetime.fromisoformat(text).timestamp() > 0


def test_a_healthy_scraper_writes_no_line(cloud, name):
    pair = LoggedPair(cloud, name)
    pair.patch()
    wait_for(pair.is_active)
    # A collection that started before the change of the trust policies can write lines.
    pair.collections_after(cloud, 2)
    before = len(pair.lines())
    assert all(collection["written"] for collection in pair.collections_after(cloud, 3))
    assert len(pair.lines()) == before


@pytest.mark.parametrize("patched", ["", "source"])
def test_a_trust_policy_that_is_not_patched_is_an_exporter_line(cloud, name, patched):
    pair = LoggedPair(cloud, name)
    if patched:
        pair.trust_source()
        pair.logs.delete_log_group(logGroupName=GROUP)
        pair.logs.create_log_group(logGroupName=GROUP)
    role = pair.arns["targetRoleArn" if patched else "sourceRoleArn"]
    line = wait_for(lambda: [line for line in pair.wait_for_lines("EXPORTER") if role in line["message"]["error"]])[0]
    assert line.keys() == {"component", "message", "timestamp", "scraperId"}
    assert line["scraperId"] == pair.id and int(line["timestamp"]) > 1_000_000_000_000
    message = line["message"]
    expected = "Failed to export to the target workspace - Verify your scraper destination permissions are valid."
    assert (message["log"], message["samplesDropped"]) == (expected, 3)
    assert message["error"].startswith("AccessDenied: ") and "sts:AssumeRole" in message["error"]
    assert {line["component"] for line in pair.lines()} == {"EXPORTER"}


def test_a_missing_workspace_is_an_exporter_line(cloud, name):
    pair = LoggedPair(cloud, name)
    pair.patch()
    amp = cloud.client("amp", TARGET, region=pair.location.region)
    amp.delete_workspace(workspaceId=pair.location.workspace.rpartition("/")[2])
    text = "Failed to export to the target workspace - Verify your scraper destination."
    message = {"log": text, "samplesDropped": 3}
    wait_for(lambda: message in [line["message"] for line in pair.wait_for_lines("EXPORTER")])


def test_a_missing_access_entry_is_a_discovery_line(cloud, name):
    pair = LoggedPair(cloud, name)
    pair.patch()
    role = pair.location.amp.describe_scraper(scraperId=pair.id)["scraper"]["roleArn"]
    entry = {"clusterName": pair.location.cluster.rpartition("/")[2], "principalArn": role}
    [associated] = pair.location.eks.list_associated_access_policies(**entry)["associatedAccessPolicies"]
    assert pair.location.eks.describe_access_entry(**entry)["accessEntry"]["type"] == "STANDARD"
    pair.location.eks.delete_access_entry(**entry)
    lines = pair.wait_for_lines("SERVICE_DISCOVERY")
    assert lines[0].keys() == {"component", "message", "timestamp", "scrapeConfigId"}
    assert lines[0]["scrapeConfigId"] == pair.id and is_iso_time(lines[0]["timestamp"])
    assert {json.dumps(line["message"]) for line in lines} == {
        json.dumps({"log": f"Failed to watch {kind} - Verify your scraper source permissions are valid."})
        for kind in ("Service", "Endpoints")
    }
    collection = pair.latest_collection(cloud)
    assert not collection["written"] and collection["steps"][0]["step"] == "discover targets"

    # The policy of the entry is also required.
    pair.location.eks.create_access_entry(**entry)
    assert not any(collection["written"] for collection in pair.collections_after(cloud, 2))
    policy = {"policyArn": associated["policyArn"], "accessScope": {"type": "cluster"}}
    pair.location.eks.associate_access_policy(**entry, **policy)
    wait_for(lambda: pair.latest_collection(cloud)["written"])


@pytest.mark.parametrize(("mode", "written"), [("API_AND_CONFIG_MAP", True), ("API", False)])
def test_a_mapping_in_aws_auth_replaces_the_access_entry_only_with_a_config_map(cloud, name, mode, written):
    pair = Pair(cloud, name, mode=mode, tags={"local:aws-auth": "mapped"})
    pair.trust_source()
    pair.trust_target()
    role = pair.location.amp.describe_scraper(scraperId=pair.id)["scraper"]["roleArn"]
    cluster = pair.location.cluster.rpartition("/")[2]
    pair.location.eks.delete_access_entry(clusterName=cluster, principalArn=role)
    wait_for(lambda: len(cloud.get(f"collections/{pair.id}")["collections"]) > 3)
    assert pair.latest_collection(cloud)["written"] == written


def test_a_missing_cluster_is_a_discovery_line(cloud, name):
    pair = LoggedPair(cloud, name)
    pair.location.eks.delete_cluster(name=pair.location.cluster.rpartition("/")[2])
    message = {"log": "Failed to watch Service - Verify your scraper source exists."}
    wait_for(lambda: message in [line["message"] for line in pair.wait_for_lines("SERVICE_DISCOVERY")])


ERRORS = {
    "down": "dial tcp 10.0.1.21:8080: connect: connection refused",
    "unreachable": "context deadline exceeded",
}


@pytest.mark.parametrize("state", ERRORS)
def test_a_target_that_cannot_be_scraped_is_a_collector_line(cloud, name, state):
    pair = LoggedPair(cloud, name, tags={"local:targets": state})
    pair.patch()
    lines = pair.wait_for_lines("COLLECTOR")
    assert lines[0].keys() == {"component", "message", "timestamp", "scrapeConfigId"}
    assert lines[0]["scrapeConfigId"] == pair.id and is_iso_time(lines[0]["timestamp"])
    url = "http://10.0.1.21:8080/metrics"
    error = {"message": "Scrape failed", "scrape_pool": "pod_exporter", "target": url}
    assert {**error, "error": f'Get "{url}": {ERRORS[state]}'} in [line["message"] for line in lines]
    assert len({line["message"]["target"] for line in lines}) == 3
    wait_for(lambda: pair.latest_collection(cloud)["written"])


def test_only_the_configured_components_write_lines(cloud, name):
    pair = LoggedPair(cloud, name, components=["COLLECTOR"], tags={"local:targets": "down"})
    pair.wait_for_lines("COLLECTOR")
    assert {line["component"] for line in pair.lines()} == {"COLLECTOR"}


def test_no_line_is_written_unless_the_configuration_is_active_and_a_policy_allows_it(cloud, name):
    slow = LoggedPair(cloud, name, tags={"local:logging-minutes": "1000"})
    slow.collections_after(cloud, 2)
    assert not slow.is_active() and not slow.lines()
    pair = LoggedPair(cloud, name + "2")
    pair.wait_for_lines("EXPORTER")
    [policy] = pair.logs.describe_resource_policies()["resourcePolicies"]
    pair.logs.delete_resource_policy(policyName=policy["policyName"])
    pair.collections_after(cloud, 2)
    before = len(pair.lines())
    pair.collections_after(cloud, 2)
    assert len(pair.lines()) == before
    pair.location.amp.delete_scraper_logging_configuration(scraperId=pair.id)


def test_without_a_role_configuration_the_lines_are_those_of_the_service_linked_role(cloud, name):
    location = Location(cloud, tags=QUICK)
    logs = location.client("logs")
    logs.create_log_group(logGroupName=GROUP)
    own = location.amp.create_workspace()
    request = location.request(destination={"ampConfiguration": {"workspaceArn": own["arn"]}})
    del request["roleConfiguration"]
    scraper = location.amp.create_scraper(**request)["scraperId"]
    wait_for(lambda: location.status({"scraperId": scraper}) == "ACTIVE")
    arn = f"arn:aws:logs:{location.region}:{SOURCE}:log-group:{GROUP}:*"
    destination = {"cloudWatchLogs": {"logGroupArn": arn}}
    location.amp.update_scraper_logging_configuration(scraperId=scraper, loggingDestination=destination)
    location.amp.delete_workspace(workspaceId=own["workspaceId"])
    [event, *_] = wait_for(lambda: logs.filter_log_events(logGroupName=GROUP)["events"])
    assert json.loads(event["message"])["component"] == "EXPORTER"
