"""The house rules that no linter knows."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoat_ferret.api.app import create_app
from stoat_ferret.api.services.scan import SCAN_JOB_TYPE
from tests.factories import make_settings

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "stoat_ferret"
MOST_LINES_A_FILE = 400
MOST_LINES_A_FUNCTION = 60


def modules() -> Iterator[tuple[Path, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(ROOT), path.read_text()


def test_imports_go_downward_only() -> None:
    """As pyproject.toml draws the layers, and each outside library only where it belongs."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_and_functions_fit_a_mind() -> None:
    """No file beyond 400 lines, no function beyond 60."""
    too_long = []
    for path, text in modules():
        if len(text.splitlines()) > MOST_LINES_A_FILE:
            too_long.append(f"{path}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            # A migration is a list, not a program.
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "migrations" not in path.parts:
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_LINES_A_FUNCTION:
                    too_long.append(f"{path}: {node.name}() has {lines} lines")
    assert too_long == []


def test_packages_are_empty() -> None:
    """What a package offers is found in its modules."""
    for path, text in modules():
        if path.name == "__init__.py":
            tree = ast.parse(text)
            assert all(
                isinstance(node, ast.Expr | ast.Assign | ast.ImportFrom | ast.AnnAssign) for node in tree.body
            ), path


def test_every_module_says_what_it_is() -> None:
    """In its first line."""
    for path, text in modules():
        if text.strip():
            assert ast.get_docstring(ast.parse(text)), path


def test_asserts_in_the_source_are_explained() -> None:
    """Each says why it cannot fail: Python may run without them."""
    for path, text in modules():
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip().startswith("assert "):
                assert "noqa: S101" in line, f"{path}:{number}"


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("stoat_ferret.api.services.scan", ["SCAN_JOB_TYPE", "make_scan_handler", "validate_scan_path"]),
        ("stoat_ferret.jobs.queue", ["AsyncJobQueue", "InMemoryJobQueue", "Job", "JobStatus", "JobHandler"]),
        ("stoat_ferret.api.schemas.job", ["JobSubmitResponse", "JobStatusResponse"]),
        ("stoat_ferret.api.app", ["create_app"]),
        ("stoat_ferret.runtime", ["open_runtime", "Runtime"]),
    ],
)
def test_names_that_others_rely_on_stay(module: str, names: list[str]) -> None:
    """Other programs are written against them."""
    found = importlib.import_module(module)
    assert [name for name in names if not hasattr(found, name)] == []


def test_the_frozen_routes_are_there() -> None:
    """With their methods and their statuses."""

    paths = create_app(make_settings(Path("/nowhere")), in_memory_jobs=True).openapi()["paths"]
    assert "202" in paths["/api/v1/videos/scan"]["post"]["responses"]
    assert "200" in paths["/api/v1/jobs/{job_id}"]["get"]["responses"]
    assert SCAN_JOB_TYPE == "scan"
