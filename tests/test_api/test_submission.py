"""Requests that are sent twice, and answers that wait for the job's end."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.api.submission import preferred_wait
from stoat_ferret.settings import Settings
from tests.integration.live_server import serving
from tests.media_files import place_clip
from tests.test_api.answers import SCAN, problem, scan

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
Send = Callable[..., Response]


@pytest.fixture(params=["/videos/scan", "/libraries/{id}/scan"])
def send(request: pytest.FixtureRequest, waiting: TestClient, tmp_path: Path) -> Send:
    """Ask for a scan of the same folder, by one route or the other."""
    (tmp_path / "v").mkdir()
    if request.param == "/videos/scan":
        return lambda headers, **body: waiting.post(SCAN, json={"path": str(tmp_path / "v"), **body}, headers=headers)
    repository = waiting.app_state["runtime"].repository
    with repository.database.write() as connection:
        library = repository.add_library(connection, str(tmp_path / "v").encode(), 0.5)
    url = f"/api/v1/libraries/{library.id}/scan"
    return lambda headers, **body: waiting.post(url, json=body, headers=headers)


def cancel(client: TestClient, answer: Response) -> str:
    """End the job of an answer, so that no other submit joins it."""
    job_id: str = answer.json()["job_id"]
    assert client.post(f"/api/v1/jobs/{job_id}/cancel").status_code == 202
    return job_id


def test_what_is_sent_twice_is_done_once(waiting: TestClient, send: Send, tmp_path: Path) -> None:
    """The same answer again, also when the job has ended and the folder is gone; the second says that it is one."""
    first = send(KEY, force=True)
    assert (first.status_code, set(first.json())) == (202, {"job_id"})
    assert "idempotency-replayed" not in first.headers
    job_id = cancel(waiting, first)
    shutil.rmtree(tmp_path / "v")
    second = send(KEY, force=True)
    assert (second.status_code, second.json()) == (202, {"job_id": job_id})
    assert second.headers["idempotency-replayed"] == "true"
    for name in ("location", "retry-after"):
        assert second.headers[name] == first.headers[name]
    assert len(waiting.get("/api/v1/jobs").json()["jobs"]) == 1


def test_a_key_is_for_one_request(waiting: TestClient, send: Send) -> None:
    """Another body under it is refused; what it means, not how it is written, makes a body another one."""
    job_id = cancel(waiting, send(KEY))
    problem(send(KEY, force=True), 422, "IDEMPOTENCY_KEY_REUSED")
    assert send(KEY, force=False, recursive=True).json()["job_id"] == job_id
    assert send({"Idempotency-Key": "another"}).json()["job_id"] != job_id
    assert cancel(waiting, send({})) != job_id


def test_each_route_has_keys_of_its_own(waiting: TestClient, tmp_path: Path) -> None:
    """A key that was used to scan is free to retry; and one of a retry is of that job's."""
    asked = {"path": str(tmp_path)}
    ids = [cancel(waiting, waiting.post(SCAN, json=asked, headers=headers)) for headers in (KEY, {})]
    retried = waiting.post(f"/api/v1/jobs/{ids[0]}/retry", headers=KEY)
    assert retried.json()["retry_of"] == ids[0]
    again = waiting.post(f"/api/v1/jobs/{ids[0]}/retry", headers=KEY)
    assert again.json() == retried.json()
    assert again.headers["idempotency-replayed"] == "true"
    problem(waiting.post(f"/api/v1/jobs/{ids[1]}/retry", headers=KEY), 422, "IDEMPOTENCY_KEY_REUSED")


def test_a_refusal_is_not_kept(waiting: TestClient, tmp_path: Path) -> None:
    """Nothing was done, so what was wrong can be mended and the request sent again."""
    body = {"path": str(tmp_path / "v")}
    problem(waiting.post(SCAN, json=body, headers=KEY), 400, "INVALID_PATH")
    (tmp_path / "v").mkdir()
    assert waiting.post(SCAN, json=body, headers=KEY).status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "naïve", "tab\tin it", "☃", "\x7f"])
def test_what_is_no_key(send: Send, key: str) -> None:
    """400, whatever else is asked."""
    problem(send([("Idempotency-Key", key.encode())]), 400, "INVALID_IDEMPOTENCY_KEY")


def test_two_keys_are_none(send: Send) -> None:
    """Which one is meant cannot be known."""
    problem(send([("Idempotency-Key", "a"), ("Idempotency-Key", "b")]), 400, "INVALID_IDEMPOTENCY_KEY")
    assert send([("Idempotency-Key", "~ " + "x" * 253)]).status_code == 202


