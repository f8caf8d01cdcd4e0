"""The change feed over HTTP."""

import threading
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from tests.media_files import place_clip
from tests.test_api.answers import problem, scan, videos

CHANGES = "/api/v1/changes"


def rebuilt(client: TestClient, limit: int) -> dict[str, tuple[str, str]]:
    """Follow the feed from its start, as a client does."""
    known: dict[str, tuple[str, str]] = {}
    after = 0
    while True:
        page = client.get(CHANGES, params={"after": after, "limit": limit}).json()
        if not page["changes"]:
            assert page["next_after"] == after
            return known
        for change in page["changes"]:
            assert change["seq"] > after
            after = change["seq"]
            known[change["video_id"]] = (change["path"], change["state"])
            if change["kind"] == "removed":
                del known[change["video_id"]]
        assert page["next_after"] == after


def test_a_client_rebuilds_the_list_from_the_feed(client: TestClient, tmp_path: Path) -> None:
    """Whatever happened: added, moved, gone, back, forgotten."""
    root = tmp_path / "v"
    for number in range(4):
        place_clip(root / f"{number}.mp4", seed=number)
    scan(client, root)
    (root / "0.mp4").rename(root / "zero.mp4")
    (root / "1.mp4").rename(tmp_path / "aside.mp4")
    scan(client, root)
    (tmp_path / "aside.mp4").rename(root / "1.mp4")
    scan(client, root)
    forgotten = next(video for video in videos(client) if video["filename"] == "2.mp4")
    client.delete(f"/api/v1/videos/{forgotten['id']}")
    listed = {video["id"]: (video["path"], video["state"]) for video in videos(client)}
    assert rebuilt(client, 1) == rebuilt(client, 200) == listed
    kinds = [change["kind"] for change in client.get(CHANGES).json()["changes"]]
    assert kinds == ["added"] * 4 + ["moved", "missing", "restored", "removed"]


def test_one_can_wait_for_a_change(client: TestClient, tmp_path: Path) -> None:
    """The answer comes with it, and is empty when the time is over."""
    assert client.get(CHANGES, params={"wait": 0.05}).json() == {"changes": [], "next_after": 0}
    place_clip(tmp_path / "v" / "a.mp4")
    answers: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: answers.append(client.get(CHANGES, params={"wait": 60}).json()))
    waiting.start()
    scan(client, tmp_path / "v")
    waiting.join()
    assert [change["kind"] for change in answers[0]["changes"]] == ["added"]


def test_wrong_numbers_are_refused(client: TestClient) -> None:
    """With what would be right."""
    problem(client.get(CHANGES, params={"after": -1}), 422, "VALIDATION_ERROR")
    problem(client.get(CHANGES, params={"wait": 61}), 422, "VALIDATION_ERROR")
    problem(client.get(CHANGES, params={"since": 1}), 422, "VALIDATION_ERROR")
    problem(client.get(CHANGES + "/events", headers={"Last-Event-ID": "x"}), 400, "INVALID_CURSOR")
