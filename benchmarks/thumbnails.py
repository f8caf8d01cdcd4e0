"""A thumbnail of a 1080p H.264 film against `ffmpeg -skip_frame nokey`, in turn.

usage: thumbnails.py [--film FILE] [--runs 15] [--ffmpeg PROGRAM]

Ours is taken as a browser takes it: over HTTP, 320 pixels wide, from a server that has never made it (its cache is
emptied each time). Beside it stand the picture alone, as the process that makes it is asked for it, and ffmpeg, which
takes the film's first picture and so is spared the search; once more with the search for the same place as ours. Warm
cache. Without `--film` one of 20 seconds is made, which takes some seconds.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks import _corpus, _peers
from benchmarks._harness import Server, publish, scratch, serve
from stoat_ferret.media.grabber import FrameGrabber
from tools.clips import AudioTrack, Clip, make_clip

WIDTH = 320
SECONDS = 20
MADE = Clip(
    size=(1920, 1080), rate=25, frames=25 * SECONDS, key_interval=50, audio=(AudioTrack(),), quality={"crf": "18"}
)


def over_http(server: Server, cache: Path, video: str) -> float:
    """Ask for a picture that has to be made; gives seconds."""
    shutil.rmtree(cache, ignore_errors=True)
    started = time.perf_counter()
    answer = server.client.get(f"/api/v1/videos/{video}/thumbnail", params={"width": WIDTH}).raise_for_status()
    seconds = time.perf_counter() - started
    assert answer.content.startswith(b"\xff\xd8"), answer.headers
    return seconds


def by_process(grabber: FrameGrabber, film: Path) -> float:
    """Ask the process that makes pictures; gives seconds."""
    started = time.perf_counter()
    grabber.thumbnail(os.fsencode(film), WIDTH, "jpeg")
    return time.perf_counter() - started


def by_ffmpeg(program: str, film: Path, out: Path, *search: str) -> float:
    """Have ffmpeg make a picture; gives seconds."""
    command = [program, "-v", "error", "-nostdin", "-y", *search, "-skip_frame", "nokey", "-i", str(film)]
    started = time.perf_counter()
    subprocess.run([*command, "-frames:v", "1", "-vf", f"scale={WIDTH}:-2", str(out)], check=True)
    return time.perf_counter() - started


def measure(film: Path, program: str, runs: int) -> dict[str, Any]:
    """Take turns over the only film in a folder; gives medians in milliseconds, and ratios."""
    seconds: dict[str, list[float]] = {"http": [], "process": [], "ffmpeg": [], "ffmpeg_search": []}
    with scratch() as folder, serve(folder / "data") as server, FrameGrabber() as grabber:
        server.finish(server.scan(film.parent))
        cache, out = folder / "data" / "thumbnails", folder / "peer.jpg"
        [video] = [each["id"] for each in server.client.get("/api/v1/videos").json()["videos"]]
        duration = float(server.client.get(f"/api/v1/videos/{video}").json()["duration"])
        over_http(server, cache, video)
        by_process(grabber, film)
        for _ in range(runs):
            seconds["http"].append(over_http(server, cache, video))
            seconds["process"].append(by_process(grabber, film))
            seconds["ffmpeg"].append(by_ffmpeg(program, film, out))
            seconds["ffmpeg_search"].append(by_ffmpeg(program, film, out, "-ss", f"{duration / 10:.3f}"))
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    return {
        **{f"{name}_ms": round(each * 1000, 1) for name, each in medians.items()},
        "to_ffmpeg": round(medians["ffmpeg"] / medians["http"], 2),
        "process_to_ffmpeg": round(medians["ffmpeg"] / medians["process"], 2),
        "to_ffmpeg_search": round(medians["ffmpeg_search"] / medians["http"], 2),
        "runs": runs,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--film", type=Path, help="the film; without: one that is made")
    parser.add_argument("--runs", type=int, default=15)
    _peers.add_ffmpeg(parser)
    args = parser.parse_args()
    program, version = _peers.ffmpeg(args)
    with scratch() as folder:
        film = folder / "film.mp4"
        if args.film is None:
            make_clip(film, MADE)
            os.utime(film, (_corpus.LONG_AGO, _corpus.LONG_AGO))
        else:
            film = film.with_suffix(args.film.suffix)
            _corpus.link_or_copy(args.film, film)  # alone in its folder, which is scanned
        figures = measure(film, program, args.runs) | {"ffmpeg": version, "film_mib": film.stat().st_size >> 20}
    sentence = (
        f"{figures['http_ms']} ms over HTTP, {figures['to_ffmpeg']} times as fast as ffmpeg -skip_frame nokey "
        f"({figures['ffmpeg_ms']} ms)"
    )
    publish("thumbnails", sentence, figures)


if __name__ == "__main__":
    main()
