"""The program in numbers, as Prometheus reads them."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from stoat_ferret import __version__
from stoat_ferret.jobs.model import JobStatus, Statistics
from stoat_ferret.media.tally import BOUNDS, BUCKET, SUM


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # a registry keeps it in a set
class Numbers(Collector):
    """What is known at one moment."""

    queue: Statistics
    now: int
    """Microseconds since 1970 UTC."""
    workers_alive: int
    event_streams: int

    def registry(self) -> CollectorRegistry:
        """Give a registry that holds these numbers and nothing else."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def collect(self) -> Iterable[Metric]:
        """Give every metric."""
        counters = self.queue.counters
        yield self._jobs()
        yield self._oldest()
        yield CounterMetricFamily(
            "stoat_lease_takeovers",
            "Jobs taken over because their worker had let its lease lapse.",
            counters.get("lease_takeovers", 0),
        )
        yield CounterMetricFamily(
            "stoat_worker_restarts",
            "Worker processes that ended unasked under a server and were started again.",
            counters.get("worker_restarts", 0),
        )
        yield GaugeMetricFamily(
            "stoat_workers_alive", "Workers heard of within the length of a lease.", self.workers_alive
        )
        yield _probes(counters)
        yield GaugeMetricFamily("stoat_event_streams", "Event streams open in this server.", self.event_streams)
        yield InfoMetricFamily(
            "stoat_build", "What runs.", {"version": __version__, "python": platform.python_version()}
        )

    def _jobs(self) -> Metric:
        family = GaugeMetricFamily("stoat_jobs", "Jobs on record, by type and state.", labels=["type", "state"])
        for job_type in sorted({name for name, _ in self.queue.jobs}):
            for status in JobStatus:
                family.add_metric([job_type, status.value], self.queue.jobs.get((job_type, status.value), 0))
        return family

    def _oldest(self) -> Metric:
        family = GaugeMetricFamily(
            "stoat_queue_oldest_age_seconds",
            "How long the first job of a type that is due has waited, also where a limit or another job holds it back; "
            "0 where none waits.",
            labels=["type"],
        )
        for job_type in sorted({name for name, _ in self.queue.jobs}):
            since = self.queue.oldest_ready_at.get(job_type, self.now)
            family.add_metric([job_type], max(0.0, (self.now - since) / 1e6))
        return family


def _probes(counters: Mapping[str, float]) -> Metric:
    counted = {float(name.removeprefix(BUCKET)): value for name, value in counters.items() if name.startswith(BUCKET)}
    total, buckets = 0.0, []
    for bound in sorted({*BOUNDS, *counted, float("inf")}):
        total += counted.get(bound, 0)
        buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", total))
    family = HistogramMetricFamily("stoat_probe_seconds", "How long examining a file took, over all workers.")
    family.add_metric([], buckets, sum_value=counters.get(SUM, 0))
    return family
