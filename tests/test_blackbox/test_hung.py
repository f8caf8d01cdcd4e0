"""A disk that says nothing any more, to the real program: the processes that ask it are stopped, as if it held them."""

import signal
from pathlib import Path

import psutil
import pytest

from tests.test_blackbox.conftest import Start
from tests.test_blackbox.program import Program
from tools.trees import make_tree

FILES = 40


def listers(program: Program) -> list[psutil.Process]:
    """Give the processes that list folders for the worker."""
    return [child for child in program.worker().children() if "stoat_ferret.scan.disk_process" in child.cmdline()]


@pytest.mark.slow
def test_a_hung_disk_costs_a_scan_and_nothing_else(start: Start, tmp_path: Path) -> None:
    """The scan ends and says why, the catalogue stays, and the next scan, once the disk answers, is as ever."""
    tree = tmp_path / "films"
    make_tree(tree, FILES)
    program = start(STOAT_LIST_TIMEOUT_SECONDS="1")
    program.scan(tree)
    before = program.catalogue()
    gone = next(tree.rglob("*.mp4"))
    gone.unlink()
    held = listers(program)
    assert held
    for process in held:
        process.send_signal(signal.SIGSTOP)
    job = program.finish(program.submit(tree))
    assert (job["status"], job["error_code"]) == ("failed", "LIBRARY_OFFLINE")
    assert "did not answer in time" in job["error"]
    assert program.catalogue() == before
    result = program.scan(tree)
    assert (result["unchanged"], result["missing"]) == (FILES - 1, 1)
    # Those that were held are ended, not kept: a signal meets even a stopped process.
    psutil.wait_procs(held, timeout=30)
    assert not [process for process in held if process.is_running()]
