"""Hold what we say of every file below a folder against what an ffprobe says, and print the agreement per field.

    python -m tools.oracle FOLDER [--ffprobe PROGRAM | --expected EXPECTED.jsonl] [--json OUT] [--all]

Each file is examined by the real probe in a process that can be killed, so that a crash costs one file. A field agrees
where both say the same, or where ours is null: unknown is no lie, but it is shown apart. What neither says is not
counted. The status is 1 where a field agrees in less than 99.5 % of the cases or one dynamic range or rotation is
wrong, or where there was no video; 2 where nothing could be done.
"""

import argparse
import json
import os
import stat
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

import structlog

from stoat_ferret.errors import ConfigurationError, NoVideoStreamError
from stoat_ferret.media.formats import AUDIO_CONTAINERS, RAW_STREAMS, VIDEO_CONTAINERS
from stoat_ferret.media.pool import ProbeOutcome, ProbePool, ProbeTask
from stoat_ferret.paths import display
from tools.agreement import CRITICAL, FIELDS, Comparison, compare, document_of_row
from tools.ffprobe import HOW_TO_GET_ONE, Answer, Ffprobe, find
from tools.readings import moving_picture

BAR = 0.995
SHOWN = 40
"""Lines of each list, unless all are asked for."""
OPENS = "opens"
"""The name of the comparison whether a file is a video at all."""
_OURS = {*VIDEO_CONTAINERS, *RAW_STREAMS, *AUDIO_CONTAINERS}
_AGREED, _NULL, _WRONG, _ABSENT = "equal", "ours null", "wrong", "theirs absent"


@dataclass(slots=True)
class Report:
    """What came of it. Paths are relative to the folder, as text."""

    files: int = 0
    compared: int = 0
    """Files that both sides take for a video."""
    verdicts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By field, how many cases of each verdict."""
    disagreements: list[dict[str, Any]] = field(default_factory=list)
    only_ours: list[str] = field(default_factory=list)
    only_theirs: list[str] = field(default_factory=list)
    by_design: list[str] = field(default_factory=list)
    """Files that ffprobe opens by a format we refuse, such as playlists and still pictures."""
    unanswered: list[str] = field(default_factory=list)
    """Files on which the oracle itself failed; they count for neither side."""

    def agreement(self, name: str) -> float | None:
        """Give the part of a field's cases that are equal, or null on our side; None where there was no case."""
        verdicts = self.verdicts.get(name)
        return (verdicts[_AGREED] + verdicts[_NULL]) / verdicts.total() if verdicts else None

    def failures(self) -> list[str]:
        """Say what is not as it must be."""
        below = [
            f"{name} agrees in {part:.2%}, less than {BAR:.1%}"
            for name in self.verdicts
            if (part := self.agreement(name)) is not None and part < BAR
        ]
        lies = [
            f"{name} is wrong {count} times"
            for name, verdicts in self.verdicts.items()
            if name.rpartition(".")[2] in CRITICAL and (count := verdicts[_WRONG] + verdicts[_ABSENT])
        ]
        return below + lies

    def to_json(self) -> dict[str, Any]:
        """Give everything, the lists in full."""
        fields = {
            name: {
                "compared": verdicts.total(),
                "equal": verdicts[_AGREED],
                "ours_null": verdicts[_NULL],
                "wrong": verdicts[_WRONG],
                "theirs_absent": verdicts[_ABSENT],
                "agreement": self.agreement(name),
            }
            for name, verdicts in self.verdicts.items()
        }
        return {
            "files": self.files,
            "compared": self.compared,
            "fields": fields,
            "disagreements": self.disagreements,
            "only_ours": self.only_ours,
            "only_theirs": self.only_theirs,
            "refused_by_design": self.by_design,
            "unanswered": self.unanswered,
            "failures": self.failures(),
        }


