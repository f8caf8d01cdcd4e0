"""Options that several commands share, and how a help text is built."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

LogLevel = Literal["debug", "info", "warning", "error"]

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Where the databases lie. Default: STOAT_DATA_DIR, else the user's data folder.",
        show_default=False,
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="A Postgres database instead of files in the data directory. A password is better kept out of sight, "
        "in STOAT_DATABASE_URL, which is the default.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead, for programs.")]
LogLevelOption = Annotated[
    LogLevel | None,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help="Least severe message on standard error: debug, info, warning or error. Default: STOAT_LOG_LEVEL.",
        show_default=False,
    ),
]


def help_text(purpose: str, prints: str, *, examples: str, related: str) -> str:
    """Build a command's help: what it is for, what it prints, how it is called, what else there is."""
    lines = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    # \b tells the formatter to leave the lines of a paragraph as they are.
    return f"{purpose}\n\n{prints}\n\n\b\nExamples:\n{lines}\n\n\b\nSee also: {related}"


def path_argument(metavar: str, help: str) -> Any:  # noqa: A002  # as typer calls it
    """Describe a path that is given as an argument. Whether it can be read is not asked: a command says more of it."""
    return typer.Argument(metavar=metavar, help=help, show_default=False, readable=False)
