"""Kill the program at random instants, again and again, while a client asks for scans; then look for what was lost.

usage: python -m torture.kills [--engine sqlite] [--kills 250] [--seed N] [--files 1200] [--workers 1] [--json OUT]

The real server and its worker run on a real tree of small clips. A client submits, cancels and reads all the time, and
the tree changes now and then. Meanwhile `kill -9` meets the server, a worker, both at once or a probe process, at
instants drawn log-uniformly from the start of the server, from its readiness, from the beginning of a job or from its
end. What died is started again at once. After every 25 kills comes a reckoning: a last scan of the whole tree is
submitted and disturbed too, then

- every job that was ever acknowledged must be known, and have ended within 60 s after the last restart, for good;
- the catalogue must be that of one undisturbed scan of the same tree into a new data directory, and so must the counts;
- every complete job's ledger must add up to its result, and the change feed, read from its start, to the catalogue;
- the databases must be sound by their own check, and no process may be left behind.

Prints what it does to stderr and, in the end, its figures as JSON and as a line for people. Exit status 1 where
anything was violated: then the data directory stays, and the same --seed draws the same kills again.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.test_blackbox.program import Calls
from torture.audit import audit, catalogue_differences, shorten
from torture.client import Promises, RestlessClient
from torture.engines import Engine, open_engine
from torture.fleet import Fleet
from torture.report import percentile, publish, say
from torture.tree import LivingTree

TARGETS = ("server", "worker", "both", "probe")
TARGET_WEIGHTS = (3, 3, 3, 2)
MOMENTS = ("start", "ready", "job", "end")
MOMENT_WEIGHTS = (3, 2, 5, 2)
LONGEST_DELAY = {"start": 2.0, "ready": 1.0, "job": 3.0, "end": 0.1, "probe": 0.5}
SHORTEST_DELAY = 0.001
NEARLY_DONE = 0.9
MOMENT_SECONDS = 5.0
"""How long a moment is waited for; a queue that is empty has no job that could begin."""
KILLS_A_CHECKPOINT = 25
LAST_KILLS = 5
"""Of these, so many meet the scan that is compared afterwards."""
MOST_TERMINAL_SECONDS = 60.0
GIVE_UP_SECONDS = 300.0
GIVEN_UP = "WORKER_DIED"
"""What becomes, rightly, of a job whose worker died three times under a living server before it had stored anything."""
SET_ASIDE = "PROBE_CRASHED"
"""What becomes, rightly, of a file whose examination was killed twice."""


@dataclass
class Figures:
    """What a run counts."""

    kills: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    scans: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    acknowledged: int = 0
    joined: int = 0
    attempts: int = 0
    most_attempts: int = 0
    given_up: int = 0
    set_aside: int = 0
    tree_changes: int = 0
    checkpoints: int = 0
    catalogues_compared: int = 0
    videos_compared: int = 0
    terminal_seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Give them for the report."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "terminal_seconds"}
        waits = self.terminal_seconds or [0.0]
        return plain | {
            "terminal_after_restart_s": {"p50": round(percentile(waits, 0.5), 2), "max": round(max(waits), 2)},
        }


class Torture:
    """One run over one data directory below `scratch`."""

    def __init__(self, engine: Engine, scratch: Path, *, seed: int, files: int, workers: int) -> None:
        self._engine = engine
        self._scratch = scratch
        self._rng = random.Random(seed)
        self._tree = LivingTree(scratch / "films", files, random.Random(seed + 1))
        self._data = scratch / "data"
        self._workers = workers
        self._promises = Promises()
        self._fleet = self._new_fleet(self._data, workers)
        self.figures = Figures()
        self._client = RestlessClient(self._fleet, self._tree, self._promises, random.Random(seed + 2))

    def run(self, kills: int, *, kills_a_checkpoint: int = KILLS_A_CHECKPOINT, last_kills: int = LAST_KILLS) -> Figures:
        """Kill so often, with a reckoning now and then and one at the end; stops early where something is violated."""
        figures = self.figures
        try:
            self._start()
            with self._client:
                while figures.kills.total() < kills and not figures.violations:
                    until = min(kills, figures.kills.total() + kills_a_checkpoint)
                    while figures.kills.total() < until - last_kills:
                        self._kill_once()
                        self._change_tree()
                    self._client.rest()
                    self._check_point(last_kills if until > last_kills else 0)
                    self._client.go_on()
        finally:
            self._fleet.abandon()
        self._take_up_promises()
        return figures

    # Kills

    def _kill_once(self) -> None:
        target = self._rng.choices(TARGETS, TARGET_WEIGHTS)[0]
        moment = self._rng.choices(MOMENTS, MOMENT_WEIGHTS)[0]
        moment = "probe" if target == "probe" else moment
        self._await(moment)
        longest = LONGEST_DELAY[moment]
        time.sleep(SHORTEST_DELAY * (longest / SHORTEST_DELAY) ** self._rng.random())
        self._kill(target, moment)

    def _kill(self, target: str, moment: str) -> None:
        if self._fleet.kill(target):
            self.figures.kills[target] += 1
            self.figures.moments[moment] += 1
            self._start()

    def _await(self, moment: str) -> None:
        if moment == "start":
            # Of a server that has been there for a while, the start is a new one.
            if self._fleet.announced:
                self._kill("server", "ready")
            return
        if not self._fleet.ready():
            self._start()
            return
        if moment == "ready":
            return
        until = time.monotonic() + MOMENT_SECONDS
        with suppress(httpx2.TransportError), self._fleet.calls(10).client as client:
            while time.monotonic() < until and not self._is_there(client, moment):
                time.sleep(0.005)

    def _is_there(self, client: httpx2.Client, moment: str) -> bool:
        """Tell whether a job runs; for `end` whether one is about to end, for `probe` whether it examines files."""
        if moment == "probe":
            return bool(self._fleet.probes())
        running = client.get("/api/v1/jobs", params={"status": "running"}).json().get("jobs", [])
        if moment == "job":
            return bool(running)
        phases = [(job["progress_detail"] or {}).get("phase") for job in running]
        return "settle" in phases or any((job["progress"] or 0) > NEARLY_DONE for job in running)

    def _start(self) -> None:
        self._fleet.start()
        self.figures.starts += 1

    def _change_tree(self) -> None:
        if self._rng.random() < 0.5:
            self._tree.change()
            self.figures.tree_changes += 1

    # Reckoning

    def _check_point(self, last_kills: int) -> None:
        figures = self.figures
        closing = self._submit_last(last_kills)
        waited = self._all_terminal()
        figures.terminal_seconds.append(waited)
        if waited > MOST_TERMINAL_SECONDS:
            figures.violations.append(f"it took {waited:.1f} s after the restart until all jobs had ended")
        with self._fleet.calls().client as client:
            calls = Calls(client)
            self._check_records(calls)
            last, disturbed = self._whole_scan(calls, closing), calls.catalogue()
        figures.violations += self._fleet.stop()
        figures.violations += shorten(audit(self._engine, self._data, self._complete()))
        self._compare(last, disturbed)
        figures.violations += shorten(self._promises.violations)
        self._promises.violations.clear()
        figures.checkpoints += 1
        self._tell(waited)
        self._start()

    def _submit_last(self, last_kills: int) -> str:
        """Submit a scan of the whole tree, which does not change any more, and go on killing meanwhile."""
        closing = self._submit_whole()
        for number in range(last_kills):
            self._kill_once()
            closing = self._submit_whole(force=number % 2 == 1)
        return closing

    def _submit_whole(self, **options: bool) -> str:
        while True:
            if not self._fleet.ready():
                self._start()
                continue
            with self._fleet.calls().client as client:
                job_id = Calls(client).submit(self._tree.root, **options)
            self._promises.kinds.setdefault(job_id, "whole")
            return job_id

    def _all_terminal(self) -> float:
        """Wait until every acknowledged job has ended; gives the seconds since the last start."""
        while not self._fleet.ready():
            self._start()
        with self._fleet.calls(90).client as client:
            for job_id in self._promises.open_jobs():
                record = self._ended(client, job_id)
                if record is not None:
                    self._promises.note(record)
        return time.monotonic() - self._fleet.started_at

    def _ended(self, client: httpx2.Client, job_id: str) -> dict[str, Any] | None:
        until = time.monotonic() + GIVE_UP_SECONDS
        while True:
            answer = client.get(f"/api/v1/jobs/{job_id}/wait", params={"timeout": 10})
            if answer.status_code != 200:
                self.figures.violations.append(f"the acknowledged job {job_id} is lost: {answer.text}")
                return None
            record: dict[str, Any] = answer.json()
            if record["finished_at"]:
                return record
            if time.monotonic() > until:
                self.figures.violations.append(f"the acknowledged job {job_id} does not end: {record}")
                return None

    def _check_records(self, calls: Calls) -> None:
        """Every acknowledged job is there, has ended as it did when it was first seen, and for a reason."""
        for job_id in list(self._promises.kinds):
            answer = calls.client.get(f"/api/v1/jobs/{job_id}")
            if answer.status_code != 200:
                self.figures.violations.append(f"the acknowledged job {job_id} is lost: {answer.text}")
                continue
            record = answer.json()
            self._promises.note(record)
            if record["status"] in ("failed", "timeout") and record["error_code"] != GIVEN_UP:
                self.figures.violations.append(f"a job ended that should not have: {record}")
            if job_id in self._promises.cancels and not record["cancel_requested"]:
                self.figures.violations.append(f"an acknowledged cancel is forgotten: {record}")
            # A cancel whose answer was cut off may have been recorded nevertheless.
            if record["status"] == "cancelled" and not record["cancel_requested"]:
                self.figures.violations.append(f"a job was cancelled that nobody cancelled: {record}")

    def _whole_scan(self, calls: Calls, closing: str) -> dict[str, Any]:
        """Give the last scan's record; of another one, where that was given up or a file was set aside."""
        record = calls.job(closing)
        aside = self._set_aside(calls, closing)
        self.figures.set_aside += len(aside)
        if 2 * self.figures.set_aside > self.figures.kills["probe"] + self.figures.kills["worker"]:
            self.figures.violations.append(f"more files were set aside than can have been killed twice: {aside}")
        if record["status"] != "complete" or aside:
            closing = self._submit_whole(force=True)
            record = calls.finish(closing, GIVE_UP_SECONDS)
            self._promises.note(record)
        return record

    def _set_aside(self, calls: Calls, job_id: str) -> list[str]:
        failed = calls.ledger(job_id, outcome="failed")
        return [row["path"] for row in failed if row["code"] == SET_ASIDE]

    def _compare(self, closing: dict[str, Any], disturbed: dict[str, dict[str, Any]]) -> None:
        """Hold the catalogue and the last scan's counts against those of an undisturbed scan."""
        figures, data = self.figures, self._scratch / f"undisturbed {self.figures.checkpoints}"
        fleet = self._new_fleet(data, 1)
        fleet.start()
        try:
            fleet.ready()
            with fleet.calls(180).client as client:
                result = Calls(client).scan(self._tree.root)
                undisturbed = Calls(client).catalogue()
        finally:
            figures.violations += fleet.stop()
        figures.violations += shorten(catalogue_differences(disturbed, undisturbed, self._tree.files()))
        for name in ("scanned", "failed", "skipped"):
            if closing["status"] != "complete" or closing["result"][name] != result[name]:
                figures.violations.append(f"{name}: {result[name]} undisturbed, but of the last scan {closing}")
        figures.catalogues_compared += 1
        figures.videos_compared += len(undisturbed)
        if not figures.violations:
            shutil.rmtree(data)

    def _complete(self) -> dict[str, dict[str, Any]]:
        ended = self._promises.ended.items()
        return {job_id: record["result"] for job_id, record in ended if record["status"] == "complete"}

    def _new_fleet(self, data: Path, workers: int) -> Fleet:
        data.mkdir(parents=True, exist_ok=True)
        log = self._scratch / f"{data.name}.log"
        return Fleet(data, log, self._engine.environment(data), workers=workers, rng=self._rng)

    def _take_up_promises(self) -> None:
        figures, promises = self.figures, self._promises
        records = promises.ended.values()
        figures.violations += shorten(promises.violations)
        figures.acknowledged, figures.joined, figures.answers = len(promises.kinds), promises.joined, promises.answers
        figures.scans.update(promises.kinds.values())
        figures.statuses.update(record["status"] for record in records)
        figures.attempts = sum(record["attempt"] for record in records)
        figures.most_attempts = max((record["attempt"] for record in records), default=0)
        figures.given_up = sum(record["error_code"] == GIVEN_UP for record in records)

    def _tell(self, waited: float) -> None:
        figures = self.figures
        say(
            f"{figures.kills.total()} kills {dict(figures.kills)}, {len(self._promises.kinds)} jobs acknowledged, "
            f"all ended {waited:.1f} s after the restart, {len(figures.violations)} violations"
        )


