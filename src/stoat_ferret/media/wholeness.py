"""Whether a file is as long as it says: half a copy may well be played, as far as it goes."""

from stoat_ferret.media.source import Source

_BOX_TYPES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid"})
_MOST_BOXES = 64
"""Of a whole film there are a handful; of one in fragments, thousands."""
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_HEAD = 4096


def is_cut_short(source: Source) -> bool:
    """Tell whether a file ends before what its outermost headers say; False where they do not say, or nobody knows.

    QuickTime and MP4 (ISO/IEC 14496-12, 4.2: each box begins with its length), Matroska and WebM (RFC 9559, 5.1: the
    segment's length, unless it was not known), and AVI (RIFF: the length of what follows) are looked at.

    Raises:
        OSError: the file cannot be read.
    """
    start, size = source.peek(0, min(_HEAD, source.size)), source.size
    if start[4:8] in _BOX_TYPES:
        return _ends_in_a_box(source)
    if start.startswith(_EBML):
        end = _end_of_segment(start)
        return end is not None and end > size
    if start.startswith(b"RIFF") and start[8:12] == b"AVI ":
        return 8 + int.from_bytes(start[4:8], "little") > size
    return False


def _ends_in_a_box(source: Source) -> bool:
    offset = 0
    for _ in range(_MOST_BOXES):
        head = source.peek(offset, min(16, source.size - offset))
        if len(head) < 8:
            return False
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if not kind.isalnum() and kind not in _BOX_TYPES:
            return False  # damaged, or something was appended: nothing is known of lengths any more
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: to the end of the file, whatever that is
            return False
        offset += length
        if offset >= source.size:
            return offset > source.size
    return False


def _end_of_segment(start: bytes) -> int | None:
    found = _length(start, 4)
    if found is None or found[0] is None:
        return None
    segment = found[1] + found[0]
    if start[segment : segment + 4] != _SEGMENT:
        return None
    found = _length(start, segment + 4)
    return None if found is None or found[0] is None else found[1] + found[0]


def _length(data: bytes, offset: int) -> tuple[int | None, int] | None:
    """Read a length of EBML (RFC 8794, 6): gives it, None if it is unknown, and where what it is of begins."""
    if offset >= len(data) or not data[offset]:
        return None
    width = 9 - data[offset].bit_length()
    if offset + width > len(data):
        return None
    value = int.from_bytes(data[offset : offset + width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), offset + width
