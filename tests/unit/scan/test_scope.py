"""Which libraries a scan is about, and whether their folders are there."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.errors import LibraryOfflineError
from stoat_ferret.library.models import Library
from stoat_ferret.library.repository import new_library
from stoat_ferret.paths import is_below
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.scope import Obstacle, ScanOptions, check_online, covering, descend, targets
from stoat_ferret.scan.walk import holds_nothing
from tests.factories import put

RULES = Rules(["mp4"])
folders = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3).map(lambda parts: ("/" + "/".join(parts)).encode())


def library(path: bytes) -> Library:
    return new_library(path, 0.5)


@given(folders, st.sets(folders), st.booleans())
def test_every_folder_is_in_one_target_at_most_that_of_its_innermost_library(
    start: bytes, roots: set[bytes], recursive: bool
) -> None:
    """And in exactly one where the scan reaches it and a library covers it."""
    libraries = [library(root) for root in sorted(roots)]
    found = targets(ScanOptions(path=start, recursive=recursive), libraries)
    for folder in sorted({start, start.rstrip(b"/") + b"/a", start.rstrip(b"/") + b"/a/b", *roots}):
        reached = is_below(folder, start) if recursive else folder == start
        owners = [
            target.library.path_bytes
            for target in found
            if is_below(folder, target.start)
            and not any(is_below(folder, out) and is_below(out, target.start) for out in target.exclude)
            and (recursive or folder == target.start)
        ]
        owner = covering(folder, libraries)
        assert owners == ([owner.path_bytes] if owner is not None and reached else [])


def test_a_part_is_reached_as_a_walk_reaches_it(tmp_path: Path) -> None:
    """Straight through folders; not through what is gone, a file, a link or an ignored folder."""
    put(tmp_path / "a" / "b" / "x.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / ".hidden").mkdir()
    root = bytes(tmp_path)
    assert isinstance(descend(root, root, RULES), Rules)
    assert isinstance(descend(root + b"/a/b", root, RULES), Rules)
    found = {
        name: descend(root + name, root, RULES)
        for name in (b"/a/b/x.mp4", b"/a/c/d", b"/link/b", b"/.hidden/y", b"/a/b/x.mp4/z")
    }
    assert {
        name: (obstacle.gone, obstacle.code) for name, obstacle in found.items() if isinstance(obstacle, Obstacle)
    } == {
        b"/a/b/x.mp4": (True, None),
        b"/a/c/d": (True, None),
        b"/link/b": (True, "SYMLINK"),
        b"/.hidden/y": (True, "IGNORED"),
        b"/a/b/x.mp4/z": (True, None),
    }


def test_a_library_at_the_root_of_everything() -> None:
    """Its parts are found like others."""
    assert isinstance(descend(b"/usr", b"/", RULES), Rules)


def test_a_library_that_is_a_file_now_is_offline(tmp_path: Path) -> None:
    """Whatever took its place, the library is not there."""
    put(tmp_path / "v")
    with pytest.raises(LibraryOfflineError, match="not there"):
        check_online(
            holds_nothing(bytes(tmp_path / "v"), RULES), library(bytes(tmp_path / "v")), present=0, accept_loss=True
        )


def test_a_library_that_was_always_empty_is_online(tmp_path: Path) -> None:
    """There is nothing to lose."""
    check_online(holds_nothing(bytes(tmp_path), RULES), library(bytes(tmp_path)), present=0, accept_loss=False)
