"""Jobs over HTTP: read, list, wait, cancel, and what each did to which file."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, insert, select

from stoat_ferret.api.app import create_app
from stoat_ferret.db.engine import Database
from stoat_ferret.db.job_tables import jobs
from stoat_ferret.db.tables import gone, job_claims, scan_costs
from stoat_ferret.db.tables import ledger as ledger_rows
from stoat_ferret.jobs.model import JobRequest
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.library import ledger
from stoat_ferret.library.models import LedgerRow, Outcome
from stoat_ferret.settings import Settings
from tests.conftest import BASE
from tests.factories import put
from tests.media_files import place_clip
from tests.test_api.answers import SCAN, problem, scan

UNKNOWN = "01934f5e-7b1c-7cc2-a1c4-6f0b8d0d9f11"


def queue_store(client: TestClient) -> JobStore:
    """Give the records, as a worker has them."""
    store: JobStore = client.app_state["runtime"].queue.store
    return store


def catalogue_of(client: TestClient) -> Database:
    """Give the catalogue that the application works with."""
    database: Database = client.app_state["runtime"].catalogue
    return database


def submit(client: TestClient, path: Path, **options: bool) -> str:
    response = client.post(SCAN, json={"path": str(path), **options})
    assert response.status_code == 202
    job_id: str = response.json()["job_id"]
    return job_id


def test_a_job_is_shown_as_the_contract_has_it(client: TestClient, clips: Path) -> None:
    """Every field; the status is complete, and what was asked for is there."""
    job = client.get(f"/api/v1/jobs/{submit(client, clips)}").json()
    assert set(job) >= {
        "job_id", "type", "status", "progress", "progress_detail", "result", "error", "error_code", "attempt",
        "created_at", "started_at", "finished_at", "cancel_requested",
    }  # fmt: skip
    assert (job["type"], job["status"], job["progress"], job["attempt"]) == ("scan", "complete", 1.0, 1)
    assert (job["error"], job["error_code"], job["cancel_requested"]) == (None, None, False)
    assert job["progress_detail"] is None, "what was counted last says nothing of a job that is complete"
    assert job["payload"]["path"] == str(clips)
    for name in ("created_at", "started_at", "finished_at"):
        assert job[name].endswith("Z")


def test_a_pending_job_has_neither_begun_nor_a_result(waiting: TestClient, tmp_path: Path) -> None:
    """And an equal scan joins it, while one with other options does not."""
    job_id = submit(waiting, tmp_path)
    job = waiting.get(f"/api/v1/jobs/{job_id}").json()
    assert (job["status"], job["progress"], job["result"], job["attempt"]) == ("pending", None, None, 0)
    assert (job["started_at"], job["finished_at"]) == (None, None)
    assert submit(waiting, tmp_path) == job_id
    assert submit(waiting, Path(f"{tmp_path}/./")) == job_id
    assert submit(waiting, tmp_path, force=True) != job_id


@pytest.mark.parametrize("job_id", [UNKNOWN, "nothing", "1", "%00", "%FF", UNKNOWN + "0"])
@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("GET", ""), ("GET", "/wait"), ("GET", "/files"), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry"),
        ("DELETE", ""),
    ],
)  # fmt: skip
def test_an_unknown_job_is_404(client: TestClient, job_id: str, method: str, part: str) -> None:
    """Also where its id is no UUID; the id is named."""
    detail = problem(client.request(method, f"/api/v1/jobs/{job_id}{part}"), 404, "JOB_NOT_FOUND")
    if job_id.isalnum():
        assert job_id in detail


def test_an_id_may_be_written_in_any_case(client: TestClient, tmp_path: Path) -> None:
    """A UUID is a number."""
    job_id = submit(client, tmp_path)
    assert client.get(f"/api/v1/jobs/{job_id.upper()}").json()["job_id"] == job_id


def test_jobs_are_listed_newest_first(client: TestClient, tmp_path: Path) -> None:
    """A page at a time, with Link header and cursor; or only those of one status or type."""
    ids = [submit(client, tmp_path, force=bool(number % 2)) for number in range(5)]
    found: list[str] = []
    url = "/api/v1/jobs?limit=2"
    while url:
        response = client.get(url)
        found += [job["job_id"] for job in response.json()["jobs"]]
        link = response.headers.get("link", "")
        assert bool(link) == (response.json()["next_cursor"] is not None)
        assert (response.json()["total"], response.json()["total_is_lower_bound"]) == (5, False), "not the page's"
        url = link[1 : link.index(">")] if link else ""
    assert found == ids[::-1]
    for query, count in (("status=complete", 5), ("status=failed", 0), ("type=scan", 5), ("type=other", 0)):
        answer = client.get(f"/api/v1/jobs?{query}").json()
        assert (len(answer["jobs"]), answer["total"]) == (count, count)
    cursor = client.get("/api/v1/jobs?limit=2").json()["next_cursor"]
    problem(client.get(f"/api/v1/jobs?status=failed&cursor={cursor}"), 400, "INVALID_CURSOR")


def test_so_many_jobs_are_counted_and_no_more(waiting: TestClient) -> None:
    """Exactly up to 10,000; beyond, the answer says that it stopped there."""
    store = queue_store(waiting)
    row = {"type": "scan", "payload": {}, "status": "complete", "created_at": 1, "revision": 1}
    with store.database.write() as connection:
        connection.execute(insert(jobs), [row | {"id": f"{n:036}", "key": str(n)} for n in range(10_000)])
    counts = [waiting.get("/api/v1/jobs?limit=1").json()]
    store.submit(JobRequest(type="scan", payload={}))
    counts.append(waiting.get("/api/v1/jobs?limit=1").json())
    assert [(each["total"], each["total_is_lower_bound"]) for each in counts] == [(10_000, False), (10_000, True)]


@pytest.mark.parametrize(
    "url",
    [
        "/jobs?status=done", "/jobs?limit=0", "/jobs?colour=red", f"/jobs/{UNKNOWN}?x=1",
        f"/jobs/{UNKNOWN}/wait?timeout=61", f"/jobs/{UNKNOWN}/wait?timeout=nan", f"/jobs/{UNKNOWN}/wait?timeout=-1",
        f"/jobs/{UNKNOWN}/files?outcome=lost", f"/jobs/{UNKNOWN}/files?limit=201", "/jobs?parent=nothing",
        "/jobs?limit=1&limit=2", "/jobs?status=failed&status=failed", "/events?parts=perhaps", "/events?part=true",
    ],
)  # fmt: skip
def test_a_request_of_the_wrong_shape_is_refused(client: TestClient, url: str) -> None:
    """Each with the field that is wrong."""
    response = client.get("/api/v1" + url)
    problem(response, 422, "VALIDATION_ERROR")
    assert response.json()["errors"][0]["field"].startswith("query.")


def test_waiting_answers_at_the_end_or_when_the_time_is_over(waiting: TestClient, tmp_path: Path) -> None:
    """With the state as it is, 200 either way."""
    job_id = submit(waiting, tmp_path)
    response = waiting.get(f"/api/v1/jobs/{job_id}/wait?timeout=0.01")
    assert (response.status_code, response.json()["status"]) == (200, "pending")
    waiting.post(f"/api/v1/jobs/{job_id}/cancel")
    assert waiting.get(f"/api/v1/jobs/{job_id}/wait?timeout=60").json()["status"] == "cancelled"


def test_a_pending_job_is_cancelled_at_once_and_an_ended_one_not_at_all(waiting: TestClient, tmp_path: Path) -> None:
    """202 with the job, then 409."""
    job_id = submit(waiting, tmp_path)
    response = waiting.post(f"/api/v1/jobs/{job_id}/cancel")
    assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    problem(waiting.post(f"/api/v1/jobs/{job_id}/cancel"), 409, "JOB_ALREADY_FINISHED")


def test_a_running_job_is_told_to_end(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps what it did as its result."""
    begun = threading.Event()

    async def handler(_job: Any, context: Any) -> dict[str, Any]:
        context.partial_result = {"scanned": 3}
        begun.set()
        await asyncio.to_thread(context._told_to_end.wait, 10)
        context.raise_if_cancelled()
        raise AssertionError

    monkeypatch.setattr("stoat_ferret.runtime.make_scan_handler", lambda *_arguments, **_options: handler)
    with TestClient(create_app(settings, in_memory_jobs=True), base_url=BASE) as client:
        # A submit runs the job, so it is sent beside the rest.
        submitting = threading.Thread(target=client.post, args=(SCAN,), kwargs={"json": {"path": str(tmp_path)}})
        submitting.start()
        assert begun.wait(10)
        (job,) = client.get("/api/v1/jobs").json()["jobs"]
        assert job["status"] == "running"
        response = client.post(f"/api/v1/jobs/{job['job_id']}/cancel")
        assert (response.status_code, response.json()["cancel_requested"]) == (202, True)
        submitting.join()
        ended = client.get(f"/api/v1/jobs/{job['job_id']}").json()
        assert (ended["status"], ended["result"], ended["error"]) == ("cancelled", {"scanned": 3}, None)


