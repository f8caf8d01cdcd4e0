"""Half a copy that can be played all the same, told from a whole film by its own headers."""

import os
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.media.source import Source
from stoat_ferret.media.wholeness import is_cut_short
from tests.media_files import clip_file

KINDS: list[dict[str, Any]] = [
    {"container": "mp4", "fast_start": True},
    {"container": "mp4"},
    {"container": "mov"},
    {"container": "mkv"},
    {"container": "webm", "codec": "libvpx-vp9"},
    {"container": "avi", "codec": "mpeg4"},
    {"container": "ts"},
]


def judged(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return is_cut_short(Source(descriptor, b"/film"))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("fields", KINDS)
def test_a_whole_film_is_never_cut_short(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Nor one to which something was appended, as some tools do."""
    content = clip_file(frames=50, **fields).read_bytes()
    assert not judged(tmp_path / "film", content)
    assert not judged(tmp_path / "film", content + b"\x00" * 100)


@pytest.mark.parametrize("fields", [each for each in KINDS if each["container"] != "ts"])
@pytest.mark.parametrize("part", [0.5, 0.9, 0.999])
def test_a_part_of_one_is(tmp_path: Path, fields: dict[str, Any], part: float) -> None:
    """Wherever it ends."""
    content = clip_file(frames=50, **fields).read_bytes()
    assert judged(tmp_path / "film", content[: int(part * len(content))])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ftyp",
        b"\x00\x00\x00\x10ftypisom",
        b"\x1a\x45\xdf\xa3",
        b"\x1a\x45\xdf\xa3\x00",
        b"RIFF\xff\xff\xff\xffWAVE",
        b"\x00\x00\x00\x08ftyp\x00\x00\x00\x00mdat" + bytes(50),
        b"\x00\x00\x00\x01ftyp",
        b"plain text, and no film",
    ],
)
def test_of_what_says_nothing_nothing_is_known(tmp_path: Path, content: bytes) -> None:
    """Not even that it is too short; whoever opens it will see what is wrong with it."""
    assert judged(tmp_path / "film", content) is (content == b"\x00\x00\x00\x10ftypisom")


def test_a_matroska_stream_of_unknown_length_is_whole(tmp_path: Path) -> None:
    """A live recording ends where it was stopped."""
    content = clip_file(container="mkv").read_bytes()
    segment = content.index(b"\x18\x53\x80\x67") + 4
    assert content[segment] == 1  # a length in eight bytes
    live = content[:segment] + b"\x01" + b"\xff" * 7 + content[segment + 8 :]
    assert not judged(tmp_path / "film", live[:-100])
