"""Reads and small changes of the catalogue, in both databases."""

import os
from pathlib import Path

import pytest

from stoat_ferret.db.engine import Database
from stoat_ferret.errors import LibraryNotFoundError, VideoNotFoundError
from stoat_ferret.library import absence, changes, grams, ledger, repository
from stoat_ferret.library.entries import _microseconds
from stoat_ferret.library.models import LedgerRow, Outcome
from stoat_ferret.library.repository import LibraryRepository, new_library, steps
from stoat_ferret.library.search import find
from tests.contract.catalogues import each_catalogue  # noqa: F401
from tests.factories import Stage, put


def test_what_is_not_there_is_named(repository: LibraryRepository) -> None:
    """By the id that was asked for."""
    for ask in (repository.video, repository.video_detail, repository.delete_video):
        with pytest.raises(VideoNotFoundError, match="the id nothing"):
            ask("nothing")
    with pytest.raises(LibraryNotFoundError, match="the id nothing"):
        repository.library("nothing")


@pytest.mark.parametrize(("path", "name"), [(b"/", "/"), (b"/home/me/Videos", "Videos"), (b"/v/\xff", "\ufffd")])
def test_a_library_is_made_once_and_named_for_its_folder(
    repository: LibraryRepository, catalogue: Database, path: bytes, name: str
) -> None:
    """Making it again gives the one that is there, as it is read back."""
    with catalogue.write() as connection:
        made = repository.add_library(connection, path, 0.25)
        assert repository.add_library(connection, path, 0.75) == made
    assert made.name == name
    assert repository.libraries() == [made]
    assert repository.library(made.id) == made


def test_the_innermost_library_covers_a_path(repository: LibraryRepository, catalogue: Database) -> None:
    """None does where none lies above."""
    with catalogue.write() as connection:
        for path in (b"/v", b"/v/a", b"/va"):
            repository.add_library(connection, path, 0.5)
    for path, root in ((b"/v/a/x", b"/v/a"), (b"/v/ab", b"/v"), (b"/v", b"/v"), (b"/", None), (b"/vab", None)):
        found = repository.covering_library(path)
        assert (found.path_bytes if found else None) == root


