"""The collector: scrapers discover targets and write samples. One thread runs all scrapers.

A scraper works while it is updated. AMP does not document which roles it then uses, so both the former and the new ones
must work.

Source: AMP user guide, "Using AWS managed collectors".
"""

import collections
import logging
import threading
import time
import urllib.request

from amp import clusters, collector_logs, exporter, store, write_path
from amp.collector_logs import Line
from core.settings import Settings

log = logging.getLogger("collector")
_COLLECTING = ("ACTIVE", "UPDATING", "UPDATE_FAILED")
# The minimum scrape interval of AMP.
_INTERVAL_SECONDS = 30.0
_MIN_REAL_SECONDS = 0.2
_MAX_RESULTS = 20
# The values of the tag `local:targets` of a cluster.
_ERRORS = {"down": collector_logs.REFUSED, "unreachable": collector_logs.TIMED_OUT}


class Collector:
    """Runs each scraper of all accounts that works, and stores its latest results."""

    def __init__(self, cloud: Settings):
        self._cloud = cloud
        self._results: dict[str, collections.deque] = collections.defaultdict(
            lambda: collections.deque(maxlen=_MAX_RESULTS)
        )

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True, name="collector").start()

    def results(self, scraper_id: str) -> list[dict]:
        """The latest collections of a scraper, oldest first."""
        return list(self._results.get(scraper_id, ()))

    def _run(self) -> None:
        interval = max(self._cloud.real_seconds(seconds=_INTERVAL_SECONDS), _MIN_REAL_SECONDS)
        while True:
            started = time.monotonic()
            for (account, region, scraper_id), scraper in store.scrapers.all_items():
                try:
                    if store.refresh(scraper)["_status"] not in _COLLECTING:
                        continue
                    result, lines = self.collect(account, region, scraper)
                    collector_logs.write(account, region, scraper, lines)
                except Exception as error:  # An error of one scraper must not stop the others.
                    log.warning("the collection of scraper %s failed: %r", scraper_id, error)
                    continue
                self._results[scraper_id].append({"time": time.time(), **result})
            time.sleep(max(interval - (time.monotonic() - started), interval / 10))

    def collect(self, account: str, region: str, scraper: dict) -> tuple[dict, list[Line]]:
        """One collection: discovers targets, then writes their samples. Returns the result and the log lines."""
        failure = clusters.discovery_failure(account, region, scraper)
        if failure:
            steps = write_path.Steps()
            steps.record("discover targets", failure.reason)
            return steps.result(), collector_logs.discovery_lines(failure)
        rows, lines = [], []
        for job, target in exporter.TARGETS:
            samples, error = self._scrape(scraper, target)
            rows += _rows([("up", {}, 0 if error else 1), *samples], job, target, scraper)
            lines += [collector_logs.scrape_line(job, target, error)] if error else []
        workspace = scraper["destination"]["ampConfiguration"]["workspaceArn"]
        result = self._write(scraper, workspace, rows)
        return result, lines + collector_logs.export_lines(result["steps"], workspace, len(rows))

    def _scrape(self, scraper: dict, target: str) -> tuple[list, str | None]:
        """The samples of a target, and the error of the scrape or None.

        The collector scrapes over HTTP only if Prometheus servers serve the workspaces, because tests scrape
        hundreds of clusters several times per second.
        """
        error = _ERRORS.get(clusters.tags(scraper).get("local:targets"))
        if error or not self._cloud.prometheus:
            return [], error
        cluster = clusters.cluster_arn(scraper).rpartition("/")[2]
        try:
            with urllib.request.urlopen(f"{self._cloud.url}/_cloud/exporters/{cluster}/{target}") as response:
                return exporter.parse(response.read().decode()), None
        except OSError:
            return [], collector_logs.REFUSED

    def _write(self, scraper: dict, workspace: str, rows: list[dict]) -> dict:
        roles = scraper.get("roleConfiguration")
        former = scraper.get("_former_roles")
        if scraper["_status"] == "UPDATING" and former != roles:
            result = self._write_with(former, scraper, workspace, rows)
            if not result["written"]:
                return result
        return self._write_with(roles, scraper, workspace, rows)

    def _write_with(self, roles: dict | None, scraper: dict, workspace: str, rows: list[dict]) -> dict:
        if not roles:
            return write_path.write_with_service_role(workspace, rows)
        return write_path.write(
            self._cloud, roles.get("sourceRoleArn"), roles.get("targetRoleArn"), workspace, scraper["arn"], rows
        )


def _rows(samples: list, job: str, target: str, scraper: dict) -> list[dict]:
    """The samples of a target, with the labels that the collector adds."""
    labels = {"job": job, "instance": target, **scraper["_labels"]}
    return [{"labels": {"__name__": name, **own, **labels}, "value": value} for name, own, value in samples]
