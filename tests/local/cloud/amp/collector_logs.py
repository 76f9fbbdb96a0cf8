"""AMP: the log lines of a scraper about its own failures.

Source: AMP user guide, "Monitor collectors with vended logs", which shows one example of each line below, including
the different fields of the components. Four texts are not in the guide, which describes such lines without an
example: a timeout, a permission error of EXPORTER, its field `error`, and the name of the log stream.
"""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from amp import scraper_logging, shapes, store
from amp.clusters import DiscoveryFailure
from logs import delivery

# The errors of a target that refuses connections, and of a target behind a security group that drops packets.
REFUSED, TIMED_OUT = "dial tcp {target}: connect: connection refused", "context deadline exceeded"


@dataclass(frozen=True)
class Line:
    """A log line: its component, and its field `message`."""

    component: str
    message: dict


def discovery_lines(failure: DiscoveryFailure) -> list[Line]:
    """The lines of a scraper that cannot use the Kubernetes API."""
    if not failure.cluster_exists:
        return [Line("SERVICE_DISCOVERY", {"log": "Failed to watch Service - Verify your scraper source exists."})]
    text = "Failed to watch {} - Verify your scraper source permissions are valid."
    return [Line("SERVICE_DISCOVERY", {"log": text.format(kind)}) for kind in ("Service", "Endpoints")]


def scrape_line(job: str, target: str, error: str) -> Line:
    """The line about a target that could not be scraped."""
    url = f"http://{target}/metrics"
    failure = f'Get "{url}": {error.format(target=target)}'
    message = {"message": "Scrape failed", "scrape_pool": job, "target": url, "error": failure}
    return Line("COLLECTOR", message)


def export_lines(steps: list[dict], workspace: str, samples: int) -> list[Line]:
    """The lines about the requests of the write path, which are empty if all requests succeeded."""
    failed = [step for step in steps if not step["ok"]]
    if not failed:
        return []
    text, more = "Failed to export to the target workspace - Verify your scraper destination{}.", {}
    if _exists(workspace):
        text, more = text.format(" permissions are valid"), {"error": f"AccessDenied: {failed[0]['error']}"}
    return [Line("EXPORTER", {"log": text.format(""), "samplesDropped": samples, **more})]


def write(account: str, region: str, scraper: dict, lines: list[Line]) -> None:
    """Writes the lines of the components for which logging is ACTIVE."""
    group, components = scraper_logging.destination(scraper)
    messages = [_format(line, scraper["scraperId"]) for line in lines if line.component in components]
    if messages:
        delivery.put(account, region, group, scraper["scraperId"], messages)


def _format(line: Line, scraper_id: str) -> str:
    now = time.time()
    iso = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    by_component = {
        "SERVICE_DISCOVERY": {"timestamp": iso, "scrapeConfigId": scraper_id},
        "COLLECTOR": {"timestamp": iso, "scrapeConfigId": scraper_id},
        "EXPORTER": {"timestamp": str(int(now * 1000)), "scraperId": scraper_id},
    }
    return json.dumps({"component": line.component, "message": line.message, **by_component[line.component]})


def _exists(workspace: str) -> bool:
    match = shapes.WORKSPACE_ARN.fullmatch(workspace)
    record = store.workspaces.get_scoped(match[2], match[1], match[3])
    return record is not None and store.refresh(record)["_status"] != "DELETED"
