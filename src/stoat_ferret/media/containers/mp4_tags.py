"""The tags of MP4 and QuickTime files, by FFmpeg's names: pure functions over the bytes of boxes.

There are three ways to write them: iTunes' list (`ilst`), QuickTime's own (`udta`, with types that begin with a
copyright sign), and QuickTime's keys (`keys`, with a list of values).
"""

from dataclasses import dataclass, field
from struct import Struct

from stoat_ferret.media.containers.boxes import NotUnderstoodError, inside, unique

_NAMES = {
    b"aART": "album_artist", b"catg": "category", b"cprt": "copyright", b"desc": "description", b"keyw": "keywords",
    b"ldes": "synopsis", b"manu": "make", b"modl": "model", b"purd": "purchase_date", b"soaa": "sort_album_artist",
    b"soal": "sort_album", b"soar": "sort_artist", b"soco": "sort_composer", b"sonm": "sort_name",
    b"sosn": "sort_show", b"tven": "episode_id", b"tvnn": "network", b"tvsh": "show", b"\xa9ART": "artist",
    b"\xa9PRD": "producer", b"\xa9alb": "album", b"\xa9aut": "artist", b"\xa9chp": "chapter", b"\xa9cmt": "comment",
    b"\xa9com": "composer", b"\xa9cpy": "copyright", b"\xa9day": "date", b"\xa9dir": "director",
    b"\xa9dis": "disclaimer", b"\xa9ed1": "edit_date", b"\xa9enc": "encoder", b"\xa9fmt": "original_format",
    b"\xa9gen": "genre", b"\xa9grp": "grouping", b"\xa9hst": "host_computer", b"\xa9inf": "comment",
    b"\xa9lyr": "lyrics", b"\xa9mak": "make", b"\xa9mod": "model", b"\xa9nam": "title", b"\xa9ope": "original_artist",
    b"\xa9prd": "producer", b"\xa9prf": "performers", b"\xa9req": "playback_requirements",
    b"\xa9src": "original_source", b"\xa9st3": "subtitle", b"\xa9swr": "encoder", b"\xa9too": "encoder",
    b"\xa9trk": "track", b"\xa9url": "URL", b"\xa9wrn": "warning", b"\xa9wrt": "composer", b"\xa9xyz": "location",
}  # fmt: skip
"""By the type of the box; those whose content is text."""
_COVER, _COPYRIGHT_SIGN = b"covr", 0xA9
_JPEG = 13
_TEXT, _SORTED_TEXT, _SIGNED, _UNSIGNED, _FLOAT = 1, 4, 21, 22, 23
"""Types of values (QuickTime File Format, "Well-known types")."""
_REAL = Struct(">f")
_LIST = frozenset({b"hdlr", b"keys", b"ilst"})
_PADDING = frozenset({b"free", b"skip"})
_OF_NO_ACCOUNT = _PADDING | {b"Xtra", b"SDLN", b"smrd", b"smta"}
"""What Windows and Samsung's phones note, of which FFmpeg takes no notice."""
_MOST_KEYS = 256
_PACKED, _NO_LANGUAGE = 0x400, 0x7FFF
_UNDETERMINED, _OLD_ENGLISH = "und", "eng"


@dataclass(slots=True)
class Told:
    """What the boxes beside the tracks tell."""

    tags: dict[str, str] = field(default_factory=dict)
    covers: list[tuple[int, int]] = field(default_factory=list)
    """Where a JPEG picture begins and ends in the data."""
    chapters: list[tuple[int, str]] = field(default_factory=list)
    """When each begins, in units of 100 ns, and its title."""


def language(code: int) -> str | None:
    """Read a language as it is packed into 16 bits (ISO/IEC 14496-12, 8.4.2); None for none.

    Raises:
        NotUnderstoodError: of Macintosh's languages any but English, or no letters.
    """
    if code == _NO_LANGUAGE:
        return None
    if code < _PACKED:
        if code:
            raise NotUnderstoodError
        return _OLD_ENGLISH
    letters = "".join(chr(0x60 + (code >> shift & 31)) for shift in (10, 5, 0))
    if code >> 15 or not letters.isalpha():
        raise NotUnderstoodError
    return letters


def text(content: bytes) -> str:
    """Read text up to its first zero, as PyAV does."""
    return content.partition(b"\0")[0].decode("utf-8", "replace")


def plain(content: bytes) -> str:
    """Read text of which it does not matter how it is encoded.

    Raises:
        NotUnderstoodError: it does.
    """
    found = content.partition(b"\0")[0]
    if not found.isascii():
        raise NotUnderstoodError
    return found.decode("ascii")


def user_data(data: bytes, start: int, end: int, told: Told) -> None:
    """Read a film's `udta`.

    Raises:
        NotUnderstoodError: it holds anything that is not known to be of no account.
    """
    for kind, begin, stop in inside(data, start, end):
        if kind == b"meta":
            listed(data, begin, stop, told)
        elif kind == b"chpl":
            _chapters(data, begin, stop, told)
        elif kind in _NAMES and kind[0] == _COPYRIGHT_SIGN:
            _quicktime(data, begin, stop, _NAMES[kind], told)
        elif kind not in _OF_NO_ACCOUNT and kind[0] != _COPYRIGHT_SIGN:
            raise NotUnderstoodError


