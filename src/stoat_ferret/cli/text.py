"""Values as people read them. Whatever a name holds, it stays on one line and cannot command the terminal."""

import json
import os
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

HARMFUL_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's controls, invisible formatting (which can turn the order of letters round), halves of surrogate pairs, and
separators of lines and paragraphs."""
JOINERS = frozenset("\u200c\u200d")
"""Formatting that scripts and emoji need and that does nothing else."""
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NOT_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON leaves as it is although a terminal may obey it, and what UTF-8 cannot hold."""

KIB = 1024


def clean(text: str) -> str:
    """Give text in which everything that a terminal could obey is escaped, as Python would write it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def clean_path(path: bytes) -> str:
    """Give a path as one line of text; bytes that are not UTF-8 become `\\xNN`, so that nothing is lost."""
    return clean(path.decode("utf-8", "backslashreplace"))


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in HARMFUL_CATEGORIES or character in JOINERS:
        return character
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that os.fsdecode could not decode
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def as_json(value: Any, *, indent: int | None = 2) -> str:
    """Give a document as JSON that is safe to print: readable letters stay, whatever commands a terminal is escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    # Outside of strings JSON is ASCII, so that what is replaced stands in one.
    return _NOT_IN_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def shorten(text: str, width: int) -> str:
    """Cut text that is too long out of its middle: a path's beginning and its file name say most."""
    if len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail = (width - 1) * 2 // 3
    return text[: width - 1 - tail] + "…" + text[len(text) - tail :]


def size(count: int) -> str:
    """Give a number of bytes, as in `1.5 GiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < KIB or unit == "TiB":
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= KIB
    raise AssertionError  # pragma: no cover


def duration(seconds: float | None) -> str:
    """Give the length of a film, as in `1:02:03` or, below a minute, `4.5 s`."""
    if seconds is None:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """Give a time to wait, roughly, as in `5 s`, `3 min` or `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def count(number: float, word: str, plural: str | None = None) -> str:
    """Give a number with its word, as in `1 file` and `2,000 files`."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def moment(value: datetime | None) -> str:
    """Give a time to the second, in UTC, as in `2024-05-01 12:30:00Z`."""
    return "" if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def absolute_path(argument: str | os.PathLike[str]) -> bytes:
    """Give the exact bytes of a path from the command line, made absolute; symbolic links are left alone."""
    return os.path.abspath(os.fsencode(argument))  # noqa: PTH100 - bytes, which pathlib does not take
