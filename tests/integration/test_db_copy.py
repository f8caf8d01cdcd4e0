"""A library that is copied to another database and back is the same library."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Table, insert, select, update

from stoat_ferret import moving
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.main import main
from stoat_ferret.db import copy
from stoat_ferret.db.engine import Database, open_postgres, open_sqlite
from stoat_ferret.db.job_tables import jobs, workers
from stoat_ferret.db.migrate import Tree, upgrade
from stoat_ferret.db.tables import changes, folders, rejects, videos
from stoat_ferret.errors import ConfigurationError, StoatError, StorageError
from stoat_ferret.library.search import find
from tests.contract.catalogues import Shelf, reject, video
from tests.factories import Stage, make_settings
from tests.postgres import PostgresServer

LEASE_SECONDS = 10.0
TREES: tuple[Tree, ...] = ("library", "jobs")

Rows = dict[str, list[tuple[Any, ...]]]


def open_place(place: str, tree: Tree) -> Database:
    """Open one of the databases of a data directory or an address."""
    if "://" in place:
        from stoat_ferret.db.engine import postgres_url

        return open_postgres(postgres_url(place), copy.SCHEMAS[tree])
    return open_sqlite(Path(place) / moving.FILES[tree])


def rows(place: str) -> Rows:
    """Read all rows of all tables."""
    found: Rows = {}
    for tree in TREES:
        with closing(open_place(place, tree)) as database, database.read() as connection:
            for table in copy.TABLES[tree]:
                query = select(table).order_by(*table.primary_key.columns)
                found[table.name] = [tuple(row) for row in connection.execute(query)]
    return found


def answers(place: str) -> list[object]:
    """Search, in several orders."""
    with closing(open_place(place, "library")) as database:
        asked = [(query, sort) for query in (None, "東京", "ete", "mp4", "beach day") for sort in ("name", "-duration")]
        return [find(database, query=query, sort=sort, limit=3) for query, sort in asked]


def copied(source: str, destination: str) -> list[moving.CopiedTable]:
    """Copy, saying nothing."""
    return moving.copy_library(source, destination, lease_seconds=LEASE_SECONDS, report=lambda *_: None)


@pytest.fixture
def source(tmp_path: Path, clips: Path) -> str:
    """A data directory with a library that was really scanned, some odd rows, and job records."""
    folder = tmp_path / "source"
    folder.mkdir()
    with closing(open_sqlite(folder / "library.db")) as catalogue, closing(open_sqlite(folder / "jobs.db")) as records:
        upgrade(catalogue, "library")
        upgrade(records, "jobs")
        stage = Stage(catalogue, make_settings(folder), real_pool=True)
        assert stage.counts(clips) == {"new": 2, "failed": 1, "skipped": 1}
        add_odd_rows(catalogue)
        with records.write() as connection:
            connection.execute(insert(jobs), [job("a", "complete", result={"x": 1.5}), job("b", "pending")])
            connection.execute(insert(workers), [worker(seen_at=1)])
    return str(folder)


def add_odd_rows(catalogue: Database) -> None:
    """Store names that are not UTF-8, forget the newest video and the first changes."""
    shelf = Shelf(catalogue)
    shelf.store([video(b"\xff\x00", width=1 << 40, duration=0.1), reject(b"bad\n"), video(b"last.mp4")])
    shelf.repository.update_library(shelf.library.id, schedule="0 3 * * *")
    last = next(found for found in find(catalogue).videos if found.filename == "last.mp4")
    shelf.repository.delete_video(last.id)
    with catalogue.write() as connection:
        connection.execute(changes.delete().where(changes.c.seq < 3))


def made_empty(folder: Path, version: str = "head") -> Path:
    """Make a data directory of some version with nothing in it."""
    folder.mkdir()
    for tree in TREES:
        with closing(open_place(str(folder), tree)) as database:
            upgrade(database, tree, version)
    return folder


def versions(folder: Path) -> dict[str, str | None]:
    """Give the versions of both schemas."""
    found: dict[str, str | None] = {}
    for tree in TREES:
        with closing(open_place(str(folder), tree)) as database, database.read() as connection:
            found[tree] = MigrationContext.configure(connection).get_current_revision()
    return found


def job(job_id: str, status: str, **fields: Any) -> dict[str, Any]:
    """Give a job's record."""
    usual: dict[str, Any] = {"id": job_id, "revision": 1, "type": "scan", "key": job_id, "payload": {"path": "/é"}}
    return {**usual, "status": status, "created_at": 1, "result": None, **fields}


