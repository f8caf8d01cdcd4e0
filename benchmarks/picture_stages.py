"""A picture of a film against a start of ffmpeg that makes the same, stage by stage, in processor time.

usage: picture_stages.py [--ffmpeg PROGRAM] [--runs 10]

Files are in memory's cache; the least of the runs counts, since others may use the processor. Ours is made in a process
that runs already, as the probe processes do, and in the format that is made ahead.
"""

import argparse
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._harness import publish, scratch
from stoat_ferret.media import frames
from stoat_ferret.scan.thumbnails import WISH
from tools.clips import AudioTrack, make_clip

USUAL: dict[str, Any] = {"frames": 100, "key_interval": 30, "audio": (AudioTrack(),)}
CLIPS: dict[str, dict[str, Any]] = {
    "1080p h264": {"size": (1920, 1080)},
    "4K h264": {"size": (3840, 2160), "frames": 40},
    "1080p hevc": {"size": (1920, 1080), "codec": "libx265"},
    "tiny h264": {"size": (160, 96)},
}
STAGES = {"open": "opened", "seek and decode": "_frame", "scale": "_upright", "encode": "_encode"}
FFMPEG = "-v error -threads 1 -skip_frame nokey -ss {at} -i {path} -frames:v 1 -vf scale={width}:-2:flags=area -y {out}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ffmpeg", default=shutil.which("ffmpeg"))
    parser.add_argument("--runs", type=int, default=10)
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    with scratch() as folder:
        for name, fields in CLIPS.items():
            path = folder / f"{name}.mp4"
            make_clip(path, **(USUAL | fields))
            figures[name] = measured(path, folder, args.ffmpeg, args.runs)
    first = figures["1080p h264"]
    line = f"{first['milliseconds']} ms for 1080p h264"
    told = f", {first['ratio']} times as fast as ffmpeg" if "ratio" in first else ""
    publish("stages of a picture", line + told, figures)


def measured(path: Path, folder: Path, ffmpeg: str | None, runs: int) -> dict[str, Any]:
    """Give the milliseconds of one picture, of its stages, and of ffmpeg where there is one."""
    best, stages = float("inf"), {}
    for _ in range(runs):
        with timed() as spent:
            began = time.process_time()
            frames.thumbnail(os.fsencode(path), WISH.width, WISH.image_format)
            taken = time.process_time() - began
        if taken < best:
            best, stages = taken, spent
    found: dict[str, Any] = {"milliseconds": round(best * 1e3, 2)}
    found["stages"] = {name: round(seconds * 1e3, 2) for name, seconds in stages.items()}
    if ffmpeg is not None:
        theirs = min(of_ffmpeg(ffmpeg, path, folder / "out.webp") for _ in range(runs))
        found |= {"ffmpeg_milliseconds": round(theirs * 1e3, 1), "ratio": round(theirs / best, 1)}
    return found


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Add up the processor time of each stage."""
    spent = dict.fromkeys(STAGES, 0.0)
    real = {name: getattr(frames, function) for name, function in STAGES.items()}
    for name, function in real.items():
        setattr(frames, STAGES[name], (_opening if name == "open" else _calling)(function, spent, name))
    try:
        yield spent
    finally:
        for name, function in real.items():
            setattr(frames, STAGES[name], function)


def _calling(function: Callable[..., Any], spent: dict[str, float], name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            spent[name] += time.process_time() - began

    return call


def _opening(function: Callable[..., Any], spent: dict[str, float], name: str) -> Callable[..., Any]:
    @contextmanager
    def call(*arguments: Any) -> Iterator[Any]:
        began = time.process_time()
        with function(*arguments) as container:
            spent[name] += time.process_time() - began
            yield container

    return call


def of_ffmpeg(program: str, path: Path, out: Path) -> float:
    """Give the processor time in seconds that ffmpeg takes for it."""
    words = FFMPEG.split()
    command = [word.format(at=0.4, path=path, width=WISH.width, out=out) for word in words]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([program, *command], check=True, stdin=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
