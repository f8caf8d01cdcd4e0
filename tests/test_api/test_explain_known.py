"""Paths that the catalogue knows: how they stand on disk now, and what really happened to them."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from stoat_ferret.api.services import explain as explaining
from stoat_ferret.db.engine import open_sqlite
from stoat_ferret.db.tables import libraries, videos
from stoat_ferret.settings import Settings
from tests.media_files import place_clip
from tests.test_api.answers import scan
from tests.test_api.test_explain import explained
from tests.test_api.test_verify import rot, verified


@pytest.fixture
def root(client: TestClient, tmp_path: Path) -> Path:
    """A library of two videos that was scanned."""
    folder = tmp_path / "v"
    place_clip(folder / "beach.mp4")
    place_clip(folder / "b" / "shore.mp4", seed=1)
    scan(client, folder)
    return folder


def whats(found: dict[str, Any]) -> list[str]:
    return [event["what"] for event in found["events"]]


def set_values(settings: Settings, table: Any, **values: Any) -> None:
    """Let the catalogue say something else, as whatever happened would."""
    database = open_sqlite(settings.library_database)
    with database.write() as connection:
        connection.execute(table.update().values(values))
    database.close()


@pytest.mark.parametrize("rule", ["*.mp4", "b/"])
def test_a_rule_that_came_later_is_named(client: TestClient, root: Path, rule: str) -> None:
    """With its file and line: before the next scan, which still knows the file, and behind it."""
    path = root / "b" / "shore.mp4"
    (root / ".stoatignore").write_text(f"# later\n{rule}\n")
    named = {"source": str(root / ".stoatignore"), "line": 2, "pattern": rule}
    before = explained(client, path)
    assert (before["decision"], before["rule"], before["known"]) == ("ignored", named, True)
    assert "still in the catalogue" in before["reason"]
    scan(client, root)
    after = explained(client, path)
    assert (after["decision"], after["rule"], after["known"]) == ("ignored", named, False)
    assert after["since"] is not None
    path.unlink()
    gone = explained(client, path)
    assert (gone["decision"], "no longer there" in gone["reason"]) == ("missing", True)


def test_a_dry_run_did_not_happen(client: TestClient, root: Path) -> None:
    """What it would do is told by itself only."""
    before = explained(client, root / "beach.mp4")["events"]
    (root / "beach.mp4").rename(root / "sea.mp4")
    scan(client, root, dry_run=True)
    assert explained(client, root / "beach.mp4")["events"] == before
    assert whats(explained(client, root / "sea.mp4")) == []


def test_a_verification_is_told_in_its_own_words(client: TestClient, root: Path) -> None:
    """Not in those of a scan, whose outcomes it records."""
    path = root / "beach.mp4"
    known = whats(explained(client, path))
    whole = path.read_bytes()
    status = path.stat()
    verified(client)
    assert whats(explained(client, path)) == ["hashed", *known]
    verified(client, mode="check")
    assert whats(explained(client, path)) == ["verified", "hashed", *known]
    rot(path)
    verified(client, mode="check")
    found = explained(client, path)
    assert whats(found) == ["damaged", "hashed", *known]
    assert (found["decision"], found["since"], found["known"]) == ("damaged", found["since"], True)
    assert found["since"] is not None
    assert f"stoat verify --accept {found['video_id']}" in found["reason"]
    path.write_bytes(whole)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    verified(client, mode="check")
    found = explained(client, path)
    assert (whats(found)[:2], found["decision"]) == (["recovered", "damaged"], "available")


def test_what_is_not_there_is_not_said_to_be(client: TestClient, root: Path, settings: Settings) -> None:
    """However the catalogue still has it: what is away, that nothing was removed, and what to do."""
    path = root / "beach.mp4"
    path.unlink()
    found = explained(client, path)
    assert (found["decision"], found["known"]) == ("not_there", True)
    assert "not there now. Nothing was removed" in found["reason"]
    assert f"stoat scan {root}" in found["reason"]
    set_values(settings, libraries, lost_from=2)
    assert "--accept-loss" in explained(client, path)["reason"]
    root.rename(root.with_name("away"))
    found = explained(client, path)
    assert (found["decision"], found["known"]) == ("offline", True)
    assert "Nothing was removed. Mount it" in found["reason"]
    root.mkdir()
    set_values(settings, libraries, state="offline")
    assert explained(client, path)["decision"] == "offline"


def test_what_is_there_again_is_said_to_be(client: TestClient, root: Path) -> None:
    """Though it still counts as missing, until a scan finds it."""
    path = root / "beach.mp4"
    path.unlink()
    scan(client, root)
    place_clip(path, seed=4)
    found = explained(client, path)
    assert (found["decision"], "The next scan finds it" in found["reason"]) == ("missing", True)


def test_what_a_scan_would_not_take_in_any_more_is_said(client: TestClient, root: Path) -> None:
    """A link in a video's place, for one."""
    path = root / "beach.mp4"
    path.rename(root / "sea.mp4")
    path.symlink_to(root / "sea.mp4")
    found = explained(client, path)
    assert (found["decision"], "symbolic link" in found["reason"]) == ("available", True)


def test_a_known_video_that_was_set_aside_says_how_to_try_again(
    client: TestClient, root: Path, settings: Settings
) -> None:
    """As a file does that never was a video."""
    values = {"state": "broken", "probe_error": "It took too long, twice.", "probe_error_at": 1_700_000_000_000_000}
    set_values(settings, videos, **values, probe_error_code="PROBE_TIMEOUT")
    found = explained(client, root / "beach.mp4")
    assert (found["decision"], found["code"], found["known"]) == ("quarantined", "PROBE_TIMEOUT", True)
    assert "stoat quarantine retry" in found["reason"]
    assert found["since"].startswith("2023-11-14")
    set_values(settings, videos, probe_error_code="NOT_MEDIA")
    found = explained(client, root / "beach.mp4")
    assert (found["decision"], "quarantine" in found["reason"]) == ("broken", False)


def test_of_a_known_file_the_catalogue_speaks_where_the_disk_does_not(
    client: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With that the disk does not answer."""
    release = threading.Event()
    monkeypatch.setattr(explaining, "descend", lambda *_arguments: release.wait(60))
    try:
        found = explained(client, root / "beach.mp4")
    finally:
        release.set()
    assert (found["decision"], "did not answer" in found["reason"]) == ("available", True)
