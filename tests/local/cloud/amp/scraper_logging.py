"""AMP: the logging configuration of a scraper (AMP API reference, 2020-08-01).

Source of the permissions: AMP user guide, "Configuring CloudWatch Logs", which lists them for the logs of workspaces.
No source lists them for scrapers, nor which operation requires which of them. Here the first update creates a log
delivery, later updates change it, and a deletion deletes it. logs:PutResourcePolicy is required only if no resource
policy allows the delivery (CloudWatch Logs user guide, "Logs sent to CloudWatch Logs").

Also not documented, so the rules here are assumptions: the durations; a conflict if the scraper is in transition; the
error for a missing log group; that the log group is in the account and Region of the scraper; that an update without
components configures all of them. The prefix `/aws/vendedlogs/` is only a recommendation ("Configuring CloudWatch
Logs", section "Policy size limits"), so this module accepts each name.
"""

import re

from ministack.core.responses import get_account_id, get_region, now_epoch

from amp import clusters, shapes, store
from amp.errors import conflict, invalid, json_response, not_found
from amp.permissions import Caller
from core.settings import Settings
from logs import delivery

COMPONENTS = ("SERVICE_DISCOVERY", "COLLECTOR", "EXPORTER")
TRANSITION_MINUTES = 1.0
ARN = "loggingDestination.cloudWatchLogs.logGroupArn"
_KIND = "scraper logging configuration"
_SCRAPER_ID = r"[0-9A-Za-z][-.0-9A-Z_a-z]*"
_LOG_GROUP_ARN = re.compile(r"arn:aws[a-z0-9-]*:logs:([a-z0-9-]+):([0-9]{12}):log-group:([A-Za-z0-9.\-_#/]{1,512}):\*")
_READ = ("logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries")


def destination(scraper: dict) -> tuple[str, set[str]]:
    """The log group and the components of a scraper. There are no components unless the configuration is ACTIVE."""
    configuration = _current(scraper)
    if configuration is None or configuration["_status"] != "ACTIVE":
        return "", set()
    return configuration["_group"], {component["type"] for component in configuration["scraperComponents"]}


class LoggingConfigurations:
    """UpdateScraperLoggingConfiguration, DescribeScraperLoggingConfiguration, DeleteScraperLoggingConfiguration."""

    def __init__(self, cloud: Settings):
        self._cloud = cloud

    def update(self, scraper_id: str, request: dict, headers: dict):
        """Creates or replaces the configuration. The tags of the cluster control the duration and the result."""
        region, account, group = _log_group(request.get("loggingDestination"))
        components = _components(request.get("scraperComponents"))
        scraper = _scraper(scraper_id)
        configuration = _current(scraper)
        _require_no_transition(scraper, configuration)
        is_new = configuration is None or configuration["_status"] == "CREATION_FAILED"
        caller = Caller(headers)
        for action in (*_READ, "logs:CreateLogDelivery" if is_new else "logs:UpdateLogDelivery"):
            caller.must_be_allowed(action, "*")
        if (region, account) != (get_region(), get_account_id()):
            raise invalid(ARN, f"the log group must be in {get_region()} of account {get_account_id()}")
        if not delivery.exists(group):
            raise not_found("log group", group)
        failure = clusters.tags(scraper).get("local:logging-fails")
        if not delivery.is_allowed(group):
            caller.must_be_allowed("logs:PutResourcePolicy", "*")
            failure = delivery.allow(group) or failure
        scraper["_logging"] = changed = {
            "scraperId": scraper_id,
            "loggingDestination": request["loggingDestination"],
            "scraperComponents": components,
            "lastModifiedAt": now_epoch(),
            "_group": group,
        }
        status, failed = ("CREATING", "CREATION_FAILED") if is_new else ("UPDATING", "UPDATE_FAILED")
        store.start_transition(changed, status, self._seconds(scraper), failed if failure else "ACTIVE", failure)
        return json_response(202, {"status": {"statusCode": status}})

    def describe(self, scraper_id: str):
        configuration = _existing(_scraper(scraper_id))
        described = {
            name: configuration[name] for name in ("scraperId", "loggingDestination", "scraperComponents")
        }
        status = {"statusCode": configuration["_status"]}
        if "statusReason" in configuration:
            status["statusReason"] = configuration["statusReason"]
        return json_response(200, {**described, "status": status, "modifiedAt": configuration["lastModifiedAt"]})

    def delete(self, scraper_id: str, query: dict, headers: dict):
        """The configuration is DELETING, and then it does not exist."""
        token = query.get("clientToken")
        shapes.client_token(token[0] if isinstance(token, list) else token)
        scraper = _scraper(scraper_id)
        configuration = _existing(scraper)
        _require_no_transition(scraper, configuration)
        Caller(headers).must_be_allowed("logs:DeleteLogDelivery", "*")
        store.start_transition(configuration, "DELETING", self._seconds(scraper), "DELETED")
        return json_response(202)

    def _seconds(self, scraper: dict) -> float:
        minutes = float(clusters.tags(scraper).get("local:logging-minutes", TRANSITION_MINUTES))
        return self._cloud.real_seconds(minutes=minutes)


def _scraper(scraper_id: str) -> dict:
    shapes.text(scraper_id, "scraperId", pattern=_SCRAPER_ID, max_length=64)
    return store.get(store.scrapers, "scraper", scraper_id)


def _current(scraper: dict) -> dict | None:
    """The configuration of a scraper, after its due transition. It belongs to the record of the scraper."""
    configuration = scraper.get("_logging")
    if configuration is None or store.refresh(configuration)["_status"] != "DELETED":
        return configuration
    scraper.pop("_logging", None)
    return None


def _existing(scraper: dict) -> dict:
    configuration = _current(scraper)
    if configuration is None:
        raise not_found(_KIND, scraper["scraperId"])
    return configuration


def _require_no_transition(scraper: dict, configuration: dict | None) -> None:
    for kind, record in (("scraper", scraper), (_KIND, configuration)):
        if record is not None and record["_status"] in store.IN_TRANSITION:
            raise conflict(kind, scraper["scraperId"], f"The {kind} is {record['_status']}.")


def _log_group(union) -> tuple[str, str, str]:
    """The Region, account and name of the log group of a ScraperLoggingDestination, which is a union."""
    field = ARN.partition(".")[0]
    if union is None:
        raise invalid(field, "Member must not be null")
    if not isinstance(union, dict) or set(union) != {"cloudWatchLogs"} or not isinstance(union["cloudWatchLogs"], dict):
        raise invalid(field, "must have exactly one member: cloudWatchLogs")
    match = shapes.arn(union["cloudWatchLogs"].get("logGroupArn"), ARN, _LOG_GROUP_ARN)
    return match[1], match[2], match[3]


def _components(components) -> list[dict]:
    """Validates ScraperComponents."""
    field = "scraperComponents"
    if components is None:
        return [{"type": component} for component in COMPONENTS]
    if not isinstance(components, list) or not components:
        raise invalid(field, "Member must have length greater than or equal to 1")
    for index, component in enumerate(components):
        kind = component.get("type") if isinstance(component, dict) else None
        if kind not in COMPONENTS:
            raise invalid(f"{field}[{index}].type", f"Member must satisfy enum value set: {list(COMPONENTS)}")
        options = (component.get("config") or {}).get("options") or {}
        if not isinstance(options, dict) or not all(isinstance(value, str) for value in options.values()):
            raise invalid(f"{field}[{index}].config.options", "must be a map of strings")
    return components
