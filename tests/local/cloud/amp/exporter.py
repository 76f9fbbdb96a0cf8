"""The targets of the demonstration clusters: metrics in the exposition format, from the Prometheus client library.

Source: Prometheus, "Exposition formats".
"""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

ENDPOINTS = (
    ("kubernetes-nodes", "10.0.0.11:10250"),
    ("kubernetes-nodes", "10.0.0.12:10250"),
    ("pod_exporter", "10.0.1.21:8080"),
)
CONTENT_TYPE = "text/plain; version=0.0.4"


class Exporter:
    """The metrics of one target."""

    def __init__(self, job: str):
        self._registry = CollectorRegistry()
        began = Gauge("process_start_time_seconds", "When it began.", registry=self._registry)
        began.set(time.time())
        self._scrapes = Counter("demo_scrapes", "How often it was scraped.", registry=self._registry)
        Gauge("demo_info", "What it is.", ["job_of_endpoint"], registry=self._registry).labels(job).set(1)

    def expose(self) -> bytes:
        """The current metrics, as text."""
        self._scrapes.inc()
        return generate_latest(self._registry)


_exporters: dict[str, Exporter] = {}


def expose(cluster: str, instance: str) -> bytes | None:
    """The metrics of a target of a cluster; None if the cluster has no such target."""
    job = next((job for job, known in ENDPOINTS if known == instance), None)
    if job is None:
        return None
    return _exporters.setdefault(f"{cluster}/{instance}", Exporter(job)).expose()


def read(text: str) -> list[tuple[str, dict, float]]:
    """Each sample of an exposition: name, labels, value."""
    families = text_string_to_metric_families(text)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]
