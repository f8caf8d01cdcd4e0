"""The border: help, versions, errors, statuses."""

import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from stoat_ferret import __version__, errors
from stoat_ferret.cli import main as cli
from stoat_ferret.cli import search
from stoat_ferret.cli.exits import MEANINGS, ExitStatus, status_of
from stoat_ferret.cli.output import OutputClosed
from tests.unit.cli.test_output import Hole

COMMANDS = [
    *("serve", "scan", "search", "show", "schedules", "workers", "maintenance", "doctor", "worker", "db copy"),
    *("jobs list", "jobs show", "jobs files", "jobs watch", "jobs cancel", "jobs retry", "jobs delete"),
    *("libraries list", "libraries add", "libraries set", "libraries remove", "libraries purge"),
    *("explain", "changes", "edit", "verify", "manifest", "thumbnails", "quarantine list", "quarantine retry"),
]
PAINTED = "\x1b["


def run(*arguments: str) -> int:
    """Run the program in this process."""
    return cli.main(list(arguments))


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """And so does the program without arguments."""
    assert run("--help") == ExitStatus.OK
    shown = capsys.readouterr().out
    listed = {line.split()[0] for line in shown.split("Commands:")[1].splitlines() if line.strip()}
    assert {command.split()[0] for command in COMMANDS} <= listed
    assert run() == ExitStatus.OK
    assert capsys.readouterr().out.split() == shown.split()


def test_every_command_is_known_here() -> None:
    """So that the tests below miss none."""
    found = []
    for name, command in get_command(cli.app).commands.items():  # type: ignore[attr-defined]  # a group
        below = getattr(command, "commands", None)
        found += [name] if below is None else [f"{name} {each}" for each in below]
    assert sorted(COMMANDS) == sorted(found)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches_itself(command: str) -> None:
    """Purpose, examples that can be copied, related commands; within 100 columns and without control characters."""
    shown = CliRunner().invoke(cli.app, [*command.split(), "--help"], env={"COLUMNS": "100"}).output
    assert f"  stoat {command}" in shown.split("Examples:")[1]
    assert "See also: stoat " in shown
    assert PAINTED not in shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in ("serve", "worker", "manifest")])
def test_every_command_with_a_result_gives_it_as_json(command: str) -> None:
    """Those that run on have a log instead, and a manifest has a format of its own."""
    assert "--json" in CliRunner().invoke(cli.app, [*command.split(), "--help"]).output


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Name and number."""
    assert run("--version") == ExitStatus.OK
    assert capsys.readouterr().out == f"stoat {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["scn"], "Did you mean 'scan'? `stoat --help`"),
        (["scan"], "`stoat scan --help`"),
        (["scan", "/videos", "--frce"], "--frce"),
        (["serve", "--port", "70000"], "65535"),
        (["jobs", "list", "--status", "done"], "`stoat jobs list --help`"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With where to read on."""
    assert run(*arguments) == ExitStatus.USAGE
    out, told = capsys.readouterr()
    assert out == ""
    assert told.startswith("error: ")
    assert part in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("group", ["jobs", "quarantine", "db"])
def test_a_group_without_a_command_prints_its_help(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As it would with --help, and with the status of a command line that is not whole."""
    assert run(group, "--help") == ExitStatus.OK
    asked = capsys.readouterr().out
    assert run(group) == ExitStatus.USAGE
    assert capsys.readouterr() == (asked, "")


def test_every_status_has_a_meaning_and_every_error_a_status() -> None:
    """What scripts rely on is written down."""
    assert set(MEANINGS) == set(ExitStatus)
    assert status_of(errors.MassLossError()) == ExitStatus.FAILED
    assert status_of(errors.StorageFullError()) == ExitStatus.ENVIRONMENT
    assert status_of(errors.InvalidQueryError()) == ExitStatus.USAGE


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A search that raises what is put into the list."""
    raised: list[BaseException] = []

    def fail(*_: object) -> None:
        raise raised[0]

    monkeypatch.setattr(search, "quiet_settings", fail)
    return raised


def test_an_error_of_this_program_is_one_line(failing: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    """Never a traceback."""
    failing.append(errors.StorageFullError("The disk\nis full."))
    assert run("search", "a") == ExitStatus.ENVIRONMENT
    assert capsys.readouterr().err == "error: The disk\\nis full.\n"


def test_an_unexpected_error_is_logged_and_told(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The log has where it came from; the last line is for people."""
    failing.append(KeyError("a"))
    assert run("search", "a") == ExitStatus.INTERNAL
    assert "KeyError: 'a'" in caplog.text
    out, told = capsys.readouterr()
    assert out == ""
    assert told.splitlines()[-1].startswith("error: Something unexpected went wrong (KeyError)")


def test_ctrl_c_ends_quietly(failing: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    """As shells expect it."""
    failing.append(KeyboardInterrupt())
    assert run("search", "a") == ExitStatus.CANCELLED
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_has_left_ends_quietly(failing: list[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that shows only when the buffer is handed on."""
    monkeypatch.setattr("stoat_ferret.cli.output.close", lambda: None)
    failing.append(OutputClosed())
    assert run("search", "a") == ExitStatus.OUTPUT_CLOSED
    monkeypatch.setattr(sys, "stdout", Hole())
    assert run("--version") == ExitStatus.OUTPUT_CLOSED
