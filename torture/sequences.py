"""Random sequences of what may happen to a tree, each scan's catalogue held against what a person would expect.

usage: python -m torture.sequences [--sequences 2000] [--steps 25] [--seed N] [--json FILE]

The model is that of `tests/unit/scan/test_model.py`: files written, edited, replaced, renamed, swapped, copied,
removed; folders moved, taken away and brought back; scans whole, in part, forced, dry, or cut off at any of their
transactions. A sequence that finds a difference is made as short as it can be and printed, and the program fails.
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
from torture.report import publish, say

SAY_EVERY = 100


class Counted(Library):
    """Counts what is tried."""

    sequences = 0
    scans = 0

    def __init__(self) -> None:
        super().__init__()
        Counted.sequences += 1
        if Counted.sequences % SAY_EVERY == 0:
            say(f"{Counted.sequences} sequences, {Counted.scans} scans")
        scan = self.stage.scan

        def counted(*arguments: Any, **options: Any) -> Job:
            Counted.scans += 1
            return scan(*arguments, **options)

        setattr(self.stage, "scan", counted)  # noqa: B010 - a method, to a type checker


def main() -> None:
    """Try sequences, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    chosen = random.randrange(1 << 32) if args.seed is None else args.seed
    say(f"seed {chosen}")
    started = time.monotonic()
    tried = settings(
        max_examples=args.sequences,
        stateful_step_count=args.steps,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        verbosity=Verbosity.normal,
        suppress_health_check=list(HealthCheck),
    )
    # `seed` marks the class; the machine raises what a sequence found.
    run_state_machine_as_test(seed(chosen)(Counted), settings=tried)
    figures = {
        "sequences": Counted.sequences,
        "steps_at_most": args.steps,
        "scans": Counted.scans,
        "seed": chosen,
        "seconds": round(time.monotonic() - started),
    }
    publish("sequences", f"{Counted.sequences} sequences with {Counted.scans} scans, no difference", figures, args.json)


if __name__ == "__main__":
    main()
