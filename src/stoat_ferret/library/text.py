"""How text is folded and cut into grams for searching: one definition, whatever the database."""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from stoat_ferret.db.columns import storable
from stoat_ferret.media.origin import without_location
from stoat_ferret.paths import display

MAX_TAG_CHARACTERS = 4_000
"""Per file, of all tags together; some encoders write whole project files into a comment."""

GRAM_LENGTHS = (1, 2, 3)
SHORT_LINE = 80


def fold(text: str) -> str:
    """Drop the differences that a person searching does not care about: case, accents, width.

    Compatibility decomposition, marks removed, case folded (Unicode Standard, sections 3.11 and 3.13), until nothing
    changes any more: a case fold may itself give letters with marks. What no database can hold is replaced first.
    """
    text = storable(text)
    if text.isascii():
        return text.casefold()  # all that the rest comes to
    while True:
        decomposed = unicodedata.normalize("NFKD", text)
        folded = "".join(c for c in decomposed if not unicodedata.category(c).startswith("M")).casefold()
        if folded == text:
            return folded
        text = folded


def searchable_text(path: bytes, title: str | None, tags: dict[str, str], *, own: Iterable[str | None] = ()) -> str:
    """Give the folded text that a video is found by: a line for its path, its title and each of its tags.

    And for each text of its `own`: the title and the labels that a person gave it. Where it was filmed is not in it.
    """
    words = "\n".join(without_location(tags).values())[:MAX_TAG_CHARACTERS]
    return fold("\n".join(part for part in (display(path), title, *own, words) if part))


def grams(folded: str) -> set[str]:
    """Give every run of one to three characters within a line."""
    found: set[str] = set()
    for part, is_common in parts(folded):
        found |= _common_grams(part) if is_common else grams_of(part)
    return found


def parts(folded: str) -> Iterator[tuple[str, bool]]:
    """Give parts of a text that have all its grams between them, and whether many texts are likely to have one too."""
    for line in set(folded.split("\n")):
        name = line.rfind("/") + 1
        if name:
            yield line[:name], True
            yield line[max(0, name - GRAM_LENGTHS[-1] + 1) :], False
        else:
            yield line, len(line) <= SHORT_LINE


def grams_of(line: str) -> frozenset[str]:
    """Give every run of one to three characters of a text without line breaks."""
    return frozenset([line[i : i + length] for length in GRAM_LENGTHS for i in range(len(line) - length + 1)])


_common_grams = lru_cache(maxsize=256)(grams_of)  # files have their folders, and most of their short tags, in common


def query_grams(term: str) -> list[str]:
    """Give the grams that every text containing the folded `term` has: the longest ones, as they are the rarest."""
    length = min(len(term), GRAM_LENGTHS[-1])
    return sorted({term[i : i + length] for i in range(len(term) - length + 1)})


def split_query(query: str) -> list[str]:
    """Give the folded words and quoted phrases of a query; an unclosed quote reaches to the end."""
    terms: list[str] = []
    for number, part in enumerate(query.split('"')):
        pieces: Iterable[str] = [part] if number % 2 else part.split()
        # A line break separates fields in the indexed text, so a phrase cannot hold one.
        terms += [term for piece in pieces for term in fold(piece).split("\n") if term.strip()]
    return list(dict.fromkeys(terms))


STATES = ("available", "missing", "broken")


def split_states(query: str) -> tuple[str, list[str]]:
    """Take words such as `is:missing` out of a query, unless they are quoted; gives the rest, and the states named."""
    states: list[str] = []
    kept: list[str] = []
    for number, part in enumerate(query.split('"')):
        if number % 2 == 0:
            words = part.split()
            states += [word[3:].lower() for word in words if _is_state(word)]
            part = " ".join(word for word in words if not _is_state(word))  # noqa: PLW2901 - what is left of it
        kept.append(part)
    return '"'.join(kept), states


def _is_state(word: str) -> bool:
    return word[:3].lower() == "is:" and word[3:].lower() in STATES