def _quicktime(data: bytes, start: int, end: int, name: str, told: Told) -> None:
    """Read one tag as QuickTime writes it: its length, its language and the text."""
    length, code = (int.from_bytes(data[at : at + 2], "big") for at in (start, start + 2))
    if end - start < 5 or length != end - start - 4:
        raise NotUnderstoodError
    content = data[start + 4 : end]
    value = text(content) if _PACKED <= code != _NO_LANGUAGE else plain(content)
    told.tags[name] = value
    if (spoken := language(code)) not in (None, _UNDETERMINED):
        told.tags[f"{name}-{spoken}"] = value


def listed(data: bytes, start: int, end: int, told: Told) -> None:
    """Read a `meta` box (ISO/IEC 14496-12, 8.11.1, or without a version as QuickTime writes it)."""
    if data[start + 4 : start + 8] != b"hdlr":
        start += 4
    if data[start + 4 : start + 8] != b"hdlr" or start > end:
        raise NotUnderstoodError
    found = unique(data, start, end, _LIST, _PADDING)
    kinds = list(found)
    handler = data[found[b"hdlr"][1] + 8 : found[b"hdlr"][1] + 12]
    if handler == b"mdta" and kinds == [b"hdlr", b"keys", b"ilst"]:
        keys = _keys(data, *found[b"keys"][1:])
        for kind, begin, stop in inside(data, *found[b"ilst"][1:]):
            number = int.from_bytes(kind, "big")
            if not 1 <= number <= len(keys):
                raise NotUnderstoodError
            told.tags[keys[number - 1]] = _value(data, begin, stop)
    elif handler == b"mdir" and kinds == [b"hdlr", b"ilst"]:
        _itunes(data, *found[b"ilst"][1:], told)
    elif handler not in (b"mdta", b"mdir") or kinds != [b"hdlr"]:
        raise NotUnderstoodError


def _keys(data: bytes, start: int, end: int) -> list[str]:
    if end - start < 8:
        raise NotUnderstoodError
    found = []
    for kind, begin, stop in inside(data, start + 8, end):
        key = data[begin:stop]
        if kind != b"mdta" or not key or not key.isascii() or not key.decode().isprintable():
            raise NotUnderstoodError
        found.append(key.decode())
    count = int.from_bytes(data[start + 4 : start + 8], "big")
    if len(found) != count or count > _MOST_KEYS or "com.apple.quicktime.artwork" in found:
        raise NotUnderstoodError
    return found


def _itunes(data: bytes, start: int, end: int, told: Told) -> None:
    for kind, begin, stop in inside(data, start, end):
        if kind == _COVER:
            told.covers.append(_picture(data, begin, stop))
        elif kind in _NAMES:
            told.tags[_NAMES[kind]] = _value(data, begin, stop)
        else:
            raise NotUnderstoodError


def _data(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Give type and begin of the one value that fills a part of the data."""
    length = int.from_bytes(data[start : start + 4], "big")
    if length < 16 or length != end - start or data[start + 4 : start + 8] != b"data":
        raise NotUnderstoodError
    return int.from_bytes(data[start + 8 : start + 12], "big"), start + 16


def _value(data: bytes, start: int, end: int) -> str:
    kind, begin = _data(data, start, end)
    content = data[begin:end]
    if kind in (_TEXT, _SORTED_TEXT):
        return text(content)
    if kind in (_SIGNED, _UNSIGNED) and 1 <= len(content) <= 4:
        return str(int.from_bytes(content, "big", signed=kind == _SIGNED))
    if kind == _FLOAT and len(content) == 4:
        return f"{_REAL.unpack(content)[0]:f}"
    if kind == 0:
        return plain(content)
    raise NotUnderstoodError


def _picture(data: bytes, start: int, end: int) -> tuple[int, int]:
    kind, begin = _data(data, start, end)
    if kind != _JPEG or data[begin : begin + 3] != b"\xff\xd8\xff":
        raise NotUnderstoodError
    return begin, end


def _chapters(data: bytes, start: int, end: int, told: Told) -> None:
    """Read Nero's list of chapters."""
    version = data[start] if end > start else 2
    at = start + (8 if version else 4)
    if version > 1 or told.chapters or end <= at:
        raise NotUnderstoodError
    count, at = data[at], at + 1
    for _ in range(count):
        if at + 9 > end or at + 9 + data[at + 8] > end:
            raise NotUnderstoodError
        begin, length = int.from_bytes(data[at : at + 8], "big"), data[at + 8]
        told.chapters.append((begin, text(data[at + 9 : at + 9 + length])))
        at += 9 + length
    if at != end:
        raise NotUnderstoodError
