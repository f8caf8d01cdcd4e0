"""A folder's listing against what is known of it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.library.models import FileKey, KnownFile, Outcome
from stoat_ferret.scan.compare import MTIME_GRANULARITY_NS, compare, digest, settled
from stoat_ferret.scan.listing import FileEntry, Files, FolderListing
from stoat_ferret.scan.rules import Rules

RULES = Rules(["mp4"])
FOLDER = b"/v"
numbers = st.integers(0, 3)
keys = st.builds(FileKey, numbers, numbers, numbers, numbers)
filenames = st.sampled_from([b"a.mp4", b"b.mp4", b"c|0|0|0\n.mp4", b"c", b"\xff"])
entries = st.dictionaries(filenames, keys, max_size=5)
states = st.sampled_from(["available", "missing", "broken", "reject"])


def listing(files: dict[bytes, FileKey]) -> FolderListing:
    return FolderListing(FOLDER, Files.of(FileEntry(name, key) for name, key in sorted(files.items())), (), ())


def known_file(path: bytes, key: FileKey, state: str) -> KnownFile:
    if state == "reject":
        return KnownFile(path=path, key=key, reject_outcome=Outcome.SKIPPED, code="X", reason="x")
    found = KnownFile(path=path, key=key, video_pk=1, video_id="1", state="available")
    if state == "missing":
        return replace(found, state="missing")
    return replace(found, state="broken", reject_outcome=Outcome.FAILED) if state == "broken" else found


@given(
    entries,
    st.dictionaries(filenames, st.tuples(keys, states), max_size=5),
    st.booleans(),
    st.sets(filenames.map(lambda name: FOLDER + b"/" + name)),
)
def test_each_file_is_sorted_into_one_place(
    files: dict[bytes, FileKey], before: dict[bytes, tuple[FileKey, str]], force: bool, done: set[bytes]
) -> None:
    """Every listed file has one outcome, every known one that is not listed is gone unless it was missing already."""
    known = {FOLDER + b"/" + name: known_file(FOLDER + b"/" + name, *what) for name, what in before.items()}
    result = compare(listing(files), known, force=force, done=done)
    lists = (result.probe, result.restored, result.rejected)
    assert sum(map(len, lists)) + result.unchanged == len(files)
    assert result.newly_counted <= result.unchanged
    assert {file.path for file in result.gone} == {
        path for path, file in known.items() if path[len(FOLDER) + 1 :] not in files and file.state != "missing"
    }
    for seen in result.probe:
        same = seen.known is not None and seen.known.key.same_file(seen.entry.key)
        assert not same or (force and seen.path not in done)
    for seen in (*result.restored, *result.rejected):
        assert seen.known is not None
        assert seen.known.key.same_file(seen.entry.key)
        assert (seen.known.state == "missing") == (seen in result.restored)


@given(entries, entries)
def test_digests_are_equal_for_equal_looks_only(one: dict[bytes, FileKey], other: dict[bytes, FileKey]) -> None:
    """Names, sizes, times and inodes count; the device does not."""

    def look(files: dict[bytes, FileKey]) -> dict[bytes, FileKey]:
        return {name: replace(key, device=0) for name, key in files.items()}

    assert (digest(listing(one), RULES) == digest(listing(other), RULES)) == (look(one) == look(other))
    assert digest(listing(one), RULES) != digest(listing(one), Rules(["mkv"]))


@pytest.mark.parametrize(("age", "old_enough"), [(MTIME_GRANULARITY_NS + 1, True), (MTIME_GRANULARITY_NS, False)])
def test_a_folder_is_settled_once_its_youngest_file_is(age: int, old_enough: bool) -> None:
    """A time in the future is never old enough."""
    now = 10**18
    old, other = FileKey(1, 0, 1, 1), FileKey(1, now - age, 1, 1)
    assert settled(listing({b"a": old, b"b": other}), now) is old_enough
    assert not settled(listing({b"a": FileKey(1, now + 1, 1, 1)}), now)
    assert settled(listing({}), now)
