"""Any sequence of changes on disk and of scans, against what a person would expect, kept in two dictionaries.

On disk there are files, each with an identity of its own that goes with it wherever it is moved, and that edits leave
alone. The catalogue has entries, and each belongs to a file. What a scan is to make of the two is said in `expected`.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stoat_ferret.jobs.model import JobStatus
from tests.factories import Stage, make_catalogue, make_settings, put

FOLDERS = (b"", b"/a", b"/a/b", b"/a/b/c", b"/d", b"/.hidden")
NAMES = (b"1.mp4", b"2.mp4", "é\n.mkv".encode())
PLACES = tuple(folder + b"/" + name for folder in FOLDERS for name in NAMES)
CONTENTS = ("video", "video", "broken", "sound")


@dataclass(frozen=True)
class File:
    """A file: which one it is, what is in it, and whether that may be read."""

    identity: int
    content: str
    locked: bool = False


@dataclass(frozen=True)
class Entry:
    """An entry: the file that it belongs to, where that was, and how it stands."""

    identity: int
    path: bytes
    state: str


def parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


class Library(RuleBasedStateMachine):
    """One library; `files` is what is on disk, `entries` what the catalogue should hold, by id."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="stoat-model-"))
        self.root = bytes(self.folder / "root")
        self.stage = Stage(make_catalogue(self.folder / "library.db"), make_settings(self.folder / "data"))
        self.files: dict[bytes, File] = {}
        self.away: dict[bytes, dict[bytes, File]] = {}
        self.entries: dict[str, Entry] = {}
        self.next_identity = 0
        self.edited: set[int] = set()
        """Files that were written to in place since a scan of all."""

    def teardown(self) -> None:
        self.stage.catalogue.close()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        os.mkdir(self.root)
        self.stage.scan(self.root)

    # What else there may be between the disk and the scan

    def may_touch(self, *_paths: bytes) -> bool:
        """Tell whether files can be changed, or moved from one of the places to another."""
        return True

    def is_hidden(self, _path: bytes) -> bool:
        """Tell whether the next scan cannot see what is at a place."""
        return False

    # On disk

    def new_file(self, content: str) -> File:
        self.next_identity += 1
        return File(self.next_identity, content)

    @rule(place=st.sampled_from(PLACES), content=st.sampled_from(CONTENTS), in_place=st.booleans())
    def write(self, place: bytes, content: str, in_place: bool) -> None:
        """Write a file, or write over one, which stays the same file only where that is done in place."""
        path = self.root + place
        text = f"{content}, {self.next_identity}"
        if not self.may_touch(path):
            return
        if in_place and path in self.files:
            if self.files[path].locked:
                return
            put(path, text)
            self.files[path] = replace(self.files[path], content=content)
            self.edited.add(self.files[path].identity)
            return
        os.makedirs(parent(path), exist_ok=True)
        put(path + b".new", text)
        os.replace(path + b".new", path)
        self.files[path] = self.new_file(content)

    @rule(place=st.sampled_from(PLACES))
    def remove(self, place: bytes) -> None:
        if self.root + place in self.files and self.may_touch(self.root + place):
            del self.files[self.root + place]
            os.unlink(self.root + place)

    @rule(old=st.sampled_from(PLACES), new=st.sampled_from(PLACES))
    def rename(self, old: bytes, new: bytes) -> None:
        """Also over another file, which is gone then."""
        source, target = self.root + old, self.root + new
        if (
            source in self.files
            and source != target
            and os.path.isdir(parent(target))
            and self.may_touch(source, target)
        ):
            os.rename(source, target)
            self.files[target] = self.files.pop(source)

    @rule(one=st.sampled_from(PLACES), two=st.sampled_from(PLACES))
    def swap(self, one: bytes, two: bytes) -> None:
        a, b = self.root + one, self.root + two
        if a != b and a in self.files and b in self.files and self.may_touch(a, b):
            os.rename(a, self.folder / "aside")
            os.rename(b, a)
            os.rename(self.folder / "aside", b)
            self.files[a], self.files[b] = self.files[b], self.files[a]

    @rule(old=st.sampled_from(PLACES), new=st.sampled_from(PLACES))
    def copy(self, old: bytes, new: bytes) -> None:
        """With its time, as file managers do; another content is written before, so that no two are alike for ever."""
        source, target = self.root + old, self.root + new
        if not (self.may_touch(source) and self.may_touch(target)):
            return
        if (
            source in self.files
            and not self.files[source].locked
            and target not in self.files
            and os.path.isdir(parent(target))
        ):
            shutil.copy2(os.fsdecode(source), os.fsdecode(target))
            os.utime(target, ns=(0, os.stat(target).st_mtime_ns + 1))
            self.files[target] = self.new_file(self.files[source].content)

    @rule(folder=st.sampled_from(FOLDERS[1:]))
    def remove_folder(self, folder: bytes) -> None:
        if not self.may_touch(self.root + folder + b"/"):
            return
        shutil.rmtree(self.root + folder, ignore_errors=True)
        self.files = {path: file for path, file in self.files.items() if not path.startswith(self.root + folder + b"/")}

    @rule(old=st.sampled_from(FOLDERS[1:]), new=st.sampled_from(FOLDERS[1:]))
    def rename_folder(self, old: bytes, new: bytes) -> None:
        source, target = self.root + old, self.root + new
        inside = target.startswith(source + b"/")
        if (
            os.path.isdir(source)
            and not os.path.exists(target)
            and os.path.isdir(parent(target))
            and not inside
            and self.may_touch(source + b"/", target + b"/")
        ):
            os.rename(source, target)
            for path in [path for path in self.files if path.startswith(source + b"/")]:
                self.files[target + path[len(source) :]] = self.files.pop(path)

    @rule(folder=st.sampled_from(FOLDERS[1:]))
    def take_folder_away_or_bring_it_back(self, folder: bytes) -> None:
        here, away = self.root + folder, bytes(self.folder / "away") + folder.replace(b"/", b"_")
        if not self.may_touch(here + b"/"):
            return
        if os.path.isdir(here) and folder not in self.away:
            os.rename(here, away)
            taken = {path: file for path, file in self.files.items() if path.startswith(here + b"/")}
            self.away[folder] = taken
            self.files = {path: file for path, file in self.files.items() if path not in taken}
        elif folder in self.away and not os.path.exists(here) and os.path.isdir(parent(here)):
            os.rename(away, here)
            self.files |= self.away.pop(folder)

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        if self.entries:
            video_id = data.draw(st.sampled_from(sorted(self.entries)))
            self.stage.repository.delete_video(video_id)
            del self.entries[video_id]

    # Scans

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
        options = {"recursive": recursive, "force": force, "dry_run": dry_run, "accept_loss": accept_loss}
        if dies_at is None:
            job = self.stage.scan(self.root + start, **options)
        else:
            _, job = self.stage.scan_that_dies(self.root + start, dies_at, **options)
        if not accept_loss and not self.anything_in_root() and self.anything_known():
            assert (job.status, job.error_code) == (JobStatus.FAILED, "LIBRARY_OFFLINE")
            return
        assert job.status is JobStatus.COMPLETE, job.error
        assert job.result is not None
        self.stage.check(job)
        after, new = self.expected(start, recursive)
        if dry_run:
            return
        if recursive and not start:
            self.edited.clear()
        ids = {path: video_id for path, (video_id, _) in self.stage.tree().items()}
        assert len(set(new) & ids.keys()) == len(new)
        assert not {ids[path] for path in new} & self.entries.keys()
        self.entries = after | {ids[path]: entry for path, entry in new.items()}

    def expected(self, start: bytes, recursive: bool) -> tuple[dict[str, Entry], dict[bytes, Entry]]:
        """Give what is to become of the entries there are, and the new ones by path."""
        top = self.root + start

        def is_scanned(path: bytes) -> bool:
            return parent(path) == top or (recursive and path.startswith(top + b"/"))

        def is_seen(path: bytes) -> bool:
            return is_scanned(path) and not self.is_hidden(path)

        met = {path: file for path, file in self.files.items() if is_seen(path) and b"/.hidden/" not in path}
        after = dict(self.entries)
        unclaimed = dict(met)
        # An entry goes with its file: first where that is where it was, then wherever it is now.
        at_home = [video_id for video_id, entry in self.entries.items() if self.is_met(entry, met)]
        others = sorted(self.entries.keys() - at_home, key=lambda video_id: self.entries[video_id].state == "missing")
        for video_id in [*at_home, *others]:
            entry = self.entries[video_id]
            places = [path for path, file in unclaimed.items() if file.identity == entry.identity]
            if entry.path in places:
                places = [entry.path]
            if places and not self.is_hidden(entry.path):
                after[video_id] = self.met(places[0], unclaimed.pop(places[0]), entry)
        # A file that took the place of one that is nowhere to be met takes over its entry, if it can be read.
        identities = {file.identity for file in met.values()}
        unread = {path for path, file in unclaimed.items() if file.locked}
        for video_id, entry in self.newest_first():
            if entry.path in unclaimed and after[video_id] == entry and entry.identity not in identities:
                file = unclaimed.pop(entry.path)
                after[video_id] = entry if file.locked else self.met(entry.path, file, entry)
        # What was there and is not met any more is missing; what is somewhere else than the scan looked stays.
        for video_id, entry in self.entries.items():
            left = after[video_id] == entry and is_seen(entry.path) and not self.is_met(entry, met)
            if left and entry.state != "missing" and entry.path not in unread:
                after[video_id] = replace(entry, state="missing")
        new = {
            path: Entry(file.identity, path, "available")
            for path, file in unclaimed.items()
            if file.content == "video" and not file.locked
        }
        return after, new

    def newest_first(self) -> list[tuple[str, Entry]]:
        """Entries by when they were last there: those that are, then the latest of the missing ones."""
        order = {video.id: (video.state == "missing", -(video.missing_since or 0)) for video in self.stage.videos()}
        return sorted(self.entries.items(), key=lambda pair: order.get(pair[0], (True, 0)))

    @staticmethod
    def is_met(entry: Entry, met: dict[bytes, File]) -> bool:
        """Tell whether an entry's file is where it was, as it was."""
        file = met.get(entry.path)
        return file is not None and file.identity == entry.identity

    @staticmethod
    def met(path: bytes, file: File, entry: Entry) -> Entry:
        state = "available" if file.content == "video" else "broken"
        return Entry(file.identity, path, entry.state if file.locked and entry.state != "missing" else state)

    def anything_in_root(self) -> bool:
        names = set(os.listdir(self.root)) - {b".hidden"}
        return any(name in NAMES or os.path.isdir(self.root + b"/" + name) for name in names)

    def anything_known(self) -> bool:
        return any(entry.state != "missing" for entry in self.entries.values())

    @invariant()
    def the_catalogue_is_as_expected(self) -> None:
        found = {video.id: (video.path_bytes, video.state) for video in self.stage.videos()}
        assert found == {video_id: (entry.path, entry.state) for video_id, entry in self.entries.items()}
        self.stage.check_catalogue()


Library.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLibrary = Library.TestCase