def worker(*, seen_at: int) -> dict[str, Any]:
    """Give a worker's record."""
    return {"id": "w", "host": "h", "pid": 1, "process_started_at": 1, "started_at": 1, "seen_at": seen_at}


@pytest.fixture
def address(postgres: PostgresServer) -> Iterator[str]:
    """A Postgres database that nothing has been done in."""
    with postgres.database() as url:
        yield url.render_as_string(hide_password=False)


@pytest.mark.postgres
def test_a_library_goes_to_postgres_and_back(source: str, address: str, tmp_path: Path) -> None:
    """Every row of every table is the same, and so is what is found."""
    before, found = rows(source), answers(source)
    there = copied(source, address)
    assert rows(address) == before
    assert answers(address) == found
    back = str(tmp_path / "back")
    again = copied(address, back)
    assert rows(back) == before
    assert answers(back) == found
    assert again == there
    assert {table.name: table.rows for table in again} == {name: len(held) for name, held in before.items()}
    assert all(before[name] for name in ("videos", "rejects", "ledger", "changes", "jobs", "workers", "video_texts"))
    assert sorted(path.name for path in Path(back).iterdir()) == ["jobs.db", "library.db"]


@pytest.mark.postgres
def test_the_copy_goes_on_where_the_source_was(source: str, address: str) -> None:
    """New keys follow the largest, new changes the last number, and the index takes what is new."""
    copied(source, address)
    with closing(open_place(address, "library")) as database:
        last = rows(address)["changes"][-1][0]
        Shelf(database).store([video(b"new.mp4", tags={"title": "brandnew"}), reject(b"new.txt")])
        assert find(database, query="brandnew").total == 1
        with database.read() as connection:
            assert (
                connection.execute(select(changes.c.seq).order_by(changes.c.seq.desc())).scalars().first() == last + 1
            )


