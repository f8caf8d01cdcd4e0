"""What the system tells of a tree, and what is made of it; real folders, real events."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stoat_ferret.scan import tree_watch
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.tree_watch import CannotWatchError, TreeWatch
from tests.factories import put

RULES = Rules(["mp4"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with a few folders."""
    for name in ("a/1.mp4", "a/deep/2.mp4", "b/3.mp4", ".hidden/4.mp4", "inner/5.mp4"):
        put(tmp_path / "tree" / name)
    return tmp_path / "tree"


@pytest.fixture
def tree(root: Path) -> Iterator[TreeWatch]:
    """Watch it, but for the folder of another library."""
    with TreeWatch(bytes(root), RULES, [bytes(root / "inner")]) as tree:
        yield tree


def touched(tree: TreeWatch, root: Path) -> dict[str, bool]:
    """Give what is to be looked at, relative to the tree's folder, once all events are read."""
    for _ in range(5):
        tree.read(0.02)
    return {os.path.relpath(os.fsdecode(folder), root): recursive for folder, recursive in tree.take_touched()}


CHANGES: dict[str, tuple[Callable[[Path], object], dict[str, bool]]] = {
    "written": (lambda root: put(root / "a" / "new.mp4"), {"a": False}),
    "edited": (lambda root: (root / "b" / "3.mp4").write_text("video more"), {"b": False}),
    "deleted": (lambda root: (root / "b" / "3.mp4").unlink(), {"b": False}),
    "renamed": (lambda root: (root / "a" / "1.mp4").rename(root / "a" / "9.mp4"), {"a": False}),
    "moved": (lambda root: (root / "a" / "1.mp4").rename(root / "b" / "1.mp4"), {"a": False, "b": False}),
    "linked": (lambda root: os.link(root / "a" / "1.mp4", root / "b" / "l.mp4"), {"b": False}),
    "made readable": (lambda root: (root / "b" / "3.mp4").chmod(0o600), {"b": False}),
    "a folder moved": (lambda root: (root / "a" / "deep").rename(root / "b" / "d"), {"b/d": True, "a/deep": True}),
    "a folder deleted": (lambda root: shutil.rmtree(root / "a"), {"a": True}),
    "a folder made, with files": (lambda root: put(root / "c" / "d" / "6.mp4"), {"c": True}),
    "no video": (lambda root: put(root / "a" / "notes.txt"), {}),
    "a download": (lambda root: put(root / "a" / "x.mp4.part"), {}),
    "ignored": (lambda root: put(root / ".hidden" / "7.mp4"), {}),
    "another library": (lambda root: put(root / "inner" / "8.mp4"), {}),
    "not UTF-8": (lambda root: put(os.fsencode(root) + b"/a/\xff.mp4"), {"a": False}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_is_to_be_looked_at(tree: TreeWatch, root: Path, name: str) -> None:
    """The folder of a file that changed, and all of a folder that did; nothing else."""
    change, expected = CHANGES[name]
    change(root)
    found = touched(tree, root)
    assert found == expected or (name == "a folder deleted" and found.get("a") is True)
    assert not tree.lost


def test_new_folders_are_watched_too(tree: TreeWatch, root: Path) -> None:
    """And those that moved, where they are now."""
    put(root / "c" / "d" / "6.mp4")
    (root / "a").rename(root / "e")
    touched(tree, root)
    put(root / "c" / "d" / "7.mp4")
    put(root / "e" / "deep" / "8.mp4")
    assert touched(tree, root) == {"c/d": False, "e/deep": False}


def test_what_is_there_is_looked_at_before_what_is_gone(tree: TreeWatch, root: Path) -> None:
    """So a folder that moved is found before it is missed."""
    (root / "a").rename(root / "z")
    tree.read(0.1)
    assert [folder for folder, _ in tree.take_touched()] == [bytes(root / "z"), bytes(root / "a")]


def test_a_burst_is_one_look_at_everything(tree: TreeWatch, root: Path) -> None:
    """Whether its events fit the system's queue or not, memory stays flat."""
    for number in range(300):
        put(root / f"{number}" / "x.mp4")
        tree.read(0)
    assert touched(tree, root) == {".": True}


def test_lost_events_are_noticed(tree: TreeWatch, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's queue is bounded: of 50,000 events it drops some, and says so."""
    path = root / "b" / "3.mp4"
    for number in range(25_000):
        path.chmod(0o600 + number % 2)
        (root / "a" / "1.mp4").chmod(0o600 + number % 2)
    tree.read(0)
    assert tree.lost


def test_a_new_ignore_file_means_to_watch_anew(tree: TreeWatch, root: Path) -> None:
    """Other folders are of interest then."""
    (root / "a" / ".stoatignore").write_text("deep/\n")
    assert touched(tree, root) == {"a": True}
    assert tree.lost


def test_a_tree_that_goes_away_is_noticed(tree: TreeWatch, root: Path) -> None:
    """As when its disk is unmounted."""
    root.rename(root.with_name("elsewhere"))
    tree.read(0.1)
    assert tree.lost


def test_changes_wait_until_it_is_quiet_but_not_for_ever(
    tree: TreeWatch, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that grows for an hour does not bring a scan a second."""
    now = time.monotonic()
    monkeypatch.setattr("stoat_ferret.scan.tree_watch.time.monotonic", lambda: now)
    put(root / "a" / "x.mp4")
    tree.read(0.1)
    was_due = [tree.due]
    now += tree_watch.QUIET_SECONDS
    assert [*was_due, tree.due] == [False, True]
    for number in range(100):
        now += 0.5
        put(root / "a" / "x.mp4", f"video {number}")
        tree.read(0.1)
        if tree.due:
            break
    assert number * 0.5 <= tree_watch.LONGEST_WAIT_SECONDS


def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    """The reason is for a person."""
    with pytest.raises(CannotWatchError, match="not there"), TreeWatch(bytes(tmp_path / "never"), RULES):
        pass


def test_too_many_folders_say_what_to_raise(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system does when its limit is reached."""

    def refuse(self: object, path: bytes, mask: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stoat_ferret.scan.tree_watch.INotify.add_watch", refuse)
    with pytest.raises(CannotWatchError, match="max_user_watches"), TreeWatch(bytes(root), RULES):
        pass
