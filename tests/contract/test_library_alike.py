"""Same corpus, same query, same answer: what one database finds, in which order, the other finds too."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoat_ferret.db.engine import Database
from stoat_ferret.errors import InvalidQueryError
from stoat_ferret.library.models import Page
from stoat_ferret.library.results import FileResult
from stoat_ferret.library.search import SORT_FIELDS, find
from tests.contract.catalogues import Shelf, open_emptied, same_ids_and_times, video
from tests.factories import make_catalogue

pytestmark = pytest.mark.postgres

SORTS = [sign + field for field in SORT_FIELDS for sign in ("", "-")]
HOSTILE = "aA\u00e9e\u0301\u00dfI\u0130\ufb01\u6771\u4eac\uff21 %_*'\"\\\t\n\x00\ud800\ufffd\U0001d54f0"

texts = st.text(alphabet=HOSTILE, max_size=8)
names = st.one_of(
    texts.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=6),
    st.sampled_from([b"Z", b"a", b"B"]),
).map(lambda name: name.replace(b"/", b"") or b"_")
corpora = st.lists(
    st.builds(
        lambda name, title, tag, size, duration: (name, title, tag, size, duration),
        names,
        texts,
        texts,
        st.integers(0, 2),
        st.one_of(st.none(), st.floats(0, 3), st.just(1.5)),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[0],
)


@pytest.fixture(scope="module")
def places(postgres_database: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Where both databases are made, anew for each corpus."""
    return (postgres_database, tmp_path_factory.mktemp("alike"))


def fill(database: Database, corpus: list[tuple[bytes, str, str, int, float | None]]) -> None:
    """Store a corpus with the same ids and times wherever it is stored."""
    results: list[FileResult] = [
        video(name, size=size, mtime_ns=size * 5_000, duration=duration, tags={"title": title, "comment": tag})
        for name, title, tag, size, duration in corpus
    ]
    with same_ids_and_times():
        shelf = Shelf(database)
        for start in range(0, len(results), 4):
            shelf.store(results[start : start + 4])


def answers(database: Database, query: str | None, sort: str, limit: int) -> list[object]:
    """Give all that a client is told, page by page, cursors included."""
    told: list[object] = []
    cursor: str | None = None
    while True:
        try:
            page: Page = find(database, query=query, sort=sort, cursor=cursor, limit=limit)
        except InvalidQueryError as error:
            return [error.message]
        told.append(([found.id for found in page.videos], page.total, page.next_cursor))
        cursor = page.next_cursor
        if cursor is None:
            return told


@settings(max_examples=40)
@given(corpus=corpora, data=st.data())
def test_both_databases_answer_alike(places: tuple[Any, Path], corpus: list[Any], data: st.DataObject) -> None:
    """Ids, order, number and cursors, whatever names and titles hold and whatever is asked."""
    url, folder = places
    here, there = make_catalogue(folder / "library.db"), open_emptied(url)
    try:
        fill(here, corpus)
        fill(there, corpus)
        held = [part for _, title, tag, _, _ in corpus for part in (title, tag)]
        parts = st.sampled_from(held).flatmap(lambda text: st.integers(0, 7).map(lambda at: text[at : at + 3]))
        for _ in range(6):
            query = data.draw(st.one_of(st.none(), parts, texts, st.just('"/v/'), st.just("a")))
            sort, limit = data.draw(st.sampled_from(SORTS)), data.draw(st.integers(1, 5))
            assert answers(here, query, sort, limit) == answers(there, query, sort, limit)
    finally:
        here.close()
        there.close()
        for file in folder.glob("library.db*"):
            file.unlink()
