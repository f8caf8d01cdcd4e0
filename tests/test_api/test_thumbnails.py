"""Pictures made ahead, over HTTP, of real files."""

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from stoat_ferret.api.app import create_app
from stoat_ferret.errors import StorageBusyError
from stoat_ferret.jobs.queue import InMemoryJobQueue
from stoat_ferret.media.process import WorkerProcess
from tests.conftest import BASE
from tests.factories import make_settings
from tests.media_files import place_clip
from tests.test_api.answers import problem, scan, videos

ROUTE = "/api/v1/videos/thumbnails"
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
"""What Chromium says that it accepts as a picture."""


@pytest.fixture
def root(client: TestClient, tmp_path: Path) -> Path:
    """A library of two videos, one with a name that is no text."""
    folder = tmp_path / "v"
    place_clip(folder / "a.mp4", size=(640, 360), frames=3)
    place_clip(os.fsencode(folder) + b"/b/\xff\n.mp4", seed=2)
    scan(client, folder)
    return folder


def made(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post(ROUTE, json=body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = client.get(f"/api/v1/jobs/{answer.json()['job_id']}/wait").json()
    assert (job["status"], job["type"]) == ("complete", "thumbnails"), job
    return job


def test_the_pictures_that_pages_show_are_there_before_anybody_looks(
    client: TestClient, root: Path, tmp_path: Path
) -> None:
    """What a browser asks for, as the page names it, is in the cache and not made again."""
    job = made(client)
    assert (job["result"]["made"], job["result"]["errors"], job["progress"]) == (2, [], 1.0)
    page = client.get("/").text
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "data" / "thumbnails").rglob("*.*")}
    assert len(kept) == 2
    for video in videos(client):
        url = f"/api/v1/videos/{video['id']}/thumbnail?width=320"
        assert url in page
        picture = client.get(url, headers={"Accept": BROWSER})
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
        unchanged = client.get(url, headers={"Accept": BROWSER, "If-None-Match": picture.headers["etag"]})
        assert unchanged.status_code == 304
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data" / "thumbnails").rglob("*.*")} == kept
    assert made(client)["result"]["present"] == 2


def test_who_takes_no_other_picture_than_webp_is_given_it(client: TestClient, root: Path) -> None:
    """It is made where only the JPEG was made ahead, and then also what browsers are given, who prefer it."""
    assert made(client, path=str(root / "a.mp4"))["result"]["made"] == 1
    [video] = [video for video in videos(client) if video["path"].endswith("a.mp4")]
    url = f"/api/v1/videos/{video['id']}/thumbnail"
    seen = [client.get(url, headers={"Accept": accept}) for accept in (BROWSER, "image/webp", BROWSER, "*/*")]
    types = [answer.headers["content-type"] for answer in seen]
    assert types == ["image/jpeg", "image/webp", "image/webp", "image/jpeg"]


def test_a_picture_that_somebody_had_made_is_not_made_ahead_again(client: TestClient, root: Path) -> None:
    """In whatever format a browser was given it."""
    for video in videos(client):
        answer = client.get(f"/api/v1/videos/{video['id']}/thumbnail", headers={"Accept": BROWSER})
        assert answer.headers["content-type"] == "image/webp"
    result = made(client)["result"]
    assert (result["made"], result["present"]) == (0, 2)


