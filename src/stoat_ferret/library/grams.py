"""The search index: which grams stand in which video's text. The text itself lies in `video_texts`.

SQLite keeps the grams as words of a full-text table, Postgres in arrays under a GIN index. Either answers which videos
have all of some grams, and nothing else.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from sqlalchemy import Connection, Select, bindparam, delete, select, text, update

from stoat_ferret.db.tables import video_grams, video_texts
from stoat_ferret.db.upsert import insert_all
from stoat_ferret.library.text import grams, grams_of, parts

ADD = text("INSERT INTO video_grams (rowid, grams) VALUES (:pk, :grams)")
# No gram holds a line break. One text is made and sent in a fraction of the time that an array is.
ADD_ARRAY = text("INSERT INTO video_grams (video_pk, grams) VALUES (:pk, string_to_array(:grams, chr(10)))")
# A contentless FTS5 table forgets a row only when it is told what stood in it (SQLite documentation, FTS5, 6.2).
FORGET = text("INSERT INTO video_grams (video_grams, rowid, grams) VALUES ('delete', :pk, :grams)")
ROWS_A_STEP = 1_000


def add(connection: Connection, texts: Sequence[tuple[int, str]]) -> None:
    """Index the folded texts of videos that are not indexed yet: (video pk, text)."""
    if texts:
        insert_all(connection, video_texts, [{"video_pk": pk, "folded": folded} for pk, folded in texts])
        _add_grams(connection, texts)


def replace(connection: Connection, texts: Sequence[tuple[int, str]]) -> None:
    """Index the folded texts of videos that are indexed already; those whose text is the same cost nothing."""
    if not texts:
        return
    present = _folded(connection, [pk for pk, _ in texts])
    changed = [(pk, folded) for pk, folded in texts if present.get(pk) != folded]
    if changed:
        _forget_grams(connection, {pk: present[pk] for pk, _ in changed})
        _add_grams(connection, changed)
        statement = update(video_texts).where(video_texts.c.video_pk == bindparam("pk"))
        connection.execute(statement.values(folded=bindparam("new")), [{"pk": pk, "new": new} for pk, new in changed])


def remove(connection: Connection, pks: Sequence[int]) -> None:
    """Take videos out of the index."""
    present = _folded(connection, pks)
    if present:
        _forget_grams(connection, present)
        connection.execute(delete(video_texts).where(video_texts.c.video_pk.in_(present)))


def rebuild(connection: Connection) -> None:
    """Index every text that is there, where no grams are: after the texts were copied from another database."""
    last: int | None = None
    while True:
        query = select(video_texts.c.video_pk, video_texts.c.folded).order_by(video_texts.c.video_pk)
        if last is not None:
            query = query.where(video_texts.c.video_pk > last)
        rows = [(row.video_pk, row.folded) for row in connection.execute(query.limit(ROWS_A_STEP))]
        if not rows:
            return
        _add_grams(connection, rows)
        last = rows[-1][0]


def holding(wanted: Sequence[str], *, postgres: bool) -> Select[int]:
    """SQL: the keys of the videos that have every one of the grams, wherever they stand."""
    if postgres:
        return select(video_grams.c.video_pk).where(video_grams.c.grams.contains(list(wanted)))
    match = text("video_grams MATCH :words").bindparams(words=" AND ".join(f'"{_word(gram)}"' for gram in wanted))
    return select(video_grams.c.rowid).select_from(video_grams).where(match)


def _add_grams(connection: Connection, texts: Sequence[tuple[int, str]]) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(ADD_ARRAY, [{"pk": pk, "grams": "\n".join(grams(folded))} for pk, folded in texts])
    else:
        connection.execute(ADD, [{"pk": pk, "grams": _words(folded)} for pk, folded in texts])


def _forget_grams(connection: Connection, present: Mapping[int, str]) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(delete(video_grams).where(video_grams.c.video_pk.in_(present)))
    else:
        connection.execute(FORGET, [{"pk": pk, "grams": _words(folded)} for pk, folded in present.items()])


def _folded(connection: Connection, pks: Sequence[int]) -> dict[int, str]:
    rows = connection.execute(select(video_texts).where(video_texts.c.video_pk.in_(pks)))
    return {row.video_pk: row.folded for row in rows}


def _words(folded: str) -> str:
    found: set[str] = set()
    for part, is_common in parts(folded):
        found |= _common_words(part) if is_common else _words_of(part)
    return " ".join(found)


def _words_of(part: str) -> frozenset[str]:
    return frozenset(map(_word, grams_of(part)))


_common_words = lru_cache(maxsize=256)(_words_of)


@lru_cache(maxsize=1 << 14)
def _word(gram: str) -> str:
    """Give a gram in hexadecimal digits, of which no tokenizer drops or splits any.

    UTF-8 delimits itself, so different grams give different words.
    """
    return gram.encode("utf-8", "surrogatepass").hex()
