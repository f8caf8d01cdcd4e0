"""The program in numbers, as Prometheus reads them."""

import math
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from stoat_ferret import __version__
from stoat_ferret.errors import StorageBusyError
from stoat_ferret.jobs.model import JobRequest
from stoat_ferret.jobs.queue import InMemoryJobQueue
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.media.tally import ProbeTally
from tests.test_api.answers import problem


def store_of(client: TestClient) -> JobStore:
    store: JobStore = client.app_state["runtime"].queue.store
    return store


def read(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Give every sample by name and labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = float(sample.value)
    return found


def labels(**given: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(given.items()))


def test_an_empty_program_has_numbers_too(client: TestClient) -> None:
    """Counters at 0, so that the first event is seen as one; each metric says what it is."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = read(answer.text)
    for name in (
        "stoat_lease_takeovers_total", "stoat_worker_restarts_total", "stoat_workers_alive", "stoat_event_streams",
        "stoat_probe_seconds_count", "stoat_probe_seconds_sum",
    ):  # fmt: skip
        assert found[name] == {(): 0.0}, name
    [build] = found["stoat_build_info"]
    assert dict(build)["version"] == __version__
    families = list(text_string_to_metric_families(answer.text))
    assert all(family.documentation for family in families)
    assert {family.name: family.type for family in families if family.name.startswith("stoat_probe")} == {
        "stoat_probe_seconds": "histogram"
    }


def test_jobs_are_counted_by_type_and_state(waiting: TestClient) -> None:
    """With zeros for states that no job of a type is in; and how long the first of a type has waited."""
    store = store_of(waiting)
    for number in range(3):
        store.submit(JobRequest(type="scan", payload={"n": number}))
    store.cancel(store.submit(JobRequest(type='odd"type\n', payload={})).job.id)
    found = read(waiting.get("/metrics").text)
    assert found["stoat_jobs"][labels(type="scan", state="pending")] == 3
    assert found["stoat_jobs"][labels(type="scan", state="failed")] == 0
    assert found["stoat_jobs"][labels(type='odd"type\n', state="cancelled")] == 1
    assert 0 <= found["stoat_queue_oldest_age_seconds"][labels(type="scan")] < 3600
    assert found["stoat_queue_oldest_age_seconds"][labels(type='odd"type\n')] == 0


def test_what_workers_have_counted_is_told(client: TestClient) -> None:
    """Durations as a histogram: each bucket holds those before it."""
    tally = ProbeTally()
    durations = (0.004, 0.004, 0.03, 0.7, 45.0)
    for seconds in durations:
        tally.add(seconds)
    store = store_of(client)
    store.count(tally.take())
    store.count({"lease_takeovers": 2, "worker_restarts": 3, "probe_seconds_bucket:0.75": 1})
    found = read(client.get("/metrics").text)
    assert found["stoat_lease_takeovers_total"] == {(): 2.0}
    assert found["stoat_worker_restarts_total"] == {(): 3.0}
    buckets = {float(dict(name)["le"]): value for name, value in found["stoat_probe_seconds_bucket"].items()}
    assert (buckets[0.0025], buckets[0.005], buckets[0.05], buckets[0.75], buckets[1.0]) == (0, 2, 3, 4, 5)
    assert buckets[math.inf] == found["stoat_probe_seconds_count"][()] == 6
    assert found["stoat_probe_seconds_sum"][()] == pytest.approx(sum(durations))


def test_openmetrics_is_given_to_who_asks(client: TestClient) -> None:
    """As newer Prometheus servers do."""
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.headers["vary"] == "Accept"
    families = openmetrics(answer.text)  # type: ignore[no-untyped-call]  # it has no annotations
    assert "stoat_jobs" in {family.name for family in families}


def test_a_database_that_cannot_be_read_has_no_numbers(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """503: the scrape fails, and the one before it stands."""

    async def fail(_queue: InMemoryJobQueue) -> Any:
        raise StorageBusyError

    monkeypatch.setattr(InMemoryJobQueue, "statistics", fail)
    problem(client.get("/metrics"), 503, "STORAGE_BUSY")
