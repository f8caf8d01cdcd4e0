"""Pages in every order, and what a query finds, in both databases."""

import base64
import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from stoat_ferret import cursors
from stoat_ferret.db.tables import videos
from stoat_ferret.errors import InvalidCursorError, InvalidQueryError
from stoat_ferret.library import search
from stoat_ferret.library.models import Video
from stoat_ferret.library.search import MAX_TERMS, SORT_FIELDS, find
from stoat_ferret.library.text import fold, split_query
from tests.contract.catalogues import BOTH, open_catalogue
from tests.factories import Stage, make_settings, put

SORTS = [sign + field for field in SORT_FIELDS for sign in ("", "-")]
TITLES = [
    "A day at the beach",
    "été à la plage",
    "東京 タワー",
    "4k",
    "Straße",
    "100% _wild_ *card*",
    "'; DROP TABLE",
    "",
]


@pytest.fixture(scope="module", params=BOTH)
def stocked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A catalogue of 41 videos: times and sizes repeat, durations are missing here and there."""
    folder = tmp_path_factory.mktemp("stocked")
    stage = Stage(open_catalogue(request.param, request, folder), make_settings(folder / "data"))
    for number in range(40):
        put(folder / "v" / f"{number // 7}" / f"{number % 5}é{number}.mp4", f"video {TITLES[number % len(TITLES)]}")
    put(folder / "v" / "same" / "0é0.mp4")
    stage.scan(folder / "v")
    with stage.catalogue.write() as connection:
        for number, video in enumerate(stage.videos()):
            values = {
                "duration": None if number % 3 == 0 else number % 4 + 0.1,
                "added_at": number % 4,
                "modified_at": number % 2,
                "size": number % 6,
            }
            connection.execute(update(videos).where(videos.c.id == video.id).values(values))
    yield stage
    stage.catalogue.close()


def pages(stage: Stage, sort: str, limit: int, query: str | None = None) -> list[Video]:
    found: list[Video] = []
    cursor = None
    while True:
        page = find(stage.catalogue, query=query, sort=sort, cursor=cursor, limit=limit)
        assert len(page.videos) <= limit
        found += page.videos
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.videos) == limit


def position(video: Video, sort: str) -> tuple[object, ...]:
    field = sort.removeprefix("-")
    column = {"name": "filename", "added": "added_at", "modified": "modified_at"}.get(field, field)
    return getattr(video, column), video.id


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 7, 41, 200])
def test_pages_give_all_in_order_and_nothing_twice(stocked: Stage, sort: str, limit: int) -> None:
    """Value, then id; turned round with a minus, but what is not known stays last."""
    found = pages(stocked, sort, limit)
    assert len({video.id for video in found}) == len(found) == 41
    keys = [position(video, sort) for video in found]
    known = [key for key in keys if key[0] is not None]
    unknown = [key for key in keys if key[0] is None]
    assert keys == known + unknown
    turned = sort.startswith("-")
    assert known == sorted(known, reverse=turned)
    assert unknown == sorted(unknown, reverse=turned)
    assert (len(unknown) > 0) == sort.endswith("duration")


def test_entries_that_come_and_go_do_not_shift_pages(stocked: Stage) -> None:
    """A page begins after the last entry of the one before."""
    first = find(stocked.catalogue, sort="name", limit=10)
    rest = [video.id for video in pages(stocked, "name", 200)][10:]
    assert first.next_cursor is not None
    second = find(stocked.catalogue, sort="name", limit=200, cursor=first.next_cursor)
    assert [video.id for video in second.videos] == rest


def naive(stage: Stage, query: str) -> set[str]:
    """Look into every text, as a person would."""
    terms = split_query(query)
    found = set()
    for video in stage.videos():
        fields = [video.path_bytes.decode("utf-8", "replace"), video.title or ""]
        if all(any(term in line for field in fields for line in fold(field).split("\n")) for term in terms):
            found.add(video.id)
    return found


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(TITLES).flatmap(lambda title: st.sampled_from([*title.split(), title, f'"{title}"'])),
        st.text(alphabet='aeéABh 東4ß%_*"\x00\n', max_size=8),
    )
)
def test_a_query_finds_what_looking_at_every_text_finds(stocked: Stage, query: str) -> None:
    """No more and no less, whatever is asked for."""
    if not split_query(query):
        with pytest.raises(InvalidQueryError, match="nothing to search for"):
            find(stocked.catalogue, query=query)
        return
    expected = naive(stocked, query)
    page = find(stocked.catalogue, query=query, limit=200)
    assert {video.id for video in page.videos} == expected
    assert (page.total, page.total_is_lower_bound) == (len(expected), False)
    assert {video.id for video in pages(stocked, "-duration", 3, query)} == expected


def test_too_many_words_are_refused(stocked: Stage) -> None:
    """With their number."""
    with pytest.raises(InvalidQueryError, match=f"has {MAX_TERMS + 1} words"):
        find(stocked.catalogue, query=" ".join(map(str, range(100, 100 + MAX_TERMS + 1))))
    assert find(stocked.catalogue, query="x" * 50_000).total == 0


def test_an_unknown_order_is_refused(stocked: Stage) -> None:
    """With those that there are."""
    with pytest.raises(InvalidQueryError, match=r"'colour'.*name, added"):
        find(stocked.catalogue, sort="-colour")


def test_many_matches_are_counted_up_to_a_bound(stocked: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the page says that it is one."""
    monkeypatch.setattr(search, "COUNT_LIMIT", 5)
    page = find(stocked.catalogue, query="mp4", limit=1)
    assert (page.total, page.total_is_lower_bound) == (5, True)
    page = find(stocked.catalogue, limit=1)
    assert (page.total, page.total_is_lower_bound) == (41, False)


@pytest.mark.parametrize(
    "place",
    [
        [], [1], [1, 2, 3], [{"a": 1}, "x"], [[1], "x"], [1, None], [1, 5], [1 << 70, "x"], [True, "x"],
        ["\ud800", "x"], ["a", "\ud800"], [float("inf"), {}], [-(1 << 64), "x"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("sort", ["name", "-size", "duration"])
def test_a_forged_cursor_is_refused(stocked: Stage, sort: str, place: list[object]) -> None:
    """Whatever it holds, it is the client's mistake and not the database's trouble."""
    with pytest.raises(InvalidCursorError):
        find(stocked.catalogue, sort=sort, cursor=cursors.encode([None, sort], place))


def test_a_cursor_of_another_query_or_order_is_refused(stocked: Stage) -> None:
    """It would begin somewhere without meaning."""
    cursor = find(stocked.catalogue, sort="name", limit=1).next_cursor
    for sort, query in (("-name", None), ("size", None), ("name", "mp4")):
        with pytest.raises(InvalidCursorError):
            find(stocked.catalogue, sort=sort, query=query, cursor=cursor)
    raw = base64.urlsafe_b64encode(json.dumps(["x", []]).encode()).decode()
    with pytest.raises(InvalidCursorError):
        find(stocked.catalogue, cursor=raw)
