"""A full disk under the data directory: said plainly, nothing lost, and over when there is room again."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.test_blackbox.conftest import Start
from tests.test_blackbox.program import Program
from tools.trees import make_tree

FILES = 3000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of five megabytes at `tmp_path/disk`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a disk cannot be mounted here: " + mounted.stderr.decode().strip())
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def readiness(program: Program) -> dict[str, Any]:
    """Give what the server says of itself."""
    said: dict[str, Any] = program.client.get("/health/ready").json()
    return said


@pytest.mark.slow
def test_a_scan_that_fills_the_disk_fails_with_that_reason(start: Start, small_disk: Path, tmp_path: Path) -> None:
    """The job ends, in room set aside for that; with more room the next scan does the rest."""
    make_tree(tmp_path / "films", FILES)
    program = start(data="disk/data")
    job = program.finish(program.submit(tmp_path / "films"))
    assert (job["status"], job["error_code"]) == ("failed", "STORAGE_FULL")
    assert str(small_disk) in job["error"]
    assert "Free some space" in job["error"]
    stored = len(program.videos())
    assert 0 < stored < FILES
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    result = program.scan(tmp_path / "films")
    assert (result["unchanged"], result["new"]) == (stored, FILES - stored)
    program.stop()


@pytest.mark.slow
def test_a_submit_on_a_full_disk_is_refused_and_served_once_there_is_room(
    start: Start, small_disk: Path, tmp_path: Path
) -> None:
    """507 with Retry-After: what was answered 202 is on disk, so this cannot be."""
    make_tree(tmp_path / "films", 3)
    program = start(data="disk/data")
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    refused = None
    for _ in range(50):  # a few may still fit into what the database has already
        answer = program.client.post("/api/v1/videos/scan", json={"path": str(tmp_path), "recursive": False})
        program.client.post("/api/v1/videos/scan", json={"path": str(tmp_path / "films")})
        if answer.status_code != 202:
            refused = answer
            break
    assert refused is not None
    assert (refused.status_code, refused.json()["code"]) == (507, "STORAGE_FULL")
    assert int(refused.headers["retry-after"]) > 0
    assert program.client.get("/api/v1/videos").status_code == 200
    until = time.monotonic() + 60
    while (database := readiness(program)["checks"]["database"])["ok"]:  # until the worker's word finds no room
        assert time.monotonic() < until
        time.sleep(0.1)
    assert "Free some space" in database["detail"]
    ballast.unlink()
    assert readiness(program)["checks"]["database"]["ok"]
    assert program.scan(tmp_path / "films")["failed"] == 0
    program.stop()
