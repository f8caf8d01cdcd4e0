"""Values as people read them."""

import json
import os
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stoat_ferret.cli import text
from tests.unit.cli.examples import NAMES

HOSTILE = "a\x1b[31mb\nc\x9b2Jd\u202ee\u2028f\ud800g\udcffh\x7f"


@given(NAMES)
@example(HOSTILE)
def test_no_name_leaves_its_line_or_commands_the_terminal(name: str) -> None:
    """What is shown has no control characters, no line ends and nothing that turns the order of letters."""
    shown = text.clean(name)
    assert {unicodedata.category(character) for character in shown if character not in "\u200c\u200d"}.isdisjoint(
        {"Cc", "Cf", "Cs", "Zl", "Zp"}
    )
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


@given(NAMES)
def test_cleaning_twice_changes_nothing(name: str) -> None:
    """What is clean stays as it is."""
    assert text.clean(text.clean(name)) == text.clean(name)


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=40))
def test_ordinary_names_are_shown_as_they_are(name: str) -> None:
    """Letters of every script, and punctuation, brackets included."""
    assert text.clean(name) == name


def test_hostile_characters_are_shown_as_python_would_write_them() -> None:
    """A reader sees what is there."""
    shown = text.clean(HOSTILE)
    assert shown == "a\\x1b[31mb\\nc\\x9b2Jd\\u202ee\\u2028f\\ud800g\\xffh\\x7f"
    assert text.clean("\U000e0041") == "\\U000e0041"


@given(st.binary(max_size=40))
def test_a_path_of_any_bytes_is_one_line(path: bytes) -> None:
    """Also where it is not UTF-8."""
    assert len(text.clean_path(path).splitlines()) <= 1


def test_bytes_that_are_not_utf8_are_not_lost() -> None:
    """Two names that differ in such a byte look different."""
    assert text.clean_path(b"/a\xff.mp4") == "/a\\xff.mp4"


@given(st.recursive(NAMES | st.none() | st.floats(allow_nan=False), lambda inner: st.dictionaries(NAMES, inner)))
def test_json_reads_back_the_same_and_holds_nothing_that_a_terminal_obeys(value: object) -> None:
    """Escaping changes how a document is written and not what it says."""
    written = text.as_json(value)
    written.encode("utf-8")
    assert json.loads(written) == value
    harmful = {character for character in written if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}}
    assert harmful <= {"\n"}
    assert "\u202e" not in written


def test_json_keeps_letters_readable() -> None:
    """A person reads it too."""
    assert "東京" in text.as_json({"name": "東京"})


@given(st.text(max_size=60), st.integers(0, 50))
def test_shortened_text_fits(name: str, width: int) -> None:
    """Whatever the width."""
    assert len(text.shorten(name, width)) <= max(width, 0)


def test_shortening_keeps_both_ends() -> None:
    """The file's name says most, then the folder at the top."""
    assert text.shorten("Holidays/2024/Norway/beach.mp4", 16) == "Holid…/beach.mp4"
    assert text.shorten("beach.mp4", 16) == "beach.mp4"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1 << 20, "1.0 MiB"),
        (3 << 29, "1.5 GiB"),
        (1 << 52, "4096.0 TiB"),
    ],
)
def test_sizes(count: int, shown: str) -> None:
    """In powers of 1024."""
    assert text.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, ""), (0.0, "0.0 s"), (59.94, "59.9 s"), (59.96, "1:00"), (61.0, "1:01"), (3723.4, "1:02:03")],
)
def test_durations(seconds: float | None, shown: str) -> None:
    """As players show them, and finer where a clip is short."""
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1.0, "0 s"), (0.4, "0 s"), (59.0, "59 s"), (61.0, "1 min"), (7800.0, "2 h 10 min")]
)
def test_spans(seconds: float, shown: str) -> None:
    """Roughly, as people wait."""
    assert text.span(seconds) == shown


def test_counts() -> None:
    """A number agrees with its word."""
    assert [text.count(1, "file"), text.count(2000, "file")] == ["1 file", "2,000 files"]


def test_moments_are_in_utc() -> None:
    """Whatever the zone they were given in."""
    given_there = datetime(2024, 5, 1, 14, 30, tzinfo=timezone(timedelta(hours=2)))
    assert text.moment(given_there) == text.moment(datetime(2024, 5, 1, 12, 30, tzinfo=UTC)) == "2024-05-01 12:30:00Z"
    assert text.moment(None) == ""


def test_a_relative_path_is_taken_from_the_present_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly, also where it is not UTF-8."""
    monkeypatch.chdir(tmp_path)
    assert text.absolute_path("a/../b\udcff") == os.fsencode(tmp_path) + b"/b\xff"
