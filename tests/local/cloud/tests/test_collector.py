"""The collector: samples are written if and only if both trust policies are correct."""

import http.client
import json
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import SOURCE, TARGET, allow, deny, policy, wait_for
from support.location import Location
from support.pair import QUICK, Pair


def send_query(cloud, workspace, query, credentials=None, path="query"):
    """Sends a signed query. Returns the status and the body."""
    _, _, _, region, account, name = workspace.split(":")
    url = f"{cloud.url}/workspaces/{name.partition('/')[2]}/api/v1/{path}"
    request = AWSRequest(
        "POST", url, data=f"query={query}", headers={"content-type": "application/x-www-form-urlencoded"}
    )
    keys = credentials and (credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
    SigV4Auth(Credentials(*(keys or (account, "any"))), "aps", region).add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("POST", urlsplit(url).path, body=request.data, headers=dict(request.headers))
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def query_result(cloud, workspace, query):
    return send_query(cloud, workspace, query)[1]["data"]["result"]


@pytest.fixture
def pair(cloud, name):
    return Pair(cloud, name)


def test_samples_have_the_external_labels_if_both_trust_policies_are_correct(cloud, pair):
    pair.trust_source()
    pair.trust_target()
    wait_for(lambda: query_result(cloud, pair.location.workspace, "up"))
    samples = query_result(cloud, pair.location.workspace, 'up{clusterArn="c1"}')
    assert len(samples) == 3 and {sample["value"][1] for sample in samples} == {"1"}
    assert all({"job", "instance"} <= sample["metric"].keys() for sample in samples)
    assert query_result(cloud, pair.location.workspace, "count(up)")[0]["value"][1] == "3"
    assert {"__name__", "job", "clusterArn"} <= set(
        send_query(cloud, pair.location.workspace, "", path="labels")[1]["data"]
    )
    latest = pair.latest_collection(cloud)
    assert (
        latest["written"]
        and latest["time"] > 0
        and [step["step"] for step in latest["steps"]]
        == [
            "assume source role",
            "assume target role",
            "write samples",
        ]
    )


def test_each_role_and_permission_is_required_to_write_samples(cloud, pair):
    assert pair.attempt(cloud) == "assume source role"
    pair.trust_source()
    assert pair.attempt(cloud) == "assume target role"
    pair.trust_target()
    assert pair.attempt(cloud) == "written"
    pair.trust_source(scraper=pair.scraper + "x")
    assert pair.attempt(cloud) == "assume source role"
    pair.trust_source(account=TARGET)
    assert pair.attempt(cloud) == "assume source role"
    pair.trust_source()
    pair.trust_target(external_id=pair.scraper.rpartition("/")[0] + "/*")
    assert pair.attempt(cloud) == "assume target role"
    pair.trust_target()
    pair.allow_to_assume("arn:aws:iam::333333333333:role/other")
    assert pair.attempt(cloud) == "assume target role"
    pair.allow_to_assume(pair.arns["targetRoleArn"])
    write = "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"
    pair.target_iam.detach_role_policy(RoleName=pair.target_role, PolicyArn=write)
    assert pair.attempt(cloud) == "write samples"


def test_the_resource_policy_of_the_workspace_can_deny_the_target_role(cloud, pair):
    pair.trust_source()
    pair.trust_target()
    amp = cloud.client("amp", TARGET, region=pair.location.region)
    workspace = pair.location.workspace.rpartition("/")[2]
    role = pair.arns["targetRoleArn"]
    for principal, step in ((role, "write samples"), (role + "x", "written")):
        denial = deny("aps:RemoteWrite", Principal={"AWS": principal})
        document = policy(denial)
        amp.put_resource_policy(workspaceId=workspace, policyDocument=document)
        assert pair.attempt(cloud) == step


def test_an_attempt_uses_the_identity_of_the_given_scraper(cloud, pair):
    pair.trust_source()
    pair.trust_target()
    assert pair.attempt(cloud) == "written"
    assert pair.attempt(cloud, scraperArn=pair.scraper.rpartition("/")[0] + "/s-other") == "assume source role"
    assert pair.attempt(cloud, scraperArn=pair.scraper.rpartition("/")[0] + "/*") == "assume source role"
    [sample] = query_result(cloud, pair.location.workspace, 'up{job="attempt"}')
    assert sample["metric"] == {"__name__": "up", "job": "attempt"}
    assert pair.attempt(cloud, workspaceArn=pair.location.workspace + "x") == "write samples"


@pytest.mark.parametrize(("tags", "written"), [({}, False), ({"local:aws-auth": "mapped"}, True)])
def test_targets_of_a_config_map_cluster_are_discovered_only_if_the_role_is_mapped(cloud, name, tags, written):
    pair = Pair(cloud, name, mode="CONFIG_MAP", tags=tags)
    pair.trust_source()
    pair.trust_target()
    # Waits for several collections, because the first one can start before the trust policies are correct.
    wait_for(lambda: pair.latest_collection(cloud) and len(cloud.get(f"collections/{pair.id}")["collections"]) > 2)
    assert pair.latest_collection(cloud)["written"] == written
    assert bool(query_result(cloud, pair.location.workspace, "up")) == written


def test_without_a_role_configuration_the_service_linked_role_writes_in_the_same_account(cloud):
    location = Location(cloud, tags=QUICK)
    own = location.amp.create_workspace()["arn"]
    request = location.request(destination={"ampConfiguration": {"workspaceArn": own}})
    del request["roleConfiguration"]
    location.amp.create_scraper(**request)
    wait_for(lambda: query_result(cloud, own, "up"))


def test_a_destination_without_roles_uses_the_service_linked_role(cloud):
    location = Location(cloud, tags=QUICK)
    own = location.amp.create_workspace()["arn"]
    destination = {"ampConfiguration": {"workspaceArn": own}}
    scraper = location.amp.create_scraper(**location.request(destination=destination))
    wait_for(lambda: location.status(scraper) == "ACTIVE")
    location.amp.update_scraper(scraperId=scraper["scraperId"], alias="kept")
    wait_for(lambda: location.status(scraper) == "ACTIVE")
    described = location.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
    assert described["roleConfiguration"] == location.roles()
    location.amp.update_scraper(scraperId=scraper["scraperId"], destination=destination)
    wait_for(lambda: location.status(scraper) == "ACTIVE")
    assert "roleConfiguration" not in location.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]
    wait_for(lambda: query_result(cloud, own, "up"))


