"""The tags of a Matroska file (RFC 9559, 5.1.8), as FFmpeg makes its own of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from stoat_ferret.media.containers import ebml
from stoat_ferret.media.containers.ebml import NotUnderstoodError, Readable

_TAG, _TARGETS, _SIMPLE = 0x7373, 0x63C0, 0x67C8
_TAGS_PARTS = frozenset({_TAG})
_TAG_PARTS = frozenset({_TARGETS, _SIMPLE})
_LEVEL_NAME, _TRACK, _CHAPTER, _ATTACHMENT = 0x63CA, 0x63C5, 0x63C4, 0x63C6
_TARGETS_PARTS = frozenset({_LEVEL_NAME, 0x68CA, _TRACK, _CHAPTER, _ATTACHMENT})
_NAME, _STRING, _LANGUAGE, _DEFAULT = 0x45A3, 0x4487, 0x447A, 0x4484
_SIMPLE_PARTS = frozenset({_NAME, _STRING, _LANGUAGE, _DEFAULT, _SIMPLE, 0x447B})
_TEXTS = (_NAME, _STRING, _LANGUAGE)
_UNDETERMINED = "und"
_LONGEST_NAME = 200
_DEEPEST = 4
_RENAMED = {"lead_performer": "performer", "part_number": "track"}
_MEANT = _RENAMED | {new: old for old, new in _RENAMED.items()}
"""Where a file says both, it depends on their order which is taken."""

Said = tuple[str, str | None]


@dataclass(slots=True)
class Tag:
    """Tags for one target."""

    track: int = 0
    """The unique number of the track that they are for; 0 for the whole file."""
    said: list[Said] = field(default_factory=list)
    """Key and value, as they come; None takes a key away."""


def read_tags(data: Readable, at: int, end: int) -> list[Tag]:
    """Read the content of `Tags`.

    Raises:
        NotUnderstoodError: it is not as it should be, or says something of chapters or attachments.
    """
    found = []
    for _, start, stop in ebml.children(data, at, end, _TAGS_PARTS):
        tag, prefix, simple = Tag(), "", list[tuple[int, int]]()
        targets = 0
        for kind, begin, until in ebml.children(data, start, stop, _TAG_PARTS):
            if kind == _SIMPLE:
                simple.append((begin, until))
            else:
                targets += 1
                tag.track, prefix = _target(data, begin, until)
        if targets > 1:
            raise NotUnderstoodError
        if tag.track:
            prefix = ""
        for begin, until in simple:
            _add(tag.said, data, begin, until, prefix, _DEEPEST)
        found.append(tag)
    return found


def _target(data: Readable, at: int, end: int) -> tuple[int, str]:
    track, name = 0, ""
    if at == end:
        return track, name
    for kind, start, stop in ebml.children(data, at, end, _TARGETS_PARTS):
        if kind == _LEVEL_NAME:
            name = ebml.text(data, start, stop) + "/"
            continue
        number = ebml.unsigned(data, start, stop)
        if kind == _TRACK:
            track = number
        elif kind in (_CHAPTER, _ATTACHMENT) and number:
            raise NotUnderstoodError
    return track, name


def _add(found: list[Said], data: Readable, at: int, end: int, prefix: str, depth: int) -> None:
    texts: dict[int, str] = {}
    default, inner = 0, list[tuple[int, int]]()
    for kind, start, stop in ebml.children(data, at, end, _SIMPLE_PARTS):
        if kind in _TEXTS:
            texts[kind] = ebml.text(data, start, stop)
        elif kind == _DEFAULT:
            default = ebml.unsigned(data, start, stop)
        elif kind == _SIMPLE:
            inner.append((start, stop))
    name, language = texts.get(_NAME), texts.get(_LANGUAGE, _UNDETERMINED)
    if not name or not language or not depth or len(prefix) + len(name) + len(language) > _LONGEST_NAME:
        raise NotUnderstoodError
    keys = [prefix + name] if default or language == _UNDETERMINED else []
    if language != _UNDETERMINED:
        keys.append(f"{prefix}{name}-{language}")
    for key in keys:
        found.append((key, texts.get(_STRING)))
        for start, stop in inner:
            _add(found, data, start, stop, f"{key}/", depth - 1)


def put(tags: dict[str, str], said: Iterable[Said]) -> None:
    """Put values into tags as FFmpeg does: it knows no case, and the key stays as it was written last.

    Raises:
        NotUnderstoodError: a key has other characters than printable ones of ASCII.
    """
    for key, value in said:
        if not key.isascii() or not key.isprintable() or not key:
            raise NotUnderstoodError
        folded = key.lower()
        if folded in _MEANT and (value is None or not {folded, _MEANT[folded]}.isdisjoint(map(str.lower, tags))):
            raise NotUnderstoodError
        _put(tags, _RENAMED.get(folded, key), value)


def _put(tags: dict[str, str], key: str, value: str | None) -> None:
    if key in tags:
        del tags[key]
    elif tags:
        folded = key.lower()
        for other in tags:
            if len(other) == len(key) and other.lower() == folded:
                del tags[other]
                break
    if value is not None:
        tags[key] = value