def files_below(folder: bytes) -> list[bytes]:
    """Give every regular file below a folder, in order; links, pipes and the like are passed over."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        paths = (os.path.join(parent, name) for name in sorted(names))  # noqa: PTH118 - bytes
        found += [path for path in paths if _is_file(path)]
    return found


def _is_file(path: bytes) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:  # it is gone by now
        return False


def examined(paths: Sequence[bytes], pool: ProbePool) -> Iterator[ProbeOutcome]:
    """Examine files with the pool; outcomes come as they are done."""
    waiting = deque(enumerate(paths))
    while waiting or pool.outstanding:
        while waiting and pool.room:
            key, path = waiting.popleft()
            pool.submit(ProbeTask(key=key, path=path))
        yield from pool.wait(1.0)


def judge(report: Report, name: str, outcome: ProbeOutcome, answer: Answer, known: Sequence[str] = ()) -> None:
    """Add one file to the report.

    Args:
        name: of the file, for people.
        outcome: ours.
        answer: ffprobe's.
        known: what EXPECTED.jsonl says that differs with FFmpeg's release; not counted.
    """
    report.files += 1
    if answer.timed_out:
        report.unanswered.append(f"{name}: {answer.refusal}")
    elif answer.document is None:
        if outcome.info is not None and "open" not in known:
            report.only_ours.append(f"{name}: {answer.refusal}")
            report.verdicts[OPENS][_ABSENT] += 1
        elif outcome.info is None:
            report.verdicts[OPENS][_AGREED] += 1
    elif outcome.info is None:
        _judge_refusal(report, name, outcome, answer.document, known)
    else:
        report.compared += 1
        report.verdicts[OPENS][_AGREED] += 1
        for comparison in compare(outcome.info, answer.document):
            _note(report, name, comparison, known)


def _judge_refusal(
    report: Report, name: str, outcome: ProbeOutcome, document: dict[str, Any], known: Sequence[str]
) -> None:
    """A file that we refused and ffprobe opened: rightly so without a moving picture, and by design some formats."""
    container = document["format"].get("format_name", "")
    reason = f"{name}: {container}: {outcome.error.message if outcome.error else ''}"
    silent = moving_picture(document) is None
    if not _OURS & set(container.split(",")):
        report.by_design.append(reason)
    elif silent and outcome.error is not None and outcome.error.code == NoVideoStreamError.code:
        report.verdicts[OPENS][_AGREED] += 1
    elif "open" not in known:
        report.only_theirs.append(reason)
        report.verdicts[OPENS][_NULL if silent else _WRONG] += 1


def _note(report: Report, name: str, comparison: Comparison, known: Sequence[str]) -> None:
    if comparison.word in known:
        return
    report.verdicts[comparison.field.name][comparison.verdict] += 1
    if comparison.verdict in (_WRONG, _ABSENT):
        ours, theirs = comparison.ours, comparison.theirs
        if isinstance(ours, dict) and isinstance(theirs, dict):
            keys = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
            ours, theirs = ({key: side.get(key) for key in sorted(keys)} for side in (ours, theirs))
        place = f"[{comparison.index}]" if comparison.field.scope in ("stream", "chapter") else ""
        report.disagreements.append(
            {
                "file": name,
                "field": f"{comparison.field.name}{place}",
                "verdict": comparison.verdict,
                "ours": ours,
                "theirs": theirs,
            }
        )


def table(report: Report) -> Iterator[str]:
    """Write the agreement as lines, in the order of the fields."""
    yield f"{'field':28}{'cases':>7}{'equal':>8}{'ours null':>19}{'wrong':>15}{'theirs absent':>15}{'agrees':>9}"
    for name in dict.fromkeys((OPENS, *(entry.name for entry in FIELDS))):
        if not (verdicts := report.verdicts.get(name)):
            yield f"{name:28}{0:7}"
            continue
        total, mark = verdicts.total(), "" if (report.agreement(name) or 0) >= BAR else "  <"
        yield (
            f"{name:28}{total:7}{verdicts[_AGREED]:8}{verdicts[_AGREED] / total:8.1%}{verdicts[_NULL]:11}"
            f"{verdicts[_NULL] / total:8.1%}{verdicts[_WRONG]:7}{verdicts[_ABSENT]:15}"
            f"{report.agreement(name):9.2%}{mark}"
        )


def lists(report: Report, most: int | None) -> Iterator[str]:
    """Write what does not agree, at most so many lines of each kind."""
    disagreements = [
        f"{entry['file']}: {entry['field']}: ours {entry['ours']!r}, theirs {entry['theirs']!r}"
        for entry in report.disagreements
    ]
    kinds = {
        "disagreements": disagreements,
        "files only we take for a video": report.only_ours,
        "files only ffprobe opens": report.only_theirs,
        "files of formats refused by design (playlists, still pictures, text)": report.by_design,
        "files ffprobe did not answer for": report.unanswered,
    }
    for kind, lines in kinds.items():
        if lines:
            yield ""
            yield f"{len(lines)} {kind}:"
            yield from (f"  {line}" for line in lines[:most])
            if most is not None and len(lines) > most:
                yield f"  ... and {len(lines) - most} more (--all, or ALL=1 for make, shows them)"


def expected_answers(path: Path) -> Callable[[str], tuple[Answer, Sequence[str]] | None]:
    """Give answers out of a file such as the samples' EXPECTED.jsonl instead of a running ffprobe."""
    rows = {row["path"]: row for row in map(json.loads, path.read_text().splitlines())}

    def answer(name: str) -> tuple[Answer, Sequence[str]] | None:
        if (row := rows.get(name)) is None:
            return None
        known = row.get("differs", {}).get("pyav18.1", [])
        return Answer(document_of_row(row) if row["opens"] else None, row.get("error", "")), known

    return answer


