"""The targets of demonstration clusters, which expose metrics with the Prometheus client library.

Source: Prometheus, "Exposition formats".
"""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

TARGETS = (
    ("kubernetes-nodes", "10.0.0.11:10250"),
    ("kubernetes-nodes", "10.0.0.12:10250"),
    ("pod_exporter", "10.0.1.21:8080"),
)
CONTENT_TYPE = "text/plain; version=0.0.4"


class Exporter:
    """The metrics of one target."""

    def __init__(self, job: str):
        self._registry = CollectorRegistry()
        start_time = Gauge("process_start_time_seconds", "Start time of the process.", registry=self._registry)
        start_time.set(time.time())
        self._scrapes = Counter("demo_scrapes", "Number of scrapes of this target.", registry=self._registry)
        Gauge("demo_info", "Job of this target.", ["job_of_target"], registry=self._registry).labels(job).set(1)

    def expose(self) -> bytes:
        """The current metrics in the text format."""
        self._scrapes.inc()
        return generate_latest(self._registry)


_exporters: dict[str, Exporter] = {}


def expose(cluster: str, instance: str) -> bytes | None:
    """The metrics of a target of a cluster, or None if the target does not exist."""
    job = next((job for job, address in TARGETS if address == instance), None)
    if job is None:
        return None
    return _exporters.setdefault(f"{cluster}/{instance}", Exporter(job)).expose()


def parse(text: str) -> list[tuple[str, dict, float]]:
    """The samples of an exposition, as (name, labels, value)."""
    families = text_string_to_metric_families(text)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]
