"""Give the probe damaged files by the ten thousand: nothing but probe processes may die, and each death is counted.

usage: python -m torture.fuzz [--mutants 50000] [--seed N] [--samples DIR] [--keep DIR] [--json OUT]
       python -m torture.fuzz --seed N --only NUMBER --keep DIR      one mutant again
       python -m torture.fuzz --replay FILE [FILE ...]               files as they are

The mutants are made of our own clips and of other projects' samples, if these are there, by `torture.mutators`; the
seed and the number decide what a mutant is. They are written to memory (a tmpfs) where there is one, examined by the
real pool in a process of its own, the supervisor, and a third of the videos is thumbnailed too. This must hold:

- the supervisor lives, and says what came of each mutant, once;
- each outcome comes within the deadline of what may have had to be examined before it, twice, and the machine's slack;
- its code is one that the content of a file can have, and what was found out can be stored;
- each death of a probe process is put down to a mutant, and every process that was replaced is accounted for;
- no process takes more memory than its limit, and the supervisor's grows by at most 64 MiB.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from torture.fuzz_supervisor import Death, Errand, Farewell, Limits, Verdict, supervise
from torture.mutants import SAMPLES, Mutant, mutants, own_clips, replayed, sample_files
from torture.report import percentile, publish, say

AT_ONCE = 32
"""Mutants that lie on disk and are known to the supervisor."""
SLACK_SECONDS = 10.0
"""How much later than promised an outcome may come, on a machine that does other things too."""
GROWTH_BYTES = 64 << 20
WARM = 200
"""Outcomes after which the supervisor has all that it needs."""
MOST_SUPERVISORS = 20
_TELL_SECONDS = 10.0


@dataclass(slots=True)
class Figures:
    """What came of it."""

    mutants: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    pictures: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    """Of the pool's processes, by how."""
    picture_deaths: int = 0
    """Of the process that makes thumbnails."""
    deadly: set[int] = field(default_factory=set)
    """Mutants that a process died of at least once."""
    retired: int = 0
    """Processes that ended themselves, short of memory, after their answer."""
    restarts: int = 0
    supervisor_deaths: int = 0
    seconds: list[float] = field(default_factory=list)
    picture_seconds: list[float] = field(default_factory=list)
    supervisor_first_bytes: int = 0
    supervisor_most_bytes: int = 0
    worker_most_bytes: int = 0
    worker_most_address_space: int = 0
    violations: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Give the figures, times as percentiles."""
        return {
            "mutants": self.mutants,
            "outcomes": dict(self.codes.most_common()),
            "thumbnails": dict(self.pictures.most_common()),
            "worker_deaths": dict(self.deaths.most_common()),
            "thumbnail_deaths": self.picture_deaths,
            "mutants_that_killed": sorted(self.deadly),
            "processes_retired": self.retired,
            "processes_replaced": self.restarts,
            "supervisor_deaths": self.supervisor_deaths,
            "outcome_ms": _milliseconds(self.seconds),
            "thumbnail_ms": _milliseconds(self.picture_seconds),
            "supervisor_mib": [self.supervisor_first_bytes >> 20, self.supervisor_most_bytes >> 20],
            "worker_most_mib": self.worker_most_bytes >> 20,
            "worker_most_address_space_mib": self.worker_most_address_space >> 20,
            "violations": self.violations,
        }


def _milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    parts = {"p50": 0.5, "p99": 0.99, "most": 1.0}
    return {name: round(percentile(seconds, part) * 1000, 1) for name, part in parts.items()} if seconds else {}


class Fuzz:
    """One run: mutants go to a supervisor, verdicts come back, and what does not fit is a violation."""

    def __init__(self, limits: Limits, stage: Path, kept: Path) -> None:
        self.figures = Figures()
        self._limits, self._stage, self._kept = limits, stage, kept
        self._under_way: dict[int, tuple[Mutant, Path]] = {}
        # At worst all that the pool holds has to be ended, twice, one after the other.
        self._latest = 2 * limits.deadline_seconds * limits.workers * limits.queue_depth + SLACK_SECONDS

    def run(self, source: Iterator[Mutant], count: int) -> Figures:
        """Examine every mutant; starts another supervisor where one died."""
        began, more = time.monotonic(), True
        while more:
            more = self._with_supervisor(source, count, began)
            if self.figures.supervisor_deaths >= MOST_SUPERVISORS:
                self.figures.violations.append("supervisors die all the time; given up")
                break
        if self.figures.mutants != count:
            self.figures.violations.append(f"{count} mutants, but {self.figures.mutants} outcomes")
        deaths, figures = self.figures.deaths.total(), self.figures
        if not figures.supervisor_deaths and figures.restarts != deaths + figures.retired:
            figures.violations.append(
                f"{figures.restarts} processes replaced, but {deaths} died over a mutant and {figures.retired} retired"
            )
        return figures

    def _with_supervisor(self, source: Iterator[Mutant], count: int, began: float) -> bool:
        """Work with one supervisor until all is done (False) or it dies (True)."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=supervise, args=(theirs, self._limits), daemon=True)
        process.start()
        theirs.close()
        watch = MemoryWatch(process.pid or 0, self.figures)
        try:
            with watch:
                self._exchange(ours, source, count, began, watch)
        except (EOFError, OSError, TimeoutError) as error:
            process.kill()
            process.join()
            self._bury_supervisor(f"{error or 'its pipe ended'}, status {process.exitcode}")
            return True
        finally:
            ours.close()
        process.join(SLACK_SECONDS)
        if process.exitcode != 0:
            process.kill()
            self._bury_supervisor(f"at its end, status {process.exitcode}")
        return False

    def _exchange(
        self, pipe: Connection, source: Iterator[Mutant], count: int, began: float, watch: "MemoryWatch"
    ) -> None:
        told, heard, finished = began, time.monotonic(), False
        while True:
            for mutant in islice(source, max(0, AT_ONCE - len(self._under_way))):
                pipe.send(self._set_out(mutant))
            if not self._under_way and not finished:
                pipe.send(None)
                finished = True
            if pipe.poll(1.0):
                message, heard = pipe.recv(), time.monotonic()
                if isinstance(message, Farewell):
                    self.figures.restarts += message.restarts
                    return
                self._take_down(*message)
                if self.figures.mutants >= WARM:
                    watch.warm = True
            if (now := time.monotonic()) - told > _TELL_SECONDS:
                told = now
                rate = self.figures.mutants / (now - began)
                say(f"{self.figures.mutants} of {count} mutants, {rate:.0f}/s, {self.figures.deaths.total()} deaths")
            if now - heard > self._latest + self._limits.deadline_seconds * AT_ONCE:
                raise TimeoutError("it says nothing any more")

    def _set_out(self, mutant: Mutant) -> Errand:
        path = self._stage / f"{mutant.number:06}-mutant{mutant.suffix}"
        path.write_bytes(mutant.content)
        self._under_way[mutant.number] = mutant, path
        return Errand(mutant.number, bytes(path), mutant.picture)

    def _take_down(self, verdicts: list[Verdict], deaths: list[Death]) -> None:
        figures = self.figures
        for death in deaths:
            figures.deaths[death.how] += 1
            if death.number is None:
                figures.violations.append(f"a process died over nothing: {death.how}")
            else:
                figures.deadly.add(death.number)
                self._keep(death.number)
        for verdict in verdicts:
            self._count(verdict)

    def _count(self, verdict: Verdict) -> None:
        figures, amiss = self.figures, list(verdict.amiss)
        latest_picture = self._limits.deadline_seconds + SLACK_SECONDS
        if verdict.seconds > self._latest or verdict.picture_seconds > latest_picture:
            amiss.append(f"late: {verdict.seconds:.1f} s, thumbnail {verdict.picture_seconds:.1f} s")
        figures.mutants += 1
        figures.codes[verdict.code] += 1
        figures.retired += verdict.retired
        figures.seconds.append(verdict.seconds)
        if verdict.picture_code is not None:
            figures.pictures[verdict.picture_code] += 1
            figures.picture_seconds.append(verdict.picture_seconds)
        if verdict.picture_death:
            figures.picture_deaths += 1
            figures.deadly.add(verdict.number)
        if amiss or verdict.picture_death or verdict.retired:
            self._keep(verdict.number)
        mutant, path = self._under_way.pop(verdict.number, (None, None))
        origin = mutant.origin if mutant is not None else "?"
        figures.violations += [f"mutant {verdict.number} ({origin}): {problem}" for problem in amiss]
        if path is not None:
            path.unlink()

    def _keep(self, number: int) -> None:
        if number in self._under_way:
            mutant, path = self._under_way[number]
            with suppress(FileNotFoundError):
                shutil.copyfile(path, self._kept / path.name)
            with (self._kept / "origins.txt").open("a") as file:
                file.write(f"{path.name}: {mutant.origin}\n")

    def _bury_supervisor(self, how: str) -> None:
        numbers = sorted(self._under_way)
        for number in numbers:
            self._keep(number)
            self._under_way.pop(number)[1].unlink()
        self.figures.supervisor_deaths += 1
        self.figures.violations.append(f"the supervisor died ({how}) over one of the mutants {numbers}")


