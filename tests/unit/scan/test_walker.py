"""The way through a tree, with listings by this thread and by processes."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.library.models import KnownFolder
from stoat_ferret.scan import walker as walker_module
from stoat_ferret.scan.compare import digest
from stoat_ferret.scan.disk import DirectDisk, Disk, DiskShelf
from stoat_ferret.scan.listing import FolderListing, FolderProblem, SameFiles
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.walk import list_folder
from stoat_ferret.scan.walker import MOST_TIMEOUTS, Walker
from tests.factories import put

RULES = Rules(["mp4"])


@pytest.fixture(scope="module")
def shelf() -> Iterator[DiskShelf]:
    """Keep the processes for all tests of this module."""
    shelf = DiskShelf(60.0, processes=2)
    yield shelf
    shelf.close()


@pytest.fixture(params=["direct", "processes"])
def disk(request: pytest.FixtureRequest, shelf: DiskShelf) -> Iterator[Disk]:
    """Give each kind of disk in turn."""
    with DirectDisk() if request.param == "direct" else shelf.open(lambda: None) as disk:
        yield disk


def taken(walker: Walker) -> list[FolderListing | FolderProblem]:
    """Give all that a walk lists, as soon as it is there."""
    found = []
    until = time.monotonic() + 60
    while not walker.ended:
        assert time.monotonic() < until
        listing = walker.take(1.0)
        if listing is not None:
            found.append(listing)
    assert walker.take(0) is None
    return found


def test_a_walk_lists_every_folder_once(tmp_path: Path, disk: Disk) -> None:
    """But for those that are excluded, whose libraries own what lies below; links are not followed."""
    for name in ("b/1.mp4", "a/2.mp4", "a/deep/3.mp4", "inner/4.mp4"):
        put(tmp_path / name)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    root = bytes(tmp_path)
    found = [listing.path for listing in taken(Walker(root, RULES, disk, recursive=True, exclude=[root + b"/inner"]))]
    assert sorted(found) == [root, root + b"/a", root + b"/a/deep", root + b"/b"]
    assert [listing.path for listing in taken(Walker(root, RULES, disk, recursive=False))] == [root]


def test_each_folder_is_listed_by_the_rules_on_the_way_to_it(tmp_path: Path, disk: Disk) -> None:
    """Whichever process has read the file that holds them, and however many such files there are."""
    (tmp_path / ".stoatignore").write_text("*.no.mp4\n")
    for number in range(600):
        folder = tmp_path / f"{number % 20:02}" / f"{number:03}"
        put(folder / "a.mp4")
        put(folder / "b.no.mp4")
        put(folder / f"only {number}.mp4")
        (folder / ".stoatignore").write_text(f"only {number}.mp4\n")
    found = taken(Walker(bytes(tmp_path), RULES, disk, recursive=True))
    assert len(found) == 621
    for listing in found:
        assert isinstance(listing, FolderListing)
        assert {entry.name for entry in listing.files} in (set(), {b"a.mp4"})
        assert listing.rules is not None
        assert listing.rules.decision(b"x.no.mp4", is_folder=False) is not None
        assert listing == list_again(listing, tmp_path)


def list_again(listing: FolderListing, root: Path) -> FolderListing:
    """List the folder anew, in this process, with the rules as they were made elsewhere."""
    assert listing.rules is not None
    inner = listing.rules.inside(listing.path, None)
    again = list_folder(listing.path, inner)
    assert isinstance(again, FolderListing)
    assert again.files.state == listing.files.state
    assert listing.path.startswith(os.fsencode(root))
    return listing


def test_a_folder_that_vanishes_during_the_walk_is_a_problem(tmp_path: Path, disk: Disk) -> None:
    """Its parent was listed with it, so nothing is known about it."""
    found = taken(Walker(bytes(tmp_path) + b"/never", RULES, disk, recursive=True))
    assert [listing.code for listing in found if isinstance(listing, FolderProblem)] == ["FOLDER_VANISHED"]


def test_the_walker_lists_a_bounded_way_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Disk) -> None:
    """It asks for nothing more while enough waits, and can be left at any time."""
    monkeypatch.setattr(walker_module, "ENTRIES_AHEAD", 2)
    for number in range(200):
        put(tmp_path / f"{number:03}" / "a.mp4")
    asked = 0
    real = disk.ask

    def counting(*question: Any) -> int:
        nonlocal asked
        asked += 1
        return real(*question)

    monkeypatch.setattr(disk, "ask", counting)
    walker = Walker(bytes(tmp_path), RULES, disk, recursive=True)
    for _ in range(20):
        while walker.take(1.0) is None:
            assert not walker.ended
    assert 20 <= asked < 100


def known(listing: FolderListing, *, rejects: int = 0) -> KnownFolder:
    """Give what the catalogue has of a folder that was listed so."""
    return KnownFolder(
        pk=1,
        path=listing.path,
        digest=digest(listing, RULES),
        unchanged_count=len(listing.files) - rejects,
        reject_count=rejects,
    )


@given(
    st.dictionaries(st.sampled_from("abcde"), st.sets(st.sampled_from(["1.mp4", "2.mp4", "\udcff.mp4", "3.txt"]))),
    st.sets(st.sampled_from("abcdef")),
    st.sets(st.sampled_from("abcdef")),
)
def test_of_folders_that_are_as_they_are_known_no_file_is_told(
    tree: dict[str, set[str]], edited: set[str], with_rejects: set[str]
) -> None:
    """But how many, and the rest of the listing; of others, and of those with files to report again, all is."""
    with tempfile.TemporaryDirectory() as folder, DirectDisk() as disk:
        root = Path(folder)
        for name, files in tree.items():
            (root / name).mkdir()
            for file in files:
                put(root / name / file)
        plain = {each.path: each for each in taken(Walker(bytes(root), RULES, disk, recursive=True))}
        listings = [each for each in plain.values() if isinstance(each, FolderListing)]
        rejecting = {bytes(root / name) for name in with_rejects}
        rows = {each.path: known(each, rejects=each.path in rejecting) for each in listings}
        for name in edited & set(tree):
            put(root / name / "1.mp4", "video, edited")
        plain = {each.path: each for each in taken(Walker(bytes(root), RULES, disk, recursive=True))}
        walker = Walker(bytes(root), RULES, disk, recursive=True, recall=lambda _paths: rows)
        found = {each.path: each for each in taken(walker)}
        changed = {bytes(root / name) for name in edited & set(tree)}
        assert set(found) == set(plain)
        for path, listing in found.items():
            whole = plain[path]
            assert isinstance(listing, FolderListing)
            assert isinstance(whole, FolderListing)
            assert isinstance(listing.files, SameFiles) is (path not in changed | rejecting)
            assert len(listing.files) == len(whole.files)
            assert listing.files.newest_ns == whole.files.newest_ns
            assert (listing.digest or digest(listing, RULES)) == digest(whole, RULES)
            assert (listing.folders, listing.oddities, listing.empty) == (whole.folders, whole.oddities, whole.empty)
            if isinstance(listing.files, SameFiles):
                assert listing.recalled == rows[path]
                again = walker.list_again(listing)
                assert isinstance(again, FolderListing)
                assert list(again.files) == list(whole.files)


def test_files_that_are_not_told_are_not_taken_for_none() -> None:
    """Whoever asks for them has made a mistake."""
    files = SameFiles(3, 5)
    assert (len(files), files.newest_ns) == (3, 5)
    with pytest.raises(LookupError, match="listed again"):
        list(files)
    with pytest.raises(LookupError, match="listed again"):
        _ = files.state


def test_a_folder_that_goes_away_before_it_is_listed_again_is_a_problem(tmp_path: Path) -> None:
    """As it is whenever it is listed."""
    put(tmp_path / "a.mp4")
    with DirectDisk() as disk:
        (listing,) = taken(Walker(bytes(tmp_path), RULES, disk, recursive=True))
        assert isinstance(listing, FolderListing)
        rows = {listing.path: known(listing)}
        walker = Walker(bytes(tmp_path), RULES, disk, recursive=True, recall=lambda _paths: rows)
        (same,) = taken(walker)
        assert isinstance(same, FolderListing)
        (tmp_path / "a.mp4").unlink()
        tmp_path.rmdir()
        again = walker.list_again(same)
    assert isinstance(again, FolderProblem)
    assert again.code == "FOLDER_VANISHED"


class SilentDisk(DirectDisk):
    """A disk of which one mount says nothing."""

    def __init__(self, silent: bytes) -> None:
        super().__init__()
        self.silent = silent
        self.asked: list[bytes] = []

    def answers(self, timeout: float) -> list[tuple[int, Any]]:
        """Answer at once, or say that no answer came."""
        found: list[tuple[int, Any]] = []
        for number, _, (path, _rules) in list(self._asked):
            if path.startswith(self.silent):
                self.asked.append(path)
                self._asked = type(self._asked)(each for each in self._asked if each[0] != number)
                found.append((number, TimeoutError()))
        return found + super().answers(timeout)


def test_a_mount_that_says_nothing_is_not_asked_for_ever(tmp_path: Path) -> None:
    """Each folder of it is a problem, and after three of them it costs no time any more."""
    for number in range(10):
        put(tmp_path / "hung" / f"{number}" / "a.mp4")
        put(tmp_path / "well" / f"{number}" / "a.mp4")
    root = bytes(tmp_path)
    disk = SilentDisk(root + b"/hung/")
    walker = Walker(root, RULES, disk, recursive=True)
    walker._mounts = Mounts({root + b"/hung", b"/"})  # type: ignore[assignment]
    found = taken(walker)
    problems = [each for each in found if isinstance(each, FolderProblem)]
    assert {each.code for each in problems} == {"FOLDER_TIMEOUT"}
    assert len(problems) == 10
    assert len(disk.asked) == MOST_TIMEOUTS
    assert sum(len(each.files) for each in found if isinstance(each, FolderListing)) == 10


class Mounts:
    """A table of mounts."""

    def __init__(self, points: set[bytes]) -> None:
        self.points = points

    def point_of(self, path: bytes) -> bytes:
        """Give the innermost one."""
        return max((point for point in self.points if path.startswith(point)), key=len)


def test_what_goes_wrong_in_this_thread_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not look like the end of the tree."""

    def fail(path: bytes, rules: Rules) -> FolderListing:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(walker_module, "list_folder", fail)
    walker = Walker(bytes(tmp_path), RULES, DirectDisk(), recursive=True)
    with pytest.raises(RuntimeError, match="a mistake"):
        walker.take(1.0)
