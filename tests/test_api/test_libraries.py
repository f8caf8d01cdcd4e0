"""Libraries over HTTP."""

import asyncio
import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from stoat_ferret.jobs.model import Schedule
from stoat_ferret.jobs.store import JobStore
from tests.media_files import place_clip
from tests.test_api.answers import problem, scan

JSON = {"Content-Type": "application/json"}


def test_scanning_a_folder_makes_a_library_of_it(client: TestClient, tmp_path: Path) -> None:
    """One, however often and in whatever part it is scanned; its counter and its last scan are told."""
    assert client.get("/api/v1/libraries").json() == {"libraries": []}
    place_clip(tmp_path / "v" / "inner" / "a.mp4")
    scan(client, tmp_path / "v")
    last = scan(client, tmp_path / "v" / "inner")
    (library,) = client.get("/api/v1/libraries").json()["libraries"]
    assert (library["name"], library["path"], library["path_bytes"]) == ("v", str(tmp_path / "v"), None)
    assert (library["state"], library["video_count"], library["max_loss_fraction"]) == ("online", 1, 0.5)
    assert library["last_scan"]["job_id"] == last["job_id"]
    assert library["last_scan"]["finished_at"].endswith("Z")
    assert client.get(f"/api/v1/libraries/{library['id']}").json() == library


def test_libraries_are_listed_by_path(client: TestClient, tmp_path: Path) -> None:
    """A scan above them makes another one for what they do not own."""
    for name in ("b", "a"):
        place_clip(tmp_path / "v" / name / "x.mp4")
        scan(client, tmp_path / "v" / name)
    place_clip(tmp_path / "v" / "y.mp4")
    scan(client, tmp_path / "v")
    listed = client.get("/api/v1/libraries").json()["libraries"]
    assert [(library["name"], library["video_count"]) for library in listed] == [("v", 1), ("a", 1), ("b", 1)]


def test_a_library_whose_folder_is_away_is_offline(client: TestClient, tmp_path: Path) -> None:
    """Until a scan finds it again."""
    place_clip(tmp_path / "v" / "a.mp4")
    scan(client, tmp_path / "v")
    (tmp_path / "v").rename(tmp_path / "away")
    assert scan(client, tmp_path / "v")["status"] == "failed"
    assert client.get("/api/v1/libraries").json()["libraries"][0]["state"] == "offline"
    (tmp_path / "away").rename(tmp_path / "v")
    scan(client, tmp_path / "v")
    assert client.get("/api/v1/libraries").json()["libraries"][0]["state"] == "online"


def test_an_unknown_library_is_404(client: TestClient) -> None:
    """And an unknown parameter 422."""
    problem(client.get("/api/v1/libraries/nothing"), 404, "LIBRARY_NOT_FOUND")
    problem(client.get("/api/v1/libraries?limit=1"), 422, "VALIDATION_ERROR")


def library_of(client: TestClient, tmp_path: Path) -> str:
    """Make a library, and give its address."""
    place_clip(tmp_path / "v" / "a.mp4")
    scan(client, tmp_path / "v")
    (library,) = client.get("/api/v1/libraries").json()["libraries"]
    return f"/api/v1/libraries/{library['id']}"


def scheduled(client: TestClient) -> tuple[Schedule, ...]:
    """What the workers will go by."""
    store: JobStore = client.app_state["runtime"].queue.store
    return store.schedules()


