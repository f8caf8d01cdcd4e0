"""What people set of videos, over HTTP: it is theirs, and no scan touches it."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.media_files import place_clip
from tests.test_api.answers import problem, scan, videos

SET = {"title": "A day at the beach", "notes": "Seen twice.\nGood light.", "rating": 4, "labels": ["to cut", "Été"]}


@pytest.fixture
def root(client: TestClient, tmp_path: Path) -> Path:
    """A library with two videos."""
    folder = tmp_path / "v"
    place_clip(folder / "a.mp4", title="Its own title")
    place_clip(folder / "b.mp4", seed=1)
    scan(client, folder)
    return folder


def video_at(client: TestClient, path: Path) -> dict[str, Any]:
    return next(video for video in videos(client) if video["path"] == str(path))


def patched(client: TestClient, path: Path, **given: Any) -> dict[str, Any]:
    answer = client.patch(f"/api/v1/videos/{video_at(client, path)['id']}", json=given)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_what_is_set_is_shown_and_found(client: TestClient, root: Path) -> None:
    """In lists, in the whole, and by a search; what is left out stays, null takes away."""
    shown = patched(client, root / "a.mp4", **SET)
    assert {name: shown[name] for name in ("title", "notes", "rating")} == {
        n: SET[n] for n in ("title", "notes", "rating")
    }
    assert shown["labels"] == ["to cut", "Été"]
    assert video_at(client, root / "a.mp4")["labels"] == ["to cut", "Été"]
    for query in ("beach", "ete", '"to cut"', "own title"):
        found = client.get("/api/v1/videos/search", params={"q": query}).json()["videos"]
        assert [video["path"] for video in found] == [str(root / "a.mp4")], query
    shown = patched(client, root / "a.mp4", title=None, labels=["to cut"])
    assert (shown["title"], shown["rating"], shown["labels"]) == ("Its own title", 4, ["to cut"])
    assert client.get("/api/v1/videos/search", params={"q": "ete"}).json()["total"] == 0
    kinds = [change["kind"] for change in client.get("/api/v1/changes").json()["changes"]]
    assert kinds == ["added", "added", "updated", "updated"]


def test_it_stays_whatever_becomes_of_the_file(client: TestClient, root: Path, tmp_path: Path) -> None:
    """Moved, edited, missing, back again: the id and all that was set are the same, and it is found by its new name."""
    first = patched(client, root / "a.mp4", **SET)
    own = {name: first[name] for name in ("id", "title", "notes", "rating", "labels")}
    (root / "a.mp4").rename(root / "shore.mp4")
    scan(client, root)
    place_clip(root / "shore.mp4", seed=5)
    scan(client, root)
    (root / "shore.mp4").rename(tmp_path / "aside.mp4")
    assert scan(client, root)["result"]["missing"] == 1
    (tmp_path / "aside.mp4").rename(root / "coast.mp4")
    assert scan(client, root)["result"]["moved"] == 1
    shown = client.get(f"/api/v1/videos/{own['id']}").json()
    assert {name: shown[name] for name in own} == own
    assert shown["path"] == str(root / "coast.mp4")
    assert [place["path"] for place in shown["places"]] == [str(root / "shore.mp4"), str(root / "a.mp4")]
    for query, count in (("coast", 1), ("beach", 1), ("shore", 0)):
        assert client.get("/api/v1/videos/search", params={"q": query}).json()["total"] == count, query


@pytest.mark.parametrize(
    "wrong",
    [
        {"rating": 6},
        {"rating": -1},
        {"rating": True},
        {"labels": ["a\nb"]},
        {"labels": [""]},
        {"title": "a\nb"},
        {"x": 1},
    ],
)
def test_what_cannot_be_is_refused(client: TestClient, root: Path, wrong: dict[str, Any]) -> None:
    """And nothing is changed."""
    video = video_at(client, root / "a.mp4")
    problem(client.patch(f"/api/v1/videos/{video['id']}", json=wrong), 422, "VALIDATION_ERROR")
    assert video_at(client, root / "a.mp4") == video
    problem(client.patch("/api/v1/videos/nothing", json={"rating": 1}), 404, "VIDEO_NOT_FOUND")


def test_two_who_edit_at_once_do_not_overwrite_each_other(client: TestClient, root: Path) -> None:
    """Where they say which version they have read."""
    url = f"/api/v1/videos/{video_at(client, root / 'a.mp4')['id']}"
    etag = client.get(url).headers["ETag"]
    done = client.patch(url, json={"rating": 1}, headers={"If-Match": etag})
    assert (done.status_code, done.json()["rating"]) == (200, 1)
    problem(client.patch(url, json={"rating": 2}, headers={"If-Match": etag}), 412, "PRECONDITION_FAILED")
    several = f'"of another time", {done.headers["ETag"]}'
    done = client.patch(url, json={"rating": 3}, headers={"If-Match": several})
    assert done.status_code == 200
    assert client.patch(url, json={"rating": 4}, headers={"If-Match": done.headers["ETag"]}).status_code == 200


def test_a_patch_that_says_nothing_changes_nothing(client: TestClient, root: Path) -> None:
    """Nobody is told of it, and the version stays."""
    url = f"/api/v1/videos/{video_at(client, root / 'a.mp4')['id']}"
    before = client.get(url)
    last = client.get("/api/v1/changes").json()
    assert client.patch(url, json={}).json() == before.json()
    assert client.get(url).headers["ETag"] == before.headers["ETag"]
    assert client.get("/api/v1/changes").json() == last


def test_videos_are_found_by_how_they_stand(client: TestClient, root: Path) -> None:
    """By a parameter, or by a word of the query; in quotes it is text."""
    (root / "b.mp4").unlink()
    scan(client, root)
    assert [video["path"] for video in videos(client, state="missing")] == [str(root / "b.mp4")]
    assert [video["path"] for video in videos(client, q="is:missing")] == [str(root / "b.mp4")]
    assert [video["path"] for video in videos(client, q="mp4 is:available")] == [str(root / "a.mp4")]
    assert videos(client, q='"is:missing"') == []
    assert [video["path"] for video in videos(client, q="b\tis:missing\u3000")] == [str(root / "b.mp4")]
    problem(client.get("/api/v1/videos", params={"state": "lost"}), 422, "VALIDATION_ERROR")
