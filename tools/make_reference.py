"""Write docs/reference from the code: the command line, the settings, the errors, the HTTP API.

tools/make_reference.py           write what is not current
tools/make_reference.py --check   write nothing; name what is not current, and exit with 1 if anything is
"""

import inspect
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo
from typer.main import get_command

from stoat_ferret import errors
from stoat_ferret.api.app import create_app
from stoat_ferret.api.problems import STATUSES
from stoat_ferret.cli.exits import MEANINGS, status_of
from stoat_ferret.cli.main import PROGRAM, app
from stoat_ferret.settings import Settings

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
GENERATED = "<!-- Written by `make docs` from the code; changes made here are lost. -->"
DEPENDS_ON_MACHINE = {
    "data_dir": "the user's data folder, on Linux `~/.local/share/stoat-ferret`",
    "probe_workers": "the number of processors, 8 at most",
}
"""Defaults that are worked out where the program runs, in words."""

CLI_HEAD = f"""
# The command line

`{PROGRAM}` is the program's name; `python -m stoat_ferret` is the same. `{PROGRAM} COMMAND --help` shows what stands
here.

Every command works on a *data directory*: the one that `--data-dir` names, else `STOAT_DATA_DIR`, else the user's data
folder. The [other settings](settings.md) are read from the environment. A server may run on the same data directory
while other commands are used.

**Results** go to standard output, everything else to standard error. In a terminal, results are drawn as tables; to a
pipe or a file they are lines of tab-separated values without a heading, in full. With `--json` they are one JSON
document of the shape that [the HTTP API](openapi.json) answers with; `jobs watch` and `jobs files` print such a
document a line. The doctor's is its own: `status` (`ok`, `warn` or `fail`) and `checks`, each with `name`, `verdict`,
`detail` and `mend`, which says what to do; so are those of `workers` and `schedules`, each one list of that name.

Characters of a name that a terminal could obey are escaped (`\\n`, `\\x1b`), and so are bytes that are not UTF-8
(`\\xff`); in JSON, `path_bytes` then has the exact path, in base64.

**Errors** are one line on standard error that begins with `error:` and says what to do.
"""
EXIT_HEAD = """
## Exit statuses

Scripts may rely on these.

| status | meaning |
|---:|---|
"""
SETTINGS_HEAD = """
# Settings

Each is an environment variable, read once when the program starts; options of the [command line](cli.md) go before it.
In lists, paths are separated by `:` and other values by commas.

"""
ERRORS_HEAD = """
# Errors

Everything that the program can refuse to do. The code is stable and appears in HTTP problems (`code`), in job records
(`error_code`) and in what a job did to each file (`code`). The message that comes with it says more than the one given
here. *HTTP* is the status of an answer that fails so (none: no request does, only jobs and commands), *exit* that of a
[command](cli.md#exit-statuses).

"""


def pages() -> dict[Path, str]:
    """Give every page of the reference as it should be."""
    return {
        REFERENCE / "cli.md": "\n".join(_cli()),
        REFERENCE / "settings.md": "\n".join(_settings()),
        REFERENCE / "errors.md": "\n".join(_errors()),
        REFERENCE / "openapi.json": _openapi(),
    }


def stale() -> list[Path]:
    """Give the pages that are not as they should be."""
    return [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]


def _cli() -> Iterator[str]:
    yield GENERATED
    yield CLI_HEAD
    group = get_command(app)
    yield "| command | purpose |"
    yield "|---|---|"
    for path, command in _commands(group):
        yield f"| [`{path}`](#{path.replace(' ', '-')}) | {command.get_short_help_str(limit=200)} |"
    yield ""
    for path, command in _commands(group):
        yield from _command(path, command)
    yield EXIT_HEAD.strip("\n")
    for status, meaning in MEANINGS.items():
        yield f"| {status.value} | {meaning} |"
    yield ""


def _commands(group: Any, path: str = PROGRAM) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _command(path: str, command: Any) -> Iterator[str]:
    purpose, prints, examples, related = command.help.split("\n\n")
    yield f"## `{path}`\n"
    yield purpose + "\n"
    yield prints + "\n"
    lines = examples.removeprefix("\b\nExamples:\n").splitlines()
    yield "\n".join(["```sh", *(line.removeprefix("  ") for line in lines), "```", ""])
    yield "| argument or option | meaning |"
    yield "|---|---|"
    for parameter in command.params:
        if not getattr(parameter, "hidden", False):
            yield f"| {_parameter(parameter)} |"
    yield "\n" + related.removeprefix("\b\n") + "\n"


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}` | {parameter.help}"
    names = "/".join([*parameter.opts, *parameter.secondary_opts])
    value = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
    told = parameter.show_default and not parameter.is_flag and parameter.default is not None
    return f"`{names}{value}` | {parameter.help}" + (f" Default: {parameter.default}." if told else "")


def _settings() -> Iterator[str]:
    yield GENERATED
    yield SETTINGS_HEAD.rstrip("\n") + "\n"
    yield "| variable | default | values | meaning |"
    yield "|---|---|---|---|"
    for name, field in Settings.model_fields.items():
        yield f"| `STOAT_{name.upper()}` | {_default(name, field)} | {_values(field)} | {field.description} |"
    yield ""


def _default(name: str, field: FieldInfo) -> str:
    if field.default_factory is not None:
        return DEPENDS_ON_MACHINE[name]
    if field.default is None or field.default == {}:
        return "empty"
    if isinstance(field.default, tuple):
        return f"`{','.join(field.default)}`" if field.default else "empty"
    return f"`{field.default}`"


def _values(field: FieldInfo) -> str:
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "paths" if get_args(annotation)[0] is Path else "words"
    if get_origin(annotation) is dict:
        return "type=number, …"
    if get_origin(annotation) is UnionType:
        return "address"
    bounds = {type(bound): bound for bound in field.metadata}
    kind = {Path: "path", str: "text", int: "whole number", float: "number"}[annotation]
    if Ge in bounds and Le in bounds:
        return f"{kind}, {bounds[Ge].ge} to {bounds[Le].le}"
    return f"{kind} above {bounds[Gt].gt}" if Gt in bounds else kind


def _errors() -> Iterator[str]:
    yield GENERATED
    yield ERRORS_HEAD.rstrip("\n") + "\n"
    yield "| error | code | HTTP | exit | message |"
    yield "|---|---|---:|---:|---|"
    for depth, kind in _tree(errors.StoatError):
        message = inspect.cleandoc(kind.__doc__ or "").replace("\n", " ")
        error = kind()
        answered, http_status = next(row for row in STATUSES if isinstance(error, row[0]))
        # What only the last row, of all errors, would answer for never ends a request.
        numbers = f"{'' if answered is errors.StoatError else http_status} | {status_of(error).value}"
        yield f"| {'&nbsp;' * 4 * depth}`{kind.__name__}` | `{kind.code}` | {numbers} | {message} |"
    yield ""


def _tree(kind: type[errors.StoatError], depth: int = 0) -> Iterator[tuple[int, type[errors.StoatError]]]:
    yield depth, kind
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            yield from _tree(inner, depth + 1)


def _openapi() -> str:
    document = create_app(Settings.model_construct(allowed_hosts=())).openapi()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write what is not current, or name it."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    for path, text in pages().items():
        if path.exists() and path.read_text("utf-8") == text:
            continue
        if not arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    outdated = stale()
    for path in outdated:
        print(f"not current: {os.path.relpath(path)}; run `make docs`", file=sys.stderr)
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
