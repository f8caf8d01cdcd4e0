"""Let thousands of probe processes die while they examine files; every file has one outcome, and the right one.

usage: python -m torture.probe_deaths [--deaths 2000] [--seed N] [--files 400] [--json OUT]

A pool, as a scan uses it, examines a tree of small clips over and over. Meanwhile a process of it is killed, crashes
(SIGSEGV), is stopped for good (SIGSTOP; its file's deadline is a second here) or finds no more memory (its limit is set
to what it has), after pauses drawn log-uniformly. Each file must come back exactly once in each round: examined, as it
was without any death, or set aside because a process died of it twice. Told besides: how long it takes until as many
processes are ready again as before, of those that end at once, where none was still being started.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from stoat_ferret.media.pool import ProbeOutcome, ProbePool, ProbeTask
from tools.trees import make_tree
from torture.report import percentile, publish, say

DEATHS = {"killed": signal.SIGKILL, "crashed": signal.SIGSEGV, "stopped": signal.SIGSTOP, "no memory": None}
DEATH_WEIGHTS = (50, 40, 2, 8)
AT_ONCE = ("killed", "crashed")
SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 0.5
DEADLINE_SECONDS = 1.0
LOOK_SECONDS = 0.001
SET_ASIDE = ("PROBE_CRASHED", "PROBE_TIMEOUT")


class Deaths:
    """Deaths in one pool, and what becomes of its files."""

    def __init__(self, pool: ProbePool, files: list[bytes], rng: random.Random) -> None:
        self._pool = pool
        self._files = files
        self._rng = rng
        self._expected: dict[int, tuple[str | None, Any]] = {}
        self._next_death = 0.0
        self._struck: set[int] = set()
        self.deaths: Counter[str] = Counter()
        self.examined = 0
        self.set_aside: Counter[str] = Counter()
        self.respawns: list[float] = []
        self.violations: list[str] = []

    def learn(self) -> None:
        """Examine every file without disturbance."""
        for outcome in self._round():
            if outcome.error is not None:
                self.violations.append(f"{outcome.task.path!r} cannot be examined at all: {outcome.error}")
            self._expected[outcome.task.key] = (outcome.fingerprint, outcome.info)

    def run(self, deaths: int) -> None:
        """Examine them again and again until so many processes have died."""
        while self.deaths.total() < deaths and not self.violations:
            seen: Counter[int] = Counter()
            self._next_death = time.monotonic()
            for outcome in self._round(deaths):
                seen[outcome.task.key] += 1
                self._check(outcome)
            wrong = {key: seen[key] for key in range(len(self._files)) if seen[key] != 1}
            self.violations += [f"{self._files[key]!r} has {count} outcomes" for key, count in wrong.items()]

    def _round(self, deaths: int = 0) -> Iterator[ProbeOutcome]:
        waiting = list(enumerate(self._files))
        self._rng.shuffle(waiting)
        while waiting or self._pool.outstanding:
            while waiting and self._pool.room:
                self._pool.submit(ProbeTask(*waiting.pop()))
            yield from self._pool.wait(LOOK_SECONDS)
            if self.deaths.total() < deaths and time.monotonic() >= self._next_death:
                yield from self._let_one_die()

    def _let_one_die(self) -> list[ProbeOutcome]:
        spread = LONGEST_PAUSE / SHORTEST_PAUSE
        self._next_death = time.monotonic() + SHORTEST_PAUSE * spread ** self._rng.random()
        ready = processes(self._pool)
        living = [pid for pid in ready if pid not in self._struck]  # what died a moment ago is still taken for alive
        if not living:
            return []
        (kind,) = self._rng.choices(list(DEATHS), DEATH_WEIGHTS)
        victim = self._rng.choice(living)
        spare = self._pool._spare.ready
        died = time.monotonic()
        if not strike(victim, kind):
            return []
        self._struck.add(victim)
        self.deaths[kind] += 1
        return self._await_respawn(len(ready), victim, died) if kind in AT_ONCE and spare else []

    def _await_respawn(self, count: int, victim: int, died: float) -> list[ProbeOutcome]:
        outcomes: list[ProbeOutcome] = []
        while victim in (here := processes(self._pool)) or len(here) < count:
            outcomes += self._pool.wait(LOOK_SECONDS)
            if not self._pool.outstanding:
                return outcomes  # nobody looks after processes while there is nothing to do
        self.respawns.append(time.monotonic() - died)
        return outcomes

    def _check(self, outcome: ProbeOutcome) -> None:
        if outcome.error is not None and outcome.error.code in SET_ASIDE:
            self.set_aside[outcome.error.code] += 1
        elif (outcome.fingerprint, outcome.info) != self._expected[outcome.task.key] or outcome.error is not None:
            self.violations.append(f"{outcome.task.path!r} came back as {outcome.error or outcome.info}")
        else:
            self.examined += 1


def processes(pool: ProbePool) -> list[int]:
    """Give the ids of the processes that are in service and ready."""
    return [seat.worker.process.pid for seat in pool._seats if seat.worker.ready]


def strike(pid: int, kind: str) -> bool:
    """Have a process die; False where it was gone already."""
    with suppress(ProcessLookupError, psutil.Error):
        if (number := DEATHS[kind]) is not None:
            os.kill(pid, number)
        else:
            limit = psutil.Process(pid).memory_info().vms
            resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
        return True
    return False


def torture(scratch: Path, *, deaths: int, seed: int, files: int) -> dict[str, Any]:
    """Let `deaths` processes die; gives the figures, `violations` among them."""
    make_tree(scratch / "tree", files)
    clips = sorted(bytes(path) for path in (scratch / "tree").rglob("*.mp4"))
    with ProbePool(workers=2, deadline_seconds=DEADLINE_SECONDS) as pool:
        run = Deaths(pool, clips, random.Random(seed))
        run.learn()
        run.run(deaths)
        restarts = pool.restarts
    respawns = run.respawns or [0.0]
    return {
        "deaths": dict(run.deaths),
        "restarts": restarts,
        "files": files,
        "examined": run.examined,
        "set_aside": dict(run.set_aside),
        "respawn_ms": {
            name: round(percentile(respawns, part) * 1e3, 1) for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1))
        },
        "respawns_measured": len(run.respawns),
        "violations": run.violations[:100],
    }


def main() -> None:
    """Let processes die, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deaths", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    args = parser.parse_args()
    say(f"probe deaths: seed {args.seed}")
    scratch = Path(tempfile.mkdtemp(prefix="stoat-probe-deaths-"))
    began = time.monotonic()
    figures = torture(scratch, deaths=args.deaths, seed=args.seed, files=args.files)
    shutil.rmtree(scratch, ignore_errors=True)
    figures |= {"seed": args.seed, "minutes": round((time.monotonic() - began) / 60, 1)}
    sentence = (
        f"{sum(figures['deaths'].values())} deaths, {figures['examined']} files examined as without any, "
        f"{sum(figures['set_aside'].values())} set aside, replaced within {figures['respawn_ms']['p50']} ms (p50), "
        f"{figures['respawn_ms']['p99']} ms (p99), {len(figures['violations'])} violations"
    )
    publish("probe deaths", sentence, figures, args.json)
    if figures["violations"]:
        sys.exit(f"The same again: --seed {args.seed}")


if __name__ == "__main__":
    main()