def test_what_a_person_may_set_is_merged(client: TestClient, tmp_path: Path) -> None:
    """What is left out stays; null ends a schedule."""
    url = library_of(client, tmp_path)
    before = client.get(url).json()
    assert before["schedule"] is None
    first = client.patch(url, json={"name": "  Feriën 👨‍👩‍👧 ", "schedule": "0 3 * * *"})
    assert first.status_code == 200
    assert first.json() == {**before, "name": "Feriën 👨‍👩‍👧", "schedule": "0 3 * * *"}
    second = client.patch(
        url, content=b'{"max_loss_fraction": 1}', headers={"Content-Type": "application/merge-patch+json"}
    )
    assert second.json() == {**first.json(), "max_loss_fraction": 1.0}
    assert client.patch(url, json={}).json() == second.json()
    (planned,) = (each for each in scheduled(client) if each.name == f"library:{before['id']}")
    assert planned.cron == "0 3 * * *"
    assert client.patch(url, json={"schedule": None}).json() == {**second.json(), "schedule": None}
    assert [each.name for each in scheduled(client)] == ["maintenance"]
    answer = client.get(url, headers={"If-None-Match": client.patch(url, json={}).headers["etag"]})
    assert answer.status_code == 304


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""}, {"name": " "}, {"name": None}, {"name": "a\nb"}, {"name": "\ud800"}, {"name": "x" * 201},
        {"max_loss_fraction": 1.1}, {"max_loss_fraction": "0.5"}, {"max_loss_fraction": None}, {"schedule": 5},
        {"schedule": "x" * 201}, {"path": "/elsewhere"}, {"colour": "red"}, [], "name",
    ],
)  # fmt: skip
def test_what_cannot_be_set_is_refused(client: TestClient, tmp_path: Path, body: object) -> None:
    """And nothing is changed."""
    url = library_of(client, tmp_path)
    before = client.get(url).json()
    problem(client.patch(url, content=json.dumps(body), headers=JSON), 422, "VALIDATION_ERROR")
    assert client.get(url).json() == before


@pytest.mark.parametrize("line", ["", "daily", "0 3 * *", "0 3 * * * 30", "61 3 * * *", "0 0 30 2 *"])
def test_a_schedule_that_cron_does_not_understand_is_refused(client: TestClient, tmp_path: Path, line: str) -> None:
    """With a sentence that says what is wrong with it."""
    url = library_of(client, tmp_path)
    detail = problem(client.patch(url, json={"name": "new", "schedule": line}), 400, "INVALID_SCHEDULE")
    assert repr(line) in detail
    assert client.get(url).json()["name"] == "v"


def test_a_library_that_is_not_there_cannot_be_set(client: TestClient) -> None:
    """404, and a body that is no JSON 422."""
    problem(client.patch("/api/v1/libraries/nothing", json={}), 404, "LIBRARY_NOT_FOUND")
    answer = client.patch("/api/v1/libraries/nothing", content=b"{", headers={"Content-Type": "text/plain"})
    assert "application/json" in problem(answer, 422, "VALIDATION_ERROR")