def test_equal_requests_that_race_are_done_once(settings: Settings, tmp_path: Path) -> None:
    """And the key is kept across a restart."""
    (tmp_path / "v").mkdir()
    body: dict[str, Any] = {"path": str(tmp_path / "v")}
    with serving(settings) as live, ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: live.client.post(SCAN, json=body, headers=KEY), range(16)))
        assert {answer.status_code for answer in answers} == {202}
        [job_id] = {answer.json()["job_id"] for answer in answers}
        assert sum("idempotency-replayed" in answer.headers for answer in answers) == 15
        live.client.post(f"/api/v1/jobs/{job_id}/cancel")
    shutil.rmtree(tmp_path / "v")
    with serving(settings) as live:
        answer = live.client.post(SCAN, json=body, headers=KEY)
        assert (answer.status_code, answer.json()) == (202, {"job_id": job_id})
        problem(live.client.post(SCAN, json={**body, "force": True}, headers=KEY), 422, "IDEMPOTENCY_KEY_REUSED")


def test_an_answer_can_wait_for_the_end(client: TestClient, clips: Path) -> None:
    """Then it is the job's record."""
    answer = client.post(SCAN, json={"path": str(clips)}, headers={"Prefer": "respond-async, wait=10", **KEY})
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=10")
    record = answer.json()
    assert (record["status"], record["result"]["new"]) == ("complete", 2)
    assert answer.headers["location"] == f"/api/v1/jobs/{record['job_id']}"
    assert "retry-after" not in answer.headers
    replayed = client.post(SCAN, json={"path": str(clips)}, headers={"Prefer": "wait=1", **KEY})
    assert (replayed.status_code, replayed.json()) == (200, record)
    assert replayed.headers["idempotency-replayed"] == "true"


def test_an_answer_waits_no_longer_than_it_should(waiting: TestClient, send: Send) -> None:
    """Then it is what it would have been without waiting."""
    answer = send({"Prefer": "wait=0"})
    assert (answer.status_code, set(answer.json())) == (202, {"job_id"})
    assert answer.headers["preference-applied"] == "wait=0"
    assert "preference-applied" not in send({"Prefer": "wait=soon"}).headers
    job_id = cancel(waiting, answer)
    retried = waiting.post(f"/api/v1/jobs/{job_id}/retry", headers={"Prefer": "wait=0"})
    assert (retried.status_code, retried.json()["retry_of"]) == (202, job_id)


def test_an_answer_comes_when_the_job_ends(settings: Settings, tmp_path: Path) -> None:
    """Not when the time is over."""
    with serving(settings) as live, ThreadPoolExecutor() as threads:
        sent = threads.submit(live.client.post, SCAN, json={"path": str(tmp_path)}, headers={"Prefer": "wait=60"})
        live.until(lambda: live.store.list(None, None, None, 1).jobs != ())
        [job] = live.store.list(None, None, None, 1).jobs
        live.store.cancel(job.id)
        answer = sent.result(55)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=5", 5), ("WAIT = 5", 5), ('wait="5"', 5), ("wait=5; x=y", 5), ("a, b=c;d, wait=7, wait=8", 7),
        ("wait=61", 60), ("wait=999999999", 60), ("wait=0", 0), ("", None), ("wait", None), ("wait=", None),
        ("wait=-1", None), ("wait=1.5", None), ("wait=soon, wait=5", None), ("wait=٣", None), ("awaiting=5", None),
        ("wait=1234567890", None), ("return=minimal", None), ('wait="5', None),
    ],
)  # fmt: skip
def test_what_is_preferred(prefer: str, seconds: int | None) -> None:
    """The first `wait` counts, in whole seconds; what is malformed is ignored."""
    assert preferred_wait(prefer) == seconds


@given(st.text())
def test_any_preference_can_be_read(prefer: str) -> None:
    """Whatever somebody sends."""
    assert preferred_wait(prefer) in {None, *range(61)}


def test_a_library_is_scanned_by_its_id(client: TestClient, tmp_path: Path) -> None:
    """As its folder would be; without a body, or with the same options."""
    place_clip(tmp_path / "v" / "a.mp4")
    scan(client, tmp_path / "v")
    (library,) = client.get("/api/v1/libraries").json()["libraries"]
    url = f"/api/v1/libraries/{library['id']}/scan"
    answer = client.post(url)
    assert (answer.status_code, set(answer.json())) == (202, {"job_id"})
    job = client.get(answer.headers["location"]).json()
    assert (job["status"], job["result"]["unchanged"]) == ("complete", 1)
    forced = client.post(url, json={"force": True}, headers={"Prefer": "wait=10"}).json()
    assert (forced["result"]["updated"], forced["payload"]["force"]) == (1, True)
    problem(client.post(url, json={"path": "/"}), 422, "VALIDATION_ERROR")
    problem(client.post("/api/v1/libraries/nothing/scan"), 404, "LIBRARY_NOT_FOUND")
