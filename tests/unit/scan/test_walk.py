"""Folders in, complete listings or problems out."""

import errno
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret import statx
from stoat_ferret.library.models import FileKey
from stoat_ferret.scan import walk
from stoat_ferret.scan.listing import Files, FolderListing, FolderProblem, join
from stoat_ferret.scan.ordinary import ENTRIES_AT_A_TIME
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.walk import (
    MOST_PATH_BYTES,
    count_files,
    list_folder,
)
from tests.factories import put

RULES = Rules(["mp4"])
HALF = 1 << 63


def test_a_listing_holds_what_concerns_a_scan_sorted(tmp_path: Path) -> None:
    """Files with a video's ending, folders that are not ignored, and what only looks like a file."""
    for name in ("b.mp4", "a.mp4", "notes.txt", "z/inner.mp4", "y/inner.mp4", ".hidden/x.mp4"):
        put(tmp_path / name)
    (tmp_path / "l.mp4").symlink_to("a.mp4")
    (tmp_path / "k.mp4").symlink_to("a.mp4")
    listing = list_folder(bytes(tmp_path), RULES)
    assert isinstance(listing, FolderListing)
    assert [entry.name for entry in listing.files] == [b"a.mp4", b"b.mp4"]
    assert listing.folders == (b"y", b"z")
    assert [oddity.name for oddity in listing.oddities] == [b"k.mp4", b"l.mp4"]
    status = (tmp_path / "a.mp4").stat()
    assert listing.files[0].key == FileKey(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)
    assert not listing.empty


def test_a_folder_with_nothing_that_could_be_a_video_is_empty(tmp_path: Path) -> None:
    """As an unmounted disk's mount point is, also with a few files of the system in it."""
    put(tmp_path / "notes.txt")
    (tmp_path / "lost+found").mkdir()
    listing = list_folder(bytes(tmp_path), RULES)
    assert isinstance(listing, FolderListing)
    assert listing.empty


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "FOLDER_NOT_READABLE"), (errno.EPERM, "FOLDER_NOT_READABLE"), (errno.EIO, "FOLDER_ERROR"),
        (errno.ESTALE, "FOLDER_ERROR"), (errno.ENOTCONN, "FOLDER_ERROR"), (errno.ENOENT, "FOLDER_VANISHED"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("when", ["opened", "read", "examined"])
def test_a_folder_that_cannot_be_listed_as_a_whole_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, when: str
) -> None:
    """Never half a listing, whenever the disk fails; a file removed meanwhile is merely not there."""
    put(tmp_path / "a.mp4")
    put(tmp_path / "b.mp4")
    monkeypatch.setattr(walk, "os", FailingOs(number, when))
    monkeypatch.setattr(statx, "states", lambda *_: None)  # it tells no more than that something fails
    listing = list_folder(bytes(tmp_path), RULES)
    if when == "examined" and number == errno.ENOENT:
        assert isinstance(listing, FolderListing)
        assert not listing.files
        return
    assert isinstance(listing, FolderProblem)
    assert (listing.path, listing.code) == (bytes(tmp_path), code)
    assert str(tmp_path) in listing.reason


class FailingOs:
    """The os module of a failing disk."""

    def __init__(self, number: int, when: str) -> None:
        self.error = OSError(number, os.strerror(number))
        self.when = when

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    @contextmanager
    def scandir(self, path: int) -> Iterator[Any]:
        if self.when == "opened":
            raise self.error
        with os.scandir(path) as entries:
            yield self.read(entries)

    def read(self, entries: Any) -> Iterator[Any]:
        yield FailingEntry(next(entries), self.error if self.when == "examined" else None)
        if self.when == "read":
            raise self.error


class FailingEntry:
    """A folder's entry that may fail to say what it is."""

    def __init__(self, entry: Any, error: OSError | None) -> None:
        self.entry, self.error = entry, error
        self.name = entry.name

    def is_dir(self, **options: bool) -> bool:
        return bool(self.entry.is_dir(**options))

    def is_file(self, **options: bool) -> bool:
        return bool(self.entry.is_file(**options))

    def stat(self, **options: bool) -> os.stat_result:
        if self.error is not None:
            raise self.error
        found: os.stat_result = self.entry.stat(**options)
        return found


@pytest.mark.parametrize(
    ("raw", "stored"), [(1, 1), ((1 << 63) - 1, (1 << 63) - 1), (1 << 63, -(1 << 63)), ((1 << 64) - 1, -1)]
)
def test_numbers_of_64_bits_fit_a_signed_column(raw: int, stored: int) -> None:
    """Inodes wrap, times are held at the ends of what there is."""
    key = FileKey.of(size=1, mtime_ns=1 << 70, inode=raw, device=raw)
    assert key == FileKey(1, (1 << 63) - 1, stored, stored)
    assert FileKey.of(size=1, mtime_ns=-(1 << 70), inode=1, device=1).mtime_ns == -(1 << 63)


ORDINARY = [
    "a.mp4",
    "b.MP4",
    "c.mkv",
    "._d.mp4",
    ".e.mp4",
    "f.mp4.part",
    "g.txt",
    "g.mpeg",
    "mp4",
    "h",
    "i/",
    "j.mp4/",
    ".k/",
    "kept.mp4",
]
ODD = ["l.mp4@", "m@", "é.mp4", "\u212a.mkv", "n.m\u212av", "\udcff.mp4", "new\nline.mp4", "skip 1.mp4", "skip 2.mkv"]