def test_a_library_goes_from_folder_to_folder(source: str, tmp_path: Path) -> None:
    """Also where a folder is there already, with an empty library in it and other things."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "thumbnails").mkdir()
    for tree in TREES:
        with closing(open_place(str(target), tree)) as database:
            upgrade(database, tree)
    copied(source, str(target))
    assert rows(str(target)) == rows(source)
    assert answers(str(target)) == answers(source)
    assert sorted(path.name for path in target.iterdir()) == ["jobs.db", "library.db", "thumbnails"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


@pytest.mark.parametrize("reading", [False, True], ids=["open", "reading"])
def test_a_copy_is_moved_whole_or_not_at_all(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: bool
) -> None:
    """Whoever has it open keeps SQLite from tidying up at the end; what lies beside the files would be left behind."""
    target = tmp_path / "target"
    with closing(open_place(str(made_empty(target)), "library")):
        pass
    others: list[sqlite3.Connection] = []

    def look(database: Database) -> None:
        others.append(sqlite3.connect(database.name, isolation_level=None))
        if reading:
            others[-1].execute("BEGIN")
        others[-1].execute("SELECT count(*) FROM sqlite_master").fetchone()
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE more (a)")
            connection.exec_driver_sql("DROP TABLE more")

    monkeypatch.setattr(moving, "analyze", look)
    try:
        if reading:
            with pytest.raises(StorageError, match="somebody reads it"):
                copied(source, str(target))
        else:
            copied(source, str(target))
    finally:
        for other in others:
            other.close()
    held = rows(str(target))
    assert held == ({name: [] for name in held} if reading else rows(source))


def test_what_lies_beside_a_copy_is_never_left_behind(tmp_path: Path) -> None:
    """However it came there."""
    made, folder = made_empty(tmp_path / "made"), made_empty(tmp_path / "folder")
    before = rows(str(folder))
    (made / "jobs.db-wal").write_bytes(b"x")
    with pytest.raises(StorageError, match=r"jobs\.db is not whole"):
        moving._move_into_place(made, folder)
    assert rows(str(folder)) == before


@pytest.mark.postgres
def test_a_library_goes_from_postgres_to_postgres(source: str, address: str, postgres: PostgresServer) -> None:
    """With the number and the sum of each table."""
    first = copied(source, address)
    with postgres.database(migrated=True) as url:
        other = url.render_as_string(hide_password=False)
        assert copied(address, other) == first
        assert rows(other) == rows(source)


def test_texts_that_postgres_refuses_are_made_storable(tmp_path: Path, source: str) -> None:
    """Older versions stored them in SQLite; the checksum is that of what is stored."""
    with closing(open_place(source, "library")) as database, database.write() as connection:
        connection.exec_driver_sql("UPDATE videos SET title = 'a' || char(0) || 'b'")
        connection.exec_driver_sql("""UPDATE video_details SET tags = '{"x": "\\u0000", "n": NaN}'""")
    copied(source, str(tmp_path / "copy"))
    held = rows(str(tmp_path / "copy"))
    assert {row[videos.c.keys().index("title")] for row in held["videos"]} == {"a\ufffdb"}
    assert {json.dumps(row[3]) for row in held["video_details"]} == {'{"x": "\\ufffd", "n": null}'}


# Refusals


@pytest.mark.parametrize("why", ["not empty", "not usable", "in use"])
def test_an_older_library_is_left_as_it_is_where_the_copy_is_refused(tmp_path: Path, why: str) -> None:
    """Once it is brought to this version, an older program would not open it any more."""
    older = {"library": "0001", "jobs": "0001"}
    source, target = made_empty(tmp_path / "old", "0001"), made_empty(tmp_path / "target", "0001")
    if why == "in use":
        with closing(open_place(str(source), "jobs")) as database, database.write() as connection:
            connection.execute(insert(workers), [worker(seen_at=1 << 60)])
    if why == "not empty":
        with closing(open_place(str(target), "jobs")) as database, database.write() as connection:
            connection.execute(insert(jobs), [job("a", "complete")])
    if why == "not usable":
        target = target / "library.db" / "below"
    with pytest.raises(StoatError):
        copied(str(source), str(target))
    assert versions(source) == older
    if why == "not empty":
        assert versions(target) == older
        return
    with closing(open_place(str(source), "jobs")) as database, database.write() as connection:
        connection.execute(workers.delete())
    copied(str(source), str(tmp_path / "copy"))
    assert versions(source) == versions(tmp_path / "copy") != older


@pytest.mark.postgres
def test_a_place_with_data_is_refused(source: str, address: str) -> None:
    """It says what is in it, and what to do."""
    copied(source, address)
    with pytest.raises(ConfigurationError, match=r"is not empty.*videos \(3\).*name another data directory"):
        copied(source, address)
    with pytest.raises(ConfigurationError, match="is not empty"):
        copied(source, source)


@pytest.mark.postgres
@pytest.mark.parametrize("alive_in", ["source", "destination"])
def test_a_library_in_use_is_refused(source: str, address: str, alive_in: str) -> None:
    """Whoever is alive would write what is not copied any more."""
    place = source if alive_in == "source" else address
    with closing(open_place(place, "jobs")) as database:
        upgrade(database, "jobs")
        with database.write() as connection:
            connection.execute(workers.delete())
            connection.execute(insert(workers), [worker(seen_at=1 << 60)])
    with pytest.raises(ConfigurationError, match=r"A worker is alive in .*Stop `stoat serve`"):
        copied(source, address)


@pytest.mark.postgres
def test_where_no_library_is_nothing_is_copied(source: str, address: str, tmp_path: Path) -> None:
    """Nor is anything made there."""
    with pytest.raises(StorageError, match=r"There is no library in .*nowhere"):
        copied(str(tmp_path / "nowhere"), address)
    with pytest.raises(StorageError, match="There is no library in postgresql"):
        copied(address, str(tmp_path / "copy"))
    with pytest.raises(ConfigurationError, match="must be a Postgres one"):
        copied(source, "mysql://x/y")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_an_interrupted_copy_leaves_nothing(
    source: str, address: str, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever table it was at; it can simply be done again."""
    target = address if kind == "postgres" else str(tmp_path / "copy")
    real = copy.verify

    def interrupted(connection: Any, expected: Any, tables: Any, step: Callable[[int], None]) -> None:
        if "jobs" in expected:
            raise KeyboardInterrupt
        real(connection, expected, tables, step)

    monkeypatch.setattr(copy, "verify", interrupted)
    with pytest.raises(KeyboardInterrupt):
        copied(source, target)
    if kind == "postgres":
        assert set(map(len, rows(address).values())) == {0}
    else:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
    monkeypatch.setattr(copy, "verify", real)
    copied(source, target)
    assert rows(target) == rows(source)


