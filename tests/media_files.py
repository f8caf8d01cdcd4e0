"""Tiny real clips for tests: made once a session, then copied to where a test wants them."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools.clips import AudioTrack, Clip, SubtitleTrack, make_clip, truncate

__all__ = [
    "STSD",
    "AudioTrack",
    "Clip",
    "SubtitleTrack",
    "box",
    "clip_file",
    "make_clip",
    "place_clip",
    "samples_folder",
    "stream_without_picture",
    "truncate",
    "with_box",
]


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="stoat-clips-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


_made: dict[str, Path] = {}


def clip_file(**fields: Any) -> Path:
    """Give a clip as `tools.clips.Clip` describes it; the same file for the same description, so do not change it."""
    description = repr(sorted(fields.items()))
    if description not in _made:
        path = _folder() / f"{len(_made)}.{fields.get('container', 'mp4')}"
        make_clip(path, **fields)
        _made[description] = path
    return _made[description]


def place_clip(path: Path | str | bytes, **fields: Any) -> None:
    """Put a copy of a clip at `path`, parents included."""
    target = os.fsencode(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(os.fsencode(clip_file(**fields)), target)


def stream_without_picture(path: Path | str | bytes) -> None:
    """Put a file with sound only at `path`."""
    place_clip(path, container="m4a", codec=None, audio=(AudioTrack(),))


STSD = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
"""Where a track's sample entry is, of which the codec's tag is the next part."""
_BEFORE_BOXES = {b"stsd": 8, b"avc1": 78, b"hvc1": 78, b"hev1": 78, b"av01": 78}
"""Bytes of a box that come before the boxes in it."""


def box(kind: bytes, *content: bytes) -> bytes:
    """Give an ISO base media box (ISO/IEC 14496-12, 4.2)."""
    data = b"".join(content)
    return (8 + len(data)).to_bytes(4, "big") + kind + data


def with_box(data: bytes, place: tuple[bytes, ...], added: bytes) -> bytes:
    """Put a box at the end of the first box at `place`. The index has to come last, as its length changes.

    Raises:
        LookupError: there is no such place.
    """
    if not place:
        return data + added
    position = 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind, end = data[position + 4 : position + 8], position + length
        if kind == place[0]:
            start = position + 8 + _BEFORE_BOXES.get(kind, 0)
            inside = data[position + 8 : start] + with_box(data[start:end], place[1:], added)
            return data[:position] + box(kind, inside) + data[end:]
        position = end
    raise LookupError(place)


def samples_folder() -> Path:
    """Give the folder of other projects' media files, or skip the test, saying so."""
    default = Path(__file__).resolve().parents[2] / "shared" / "samples"
    folder = Path(os.environ.get("STOAT_SAMPLES", default))
    if not (folder / "EXPECTED.jsonl").is_file():
        pytest.skip(f"no media samples: neither $STOAT_SAMPLES nor {default} holds EXPECTED.jsonl")
    return folder
