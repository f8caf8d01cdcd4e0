"""How figures are told: progress to stderr, in the end one JSON document and one line for people."""

import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil


def say(line: str) -> None:
    """Tell how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def percentile(values: Sequence[float], part: float) -> float:
    """Give the value that `part` (0 to 1) of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(part * len(ordered) + 0.5) - 1))]


def publish(name: str, sentence: str, figures: dict[str, Any], path: Path | None) -> None:
    """Print figures as one JSON document, which also goes to `path`, and as one line for people."""
    machine = {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "av": version("av"),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    document = json.dumps({"torture": name, "figures": figures, "machine": machine}, indent=1)
    if path is not None:
        path.write_text(document + "\n")
    print(document)
    print(f"{name}: {sentence}")
