"""Make the demo library: some two dozen small clips such as people have, in folders such as people keep.

    python tools/demo_clips.py OUT

Clips that exist are left alone. Among them are what real collections hold too: a copy, a transfer that broke off, a web
page that was saved as a video, a recording without a picture.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import clips
from tools.demo_library import COPY, DEMOS, NO_VIDEO, NO_VIDEO_TEXT, Demo


def make_library(out: Path) -> int:
    """Make what is not there yet, a line for each; the number of files made."""
    missing = [demo for demo in DEMOS if not (out / demo.path).exists()]
    total = len(missing) + sum(not (out / path).exists() for path in (COPY[1], NO_VIDEO))
    if not total:
        return 0
    made = 0
    # Fresh processes: encoders keep threads, which a fork would leave behind.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), spawn, _leave_interrupts_to_parent) as pool:
        try:
            for made, future in enumerate(as_completed(_submit(pool, missing, out)), 1):
                _say(made, total, out, future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for path, text in ((COPY[1], None), (NO_VIDEO, NO_VIDEO_TEXT)):
        if not (out / path).exists():
            made += 1
            _make_oddity(out, path, text)
            _say(made, total, out, path)
    return made


def _submit(pool: Executor, demos: list[Demo], out: Path) -> list[Future[str]]:
    largest_first = sorted(demos, key=lambda demo: -demo.clip.frames * demo.clip.size[0] * demo.clip.size[1])
    return [pool.submit(make_demo, demo, out) for demo in largest_first]


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def make_demo(demo: Demo, out: Path) -> str:
    """Encode one clip under another name and give it its own when it is whole; returns its path below `out`."""
    target = out / demo.path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    when = datetime.fromisoformat(demo.filmed).replace(tzinfo=UTC)
    clip = replace(demo.clip, tags={"creation_time": when.isoformat()} | demo.clip.tags)
    with mock.patch.object(clips, "picture", demo.scene.draw):
        clips.make_clip(part, clip)
    if demo.keep < 1:
        clips.truncate(part, demo.keep)
    os.utime(part, (when.timestamp(), when.timestamp()))
    part.rename(target)
    return demo.path


ODDITY_TIME = datetime(2024, 2, 29, tzinfo=UTC).timestamp()
"""Long ago: what is no video and was written just now may be a copy that goes on, and is looked at again."""


def _make_oddity(out: Path, path: str, text: str | None) -> None:
    target = out / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        shutil.copy2(out / COPY[0], target)
    else:
        target.write_text(text, encoding="utf-8")
        os.utime(target, (ODDITY_TIME, ODDITY_TIME))


def _say(number: int, total: int, out: Path, path: str) -> None:
    print(f"{number:3}/{total}  {(out / path).stat().st_size / 1000:4.0f} kB  {path}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a small video library to try the program on.")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to make it in")
    out: Path = parser.parse_args().out
    started = time.monotonic()
    try:
        made = make_library(out)
    except KeyboardInterrupt:
        sys.exit("Stopped; the same command goes on from here.")
    except OSError as error:
        sys.exit(f"The demo clips could not be written: {error}")
    print(f"{made} files made in {time.monotonic() - started:.0f} s" if made else f"{out} is complete")


if __name__ == "__main__":
    main()
