"""Which containers are opened, and what a file without an index looks like."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoat_ferret.media.formats import OPEN_OPTIONS, lack_of_index, open_options, told_by_header


def box(kind: bytes, body: bytes = b"", *, length: int | None = None) -> bytes:
    return (8 + len(body) if length is None else length).to_bytes(4, "big") + kind + body


FTYP = box(b"ftyp", b"isom\0\0\2\0")


def test_nothing_that_names_other_files_is_opened() -> None:
    """Playlists and scripts make FFmpeg open what they name."""
    names = set(OPEN_OPTIONS["format_whitelist"].split(","))
    assert not names & {
        "hls", "concat", "sdp", "rtsp", "image2", "image2pipe", "vobsub", "dash", "lavfi", "tty", "bin", "xbin", "srt",
        "webvtt", "ass", "ffmetadata", "sap", "rtp", "imf", "applehttp", "vapoursynth", "webm_dash_manifest", "data",
        "rawvideo", "txt", "aqtitle", "ico", "gif", "png_pipe", "jpeg_pipe", "svg_pipe", "v4l2", "x11grab", "mjpeg",
    }  # fmt: skip
    assert {"mov", "matroska", "avi", "mpegts", "mpeg"} <= names
    assert OPEN_OPTIONS["protocol_whitelist"] == "none"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (FTYP + box(b"mdat", bytes(100)), "cut"),
        (FTYP + box(b"mdat", bytes(10), length=1000), "cut"),
        (FTYP + box(b"mdat", (1 << 62).to_bytes(8, "big"), length=1), "cut"),
        (FTYP + box(b"mdat", bytes(10), length=0), "cut"),
        (FTYP + box(b"free") + b"\0\0\0", "cut"),
        (FTYP + b"\0\0\0\3junk", "cut"),
        (FTYP + box(b"mdat", bytes(100)) + box(b"moov"), None),
        (FTYP + box(b"moov") + box(b"mdat"), None),
        (box(b"moov"), None),
        (box(b"styp") + box(b"sidx") + box(b"moof") + box(b"mdat", bytes(100)), "segment"),
        (box(b"moof") + box(b"mdat", bytes(10), length=1000), "segment"),
        (FTYP + box(b"moov") + box(b"moof") + box(b"mdat", bytes(100)), None),
        (b"RIFF....AVI LIST", None),
        (b"", None),
    ],
)
def test_an_mp4_file_without_moov(tmp_path: Path, content: bytes, expected: str | None) -> None:
    """The outermost boxes are walked, as far as they go."""
    path = tmp_path / "file"
    path.write_bytes(content)
    assert lack_of_index(bytes(path)) is expected


def test_the_options_depend_on_the_first_bytes() -> None:
    """And never allow more than the ordinary ones."""
    for start in (FTYP, b"\x47" + bytes(187), bytes(4) + b"\x47" + bytes(187)):
        assert open_options(start).items() > OPEN_OPTIONS.items()
    assert open_options(b"RIFF....AVI LIST") == OPEN_OPTIONS
    assert open_options(b"") == OPEN_OPTIONS


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_any_content_is_judged(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Lengths in a damaged file are any numbers."""
    path = tmp_path_factory.mktemp("boxes") / "file"
    path.write_bytes(FTYP + content)
    lack_of_index(bytes(path))


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (FTYP, "mov"),
        (b"\x1aE\xdf\xa3" + bytes(8), "matroska"),
        (b"RIFF" + bytes(4) + b"AVI LIST", "avi"),
        (b"RIFF" + bytes(4) + b"WAVEfmt ", None),
        (b"\x47" + bytes(20), "mpegts"),
        (bytes(4) + b"\x47" + bytes(20), "mpegts"),
        (b"FLV\1" + bytes(20), None),
        (b"", None),
    ],
)
def test_some_formats_are_told_by_their_first_bytes(start: bytes, name: str | None) -> None:
    """Those whose headers say which decoder their pictures take, by FFmpeg's names."""
    assert told_by_header(start) == name