def test_the_processes_that_scanned_make_the_pictures(
    client: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is started for them: to start one takes longer than to make a hundred pictures."""
    started: list[int] = []
    real = WorkerProcess.__init__

    def starting(worker: WorkerProcess, memory_limit_bytes: int) -> None:
        real(worker, memory_limit_bytes)
        started.append(worker.process.pid)

    monkeypatch.setattr(WorkerProcess, "__init__", starting)
    place_clip(root / "later.mp4", seed=3)
    scan(client, root)
    started.clear()
    assert made(client)["result"]["made"] == 3
    assert started == []


def test_of_one_folder_or_file(client: TestClient, root: Path) -> None:
    """By its name or its bytes; a wrong one is refused."""
    assert made(client, path=str(root / "a.mp4"))["result"]["made"] == 1
    place = base64.b64encode(os.fsencode(root) + b"/b/\xff\n.mp4").decode()
    assert made(client, path_bytes=place)["result"]["made"] == 1
    problem(client.post(ROUTE, json={"path": "/elsewhere"}), 400, "INVALID_PATH")
    problem(client.post(ROUTE, json={"path": "relative"}), 400, "INVALID_PATH")
    problem(client.post(ROUTE, json={"path": "/nul\0"}), 400, "INVALID_PATH")
    problem(client.post(ROUTE, json={"path": str(root), "path_bytes": place}), 400, "INVALID_PATH")
    problem(client.post(ROUTE, json={"retry": "yes"}), 422, "VALIDATION_ERROR")
    problem(client.post(ROUTE, json={"width": 9}), 422, "VALIDATION_ERROR")
    problem(client.post(ROUTE + "?force=1", json={}), 422, "VALIDATION_ERROR")


def test_what_has_no_picture_is_not_decoded_for_whoever_looks(client: TestClient, tmp_path: Path) -> None:
    """The reason is known."""
    place_clip(tmp_path / "v" / "zeros.mp4", fast_start=True)
    content = (tmp_path / "v" / "zeros.mp4").read_bytes()
    start = content.index(b"mdat") + 4
    (tmp_path / "v" / "zeros.mp4").write_bytes(content[:start] + bytes(len(content) - start))
    scan(client, tmp_path / "v")
    job = made(client)
    assert job["result"]["without_picture"] == 1
    [row] = client.get(f"/api/v1/jobs/{job['job_id']}/files").json()["files"]
    assert (row["outcome"], row["code"]) == ("skipped", "NO_PICTURE")
    (tmp_path / "v" / "zeros.mp4").unlink()
    [video] = videos(client)
    assert "damaged" in problem(client.get(f"/api/v1/videos/{video['id']}/thumbnail"), 404, "NO_PICTURE")
    assert made(client, retry=True)["result"]["failed"] == 1


def test_it_is_submitted_like_any_job(client: TestClient, root: Path) -> None:
    """Once under one key, and waited for where that is preferred."""
    key = {"Idempotency-Key": "one", "Prefer": "wait=20"}
    first = client.post(ROUTE, json={"path": str(root)}, headers=key)
    assert (first.status_code, first.json()["result"]["made"]) == (200, 2)
    again = client.post(ROUTE, json={"path": str(root)}, headers=key)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["job_id"] == first.json()["job_id"]
    problem(client.post(ROUTE, json={}, headers=key), 422, "IDEMPOTENCY_KEY_REUSED")
    assert client.post(ROUTE).status_code == 202


def test_pending_requests_for_the_same_are_joined_and_can_be_done_again(waiting: TestClient, tmp_path: Path) -> None:
    """Others are not; a cancelled one is asked for anew."""
    job_id = waiting.post(ROUTE).json()["job_id"]
    assert waiting.post(ROUTE, json={}).json()["job_id"] == job_id
    assert waiting.post(ROUTE, json={"retry": True}).json()["job_id"] != job_id
    waiting.post(f"/api/v1/jobs/{job_id}/cancel")
    again = waiting.post(f"/api/v1/jobs/{job_id}/retry")
    assert again.status_code == 202
    assert waiting.get(f"/api/v1/jobs/{again.json()['job_id']}").json()["retry_of"] == job_id


@pytest.fixture
def enriching(tmp_path: Path) -> Iterator[TestClient]:
    """The application, which makes pictures after each scan."""
    settings = make_settings(tmp_path / "data", thumbnails="after_scan")
    with TestClient(create_app(settings, in_memory_jobs=True), base_url=BASE) as client:
        yield client


def jobs(client: TestClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/v1/jobs?type=thumbnails").json()["jobs"]
    return found


def test_they_follow_a_scan_that_found_something(
    enriching: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New, changed or back; by themselves, with less urgency than any scan, of the folder or file that was scanned."""
    folder = tmp_path / "v"
    place_clip(folder / "a.mp4")
    scan(enriching, folder)
    [job] = jobs(enriching)
    assert job["payload"]["path"] == str(folder)
    assert enriching.get(f"/api/v1/jobs/{job['job_id']}/wait").json()["result"]["made"] == 1
    scan(enriching, folder)
    (folder / "a.mp4").rename(folder / "b.mp4")
    scan(enriching, folder)
    place_clip(folder / "c.mp4", seed=1)
    scan(enriching, folder, dry_run=True)
    assert len(jobs(enriching)) == 1, "nothing new to make a picture of"
    scan(enriching, folder)
    assert len(jobs(enriching)) == 2
    [video] = [video for video in videos(enriching) if video["filename"] == "c.mp4"]
    place_clip(folder / "c.mp4", seed=2, frames=20)
    one_file = enriching.post(f"/api/v1/videos/{video['id']}/scan", headers={"Prefer": "wait=20"}).json()
    assert one_file["result"]["updated"] == 1
    assert jobs(enriching)[0]["payload"]["path"] == str(folder / "c.mp4")
    place_clip(folder / "d.mp4", seed=3)
    real: Callable[..., Any] = InMemoryJobQueue.submit

    async def busy(queue: InMemoryJobQueue, request: Any, *more: Any) -> Any:
        if request.type == "thumbnails":
            raise StorageBusyError
        return await real(queue, request, *more)

    monkeypatch.setattr(InMemoryJobQueue, "submit", busy)
    assert scan(enriching, folder)["status"] == "complete", "the scan itself went well"


def test_they_are_not_made_by_themselves_unless_a_setting_says_so(client: TestClient, root: Path) -> None:
    """Nobody expects a scan to decode."""
    assert jobs(client) == []