def made(client: TestClient, path: Path, **more: object) -> dict[str, object]:
    answer = client.post("/api/v1/libraries", json={"path": str(path), **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, object] = answer.json()
    assert answer.headers["Location"] == f"/api/v1/libraries/{found['id']}"
    return found


def test_a_library_is_made_with_what_is_set_for_it(client: TestClient, tmp_path: Path) -> None:
    """Before anything in it was scanned."""
    (tmp_path / "v").mkdir()
    library = made(client, tmp_path / "v", name="Films", ignore=["proxies/"], settle_seconds=2, keep_missing_days=30)
    assert (library["name"], library["ignore"], library["video_count"]) == ("Films", ["proxies/"], 0)
    assert (library["settle_seconds"], library["keep_missing_days"]) == (2, 30)
    assert (library["watch"], library["watching"]) == (False, None)
    answer = client.patch(f"/api/v1/libraries/{library['id']}", json={"watch": True})
    assert answer.json()["watch"] is True
    problem(client.patch(f"/api/v1/libraries/{library['id']}", json={"watch": 1}), 422, "VALIDATION_ERROR")
    problem(client.post("/api/v1/libraries", json={"path": str(tmp_path / "v")}), 409, "LIBRARY_EXISTS")
    problem(client.post("/api/v1/libraries", json={"path": str(tmp_path / "nothing")}), 400, "INVALID_PATH")
    problem(client.post("/api/v1/libraries", json={"name": "x"}), 400, "INVALID_PATH")
    problem(client.post("/api/v1/libraries", json={"path": str(tmp_path), "ignore": ["!"]}), 422, "VALIDATION_ERROR")
    assert len(client.get("/api/v1/libraries").json()["libraries"]) == 1


def test_an_inner_library_takes_over_what_is_in_it(client: TestClient, tmp_path: Path) -> None:
    """With the numbers of both right, and nothing examined again."""
    for name in ("a.mp4", "inner/b.mp4", "inner/deep/c.mp4"):
        place_clip(tmp_path / "v" / name, seed=len(name))
    scan(client, tmp_path / "v")
    inner = made(client, tmp_path / "v" / "inner")
    outer, inner_now = client.get("/api/v1/libraries").json()["libraries"]
    assert (outer["video_count"], inner_now["video_count"], inner_now["id"]) == (1, 2, inner["id"])
    result = scan(client, tmp_path / "v")["result"]
    assert (result["unchanged"], result["missing"], result["new"]) == (3, 0, 0)


def test_a_library_is_forgotten_with_its_entries(client: TestClient, tmp_path: Path) -> None:
    """Each removal is told; the files are there, and are new to the next scan. Not while a scan of it waits."""
    place_clip(tmp_path / "v" / "a.mp4")
    place_clip(tmp_path / "other" / "b.mp4", seed=1)
    scan(client, tmp_path / "v")
    scan(client, tmp_path / "other")
    library, other = sorted(client.get("/api/v1/libraries").json()["libraries"], key=lambda each: each["name"] != "v")
    assert client.delete(f"/api/v1/libraries/{library['id']}").status_code == 204
    assert client.get("/api/v1/libraries").json()["libraries"] == [other]
    assert client.get("/api/v1/videos").json()["total"] == 1
    assert client.get("/api/v1/changes").json()["changes"][-1]["kind"] == "removed"
    assert scan(client, tmp_path / "v")["result"]["new"] == 1
    problem(client.delete(f"/api/v1/libraries/{library['id']}"), 404, "LIBRARY_NOT_FOUND")


def test_one_that_is_to_be_scanned_is_not_forgotten(waiting: TestClient, tmp_path: Path) -> None:
    """The answer names the job."""
    (tmp_path / "v").mkdir()
    library = made(waiting, tmp_path / "v")
    job_id = waiting.post("/api/v1/videos/scan", json={"path": str(tmp_path / "v")}).json()["job_id"]
    assert job_id in problem(waiting.delete(f"/api/v1/libraries/{library['id']}"), 409, "LIBRARY_BUSY")


def test_what_is_missing_is_purged(client: TestClient, tmp_path: Path) -> None:
    """When asked to, and only what is missing for so long; never of a library that is offline."""
    for name in ("a", "b"):
        place_clip(tmp_path / "v" / f"{name}.mp4", seed=ord(name))
    scan(client, tmp_path / "v")
    [library] = client.get("/api/v1/libraries").json()["libraries"]
    (tmp_path / "v" / "a.mp4").unlink()
    scan(client, tmp_path / "v")
    purge = f"/api/v1/libraries/{library['id']}/purge"

    def purged(**body: float) -> int:
        job_id = client.post(purge, json=body).json()["job_id"]
        count: int = client.get(f"/api/v1/jobs/{job_id}/wait").json()["result"]["purged"]
        return count

    assert purged(older_than_days=1) == 0
    (tmp_path / "v").rename(tmp_path / "away")
    scan(client, tmp_path / "v")
    assert purged() == 0
    (tmp_path / "away").rename(tmp_path / "v")
    scan(client, tmp_path / "v")
    assert purged() == 1
    assert [video["filename"] for video in client.get("/api/v1/videos").json()["videos"]] == ["b.mp4"]
    problem(client.post(purge, json={"older_than_days": -1}), 422, "VALIDATION_ERROR")
    problem(client.post("/api/v1/libraries/nothing/purge"), 404, "LIBRARY_NOT_FOUND")


def test_no_library_is_made_where_a_scan_goes_on(waiting: TestClient, tmp_path: Path) -> None:
    """It would store under the library that it knows. One that only waits asks anew whose the folder is."""
    (tmp_path / "v" / "inner").mkdir(parents=True)
    made(waiting, tmp_path / "v")
    job_id = waiting.post("/api/v1/videos/scan", json={"path": str(tmp_path / "v")}).json()["job_id"]
    queue = waiting.app_state["runtime"].queue
    made(waiting, tmp_path / "v" / "inner")
    asyncio.run(queue.claim("worker"))
    (tmp_path / "v" / "other").mkdir()
    answer = waiting.post("/api/v1/libraries", json={"path": str(tmp_path / "v" / "other")})
    assert job_id in problem(answer, 409, "LIBRARY_BUSY")
    (tmp_path / "elsewhere").mkdir()
    made(waiting, tmp_path / "elsewhere")
