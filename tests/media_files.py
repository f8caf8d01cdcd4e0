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
    "AudioTrack",
    "Clip",
    "SubtitleTrack",
    "clip_file",
    "make_clip",
    "place_clip",
    "samples_folder",
    "stream_without_picture",
    "truncate",
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


def samples_folder() -> Path:
    """Give the folder of other projects' media files, or skip the test, saying so."""
    default = Path(__file__).resolve().parents[2] / "shared" / "samples"
    folder = Path(os.environ.get("STOAT_SAMPLES", default))
    if not (folder / "EXPECTED.jsonl").is_file():
        pytest.skip(f"no media samples: neither $STOAT_SAMPLES nor {default} holds EXPECTED.jsonl")
    return folder
