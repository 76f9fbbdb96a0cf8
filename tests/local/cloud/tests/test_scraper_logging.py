"""The logging configuration of a scraper: life cycle, validation and permissions."""

import json
import uuid

import pytest
from conftest import SOURCE, TARGET, allow, policy, wait_for
from support.location import Location

QUICK = {"local:activation-minutes": "0"}
DELIVERY = "delivery.logs.amazonaws.com"
COMPONENTS = ["SERVICE_DISCOVERY", "COLLECTOR", "EXPORTER"]
READ = ["logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries"]


class Logging:
    """A location with a scraper and a log group."""

    def __init__(self, cloud, **tags):
        self.location = Location(cloud, tags={**QUICK, **{f"local:{key}": value for key, value in tags.items()}})
        self.amp, self.logs = self.location.amp, self.location.client("logs")
        scraper = self.amp.create_scraper(**self.location.request(tags={"team": "one"}))
        self.id, self.scraper = scraper["scraperId"], scraper["arn"]
        wait_for(lambda: self.location.status(scraper) == "ACTIVE")
        self.group = self.create_group()

    def create_group(self):
        group = f"/aws/vendedlogs/{uuid.uuid4()}"
        self.logs.create_log_group(logGroupName=group)
        return group

    def client(self, session):
        return self.location.client("amp", session=session)

    def request(self, group=None, account=SOURCE, region=None, **more):
        arn = f"arn:aws:logs:{region or self.location.region}:{account}:log-group:{group or self.group}:*"
        return {"scraperId": self.id, "loggingDestination": {"cloudWatchLogs": {"logGroupArn": arn}}, **more}

    def describe(self):
        return self.amp.describe_scraper_logging_configuration(scraperId=self.id)

    def wait(self, status):
        return wait_for(lambda: (found := self.describe())["status"]["statusCode"] == status and found)

    def update(self, **more):
        """Updates the configuration and waits for the end of the update."""
        self.amp.update_scraper_logging_configuration(**self.request(**more))
        return self.wait("ACTIVE")


@pytest.fixture
def logging(cloud):
    return Logging(cloud)


@pytest.fixture(scope="module")
def shared(cloud):
    """A scraper without a configuration, for tests that do not change it."""
    return Logging(cloud)


def test_a_configuration_is_created_changed_and_deleted(cloud, client_error):
    logging = Logging(cloud, **{"logging-minutes": "20"})
    amp, scraper = logging.amp, {"scraperId": logging.id}
    assert client_error(logging.describe)[0] == "ResourceNotFoundException"
    created = amp.update_scraper_logging_configuration(**logging.request())
    assert (created["status"], created["ResponseMetadata"]["HTTPStatusCode"]) == ({"statusCode": "CREATING"}, 202)
    assert logging.describe()["status"] == {"statusCode": "CREATING"}
    active = logging.wait("ACTIVE")
    assert active["scraperId"] == logging.id and active["modifiedAt"].timestamp() > 0
    assert active["loggingDestination"] == logging.request()["loggingDestination"]
    assert active["scraperComponents"] == [{"type": component} for component in COMPONENTS]

    components = [{"type": "EXPORTER", "config": {"options": {"a": "b"}}}]
    updated = amp.update_scraper_logging_configuration(**logging.request(scraperComponents=components))
    assert updated["status"] == {"statusCode": "UPDATING"}
    assert logging.wait("ACTIVE")["scraperComponents"] == components
    deleted = amp.delete_scraper_logging_configuration(**scraper)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert logging.describe()["status"] == {"statusCode": "DELETING"}
    wait_for(lambda: _is_missing(logging))
    assert client_error(amp.delete_scraper_logging_configuration, **scraper)[0] == "ResourceNotFoundException"


def _is_missing(logging):
    try:
        logging.describe()
    except logging.amp.exceptions.ResourceNotFoundException:
        return True