def test_a_failed_job_is_a_200_that_says_why(client: TestClient, tmp_path: Path) -> None:
    """With a sentence, a code, and what was done until then."""
    place_clip(tmp_path / "v" / "a.mp4")
    scan(client, tmp_path / "v")
    (tmp_path / "v").rename(tmp_path / "away")
    job = scan(client, tmp_path / "v")
    assert (job["status"], job["error_code"]) == ("failed", "LIBRARY_OFFLINE")
    assert job["error"].endswith(".")
    assert job["result"]["scanned"] == 0
    assert job["progress"] != 1.0


def test_the_ledger_says_what_was_done_to_each_file(client: TestClient, clips: Path, tmp_path: Path) -> None:
    """Every number of the result can be derived from it, a page at a time."""
    scan(client, clips)
    put(tmp_path / "x")
    job = scan(client, clips)
    url = f"/api/v1/jobs/{job['job_id']}/files"
    rows: list[dict[str, Any]] = []
    page = url + "?limit=1"
    while page:
        response = client.get(page)
        rows += response.json()["files"]
        link = response.headers.get("link", "")
        page = link[1 : link.index(">")] if link else ""
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["outcome"]] = totals.get(row["outcome"], 0) + row["count"]
    assert totals == {name: job["result"][name] for name in totals}
    assert set(totals) == {"unchanged", "failed", "skipped"}
    assert sorted(row["path"] for row in rows) == [row["path"] for row in rows]
    (failed,) = client.get(url + "?outcome=failed").json()["files"]
    assert (failed["path"], failed["code"]) == (str(clips / "cut.mp4"), "INCOMPLETE_FILE")
    assert failed["reason"]
    assert failed["at"].endswith("Z")
    (skipped,) = client.get(url + "?outcome=skipped").json()["files"]
    assert (skipped["path"], skipped["code"]) == (str(clips / "sound.mp4"), "NO_VIDEO_STREAM")
    cursor = client.get(url + "?limit=1").json()["next_cursor"]
    problem(client.get(f"{url}?outcome=failed&cursor={cursor}"), 400, "INVALID_CURSOR")


