"""`stoat explain` and `stoat quarantine`: why a file is in the catalogue or not, and what was set aside."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli import output
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text, path_argument
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import absolute_path, clean, clean_path, count, moment

if TYPE_CHECKING:
    from stoat_ferret.api.schemas.explain import ExplainResponse
    from stoat_ferret.library.history import SetAside

HELP = help_text(
    "Say why a path is in the catalogue or is not, and what happened to it.",
    "Any path will do, whether something is there or not. Prints what decided (a rule with its file and line, an "
    "error, a stage of the scan), since when, and what happened before, the latest first. Nothing is read but folders.",
    examples="stoat explain ~/Videos/beach.mp4\nstoat explain /mnt/archive/proxies/a.mov --json",
    related="stoat show, stoat scan, stoat jobs files",
)
QUARANTINE_HELP = "See which files were set aside because examining them went wrong twice, and try them again."
LIST_HELP = help_text(
    "List the files that were set aside, by path.",
    "A file that killed or hung the process which examined it, twice, is not tried again until it changes or somebody "
    "asks. Prints a table; to another program, a line a file: path, code, since when, why.",
    examples="stoat quarantine list\nstoat quarantine list --json",
    related="stoat quarantine retry, stoat explain",
)
RETRY_HELP = help_text(
    "Have files that were set aside examined again.",
    "Puts a scan of each on the queue and prints the jobs' ids; a worker does them, as `stoat serve` has one.",
    examples="stoat quarantine retry ~/Videos/odd.mp4\nstoat quarantine retry --all",
    related="stoat quarantine list, stoat jobs watch",
)
PAGE = 500


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help=HELP, short_help="Say why a path is known or not.")(explain)
    group = typer.Typer(help=QUARANTINE_HELP, rich_markup_mode=None, no_args_is_help=True)
    group.command("list", help=LIST_HELP, short_help="List files that were set aside.")(list_aside)
    group.command("retry", help=RETRY_HELP, short_help="Have them examined again.")(retry_aside)
    app.add_typer(group, name="quarantine", short_help="See what was set aside, and try it again.")


def explain(
    path: Annotated[Path, path_argument("PATH", "Any path.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Explain a path."""
    from stoat_ferret.api.schemas.explain import ExplainResponse
    from stoat_ferret.api.services.explain import explain as explained
    from stoat_ferret.api.services.scan import scan_rules

    with opened(quiet_settings(data_dir, database_url)) as runtime:
        rules = scan_rules(runtime.settings, runtime.roots.here_or_same)
        wanted = absolute_path(path)
        found = asyncio.run(explained(wanted, runtime.settings, runtime.repository, runtime.queue, rules))
    shown = ExplainResponse.of(found)
    if as_json:
        output.write_json(shown)
    else:
        _print(shown, clean_path(found.path))
    return ExitStatus.OK


def _print(shown: "ExplainResponse", path: str) -> None:
    facts = [("Path", path), ("Decision", shown.decision.replace("_", " ")), ("Why", clean(shown.reason))]
    if shown.rule is not None:
        facts.append(("Rule", clean(f"{shown.rule.source}:{shown.rule.line}: {shown.rule.pattern}")))
    facts += [("Since", moment(shown.since)), ("Video", shown.video_id or "")]
    output.write_facts(facts)
    if shown.events:
        output.write()
        columns = [Column("When"), Column("What"), Column("Path", fold=True), Column("Why", fold=True)]
        rows = [(moment(each.at), each.what, clean(each.path), clean(each.reason or "")) for each in shown.events]
        output.write_table(columns, rows)


def list_aside(as_json: AsJson = False, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> ExitStatus:
    """List what was set aside."""
    from stoat_ferret.api.schemas.explain import QuarantineResponse, SetAsideResponse
    from stoat_ferret.library.history import set_aside

    found: list[SetAside] = []
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        while page := set_aside(runtime.repository.database, found[-1].path_bytes if found else b"", PAGE):
            found += page
    shown = [SetAsideResponse.of(each) for each in found]
    if as_json:
        output.write_json(QuarantineResponse(files=shown, next_cursor=None))
    elif not found:
        output.say("No file is set aside.")
    else:
        columns = [Column("Path", fold=True), Column("Code"), Column("Since"), Column("Why", fold=True)]
        rows = [
            (clean_path(each.path_bytes), each.code, moment(file.since), clean(each.reason))
            for each, file in zip(found, shown, strict=True)
        ]
        output.write_table(columns, rows)
    return ExitStatus.OK


def retry_aside(
    files: Annotated[list[Path] | None, path_argument("PATH...", "Which.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are set aside.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Submit scans of what was set aside."""
    from stoat_ferret.api.schemas.explain import QuarantineRetryResponse
    from stoat_ferret.api.services.quarantine import retry

    if bool(files) == everything:
        raise typer.BadParameter("Give either some paths or --all.")
    wanted = None if everything else [absolute_path(path) for path in files or []]
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        jobs = asyncio.run(retry(wanted, runtime.queue, runtime.repository, runtime.settings))
    if as_json:
        output.write_json(QuarantineRetryResponse(job_ids=jobs))
    else:
        for job_id in jobs:
            output.write(job_id)
        output.say(f"{count(len(jobs), 'scan')} on the queue.")
    return ExitStatus.OK
