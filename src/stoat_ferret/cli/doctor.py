"""`stoat doctor`: says whether all is well, and what to do where it is not."""

import typer

from stoat_ferret.cli import output
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.session import quiet_settings
from stoat_ferret.cli.text import clean, count

HELP = help_text(
    "Check that everything is as it should be, and say how to mend what is not.",
    "Looks at Python, the media library, SQLite, the data directory and both databases (it reads all of them), or with "
    "--database-url at the Postgres server instead; at workers, the process that examines files, the media roots and "
    "the port. Changes nothing. Prints a line a check; exits with 1 if one failed.",
    examples="stoat doctor\nstoat doctor --data-dir /srv/stoat --json",
    related="stoat serve, stoat worker",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Check that everything is as it should be.")(doctor)


def doctor(as_json: AsJson = False, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> ExitStatus:
    """Check everything."""
    from stoat_ferret.cli.checks import examine_all

    findings = []
    for finding in examine_all(quiet_settings(data_dir, database_url)):
        findings.append(finding)
        if not as_json:
            output.write(f"{finding.verdict:<4}  {finding.name:<16}  {clean(finding.detail)}")
            if finding.mend:
                output.write(f"      {'':<16}  → {clean(finding.mend)}")
            output.flush()
    failed, doubtful = (sum(finding.verdict == verdict for finding in findings) for verdict in ("fail", "warn"))
    if as_json:
        status = "fail" if failed else "warn" if doubtful else "ok"
        output.write_json({"status": status, "checks": [finding.to_json() for finding in findings]})
    elif failed or doubtful:
        output.say(f"{count(failed, 'check')} failed, {count(doubtful, 'warning')}.")
    return ExitStatus.FAILED if failed else ExitStatus.OK
