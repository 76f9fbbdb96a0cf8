"""The collector: ACTIVE scrapers discover targets and write samples. One thread serves all of them.

Source: AMP user guide, "Using AWS managed collectors".
"""

import collections
import logging
import threading
import time
import urllib.request

from ministack.core.responses import request_scope
from ministack.services import eks

from amp import exporter, store, write_path
from core.settings import Settings

log = logging.getLogger("collector")
# The shortest interval AMP allows.
_INTERVAL_SECONDS = 30.0
_LEAST_REAL_SECONDS = 0.2
_KEPT = 20


class Collector:
    """Collects for every ACTIVE scraper of every account, and keeps the latest results of each."""

    def __init__(self, cloud: Settings):
        self._cloud = cloud
        self._results: dict[str, collections.deque] = collections.defaultdict(lambda: collections.deque(maxlen=_KEPT))

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True, name="collector").start()

    def results(self, scraper_id: str) -> list[dict]:
        """The latest collections of a scraper, oldest first."""
        return list(self._results.get(scraper_id, ()))

    def _run(self) -> None:
        pause = max(self._cloud.real_seconds(seconds=_INTERVAL_SECONDS), _LEAST_REAL_SECONDS)
        while True:
            began = time.monotonic()
            for (account, region, scraper_id), scraper in store.scrapers.all_items():
                try:
                    if store.settle(scraper)["_status"] != "ACTIVE":
                        continue
                    result = self.collect(account, region, scraper)
                except Exception as error:  # One broken scraper must not stop the others.
                    log.warning("collecting for %s failed: %r", scraper_id, error)
                    continue
                self._results[scraper_id].append({"time": time.time(), **result})
            time.sleep(max(pause - (time.monotonic() - began), pause / 10))

    def collect(self, account: str, region: str, scraper: dict) -> dict:
        """One collection: discovers targets, then writes their samples."""
        unseen = _why_nothing_is_discovered(account, region, scraper)
        if unseen:
            steps = write_path.Steps()
            steps.note("discover endpoints", unseen)
            return steps.shown()
        down = _tag(account, region, scraper, "local:endpoints") == "down"
        rows = [row for endpoint in exporter.ENDPOINTS for row in self._scrape(scraper, endpoint, down)]
        workspace = scraper["destination"]["ampConfiguration"]["workspaceArn"]
        roles = scraper.get("roleConfiguration")
        if not roles:
            return write_path.write_with_service_role(workspace, rows)
        return write_path.write(
            self._cloud, roles.get("sourceRoleArn"), roles.get("targetRoleArn"), workspace, scraper["arn"], rows
        )

    def _scrape(self, scraper: dict, endpoint: tuple[str, str], down: bool) -> list[dict]:
        """The samples of a target and its `up`, with the labels that a collector adds.

        It scrapes over HTTP only if workspaces are Prometheus servers, because hundreds of clusters are
        scraped several times a second.
        """
        job, instance = endpoint
        samples, up = [], 0 if down else 1
        if up and self._cloud.prometheus:
            cluster = scraper["source"]["eksConfiguration"]["clusterArn"].rpartition("/")[2]
            try:
                with urllib.request.urlopen(f"{self._cloud.url}/_cloud/exporters/{cluster}/{instance}") as answer:
                    samples = exporter.read(answer.read().decode())
            except OSError:
                up = 0
        labels = {"job": job, "instance": instance, **scraper["_labels"]}
        named = [("up", {}, up), *samples]
        return [{"labels": {"__name__": name, **own, **labels}, "value": value} for name, own, value in named]


def _tag(account: str, region: str, scraper: dict, name: str) -> str | None:
    """A tag of a scraper's cluster."""
    arn = scraper["source"]["eksConfiguration"]["clusterArn"]
    with request_scope(account, region):
        cluster = eks._clusters.get(arn.rpartition("/")[2]) or {}
    return (cluster.get("tags") or {}).get(name)


def _why_nothing_is_discovered(account: str, region: str, scraper: dict) -> str | None:
    """A cluster in CONFIG_MAP mode lets a scraper in only when a person has mapped it in `aws-auth`
    (user guide, "Manually configuring an Amazon EKS cluster"); the tag `local:aws-auth` says so here."""
    arn = scraper["source"]["eksConfiguration"]["clusterArn"]
    with request_scope(account, region):
        cluster = eks._clusters.get(arn.rpartition("/")[2])
    if cluster is None:
        return f"the cluster {arn} does not exist"
    mapped = _tag(account, region, scraper, "local:aws-auth") == "mapped"
    if cluster["accessConfig"]["authenticationMode"] == "CONFIG_MAP" and not mapped:
        return "the scraper's role is not mapped in aws-auth"
    return None