def test_a_configuration_in_transition_is_a_conflict(cloud, client_error):
    logging = Logging(cloud, **{"logging-minutes": "1000"})
    change = logging.amp.update_scraper_logging_configuration
    change(**logging.request())
    assert client_error(change, **logging.request())[0] == "ConflictException"
    remove = logging.amp.delete_scraper_logging_configuration
    assert client_error(remove, scraperId=logging.id)[0] == "ConflictException"


def test_a_scraper_in_transition_is_a_conflict_and_its_configuration_ends_with_it(logging, client_error):
    logging.update()
    logging.amp.delete_scraper(scraperId=logging.id)
    error = client_error(logging.amp.update_scraper_logging_configuration, **logging.request())
    assert error[0] == "ConflictException"
    wait_for(lambda: _is_missing(logging))


def test_a_tag_of_the_cluster_sets_a_failure_and_its_reason(cloud):
    logging = Logging(cloud, **{"logging-fails": "no reason"})
    cluster, tags = logging.location.cluster, ["local:logging-fails"]
    logging.amp.update_scraper_logging_configuration(**logging.request())
    assert logging.wait("CREATION_FAILED")["status"]["statusReason"] == "no reason"
    logging.location.eks.untag_resource(resourceArn=cluster, tagKeys=tags)
    again = logging.amp.update_scraper_logging_configuration(**logging.request())
    assert again["status"]["statusCode"] == "CREATING" and logging.wait("ACTIVE")
    logging.location.eks.tag_resource(resourceArn=cluster, tags={tags[0]: "later"})
    logging.amp.update_scraper_logging_configuration(**logging.request())
    assert logging.wait("UPDATE_FAILED")["status"]["statusReason"] == "later"


ARN = "loggingDestination.cloudWatchLogs.logGroupArn"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"loggingDestination": None}, "loggingDestination"),
        ({"loggingDestination": {}}, "loggingDestination"),
        ({"loggingDestination": {"cloudWatchLogs": {}}}, ARN),
        ({"loggingDestination": {"cloudWatchLogs": {"logGroupArn": "arn:aws:logs:a:222222222222:log-group:g"}}}, ARN),
        ({"group": "g g"}, ARN),
        ({"account": TARGET}, ARN),
        ({"region": "us-east-1"}, ARN),
        ({"scraperComponents": []}, "scraperComponents"),
        ({"scraperComponents": [{}]}, "scraperComponents[0].type"),
        ({"scraperComponents": [{"type": "EXPORTER"}, {"type": "exporter"}]}, "scraperComponents[1].type"),
        (
            {"scraperComponents": [{"type": "EXPORTER", "config": {"options": {"a": None}}}]},
            "scraperComponents[0].config.options",
        ),
        ({"scraperId": "-"}, "scraperId"),
        ({"scraperId": "s" * 65}, "scraperId"),
    ],
)
def test_an_invalid_request_is_refused_with_the_name_of_the_field(shared, client_error, change, field):
    amp = shared.amp
    with pytest.raises(amp.exceptions.ValidationException) as caught:
        amp.update_scraper_logging_configuration(**shared.request(**change))
    assert [invalid["name"] for invalid in caught.value.response["fieldList"]] == [field]
    assert client_error(shared.describe)[0] == "ResourceNotFoundException"


def test_the_scraper_and_the_log_group_must_exist(shared, client_error):
    for change in ({"scraperId": "s-missing"}, {"group": "/aws/vendedlogs/missing"}):
        error = client_error(shared.amp.update_scraper_logging_configuration, **shared.request(**change))
        assert error[0] == "ResourceNotFoundException", change
    error = client_error(shared.amp.describe_scraper_logging_configuration, scraperId="s-missing")
    assert error[0] == "ResourceNotFoundException"


NEW = [*READ, "logs:CreateLogDelivery", "logs:PutResourcePolicy"]
CALLS = {
    "UpdateScraperLoggingConfiguration": "update_scraper_logging_configuration",
    "DescribeScraperLoggingConfiguration": "describe_scraper_logging_configuration",
    "DeleteScraperLoggingConfiguration": "delete_scraper_logging_configuration",
}


