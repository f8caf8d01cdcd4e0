"""Changes of several callers in one commit: who is told what, and when."""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from stoat_ferret.db.engine import Database, open_sqlite, open_sqlite_in_memory
from stoat_ferret.db.together import Committer
from stoat_ferret.errors import StorageBusyError, StorageError, StorageFullError

pytestmark = pytest.mark.anyio


class Notes:
    """Notes in a database; `parent` must name another one, which is only looked at when it is committed."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.commits: list[list[str]] = []
        """What each commit brought."""
        with database.write() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE notes "
                "(name TEXT PRIMARY KEY, parent TEXT REFERENCES notes (name) DEFERRABLE INITIALLY DEFERRED, body BLOB)"
            )

    def add(self, name: str, *, parent: str | None = None, size: int = 0, durable: bool = True) -> str:
        with self.database.write(durable=durable) as connection:
            values = {"name": name, "parent": parent, "body": b"x" * size}
            connection.execute(text("INSERT INTO notes VALUES (:name, :parent, :body)"), values)
        return name

    def add_and_fail(self, name: str) -> str:
        with self.database.write() as connection:
            connection.execute(text("INSERT INTO notes (name) VALUES (:name)"), {"name": name})
            raise KeyError(name)

    def names(self) -> set[str]:
        with self.database.read() as connection:
            return set(connection.execute(text("SELECT name FROM notes")).scalars())


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    """Give an empty database of notes."""
    database = open_sqlite(tmp_path / "notes.db")
    yield Notes(database)
    database.close()


@pytest.fixture
def elsewhere(notes: Notes) -> Iterator[Callable[[], set[str]]]:
    """Give the names as another connection finds them, that is those that are committed."""
    other = open_sqlite(Path(notes.database.name))
    reader = Notes.__new__(Notes)
    reader.database = other
    yield reader.names
    other.close()


@pytest.fixture
def committer(notes: Notes) -> Iterator[Committer]:
    """Give what commits changes together."""
    committer = Committer(notes.database, name="commit")
    yield committer
    committer.close()


async def held_up(committer: Committer) -> tuple[asyncio.Task[None], threading.Event]:
    """Keep its thread busy until the event is set."""
    busy, go_on = threading.Event(), threading.Event()

    def hold_up() -> None:
        busy.set()
        go_on.wait(10)

    first = asyncio.create_task(committer.call(hold_up, durable=False))
    await asyncio.sleep(0)
    await asyncio.to_thread(busy.wait, 10)
    return first, go_on


async def at_once(committer: Committer, *calls: Callable[[], str]) -> list[str | BaseException]:
    """Have calls made in one commit: all of them wait while an earlier one is being made."""
    first, go_on = await held_up(committer)
    rest = [asyncio.create_task(committer.call(each, durable=True)) for each in calls]
    await asyncio.sleep(0)
    go_on.set()
    await first
    return await asyncio.gather(*rest, return_exceptions=True)


async def test_nobody_is_answered_before_the_commit(
    notes: Notes, committer: Committer, elsewhere: Callable[[], set[str]]
) -> None:
    """However many write at the same time, and durably or not: each finds its own where others look."""
    chance = random.Random(3)  # noqa: S311 - reproducible, not secret

    async def write_some(writer: int) -> None:
        for number in range(20):
            name, durable = f"{writer}.{number}", chance.random() < 0.5
            if chance.random() < 0.2:
                with pytest.raises(KeyError):
                    await committer.call(partial(notes.add_and_fail, name), durable=True)
                assert name not in elsewhere()
            else:
                await committer.call(partial(notes.add, name, durable=durable), durable=durable)
                assert name in elsewhere()

    await asyncio.gather(*[write_some(writer) for writer in range(8)])
    assert elsewhere() == notes.names()


async def test_those_that_wait_are_committed_at_once(
    notes: Notes, committer: Committer, elsewhere: Callable[[], set[str]]
) -> None:
    """And a later one sees what an earlier one has written, while nobody else does."""
    seen: list[set[str]] = []

    def look() -> str:
        seen.extend((notes.names(), elsewhere()))
        return "looked"

    answers = await at_once(committer, lambda: notes.add("a"), lambda: notes.add("b"), look)
    assert answers == ["a", "b", "looked"]
    assert seen == [{"a", "b"}, set()]


async def test_one_that_raises_leaves_nothing_and_harms_nobody(notes: Notes, committer: Committer) -> None:
    """Wherever it stands among the others."""
    answers = await at_once(
        committer, lambda: notes.add_and_fail("x"), lambda: notes.add("a"), lambda: notes.add_and_fail("y")
    )
    assert [type(answer) for answer in answers] == [KeyError, str, KeyError]
    assert notes.names() == {"a"}


async def test_a_commit_that_fails_fails_only_whose_fault_it_is(notes: Notes, committer: Committer) -> None:
    """Nothing of it is kept; then each is tried by itself."""
    answers = await at_once(
        committer, lambda: notes.add("a"), lambda: notes.add("b", parent="nobody"), lambda: notes.add("c")
    )
    assert answers[0] == "a"
    assert isinstance(answers[1], StorageError)
    assert answers[2] == "c"
    assert notes.names() == {"a", "c"}


async def test_on_a_full_disk_those_who_find_room_are_kept(notes: Notes, committer: Committer) -> None:
    """Whatever SQLite undoes for lack of room, nobody is told that it was kept, and nothing is kept twice."""
    with notes.database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def limited(name: str, size: int) -> str:
        with notes.database.write() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}")
        return notes.add(name, size=size)

    answers = await at_once(
        committer, lambda: limited("a", 10), lambda: limited("b", 1_000_000), lambda: limited("c", 10)
    )
    assert answers[0] == "a"
    assert isinstance(answers[1], StorageFullError)
    assert answers[2] == "c"
    assert notes.names() == {"a", "c"}


async def test_a_transaction_that_the_database_gave_up_is_noticed(notes: Notes) -> None:
    """What comes after is refused rather than committed by itself, and the end says that nothing was kept."""

    def lose_it() -> None:
        with notes.database.together(durable=True):
            notes.add("a")
            with notes.database.read() as connection:
                connection.connection.rollback()
            with pytest.raises(StorageError, match="undone"):
                notes.add("b")

    with pytest.raises(StorageError, match="undone"):
        lose_it()
    assert notes.names() == set()


async def test_a_lock_that_is_not_given_is_waited_for_once(
    notes: Notes, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are told."""
    other = open_sqlite(Path(notes.database.name))
    with notes.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
    began = 0
    real = notes.database.together

    def counted(*, durable: bool) -> object:
        nonlocal began
        began += 1
        return real(durable=durable)

    monkeypatch.setattr(notes.database, "together", counted)
    with other.write():
        answers = await at_once(committer, lambda: notes.add("a"), lambda: notes.add("b"))
    assert [type(answer) for answer in answers] == [StorageBusyError, StorageBusyError]
    assert began == 1
    other.close()


