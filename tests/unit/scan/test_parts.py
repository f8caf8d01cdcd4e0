"""How a scan cuts what is to be examined into parts."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from stoat_ferret.library.models import FileKey, KnownFile
from stoat_ferret.scan import parts
from stoat_ferret.scan.compare import FolderChanges, Seen
from stoat_ferret.scan.examine import OpenFolder
from stoat_ferret.scan.listing import FileEntry, join
from stoat_ferret.scan.parts import PART_FILES, _open, _pack, part_files


def folder(number: int, files: int, *, digest: bytes | None = b"d" * 16) -> tuple[OpenFolder, tuple[Seen, ...]]:
    """Give a folder of which `files` files are to be examined; every second one is known."""
    path = b"/videos/%d\xff" % number
    seen = []
    for index in range(files):
        entry = FileEntry(b"%d\xfe.mp4" % index, FileKey(index, index + 1, index + 2, 3))
        known = None
        if index % 2:
            known = KnownFile(path=b"", key=entry.key, video_pk=index, video_id=str(index), state="missing")
        seen.append(Seen(join(path, entry.name), entry, known))
    changes = FolderChanges(probe=tuple(seen), restored=(), rejected=(), unchanged=7, newly_counted=5, gone=())
    opened = OpenFolder(path=path, library_id="L", known=None, digest=digest, changes=changes, remaining=files)
    return opened, tuple(seen)


@given(st.lists(st.integers(min_value=1, max_value=3 * PART_FILES), max_size=8))
def test_every_file_is_in_exactly_one_part_of_bounded_size(sizes: list[int]) -> None:
    """And parts are plain JSON from which the same files come back."""
    waiting = [folder(number, size) for number, size in enumerate(sizes)]
    pks = {opened.path: number for number, (opened, _) in enumerate(waiting)}
    packed = json.loads(json.dumps(list(_pack(waiting, pks))))
    assert all(0 < sum(1 for _ in part_files(part)) <= PART_FILES for part in packed)
    found = Counter(each for part in packed for each in part_files(part))
    assert found == Counter((pks[opened.path], seen.path) for opened, files in waiting for seen in files)
    back = [seen for part in packed for piece in part["folders"] for seen in _open(piece).files]
    given_ = {seen.path: seen for _, files in waiting for seen in files}
    for seen in back:
        original = given_[seen.path]
        assert seen.entry == original.entry
        assert (seen.known is None) == (original.known is None)
        if seen.known and original.known:
            assert (seen.known.video_pk, seen.known.state) == (original.known.video_pk, original.known.state)


def test_a_folder_is_closed_by_a_part_only_where_it_lies_wholly_in_it() -> None:
    """Of a larger one, no part knows when the last file is done."""
    small, large = folder(0, 2), folder(1, PART_FILES + 1)
    pieces = [
        piece
        for part in _pack([small, large], dict.fromkeys((small[0].path, large[0].path), 0))
        for piece in part["folders"]
    ]
    whole, *rest = [_open(piece) for piece in pieces]
    assert whole.folder.remaining == 2
    assert [opened.folder.remaining - len(opened.files) for opened in rest] == [1, 1]


class Distributor:
    """Takes parts and does nothing with them."""

    def __init__(self) -> None:
        self.parts: list[dict[str, Any]] = []

    def submit(self, payload: dict[str, Any]) -> None:
        """Keep it."""
        self.parts.append(payload)

    def counts(self) -> tuple[int, int]:
        """Half are done."""
        return len(self.parts) // 2, len(self.parts)


class Job:
    """A job that may write anything, nowhere."""

    job_id = "J"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give nothing to write to."""
        yield cast("Connection", None)


class Writer:
    """Remembers what it was told to close."""

    def __init__(self) -> None:
        self.visited: set[int] = set()
        self.closed: list[OpenFolder] = []

    def close(self, opened: OpenFolder) -> None:
        """Note it."""
        self.closed.append(opened)

    def flush(self) -> None:
        """There is nothing to write."""


@pytest.fixture
def parting(monkeypatch: pytest.MonkeyPatch) -> tuple[parts.Parting, Distributor, Writer]:
    """The scan's side, with everything around it pretended."""
    monkeypatch.setattr(parts, "ensure_folders", lambda _, batches: {batch.path: n for n, batch in enumerate(batches)})
    monkeypatch.setattr("stoat_ferret.scan.parts.absence.note", lambda *_: None)
    distributor, writer = Distributor(), Writer()
    return parts.Parting(cast("Any", distributor), cast("Any", Job()), cast("Any", writer)), distributor, writer


def test_what_is_little_stays_with_the_scan(parting: tuple[parts.Parting, Distributor, Writer]) -> None:
    """It is done sooner than another worker would take it up."""
    each, distributor, _ = parting
    small = folder(0, PART_FILES - 1)
    each.add(*small)
    assert list(each.rest()) == [small]
    assert (distributor.parts, each.done()) == ([], 0)
    assert list(each.rest()) == []


def test_what_is_much_is_handed_on_and_so_is_its_rest(parting: tuple[parts.Parting, Distributor, Writer]) -> None:
    """A folder too large for one part is closed by the scan, without a digest."""
    each, distributor, writer = parting
    large = folder(0, PART_FILES + 1)
    each.add(*large)
    assert len(distributor.parts) == 2
    assert writer.closed == [large[0]]
    assert large[0].digest is None
    each.add(*folder(1, 3))
    assert list(each.rest()) == []
    assert len(distributor.parts) == 3
    assert each.done() == (PART_FILES + 4) // 3
    assert writer.visited == {0}