def torture(
    engine: Engine, scratch: Path, *, kills: int, seed: int, files: int, workers: int = 1, **pace: int
) -> Figures:
    """Kill the program `kills` times; gives the figures, `violations` among them."""
    return Torture(engine, scratch, seed=seed, files=files, workers=workers).run(kills, **pace)


def main() -> None:
    """Kill, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--kills", type=int, default=250)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--files", type=int, default=1200)
    parser.add_argument("--workers", type=int, default=1, help="the server's own one included")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    args = parser.parse_args()
    say(f"seed {args.seed}")
    scratch = Path(tempfile.mkdtemp(prefix="stoat-kills-"))
    with open_engine(args.engine) as engine:
        figures = torture(engine, scratch, kills=args.kills, seed=args.seed, files=args.files, workers=args.workers)
    facts = figures.to_json() | {"engine": args.engine, "seed": args.seed, "files": args.files}
    sentence = (
        f"{figures.kills.total()} kills, {figures.acknowledged} jobs acknowledged, {figures.catalogues_compared} "
        f"catalogues compared, slowest end {max(figures.terminal_seconds, default=0):.1f} s after a restart, "
        f"{len(figures.violations)} violations"
    )
    publish("kills", sentence, facts, args.json)
    if figures.violations:
        sys.exit(f"kept: {scratch}; the same again: --seed {args.seed}")
    shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
