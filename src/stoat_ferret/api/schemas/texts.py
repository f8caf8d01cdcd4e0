"""Texts that people give."""

import unicodedata

UNSHOWN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of what is no part of a line: controls, halves of surrogate pairs, separators of lines."""


def one_line(value: str) -> str:
    """Give a text without blanks around it.

    Raises:
        ValueError: it is not one line.
    """
    if any(unicodedata.category(character) in UNSHOWN for character in value):
        msg = "Give one line of text."
        raise ValueError(msg)
    return value.strip()
