"""A first scan against ffprobe, two at a time, and against MiniDLNA, over the same films, in turn.

usage: probing.py [--corpus DIR | --files 1000] [--runs 5] [--ffprobe PROGRAM] [--without-minidlna]

Three ratios of medians, all "times as fast":

- a first scan, all fields, into the database, by the server with 2 processes that examine files, from the answered
  submit to the job's end, against `ffprobe -show_format -show_streams -show_chapters` over the same files, two at a
  time;
- the same in files a second against those of MiniDLNA, which stores 8 fields and passes over what it does not know;
- a first scan and then the job that makes a thumbnail of every film, from the answered submit of the one to the end of
  the other, against MiniDLNA, which makes none.

Each run starts from an empty catalogue, with a server that has been started, as MiniDLNA and ffprobe are not; all are
warm: the films lie in the page cache. `processor_ms_a_file` is what other programs on the machine disturb least
(all processes together, the start of those that examine files included). Where MiniDLNA or ffprobe is not
there, it says how to get it. With the films that it makes, about two minutes.
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import _corpus, _peers
from benchmarks._harness import Server, processor_seconds, publish, scratch, serve


@dataclass(frozen=True, slots=True)
class Scan:
    """One first scan, and then a thumbnail of everything."""

    seconds: float
    job_seconds: float
    processor_seconds: float
    """Of the server, its worker and the processes that examine files, without the thumbnails."""
    new: int
    with_thumbnails_seconds: float
    thumbnails: int


def scan(films: Path, data: Path) -> Scan:
    """Scan films into an empty catalogue, then make all thumbnails."""
    with serve(data, STOAT_PROBE_WORKERS=str(_peers.AT_A_TIME)) as server:
        (data / "nothing").mkdir()
        server.finish(server.scan(data / "nothing"))  # the worker is up; processes that examine files are not
        process = psutil.Process(server.process.pid)
        before, started = processor_seconds(process), time.perf_counter()
        result = server.finish(server.scan(films))["result"]
        seconds, used = time.perf_counter() - started, processor_seconds(process) - before
        asked_at = time.perf_counter()
        made = thumbnails(server)
        shown = seconds + time.perf_counter() - asked_at
        return Scan(seconds, result["duration_seconds"], used, result["new"], shown, made)


def thumbnails(server: Server) -> int:
    """Have a thumbnail made of every video; gives how many there are."""
    asked = server.client.post("/api/v1/videos/thumbnails", json={}).raise_for_status()
    return int(server.finish(asked.json()["job_id"])["result"]["made"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _corpus.add_arguments(parser, files=1000)
    _peers.add_ffprobe(parser)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--without-minidlna", action="store_true", help="leave MiniDLNA out")
    args = parser.parse_args()
    program, version = _peers.ffprobe(args)
    dlna = None if args.without_minidlna else _peers.Minidlna()
    # What each run wrote stays until the end: ext4 searches past the inodes of files that were removed within the last
    # minutes, which made the next run's pictures several times as slow to keep.
    with _corpus.chosen(args) as folder, scratch() as written:
        files = _corpus.films(folder)
        _corpus.warm(files)
        ours: list[Scan] = []
        probes: list[_peers.Run] = []
        theirs: list[_peers.Run] = []
        for run in range(args.runs):
            probes.append(_peers.run_ffprobe(program, files))
            ours.append(scan(folder, _made(written / f"ours {run}")))
            if dlna is not None:
                theirs.append(dlna.scan(folder, _made(written / f"theirs {run}")))
        size = sum(path.stat().st_size for path in files)
    figures, sentence = said(len(files), ours, probes, theirs)
    figures |= {"corpus_mib": round(size / 2**20), "ffprobe": version, "runs": args.runs}
    if dlna is not None:
        figures["minidlna"] = dlna.version
    publish("probing", sentence, figures)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def said(
    count: int, ours: list[Scan], probes: list[_peers.Run], theirs: list[_peers.Run]
) -> tuple[dict[str, Any], str]:
    """Turn the measurements into figures and a sentence."""
    rate = count / statistics.median(run.seconds for run in ours)
    shown = count / statistics.median(run.with_thumbnails_seconds for run in ours)
    probe = count / statistics.median(run.seconds for run in probes)
    figures: dict[str, Any] = {
        "files": count,
        "new": ours[-1].new,
        "files_a_second": round(rate, 1),
        "job_files_a_second": round(count / statistics.median(run.job_seconds for run in ours), 1),
        "processor_ms_a_file": round(statistics.median(run.processor_seconds for run in ours) / count * 1000, 2),
        "seconds": [round(run.seconds, 3) for run in ours],
        "thumbnails": ours[-1].thumbnails,
        "with_thumbnails_files_a_second": round(shown, 1),
        "ffprobe_files": probes[-1].files,
        "ffprobe_files_a_second": round(probe, 1),
        "ffprobe_processor_ms_a_file": round(
            statistics.median(run.processor_seconds for run in probes) / count * 1000, 2
        ),
        "ffprobe_seconds": [round(run.seconds, 3) for run in probes],
        "to_ffprobe": round(rate / probe, 2),
    }
    sentence = f"a first scan of {count} files is {rate / probe:.1f} times as fast as ffprobe, two at a time"
    if theirs:
        files = theirs[-1].files
        dlna = files / statistics.median(run.seconds for run in theirs)
        figures |= {
            "minidlna_files": files,
            "minidlna_files_a_second": round(dlna, 1),
            "minidlna_processor_ms_a_file": round(
                statistics.median(run.processor_seconds for run in theirs) / files * 1000, 2
            ),
            "minidlna_seconds": [round(run.seconds, 3) for run in theirs],
            "to_minidlna": round(rate / dlna, 2),
            "with_thumbnails_to_minidlna": round(shown / dlna, 2),
        }
        sentence += (
            f", {rate / dlna:.1f} times as fast as MiniDLNA, and with thumbnails {shown / dlna:.2f} times as fast as "
            "MiniDLNA without"
        )
    return figures, sentence


if __name__ == "__main__":
    main()
