"""Where things are printed: results on standard output, everything else on standard error.

In a terminal tables are drawn; anywhere else they are lines of tab-separated values, in full, for other programs. With
`board` the only module that knows Rich, which is loaded when something has to be drawn.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

from stoat_ferret.cli.text import as_json, clean, shorten
from stoat_ferret.cli.wording import phase_name, progress_facts
from stoat_ferret.jobs.model import Job

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console, RenderableType
    from rich.progress import Progress

FIRST_LINE_SECONDS = 1.0
"""What takes less needs no line about its progress."""
LINE_SECONDS = 5.0
"""How often a line about progress is written where there is no terminal."""


class OutputClosed(Exception):  # noqa: N818 - not an error: whoever read the output has read enough
    """Nobody reads what is printed any more."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `fold` breaks what is too long instead of shortening it."""

    title: str
    right: bool = False
    fold: bool = False


def write(line: str = "") -> None:
    """Print a line of the result; it must be clean already.

    Raises:
        OutputClosed: nobody reads any more.
    """
    try:
        sys.stdout.write(line + "\n")
    except BrokenPipeError as error:
        raise OutputClosed from error


def flush() -> None:
    """Hand on what was printed.

    Raises:
        OutputClosed: nobody reads any more.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise OutputClosed from error


def close() -> None:
    """Let nothing more be printed; without this, the interpreter would complain at its end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(line: str) -> None:
    """Tell a person something that is no result."""
    with suppress(OSError):
        sys.stderr.write(clean(line) + "\n")
        sys.stderr.flush()


def write_json(document: "BaseModel | dict[str, Any]") -> None:
    """Print a document."""
    write(as_json(document if isinstance(document, dict) else document.model_dump(mode="json")))


def write_json_line(document: "BaseModel | dict[str, Any]") -> None:
    """Print a document on one line, and hand it on at once: another one will follow."""
    write(as_json(document if isinstance(document, dict) else document.model_dump(mode="json"), indent=None))
    flush()


def write_facts(facts: Iterable[tuple[str, str | None]]) -> None:
    """Print names and values below each other; without those that have no value."""
    known = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        write(f"{name:<{width}}  {clean(value)}")


def in_terminal() -> bool:
    """Tell whether a person reads the result."""
    return sys.stdout.isatty()


def write_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    if in_terminal():
        console(sys.stdout).print(_table(columns, rows))
        return
    for row in rows:
        write("\t".join(clean(value) for value in row))


def _table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.fold,
            overflow="fold" if column.fold else "ellipsis",
        )
    for row in rows:
        table.add_row(*(Text(clean(value)) for value in row))  # Text, so that [brackets] in a name are no markup
    return table


def console(stream: TextIO) -> "Console":
    """Give a console that prints what it is given, and interprets nothing in it."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise OutputClosed

    return Plain(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=False)


class ProgressView(Protocol):
    """Shows how a job goes."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, *_error: object) -> None:
        """End; nothing is left of what moves."""
        ...

    def show(self, job: Job, *, ending: bool) -> None:
        """Show it as it stands; `ending` once it was told to end."""
        ...


def progress_view(*, silent: bool) -> ProgressView:
    """Give the view that fits: a bar in a terminal, a line now and then elsewhere, or nothing."""
    if silent:
        return SilentProgress()
    return BarProgress(console(sys.stderr)) if sys.stderr.isatty() else LineProgress()


class SilentProgress:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def show(self, job: Job, *, ending: bool) -> None:
        """Show nothing."""


class LineProgress(SilentProgress):
    """A plain line whenever the phase changes, and every few seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = clock() + FIRST_LINE_SECONDS
        self._phase: str | None = None
        self._next = 0.0

    def show(self, job: Job, *, ending: bool) -> None:
        """Write a line, if one is due."""
        phase, now = phase_name(job, ending=ending), self._clock()
        if now < self._begin or (phase == self._phase and now < self._next):
            return
        self._phase, self._next = phase, now + LINE_SECONDS
        say(f"{phase}: {progress_facts(job)}".removesuffix(": "))


class BarProgress:
    """A bar, how far it is, and the current file below."""

    def __init__(self, screen: "Console") -> None:
        self._console = screen
        self._current = ""
        self._bar: Progress = _make_bar(screen, self._current_line)
        self._task = self._bar.add_task("", total=None, facts="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def show(self, job: Job, *, ending: bool) -> None:
        """Move the bar."""
        detail = job.progress_detail or {}
        self._current = clean(detail.get("current") or "")
        known = job.progress is not None and detail.get("total") is not None
        self._bar.update(
            self._task,
            description=phase_name(job, ending=ending),
            total=1.0 if known else None,
            completed=job.progress or 0.0,
            facts=progress_facts(job),
        )

    def _current_line(self) -> str:
        return shorten(self._current, max(10, self._console.width - 1))


PhaseReport = Callable[[str, int, int], None]
"""Takes the name of a phase, how much of it is done, and how much there is."""


def phase_report(shown: ExitStack, *, silent: bool) -> PhaseReport:
    """Give what shows how far work is that is no job: a bar until `shown` ends, a line now and then, or nothing."""
    if silent:
        return lambda _phase, _done, _total: None
    return _phase_bar(shown) if sys.stderr.isatty() else PhaseLines().show


class PhaseLines:
    """Writes a line every few seconds, once it is plain that it takes long."""

    def __init__(self) -> None:
        self._next = time.monotonic() + FIRST_LINE_SECONDS

    def show(self, phase: str, done: int, total: int) -> None:
        """Write a line, if one is due."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            say(f"{phase}: {done * 100 // max(total, 1)} %")


def _phase_bar(shown: ExitStack) -> PhaseReport:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        console=console(sys.stderr),
        transient=True,
    )
    task = shown.enter_context(bar).add_task("", total=None)
    return lambda phase, done, total: bar.update(task, description=phase, completed=done, total=total)


def _make_bar(screen: "Console", current_line: Callable[[], str]) -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.text import Text

    class Bar(Progress):
        def get_renderables(self) -> Iterable["RenderableType"]:
            yield self.make_tasks_table(self.tasks)
            yield Text(current_line(), style="dim", no_wrap=True, overflow="ellipsis")

    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[facts]}", markup=False),
        console=screen,
        transient=True,
    )
