"""Why a path is known or not, over HTTP; what was set aside; and scans of single files."""

import base64
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from stoat_ferret.api.services import explain as explaining
from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.tables import folders, rejects, videos
from stoat_ferret.settings import Settings
from tests.media_files import place_clip, stream_without_picture
from tests.test_api.answers import problem, scan
from tests.test_api.answers import videos as listed

EXPLAIN = "/api/v1/videos/explain"


@pytest.fixture
def root(client: TestClient, tmp_path: Path) -> Path:
    """A library that was scanned, with what may stand in a catalogue's way."""
    folder = tmp_path / "v"
    place_clip(folder / "beach.mp4")
    stream_without_picture(folder / "sound.mp4")
    (folder / "text.mp4").write_text("no video at all")
    os.utime(folder / "text.mp4", (0, 0))
    place_clip(folder / "proxies" / "beach.mp4", seed=1)
    (folder / ".stoatignore").write_text("# left out\nproxies/\n*.tmp.mp4\n")
    (folder / "notes.txt").write_text("nothing to see")
    (folder / "link.mp4").symlink_to(folder / "beach.mp4")
    os.mkfifo(folder / "pipe.mp4")
    scan(client, folder)
    return folder


def explained(client: TestClient, path: Path | str) -> dict[str, Any]:
    answer = client.get(EXPLAIN, params={"path": str(path)})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("name", "decision", "said"),
    [
        ("beach.mp4", "available", "in the catalogue"),
        ("sound.mp4", "skipped", "no picture stream"),
        ("text.mp4", "failed", "not a video"),
        ("proxies/beach.mp4", "ignored", "line 2 of"),
        ("proxies", "ignored", "line 2 of"),
        ("a.tmp.mp4", "not_there", "does not exist"),
        ("notes.txt", "no_video_ending", "STOAT_VIDEO_EXTENSIONS"),
        ("link.mp4", "symlink", "symbolic link"),
        ("pipe.mp4", "not_a_file", "pipe"),
        ("nothing/at/all.mp4", "not_there", "is no folder"),
        ("", "folder", "library"),
        ("../elsewhere.mp4", "no_library", "No library covers"),
    ],
)
def test_every_path_has_its_reason(client: TestClient, root: Path, name: str, decision: str, said: str) -> None:
    """Whatever it is that decided."""
    found = explained(client, f"{root}/{name}")
    assert (found["decision"], found["known"]) == (decision, decision == "available")
    assert said in found["reason"]


def test_a_rule_is_named_by_file_and_line(client: TestClient, root: Path) -> None:
    """So that one can go there and change it."""
    place_clip(root / "a.tmp.mp4", seed=2)
    found = explained(client, root / "a.tmp.mp4")
    assert found["rule"] == {"source": str(root / ".stoatignore"), "line": 3, "pattern": "*.tmp.mp4"}
    assert explained(client, root / "proxies" / "beach.mp4")["rule"]["line"] == 2


def test_what_happened_is_told_the_latest_first(client: TestClient, root: Path) -> None:
    """Of the video, wherever it was then."""
    (root / "beach.mp4").rename(root / "shore.mp4")
    moved = scan(client, root)
    found = explained(client, root / "shore.mp4")
    assert [(event["what"], event["path"]) for event in found["events"]] == [
        ("moved", str(root / "shore.mp4")),
        ("added", str(root / "beach.mp4")),
    ]
    assert found["events"][0]["job_id"] == moved["job_id"]
    before = explained(client, root / "beach.mp4")
    assert (before["decision"], before["video_path"]) == ("moved", str(root / "shore.mp4"))
    (root / "shore.mp4").unlink()
    place_clip(root / "other.mp4", seed=3)
    scan(client, root)
    gone = explained(client, root / "shore.mp4")
    assert (gone["decision"], gone["events"][0]["what"]) == ("missing", "missing")
    assert gone["since"] is not None


def test_what_no_scan_has_met_yet_says_so(client: TestClient, root: Path, settings: Settings) -> None:
    """And what may still be being written."""
    place_clip(root / "new.mp4", seed=4)
    os.utime(root / "new.mp4", (1_600_000_000, 1_600_000_000))
    assert explained(client, root / "new.mp4")["decision"] == "not_scanned"
    with opened(settings) as database, database.write() as connection:
        connection.exec_driver_sql("UPDATE libraries SET settle_seconds = 3600")
    os.utime(root / "new.mp4", (time.time(), time.time()))
    assert explained(client, root / "new.mp4")["decision"] == "still_written"