def test_parts_are_listed_by_what_they_are_parts_of(waiting: TestClient, tmp_path: Path) -> None:
    """And are no jobs of their own in the list of all."""
    parent = submit(waiting, tmp_path)
    part = queue_store(waiting).submit(JobRequest(type="probe", payload={}, parent_id=parent)).job
    (shown,) = waiting.get(f"/api/v1/jobs?parent={parent.upper()}").json()["jobs"]
    assert (shown["job_id"], shown["parent_id"]) == (part.id, parent)
    (listed,) = waiting.get("/api/v1/jobs").json()["jobs"]
    assert (listed["job_id"], listed["parent_id"]) == (parent, None)
    assert waiting.get(f"/api/v1/jobs?parent={UNKNOWN}").json()["jobs"] == []


def test_a_job_that_was_not_completed_can_be_done_again(waiting: TestClient, tmp_path: Path) -> None:
    """As a new job that names the first."""
    job_id = submit(waiting, tmp_path)
    problem(waiting.post(f"/api/v1/jobs/{job_id}/retry"), 409, "JOB_NOT_RETRYABLE")
    waiting.post(f"/api/v1/jobs/{job_id}/cancel")
    response = waiting.post(f"/api/v1/jobs/{job_id}/retry")
    assert response.status_code == 202
    again = response.json()
    assert (again["retry_of"], again["status"], again["payload"]["path"]) == (job_id, "pending", str(tmp_path))
    assert again["job_id"] != job_id
    assert response.headers["location"] == f"/api/v1/jobs/{again['job_id']}"
    assert response.headers["retry-after"] == "1"


def test_a_complete_job_is_not_done_again(client: TestClient, tmp_path: Path) -> None:
    """A new scan is what is wanted then."""
    job_id = submit(client, tmp_path)
    problem(client.post(f"/api/v1/jobs/{job_id}/retry"), 409, "JOB_NOT_RETRYABLE")


def rows_left(client: TestClient) -> int:
    with catalogue_of(client).read() as connection:
        tables = (ledger_rows, scan_costs, gone, job_claims)
        return sum(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)


def test_a_job_that_has_ended_can_be_forgotten(client: TestClient, clips: Path) -> None:
    """With all that it left, but for the videos."""
    job_id = submit(client, clips)
    assert rows_left(client) > 4
    assert client.delete(f"/api/v1/jobs/{job_id}").status_code == 204
    for path in ("", "/files", "/events"):
        problem(client.get(f"/api/v1/jobs/{job_id}{path}"), 404, "JOB_NOT_FOUND")
    assert rows_left(client) == 0
    assert client.get("/api/v1/videos").json()["total"] == 2
    problem(client.delete(f"/api/v1/jobs/{job_id}"), 404, "JOB_NOT_FOUND")


