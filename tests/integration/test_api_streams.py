"""Jobs as streams of events, over real connections."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stoat_ferret.jobs.model import Claim, Job, JobOutcome, JobRequest, JobStatus, Progress
from stoat_ferret.settings import Settings
from tests.factories import make_settings
from tests.integration.cli_program import PATIENCE as LONG
from tests.integration.cli_program import ctrl_c, ended, start
from tests.integration.live_server import Live, serving
from tests.test_blackbox.program import Program

HEARTBEAT = 0.05


@pytest.fixture
def live(settings: Settings) -> Iterator[Live]:
    """A server whose streams have a quick heart."""
    with serving(settings, heartbeat_seconds=HEARTBEAT) as live:
        yield live


def add(live: Live, name: str, **more: Any) -> Job:
    return live.store.submit(JobRequest(type="scan", payload={"name": name}, **more)).job


def claim(live: Live) -> Claim:
    found = live.store.claim("worker")
    assert found is not None
    return found


def test_a_job_is_followed_to_its_end(live: Live) -> None:
    """How it stands, what changes, its end; then the stream ends too."""
    job = add(live, "job")
    with live.stream(f"/jobs/{job.id.upper()}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-cache"
        assert stream.headers["x-accel-buffering"] == "no"
        [(revision, record)] = stream.take(1)
        assert (revision, record["job_id"], record["status"]) == (job.revision, job.id, "pending")
        assert record == live.client.get(f"/api/v1/jobs/{job.id}").json()
        run = claim(live)
        [(_, record)] = stream.take(1)
        assert record["status"] == "running"
        live.store.report(run, 0.5, Progress(phase="probe", done=1, total=2))
        [(_, record)] = stream.take(1)
        assert (record["progress"], record["progress_detail"]["phase"]) == (0.5, "probe")
        add(live, "another")
        last = live.store.finish(run, JobOutcome(status=JobStatus.COMPLETE, result={"scanned": 1}))
        [(revision, record)] = list(stream)
        assert (revision, record["status"], record["result"]) == (last.revision, "complete", {"scanned": 1})
    live.until(lambda: live.streams.open == 0)


def test_a_job_that_has_ended_has_one_event(live: Live) -> None:
    """And none for a client that has seen it: told so, a browser does not come back for ever."""
    job = live.store.cancel(add(live, "job").id)
    with live.stream(f"/jobs/{job.id}/events") as stream:
        assert [(revision, record["status"]) for revision, record in stream] == [(job.revision, "cancelled")]
    answer = live.client.get(f"/api/v1/jobs/{job.id}/events", headers={"Last-Event-ID": str(job.revision)})
    assert (answer.status_code, answer.content) == (204, b"")
    with live.stream(f"/jobs/{job.id}/events", **{"Last-Event-ID": str(job.revision - 1)}) as stream:
        assert len(list(stream)) == 1


def test_a_client_that_comes_back_to_a_running_job_hears_what_is_new(live: Live) -> None:
    """Not again what it has seen."""
    job = add(live, "job")
    with live.stream(f"/jobs/{job.id}/events", **{"Last-Event-ID": str(job.revision)}) as stream:
        stream.until_comment()
        live.store.cancel(job.id)
        assert [record["status"] for _, record in stream] == ["cancelled"]


def test_all_jobs_are_followed(live: Live) -> None:
    """Those that have not ended and the newest fifty, in the order of their last changes; then every change."""
    oldest, other = add(live, "oldest"), add(live, "other")
    ended_ones = [live.store.cancel(add(live, str(number)).id) for number in range(52)]
    run = claim(live)
    live.store.report(run, 0.1, Progress(phase="walk", done=1))
    with live.stream("/events") as stream:
        events = stream.take(52)
        assert [revision for revision, _ in events] == sorted(revision for revision, _ in events)
        shown = [record["job_id"] for _, record in events]
        assert shown == [other.id, *[job.id for job in ended_ones[2:]], oldest.id]
        stream.until_comment()
        part = add(live, "part", parent_id=oldest.id)
        new = add(live, "new")
        assert [record["job_id"] for _, record in stream.take(1)] == [new.id]
    with live.stream("/events?parts=true") as stream:
        shown = [record["job_id"] for _, record in stream.take(53)]
        assert shown[-2:] == [part.id, new.id]
        assert "part" in [job["payload"]["name"] for job in jobs(live, parent=oldest.id)]
        another = add(live, "another part", parent_id=oldest.id)
        assert [record["job_id"] for _, record in stream.take(1)] == [another.id]


def jobs(live: Live, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = live.client.get("/api/v1/jobs", params=query).json()["jobs"]
    return found


def test_a_client_that_comes_back_misses_nothing(live: Live) -> None:
    """The present state of every job with a newer revision, however many there are, each once."""
    seen = add(live, "seen")
    changed = add(live, "changed")
    mark = live.store.last_revision()
    news = [add(live, f"new {number}") for number in range(430)]
    live.store.cancel(changed.id)
    with live.stream("/events", **{"Last-Event-ID": str(mark)}) as stream:
        events = stream.take(431)
        assert [record["job_id"] for _, record in events] == [*[job.id for job in news], changed.id]
        assert events[-1][1]["status"] == "cancelled"
        live.store.cancel(seen.id)
        assert [record["job_id"] for _, record in stream.take(1)] == [seen.id]
    with live.stream("/events", **{"Last-Event-ID": "999999"}) as stream:
        begun_anew = [record["job_id"] for _, record in stream.take(430)]
        assert begun_anew == [job.id for job in news], "an id from another life of the database means nothing"


def bustle(live: Live) -> None:
    """Submit many jobs, and cancel every other."""
    for number in range(150):
        job = add(live, f"bustle {number}")
        if number % 2:
            live.store.cancel(job.id)
    add(live, "last")


def picture(live: Live) -> dict[str, str]:
    """Give what a client knows of each job by the time that it hears of the last one."""
    found: dict[str, str] = {}
    seen = 0
    with live.stream("/events") as stream:
        for revision, record in stream:
            assert revision > seen
            seen = revision
            found[record["job_id"]] = record["status"]
            if record["payload"]["name"] == "last":
                break
    return found


def test_nothing_is_missed_while_much_happens(live: Live) -> None:
    """Streams that begin in the middle of it end with the same picture as the records; ids only grow."""
    with ThreadPoolExecutor() as threads:
        busy = threads.submit(bustle, live)
        looking = []
        for _ in range(10):
            looking.append(threads.submit(picture, live))
            wait([busy], 0.03)
        pictures = [each.result(LONG) for each in looking]
    truth = {job.id: job.status.value for job in live.store.list(None, None, None, 1000).jobs}
    pending = {job_id for job_id, status in truth.items() if status == "pending"}
    assert len(pending) == 76
    for found in pictures:
        assert found == {job_id: truth[job_id] for job_id in found}
        assert pending <= found.keys()


def test_a_silent_stream_has_a_heartbeat(live: Live) -> None:
    """Comments, which clients ignore."""
    job = add(live, "job")
    with live.stream(f"/jobs/{job.id}/events") as stream:
        stream.take(1)
        stream.until_comment()
        stream.until_comment()


def test_there_are_so_many_streams_and_no_more(tmp_path: Path) -> None:
    """503 with a hint when to come back; a client that goes makes room."""
    settings = make_settings(tmp_path, max_event_streams=2)
    with serving(settings) as live:
        job = add(live, "job")
        with live.stream("/events"):
            with live.stream(f"/jobs/{job.id}/events"):
                refused = live.client.get("/api/v1/events")
                assert (refused.status_code, refused.json()["code"]) == (503, "TOO_MANY_STREAMS")
                assert refused.headers["retry-after"] == "1"
                assert gauge(live, "stoat_event_streams") == 2
            live.until(lambda: live.streams.open == 1)
            with live.stream("/events") as stream:
                stream.take(1)
        live.until(lambda: live.streams.open == 0)


def gauge(live: Live, name: str) -> float:
    families = text_string_to_metric_families(live.client.get("/metrics").text)
    [sample] = [sample for family in families for sample in family.samples if sample.name == name]
    return float(sample.value)


def connect(live: Live) -> socket.socket:
    """Ask for all events, and read none of them."""
    host, port = live.url.removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    client.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return client


@pytest.mark.parametrize("way", ["too much to tell", "too long without reading"])
def test_a_client_that_does_not_read_is_let_go(live: Live, way: str) -> None:
    """The others hear everything."""
    if way == "too much to tell":
        live.feed._most_pending, live.streams.stalled_seconds = 3, 2.0
    else:
        live.streams.stalled_seconds = 0.2
    with connect(live), live.stream("/events") as stream:
        live.until(lambda: live.streams.open == 2)
        for number in range(60):
            job = add(live, f"{number} {'x' * 200_000}")
            [(_, record)] = stream.take(1)
            assert record["job_id"] == job.id
        live.until(lambda: live.streams.open == 1)


def test_a_database_that_is_locked_ends_no_stream(live: Live) -> None:
    """What is refused is refused before the stream begins; what has begun goes on."""
    job = add(live, "job")
    with live.stream(f"/jobs/{job.id}/events") as stream:
        stream.take(1)
        real = live.feed._queue.store  # type: ignore[attr-defined]  # it is a LocalJobQueue

        def broken(*_: object) -> None:
            from stoat_ferret.errors import StorageBusyError

            raise StorageBusyError

        changed_since, last_revision = real.changed_since, real.last_revision
        real.changed_since = real.last_revision = broken
        refused = live.client.get("/api/v1/events")
        assert (refused.status_code, refused.json()["code"]) == (503, "STORAGE_BUSY")
        live.store.cancel(job.id)
        stream.until_comment()
        real.changed_since, real.last_revision = changed_since, last_revision
        assert [record["status"] for _, record in stream] == ["cancelled"]


def test_head_says_what_a_stream_would_be(live: Live) -> None:
    """Without staying."""
    add(live, "job")
    answer = live.client.head("/api/v1/events")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert live.client.get("/health/live").status_code == 200, "on the same connection"
    live.until(lambda: live.streams.open == 0)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_server_ends_although_two_hundred_follow(tmp_path: Path, end: signal.Signals) -> None:
    """In good order, at once, and each stream ends as it should."""
    server = start("serve", "--port", "0", "--data-dir", tmp_path, "--log-level", "debug")
    assert server.stdout is not None
    port = int(server.stdout.readline().rpartition(":")[2])
    clients = [socket.create_connection(("127.0.0.1", port), timeout=LONG) for _ in range(200)]
    for client in clients:
        client.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    for client in clients:
        assert client.recv(12) == b"HTTP/1.1 200"
    if end is signal.SIGINT:
        ctrl_c(server)
    else:
        server.send_signal(end)
    for client in clients:
        with client, client.makefile("rb") as rest:
            assert rest.read().endswith(b"\r\n0\r\n\r\n")
    status, _, log, seconds = ended(server)
    assert status == 0
    assert seconds < LONG
    assert "Traceback" not in log
    assert "Cancel" not in log, "no task had to be cut off"


@pytest.mark.slow
def test_what_workers_do_is_counted_and_kept(tmp_path: Path, clips: Path) -> None:
    """Deaths and durations; a restart of the server forgets none of it."""
    program = Program(tmp_path, STOAT_PROBE_WORKERS="1", STOAT_LEASE_RENEW_SECONDS="0.2")
    try:
        program.scan(clips)
        # A worker tells them now and then; one that is killed before takes the last of them with it.
        until(lambda: samples(program)["stoat_probe_seconds_count"] == 4)
        program.worker().kill()
        until(lambda: samples(program)["stoat_worker_restarts_total"] == 1)
        until(lambda: samples(program)["stoat_workers_alive"] >= 1)
    finally:
        program.stop()
    program = Program(tmp_path)
    try:
        found = samples(program)
        assert (found["stoat_worker_restarts_total"], found["stoat_probe_seconds_count"]) == (1, 4)
    finally:
        program.stop()


def samples(program: Program) -> dict[str, float]:
    """Give the numbers without labels."""
    families = text_string_to_metric_families(program.client.get("/metrics").text)
    return {each.name: float(each.value) for family in families for each in family.samples if not each.labels}


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that the server can be asked."""
    give_up = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)
