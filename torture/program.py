"""What the parts have in common as programs: arguments, a folder to work in, and how they end."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torture.engines import Engine, open_engine
from torture.reckoning import Figures
from torture.report import publish, say


@dataclass(frozen=True, slots=True)
class Arguments:
    """What was asked for."""

    times: int
    seed: int
    files: int
    workers: int


Part = Callable[[Engine, Path, Arguments], Figures]


def run_part(name: str, explanation: str | None, part: Part, *, times: int, files: int, counted: str) -> None:
    """Read the arguments, run a part and print what came of it; status 1 where something was violated.

    Args:
        name: what is done, which also is the name of the option that says how often.
        explanation: for --help.
        part: does it.
        times: how often, if nothing is said.
        files: clips in the tree, if nothing is said.
        counted: what the number is one of, for --help.
    """
    parser = argparse.ArgumentParser(description=explanation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument(f"--{name}", type=int, default=times, dest="times", help=f"{counted} (default: {times})")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--files", type=int, default=files)
    parser.add_argument("--workers", type=int, default=1, help="the server's own one included")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    args = parser.parse_args()
    say(f"{name}: seed {args.seed}")
    scratch = Path(tempfile.mkdtemp(prefix=f"stoat-{name}-"))
    began = time.monotonic()
    with open_engine(args.engine) as engine:
        figures = part(engine, scratch, Arguments(args.times, args.seed, args.files, args.workers))
    facts = {
        "engine": args.engine,
        "seed": args.seed,
        "files": args.files,
        "workers": args.workers,
        "minutes": round((time.monotonic() - began) / 60, 1),
    }
    publish(f"{name} ({args.engine})", _sentence(name, figures), figures.to_json() | facts, args.json)
    if figures.violations:
        sys.exit(f"kept: {scratch}; the same again: --seed {args.seed}")
    shutil.rmtree(scratch, ignore_errors=True)


def _sentence(name: str, figures: Figures) -> str:
    besides = "".join(f", besides {what} ({count})" for what, count in figures.besides.items())
    keyed = (
        f"{figures.keyed_submits} submits under a key and {figures.keyed_repeats} repeats of these "
        f"({figures.keyed_repeats_after_restart} answered by a server started since), "
        if figures.keyed_submits
        else ""
    )
    return (
        f"{figures.disturbances.total()} {name}{besides}, {figures.acknowledged} jobs acknowledged, {keyed}"
        f"{figures.catalogues_compared} catalogues compared, all jobs ended at the latest "
        f"{figures.slowest_end:.1f} s after the last of them, slowest orderly stop {figures.slowest_stop:.1f} s, "
        f"{len(figures.violations)} violations"
    )
