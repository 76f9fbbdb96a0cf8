"""The collector: ACTIVE scrapers discover targets and write samples. One thread runs all scrapers.

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
from eks_ec2.eks import current

log = logging.getLogger("collector")
# The minimum scrape interval of AMP.
_INTERVAL_SECONDS = 30.0
_MIN_REAL_SECONDS = 0.2
_MAX_RESULTS = 20


class Collector:
    """Runs each ACTIVE scraper of all accounts, and stores its latest results."""

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
                    if store.refresh(scraper)["_status"] != "ACTIVE":
                        continue
                    result = self.collect(account, region, scraper)
                except Exception as error:  # An error of one scraper must not stop the others.
                    log.warning("the collection of scraper %s failed: %r", scraper_id, error)
                    continue
                self._results[scraper_id].append({"time": time.time(), **result})
            time.sleep(max(interval - (time.monotonic() - started), interval / 10))

    def collect(self, account: str, region: str, scraper: dict) -> dict:
        """One collection: discovers targets, then writes their samples."""
        error = _discovery_error(account, region, scraper)
        if error:
            steps = write_path.Steps()
            steps.record("discover targets", error)
            return steps.result()
        down = _tag(account, region, scraper, "local:targets") == "down"
        rows = [row for target in exporter.TARGETS for row in self._scrape(scraper, target, down)]
        workspace = scraper["destination"]["ampConfiguration"]["workspaceArn"]
        roles = scraper.get("roleConfiguration")
        if not roles:
            return write_path.write_with_service_role(workspace, rows)
        return write_path.write(
            self._cloud, roles.get("sourceRoleArn"), roles.get("targetRoleArn"), workspace, scraper["arn"], rows
        )

    def _scrape(self, scraper: dict, target: tuple[str, str], down: bool) -> list[dict]:
        """The samples and the `up` metric of a target, with the labels that the collector adds.

        The collector scrapes over HTTP only if Prometheus servers serve the workspaces, because tests scrape
        hundreds of clusters several times per second.
        """
        job, instance = target
        samples, up = [], 0 if down else 1
        if up and self._cloud.prometheus:
            cluster = scraper["source"]["eksConfiguration"]["clusterArn"].rpartition("/")[2]
            try:
                with urllib.request.urlopen(f"{self._cloud.url}/_cloud/exporters/{cluster}/{instance}") as response:
                    samples = exporter.parse(response.read().decode())
            except OSError:
                up = 0
        labels = {"job": job, "instance": instance, **scraper["_labels"]}
        all_samples = [("up", {}, up), *samples]
        return [{"labels": {"__name__": name, **own, **labels}, "value": value} for name, own, value in all_samples]


def _tag(account: str, region: str, scraper: dict, name: str) -> str | None:
    """The value of a tag of the cluster of a scraper."""
    arn = scraper["source"]["eksConfiguration"]["clusterArn"]
    with request_scope(account, region):
        cluster = eks._clusters.get(arn.rpartition("/")[2]) or {}
    return (cluster.get("tags") or {}).get(name)


def _discovery_error(account: str, region: str, scraper: dict) -> str | None:
    """The reason why a scraper cannot discover targets, or None.

    In CONFIG_MAP mode, the role of the scraper must be mapped in `aws-auth` (user guide, "Manually configuring an
    Amazon EKS cluster"). In this cloud, the tag `local:aws-auth` represents the mapping.
    """
    arn = scraper["source"]["eksConfiguration"]["clusterArn"]
    with request_scope(account, region):
        cluster = eks._clusters.get(arn.rpartition("/")[2])
    if cluster is None:
        return f"the cluster {arn} does not exist"
    mapped = _tag(account, region, scraper, "local:aws-auth") == "mapped"
    if current(cluster)["accessConfig"]["authenticationMode"] == "CONFIG_MAP" and not mapped:
        return "the role of the scraper is not mapped in aws-auth"
    return None
