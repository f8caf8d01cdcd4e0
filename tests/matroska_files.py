"""Matroska files taken apart and put together again, for tests that change a part of one."""

from pathlib import Path
from typing import Any

SEGMENT, INFO, TRACKS, TRACK, VIDEO, CLUSTER, TAGS = (
    0x18538067,
    0x1549A966,
    0x1654AE6B,
    0xAE,
    0xE0,
    0x1F43B675,
    0x1254C367,
)
SEEK_HEAD, CUES = 0x114D9B74, 0x1C53BB6B
MASTERS = {SEGMENT, INFO, TRACKS, TRACK, VIDEO, TAGS, 0xE1, 0x7373, 0x67C8, 0x63C0, 0x1043A770, 0x45B9, 0xB6, 0x80}
"""That are taken apart; clusters are not."""

Tree = list[list[Any]]
"""Elements: of each its id, and its content, a tree again or bytes."""


def taken_apart(data: bytes, at: int = 0, end: int | None = None) -> Tree:
    """Take a sound file apart."""
    found: Tree = []
    while at < (len(data) if end is None else end):
        identity, at = _number(data, at, marked=True)
        length, at = _number(data, at, marked=False)
        content = taken_apart(data, at, at + length) if identity in MASTERS else data[at : at + length]
        found.append([identity, content])
        at += length
    return found


def _number(data: bytes, at: int, *, marked: bool) -> tuple[int, int]:
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big")
    return (value if marked else value & (1 << 7 * width) - 1), at + width


def element(identity: int, content: bytes | Tree) -> bytes:
    """Write an element, with a length of eight bytes."""
    inner = content if isinstance(content, bytes) else b"".join(element(*part) for part in content)
    return (
        identity.to_bytes((identity.bit_length() + 7) // 8, "big") + (len(inner) | 1 << 56).to_bytes(8, "big") + inner
    )


def write(path: Path, tree: Tree) -> None:
    """Write a file again, without the indexes, which would be wrong, and with its clusters at the end."""
    outer = []
    for identity, content in tree:
        parts = content
        if identity == SEGMENT:
            parts = [part for part in content if part[0] not in (SEEK_HEAD, CUES)]
            parts.sort(key=lambda part: part[0] == CLUSTER)
        outer.append(element(identity, parts))
    path.write_bytes(b"".join(outer))


def inside(tree: Tree, *path: int) -> Tree:
    """Give the content of the first element at a place."""
    for identity in path:
        tree = next(part[1] for part in tree if part[0] == identity)
    return tree


def put(tree: Tree, identity: int, content: bytes | Tree) -> None:
    """Set an element's content, or add it."""
    for part in tree:
        if part[0] == identity:
            part[1] = content
            return
    tree.append([identity, content])


def number(value: int) -> bytes:
    """Write a number, in as few bytes as it takes, but one."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
