"""A watched library follows its folder by itself, also over a burst of events and over a time when nobody watched."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.test_blackbox.conftest import Start
from tests.test_blackbox.program import Program
from tools.trees import unique_clip

PATIENCE_SECONDS = 60.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that comes by itself."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def watched(program: Program, root: Path, **more: Any) -> dict[str, Any]:
    """Make a library of a folder that is watched, and wait until it is."""
    answer = program.client.post("/api/v1/libraries", json={"path": str(root), "watch": True, **more})
    assert answer.status_code == 201, answer.text
    library: dict[str, Any] = answer.json()
    until(lambda: state(program, library)["watching"] is not None, "nobody watches it")
    return state(program, library)


def state(program: Program, library: dict[str, Any]) -> dict[str, Any]:
    """Give the library as it is now."""
    found: dict[str, Any] = program.client.get(f"/api/v1/libraries/{library['id']}").json()
    return found


def present(program: Program) -> set[str]:
    """Give the names of the videos that are there."""
    return {video["filename"] for video in program.videos() if video["state"] != "missing"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a video in it."""
    folder = tmp_path / "films"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "first.mp4").write_bytes(unique_clip(0))
    return folder


def test_a_watched_library_follows_its_folder(start: Start, root: Path) -> None:
    """New, moved and deleted files, in folders old and new; ids stay with what has moved."""
    program = start(STOAT_SETTLE_SECONDS="0")
    library = watched(program, root)
    assert (library["watch"], library["watching"], library["watching_reason"]) == (True, "events", None)
    until(lambda: present(program) == {"first.mp4"}, "what was there already was not scanned")
    (before,) = program.videos()
    (root / "b" / "c").mkdir(parents=True)
    (root / "b" / "c" / "second.mp4").write_bytes(unique_clip(1))
    until(lambda: present(program) == {"first.mp4", "second.mp4"}, "a new file was not noticed")
    (root / "a").rename(root / "z")
    until(lambda: {video["path"] for video in program.videos()} >= {f"{root}/z/first.mp4"}, "a move was not noticed")
    assert program.client.get(f"/api/v1/videos/{before['id']}").json()["path"] == f"{root}/z/first.mp4"
    shutil.rmtree(root / "b")
    until(lambda: present(program) == {"first.mp4"}, "a loss was not noticed")


def test_what_happened_while_nobody_watched_is_found(start: Start, root: Path) -> None:
    """At the next start; and a library that is watched no more says so."""
    program = start(STOAT_SETTLE_SECONDS="0")
    library = watched(program, root)
    until(lambda: present(program) == {"first.mp4"}, "it was not scanned")
    program.stop()
    with closing(sqlite3.connect(program.data_dir / "library.db")) as connection:
        assert connection.execute("SELECT watch, watching FROM libraries").fetchall() == [(1, None)]
    (root / "later.mp4").write_bytes(unique_clip(2))
    program = start(STOAT_SETTLE_SECONDS="0")
    until(lambda: present(program) == {"first.mp4", "later.mp4"}, "it was not found")
    program.client.patch(f"/api/v1/libraries/{library['id']}", json={"watch": False}).raise_for_status()
    until(lambda: state(program, library)["watching"] is None, "it is still watched")


def test_a_folder_that_goes_away_and_comes_back(start: Start, root: Path) -> None:
    """As with a disk that is plugged in again: it says why it is not watched, nothing is lost, and it goes on."""
    program = start(STOAT_SETTLE_SECONDS="0")
    library = watched(program, root)
    until(lambda: present(program) == {"first.mp4"}, "it was not scanned")
    away = root.with_name("away")
    root.rename(away)
    until(lambda: state(program, library)["watching"] == "polling", "it was not noticed")
    assert "not there" in state(program, library)["watching_reason"]
    assert present(program) == {"first.mp4"}
    away.rename(root)
    until(lambda: state(program, library)["watching"] == "events", "it is not watched again")
    (root / "back.mp4").write_bytes(unique_clip(3))
    until(lambda: present(program) == {"first.mp4", "back.mp4"}, "a new file was not noticed")


@pytest.mark.slow
def test_a_burst_of_fifty_thousand_events(start: Start, root: Path) -> None:
    """More than the system's queue holds: the catalogue is right in the end, and the worker's memory stays flat."""
    program = start(STOAT_SETTLE_SECONDS="0")
    watched(program, root)
    until(lambda: present(program) == {"first.mp4"}, "it was not scanned")
    worker = program.worker()
    before = worker.memory_info().rss
    for number in range(12_500):
        path = f"{root}/a/{number % 50}.mp4"
        with open(path, "wb") as file:
            file.write(unique_clip(number))
        os.rename(path, f"{root}/a/{number % 50}x.mp4")
    for number in range(0, 50, 2):
        os.unlink(f"{root}/a/{number}x.mp4")
    expected = {"first.mp4", *(f"{number}x.mp4" for number in range(1, 50, 2))}
    until(lambda: present(program) == expected, "the catalogue is not right")
    assert worker.is_running()
    assert worker.memory_info().rss - before < 150 * 2**20
