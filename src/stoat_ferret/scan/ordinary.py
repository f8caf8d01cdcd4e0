"""The ordinary files of a folder, taken in steps over all of them: of a million files nearly all are such.

A Python function called for each file, and an object made for it, take longer than the system does to tell its state.
"""

import os
from collections.abc import Callable, Sequence
from itertools import compress
from typing import TypeAlias

from stoat_ferret import statx
from stoat_ferret.scan.listing import FileRow, Files
from stoat_ferret.scan.rules import Rules

ENTRIES_AT_A_TIME = 1_000
"""After so many, whoever waits for a listing is told that it goes on."""

Entries: TypeAlias = "Sequence[os.DirEntry[str]]"


def take_ordinary(folder: int, entries: Entries, rules: Rules, goes_on: Callable[[], None]) -> tuple[Files, Entries]:
    """Take the regular files that are videos by their names and that no rule may leave out.

    Args:
        folder: the descriptor of the open folder.
        entries: all that lies in it.
        rules: those in force in it.
        goes_on: called now and then.

    Returns:
        These files, and the entries that are to be looked into one by one. What is in neither concerns no scan.

    Raises:
        OSError: the state of a file cannot be told.
    """
    if not entries:
        return Files(), ()
    names = _with_bytes_as_characters([entry.name for entry in entries])
    are_files = [entry.is_file(follow_symlinks=False) for entry in entries]
    tails, doubtful = rules.videos_among(names)
    others: list[os.DirEntry[str]] = []
    if doubtful or tails is not None or not all(are_files):
        longest = rules.longest_ending
        are_videos = [tails is None or name[-longest:] in tails for name in names]
        are_doubtful = [name in doubtful for name in names]
        each = list(zip(are_files, are_videos, are_doubtful, strict=True))
        others = list(compress(entries, [not file or (video and doubt) for file, video, doubt in each]))
        plain = [file and video and not doubt for file, video, doubt in each]
        names, entries = list(compress(names, plain)), list(compress(entries, plain))
    files = _in_bulk(folder, names, goes_on)
    if files is None:
        try:
            files = Files(_rows(names, entries, goes_on))
        except FileNotFoundError:  # of one that was removed since; which, is found out one by one
            return Files(), [*others, *entries]
    return files, others


def _with_bytes_as_characters(names: list[str]) -> list[str]:
    joined = "/".join(names)  # which no name holds
    return names if joined.isascii() else os.fsencode(joined).decode("latin-1").split("/")


def _in_bulk(folder: int, names: list[str], goes_on: Callable[[], None]) -> Files | None:
    if not names:
        return Files()
    joined = "/".join(sorted(names)).encode("latin-1")
    states = statx.states(folder, joined.split(b"/"), goes_on)
    return None if states is None else Files.packed(joined, states)


def _rows(names: Sequence[str], entries: Entries, goes_on: Callable[[], None]) -> list[FileRow]:
    rows: list[FileRow] = []
    for number, (name, entry) in enumerate(zip(names, entries, strict=True)):
        if number % ENTRIES_AT_A_TIME == 0:
            goes_on()
        status = entry.stat(follow_symlinks=False)
        rows.append((name.encode("latin-1"), status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev))
    return rows
