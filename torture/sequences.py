"""Random sequences of what may happen to a tree, each scan's catalogue held against what a person would expect.

usage: python -m torture.sequences [--sequences 2000] [--obstacles 500] [--steps 25] [--seed N] [--json FILE]

The model is that of `tests/unit/scan/test_model.py`: files written, edited, replaced, renamed, swapped, copied,
removed; folders moved, taken away and brought back; scans whole, in part, forced, dry, or cut off at any of their
transactions. OBSTACLES more sequences are those of `test_model_obstacles.py`, in which disks are mounted, unmounted and
put in each other's places besides, and folders and files may not be read for a while (on Linux only). A sequence that
finds a difference is made as short as it can be and printed, and the program fails.
"""

import argparse
import random
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from stoat_ferret.jobs.model import Job
from tests.unit.scan.test_model import Library
from tests.unit.scan.test_model_obstacles import Obstructed
from torture.report import publish, say

SAY_EVERY = 100


class Count:
    """What was tried."""

    sequences = 0
    scans = 0


def counted(machine: type[Library]) -> type[Library]:
    """Give a machine that counts what it tries."""

    class Counted(machine):  # type: ignore[misc, valid-type]  # a base that is given
        def __init__(self) -> None:
            super().__init__()
            Count.sequences += 1
            if Count.sequences % SAY_EVERY == 0:
                say(f"{Count.sequences} sequences, {Count.scans} scans")
            scan = self.stage.scan

            def count(*arguments: Any, **options: Any) -> Job:
                Count.scans += 1
                job: Job = scan(*arguments, **options)
                return job

            setattr(self.stage, "scan", count)  # noqa: B010 - a method, to a type checker

    return Counted


def try_out(machine: type[Library], sequences: int, steps: int, chosen: int) -> None:
    """Draw sequences for a machine, from a seed; raises what one of them found."""
    if not sequences:
        return
    tried = settings(
        max_examples=sequences,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        verbosity=Verbosity.normal,
        suppress_health_check=list(HealthCheck),
    )
    # `seed` marks the class; the machine raises what a sequence found.
    run_state_machine_as_test(seed(chosen)(counted(machine)), settings=tried)


def main() -> None:
    """Try sequences, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--obstacles", type=int, default=500)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    chosen = random.randrange(1 << 32) if args.seed is None else args.seed
    say(f"seed {chosen}")
    started = time.monotonic()
    for machine, sequences in ((Library, args.sequences), (Obstructed, args.obstacles)):
        try_out(machine, sequences, args.steps, chosen)
    figures = {
        "sequences": Count.sequences,
        "steps_at_most": args.steps,
        "scans": Count.scans,
        "seed": chosen,
        "seconds": round(time.monotonic() - started),
    }
    publish("sequences", f"{Count.sequences} sequences with {Count.scans} scans, no difference", figures, args.json)


if __name__ == "__main__":
    main()
