"""How text is folded and cut."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.db.columns import storable
from stoat_ferret.library.grams import _word
from stoat_ferret.library.text import fold, grams, query_grams, searchable_text, split_query

texts = st.text(max_size=30)


@given(texts)
def test_folding_twice_changes_nothing_more(text: str) -> None:
    """What is indexed and what is asked are folded alike."""
    assert fold(fold(text)) == fold(text)


@given(texts)
def test_case_accents_and_composition_do_not_matter(text: str) -> None:
    """As a person types it and as a disk stores it."""
    assert fold(unicodedata.normalize("NFC", text)) == fold(text)
    assert fold(unicodedata.normalize("NFD", text)) == fold(text)
    assert not any(unicodedata.category(character).startswith("M") for character in fold(text))


@given(texts, texts, texts)
def test_a_part_is_found_in_the_whole_after_folding_too(before: str, part: str, after: str) -> None:
    """Folding looks at one character at a time."""
    assert fold(part) in fold(before + part + after)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Été", "ete"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("\uff21\uff22", "ab"),
        ("東京", "東京"),
        ("\ufb01lm", "film"),
    ],
)  # fmt: skip
def test_what_folding_makes_of_words(text: str, folded: str) -> None:
    """Accents, sharp s, full width, ligatures; scripts without case stay."""
    assert fold(text) == folded


@given(st.lists(texts, max_size=4).map("\n".join).map(fold), st.data())
def test_every_text_that_holds_a_term_has_all_its_grams(text: str, data: st.DataObject) -> None:
    """So that no match is lost."""
    lines = [line for line in text.split("\n") if line]
    if not lines:
        return
    line = data.draw(st.sampled_from(lines))
    start = data.draw(st.integers(0, len(line) - 1))
    term = line[start : data.draw(st.integers(start + 1, len(line)))]
    wanted = query_grams(term)
    assert wanted
    assert set(wanted) <= grams(text)


@given(texts, texts)
def test_different_runs_of_characters_are_different_words(one: str, other: str) -> None:
    """And each is a single word for any tokenizer."""
    runs = grams(fold(one)) | grams(fold(other))
    words = {_word(run) for run in runs}
    assert all(word.isalnum() and word.isascii() for word in words)
    assert len(words) == len(runs)


@given(st.text(alphabet="a\x00\ud800\udfff\ufffd\n", max_size=6))
def test_what_no_database_can_hold_is_replaced(text: str) -> None:
    """In the texts that are indexed and in what is asked alike, so that one finds the other."""
    folded = fold(text)
    assert folded == "".join(c if c in "a\n" else "\ufffd" for c in text)
    assert storable(folded) == folded


@given(st.text(alphabet=st.sampled_from('ab" \n\té\u0301東'), max_size=30))
def test_terms_are_folded_not_empty_and_told_once(query: str) -> None:
    """And none holds a line break, since no field does."""
    terms = split_query(query)
    assert len(terms) == len(set(terms))
    for term in terms:
        assert term.strip()
        assert fold(term) == term
        assert "\n" not in term


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("beach 2024", ["beach", "2024"]),
        ('"a day" Beach', ["a day", "beach"]),
        ('"open quote', ["open quote"]),
        ('x"y z"w', ["x", "y z", "w"]),
        ("\u0301 \u3000", []),
        ('"" " "', []),
        ('"a\nb"', ["a", "b"]),
        ("été ETE ete", ["ete"]),
    ],
)
def test_words_and_phrases(query: str, terms: list[str]) -> None:
    """An unclosed quote reaches to the end; marks alone are nothing."""
    assert split_query(query) == terms


def test_a_video_is_found_by_path_title_and_tags() -> None:
    """One line each, so that no phrase reaches from one to the next; endless tags are cut."""
    text = searchable_text(b"/v/\xffB.mp4", "Title", {"comment": "Été", "project": "x" * 10_000})
    path, title, comment, project = text.split("\n")
    assert (path, title, comment) == ("/v/\ufffdb.mp4", "title", "ete")
    assert len(project) < 4_000
    assert searchable_text(b"/v/a", None, {}) == "/v/a"
