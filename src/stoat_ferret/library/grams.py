"""The search index: which grams stand in which video's text. The text itself lies in `video_texts`."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, text, update

from stoat_ferret.db.tables import video_texts
from stoat_ferret.library.text import grams

ADD = text("INSERT INTO video_grams (rowid, grams) VALUES (:pk, :grams)")
# A contentless FTS5 table forgets a row only when it is told what stood in it (SQLite documentation, FTS5, 6.2).
FORGET = text("INSERT INTO video_grams (video_grams, rowid, grams) VALUES ('delete', :pk, :grams)")


def add(connection: Connection, texts: Sequence[tuple[int, str]]) -> None:
    """Index the folded texts of videos that are not indexed yet: (video pk, text)."""
    if texts:
        connection.execute(insert(video_texts), [{"video_pk": pk, "folded": folded} for pk, folded in texts])
        connection.execute(ADD, [{"pk": pk, "grams": _words(folded)} for pk, folded in texts])


def replace(connection: Connection, texts: Sequence[tuple[int, str]]) -> None:
    """Index the folded texts of videos that are indexed already; those whose text is the same cost nothing."""
    if not texts:
        return
    present = _folded(connection, [pk for pk, _ in texts])
    changed = [(pk, folded) for pk, folded in texts if present.get(pk) != folded]
    if changed:
        connection.execute(FORGET, [{"pk": pk, "grams": _words(present[pk])} for pk, _ in changed])
        connection.execute(ADD, [{"pk": pk, "grams": _words(folded)} for pk, folded in changed])
        statement = update(video_texts).where(video_texts.c.video_pk == bindparam("pk"))
        connection.execute(statement.values(folded=bindparam("new")), [{"pk": pk, "new": new} for pk, new in changed])


def remove(connection: Connection, pks: Sequence[int]) -> None:
    """Take videos out of the index."""
    present = _folded(connection, pks)
    if present:
        connection.execute(FORGET, [{"pk": pk, "grams": _words(folded)} for pk, folded in present.items()])
        connection.execute(delete(video_texts).where(video_texts.c.video_pk.in_(present)))


def _folded(connection: Connection, pks: Sequence[int]) -> dict[int, str]:
    rows = connection.execute(select(video_texts).where(video_texts.c.video_pk.in_(pks)))
    return {row.video_pk: row.folded for row in rows}


def _words(folded: str) -> str:
    return " ".join(sorted(grams(folded)))