async def test_what_must_be_durable_is_not_committed_otherwise(notes: Notes) -> None:
    """That would be a mistake in this program."""

    def mistaken() -> None:
        with notes.database.together(durable=False):
            notes.add("a", durable=True)

    with pytest.raises(RuntimeError, match="durable"):
        mistaken()
    assert notes.names() == set()


async def test_a_single_connection_is_shared_as_well() -> None:
    """The databases of tests."""
    database = open_sqlite_in_memory()
    notes = Notes(database)
    with database.together(durable=True):
        notes.add("a")
        assert notes.names() == {"a"}
    assert notes.names() == {"a"}
    database.close()


async def test_one_whose_caller_has_gone_is_not_made(notes: Notes, committer: Committer) -> None:
    """It was cancelled before its turn."""
    first, go_on = await held_up(committer)
    gone = asyncio.create_task(committer.call(lambda: notes.add("gone"), durable=True))
    stays = asyncio.create_task(committer.call(lambda: notes.add("stays"), durable=True))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, stays)
    assert notes.names() == {"stays"}


async def test_closing_waits_for_what_was_asked_and_refuses_more(notes: Notes) -> None:
    """A second time does nothing."""
    committer = Committer(notes.database, name="commit")
    asked = [asyncio.create_task(committer.call(partial(notes.add, str(n)), durable=True)) for n in range(40)]
    await asyncio.sleep(0)
    await asyncio.to_thread(committer.close)
    assert len(await asyncio.gather(*asked)) == len(notes.names()) == 40
    with pytest.raises(RuntimeError, match="no calls"):
        await committer.call(lambda: notes.add("late"), durable=True)
    committer.close()


def test_a_loop_that_has_ended_does_no_harm(notes: Notes, committer: Committer) -> None:
    """Its callers are gone; the others are answered."""

    async def leave() -> None:
        task = asyncio.create_task(committer.call(lambda: notes.add("left"), durable=True))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    asyncio.run(committer.call(lambda: notes.add("stays"), durable=True))
    assert "stays" in notes.names()
