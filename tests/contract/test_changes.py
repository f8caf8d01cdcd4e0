"""The change feed, on both databases: in order, without a gap, and enough to rebuild the list from it."""

import random
import threading

import pytest

from stoat_ferret.db.engine import Database
from stoat_ferret.errors import ChangesCompactedError
from stoat_ferret.library import changes
from tests.contract.catalogues import each_catalogue  # noqa: F401

LAST_MONTH, NOW = 1_000_000, 2_000_000
KINDS = ("updated", "moved", "missing", "restored", "removed")


def write(database: Database, *entries: changes.Entry, at: int = NOW) -> None:
    with database.write() as connection:
        changes.append(connection, entries, at)


def random_history(database: Database, rng: random.Random, steps: int, at: int, present: dict[str, str]) -> None:
    """Write changes as a catalogue would."""
    for number in range(steps):
        if not present or rng.random() < 0.3:
            video_id = f"{at}-{number}"
            present[video_id] = "available"
            write(database, ("added", video_id, f"/{video_id}".encode(), "available"), at=at)
            continue
        video_id, kind = rng.choice(sorted(present)), rng.choice(KINDS)
        state = {"missing": "missing", "removed": present[video_id]}.get(kind, "available")
        write(database, (kind, video_id, f"/{video_id}/{number}".encode(), state), at=at)
        present[video_id] = state
        if kind == "removed":
            del present[video_id]


def follow(database: Database, after: int, known: dict[str, tuple[bytes, str]], limit: int = 7) -> int:
    """Read what follows, page by page, as a client does."""
    while page := changes.read_after(database, after, limit):
        for change in page:
            if change.kind == "removed":
                known.pop(change.video_id, None)
            else:
                known[change.video_id] = (change.path_bytes, change.state)
        after = page[-1].seq
    return after


@pytest.mark.parametrize("seed", range(12))
def test_a_compacted_feed_gives_the_same_list(catalogue: Database, seed: int) -> None:
    """To one who begins with it, to one who followed it before, and to one who is in the midst of it."""
    rng, database = random.Random(seed), catalogue  # noqa: S311 - the same each time
    present: dict[str, str] = {}
    random_history(database, rng, 40, LAST_MONTH, present)
    earlier: dict[str, tuple[bytes, str]] = {}
    position = follow(database, 0, earlier)
    midst: dict[str, tuple[bytes, str]] = {}
    [*_, last] = half = changes.read_after(database, 0, rng.randrange(1, 40))
    for change in half:
        midst[change.video_id] = (change.path_bytes, change.state)
        if change.kind == "removed":
            del midst[change.video_id]
    random_history(database, rng, 20, NOW, present)
    whole = changes.replay(changes.read(database, 0, 10_000))
    before = len(changes.read(database, 0, 10_000))
    taken = changes.compact(database, LAST_MONTH + 1)
    left = changes.read(database, 0, 10_000)
    assert taken == before - len(left)
    assert changes.compact(database, LAST_MONTH + 1) == 0
    assert changes.replay(left) == whole
    assert {video_id: state for video_id, (_, state) in whole.items()} == present
    follow(database, position, earlier)
    assert earlier == whole
    try:
        follow(database, last.seq, midst)
    except ChangesCompactedError:
        assert last.seq not in {change.seq for change in left}
    else:
        assert midst == whole


def test_one_who_was_away_for_too_long_is_told_so(catalogue: Database) -> None:
    """The steps that he has missed were taken out; what is younger is told as ever."""
    database = catalogue
    for number in range(3):
        write(database, ("updated", "v", b"/v", "available"), at=LAST_MONTH + number)
    write(database, ("updated", "v", b"/v", "available"))
    assert changes.compact(database, NOW) == 2
    with pytest.raises(ChangesCompactedError, match="after=0"):
        changes.read_after(database, 1, 10)
    assert [change.seq for change in changes.read_after(database, 0, 10)] == [3, 4]
    assert [change.seq for change in changes.read_after(database, 3, 10)] == [4]
    assert changes.position(database) == (4, 3)


def test_several_writers_leave_no_gap_and_nothing_behind(catalogue: Database) -> None:
    """A reader who has passed a number never finds a smaller one later."""
    database, over = catalogue, threading.Event()
    seen: list[int] = []

    def read() -> None:
        after = 0
        while not over.is_set() or changes.read(database, after, 1):
            for change in changes.read(database, after, 10):
                seen.append(change.seq)
                after = change.seq

    def work(name: int) -> None:
        for number in range(25):
            write(database, *[("updated", f"{name}", b"/v", "available")] * (number % 3 + 1))

    writers = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    reader = threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    reader.join()
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) == 4 * sum(number % 3 + 1 for number in range(25))
