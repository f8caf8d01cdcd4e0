"""What a scan stores is on the disk before anybody is told that it is done, and waits for the disk but once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from stoat_ferret.db.engine import Database
from stoat_ferret.scan import store
from tests.factories import Stage, put


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each write transaction that changed something, whether it waited for the disk."""
    found: list[bool] = []
    write = Database.write

    @contextmanager
    def watched(database: Database, *, durable: bool = True, **options: Any) -> Iterator[Connection]:
        with write(database, durable=durable, **options) as connection:
            driver: Any = connection.connection.driver_connection
            before = driver.total_changes
            yield connection
            if driver.total_changes != before:
                found.append(durable)

    monkeypatch.setattr(Database, "write", watched)
    return found


@pytest.mark.parametrize("shared", [False, True])
def test_batches_do_not_wait_for_the_disk_but_the_last(
    stage: Stage, tmp_path: Path, commits: list[bool], monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """Nor does an empty transaction count for the last: it would not reach the disk."""
    monkeypatch.setattr(store, "BATCH_FILES", 1)
    stage.shared = shared
    for number in range(4):
        put(tmp_path / "v" / f"{number}" / "x.mp4", f"{number}")
    assert stage.counts(tmp_path / "v")["new"] == 4
    assert commits.count(False) >= 4
    assert commits[-1]


def test_the_disk_is_waited_for_though_nothing_was_gathered_since(stage: Stage, commits: list[bool]) -> None:
    """As where a scan is cancelled just after a batch; but not twice."""
    writer = store.Writer(stage_transaction(stage), "job", dry_run=False, tracer=None)  # type: ignore[arg-type]
    writer._undurable = True
    writer.flush()
    writer.flush()
    assert commits == [True]


def stage_transaction(stage: Stage) -> store.Transaction:
    """Give write transactions on the catalogue as a job does, but for the check of its token."""
    return lambda *, durable: stage.catalogue.write(durable=durable)
