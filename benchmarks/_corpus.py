"""The films that probing is measured with: a folder of the caller's, or some of each common kind, made for it.

A corpus made here has 24 masters: MP4 with its index before and after the film, QuickTime, also turned, Matroska with
HEVC and with subtitles and chapters, WebM, AVI, MPEG transport streams, HDR10, uneven frame rates, cover art. Each is
copied until there are enough; no two copies are alike.

usage: python -m benchmarks._corpus OUT [FILES]
"""

import argparse
import os
import shutil
import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks._harness import scratch
from stoat_ferret.settings import DEFAULT_VIDEO_EXTENSIONS
from tools.clips import AudioTrack, Clip, SubtitleTrack, make_clip

FOLDERS = 20
LONG_AGO = 1_700_000_000
"""Seconds since 1970: copies that were written just now are looked at again by a scan."""
_SOUND = (AudioTrack(channels=2),)
_TWO_SOUNDS = (AudioTrack(language="eng"), AudioTrack(language="fra", hertz=220.0))
_LINES = (SubtitleTrack(language="deu"),)
_SHAPES = (((320, 180), 75), ((640, 360), 150), ((1280, 720), 125))
"""Width and height in pixels, and frames."""
_KINDS = (
    Clip(audio=_SOUND),
    Clip(container="mov", audio=_SOUND, fast_start=False),
    Clip(container="mkv", codec="libx265", audio=_SOUND),
    Clip(container="avi", codec="mpeg4", audio=(AudioTrack(codec="libmp3lame", channels=2),)),
    Clip(container="ts", audio=_SOUND),
    Clip(container="webm", codec="libvpx-vp9", audio=(AudioTrack(codec="libopus", channels=2),)),
)
_FILM = Clip(size=(640, 360), frames=150, audio=_SOUND, key_interval=48)
_CHAPTERS = ("One", "Two", "Three")
_SPECIAL = {
    "index at the end.mp4": replace(_FILM, fast_start=False),
    "subtitles.mkv": replace(_FILM, container="mkv", audio=_TWO_SOUNDS, subtitles=_LINES, chapters=_CHAPTERS),
    "turned.mov": replace(_FILM, container="mov", rotation=90),
    "hdr.mp4": replace(_FILM, codec="libx265", size=(1280, 720), frames=48, hdr="hdr10"),
    "uneven.mkv": replace(_FILM, container="mkv", frames=100, vfr=True),
    "cover.mp4": replace(_FILM, cover=True, chapters=_CHAPTERS),
}


def add_arguments(parser: argparse.ArgumentParser, *, files: int) -> None:
    """Let the caller choose the films; `files` is how many are made where no folder is named."""
    given = os.environ.get("CORPUS") or None
    parser.add_argument(
        "--corpus",
        type=Path,
        default=given and Path(given),
        help="a folder of films to measure with (default: CORPUS of the environment); without: one that is made",
    )
    parser.add_argument("--files", type=int, default=files, help=f"how many films are made (default: {files})")


@contextmanager
def chosen(args: argparse.Namespace) -> Iterator[Path]:
    """Give the folder of films: the one that was named, else one that is made, and removed afterwards.

    Raises:
        SystemExit: the folder holds no films; the message says so.
    """
    if args.corpus is not None:
        if not films(args.corpus):
            msg = f"There are no films below {args.corpus}."
            raise SystemExit(msg)
        yield args.corpus.resolve()
        return
    with scratch() as folder:
        make(folder, args.files)
        yield folder / "films"


def films(folder: Path) -> list[Path]:
    """Give what a scan of a folder looks at, in a fixed order."""
    endings = {"." + ending for ending in DEFAULT_VIDEO_EXTENSIONS}
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings and path.is_file())


def by_container(found: list[Path]) -> dict[str, list[Path]]:
    """Sort films by the endings of their names, without the dot."""
    sorted_out: dict[str, list[Path]] = defaultdict(list)
    for path in found:
        sorted_out[path.suffix.lower().lstrip(".")].append(path)
    return dict(sorted(sorted_out.items()))


def some(found: list[Path], most: int) -> list[Path]:
    """Give at most so many films, from all over the list."""
    return [found[number * len(found) // most] for number in range(most)] if len(found) > most else found


def warm(found: list[Path]) -> None:
    """Read all films once, so that they lie in the page cache for everyone who is measured."""
    for path in found:
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def make(folder: Path, count: int) -> None:
    """Make `count` films in `folder/films`."""
    masters = _make_masters(folder / "masters")
    contents = [(path.suffix, path.read_bytes()) for path in masters]
    for number in range(count):
        suffix, content = contents[number % len(contents)]
        below = folder / "films" / f"folder {number * 7 % FOLDERS:02d}"
        below.mkdir(parents=True, exist_ok=True)
        path = below / f"film {number:05d}{suffix}"
        path.write_bytes(content + _padding(suffix, number))
        _make_old(path)


def _make_masters(folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    clips = dict(_SPECIAL)
    for kind in _KINDS:
        for size, frames in _SHAPES:
            name = f"{kind.container} {size[1]}.{kind.container}"
            clips[name] = replace(kind, size=size, frames=frames, key_interval=48, title="Measured")
    for name, clip in clips.items():
        make_clip(folder / name, clip)
    return sorted(folder.iterdir())


def _padding(suffix: str, number: int) -> bytes:
    """What players pass over at a file's end, with a number of its own."""
    tag = b"U%015d" % number
    match suffix:
        case ".mp4" | ".mov":
            return struct.pack(">I", 8 + len(tag)) + b"free" + tag
        case ".ts":
            return b"\x47\x1f\xff\x10" + tag + b"\xff" * (184 - len(tag))
        case ".avi":
            return b"JUNK" + struct.pack("<I", len(tag)) + tag
        case _:  # an EBML void element
            return b"\xec\x90" + tag


def _make_old(path: Path) -> None:
    os.utime(path, (LONG_AGO, LONG_AGO))


def link_or_copy(path: Path, target: Path) -> None:
    """Show a film under another name, by a hard link where that can be."""
    try:
        target.hardlink_to(path)
    except OSError:
        shutil.copy2(path, target)


def main() -> None:
    """Make the films in OUT/films."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("files", type=int, nargs="?", default=1000)
    args = parser.parse_args()
    make(args.out, args.files)


if __name__ == "__main__":
    main()
