"""The programs that ours is measured against, each as its users run it."""

import argparse
import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tools.ffprobe import HOW_TO_GET_ONE, Ffprobe, find

AT_A_TIME = 2
"""Files examined at once, by ffprobe as by us."""
_BATCH = 8
"""Files a shell takes before it asks for more: few enough that both end at the same time."""
_FAILED = "FFPROBE SAID NOTHING"
_ASK_EACH = (
    'for file; do "$0" -v error -of json -show_format -show_streams -show_chapters "$file" 2>/dev/null '
    f"|| echo {_FAILED} >&2; done"
)
_PATIENCE = 600.0
"""Seconds after which a peer that says nothing is taken to be stuck."""


def add_ffprobe(parser: argparse.ArgumentParser) -> None:
    """Let the caller name the ffprobe."""
    parser.add_argument(
        "--ffprobe",
        default=os.environ.get("FFPROBE") or None,
        help="the ffprobe to compare with, best a static build (default: FFPROBE of the environment, then the PATH)",
    )


def add_ffmpeg(parser: argparse.ArgumentParser) -> None:
    """Let the caller name the ffmpeg."""
    parser.add_argument(
        "--ffmpeg",
        default=os.environ.get("FFMPEG") or shutil.which("ffmpeg"),
        help="the ffmpeg to compare with, best a static build (default: FFMPEG of the environment, then the PATH)",
    )


def ffprobe(args: argparse.Namespace) -> tuple[str, str]:
    """Give the path and the version of the ffprobe to measure.

    Raises:
        SystemExit: there is none; the message says how to get one.
    """
    try:
        program = find(args.ffprobe)
        return str(Path(shutil.which(program) or program).resolve()), Ffprobe(program, 30.0).version
    except FileNotFoundError as error:
        msg = f"{error} {HOW_TO_GET_ONE}"
        raise SystemExit(msg) from error


def ffmpeg(args: argparse.Namespace) -> tuple[str, str]:
    """Give the path and the version of the ffmpeg to measure.

    Raises:
        SystemExit: there is none; the message says how to get one.
    """
    program = shutil.which(args.ffmpeg) if args.ffmpeg else None
    if program is None:
        raise SystemExit(
            "There is no ffmpeg to compare with. On Debian and Ubuntu `apt install ffmpeg` brings one; "
            "`npm install @ffmpeg-installer/linux-x64` a static one. Name it with --ffmpeg."
        )
    first = subprocess.run([program, "-version"], check=True, capture_output=True, text=True).stdout.partition("\n")[0]
    return str(Path(program).resolve()), first.removeprefix("ffmpeg version ").partition(" Copyright")[0]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a peer over all files."""

    seconds: float
    processor_seconds: float
    files: int
    """Of which it said something: some builds of ffprobe crash over some containers, MiniDLNA passes over some."""


def run_ffprobe(program: str, files: Sequence[Path]) -> Run:
    """Ask ffprobe for all it knows of each file, two at a time."""
    command = ["xargs", "-0", "-n", str(_BATCH), "-P", str(AT_A_TIME), "sh", "-c", _ASK_EACH, program]
    names = b"\0".join(os.fsencode(path) for path in files)
    before, started = _of_children(), time.perf_counter()
    done = subprocess.run(command, input=names, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
    seconds, used = time.perf_counter() - started, _of_children() - before
    return Run(seconds, used, len(files) - done.stderr.count(_FAILED.encode()))


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Minidlna:
    """MiniDLNA's scan of one folder into a database of its own, without its server being known to anyone.

    Raises:
        SystemExit: it is not installed; the message says how to get it.
    """

    def __init__(self) -> None:
        program = shutil.which("minidlnad") or shutil.which("minidlnad", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise SystemExit(
                "There is no minidlnad to compare with. On Debian and Ubuntu `apt install minidlna` brings it. "
                "--without-minidlna measures the rest."
            )
        self._program = program
        said = subprocess.run([program, "-V"], check=False, capture_output=True, text=True)
        self.version = (said.stdout or said.stderr).strip().removeprefix("Version ")

    def scan(self, films: Path, data: Path) -> Run:
        """Scan a folder anew, from the start of the program to the end of its scan.

        Args:
            films: the folder.
            data: a folder for its database, which is made.
        """
        log = data / "log" / "minidlna.log"
        log.parent.mkdir(parents=True)
        log.touch()
        settings = data / "minidlna.conf"
        settings.write_text(
            f"media_dir=V,{films}\ndb_dir={data}/db\nlog_dir={data}/log\nnetwork_interface=lo\nport={_free_port()}\n"
            "inotify=no\nfriendly_name=benchmark\n"
        )
        started = time.perf_counter()
        process = subprocess.Popen(
            [self._program, "-R", "-S", "-f", str(settings), "-P", str(data / "pid")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        used: dict[int, float] = {}
        try:
            while "finished (" not in (text := log.read_text(errors="replace")):
                if time.perf_counter() - started > _PATIENCE or process.poll() is not None:
                    msg = f"minidlnad did not finish its scan: {text[-500:]}"
                    raise RuntimeError(msg)
                used |= _used(process.pid)  # it lets the process that scans go without asking what it took
                time.sleep(0.01)
            seconds = time.perf_counter() - started
        finally:
            process.terminate()
            process.wait(30)
        return Run(seconds, sum(used.values()), int(text.split("finished (")[1].split()[0]))


def _used(pid: int) -> dict[int, float]:
    """Give the processor time of a process and its children, each without its own children."""
    found = {}
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            found[each.pid] = sum(each.cpu_times()[:2])
    return found


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
