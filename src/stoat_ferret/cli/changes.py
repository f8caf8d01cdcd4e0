"""`stoat changes`: what has become of the catalogue since a script last looked."""

import time
from typing import Annotated

import typer

from stoat_ferret.cli import output
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import clean_path
from stoat_ferret.library.models import Change

PAGE = 500
LOOK_SECONDS = 0.5

HELP = help_text(
    "Say what has changed in the catalogue.",
    "Every change of a video has a number. Prints those that follow the number given, in order, a line each: number, "
    "kind, state, id, path; with --json a JSON document a line. A script that keeps the last number, and gives it "
    "next time, misses nothing.",
    examples="stoat changes\nstoat changes --after 4711 --json\nstoat changes --follow",
    related="stoat search, stoat jobs watch",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Say what has changed.")(changes)


def changes(
    after: Annotated[int, typer.Option(min=0, metavar="N", help="The last number that was seen.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each change as it happens.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document a line instead.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Print the change feed."""
    from stoat_ferret.library.changes import read_after

    with opened(quiet_settings(data_dir, database_url)) as runtime:
        while True:
            page = read_after(runtime.repository.database, after, PAGE)
            if page:
                _print(page, as_json=as_json)
                after = page[-1].seq
            elif not follow:
                return ExitStatus.OK
            else:
                output.flush()
                time.sleep(LOOK_SECONDS)


def _print(page: list[Change], *, as_json: bool) -> None:
    from stoat_ferret.api.schemas.change import ChangeResponse

    if as_json:
        for change in page:
            output.write_json_line(ChangeResponse.of(change))
        return
    columns = [Column("#", right=True), Column("Kind"), Column("State"), Column("Video"), Column("Path", fold=True)]
    rows = [(str(each.seq), each.kind, each.state, each.video_id, clean_path(each.path_bytes)) for each in page]
    output.write_table(columns, rows)
