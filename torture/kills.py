"""Kill the program at random instants, again and again, while a client asks for scans; then look for what was lost.

usage: python -m torture.kills [--engine sqlite] [--kills 250] [--seed N] [--files 1200] [--workers 1] [--json OUT]

The real server and its worker run on a real tree of small clips. A client submits, cancels and reads all the time, and
the tree changes now and then. Meanwhile `kill -9` meets the server, a worker or both at once, which is one kill, at
instants drawn log-uniformly from the start of the server, from its readiness, from the beginning of a job, from the
moment when it examines files, or from its end. What died is started again at once. Now and then a probe process is
killed besides, which does not count among the KILLS. After every 25 kills comes a reckoning. When all jobs have ended,
half of the files get other content, scans of the whole tree are submitted, and the last five kills meet these; then all
is stopped in good order soon after one more was submitted, and started again. Then

- every job that was ever acknowledged must be known, and have ended within 60 s after the last restart, for good;
- every submit that carried an `Idempotency-Key` is sent again, and must name the job that it named before;
- the catalogue must be that of one undisturbed scan of the same tree into a new data directory, and so must the counts;
- every complete job's ledger must add up to its result, and the change feed, read from its start, to the catalogue;
- the databases must be sound by their own check, and no process may be left behind.

Prints what it does to stderr and, in the end, its figures as JSON and as a line for people. Exit status 1 where
anything was violated: then the data directory stays, and the same --seed draws the same kills again.
"""

import time
from contextlib import suppress
from pathlib import Path

import httpx2

from torture.engines import Engine
from torture.program import Arguments, run_part
from torture.reckoning import Figures, Stage

TARGETS = ("server", "worker", "both")
PROBE = "probe process"
A_PROBE = 0.22
"""How likely a probe process is killed before the next kill."""
MOMENTS = ("start", "ready", "job", "batch", "end")
MOMENT_WEIGHTS = (3, 2, 3, 4, 2)
LONGEST_DELAY = {"start": 2.0, "ready": 1.0, "job": 3.0, "batch": 2.0, "end": 0.1, "probe": 0.5}
SHORTEST_DELAY = 0.001
NEARLY_DONE = 0.9
MOMENT_SECONDS = 5.0
"""How long a moment is waited for; a queue that is empty has no job that could begin."""
KILLS_A_CHECKPOINT = 25
LAST_KILLS = 5
"""Of these, so many meet the scan that is compared afterwards."""
GIVEN_UP = "WORKER_DIED"
"""What becomes, rightly, of a job whose worker died three times under a living server before it had stored anything."""


class Kills:
    """Deaths on a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._fleet = stage.fleet
        self._rng = stage.rng

    def run(self, kills: int, *, kills_a_checkpoint: int, last_kills: int) -> Figures:
        """Kill so often, with a reckoning now and then and one at the end; stops early where something is violated."""
        stage, figures = self._stage, self._stage.figures
        try:
            stage.start()
            with stage.client:
                while figures.disturbances.total() < kills and not figures.violations:
                    until = min(kills, figures.disturbances.total() + kills_a_checkpoint)
                    while figures.disturbances.total() < until - last_kills:
                        self._kill_once(until - last_kills)
                        stage.change_tree()
                    stage.client.rest()
                    stage.reckon(*self._disturbed_last_scans(until), stage.stop_at_work())
                    stage.start()
                    stage.client.go_on()
        finally:
            stage.conclude()
        return figures

    def _disturbed_last_scans(self, until: int) -> list[str]:
        """Scan the whole tree, which does not change any more, and go on killing meanwhile; gives the scans.

        Before that everything is looked for after a scan that opens only what it takes for new. Half of the tree is
        then new to the first of the last scans, and no other job comes before it: a kill meets it with some of that
        stored and some not.
        """
        self._stage.await_all_ended()
        self._stage.look_for_all()
        self._stage.tree.renew(len(self._stage.tree.files()) // 2)
        closing = [self._stage.submit_whole()]
        while self._stage.figures.disturbances.total() < until:
            self._kill_once(until)
            closing.append(self._stage.submit_whole(force=self._rng.random() < 0.3))
        return closing

    def _kill_once(self, until: int) -> None:
        """Kill server, worker or both, perhaps a probe process before; the kills do not get more than `until`."""
        if self._rng.random() < A_PROBE:
            self._pause("probe")
            if self._fleet.kill("probe"):
                self._stage.disturbed_besides(PROBE)
        target = self._rng.choice(TARGETS)
        moment = self._rng.choices(MOMENTS, MOMENT_WEIGHTS)[0]
        self._pause(moment)
        # The start that was waited for may have been one that a kill brought about, and that the last.
        if self._stage.figures.disturbances.total() < until:
            self._kill(target, moment)

    def _pause(self, moment: str) -> None:
        """Wait for a moment, and then some time."""
        self._await(moment)
        longest = LONGEST_DELAY[moment]
        time.sleep(SHORTEST_DELAY * (longest / SHORTEST_DELAY) ** self._rng.random())

    def _kill(self, target: str, moment: str) -> None:
        if self._fleet.kill(target):
            self._stage.disturbed(target)
            self._stage.figures.moments[moment] += 1
            self._stage.start()

    def _await(self, moment: str) -> None:
        if moment == "start":
            # Of a server that has been there for a while, the start is a new one.
            if self._fleet.announced:
                self._kill("server", "ready")
            return
        if not self._fleet.ready():
            self._stage.start()
            return
        if moment == "ready":
            return
        until = time.monotonic() + MOMENT_SECONDS
        with suppress(httpx2.TransportError), self._fleet.calls(10).client as client:
            while time.monotonic() < until and not self._is_there(client, moment):
                time.sleep(0.005)

    def _is_there(self, client: httpx2.Client, moment: str) -> bool:
        """Tell whether a job runs: for `batch` one that has examined files, for `end` one that is about to end."""
        if moment == "probe":
            return bool(self._fleet.probes())
        running = client.get("/api/v1/jobs", params={"status": "running"}).json().get("jobs", [])
        if moment == "job":
            return bool(running)
        phases = [(job["progress_detail"] or {}).get("phase") for job in running]
        if moment == "batch":
            return "probe" in phases
        return "settle" in phases or any((job["progress"] or 0) > NEARLY_DONE for job in running)


def torture(
    engine: Engine,
    scratch: Path,
    *,
    kills: int,
    seed: int,
    files: int,
    workers: int = 1,
    kills_a_checkpoint: int = KILLS_A_CHECKPOINT,
    last_kills: int = LAST_KILLS,
) -> Figures:
    """Kill server, worker or both `kills` times; gives the figures, `violations` among them."""
    stage = Stage(engine, scratch, seed=seed, files=files, workers=workers, rightly_failed=frozenset({GIVEN_UP}))
    return Kills(stage).run(kills, kills_a_checkpoint=kills_a_checkpoint, last_kills=last_kills)


def main() -> None:
    """Kill, and print what came of it."""

    def part(engine: Engine, scratch: Path, args: Arguments) -> Figures:
        return torture(engine, scratch, kills=args.times, seed=args.seed, files=args.files, workers=args.workers)

    run_part("kills", __doc__, part, times=250, files=1200, counted="kills of the server, a worker or both at once")


if __name__ == "__main__":
    main()
