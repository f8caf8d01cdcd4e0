"""Disks that are really mounted and unmounted: file systems in memory, in a namespace of mounts of the server's own."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.test_blackbox.conftest import Start
from tests.test_blackbox.program import Program
from tools.trees import unique_clip

UNSHARE = ("unshare", "--mount", "--propagation", "private")


def may_mount() -> bool:
    """Tell whether this user may mount something in a namespace of its own."""
    try:
        done = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


pytestmark = pytest.mark.skipif(not may_mount(), reason="nothing may be mounted here")


class House:
    """A server that sees mounts of its own."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.folder = folder

    def run(self, *command: str) -> None:
        """Run a command where the server's mounts are seen."""
        inside = ("nsenter", f"--target={self.program.process.pid}", "--mount", "--")
        subprocess.run([*inside, *command], check=True, capture_output=True)

    def seen(self, path: Path) -> Path:
        """Give the way to what the server sees at a path."""
        return Path(f"/proc/{self.program.process.pid}/root{path}")

    def disk(self, name: str, clips: range) -> Path:
        """Make a disk with some clips; it is kept aside, and can be mounted from there."""
        aside = self.folder / f"aside {name}"
        aside.mkdir()
        self.run("mount", "-t", "tmpfs", name, str(aside))
        for number in clips:
            path = self.seen(aside) / f"{number}.mp4"
            path.write_bytes(unique_clip(number))
            os.utime(path, (1_600_000_000, 1_600_000_000))
        return aside

    def mount(self, disk: Path, point: Path) -> None:
        """Mount a disk that was made."""
        self.run("mount", "--bind", str(disk), str(point))

    def unmount(self, point: Path) -> None:
        """Take it away."""
        self.run("umount", str(point))

    def states(self) -> dict[str, tuple[str, str]]:
        """Give each video's id and state, by path."""
        return {video["path"]: (video["id"], video["state"]) for video in self.program.videos()}

    def skipped(self, path: Path) -> dict[str, str]:
        """Scan; gives the codes of what was skipped, by path."""
        job = self.program.finish(self.program.submit(path))
        assert job["status"] == "complete", job
        return {row["path"]: row["code"] for row in self.program.ledger(job["job_id"], outcome="skipped")}


@pytest.fixture
def house(start: Start, tmp_path: Path) -> House:
    """A house with a folder for films, in which a disk can be mounted."""
    (tmp_path / "films" / "disk").mkdir(parents=True)
    (tmp_path / "films" / "own.mp4").write_bytes(unique_clip(99))
    return House(start(prefix=UNSHARE, STOAT_SETTLE_SECONDS="0"), tmp_path)


def test_a_disk_inside_a_library(house: House) -> None:
    """Not mounted, or another one in its place, it loses nothing; back again, nothing of it is read."""
    films, point = house.folder / "films", house.folder / "films" / "disk"
    first, second = house.disk("first", range(30)), house.disk("second", range(40, 70))
    house.mount(first, point)
    assert house.program.scan(films)["new"] == 31
    before = house.states()
    house.unmount(point)
    assert house.skipped(films) == {str(point): "OTHER_VOLUME"}
    assert house.states() == before
    house.mount(second, point)
    assert house.skipped(films) == {str(point): "OTHER_VOLUME"}
    assert house.states() == before
    house.unmount(point)
    house.mount(first, point)
    result = house.program.scan(films)
    assert (result["unchanged"], result["bytes_read"]) == (31, 0)
    assert house.states() == before


def test_a_disk_that_is_a_library(house: House) -> None:
    """Not mounted, or another one in its place, the library is offline, and loses nothing."""
    point = house.folder / "nas"
    point.mkdir()
    first, second = house.disk("first", range(30)), house.disk("second", range(40, 70))
    house.mount(first, point)
    assert house.program.scan(point)["new"] == 30
    before = house.states()
    house.unmount(point)
    for _ in range(2):
        job = house.program.finish(house.program.submit(point))
        assert (job["status"], job["error_code"]) == ("failed", "LIBRARY_OFFLINE")
        [library] = house.program.client.get("/api/v1/libraries").json()["libraries"]
        assert library["state"] == "offline"
        assert house.states() == before
        house.mount(second, point)  # and try once more
    house.unmount(point)
    house.mount(first, point)
    result = house.program.scan(point)
    assert (result["unchanged"], result["bytes_read"]) == (30, 0)
    [library] = house.program.client.get("/api/v1/libraries").json()["libraries"]
    assert library["state"] == "online"


def test_a_file_that_goes_from_one_disk_to_another(house: House) -> None:
    """It is known by its content there, and keeps its id."""
    films, point = house.folder / "films", house.folder / "films" / "disk"
    house.mount(house.disk("first", range(3)), point)
    house.program.scan(films)
    video_id, _ = house.states()[str(point / "1.mp4")]
    house.run("mv", str(point / "1.mp4"), str(films / "moved.mp4"))
    assert house.program.scan(films)["moved"] == 1
    assert house.states()[str(films / "moved.mp4")] == (video_id, "available")