def run(args: argparse.Namespace) -> Report:
    """Examine, ask and judge every file.

    Raises:
        FileNotFoundError: there is no folder, no file in it or no ffprobe.
    """
    folder = bytes(args.folder.resolve())
    if not args.folder.is_dir():
        msg = f"{args.folder} is no folder."
        raise FileNotFoundError(msg)
    ask, oracle = _oracle(args, folder)
    print(f"ours against {oracle}", file=sys.stderr)
    paths = files_below(folder)
    if not paths:
        msg = f"{args.folder} holds no file, so nothing was compared."
        raise FileNotFoundError(msg)
    report = Report()
    outcomes: dict[int, ProbeOutcome] = {}
    with ProbePool(workers=args.jobs, deadline_seconds=args.timeout) as pool:
        for outcome in examined(paths, pool):
            outcomes[outcome.task.key] = outcome
            _tell(len(outcomes), len(paths), "examined")
    with ThreadPoolExecutor(args.jobs) as threads:
        for key, answered in enumerate(threads.map(ask, paths)):
            _tell(key + 1, len(paths), "asked ffprobe of")
            if answered is not None:
                name = display(os.path.relpath(paths[key], folder))
                judge(report, name, outcomes[key], *answered)
    return report


def _oracle(
    args: argparse.Namespace, folder: bytes
) -> tuple[Callable[[bytes], tuple[Answer, Sequence[str]] | None], str]:
    """Give who is asked, and its name."""
    if args.expected is not None:
        expected = expected_answers(args.expected)
        return lambda path: expected(display(os.path.relpath(path, folder))), str(args.expected)
    program = Ffprobe(find(args.ffprobe), args.timeout)
    return lambda path: (program.ask(path), ()), f"ffprobe {program.version}"


def _tell(done: int, count: int, what: str) -> None:
    if done % 100 == 0 or done == count:
        print(f"{what} {done} of {count} files", file=sys.stderr, flush=True)


def main() -> None:
    """Compare, print, and exit with a status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ffprobe", help="the program (default: the one on the PATH)")
    parser.add_argument("--expected", type=Path, help="a file like the samples' EXPECTED.jsonl, instead of an ffprobe")
    parser.add_argument("--json", type=Path, help="also write everything there")
    parser.add_argument("--all", action="store_true", help=f"show every disagreement, not only {SHOWN}")
    parser.add_argument("--jobs", type=int, default=2, help="files at a time (default: 2)")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for one file on either side")
    args = parser.parse_args()
    cast("TextIOWrapper", sys.stdout).reconfigure(errors="replace")  # what files say may be no text
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        report = run(args)
    except (FileNotFoundError, ConfigurationError) as error:
        print(error, file=sys.stderr)
        if "ffprobe" in str(error):
            print(HOW_TO_GET_ONE, file=sys.stderr)
        sys.exit(2)
    lines = [*table(report), *lists(report, None if args.all else SHOWN)]
    print("\n".join(lines))
    if args.json is not None:
        args.json.write_text(json.dumps(report.to_json(), indent=1) + "\n")
    failures = report.failures()
    verdict = "; ".join(failures) or ("all fields agree" if report.compared else "no video to compare")
    print(f"\n{report.files} files, {report.compared} compared: {verdict}")
    sys.exit(1 if failures or not report.compared else 0)


if __name__ == "__main__":
    main()
