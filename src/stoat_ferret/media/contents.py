"""What a file that is no video is instead, by its first bytes, said so that a person understands how it came about.

A download that failed leaves a web page or nothing but zeros under the name of the film; pictures and archives are
renamed.
"""

import os
import re

HEAD_BYTES = 64 * 1024
_PLACES = 16
"""Into how many places a file is looked to say that there is nothing in it."""

_PDF = b"%PDF-"
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"II*\0", "a TIFF picture, or a camera's raw one"),
    (b"MM\0*", "a TIFF picture, or a camera's raw one"),
    (b"8BPS", "a Photoshop picture"),
    (b"PK\3\4", "an archive (ZIP, or a document that is one)"),
    (b"Rar!\x1a\7", "an archive (RAR)"),
    (b"7z\xbc\xaf\x27\x1c", "an archive (7-Zip)"),
    (b"\x1f\x8b", "a compressed file (gzip)"),
    (b"BZh", "a compressed file (bzip2)"),
    (b"\xfd7zXZ\0", "a compressed file (xz)"),
    (b"\x28\xb5\x2f\xfd", "a compressed file (Zstandard)"),
    (_PDF, "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program for Windows"),
    (b"\0\5\x16\7", "what macOS keeps beside a file (AppleDouble), not the file itself"),
)
_ADVICE = {
    "archive": " Unpack it first.",
    "compressed": " Unpack it first.",
    "AppleDouble": " Its name without the leading `._` is the video's.",
}
_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_PLAYLIST = re.compile(rb"\s*(?:#EXTM3U|\[playlist\]|ffconcat version|<(?:\?xml[^>]*>\s*<)?(?:MPD|smil|playlist)\b)")
_TEXT_CONTROLS = frozenset("\t\n\v\f\r\x1b")


def described(path: bytes) -> str | None:
    """Say in a sentence or two what a file is that is no video; None where that cannot be told.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - a path of bytes
        head = file.read(HEAD_BYTES)
    text = head.removeprefix(b"\xef\xbb\xbf")
    if _HTML.match(text):
        return "The file is a web page (HTML) that was saved instead of the video. Download it again."
    if _PLAYLIST.match(text):
        return "The file is a playlist: it names videos and holds none. What it names is catalogued where it lies."
    if _is_text(head) and not head.startswith(_PDF):
        return "The file is text, not a video. If it was downloaded, read it: it may say why the video did not come."
    if (kind := _signed(head)) is None:
        return None
    advice = next((words for name, words in _ADVICE.items() if name in kind), "")
    return f"The file is not a video but {kind}.{advice}"


def is_blank(path: bytes) -> bool:
    """Tell whether a file holds nothing but zero bytes wherever it is looked at: its ends and places between.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a path of bytes
        last = max(0, os.fstat(file.fileno()).st_size - HEAD_BYTES)
        for place in sorted({last * number // (_PLACES - 1) for number in range(_PLACES)}):
            file.seek(place)
            if file.read(HEAD_BYTES).strip(b"\0"):
                return False
    return True


def _signed(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP picture"
    if head[257:262] == b"ustar":
        return "an archive (tar)"
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"):
        return "a BMP picture"
    return next((kind for start, kind in _SIGNATURES if head.startswith(start)), None)


def _is_text(head: bytes) -> bool:
    """Tell text from bytes: UTF-8 or UTF-16 with its mark, without controls that text has no use for."""
    if not head.strip():
        return False
    # Two encodings for which Python needs no module that it might have to look for in the sandbox.
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    try:
        text = head.decode(encoding)
    except UnicodeDecodeError as error:
        if len(head) < HEAD_BYTES or error.start < HEAD_BYTES - 4:  # but the last character may be cut in two
            return False
        text = head[: error.start].decode(encoding)
    return all(character.isprintable() or character in _TEXT_CONTROLS for character in text.removeprefix("\ufeff"))
