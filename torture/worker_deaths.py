"""Let workers and probe processes die in every way while they scan; every file must be accounted for all the same.

usage: python -m torture.worker_deaths [--deaths 200] [--seed N] [--files 2500] [--json OUT]

One scan after another examines the whole tree anew. Meanwhile a worker or a probe process is killed, crashes (SIGSEGV),
is stopped for good (SIGSTOP) or finds no more memory (its limit is set to what it has). Each scan must then have an
outcome for every file of the tree, once, and a file may only have failed if the processes that examined it were ended
twice. Leases and deadlines are short, so that what hangs is found out soon. After every five scans all is held against
an undisturbed scan, as `torture.kills` does it.
"""

import resource
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.test_blackbox.program import TERMINAL, Calls
from torture.engines import Engine
from torture.fleet import heard
from torture.program import Arguments, run_part
from torture.reckoning import GIVE_UP_SECONDS, SET_ASIDE, Figures, Stage

DEATHS = {"killed": signal.SIGKILL, "crashed": signal.SIGSEGV, "stopped": signal.SIGSTOP, "no memory": None}
DEATH_WEIGHTS = (5, 4, 1, 2)
TARGETS = ("worker", "probe")
TARGET_WEIGHTS = (1, 5)
SHORTEST_DELAY, LONGEST_DELAY = 0.01, 1.0
SCANS_A_CHECKPOINT = 5
MOST_DEATHS_A_SCAN = 12
GIVEN_UP = "WORKER_DIED"
ENVIRONMENT = {
    "STOAT_LEASE_SECONDS": "2",
    "STOAT_LEASE_RENEW_SECONDS": "0.4",
    "STOAT_PROBE_TIMEOUT_SECONDS": "4",
}


class Deaths:
    """Deaths of those who work, on a stage whose server lives."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._rng = stage.rng

    def run(self, deaths: int, *, scans_a_checkpoint: int = SCANS_A_CHECKPOINT) -> Figures:
        """Let so many die, with a reckoning now and then; stops early where something is violated."""
        stage, figures = self._stage, self._stage.figures
        try:
            stage.start_until_ready()
            stage.reckon(stage.submit_whole())
            while figures.disturbances.total() < deaths and not figures.violations:
                stage.start_until_ready()
                for _ in range(scans_a_checkpoint):
                    if figures.disturbances.total() < deaths:
                        self._disturb_scan()
                stage.reckon(stage.submit_whole())
                stage.change_tree()
        finally:
            stage.conclude()
        return figures

    def _disturb_scan(self) -> None:
        job_id = self._stage.submit_whole(force=True)
        until = time.monotonic() + GIVE_UP_SECONDS
        left = MOST_DEATHS_A_SCAN
        with self._stage.fleet.calls().client as client:
            calls = Calls(client)
            while (job := calls.job(job_id))["status"] not in TERMINAL:
                time.sleep(SHORTEST_DELAY * (LONGEST_DELAY / SHORTEST_DELAY) ** self._rng.random())
                left -= left > 0 and self._let_die(client)
                if time.monotonic() > until:
                    self._stage.figures.violations.append(f"a scan does not end: {job}")
                    return
            if job["error_code"] != GIVEN_UP:
                self._account(calls, job)

    def _let_die(self, client: httpx2.Client) -> bool:
        target = self._rng.choices(TARGETS, TARGET_WEIGHTS)[0]
        kind = self._rng.choices(list(DEATHS), DEATH_WEIGHTS)[0]
        hit = False
        for victim in self._stage.fleet.victims(target):
            # One that is stopped while it starts is found out too, but only after a minute, which is all that jobs get.
            if (target, kind) == ("worker", "stopped") and victim.pid not in heard(client):
                continue
            with suppress(psutil.Error, ProcessLookupError):
                number = DEATHS[kind]
                if number is not None:
                    victim.send_signal(number)
                else:
                    limit = victim.memory_info().vms
                    resource.prlimit(victim.pid, resource.RLIMIT_AS, (limit, limit))
                hit = True
                self._stage.disturbed(f"{target} {kind}")
        return hit

    def _account(self, calls: Calls, job: dict[str, Any]) -> None:
        """Every file of the tree must have been examined, or have failed for a reason that fits what was done."""
        violations = self._stage.figures.violations
        if job["status"] != "complete":
            violations.append(f"a scan ended that should not have: {job}")
            return
        rows = {row["path"]: row for row in calls.ledger(job["job_id"])}
        files = {str(path) for path in self._stage.tree.files()}
        violations += [f"{path} has no outcome in {job['job_id']}" for path in sorted(files - rows.keys())]
        result = job["result"]
        if result["scanned"] + result["skipped"] != len(files):
            violations.append(f"{len(files)} files, but {result}")
        good = {str(path) for path in self._stage.tree.good_files()}
        for path in sorted(good & rows.keys()):
            row = rows[path]
            if row["outcome"] == "failed" and row["code"] in SET_ASIDE:
                self._stage.figures.set_aside += 1
            elif row["outcome"] not in ("new", "updated", "restored"):
                violations.append(f"{path} is a good file, but {row}")


def torture(
    engine: Engine,
    scratch: Path,
    *,
    deaths: int,
    seed: int,
    files: int,
    scans_a_checkpoint: int = SCANS_A_CHECKPOINT,
) -> Figures:
    """Let `deaths` processes die; gives the figures, `violations` among them."""
    rightly_failed = frozenset({GIVEN_UP})
    stage = Stage(engine, scratch, seed=seed, files=files, rightly_failed=rightly_failed, environment=ENVIRONMENT)
    return Deaths(stage).run(deaths, scans_a_checkpoint=scans_a_checkpoint)


def main() -> None:
    """Let processes die, and print what came of it."""

    def part(engine: Engine, scratch: Path, args: Arguments) -> Figures:
        return torture(engine, scratch, deaths=args.times, seed=args.seed, files=args.files)

    run_part("deaths", __doc__, part, times=200, files=2500, counted="deaths of workers and probe processes")


if __name__ == "__main__":
    main()