class MemoryWatch:
    """Looks a few times a second at what memory the supervisor and its processes take."""

    def __init__(self, pid: int, figures: Figures) -> None:
        self.warm = False
        self._pid, self._figures = pid, figures
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        figures = self._figures
        while not self._stop.wait(0.2):
            with suppress(psutil.Error):
                supervisor = psutil.Process(self._pid)
                if self.warm:
                    resident = supervisor.memory_info().rss
                    figures.supervisor_first_bytes = figures.supervisor_first_bytes or resident
                    figures.supervisor_most_bytes = max(figures.supervisor_most_bytes, resident)
                for child in supervisor.children(recursive=True):
                    resident, space = _peaks(child.pid)
                    figures.worker_most_bytes = max(figures.worker_most_bytes, resident)
                    figures.worker_most_address_space = max(figures.worker_most_address_space, space)


def _peaks(pid: int) -> tuple[int, int]:
    """Give the most memory and the most address space a process ever had, in bytes; zeros for one that is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        resident, space = (int(status.partition(f"{name}:")[2].split(maxsplit=1)[0]) for name in ("VmHWM", "VmPeak"))
    except (OSError, ValueError, IndexError):
        return 0, 0
    return resident << 10, space << 10


def torture(source: Iterator[Mutant], count: int, limits: Limits, stage: Path, kept: Path) -> Figures:
    """Examine mutants.

    Args:
        source: of the mutants, `count` of them.
        limits: for one file and one process.
        stage: a folder to put the mutants in while they are examined, best in memory.
        kept: a folder for those that killed a process or broke a promise.

    Returns:
        The figures, `violations` among them.
    """
    figures = Fuzz(limits, stage, kept).run(source, count)
    if figures.worker_most_address_space > limits.memory_bytes:
        figures.violations.append(f"a process had {figures.worker_most_address_space} bytes of address space")
    if (growth := figures.supervisor_most_bytes - figures.supervisor_first_bytes) > GROWTH_BYTES:
        figures.violations.append(f"the supervisor grew by {growth >> 20} MiB")
    return figures


def stage_folder() -> Path:
    """Make a folder in memory, or where there is no tmpfs, among the temporary files."""
    memory = Path("/dev/shm")  # noqa: S108 - a new folder of an unguessable name in it
    return Path(tempfile.mkdtemp(prefix="stoat-fuzz-", dir=memory if os.access(memory, os.W_OK) else None))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--samples", type=Path, default=SAMPLES, help=f"media files of others (default: {SAMPLES})")
    parser.add_argument("--only", type=int, help="make and examine the mutant of this number alone")
    parser.add_argument("--replay", type=Path, nargs="+", help="examine these files as they are")
    parser.add_argument("--keep", type=Path, help="where to keep mutants that killed a process or broke a promise")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--deadline", type=float, default=10.0, help="seconds for one file")
    parser.add_argument("--memory-mib", type=int, default=2048, help="address space of one process")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    return parser.parse_args()


def _source(args: argparse.Namespace, clips: Path) -> tuple[Iterator[Mutant], int, dict[str, Any]]:
    """Give the mutants, how many they are, and what they come of."""
    if args.replay:
        return replayed(args.replay), len(args.replay), {"replayed": len(args.replay)}
    own, samples = own_clips(clips), sample_files(args.samples)
    numbers = range(args.mutants) if args.only is None else [args.only]
    origins = [*own, *samples]
    corpus = sha256(b"".join(path.read_bytes() for path in origins)).hexdigest()[:12]
    facts = {"seed": args.seed, "own_clips": len(own), "samples": len(samples), "corpus": corpus}
    say(f"fuzz: seed {args.seed}, {len(own)} clips of our own and {len(samples)} samples (corpus {corpus})")
    return mutants(origins, args.seed, numbers), len(numbers), facts


def main() -> None:
    """Fuzz, and print what came of it; status 1 where something was violated."""
    args = _arguments()
    limits = Limits(args.workers, 2, args.deadline, args.memory_mib << 20)
    stage, scratch = stage_folder(), Path(tempfile.mkdtemp(prefix="stoat-fuzz-"))
    kept = args.keep or scratch / "kept"
    kept.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    try:
        source, count, facts = _source(args, scratch)
        figures = torture(source, count, limits, stage, kept)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    seconds = time.monotonic() - began
    facts |= {
        "workers": args.workers,
        "deadline_seconds": args.deadline,
        "memory_limit_mib": args.memory_mib,
        "minutes": round(seconds / 60, 1),
        "mutants_per_second": round(count / seconds, 1),
    }
    publish("fuzz", sentence(figures, seconds), figures.to_json() | facts, args.json)
    if figures.violations:
        sys.exit(f"kept: {kept}; one of them again: --replay FILE, or --seed {args.seed} --only NUMBER")
    shutil.rmtree(scratch, ignore_errors=True)


def sentence(figures: Figures, seconds: float) -> str:
    """Tell a person."""
    deaths = figures.deaths.total() + figures.picture_deaths
    return (
        f"{figures.mutants} mutants in {seconds / 60:.1f} min ({figures.mutants / seconds:.0f}/s), "
        f"{figures.pictures.total()} thumbnails, {deaths} deaths of probe processes over "
        f"{len(figures.deadly)} mutants, {figures.supervisor_deaths} of the supervisor, slowest outcome "
        f"{max(figures.seconds, default=0):.1f} s, largest probe process {figures.worker_most_bytes >> 20} MiB, "
        f"{len(figures.violations)} violations"
    )


if __name__ == "__main__":
    main()
