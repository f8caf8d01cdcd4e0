"""A lab: files made to have something else opened, each given to a real probe process that is watched.

The list of formats alone has to hold, so most is tried without Landlock and seccomp; then a part with them. That the
observers see what they are there for is shown with a worker whose list was taken away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.hostile_files import Bait, build
from tests.integration.observed_worker import Listener, ObservedWorker, can_trace, traced
from tests.media_files import place_clip

WALLS = "nice,idle_io"
"""Left out even where the walls are up: others have work for the processor too."""
NO_WALLS = f"{WALLS},landlock_read_only,landlock_no_tcp,landlock_isolated,seccomp"
WEAKENED = """
import sys
from stoat_ferret.media import formats, worker
for options in (formats.OPEN_OPTIONS, formats._KEYFRAME_OPTIONS):
    del options["format_whitelist"]
    options |= {"protocol_whitelist": "file,crypto,http,tcp,udp,rtp,unix,concat,subfile,pipe", "enable_drefs": "1"}
    options["safe"] = "0"
worker.main(sys.argv[1:])
"""
BITING = {
    "hls/sibling.m3u8": "a file",
    "hls/absolute.m3u8": "a file",
    "hls-master/sibling.m3u8": "a file",
    "hls-key/absolute.m3u8": "a file",
    "hls/http.m3u8": "an address",
    "ffconcat/sibling.mp4": "a file",
    "ffconcat/tcp.mp4": "an address",
    "vobsub/sibling.idx": "a file",
    "dref-alias/sibling.mp4": "a file",
}
"""Some that FFmpeg would obey, were it let."""


@dataclass(frozen=True, slots=True)
class Lab:
    """The cases, and what they ask for."""

    cases: list[Path]
    folders: list[Path]
    """All in which something lies that may not be opened."""
    listener: Listener
    clip: Path
    """Harmless; examined first, so that all that is loaded late is there, and last, so that the end is no case's."""

    def case(self, name: str) -> Path:
        """Give one by its folder and name."""
        return next(case for case in self.cases if case.match(name))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("lab")
    bait = root / "bait"
    bait.mkdir()
    place_clip(root / "clip.mp4")
    with Listener(bait / "socket") as listener:
        cases = build(root / "cases", Bait(bait, listener.port))
        yield Lab(cases, sorted({bait, *(case.parent for case in cases)}), listener, root / "clip.mp4")


def test_no_file_has_anything_else_opened(lab: Lab, tmp_path: Path) -> None:
    """Of more than a thousand that try: no other file, no socket, no program, with nothing but the list of formats."""
    assert len(lab.cases) >= 1000
    log, callers = tmp_path / "strace", lab.listener.callers
    with ObservedWorker(lab.folders, log, leave_out=NO_WALLS) as worker:
        assert not worker.sandbox["seccomp"]
        for path in (lab.clip, *lab.cases, lab.clip):
            worker.examine(path)
        assert worker.answered == 2 * (len(lab.cases) + 2)
        assert worker.input_left() == len("canary")
    assert worker.foreign == []
    assert lab.listener.callers == callers
    assert not can_trace() or traced(log, lab.cases) == []


def test_nor_with_the_walls_up(lab: Lab, tmp_path: Path) -> None:
    """A part of them in a process as it is in service; strace sees what is tried, refused or not."""
    cases = lab.cases[::10]
    log, callers = tmp_path / "strace", lab.listener.callers
    with ObservedWorker(lab.folders, log, leave_out=WALLS, quick=False) as worker:
        answers = [worker.examine(path)[0] for path in (lab.clip, *cases, lab.clip)]
        assert worker.input_left() == len("canary")
    assert answers[0]["info"] == answers[-1]["info"] is not None
    assert worker.foreign == []
    assert lab.listener.callers == callers
    assert not can_trace() or traced(log, cases) == []


def obeyed(lab: Lab, log: Path, leave_out: str) -> tuple[set[str], int, dict[str, bool]]:
    """Have a worker that may open any format examine some; say which it obeyed, how often it called, and its walls."""
    cases = [lab.case(name) for name in BITING]
    callers = lab.listener.callers
    with ObservedWorker(lab.folders, log, leave_out=leave_out, code=WEAKENED, quick=False) as worker:
        for path in (lab.clip, *cases, lab.clip):
            worker.examine(path)
    calls = lab.listener.callers - callers
    found = "\n".join(worker.foreign)
    return {name for name, path in zip(BITING, cases, strict=True) if f"{path} had" in found}, calls, worker.sandbox


def test_a_worker_without_the_list_of_formats_is_caught(lab: Lab, tmp_path: Path) -> None:
    """By each of the observers, so that what they do not see above is not there."""
    log = tmp_path / "strace"
    found, calls, _ = obeyed(lab, log, NO_WALLS)
    assert found == {name for name, asks_for in BITING.items() if asks_for == "a file"}
    assert calls
    if can_trace():
        seen = "\n".join(traced(log, [lab.case(name) for name in BITING]))
        assert {name for name in BITING if f"{lab.case(name)} caused" in seen} == set(BITING)
        assert " connect(" in seen


def test_the_walls_stand_without_the_list(lab: Lab, tmp_path: Path) -> None:
    """Other files may be read then, as reading has to be allowed; nobody can be called."""
    found, calls, sandbox = obeyed(lab, tmp_path / "strace", WALLS)
    assert found
    if not sandbox["seccomp"]:
        pytest.skip("the kernel lets no process have a filter of system calls")
    assert calls == 0
