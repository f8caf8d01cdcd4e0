"""What the fuzzed files are made of, and how each comes to be."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.clips import AudioTrack, SubtitleTrack, make_clip
from torture.mutators import mutate

SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "samples"
NO_MEDIA = {".jsonl", ".csv", ".md"}
PICTURES = 1 / 3
"""Part of the mutants that are thumbnailed, if they are videos."""
_SOUND = (AudioTrack(language="eng"),)
CLIPS: tuple[dict[str, Any], ...] = (
    {"audio": _SOUND, "subtitles": (SubtitleTrack(),), "chapters": ("A", "B"), "cover": True, "title": "Clip"},
    {"container": "mkv", "audio": _SOUND, "subtitles": (SubtitleTrack(),), "chapters": ("A", "B"), "cover": True},
    {"container": "mov", "codec": "libx265", "hdr": "hdr10", "rotation": 90, "fast_start": False},
    {"container": "webm", "codec": "libvpx-vp9", "audio": (AudioTrack(codec="libopus"),)},
    {"container": "avi", "codec": "mpeg4", "audio": (AudioTrack(codec="mp3"),)},
    {"container": "ts", "audio": _SOUND},
    {"container": "mkv", "codec": "libx265", "hdr": "hlg"},
    {"codec": "libsvtav1", "vfr": True},
    {"container": "ps", "codec": "mpeg2video", "audio": (AudioTrack(codec="mp2"),)},
    {"container": "flv", "audio": _SOUND},
    {"container": "mov", "codec": "prores_ks", "pixel_format": "yuv422p10le", "frames": 3},
    {"container": "mxf", "codec": "mpeg2video"},
    {"container": "asf", "codec": "wmv2"},
    {"container": "nut", "codec": "ffv1", "frames": 4},
    {"container": "avi", "codec": "mjpeg", "pixel_format": "yuvj420p", "audio": _SOUND},
    {"container": "m4a", "codec": None, "audio": _SOUND, "cover": True},
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file to examine, and how it came to be."""

    number: int
    suffix: str
    content: bytes
    origin: str
    picture: bool = True
    """If it is a video, a thumbnail is made of it too."""


def own_clips(folder: Path) -> list[Path]:
    """Make the clips that mutants come from; the same bytes each time, with the same FFmpeg."""
    made = []
    for number, fields in enumerate(CLIPS):
        path = folder / f"own{number:02}.{fields.get('container', 'mp4')}"
        make_clip(path, repeatable=True, **fields)
        made.append(path)
    return made


def sample_files(folder: Path) -> list[Path]:
    """Give the media files below a folder, in order."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in NO_MEDIA]


def mutants(origins: Sequence[Path], seed: int, numbers: Iterable[int]) -> Iterator[Mutant]:
    """Make mutants, each decided by the seed and its number; of every file as many."""
    contents = [path.read_bytes() for path in origins]
    for number in numbers:
        rng = random.Random(f"{seed}:{number}")
        chosen = number % len(origins)
        content, steps = mutate(contents[chosen], rng, contents)
        origin = f"{origins[chosen].name}: {', '.join(steps)}"
        yield Mutant(number, origins[chosen].suffix, content, origin, picture=rng.random() < PICTURES)


def replayed(paths: Sequence[Path]) -> Iterator[Mutant]:
    """Give files as they are."""
    for number, path in enumerate(paths):
        yield Mutant(number, path.suffix, path.read_bytes(), path.name)
