"""The command `stoat`: its commands, and the border at which every error becomes one line."""

import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from stoat_ferret import __version__
from stoat_ferret.cli import (
    changes,
    db,
    doctor,
    edit,
    explain,
    jobs,
    libraries,
    maintenance,
    output,
    scan,
    schedules,
    search,
    serve,
    show,
    thumbnails,
    verify,
    worker,
    workers,
)
from stoat_ferret.cli.exits import ExitStatus, status_of
from stoat_ferret.errors import StoatError

PROGRAM = "stoat"
log = logging.getLogger(__name__)
HELP = """
A video library you can script.

\b
Start here:
  stoat scan ~/Videos       catalogue a folder
  stoat search beach        find videos in the catalogue
  stoat serve ~/Videos      the same for browsers and programs, over HTTP

Every command explains itself: stoat COMMAND --help. Results go to standard output, everything else to standard error;
--json prints what the HTTP API would answer.
"""

app = typer.Typer(
    name=PROGRAM,
    help=HELP,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def _program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)] = False,
) -> None:
    if version:
        output.write(f"{PROGRAM} {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        output.write(context.get_help())


serve.register(app)
scan.register(app)
search.register(app)
show.register(app)
edit.register(app)
explain.register(app)
changes.register(app)
verify.register(app)
thumbnails.register(app)
jobs.register(app)
libraries.register(app)
schedules.register(app)
workers.register(app)
db.register(app)
maintenance.register(app)
doctor.register(app)
worker.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and give the exit status; errors are told on standard error, in one line."""
    # In a locale that cannot write a name, the name is escaped instead.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = app(arguments, standalone_mode=False, prog_name=PROGRAM)
        output.flush()
    except output.OutputClosed:
        output.close()
        return ExitStatus.OUTPUT_CLOSED
    except TyperException as error:
        if (help_text := _help_of_group(error)) is not None:
            output.write(help_text)
            return ExitStatus.USAGE
        return _refuse(_usage(error), ExitStatus.USAGE)
    except StoatError as error:
        return _refuse(error.message, status_of(error))
    except Exception as error:  # the command line's border: a person gets a sentence, the log the rest
        # Not structlog: until a command has set it up, that writes to standard output.
        log.exception("unexpected error")
        message = f"Something unexpected went wrong ({type(error).__name__}); above are the details. Please report it."
        return _refuse(message, ExitStatus.INTERNAL)
    return int(status or ExitStatus.OK)


def _help_of_group(error: TyperException) -> str | None:
    """Give what a group of commands says of itself where none of them is given, which Typer tells as an error."""
    context = getattr(error, "ctx", None)
    return context.get_help() if context is not None and type(error).__name__ == "NoArgsIsHelpError" else None


def _usage(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else PROGRAM
    sentence = error.format_message()
    return f"{sentence}{'' if sentence.endswith(('.', '?')) else '.'} `{command} --help` explains."


def _refuse(message: str, status: ExitStatus) -> int:
    output.say(f"error: {message}")
    return status
