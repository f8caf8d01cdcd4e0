"""What file systems hold in real life, met by the installed program over HTTP."""

import base64
import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from tests.test_blackbox.conftest import Start
from tests.test_blackbox.program import WITHOUT_ROOT_PRIVILEGE, Program
from tools.trees import make_tree, unique_clip


def test_an_empty_folder_is_a_complete_scan_of_nothing(program: Program, tmp_path: Path) -> None:
    """There being nothing is not an error."""
    (tmp_path / "empty").mkdir()
    result = program.scan(tmp_path / "empty")
    assert result["scanned"] == 0
    assert result["errors"] == []
    assert program.videos() == []


MANY = 1500
"""More than one page, batch and folder hold."""


@pytest.mark.slow
def test_many_files_are_all_catalogued_and_then_left_alone(program: Program, tmp_path: Path) -> None:
    """Every file is there once, paging through them all gives each once, and the second scan reads nothing."""
    make_tree(tmp_path / "many", MANY, a_folder=500)
    result = program.scan(tmp_path / "many")
    assert (result["new"], result["failed"], result["skipped"]) == (MANY, 0, 0)
    found = program.videos(sort="name")
    assert [video["filename"] for video in found] == [f"clip {number:07d}.mp4" for number in range(MANY)]
    assert len({video["id"] for video in found}) == MANY
    again = program.scan(tmp_path / "many")
    assert (again["unchanged"], again["scanned"], again["bytes_read"]) == (MANY, MANY, 0)


NAMES = {
    "a newline": b"two\nlines.mp4",
    "not UTF-8": b"caf\xe9 \xff.mp4",
    "emoji": "party 🎉👩‍👩‍👧.mp4".encode(),
    "255 bytes": b"x" * 251 + b".mp4",
    "a leading dash": b"-rf.mp4",
    "a format directive": b"frame%03d.mp4",
    "a protocol": b"http:127.0.0.1:80.mp4",
    "markup": b"<img src=x onerror=alert(1)>.mp4",
    "control characters": b"bell\x07 and \x1b[31mred.mp4",
    "blanks around": b"  blank  .mp4",
    "an upper-case ending": b"UPPER.MP4",
    "combining marks": "e\u0301te\u0301.mp4".encode(),
    "right to left": "סרט \u202egnp.mp4".encode(),
}


def test_names_are_bytes_and_any_of_them_will_do(program: Program, tmp_path: Path) -> None:
    """Each is catalogued under exactly its name, can be shown, pictured and found again, and is unchanged next time."""
    folder = os.fsencode(tmp_path / "names")
    os.mkdir(folder)
    for number, name in enumerate(NAMES.values()):
        with open(folder + b"/" + name, "wb") as file:
            file.write(unique_clip(number))
    result = program.scan(folder)
    assert (result["new"], result["failed"]) == (len(NAMES), 0), result
    exact = {
        base64.b64decode(video["path_bytes"]) if video["path_bytes"] else video["path"].encode(): video["id"]
        for video in program.videos()
    }
    assert set(exact) == {folder + b"/" + name for name in NAMES.values()}
    for video_id in exact.values():
        assert program.client.get(f"/api/v1/videos/{video_id}").status_code == 200
        picture = program.client.get(f"/api/v1/videos/{video_id}/thumbnail")
        assert picture.headers["content-type"] == "image/jpeg", picture.text
    found = program.client.get("/api/v1/videos/search", params={"q": "ete"}).json()
    assert [video["id"] for video in found["videos"]] == [exact[folder + b"/" + NAMES["combining marks"]]]
    assert program.scan(folder)["unchanged"] == len(NAMES)


def test_a_folder_whose_name_is_not_utf8_is_scanned_by_its_bytes(program: Program, tmp_path: Path) -> None:
    """`path_bytes` names what JSON text cannot."""
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    with open(folder + b"/a.mp4", "wb") as file:
        file.write(unique_clip(1))
    assert program.scan(folder)["new"] == 1
    [library] = program.client.get("/api/v1/libraries").json()["libraries"]
    assert base64.b64decode(library["path_bytes"]) == folder


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root without setpriv may read everything"
)
def test_an_unreadable_folder_hides_nothing(start: Start, tmp_path: Path) -> None:
    """What was known below it stays; the ledger says that it could not be read; readable again, nothing is probed."""
    make_tree(tmp_path / "films", 6, a_folder=2)
    closed = tmp_path / "films" / "folder 00001"
    time.sleep(3.1)  # so that the folders are old enough to be trusted by their digest
    program = start(prefix=WITHOUT_ROOT_PRIVILEGE)
    assert program.scan(tmp_path / "films")["new"] == 6
    closed.chmod(0)
    try:
        job = program.finish(program.submit(tmp_path / "films"))
        assert job["status"] == "complete"
        assert (job["result"]["unchanged"], job["result"]["missing"], job["result"]["skipped"]) == (4, 0, 1)
        [row] = program.ledger(job["job_id"], outcome="skipped")
        assert (row["path"], row["code"]) == (str(closed), "FOLDER_NOT_READABLE")
        assert {video["state"] for video in program.videos()} == {"available"}
    finally:
        closed.chmod(0o755)
    assert program.scan(tmp_path / "films")["unchanged"] == 6


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root without setpriv may read everything"
)
def test_an_unreadable_root_is_refused_before_a_job_is_made(start: Start, tmp_path: Path) -> None:
    """403, with the way out."""
    (tmp_path / "closed").mkdir(mode=0)
    program = start(prefix=WITHOUT_ROOT_PRIVILEGE)
    answer = program.client.post("/api/v1/videos/scan", json={"path": str(tmp_path / "closed")})
    assert (answer.status_code, answer.json()["code"]) == (403, "PATH_NOT_READABLE")
    (tmp_path / "closed").chmod(0o755)