def test_long_lists_are_read_in_steps(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders at and below a path, each once; others that begin alike are left out."""
    monkeypatch.setattr(repository, "ROWS_A_STEP", 3)
    for number in range(8):
        put(tmp_path / "v" / "a" / f"{number}" / "x.mp4")
    put(tmp_path / "v" / "ab" / "x.mp4")
    stage.scan(tmp_path / "v")
    (library,) = stage.repository.libraries()
    root = bytes(tmp_path / "v")
    found = stage.repository.folders_besides(library.id, root + b"/a", ())
    assert [folder.path for folder in found] == [root + b"/a", *(root + b"/a/%d" % number for number in range(8))]
    assert len(stage.repository.folders_besides(library.id, root, ())) == 11
    assert stage.repository.folders_besides(library.id, root + b"/a", {folder.pk for folder in found[1:]}) == found[:1]
    assert stage.repository.folders_besides("other", root, ()) == []
    assert [list(step) for step in steps(list(range(7)))] == [[0, 1, 2], [3, 4, 5], [6]]


def test_missing_files_are_marked_in_steps(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are."""
    monkeypatch.setattr(absence, "ROWS_A_STEP", 3)
    monkeypatch.setattr(repository, "ROWS_A_STEP", 3)
    put(tmp_path / "v" / "stays.mp4")
    for number in range(10):
        put(tmp_path / "v" / f"{number}" / "x.mp4")
    stage.scan(tmp_path / "v")
    for number in range(10):
        os.rename(tmp_path / "v" / f"{number}", tmp_path / f"{number}")
    assert stage.counts(tmp_path / "v") == {"missing": 10, "unchanged": 1}


def test_known_files_are_counted_for_the_estimate(stage: Stage, tmp_path: Path) -> None:
    """Videos that are there, and others that were looked at; of one folder, or with all below it."""
    root = tmp_path / "v"
    for name in ("a.mp4", "s/b.mp4", "s/t/c.mp4"):
        put(root / name)
    put(root / "s" / "bad.mp4", "broken")
    gone = put(root / "gone.mp4")
    stage.scan(root)
    os.unlink(gone)
    stage.scan(root)
    (library,) = stage.repository.libraries()
    count = stage.repository.count_known
    assert count(library.id, bytes(root), recursive=True) == 4
    assert count(library.id, bytes(root), recursive=False) == 1
    assert count(library.id, bytes(root / "s"), recursive=False) == 2
    assert count("other", bytes(root), recursive=True) == 0


def test_a_deleted_video_leaves_the_feed_and_the_counter_right(stage: Stage, tmp_path: Path) -> None:
    """In whatever state it was."""
    paths = [put(tmp_path / "v" / f"{number}.mp4", f"video {number}") for number in range(4)]
    stage.scan(tmp_path / "v")
    put(paths[0], "broken")
    os.unlink(paths[1])
    stage.scan(tmp_path / "v")
    for path in paths[:3]:
        stage.repository.delete_video(stage.tree()[path][0])
        stage.check_catalogue()
    assert [video.path_bytes for video in stage.videos()] == [paths[3]]
    told = [(change.kind, change.state) for change in changes.read(stage.catalogue, 0, 100)][-3:]
    assert told == [("removed", "broken"), ("removed", "missing"), ("removed", "available")]


def test_the_feed_is_read_from_any_number_on(stage: Stage, tmp_path: Path) -> None:
    """In order, a page at a time."""
    for number in range(5):
        put(tmp_path / "v" / f"{number}.mp4")
    stage.scan(tmp_path / "v")
    everything = changes.read(stage.catalogue, 0, 100)
    assert changes.read(stage.catalogue, everything[1].seq, 2) == everything[2:4]
    assert changes.read(stage.catalogue, everything[-1].seq, 2) == []


def test_the_ledger_is_paged_by_path(stage: Stage, tmp_path: Path) -> None:
    """All rows, or those with one outcome; a job that did nothing has none and cost nothing."""
    for number in range(5):
        put(tmp_path / "v" / f"{number}.mp4", "broken" if number % 2 else "video")
    job = stage.scan(tmp_path / "v")
    found: list[LedgerRow] = []
    cursor = None
    while True:
        rows, cursor = ledger.page(stage.catalogue, job.id, outcome=None, cursor=cursor, limit=2)
        found += rows
        if cursor is None:
            break
    assert found == sorted(stage.ledger(job).values(), key=lambda row: row.path_bytes)
    failed, _ = ledger.page(stage.catalogue, job.id, outcome=Outcome.FAILED, cursor=None, limit=50)
    assert failed == [row for row in found if row.outcome is Outcome.FAILED]
    assert ledger.first_with(stage.catalogue, job.id, Outcome.FAILED, 1) == failed[:1]
    assert ledger.costs(stage.catalogue, "nothing") == (0, 0.0)
    assert set(ledger.totals(stage.catalogue, "nothing").values()) == {0}


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        (None, None), ("1970-01-01T00:00:00Z", 0), ("2024-05-06T07:08:09.123456Z", 1714979289123456),
        ("9999-12-31T23:59:59.999999Z", 253402300799999999), ("0001-01-01T00:00:00Z", -62135596800000000),
    ],
)  # fmt: skip
def test_a_camera_s_time_is_kept_exactly(text: str | None, microseconds: int | None) -> None:
    """Also at the ends of the calendar, where a float would round it out of it."""
    assert _microseconds(text) == microseconds


def test_a_new_library_has_nothing_in_it() -> None:
    """And an id of its own."""
    one, other = new_library(b"/v", 0.5), new_library(b"/v", 0.5)
    assert one.id != other.id
    assert (one.video_count, one.state, one.last_scan_job_id) == (0, "online", None)


def test_the_index_follows_titles_and_deletions(stage: Stage, tmp_path: Path) -> None:
    """What a video was called before does not find it, nor does anything once it is deleted."""
    path = put(tmp_path / "v" / "a.mp4", "video before")
    put(tmp_path / "v" / "b.mp4", "video other")
    stage.scan(tmp_path / "v")
    put(path, "video after")
    stage.scan(tmp_path / "v")
    assert find(stage.catalogue, query="before").total == 0
    assert indexed(stage, "bef") == 0
    assert indexed(stage, "aft") == 1
    assert find(stage.catalogue, query="after").total == 1
    stage.repository.delete_video(find(stage.catalogue, query="after").videos[0].id)
    assert find(stage.catalogue, query="after").total == 0
    assert indexed(stage, "aft") == 0
    assert find(stage.catalogue, query="other").total == find(stage.catalogue, query="e").total == 1


def indexed(stage: Stage, gram: str) -> int:
    """Count the rows that the index itself has for a gram, right or wrong."""
    held = grams.holding([gram], postgres=stage.catalogue.is_postgres)
    with stage.catalogue.read() as connection:
        return len(connection.execute(held).all())
