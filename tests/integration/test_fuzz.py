"""The short form of `make fuzz`: damaged clips of our own end in an outcome each, and what went wrong would be seen."""

import json
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from stoat_ferret.media.info import MediaInfo, StreamInfo
from stoat_ferret.media.pool import FileStat, MediaFailure, ProbeOutcome, ProbeTask
from tests.probe_processes import probe_processes
from torture.fuzz import stage_folder, torture
from torture.fuzz_supervisor import FOUND, Limits, amiss_in
from torture.mutants import Mutant, mutants, own_clips

ROOT = Path(__file__).resolve().parents[2]
SEED = 20_261_127
ROOMY = Limits(workers=2, queue_depth=2, deadline_seconds=60.0, memory_bytes=2 << 30)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return own_clips(tmp_path_factory.mktemp("clips"))


@pytest.mark.slow
def test_some_hundred_mutants_have_an_outcome_each_and_nothing_dies_unseen(clips: list[Path], tmp_path: Path) -> None:
    """What `make fuzz` does with fifty thousand."""
    figures = torture(mutants(clips, SEED, range(600)), 600, ROOMY, _folder(tmp_path / "stage"), tmp_path)
    assert figures.violations == []
    assert (figures.mutants, figures.supervisor_deaths) == (600, 0)
    assert figures.codes.keys() > {FOUND, "NOT_MEDIA"}
    assert figures.pictures[FOUND] > 0
    assert 0 < figures.worker_most_bytes < 2 << 30


def test_clips_and_mutants_are_the_same_each_time(clips: list[Path], tmp_path: Path) -> None:
    """A seed and a number say all that is needed to have a mutant again."""
    assert [path.read_bytes() for path in own_clips(tmp_path)] == [path.read_bytes() for path in clips]
    some = [*mutants(clips, SEED, range(20))]
    assert [*mutants(clips, SEED, [13])] == [some[13]]
    assert [*mutants(clips, SEED + 1, [13])] != [some[13]]


def test_each_death_is_put_down_to_its_mutant(clips: list[Path], tmp_path: Path) -> None:
    """A process is stopped for good, so that what it works on, or is given next, is overdue; that is kept."""

    def stopping() -> Iterator[Mutant]:
        for mutant in mutants(clips, SEED, range(120)):
            if mutant.number == 80:  # the spare process is always the youngest
                min(probe_processes(), key=psutil.Process.create_time).suspend()
            yield replace(mutant, picture=False)

    hasty = replace(ROOMY, deadline_seconds=2.0)
    figures = torture(stopping(), 120, hasty, _folder(tmp_path / "stage"), tmp_path)
    assert figures.violations == []
    assert figures.deaths.keys() == {"took too long"}
    assert 1 <= len(figures.deadly) <= figures.deaths.total() == figures.restarts - figures.retired
    assert figures.deadly <= {int(path.name[:6]) for path in tmp_path.glob("*-mutant.*")}


def test_a_supervisor_that_dies_is_a_violation_and_costs_only_what_it_had(clips: list[Path], tmp_path: Path) -> None:
    """Another one does the rest; the mutants it may have died of are kept."""

    def deadly() -> Iterator[Mutant]:
        for mutant in mutants(clips, SEED, range(120)):
            if mutant.number == 60:
                for child in multiprocessing.active_children():
                    child.kill()
            yield mutant

    figures = torture(deadly(), 120, ROOMY, _folder(tmp_path / "stage"), tmp_path)
    assert figures.supervisor_deaths == 1
    assert any("the supervisor died" in violation for violation in figures.violations)
    assert 60 <= figures.mutants < 120
    assert len([*tmp_path.glob("*-mutant.*")]) >= 120 - figures.mutants
    assert [*(tmp_path / "stage").iterdir()] == []


def test_it_can_be_asked_for_one_mutant_again_by_number_and_by_file(tmp_path: Path) -> None:
    """The figures are JSON and a line for people."""
    nowhere = str(tmp_path / "no samples")
    program = [sys.executable, "-m", "torture.fuzz"]
    out = tmp_path / "figures.json"
    again = [*program, "--seed", "5", "--only", "44", "--samples", nowhere, "--json", str(out)]
    done = subprocess.run(again, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())["figures"]
    assert (figures["seed"], figures["mutants"], figures["violations"]) == (5, 1, [])
    assert done.stdout.splitlines()[-1].startswith("fuzz: 1 mutants in ")
    sound = own_clips(tmp_path)[0]
    done = subprocess.run([*program, "--replay", sound], cwd=ROOT, capture_output=True, text=True)
    assert '"FOUND": 1' in done.stdout, done.stderr


STREAM = StreamInfo(index=0, kind="video")
INFO = MediaInfo(container="mov", streams=(STREAM,))
SOUND = ProbeOutcome(ProbeTask(1, b"/x"), INFO, "f", FileStat(1, 1, 1, 1), 1, 0.1, None)


def _failed(code: str, message: str = "Why.", *, passing: bool = False) -> ProbeOutcome:
    return replace(SOUND, info=None, error=MediaFailure(code, message, passing))


@pytest.mark.parametrize("outcome", [SOUND, _failed("NOT_MEDIA"), _failed("PROBE_CRASHED")])
def test_an_outcome_that_is_whole_passes(outcome: ProbeOutcome) -> None:
    """Facts, or a reason that lies in the file."""
    assert amiss_in(outcome) == []


@pytest.mark.parametrize(
    "outcome",
    [
        replace(SOUND, info=None),
        replace(SOUND, fingerprint=None),
        replace(SOUND, error=MediaFailure("NOT_MEDIA", "Why.", False)),
        _failed("UNREADABLE"),
        _failed("PROBE_FAILED"),
        _failed("NOT_MEDIA", ""),
        _failed("NOT_MEDIA", passing=True),
        replace(SOUND, info=replace(INFO, duration=float("nan"))),
        replace(SOUND, info=replace(INFO, bit_rate=1 << 63)),
        replace(SOUND, info=replace(INFO, rotation=45)),
        replace(SOUND, info=replace(INFO, tags={"artist": "\udcff"})),
        replace(SOUND, info=replace(INFO, tags={"art\0ist": "x"})),
        replace(SOUND, info=replace(INFO, streams=(replace(STREAM, title="\0"),))),
    ],
)
def test_an_outcome_that_breaks_a_promise_does_not(outcome: ProbeOutcome) -> None:
    """Nothing found and no reason, both, a reason that does not lie in the file, facts no database takes."""
    assert amiss_in(outcome) != []


def test_mutants_lie_in_memory_where_there_is_one() -> None:
    """In a folder of their own."""
    folder = stage_folder()
    assert [*folder.iterdir()] == []
    folder.rmdir()


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
