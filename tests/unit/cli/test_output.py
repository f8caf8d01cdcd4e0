"""Where and how things are printed."""

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.cli import output
from stoat_ferret.cli.output import BarProgress, Column, LineProgress, OutputClosed, SilentProgress
from stoat_ferret.jobs.model import JobStatus
from tests.unit.cli.examples import DETAIL, NAMES, job


class Screen(io.StringIO):
    """What a terminal would be sent."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class Hole(io.StringIO):
    """A pipe whose reader has left."""

    def write(self, _text: str) -> int:
        """Refuse."""
        raise BrokenPipeError

    def flush(self) -> None:
        """Refuse."""
        raise BrokenPipeError


def set_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Make standard output a terminal of 80 columns without colours."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    there = Screen()
    monkeypatch.setattr(sys, "stdout", there)
    return there


@pytest.mark.parametrize("call", [lambda: output.write("a"), output.flush])
def test_a_reader_that_has_left_is_noticed(monkeypatch: pytest.MonkeyPatch, call: Callable[[], None]) -> None:
    """So that the program can end quietly."""
    monkeypatch.setattr(sys, "stdout", Hole())
    with pytest.raises(OutputClosed):
        call()


def test_what_is_told_to_a_person_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is in it; and it is not among the results."""
    output.say("error: no\nfile \x1b[31m")
    assert capsys.readouterr() == ("", "error: no\\nfile \\x1b[31m\n")


def test_nobody_to_tell_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error may be closed."""
    monkeypatch.setattr(sys, "stderr", Hole())
    output.say("hello")


def test_facts_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Without those that are not known."""
    output.write_facts([("Id", "1"), ("Title", "a\nb"), ("Hdr", None), ("Size", "")])
    assert capsys.readouterr().out == "Id     1\nTitle  a\\nb\n"
    output.write_facts([])
    assert capsys.readouterr().out == ""


@given(st.lists(st.tuples(NAMES, NAMES), max_size=4))
def test_a_table_for_programs_has_a_line_a_row(rows: list[tuple[str, str]]) -> None:
    """With as many tabs as it needs, whatever the values hold."""
    with pytest.MonkeyPatch.context() as patch:
        printed = io.StringIO()
        patch.setattr(sys, "stdout", printed)
        output.write_table([Column("A"), Column("B")], rows)
        lines = printed.getvalue().split("\n")
    assert lines.pop() == ""
    assert [line.count("\t") for line in lines] == [1] * len(rows)


def test_a_table_for_people_has_a_heading_and_takes_names_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets are no markup, a colon's word no emoji, an escape no colour."""
    screen = set_screen(monkeypatch)
    names = ["[bold]a[/bold] [link=x]", ":smile:", "\x1b[31mred\nline"]
    output.write_table([Column("Name", fold=True), Column("N", right=True)], [(name, "1") for name in names])
    lines = screen.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["Name", "N"]
    assert all(text.replace("\x1b", "\\x1b").replace("\n", "\\n") in "\n".join(lines) for text in names)


def test_a_long_name_is_folded_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be copied whole."""
    screen = set_screen(monkeypatch)
    name = "/videos/" + "x" * 200
    output.write_table([Column("Path", fold=True), Column("State")], [(name, "ok")])
    assert screen.getvalue().count("x") == 200


def test_drawing_for_a_reader_that_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends the program as any other printing."""
    monkeypatch.setattr(set_screen(monkeypatch), "write", Hole().write)
    with pytest.raises(OutputClosed):
        output.write_table([Column("A")], [("a",)])


def test_the_view_fits_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar in a terminal, lines elsewhere, nothing beside JSON."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(output.progress_view(silent=False)) is LineProgress
    assert type(output.progress_view(silent=True)) is SilentProgress
    monkeypatch.setattr(sys, "stderr", Screen())
    assert type(output.progress_view(silent=False)) is BarProgress


def test_lines_come_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """At first none, then one a phase and one every few seconds; without control characters."""
    now = 0.0
    with LineProgress(lambda: now) as view:
        for moment, status, detail in [
            (0.5, JobStatus.PENDING, None),
            (1.5, JobStatus.PENDING, None),
            (2.0, JobStatus.RUNNING, DETAIL),
            (3.0, JobStatus.RUNNING, DETAIL),
            (7.5, JobStatus.RUNNING, {**DETAIL, "done": 5000}),
        ]:
            now = moment
            view.show(job(status=status, progress_detail=detail), ending=False)
        view.show(job(progress_detail=DETAIL), ending=True)
    assert capsys.readouterr().err.splitlines() == [
        "waiting for its turn",
        "examining: 4,200 of 10,000 files, 812 a second, 7 s to go",
        "examining: 5,000 of 10,000 files, 812 a second, 7 s to go",
        "cancelling: 4,200 of 10,000 files, 812 a second, 7 s to go",
    ]


@pytest.mark.parametrize("detail", [None, DETAIL, {**DETAIL, "total": None}])
def test_the_bar_shows_phase_count_rate_and_file(
    monkeypatch: pytest.MonkeyPatch, detail: dict[str, Any] | None
) -> None:
    """Also while the total is not known; a hostile name stays on its line."""
    monkeypatch.setenv("COLUMNS", "100")
    screen = Screen()
    current = "[red]" + "x" * 200 + "\x1b]0;evil\n"
    detail = None if detail is None else {**detail, "current": current}
    with BarProgress(output.console(screen)) as view:
        view.show(job(progress=0.42, progress_detail=detail), ending=False)
    drawn = screen.getvalue()
    assert "\x1b]0;evil" not in drawn
    if detail is None:
        assert "starting" in drawn
    else:
        assert all(part in drawn for part in ("examining", "4,200", "812 a second", "7 s to go", "[red]xxx", "\\n"))


def test_the_silent_view_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs read the document only."""
    with SilentProgress() as view:
        view.show(job(), ending=False)
    assert capsys.readouterr() == ("", "")
