"""What files that are no videos are instead."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.contents import HEAD_BYTES, described, is_blank

BMP = b"BM" + bytes([70, 0, 0, 0]) + bytes(4) + bytes([54, 0, 0, 0, 40, 0, 0, 0]) + bytes(50)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"<!DOCTYPE html><html><head><title>404", "web page"),
        (b"\xef\xbb\xbf\n <HTML lang=en>", "web page"),
        (b"<!-- saved --> <html>", "web page"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\nnext.ts\n", "playlist"),
        (b"ffconcat version 1.0\nfile a.mp4\n", "playlist"),
        (b'<?xml version="1.0"?>\n<MPD xmlns="x">', "playlist"),
        (b"Access denied\n", "text"),
        (b'{"error": "quota"}', "text"),
        ("Zugriff verweigert: \u00fcberschritten".encode(), "text"),
        ("Verweigert \u6771".encode("utf-16"), "text"),
        ("é".encode() * HEAD_BYTES, "text"),
        (b"x" + "é".encode() * HEAD_BYTES, "text"),
        (b"MZ is how this text begins", "text"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG"),
        (b"GIF89a\1\0\1\0", "GIF"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "WebP"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (BMP, "BMP"),
        (b"PK\3\4\x14\0\0\0", "ZIP"),
        (b"Rar!\x1a\7\1\0", "RAR"),
        (bytes([1]) * 257 + b"ustar\0" + bytes(200), "tar"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"%PDF-1.4\n", "PDF"),
        (b"\x7fELF\2\1", "program"),
        (b"MZ\x90\0\3\0", "Windows"),
        (b"\0\5\x16\7\0\2\0\0", "AppleDouble"),
    ],
)
def test_a_file_says_what_it_is(tmp_path: Path, content: bytes, word: str) -> None:
    """By its first bytes, whatever it is called; and what to do, where that helps."""
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    assert word in (described(bytes(path)) or "")


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"\x1a\x45\xdf\xa3", bytes(range(256)), b"text\0and more", b"caf\xe9 au lait"]
)
def test_of_other_bytes_nothing_is_said(tmp_path: Path, content: bytes) -> None:
    """Rather than something wrong."""
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    assert described(bytes(path)) is None


@pytest.mark.parametrize(
    ("size", "written", "blank"),
    [(1, None, True), (10_000_000, None, True), (10_000_000, 0, False), (10_000_000, 9_999_999, False), (5, 3, False)],
)
def test_nothing_but_zeros(tmp_path: Path, size: int, written: int | None, blank: bool) -> None:
    """The ends and places between are looked at; a sparse file costs nothing to make."""
    path = tmp_path / "film.mkv"
    with path.open("wb") as file:
        file.truncate(size)
        if written is not None:
            file.seek(written)
            file.write(b"x")
    assert is_blank(bytes(path)) is blank


@given(content=st.binary(max_size=300))
def test_any_bytes_are_looked_at(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Without a crash."""
    path = tmp_path_factory.getbasetemp() / "any.mp4"
    path.write_bytes(content)
    described(bytes(path))
    is_blank(bytes(path))
