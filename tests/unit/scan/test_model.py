"""Any sequence of changes on disk and of scans, against a model that is a dictionary."""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stoat_ferret.jobs.model import JobStatus
from tests.factories import Stage, make_catalogue, make_settings, put

FOLDERS = (b"", b"/a", b"/a/b", b"/a/b/c", b"/d", b"/.hidden")
NAMES = (b"1.mp4", b"2.mp4", "é\n.mkv".encode())
PLACES = tuple((folder, name) for folder in FOLDERS for name in NAMES)
CONTENTS = ("video", "video, another one", "broken", "sound", "passing")


def parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


class Library(RuleBasedStateMachine):
    """One library; `known` is what the catalogue should hold: path to id and state."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="stoat-model-"))
        self.root = bytes(self.folder / "root")
        self.stage = Stage(make_catalogue(self.folder / "library.db"), make_settings(self.folder / "data"))
        self.known: dict[bytes, tuple[str, str]] = {}

    def teardown(self) -> None:
        self.stage.catalogue.close()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        os.mkdir(self.root)
        self.stage.scan(self.root)

    @rule(place=st.sampled_from(PLACES), content=st.sampled_from(CONTENTS))
    def write(self, place: tuple[bytes, bytes], content: str) -> None:
        put(self.root + place[0] + b"/" + place[1], content)

    @rule(place=st.sampled_from(PLACES))
    def remove(self, place: tuple[bytes, bytes]) -> None:
        Path(os.fsdecode(self.root + place[0] + b"/" + place[1])).unlink(missing_ok=True)

    @rule(old=st.sampled_from(PLACES), new=st.sampled_from(PLACES))
    def rename(self, old: tuple[bytes, bytes], new: tuple[bytes, bytes]) -> None:
        source, target = (self.root + place[0] + b"/" + place[1] for place in (old, new))
        if os.path.exists(source) and os.path.isdir(parent(target)):
            os.rename(source, target)

    @rule(folder=st.sampled_from(FOLDERS[1:]))
    def remove_folder(self, folder: bytes) -> None:
        shutil.rmtree(self.root + folder, ignore_errors=True)

    @rule(folder=st.sampled_from(FOLDERS[1:]))
    def take_folder_away_or_bring_it_back(self, folder: bytes) -> None:
        here, away = self.root + folder, bytes(self.folder / "away") + folder.replace(b"/", b"_")
        if os.path.isdir(here) and not os.path.exists(away):
            os.rename(here, away)
        elif os.path.isdir(away) and not os.path.exists(here) and os.path.isdir(parent(here)):
            os.rename(away, here)

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        if self.known:
            path = data.draw(st.sampled_from(sorted(self.known)))
            self.stage.repository.delete_video(self.known.pop(path)[0])

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
        after, counts = self.expected(start, recursive)
        assert {name: job.result[name] for name in counts} == counts
        self.stage.check(job)
        if not dry_run:
            self.known = {path: (self.ids().get(path, ""), state) for path, state in after.items()}

    def ids(self) -> dict[bytes, str]:
        return {path: video_id for path, (video_id, _) in self.stage.tree().items()}

    def anything_in_root(self) -> bool:
        names = set(os.listdir(self.root)) - {b".hidden"}
        return any(name in NAMES or os.path.isdir(self.root + b"/" + name) for name in names)

    def anything_known(self) -> bool:
        return any(state != "missing" for _, state in self.known.values())

    def on_disk(self) -> dict[bytes, str]:
        found = {}
        for folder, name in PLACES:
            path = self.root + folder + b"/" + name
            if folder != b"/.hidden" and os.path.isfile(path):
                found[path] = Path(os.fsdecode(path)).read_text().partition(",")[0]
        return found

    def expected(self, start: bytes, recursive: bool) -> tuple[dict[bytes, str], dict[str, int]]:
        """What the catalogue should hold after a scan, and what the scan should count."""
        disk = self.on_disk()
        after = {path: state for path, (_, state) in self.known.items()}
        counts = dict.fromkeys(("new", "missing"), 0)
        top = self.root + start
        for path in {*disk, *after}:
            if parent(path) != top and not (recursive and path.startswith(top + b"/")):
                continue
            before = after.get(path)
            if path not in disk:
                counts["missing"] += before != "missing"
                after[path] = "missing"
            elif disk[path] == "video":
                counts["new"] += before is None
                after[path] = "available"
            elif disk[path] != "passing" and before is not None:
                after[path] = "broken"
        return after, counts

    @invariant()
    def the_catalogue_is_as_expected(self) -> None:
        assert self.stage.tree() == self.known
        self.stage.check_catalogue()


Library.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLibrary = Library.TestCase
