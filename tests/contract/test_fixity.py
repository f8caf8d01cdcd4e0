"""Checksums, on both databases."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import checksums, videos
from stoat_ferret.library import fixity
from stoat_ferret.library.fixity import Wanted
from tests.contract.catalogues import Shelf, each_catalogue, video  # noqa: F401

A, B = "a" * 64, "b" * 64


def due(database: Database, mode: fixity.Mode = "new", before: int = 1 << 60, **place: object) -> list[Wanted]:
    where = (place.get("place"), place.get("video_id"))
    found = fixity.due(database, *where, mode, before, frozenset())  # type: ignore[arg-type]
    count, size = fixity.count_due(database, *where, mode, before)  # type: ignore[arg-type]
    assert (count, size) == (len(found), sum(each.size for each in found))
    return found


def record(database: Database, wanted: Wanted, digest: str) -> bool | None:
    with database.write() as connection:
        return fixity.record(connection, wanted, digest)


def test_what_was_never_hashed_is_due_then_what_was_checked_longest_ago(catalogue: Database) -> None:
    """A folder, a file or all; what is missing is not."""
    Shelf(catalogue).store([video(b"a.mp4"), video(b"b.mp4"), video(b"c.mp4")])
    a, b, c = sorted(due(catalogue), key=lambda each: each.path_bytes)
    assert record(catalogue, b, A)
    assert record(catalogue, a, A)
    assert [each.path_bytes for each in due(catalogue)] == [c.path_bytes]
    assert [each.path_bytes for each in due(catalogue, "check")] == [c.path_bytes, b.path_bytes, a.path_bytes]
    assert due(catalogue, "check", before=0) == [c]
    assert due(catalogue, "check", place=a.path_bytes)[0].digest == A
    assert due(catalogue, place=b"/elsewhere") == []
    assert due(catalogue, video_id=c.video_id) == [c]
    with catalogue.write() as connection:
        connection.execute(update(videos).where(videos.c.pk == c.video_pk).values(state="missing"))
    assert due(catalogue) == []
    assert fixity.count_unhashed(catalogue, b"/v") == 0


def test_another_content_is_damage_until_it_is_right_again(catalogue: Database) -> None:
    """The first hash stays; equal contents have one id."""
    Shelf(catalogue).store([video(b"a.mp4")])
    [wanted] = due(catalogue)
    assert record(catalogue, wanted, A)
    [wanted] = due(catalogue, "check")
    assert record(catalogue, wanted, B) is False
    since = fixity.damaged(catalogue)[0].checksum.damaged_at
    assert record(catalogue, wanted, B) is False
    [found] = fixity.damaged(catalogue)
    assert (found.checksum.digest, found.checksum.found, found.checksum.damaged_at) == (A, B, since)
    with catalogue.read() as connection:
        assert connection.execute(select(videos.c.content_id)).scalar_one() == f"blake3:{A}"
    [wanted] = due(catalogue, "check")
    assert wanted.damaged
    assert record(catalogue, wanted, A)
    assert fixity.damaged(catalogue) == []
    assert not fixity.accept(catalogue, wanted.video_id)


def test_a_changed_content_can_be_accepted(catalogue: Database) -> None:
    """It is the right one from then on."""
    Shelf(catalogue).store([video(b"a.mp4")])
    record(catalogue, due(catalogue)[0], A)
    [wanted] = due(catalogue, "check")
    record(catalogue, wanted, B)
    assert fixity.accept(catalogue, wanted.video_id)
    checksum = fixity.checksum_of(catalogue, wanted.video_id)
    assert checksum is not None
    assert (checksum.digest, checksum.damaged_at, checksum.found) == (B, None, None)
    [wanted] = due(catalogue, "check")
    assert record(catalogue, wanted, B)


def test_a_file_that_somebody_changed_is_hashed_anew(catalogue: Database) -> None:
    """Its old checksum says nothing about it."""
    Shelf(catalogue).store([video(b"a.mp4")])
    [stale] = due(catalogue)
    record(catalogue, stale, A)
    with catalogue.write() as connection:
        connection.execute(update(videos).values(mtime_ns=videos.c.mtime_ns + 1))
    assert fixity.checksum_of(catalogue, stale.video_id) is None
    [wanted] = due(catalogue)
    assert wanted.digest is None
    assert record(catalogue, stale, B) is None  # which was read before it changed, and is not heeded
    assert due(catalogue) == [wanted]
    assert record(catalogue, wanted, B)
    with catalogue.read() as connection:
        assert connection.execute(select(checksums.c.digest)).scalar_one() == B


names = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name and b"/" not in name)


@given(names)
def test_a_manifest_line_is_read_back_exactly(name: bytes) -> None:
    """As `b3sum --check` reads it: after a backslash at its start, pairs of characters stand for others."""
    line = fixity.manifest_line(A, name)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    escaped = line.startswith(b"\\")
    digest, _, rest = line.removeprefix(b"\\").rstrip(b"\n").partition(b"  ") if escaped else line[:-1].partition(b"  ")
    if escaped:
        pieces = rest.split(b"\\\\")
        rest = b"\\".join(piece.replace(b"\\n", b"\n") for piece in pieces)
    assert (digest.decode(), rest) == (A, name)


def test_a_manifest_lists_what_is_known_below_a_folder(catalogue: Database) -> None:
    """By path, as seen from there."""
    Shelf(catalogue).store([video(b"a.mp4"), video(b"b\n.mp4"), video(b"c.mp4")])
    for wanted in sorted(due(catalogue), key=lambda each: each.path_bytes)[:2]:
        record(catalogue, wanted, A)
    lines = list(fixity.manifest(catalogue, b"/v"))
    assert lines == [f"{A}  a.mp4\n".encode(), f"\\{A}  b\\n.mp4\n".encode()]
    assert fixity.count_unhashed(catalogue, b"/v") == 1


@pytest.mark.skipif(shutil.which("b3sum") is None, reason="there is no b3sum here")
def test_b3sum_checks_a_manifest(catalogue: Database, tmp_path: Path) -> None:
    """All that it can read of it, which it does before it stops at the first name that it cannot."""
    readable = [b"a b.mp4", b"back\\slash.mp4", b"new\nline.mp4", b"carriage\rreturn.mp4", b"at its end\r", b"z.mp4"]
    others = [b"\xff.mp4"]
    Shelf(catalogue).store([video(name) for name in (*readable, *others)])
    for wanted in due(catalogue):
        name = wanted.path_bytes.rpartition(b"/")[2]
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(name)
        record(catalogue, wanted, blake3(name).hexdigest())
    lines = list(fixity.manifest(catalogue, b"/v"))
    assert len(lines) == len(readable) + len(others)
    assert _b3sum(tmp_path, lines).stdout.count(b": OK") == len(readable)
    assert _b3sum(tmp_path, lines[: len(readable)]).returncode == 0


def _b3sum(folder: Path, lines: list[bytes]) -> "subprocess.CompletedProcess[bytes]":
    (folder / "list.b3").write_bytes(b"".join(lines))
    return subprocess.run(["b3sum", "--check", "list.b3"], cwd=folder, capture_output=True, check=False)


def test_the_hash_is_that_of_the_field() -> None:
    """BLAKE3's own test vector for no input at all (BLAKE3 specification, test_vectors.json)."""
    expected = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert blake3(b"").hexdigest() == expected
