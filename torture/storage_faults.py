"""Let writes, syncs and reads of the databases fail while a client asks for scans; then look for what was lost.

usage: python -m torture.storage_faults [--faults 300] [--seed N] [--files 600] [--json OUT]

strace attaches to the running server, its worker or both and makes some of their system calls on the database files
fail: ENOSPC and EIO of a write, EIO of a sync or of a read; once, a few times, or all for a while. The
client meanwhile submits, cancels and reads: each request must be answered, by a success or by a problem document that
has a code and, where it is worth trying again, says when. Afterwards everything that was acknowledged must be there,
every job must end, with the error `STORAGE_…` at the worst, and a scan must give the catalogue of an undisturbed one.
At every other reckoning server and worker are killed first, so that they also start from what the faults left behind.
Failed reads come on top of FAULTS, since one of them is soon repeated many times.

SQLite only: a Postgres server's disk is its own matter. Where strace is missing or may not trace, this part is left
out, and says so.
"""

import sys
import time
from pathlib import Path

from torture import strace
from torture.engines import Engine
from torture.program import Arguments, run_part
from torture.reckoning import Figures, Stage
from torture.report import say

READ = "failed read"
KINDS = {
    "full disk": ("pwrite64,write,ftruncate,fallocate", "ENOSPC"),
    "failed write": ("pwrite64,write", "EIO"),
    "failed sync": ("fsync,fdatasync", "EIO"),
    READ: ("pread64,read", "EIO"),
}
WEIGHTS = (4, 4, 5, 1)
FILES = {
    "job records": ("jobs.db", "jobs.db-wal"),
    "catalogue": ("library.db", "library.db-wal"),
    "both": ("jobs.db", "jobs.db-wal", "library.db", "library.db-wal"),
}
FIRST_CALLS = 20
FEW_CALLS = 5
LONGEST_SECONDS = 2.0
EPISODES_A_CHECKPOINT = 20
CALM_SECONDS = 0.3
RIGHTLY_FAILED = frozenset({"STORAGE_ERROR", "STORAGE_FULL", "STORAGE_BUSY", "WORKER_DIED"})


class Faults:
    """Faults on a stage."""

    def __init__(self, stage: Stage, log: Path) -> None:
        self._stage = stage
        self._rng = stage.rng
        self._log = log

    def run(self, faults: int, *, episodes_a_checkpoint: int = EPISODES_A_CHECKPOINT) -> Figures:
        """Let so many calls fail, with a reckoning now and then; stops early where something is violated."""
        stage, figures = self._stage, self._stage.figures
        try:
            stage.start_until_ready()
            with stage.client:
                while self._failed() < faults and not figures.violations:
                    for _ in range(episodes_a_checkpoint):
                        if self._failed() < faults:
                            self._fail_some()
                            stage.change_tree()
                    stage.client.rest()
                    self._reckon()
                    stage.client.go_on()
        finally:
            stage.conclude()
        return figures

    def _failed(self) -> int:
        """Count what failed, but for reads."""
        return self._stage.figures.disturbances.total()

    def _fail_some(self) -> None:
        """Let one kind of fault happen to one choice of processes and files, for up to two seconds."""
        kind = self._rng.choices(list(KINDS), WEIGHTS)[0]
        calls, error = KINDS[kind]
        first = self._rng.randint(1, FIRST_CALLS) if self._rng.random() < 0.5 else 1
        last = None if self._rng.random() < 0.3 else first + self._rng.randrange(FEW_CALLS)
        where = self._rng.choice(list(FILES))
        files = [self._stage.data / name for name in FILES[where]]
        self._log.unlink(missing_ok=True)
        until = time.monotonic() + LONGEST_SECONDS * self._rng.random()
        try:
            with strace.failing(self._victims(), files, strace.Fault(calls, error, first, last), self._log):
                while time.monotonic() < until:
                    time.sleep(0.02)
        except ProcessLookupError:  # a worker that ended just then, by an earlier fault
            return
        failed = strace.injected(self._log)
        if kind == READ:
            self._stage.disturbed_besides(kind, failed)
        else:
            self._stage.disturbed(kind, failed)
        self._stage.figures.moments[f"episodes, {where}"] += bool(failed)
        time.sleep(CALM_SECONDS * self._rng.random())

    def _victims(self) -> list[int]:
        fleet = self._stage.fleet
        server, workers = fleet.server(), fleet.workers()
        choice = self._rng.choice(("server", "worker", "both"))
        found = [server] if server and (choice != "worker" or not workers) else []
        return [process.pid for process in (found + workers if choice != "server" else found)]

    def _reckon(self) -> None:
        stage = self._stage
        closing = stage.submit_whole()
        if self._rng.random() < 0.5:
            stage.fleet.kill("both")
            stage.start_until_ready()
        stage.reckon(closing)
        stage.start_until_ready()


def torture(
    engine: Engine, scratch: Path, *, faults: int, seed: int, files: int, episodes_a_checkpoint: int = 20
) -> Figures:
    """Let `faults` system calls fail; gives the figures, `violations` among them."""
    stage = Stage(engine, scratch, seed=seed, files=files, rightly_failed=RIGHTLY_FAILED, strict=True)
    return Faults(stage, scratch / "strace.log").run(faults, episodes_a_checkpoint=episodes_a_checkpoint)


def main() -> None:
    """Let calls fail, and print what came of it."""
    reason = strace.available()
    if reason is not None:
        say(f"Left out: storage faults, because {reason}.")
        sys.exit(0)

    def part(engine: Engine, scratch: Path, args: Arguments) -> Figures:
        return torture(engine, scratch, faults=args.times, seed=args.seed, files=args.files)

    run_part("faults", __doc__, part, times=300, files=600, counted="writes and syncs that fail; reads come on top")


if __name__ == "__main__":
    main()