def test_a_file_removed_while_the_scan_runs_is_reported_and_the_rest_is_catalogued(
    program: Program, tmp_path: Path
) -> None:
    """A file that vanishes between listing and probe has a reason in the ledger; a later scan does not know it."""
    make_tree(tmp_path / "films", 1500, a_folder=1500)
    victims = sorted((tmp_path / "films" / "folder 00000").iterdir())[-50:]
    job_id = program.submit(tmp_path / "films")
    while program.job(job_id)["status"] == "pending":
        time.sleep(0.005)
    while not (program.job(job_id)["progress_detail"] or {}).get("done"):
        time.sleep(0.005)
    for victim in victims:
        victim.unlink()
    job = program.finish(job_id)
    assert job["status"] == "complete"
    result = job["result"]
    assert result["new"] + result["failed"] == 1500
    failed = program.ledger(job_id, outcome="failed")
    assert result["failed"] == len(failed) > 0, "the files were examined before they could be removed"
    assert {row["path"] for row in failed} <= {str(victim) for victim in victims}
    assert {row["code"] for row in failed} == {"UNREADABLE"}
    later = program.scan(tmp_path / "films")
    assert later["failed"] == 0
    assert later["unchanged"] == 1450
    assert later["missing"] == result["new"] - 1450


def test_links_in_a_loop_end_and_special_files_are_never_opened(program: Program, tmp_path: Path) -> None:
    """Symbolic links are not followed; a pipe or a socket with a video's name blocks nothing."""
    films = tmp_path / "films"
    (films / "a" / "b").mkdir(parents=True)
    (films / "a" / "b" / "up").symlink_to(films, target_is_directory=True)
    (films / "self").symlink_to(films / "self")
    (films / "real.mp4").write_bytes(unique_clip(0))
    (films / "link.mp4").symlink_to(films / "real.mp4")
    (films / "dangling.mp4").symlink_to(films / "nothing.mp4")
    os.mkfifo(films / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(films)  # the address of a socket is short; tmp_path may not be
        listener.bind("socket.mp4")
        os.chdir(here)
        job = program.finish(program.submit(films))
    assert job["status"] == "complete"
    assert (job["result"]["new"], job["result"]["failed"]) == (1, 0)
    skipped = {Path(row["path"]).name: row["code"] for row in program.ledger(job["job_id"], outcome="skipped")}
    assert skipped == {
        "link.mp4": "SYMLINK",
        "dangling.mp4": "SYMLINK",
        "pipe.mp4": "NOT_A_FILE",
        "socket.mp4": "NOT_A_FILE",
    }


def test_a_root_that_went_away_or_was_emptied_loses_nothing(program: Program, tmp_path: Path) -> None:
    """The disk is probably not mounted: the job says so, the library is offline, every entry stays."""
    films = tmp_path / "films"
    make_tree(films, 4)
    program.scan(films)
    films.rename(tmp_path / "elsewhere")
    for empty in (False, True):
        if empty:
            films.mkdir()
        job = program.finish(program.submit(films))
        assert (job["status"], job["error_code"]) == ("failed", "LIBRARY_OFFLINE")
        assert str(films) in job["error"]
        assert [video["state"] for video in program.videos()] == ["available"] * 4
        [library] = program.client.get("/api/v1/libraries").json()["libraries"]
        assert library["state"] == "offline"
    films.rmdir()
    (tmp_path / "elsewhere").rename(films)
    assert program.scan(films)["unchanged"] == 4
    [library] = program.client.get("/api/v1/libraries").json()["libraries"]
    assert library["state"] == "online"


def test_a_very_deep_tree_is_scanned_to_its_end_or_says_where_it_stopped(program: Program, tmp_path: Path) -> None:
    """Paths longer than the system takes are a folder's problem, not the scan's."""
    films = tmp_path / "films"
    films.mkdir()
    (films / "top.mp4").write_bytes(unique_clip(0))
    descriptor = os.open(films, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(b"d" * 200, dir_fd=descriptor)
        below = os.open(b"d" * 200, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    job = program.finish(program.submit(films))
    assert job["status"] == "complete"
    assert job["result"]["new"] == 1
    [row] = program.ledger(job["job_id"], outcome="skipped")
    assert row["code"] == "PATH_TOO_LONG"
    assert "longer than" in row["reason"]
    shutil.rmtree(films)
