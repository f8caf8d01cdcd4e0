"""Statements without SQLAlchemy's cost: they must do just what it does, in either database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, insert, select, update

from stoat_ferret.db.engine import Database, open_postgres, open_sqlite
from stoat_ferret.db.job_tables import job_records, jobs
from stoat_ferret.db.prepared import Prepared, among
from stoat_ferret.errors import StorageError
from tests.contract.catalogues import BOTH
from tests.contract.job_queues import empty

ROW: dict[str, Any] = {
    "id": "1", "revision": 7, "type": "scan", "key": "caf\udce9", "payload": {"path": "/v", "n": [1, None, "é"]},
    "status": "pending", "cancel_requested": True, "result": None, "timeout_seconds": 2.5, "created_at": 5,
}  # fmt: skip
ALL = select(jobs).order_by(jobs.c.id)


def inserting(row: dict[str, Any]) -> Prepared:
    return Prepared(insert(jobs).values({name: bindparam(name) for name in row}).returning(*jobs.c))


@pytest.fixture(params=BOTH)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Give job records without jobs."""
    if request.param == "postgres":
        database = open_postgres(request.getfixturevalue("postgres_database"), "stoat_jobs")
        empty(database)
    else:
        database = open_sqlite(tmp_path / "jobs.db")
        job_records.create_all(database.engine)
    yield database
    database.close()


def test_values_are_converted_as_by_sqlalchemy(database: Database) -> None:
    """JSON, flags and text that no database can hold, on their way in and out."""
    with database.write() as connection:
        (stored,) = inserting(ROW).rows(connection, **ROW)
    with database.read() as connection:
        (ordinary,) = connection.execute(ALL).mappings()
        assert Prepared(ALL).rows(connection) == [dict(ordinary)] == [stored]
    assert stored["payload"] == ROW["payload"]
    assert (stored["cancel_requested"], stored["resumes"]) == (True, False)


def test_none_is_null_in_a_column_of_json_too(database: Database) -> None:
    """There is no JSON null to be told from it."""
    changing = Prepared(update(jobs).where(jobs.c.id == bindparam("job_id")).values(result=bindparam("result")))
    with database.write() as connection:
        inserting(ROW).rows(connection, **ROW)
        assert changing.run(connection, {"job_id": "1", "result": {"a": 1}}) == 1
        assert changing.run(connection, {"job_id": "1", "result": None}) == 1
        assert changing.run(connection, {"job_id": "2", "result": None}) == 0
        assert connection.execute(select(jobs.c.id).where(jobs.c.result.is_(None))).scalars().all() == ["1"]


@pytest.mark.parametrize("given", [[], ["scan"], ["scan", "other"], ["it's"], [f"t{n}" for n in range(3000)]])
def test_a_list_is_one_parameter(database: Database, given: list[str]) -> None:
    """However long, and also in the negative."""
    with database.write() as connection:
        inserting(ROW).rows(connection, **ROW)
        for statement, found in (
            (select(jobs.c.id).where(among(jobs.c.type, "types")), "scan" in given),
            (select(jobs.c.id).where(~among(jobs.c.type, "types")), "scan" not in given),
        ):
            assert len(Prepared(statement).rows(connection, types=given)) == found
            assert len(connection.execute(statement, {"types": given}).all()) == found


def test_a_parameter_that_is_missing_is_no_null(database: Database) -> None:
    """It is a mistake."""
    with database.ask() as connection, pytest.raises(KeyError):
        Prepared(select(jobs).where(jobs.c.id == bindparam("job_id"))).rows(connection)


def test_errors_of_the_driver_are_translated(database: Database) -> None:
    """As all others: nobody sees sqlite3's, or psycopg's."""

    def insert_twice() -> None:
        with database.write() as connection:
            for _ in range(2):
                inserting(ROW).rows(connection, **ROW)

    with pytest.raises(StorageError, match=r"(?i)unique"):
        insert_twice()
    with database.read() as connection:
        assert Prepared(ALL).rows(connection) == []
