"""`stoat jobs files`: what a job did to each file."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli import output
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import canonical_job_id, opened, quiet_settings
from stoat_ferret.cli.text import clean_path
from stoat_ferret.library.models import LedgerRow, Outcome

if TYPE_CHECKING:
    from stoat_ferret.library.repository import LibraryRepository

PAGE = 1_000

HELP = help_text(
    "Say what a scan did to each file.",
    "Prints path, outcome, how many files a line stands for, and why: unchanged files are counted, a line a folder. "
    "With --json a JSON document a line, however many there are.",
    examples="stoat jobs files 01934f5e-7b1c-7cc2-a1c4-6f0b8d0d9f11\nstoat jobs files JOB_ID --outcome failed\n"
    "stoat jobs files JOB_ID --json | jq -r 'select(.outcome == \"new\") | .path'",
    related="stoat jobs show",
)
COLUMNS = (Column("Path", fold=True), Column("Outcome"), Column("Files", right=True), Column("Why", fold=True))


def files(
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID", help="The job's id.", show_default=False)],
    outcome: Annotated[Outcome | None, typer.Option(help="Only files of which this came.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document a line instead.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Print a job's ledger."""
    from stoat_ferret.api.schemas.job import LedgerEntry

    with opened(quiet_settings(data_dir, database_url)) as runtime:
        job = asyncio.run(runtime.queue.get(canonical_job_id(job_id)))
        rows = ledger_rows(runtime.repository, job.id, outcome)
        if as_json:
            for row in rows:
                output.write_json_line(LedgerEntry.of(row))
            return ExitStatus.OK
        found = [_cells(row) for row in rows] if output.in_terminal() else map(_cells, rows)
        output.write_table(COLUMNS, found)
        if found == []:
            output.say("The job has done nothing to such files.")
    return ExitStatus.OK


def _cells(row: LedgerRow) -> tuple[str, ...]:
    return (clean_path(row.path_bytes), row.outcome.value, f"{row.count:,}", row.reason or row.code or "")


def ledger_rows(repository: "LibraryRepository", job_id: str, outcome: Outcome | None) -> Iterator[LedgerRow]:
    """Give what a job did, by path, however much it is."""
    from stoat_ferret.library import ledger

    cursor: str | None = None
    while True:
        some, cursor = ledger.page(repository.database, job_id, outcome=outcome, cursor=cursor, limit=PAGE)
        yield from some
        if cursor is None:
            return