@given(
    st.sets(st.sampled_from(ORDINARY + ODD)),
    st.sampled_from([[], ["skip*"], ["skip 1.mp4", "a"], ["*.mp4", "!kept.mp4"], ["/inner/a.mp4"], ["[a-c].*", "!b*"]]),
    st.booleans(),
    st.booleans(),
)
def test_ordinary_names_are_taken_together_as_one_by_one(
    names: set[str], ignore: list[str], inner: bool, follow: bool
) -> None:
    """Whatever else lies in the folder, and whatever rules there are; a slash makes a folder, an at sign a link."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "inner" if inner else Path(root)
        for name in names:
            plain = folder / name.rstrip("/@")
            (plain if name.endswith("/") else folder).mkdir(parents=True, exist_ok=True)
            if name.endswith("@"):
                plain.symlink_to("nowhere")
            elif not name.endswith("/") and not plain.exists():
                put(plain)
        folder.mkdir(exist_ok=True)
        rules = Rules(["mp4", "mkv", "mpeg"]).of_library(os.fsencode(root), ignore, follow_symlinks=follow)
        together = list_folder(os.fsencode(folder), rules)
        with patch.object(walk, "take_ordinary", lambda _folder, entries, *_: (Files(), entries)):
            one_by_one = list_folder(os.fsencode(folder), rules)
        with patch.object(statx, "states", lambda *_: None):
            by_lstat = list_folder(os.fsencode(folder), rules)
    assert isinstance(one_by_one, FolderListing)
    for quick in (together, by_lstat):
        assert isinstance(quick, FolderListing)
        assert list(quick.files.rows()) == list(one_by_one.files.rows())
        assert quick.files.state == one_by_one.files.state
        assert (quick.folders, quick.oddities) == (one_by_one.folders, one_by_one.oddities)
        assert (quick.ignored, quick.linked) == (one_by_one.ignored, one_by_one.linked)


@pytest.mark.parametrize("by_lstat", [False, True])
def test_a_file_that_goes_away_while_its_folder_is_listed_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_lstat: bool
) -> None:
    """And what took a file's place is seen as what it is; the others are listed as ever."""
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        put(tmp_path / name)

    def too_late(_rules: Rules, _names: Sequence[str]) -> tuple[None, frozenset[str]]:
        (tmp_path / "a.mp4").unlink()
        (tmp_path / "b.mp4").unlink()
        (tmp_path / "b.mp4").symlink_to("c.mp4")
        return None, frozenset()

    monkeypatch.setattr(Rules, "videos_among", too_late)
    if by_lstat:
        monkeypatch.setattr(statx, "states", lambda *_: None)
    listing = list_folder(bytes(tmp_path), RULES)
    assert isinstance(listing, FolderListing)
    assert [entry.name for entry in listing.files] == [b"c.mp4"]
    assert [oddity.code for oddity in listing.oddities] == ["SYMLINK"]


def test_whoever_waits_for_a_large_folder_hears_that_it_goes_on(tmp_path: Path) -> None:
    """As it is read, and as the states of its files are."""
    for number in range(ENTRIES_AT_A_TIME + 1):
        put(tmp_path / f"{number}.mp4")
    heard: list[None] = []
    listing = list_folder(bytes(tmp_path), RULES, lambda: heard.append(None))
    assert isinstance(listing, FolderListing)
    assert len(listing.files) == ENTRIES_AT_A_TIME + 1
    assert len(heard) == 4
    status = os.lstat(tmp_path / f"{ENTRIES_AT_A_TIME}.mp4")
    assert status.st_ino in [entry.key.inode for entry in listing.files]


def test_counting_goes_by_names(tmp_path: Path) -> None:
    """What a scan will meet, roughly; it stops when it is told to, and passes over what cannot be read."""
    for name in ("1.mp4", "a/2.mp4", "a/b/3.mp4", "inner/4.mp4", ".hidden/5.mp4", "6.txt"):
        put(tmp_path / name)
    root, stop = bytes(tmp_path), threading.Event()
    assert count_files(root, RULES, recursive=True, exclude=(), stop=stop) == 4
    assert count_files(root, RULES, recursive=True, exclude=[root + b"/inner"], stop=stop) == 3
    assert count_files(root, RULES, recursive=False, exclude=(), stop=stop) == 1
    assert count_files(root + b"/nothing", RULES, recursive=True, exclude=(), stop=stop) == 0
    stop.set()
    assert count_files(root, RULES, recursive=True, exclude=(), stop=stop) == 0


def test_joining_does_not_take_a_name_for_a_root() -> None:
    """Neither below the root folder itself."""
    assert join(b"/", b"a") == b"/a"
    assert join(b"/v", b"a") == b"/v/a"


def test_a_path_too_long_for_a_key_is_a_problem_that_says_so(tmp_path: Path) -> None:
    """Not an error of the database in the midst of a scan."""
    path = os.fsencode(tmp_path) + b"/" + b"x" * MOST_PATH_BYTES
    problem = list_folder(path, Rules(["mp4"]))
    assert isinstance(problem, FolderProblem)
    assert problem.code == "PATH_TOO_LONG"
    assert len(problem.path) == MOST_PATH_BYTES
