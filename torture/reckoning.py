"""The stage of every part: the program, its tree and its restless client; and the reckoning, when all must add up."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from tests.test_blackbox.program import Calls
from torture.audit import audit, catalogue_differences, shorten
from torture.client import Promises, RestlessClient
from torture.engines import Engine
from torture.fleet import Fleet
from torture.report import percentile, say
from torture.tree import SETTLE_SECONDS, LivingTree

MOST_TERMINAL_SECONDS = 60.0
GIVE_UP_SECONDS = 300.0
MOST_AT_WORK_SECONDS = 1.5
"""How far into a scan an orderly stop may fall."""
SET_ASIDE = ("PROBE_CRASHED", "PROBE_TIMEOUT")
"""What becomes, rightly, of a file whose examination was ended twice."""


@dataclass
class Figures:
    """What a run counts."""

    disturbances: Counter[str] = field(default_factory=Counter)
    """What was asked for, and"""
    besides: Counter[str] = field(default_factory=Counter)
    """what came on top of it."""
    moments: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    acknowledged: int = 0
    joined: int = 0
    keyed_submits: int = 0
    """Submits that carried an `Idempotency-Key`, each key counted once,"""
    keyed_repeats: int = 0
    """how often one of them was sent again and answered,"""
    keyed_repeats_after_restart: int = 0
    """and how often that was by a server that had been started since."""
    scans: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    most_attempts: int = 0
    set_aside: int = 0
    tree_changes: int = 0
    young_met: int = 0
    """Files that scans met while these counted as being written, or within two seconds after."""
    catalogues_compared: int = 0
    videos_compared: int = 0
    terminal_seconds: list[float] = field(default_factory=list)
    stop_seconds: list[float] = field(default_factory=list)
    """How long orderly stops of servers and workers took."""
    answers: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    @property
    def slowest_end(self) -> float:
        """The longest time, in seconds, from the last disturbance or restart until all jobs had ended."""
        return max(self.terminal_seconds, default=0.0)

    @property
    def slowest_stop(self) -> float:
        """The longest time, in seconds, that an orderly stop of a server or a worker took."""
        return max(self.stop_seconds, default=0.0)

    def to_json(self) -> dict[str, Any]:
        """Give them for the report."""
        spread = {"terminal_seconds": "terminal_after_restart_s", "stop_seconds": "orderly_stop_s"}
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in spread}
        return plain | {told: _half_and_all(getattr(self, name)) for name, told in spread.items()}


def _half_and_all(seconds: Sequence[float]) -> dict[str, float]:
    values = seconds or [0.0]
    return {"p50": round(percentile(values, 0.5), 2), "max": round(max(values), 2)}


def _was_young(row: dict[str, Any]) -> bool:
    """Tell whether a file of a ledger was as young as can be when its outcome was noted."""
    try:
        written = Path(row["path"]).stat().st_mtime
    except OSError:
        return False
    return 0 <= datetime.fromisoformat(row["at"]).timestamp() - written <= SETTLE_SECONDS + 2


class Stage:
    """A program with its data below `scratch`, a tree, and a client.

    Args:
        engine: where its databases lie.
        scratch: an empty folder.
        seed: from which all that is drawn follows.
        files: clips in the tree at first.
        workers: processes that run jobs, the server's own one included.
        rightly_failed: error codes with which a job may end under what is tried here.
        strict: the server is never killed, so every request must be answered.
    """

    def __init__(
        self,
        engine: Engine,
        scratch: Path,
        *,
        seed: int,
        files: int,
        workers: int = 1,
        rightly_failed: frozenset[str] = frozenset(),
        strict: bool = False,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.rng = random.Random(seed)
        self.tree = LivingTree(scratch / "films", files, random.Random(seed + 1))
        self.data = scratch / "data"
        self.figures = Figures()
        self.promises = Promises()
        self._engine, self._scratch, self._environment = engine, scratch, environment or {}
        self.fleet = self._new_fleet(self.data, workers)
        self.client = RestlessClient(self.fleet, self.tree, self.promises, random.Random(seed + 2), strict=strict)
        self._rightly_failed = rightly_failed
        self._disturbed_at = time.monotonic()
        self._looked_into: set[str] = set()

    def start(self) -> None:
        """Start what is not running."""
        self.fleet.start()
        self.figures.starts += 1

    def start_until_ready(self) -> None:
        """Start until the server takes requests."""
        self.start()
        while not self.fleet.ready():
            self.start()

    def disturbed(self, how: str, times: int = 1) -> None:
        """Count what was done to the program just now."""
        self.figures.disturbances[how] += times
        self._disturbed_at = time.monotonic()

    def disturbed_besides(self, how: str, times: int = 1) -> None:
        """Count what was done besides what was asked for."""
        self.figures.besides[how] += times
        self._disturbed_at = time.monotonic()

    def stop_at_work(self) -> str:
        """End all in good order soon after a scan of the whole tree was submitted; gives that: it must go on later."""
        while True:
            self.start_until_ready()
            if self.fleet.all_at_work():
                break
        job_id = self.submit_whole(force=True)
        time.sleep(MOST_AT_WORK_SECONDS * self.rng.random())
        self.figures.violations += self._stopped(self.fleet)
        return job_id

    def change_tree(self) -> None:
        """Every other time, change the tree."""
        if self.rng.random() < 0.5:
            self.tree.change()
            self.figures.tree_changes += 1

    def submit_whole(self, **options: bool) -> str:
        """Submit a scan of the whole tree, none of it being written; gives its id, which counts as acknowledged."""
        self.tree.await_written()
        while True:
            self.start_until_ready()
            try:
                with self.fleet.calls().client as client:
                    job_id = Calls(client).submit(self.tree.root, **options)
            except httpx2.TransportError:  # what was killed a moment ago still answered
                continue
            with self.promises.lock:
                self.promises.kinds.setdefault(job_id, "force" if options.get("force") else "whole")
            return job_id

    def reckon(self, *closing: str) -> None:
        """Hold everything against what must be. The client rests.

        Args:
            closing: scans of the whole tree that were acknowledged since the tree changed last, in order.
        """
        figures = self.figures
        waited = self.await_all_ended()
        with self.fleet.calls().client as client:
            calls = Calls(client)
            self._repeat_keyed_submits(calls.client)
            self._check_records(calls)
            whole = self._whole_scans(calls, closing)
            disturbed = calls.catalogue()
        figures.violations += self._stopped(self.fleet)
        figures.violations += shorten(audit(self._engine, self.data, self._complete()))
        self._compare(whole, disturbed)
        figures.violations += shorten(self.promises.violations)
        self.promises.violations.clear()
        self.tree.settled()
        say(
            f"{figures.disturbances.total()} times {dict(figures.disturbances)}, besides {dict(figures.besides)}, "
            f"{len(self.promises.kinds)} jobs acknowledged, "
            f"all ended {waited:.1f} s after the last of it, {len(figures.violations)} violations"
        )

    def look_for_all(self) -> None:
        """Every video on the disk is in the list: what a scan lost, no forced one may have found again by chance."""
        job_id = self.submit_whole()
        with self.fleet.calls(90).client as client:
            if (record := self._ended(client, job_id)) is not None:
                self.promises.note(record)
        with self.fleet.calls().client as client:
            calls = Calls(client)
            listed = {video["path"] for video in calls.videos() if video["state"] == "available"}
            self._count_young(calls)
        lost = {str(path) for path in self.tree.good_files()} - listed
        self.figures.violations += shorten([f"lost: {path}" for path in sorted(lost)])

    def _count_young(self, calls: Calls) -> None:
        """Count the files that the scans since the last time took in as soon as they were old enough."""
        for job_id, record in self.promises.ended.items():
            if record["status"] == "complete" and job_id not in self._looked_into:
                self._looked_into.add(job_id)
                rows = [row for outcome in ("new", "updated") for row in calls.ledger(job_id, outcome=outcome)]
                self.figures.young_met += sum(_was_young(row) for row in rows)

    def conclude(self) -> Figures:
        """End everything, and give the figures."""
        self.fleet.abandon()
        figures, promises = self.figures, self.promises
        records = promises.ended.values()
        figures.violations += shorten(promises.violations)
        figures.acknowledged, figures.joined, figures.answers = len(promises.kinds), promises.joined, promises.answers
        keys = promises.keys
        figures.keyed_submits, figures.keyed_repeats = len(keys.submits), keys.repeats
        figures.keyed_repeats_after_restart = keys.repeats_after_restart
        figures.scans.update(promises.kinds.values())
        figures.statuses.update(record["status"] for record in records)
        figures.failures.update(record["error_code"] for record in records if record["error_code"])
        figures.attempts = sum(record["attempt"] for record in records)
        figures.most_attempts = max((record["attempt"] for record in records), default=0)
        return figures

    def await_all_ended(self) -> float:
        """Wait until every acknowledged job has ended; gives the seconds since the last start or disturbance."""
        self.start_until_ready()
        with self.fleet.calls(90).client as client:
            for job_id in self.promises.open_jobs():
                record = self._ended(client, job_id)
                if record is not None:
                    self.promises.note(record)
        waited = time.monotonic() - max(self.fleet.started_at, self._disturbed_at)
        self.figures.terminal_seconds.append(waited)
        if waited > MOST_TERMINAL_SECONDS:
            self.figures.violations.append(f"it took {waited:.1f} s until all jobs had ended")
        return waited

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

    def _repeat_keyed_submits(self, client: httpx2.Client) -> None:
        """Every key that was answered with a job is answered with it again, now that this has ended too."""
        for submit in self.promises.keys.with_a_job():
            self.client.send(client, submit)

    def _stopped(self, fleet: Fleet) -> list[str]:
        trouble = fleet.stop()
        self.figures.stop_seconds += fleet.stop_seconds
        fleet.stop_seconds.clear()
        return trouble

    def _check_records(self, calls: Calls) -> None:
        """Every acknowledged job is there, has ended as it did when it was first seen, and for a reason."""
        violations = self.figures.violations
        for job_id in list(self.promises.kinds):
            answer = calls.client.get(f"/api/v1/jobs/{job_id}")
            if answer.status_code != 200:
                violations.append(f"the acknowledged job {job_id} is lost: {answer.text}")
                continue
            record = answer.json()
            self.promises.note(record)
            if record["status"] in ("failed", "timeout") and record["error_code"] not in self._rightly_failed:
                violations.append(f"a job ended that should not have: {record}")
            if job_id in self.promises.cancels and not record["cancel_requested"]:
                violations.append(f"an acknowledged cancel is forgotten: {record}")
            # A cancel whose answer was cut off may have been recorded nevertheless.
            if record["status"] == "cancelled" and not record["cancel_requested"]:
                violations.append(f"a job was cancelled that nobody cancelled: {record}")

    def _whole_scans(self, calls: Calls, closing: Sequence[str]) -> list[dict[str, Any]]:
        """Give the last scans that are complete; with another one, where none is or a file was set aside."""
        failed = calls.ledger(closing[-1], outcome="failed")
        aside = [row["path"] for row in failed if row["code"] in SET_ASIDE]
        self.figures.set_aside += len(aside)
        if 2 * self.figures.set_aside > self.figures.disturbances.total() + self.figures.besides.total():
            self.figures.violations.append(f"more files were set aside than can have been killed twice: {aside}")
        records = [] if aside else [calls.job(job_id) for job_id in dict.fromkeys(closing)]
        if not records or records[-1]["status"] != "complete":
            records.append(calls.finish(self.submit_whole(force=True), GIVE_UP_SECONDS))
            self.promises.note(records[-1])
        return [record for record in records if record["status"] == "complete"]

    def _compare(self, whole: list[dict[str, Any]], disturbed: dict[str, dict[str, Any]]) -> None:
        """Hold the catalogue and the last scans' counts against those of an undisturbed scan."""
        figures, data = self.figures, self._scratch / f"undisturbed {self.figures.catalogues_compared}"
        fleet = self._new_fleet(data, 1)
        fleet.start()
        try:
            fleet.ready()
            with fleet.calls(180).client as client:
                job_id = Calls(client).submit(self.tree.root)
                result = Calls(client).finish(job_id, GIVE_UP_SECONDS)["result"]
                undisturbed = Calls(client).catalogue()
        finally:
            figures.violations += self._stopped(fleet)
        figures.violations += shorten(catalogue_differences(disturbed, undisturbed, self.tree.files()))
        if not whole:
            figures.violations.append("no scan of the whole tree came to its end")
        for name in ("scanned", "failed", "skipped"):
            wrong = [record for record in whole if record["result"][name] != result[name]]
            figures.violations += [f"{name}: {result[name]} undisturbed, but {record}" for record in wrong]
        figures.catalogues_compared += 1
        figures.videos_compared += len(undisturbed)
        if not figures.violations:
            shutil.rmtree(data)

    def _complete(self) -> dict[str, dict[str, Any]]:
        ended = self.promises.ended.items()
        return {job_id: record["result"] for job_id, record in ended if record["status"] == "complete"}

    def _new_fleet(self, data: Path, workers: int) -> Fleet:
        data.mkdir(parents=True, exist_ok=True)
        settling = {"STOAT_SETTLE_SECONDS": str(SETTLE_SECONDS)}
        environment = {**settling, **self._environment, **self._engine.environment(data)}
        return Fleet(data, self._scratch / f"{data.name}.log", environment, workers=workers, rng=self.rng)