def test_a_job_that_has_not_ended_is_kept(waiting: TestClient, tmp_path: Path) -> None:
    """It has to be cancelled first."""
    job_id = submit(waiting, tmp_path)
    problem(waiting.delete(f"/api/v1/jobs/{job_id}"), 409, "JOB_NOT_FINISHED")
    waiting.post(f"/api/v1/jobs/{job_id}/cancel")
    store = queue_store(waiting)
    parts = [store.submit(JobRequest(type="probe", payload={}, key=str(n), parent_id=job_id)).job for n in range(3)]
    for part in parts:
        store.cancel(part.id)
    assert waiting.delete(f"/api/v1/jobs/{job_id}").status_code == 204
    for part in parts:
        problem(waiting.get(f"/api/v1/jobs/{part.id}"), 404, "JOB_NOT_FOUND")


def many_rows(client: TestClient, job_id: str, count: int) -> None:
    rows = [
        (None, LedgerRow(path_bytes=b"/v/%06d" % n, outcome=Outcome.NEW if n % 3 else Outcome.FAILED, at=n))
        for n in range(count)
    ]
    with catalogue_of(client).write() as connection:
        ledger.record(connection, job_id, rows)


def test_the_whole_ledger_comes_as_lines(waiting: TestClient, tmp_path: Path) -> None:
    """All of it, or all of an outcome, or from a cursor on; each line is what the pages hold."""
    job_id = submit(waiting, tmp_path)
    many_rows(waiting, job_id, 2345)
    url = f"/api/v1/jobs/{job_id}/files"
    lines = {"Accept": "application/x-ndjson"}
    answer = waiting.get(url, headers=lines)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.headers["vary"] == "Accept"
    entries = [json.loads(line) for line in answer.text.splitlines()]
    assert [entry["path"] for entry in entries] == [f"/v/{number:06}" for number in range(2345)]
    page = waiting.get(url + "?limit=200").json()
    assert page["files"] == entries[:200]
    rest = waiting.get(f"{url}?limit=1&cursor={page['next_cursor']}", headers=lines)
    assert len(rest.text.splitlines()) == 2145
    failed = waiting.get(url + "?outcome=failed", headers=lines).text.splitlines()
    assert len(failed) == 782
    assert {json.loads(line)["outcome"] for line in failed} == {"failed"}
    assert waiting.get(url + "?outcome=moved", headers=lines).text == ""
    problem(waiting.get(f"{url}?cursor=nonsense", headers=lines), 400, "INVALID_CURSOR")
    problem(waiting.get(f"/api/v1/jobs/{UNKNOWN}/files", headers=lines), 404, "JOB_NOT_FOUND")
    head = waiting.head(url, headers=lines)
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", "application/x-ndjson")


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/json", "application/x-ndjson;q=0", "application/*", "application/x-ndjson;q=0.5, */*"],
)
def test_pages_are_what_comes_otherwise(waiting: TestClient, tmp_path: Path, accept: str) -> None:
    """Lines have to be preferred."""
    url = f"/api/v1/jobs/{submit(waiting, tmp_path)}/files"
    answer = waiting.get(url, headers={"Accept": accept})
    assert (answer.json()["files"], answer.headers["vary"]) == ([], "Accept")


@pytest.mark.parametrize("given", ["", "one", "-1", "1.0", "9" * 20, "٣"])
@pytest.mark.parametrize("path", ["/events", f"/jobs/{UNKNOWN}/events"])
def test_an_event_id_that_never_was_is_refused(client: TestClient, path: str, given: str) -> None:
    """Rather than to begin where nobody knows."""
    answer = client.get("/api/v1" + path, headers=[(b"Last-Event-ID", given.encode())])
    problem(answer, 400, "INVALID_CURSOR")


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/videos", "/health/live", "/", "/openapi.json", "/metrics"])
def test_head_is_a_get_without_its_body(client: TestClient, path: str) -> None:
    """The same head, as far as it does not depend on the moment."""
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/":
        assert head.headers["content-length"] == str(len(get.content)) or path == "/metrics"


def test_head_is_refused_as_the_get_would_be(client: TestClient) -> None:
    """With the same status; where there is no GET, there is no HEAD."""
    assert client.head(f"/api/v1/jobs/{UNKNOWN}").status_code == 404
    assert client.head("/api/v1/videos/scan").status_code in {404, 405}
    answer = client.put("/api/v1/jobs")
    problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, HEAD"