@pytest.mark.parametrize("trusted", [True, False])
def test_a_scraper_that_is_updated_writes_only_with_both_its_former_and_its_new_roles(cloud, name, trusted):
    pair = Pair(cloud, name, tags={"local:updating-minutes": "100000"})
    pair.trust_source()
    pair.trust_target()
    wait_for(lambda: (pair.latest_collection(cloud) or {}).get("written"))
    other = Pair(cloud, f"{name}-2")
    if trusted:
        other.trust_source(scraper=pair.scraper)
        other.trust_target(external_id=pair.scraper)
    pair.location.amp.update_scraper(scraperId=pair.id, roleConfiguration=other.arns)
    count = len(cloud.get(f"collections/{pair.id}")["collections"])
    wait_for(lambda: len(cloud.get(f"collections/{pair.id}")["collections"]) > min(count + 2, 19))
    assert pair.location.status({"scraperId": pair.id}) == "UPDATING"
    wait_for(lambda: pair.latest_collection(cloud)["written"] == trusted)


def test_data_plane_requests_are_authorized(cloud, pair, name):
    session = cloud.role(TARGET, name, allow("aps:GetLabels"))
    status, body = send_query(cloud, pair.location.workspace, "up", session)
    assert status == 403 and "aps:QueryMetrics" in json.dumps(body)
    assert send_query(cloud, pair.location.workspace, "", session, path="labels")[0] == 200
    status, body = send_query(cloud, pair.location.workspace, "up(")
    assert (status, body["errorType"]) == (400, "bad_data")


def test_a_resource_policy_denies_only_actions_of_the_data_plane(cloud, name):
    root = cloud.client("amp", TARGET)
    workspace = root.create_workspace()
    session = cloud.role(TARGET, name, allow("aps:*"))
    amp = cloud.client("amp", TARGET, session=session)
    assert send_query(cloud, workspace["arn"], "up", session)[0] == 200
    for denial, status in (
        (deny("aps:*"), 403),
        (deny("aps:RemoteWrite"), 200),
        ({"Effect": "Deny", "NotAction": "aps:RemoteWrite", "Resource": "*"}, 403),
    ):
        document = policy(denial | {"Principal": "*"})
        root.put_resource_policy(workspaceId=workspace["workspaceId"], policyDocument=document)
        assert send_query(cloud, workspace["arn"], "up", session)[0] == status
        assert amp.describe_workspace(workspaceId=workspace["workspaceId"])["workspace"]["arn"] == workspace["arn"]


def test_the_request_log_excludes_requests_of_the_collector(cloud, pair):
    pair.trust_source()
    pair.trust_target()
    wait_for(lambda: query_result(cloud, pair.location.workspace, "up"))
    calls = cloud.get("calls")["calls"]
    assert not [call for call in calls if call["action"] == "aps:RemoteWrite"]
    assert not [
        call
        for call in calls
        if "AmazonPrometheusScraper" in call["principal"] and ":assumed-role/" in call["principal"]
    ]


def test_a_workspace_in_another_account_or_a_missing_workspace_is_denied(cloud, name):
    location = Location(cloud)
    session = cloud.role(SOURCE, name, allow("aps:*"))
    missing = location.workspace.rpartition("/")[0] + "/ws-00000000-0000-0000-0000-000000000000"
    for workspace in (location.workspace, missing):
        for path in ("remote_write", "query", "labels", "series"):
            status, response = send_query(cloud, workspace, "up", session, path)
            assert status == 403, (workspace, path, response)
            assert "is not authorized to perform: aps:" in response["message"] and TARGET not in response["message"]
