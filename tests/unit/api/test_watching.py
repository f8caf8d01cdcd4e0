"""A library that is watched: by events where the file system tells of changes, by scans every so often where not."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from stoat_ferret.api.services import watching
from stoat_ferret.api.services.requests import BY_ITSELF
from stoat_ferret.api.services.watching import LibraryWatch, Watched
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.volume import Mount, Volume

PATIENCE_SECONDS = 20.0


class Machine:
    """What is mounted on a pretended machine: one file system at the library's folder, others below it."""

    def __init__(self, kind: str = "ext4") -> None:
        self.kind = kind
        self.below: dict[bytes, str] = {}

    def about(self, path: bytes) -> frozenset[Mount]:
        return frozenset({Mount(path, "x", self.kind, "/")} | {Mount(at, "x", k, "/") for at, k in self.below.items()})

    def points_below(self, _path: bytes) -> list[bytes]:
        return sorted(self.below)

    def volume_of(self, path: bytes) -> Volume:
        return Volume("x", self.below.get(path, self.kind), "")


class Seen:
    """A library that is watched on such a machine, and what was heard of it."""

    def __init__(self, root: Path) -> None:
        self.root = bytes(root)
        self.told: list[tuple[str | None, str | None]] = []
        self.scans: list[tuple[bytes, bool, int]] = []
        self._watches: list[LibraryWatch] = []

    def watch(self, poll_seconds: float) -> None:
        watch = LibraryWatch(
            Watched("1", self.root, (), frozenset()),
            Rules(("mp4",)),
            poll_seconds,
            self._submit,
            lambda how, why: self.told.append((how, why)),
        )
        self._watches.append(watch)
        watch.start()

    def _submit(self, folders: Sequence[tuple[bytes, bool]], priority: int) -> None:
        self.scans += [(path, recursive, priority) for path, recursive in folders]

    def stop(self) -> None:
        for watch in self._watches:
            watch.stop()
        for watch in self._watches:
            watch.join(PATIENCE_SECONDS)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine on which what is to be noticed is noticed soon."""
    pretended = Machine()
    monkeypatch.setattr(watching, "Mounts", lambda: pretended)
    monkeypatch.setattr(watching, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(watching, "READ_SECONDS", 0.02)
    return pretended


@pytest.fixture
def seen(machine: Machine, tmp_path: Path) -> Iterator[Seen]:
    """A library on it."""
    (tmp_path / "films").mkdir()
    library = Seen(tmp_path / "films")
    yield library
    library.stop()


SILENT = ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "fuse.sshfs", "fuse.rclone", "virtiofs"]


@pytest.mark.parametrize("kind", SILENT)
def test_what_tells_of_nothing_is_scanned_every_so_often(machine: Machine, seen: Seen, kind: str) -> None:
    """All of it, again and again; and it says why."""
    machine.kind = kind
    seen.watch(poll_seconds=0.05)
    until(lambda: len(seen.scans) >= 3, "it is not scanned again and again")
    assert set(seen.scans) == {(seen.root, True, BY_ITSELF)}
    [(how, why)] = seen.told
    assert (how, f"lies on {kind}, which does not tell" in str(why)) == ("polling", True)


def test_it_is_not_scanned_more_often_than_that(machine: Machine, seen: Seen) -> None:
    """Once at the start."""
    machine.kind = "nfs"
    seen.watch(poll_seconds=3600)
    until(lambda: bool(seen.scans), "it is not scanned")
    time.sleep(0.3)
    assert len(seen.scans) == 1


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "xfs", "fuseblk", "tmpfs", "zfs"])
def test_what_tells_of_changes_is_watched(machine: Machine, seen: Seen, kind: str) -> None:
    """And scanned once, for what happened before."""
    machine.kind = kind
    seen.watch(poll_seconds=0.01)
    until(lambda: bool(seen.scans), "what happened before is not looked for")
    time.sleep(0.2)
    assert (seen.told, seen.scans) == ([("events", None)], [(seen.root, True, BY_ITSELF)])


def test_a_mount_below_decides_too(machine: Machine, seen: Seen) -> None:
    """It is as silent there."""
    machine.below[seen.root + b"/share"] = "cifs"
    seen.watch(poll_seconds=3600)
    until(lambda: bool(seen.told), "nobody says how it is watched")
    assert (seen.told[0][0], "share lies on cifs" in str(seen.told[0][1])) == ("polling", True)


def test_what_is_mounted_later_is_noticed(machine: Machine, seen: Seen) -> None:
    """Though no event tells of it: from then on its silence counts; and once it is gone, events do again."""
    seen.watch(poll_seconds=0.05)
    until(lambda: seen.told == [("events", None)], "it is not watched")
    machine.below[seen.root + b"/share"] = "nfs4"
    until(lambda: len(seen.told) == 2, "the mount was not noticed")
    assert seen.told[1][0] == "polling"
    machine.below.clear()
    until(lambda: len(seen.told) == 3, "that it is gone was not noticed")
    assert seen.told[2] == ("events", None)


def test_a_mount_that_tells_of_changes_has_all_looked_at_anew(machine: Machine, seen: Seen) -> None:
    """What came with it was written while nobody watched."""
    seen.watch(poll_seconds=3600)
    until(lambda: len(seen.scans) == 1, "it is not scanned")
    machine.below[seen.root + b"/disk"] = "ext4"
    until(lambda: len(seen.scans) == 2, "what was mounted is not scanned")
