"""The same with what lies between a scan and the files: permissions, and disks that are mounted, away, or others.

Permissions are the system's own. Mounts are pretended, by a table of them over real folders: to change the real one
takes a server in a namespace of its own (`test_mounts.py`).
"""

import os
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from stoat_ferret.jobs.model import JobStatus
from stoat_ferret.scan import volume
from tests.factories import put
from tests.privileges import bound_by_permissions
from tests.unit.scan.test_ground import Machine
from tests.unit.scan.test_model import FOLDERS, PLACES, Entry, File, Library

POINT = b"/d"
DISKS = ("nas", "usb")
OWN = "own"
"""What lies at the mount point while nothing is mounted there."""
KEPT = b"/kept.mp4"
"""A file that nobody touches: a library without any is offline, whatever its disks are."""


class Obstructed(Library):
    """A library with a folder at which disks are mounted, and folders and files that may not be read."""

    def __init__(self) -> None:
        super().__init__()
        self.machine_table = mock.patch.object(volume, "MOUNTS", self.folder / "mountinfo")
        self.machine_table.start()
        self.machine = Machine(self.folder / "mountinfo", self.folder / "disks")
        self.mounted = OWN
        self.recorded = OWN
        self.aside: dict[str, dict[bytes, File]] = {}
        self.locked: set[bytes] = set()
        self.accepts = False

    def teardown(self) -> None:
        self.machine_table.stop()
        for path in [*self.locked, *self.files]:
            os.chmod(path, 0o700)
        super().teardown()

    @initialize()
    def begin(self) -> None:
        os.makedirs(self.root + POINT)
        self.mount(DISKS[0])
        for place in (KEPT, *PLACES):
            if b"/.hidden/" not in place:
                self.files[put(self.root + place)] = self.new_file("video")
        self.stage.scan(self.root)
        for path, (video_id, state) in self.stage.tree().items():
            self.entries[video_id] = Entry(self.files[path].identity, path, state)
        self.recorded = self.mounted

    # Obstacles

    def point(self) -> Path:
        return Path(os.fsdecode(self.root + POINT))

    @rule(disk=st.sampled_from((OWN, *DISKS)))
    def mount(self, disk: str) -> None:
        """Mount one of the disks instead of whatever is, or unmount it."""
        if disk == self.mounted or self.is_locked(self.root + POINT + b"/"):
            return
        below = self.root + POINT + b"/"
        self.aside[self.mounted] = {path: file for path, file in self.files.items() if path.startswith(below)}
        if self.mounted != OWN:
            self.machine.unmount(self.point())
        if disk != OWN:
            self.machine.mount(disk, self.point())
        self.files = {path: file for path, file in self.files.items() if not path.startswith(below)}
        self.files |= self.aside.pop(disk, {})
        self.mounted = disk

    @rule(folder=st.sampled_from(FOLDERS[1:]))
    def lock_or_unlock_folder(self, folder: bytes) -> None:
        """Take the right away to look into a folder, or give it back."""
        path = self.root + folder
        if path in self.locked:
            self.locked.remove(path)
            os.chmod(path, 0o700)
        elif os.path.isdir(path) and self.may_touch(path + b"/"):
            self.locked.add(path)
            os.chmod(path, 0)

    @rule(place=st.sampled_from(PLACES))
    def lock_or_unlock_file(self, place: bytes) -> None:
        """Take the right away to read a file, or give it back.

        Not of one that was edited since it was seen last: what is known of it is not what is in it.
        """
        path = self.root + place
        file = self.files.get(path)
        if file is None or not self.may_touch(path) or (file.identity in self.edited and not file.locked):
            return
        self.files[path] = replace(file, locked=not file.locked)
        os.chmod(path, 0o600 if file.locked else 0)

    def is_locked(self, path: bytes) -> bool:
        return any(path.startswith(folder + b"/") for folder in self.locked)

    def zone(self, path: bytes) -> str:
        return self.mounted if (path + b"/").startswith(self.root + POINT + b"/") else OWN

    def may_touch(self, *paths: bytes) -> bool:
        """Not what is locked, nor the mount point itself, nor from one disk to another, which is to copy."""
        point = self.root + POINT + b"/"
        if any(path == point or self.is_locked(path) for path in paths):
            return False
        within = [folder for folder in self.locked for path in paths if (folder + b"/").startswith(path)]
        return not within and len({self.zone(path) for path in paths}) <= 1

    def is_hidden(self, path: bytes) -> bool:
        """What is locked; and what lies on a disk other than the known one, as long as anything is known of that."""
        below = self.root + POINT + b"/"
        other = self.mounted != self.recorded and not self.accepts and self.knows_below(below)
        return self.is_locked(path) or (other and path.startswith(below))

    def knows_below(self, folder: bytes) -> bool:
        return any(entry.path.startswith(folder) and entry.state != "missing" for entry in self.entries.values())

    # Scans

    @rule()
    def scan_all(self) -> None:
        """What the obstacles are for, so it comes more often than the other changes."""
        self.scan(b"", True, False, False, False, None)

    @rule(
        start=st.sampled_from(FOLDERS[:-1]),
        recursive=st.booleans(),
        force=st.booleans(),
        dry_run=st.booleans(),
        accept_loss=st.booleans(),
        dies_at=st.one_of(st.none(), st.integers(1, 8)),
    )
    def scan(
        self, start: bytes, recursive: bool, force: bool, dry_run: bool, accept_loss: bool, dies_at: int | None
    ) -> None:
        """As without obstacles, but for a folder that may not be looked into."""
        self.accepts = accept_loss
        anything_locked = self.locked or any(file.locked for file in self.files.values())
        with bound_by_permissions() if anything_locked else nullcontext():
            if self.is_locked(self.root + start + b"/"):
                job = self.stage.scan(self.root + start, accept_loss=accept_loss, dry_run=dry_run)
                if job.status is JobStatus.COMPLETE:
                    self.stage.check(job)
                    assert job.result is not None
                    assert (job.result["scanned"], job.result["skipped"]) == (0, 1)
                else:
                    assert (job.status, job.error_code) == (JobStatus.FAILED, "PATH_NOT_READABLE")
            else:
                super().scan(start, recursive, force, dry_run, accept_loss, dies_at)
        if not dry_run and not self.is_hidden(self.root + POINT + b"/"):
            self.recorded = self.mounted
        self.accepts = False


Obstructed.TestCase.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestObstructed = pytest.mark.skipif(sys.platform != "linux", reason="mounts and powers are Linux's here")(
    Obstructed.TestCase
)