@pytest.mark.parametrize("change", ["lost", "altered"])
def test_a_copy_that_differs_is_given_up(
    source: str, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is named."""
    real = copy.copy_rows

    def damaged(one: Any, other: Any, tables: list[Table], step: Any) -> Any:
        tallies = real(one, other, tables, step)
        if change == "lost":
            other.execute(rejects.delete())
        else:
            other.execute(update(folders).values(reject_count=99))
        return tallies

    monkeypatch.setattr(copy, "copy_rows", damaged)
    expected = "rejects had 0 rows instead of" if change == "lost" else "folders had rows that are not those"
    with pytest.raises(StorageError, match=expected):
        copied(source, str(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


# The command


def test_the_command_prints_what_was_copied(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a table for other programs, or one document."""
    assert main(["db", "copy", source, str(tmp_path / "one")]) == ExitStatus.OK
    said = capsys.readouterr()
    lines = [line.split("\t") for line in said.out.splitlines()]
    assert ["library", "videos", "3"] in [line[:3] for line in lines]
    assert "Copied and read back: " in said.err
    assert main(["db", "copy", source, str(tmp_path / "two"), "--json"]) == ExitStatus.OK
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert [[t["database"], t["name"], str(t["rows"]), t["checksum"]] for t in document["tables"]] == lines
    assert said.err == ""


def test_the_command_says_why_it_refuses(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, and with the status of what cannot be used."""
    assert main(["db", "copy", source, source]) == ExitStatus.ENVIRONMENT
    assert "is not empty" in capsys.readouterr().err


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """With an address in its examples."""
    assert main(["db", "copy", "--help"]) == ExitStatus.OK
    assert "postgresql://" in capsys.readouterr().out


def test_how_far_it_is_goes_to_whoever_asked(source: str, tmp_path: Path) -> None:
    """From nothing to everything, never back."""
    told: list[tuple[str, int, int]] = []
    moving.copy_library(source, str(tmp_path / "copy"), lease_seconds=1.0, report=lambda *step: told.append(step))
    assert [step[1] for step in told] == sorted(step[1] for step in told)
    assert told[-1][1] == told[-1][2] > 0
    assert [*dict.fromkeys(step[0] for step in told)] == [
        "Copying the catalogue", "Indexing", "Reading back", "Copying the job records",
    ]  # fmt: skip