def test_names_that_are_no_text_are_explained_too(client: TestClient, root: Path) -> None:
    """By their bytes."""
    path = os.fsencode(root) + b"/\xff.mp4"
    place_clip(path, seed=5)
    scan(client, root)
    answer = client.get(EXPLAIN, params={"path_bytes": base64.b64encode(path).decode()})
    assert (answer.json()["decision"], answer.json()["path_bytes"]) == ("available", base64.b64encode(path).decode())


def test_a_path_is_needed_and_must_be_absolute(client: TestClient) -> None:
    """Told as elsewhere."""
    problem(client.get(EXPLAIN), 400, "INVALID_PATH")
    problem(client.get(EXPLAIN, params={"path": "a/b"}), 400, "INVALID_PATH")


class opened:  # noqa: N801 - reads as a verb
    """The catalogue's file, beside the program."""

    def __init__(self, settings: Settings) -> None:
        self._database = open_sqlite(settings.library_database)

    def __enter__(self) -> Database:
        return self._database

    def __exit__(self, *_error: object) -> None:
        self._database.close()


def set_aside(settings: Settings, path: Path) -> None:
    """Let a file have hung its examination, twice."""
    with opened(settings) as database, database.write() as connection:
        row = {"code": "PROBE_TIMEOUT", "reason": "It took too long, twice.", "outcome": "failed"}
        connection.execute(rejects.update().where(rejects.c.path_bytes == os.fsencode(path)).values(row))
        connection.execute(folders.update().values(digest=None))


def test_a_disk_that_hangs_is_said_to(client: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs the one who asks two seconds, and nobody else anything."""
    release = threading.Event()

    def hang(*_arguments: object) -> None:
        release.wait(60)

    monkeypatch.setattr(explaining, "descend", hang)
    try:
        problem(client.get(EXPLAIN, params={"path": str(root / "unknown.mp4")}), 503, "PATH_TIMEOUT")
    finally:
        release.set()


def test_what_was_set_aside_is_listed_and_tried_again(client: TestClient, root: Path, settings: Settings) -> None:
    """Only when somebody asks: a scan by itself leaves it alone."""
    path = root / "text.mp4"
    set_aside(settings, path)
    assert scan(client, root)["result"]["failed"] == 1
    [file] = client.get("/api/v1/videos/quarantine").json()["files"]
    assert (file["path"], file["code"], file["reason"]) == (str(path), "PROBE_TIMEOUT", "It took too long, twice.")
    found = explained(client, path)
    assert (found["decision"], found["code"]) == ("quarantined", "PROBE_TIMEOUT")
    retry = "/api/v1/videos/quarantine/retry"
    problem(client.post(retry, json={"paths": [str(root / "beach.mp4")]}), 400, "INVALID_PATH")
    problem(client.post(retry, json={}), 422, "VALIDATION_ERROR")
    answer = client.post(retry, json={"paths": [str(path)]})
    assert answer.status_code == 202
    [job_id] = answer.json()["job_ids"]
    assert client.get(f"/api/v1/jobs/{job_id}/wait").json()["result"]["failed"] == 1
    assert client.get("/api/v1/videos/quarantine").json()["files"] == []
    assert explained(client, path)["decision"] == "failed"
    set_aside(settings, path)
    assert len(client.post(retry, json={"all": True}).json()["job_ids"]) == 1


def test_a_single_file_is_scanned_without_the_rest(client: TestClient, root: Path, settings: Settings) -> None:
    """Its neighbours are neither met nor missed."""
    [video] = listed(client)
    place_clip(root / "new.mp4", seed=6)
    place_clip(root / "beach.mp4", seed=7)
    answer = client.post(f"/api/v1/videos/{video['id']}/scan")
    assert answer.status_code == 202
    job = client.get(f"/api/v1/jobs/{answer.json()['job_id']}/wait").json()
    assert (job["result"]["scanned"], job["result"]["updated"]) == (1, 1)
    assert [each["filename"] for each in listed(client)] == ["beach.mp4"]
    (root / "beach.mp4").unlink()
    dry = client.post(f"/api/v1/videos/{video['id']}/scan", json={"dry_run": True}).json()["job_id"]
    assert client.get(f"/api/v1/jobs/{dry}/wait").json()["result"]["missing"] == 1
    assert listed(client)[0]["state"] == "available"
    job_id = client.post(f"/api/v1/videos/{video['id']}/scan").json()["job_id"]
    assert client.get(f"/api/v1/jobs/{job_id}/wait").json()["result"]["missing"] == 1
    assert listed(client)[0]["state"] == "missing"
    assert scan(client, root)["result"]["new"] == 1
    problem(client.post("/api/v1/videos/nothing/scan"), 404, "VIDEO_NOT_FOUND")
    with opened(settings) as database, database.read() as connection:
        assert len(connection.execute(videos.select()).all()) == 2