@pytest.mark.parametrize("by", ["arn", "tag"])
@pytest.mark.parametrize("action", CALLS)
def test_a_call_is_authorized_on_the_scraper(cloud, logging, name, action, by):
    def client(suffix, resource, tag):
        keys = {"Condition": {"StringEquals": {"aws:ResourceTag/team": tag}}}
        statement = allow(f"aps:{action}", resource) if by == "arn" else allow(f"aps:{action}", **keys)
        return logging.client(cloud.role(SOURCE, name + suffix, statement, allow("logs:*")))

    logging.update()
    arguments = logging.request() if action.startswith("Update") else {"scraperId": logging.id}
    denied = client("1", logging.scraper + "x", "two")
    with pytest.raises(denied.exceptions.AccessDeniedException, match=f"aps:{action}"):
        getattr(denied, CALLS[action])(**arguments)
    getattr(client("2", logging.scraper, "one"), CALLS[action])(**arguments)


@pytest.mark.parametrize("missing", NEW)
def test_each_permission_is_required_for_a_new_configuration(cloud, shared, name, client_error, missing):
    session = cloud.role(SOURCE, name, allow(["aps:*", *(set(NEW) - {missing})]))
    amp = shared.client(session)
    with pytest.raises(amp.exceptions.AccessDeniedException, match=missing):
        amp.update_scraper_logging_configuration(**shared.request())
    assert client_error(shared.describe)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("missing", [*READ, "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"])
def test_each_permission_is_required_to_change_a_configuration(cloud, logging, name, missing):
    logging.update()
    needed = {*READ, "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"}
    amp = logging.client(cloud.role(SOURCE, name, allow(["aps:*", *(needed - {missing})])))
    with pytest.raises(amp.exceptions.AccessDeniedException, match=missing):
        amp.update_scraper_logging_configuration(**logging.request())
        logging.wait("ACTIVE")
        amp.delete_scraper_logging_configuration(scraperId=logging.id)
    assert logging.wait("ACTIVE")


def test_without_a_resource_policy_the_statement_for_the_log_group_is_added(logging):
    logging.update()
    logging.update(group=logging.create_group())
    logging.update()
    [created] = logging.logs.describe_resource_policies()["resourcePolicies"]
    first, second = json.loads(created["policyDocument"])["Statement"]
    assert first["Principal"] == {"Service": DELIVERY}
    assert first["Resource"] == (
        f"arn:aws:logs:{logging.location.region}:{SOURCE}:log-group:{logging.group}:log-stream:*"
    )
    assert {**first, "Resource": second["Resource"]} == second and first != second


@pytest.mark.parametrize("prefix", ["/aws/vendedlogs/", "/aws/other/"])
def test_with_a_resource_policy_no_permission_to_change_it_is_required(cloud, logging, name, prefix):
    region, account = logging.location.region, {"aws:SourceAccount": SOURCE}
    statement = allow(
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        f"arn:aws:logs:{region}:{SOURCE}:log-group:{prefix}*",
        Principal={"Service": DELIVERY},
        Condition={"StringEquals": account, "ArnLike": {"aws:SourceArn": f"arn:aws:logs:{region}:{SOURCE}:*"}},
    )
    logging.logs.put_resource_policy(policyName="p", policyDocument=policy(statement))
    amp = logging.client(cloud.role(SOURCE, name, allow(["aps:*", *(set(NEW) - {"logs:PutResourcePolicy"})])))
    if prefix in logging.group:
        amp.update_scraper_logging_configuration(**logging.request())
        assert len(logging.logs.describe_resource_policies()["resourcePolicies"]) == 1
        return
    with pytest.raises(amp.exceptions.AccessDeniedException, match="logs:PutResourcePolicy"):
        amp.update_scraper_logging_configuration(**logging.request())
