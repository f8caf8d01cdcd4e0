"""Pages of videos: in any order, from any place on, all of them or those that a query finds."""

from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, and_, func, literal, or_, select, tuple_
from sqlalchemy.sql import Select

from stoat_ferret import cursors
from stoat_ferret.db.columns import StorableText
from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import libraries, video_texts, videos
from stoat_ferret.errors import InvalidCursorError, InvalidQueryError
from stoat_ferret.library import grams, own
from stoat_ferret.library.models import Page, VideoState
from stoat_ferret.library.repository import VIDEO_COLUMNS, video_from_row
from stoat_ferret.library.text import query_grams, split_query, split_states

SortField = Literal["name", "added", "modified", "duration", "size"]
SORT_FIELDS: tuple[str, ...] = get_args(SortField)
DEFAULT_SORT = "-added"
SORT_COLUMNS = {
    "name": videos.c.filename,
    "added": videos.c.added_at,
    "modified": videos.c.modified_at,
    "duration": videos.c.duration,
    "size": videos.c.size,
}
COUNT_LIMIT = 10_000
"""Matches of a filter are counted exactly up to here."""

MOST = 1 << 63
"""Beyond it, no number fits a column."""

MAX_TERMS = 16
MAX_GRAMS_A_TERM = 24


def find(
    database: Database,
    *,
    query: str | None = None,
    state: VideoState | None = None,
    sort: str = DEFAULT_SORT,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """Give one page of the videos whose name, path, titles, labels or tags hold every word and phrase of `query`.

    With `state`, only those that are in it. A word `is:missing` (or another state) of the query means the same.

    Order: (value is null), value, id; with `-` before the sort field all three are turned round except that nulls
    stay last.

    Raises:
        InvalidQueryError: the sort field is not known, or the query has nothing in it to look for.
        InvalidCursorError: the cursor belongs to another query or order.
    """
    column, descending = _order(sort)
    condition = None if query is None else _matches(query, postgres=database.is_postgres)
    if state is not None:
        in_state = videos.c.state == state
        condition = in_state if condition is None else and_(condition, in_state)
    about = [query, sort] if state is None else [query, sort, state]
    page = select(*VIDEO_COLUMNS)
    if condition is not None:
        page = page.where(condition)
    if cursor is not None:
        page = page.where(_after(column, descending, cursors.decode(cursor, about)))
    page = _ordered(page, column, descending).limit(limit + 1)
    with database.read() as connection:
        rows = connection.execute(page).mappings().all()
        total, bounded = _count(connection, condition)
        found = own.with_labels(connection, [video_from_row(row) for row in rows[:limit]])
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = cursors.encode(about, [last[column.name], last["id"]])
    return Page(videos=found, next_cursor=following, total=total, total_is_lower_bound=bounded)


def _order(sort: str) -> tuple[ColumnElement[Any], bool]:
    field = sort.removeprefix("-")
    if field not in SORT_COLUMNS:
        msg = f"Cannot sort by {field!r}. Use one of {', '.join(SORT_FIELDS)}, with a leading - for descending order."
        raise InvalidQueryError(msg)
    return SORT_COLUMNS[field], sort.startswith("-")


def _ordered(query: Select[Any], column: ColumnElement[Any], descending: bool) -> Select[Any]:
    value, tie = (column.desc(), videos.c.id.desc()) if descending else (column.asc(), videos.c.id.asc())
    if not column.nullable:
        return query.order_by(value, tie)
    return query.order_by(column.is_(None), value, tie)


def _after(column: ColumnElement[Any], descending: bool, position: list[Any]) -> ColumnElement[bool]:
    if not _fits(column, position):
        raise InvalidCursorError
    value, video_id = position
    tie = videos.c.id < video_id if descending else videos.c.id > video_id
    if value is None:
        return and_(column.is_(None), tie)
    here, there = tuple_(column, videos.c.id), tuple_(literal(value, column.type), literal(video_id, videos.c.id.type))
    beyond = here < there if descending else here > there
    # The nulls follow all values, whichever way the values are sorted.
    return or_(beyond, column.is_(None)) if column.nullable else beyond


def _fits(column: ColumnElement[Any], position: list[Any]) -> bool:
    """Tell whether a position, which comes from outside, can be one in this order: a value of the column, an id."""
    match position:
        case [None, str(video_id)]:
            return column.nullable and _encodable(video_id)
        case [bool(), _]:
            return False
        case [str(text), str(video_id)]:
            return isinstance(column.type, StorableText) and _encodable(text + video_id)
        case [int() | float() as number, str(video_id)]:
            return not isinstance(column.type, StorableText) and -MOST <= number < MOST and _encodable(video_id)
    return False


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _matches(query: str, *, postgres: bool) -> ColumnElement[bool]:
    words, states = split_states(query)
    terms = split_query(words)
    if states and not terms:
        return videos.c.state.in_(states)
    if not terms:
        raise InvalidQueryError(f"The query {query[:60]!r} has nothing to search for. Give at least one letter.")
    if len(terms) > MAX_TERMS:
        raise InvalidQueryError(f"The query has {len(terms)} words; at most {MAX_TERMS} are searched for at once.")
    wanted = sorted({gram for term in terms for gram in query_grams(term)[:MAX_GRAMS_A_TERM]})
    candidates = grams.holding(wanted, postgres=postgres)
    # Grams may lie apart, or in different lines; the text decides.
    place = func.strpos if postgres else func.instr
    confirmed = select(video_texts.c.video_pk).where(
        video_texts.c.video_pk.in_(candidates), *(place(video_texts.c.folded, term) > 0 for term in terms)
    )
    return and_(videos.c.pk.in_(confirmed), *([videos.c.state.in_(states)] if states else []))


def _count(connection: Connection, condition: ColumnElement[bool] | None) -> tuple[int, bool]:
    if condition is None:
        return int(connection.execute(select(func.coalesce(func.sum(libraries.c.video_count), 0))).scalar_one()), False
    some = select(videos.c.pk).where(condition).limit(COUNT_LIMIT + 1).subquery()
    count = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return min(count, COUNT_LIMIT), count > COUNT_LIMIT
