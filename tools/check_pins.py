"""Check, without a network, that pyproject.toml, the lock files and docs/explanation/dependencies.md agree.

    python tools/check_pins.py

A dependency that was added without `make lock` would be missing from every fresh install.
"""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/explanation/dependencies.md"


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = project["project"]["dependencies"]
    development = project["project"]["optional-dependencies"]["dev"]
    build = project["build-system"]["requires"]
    faults = [
        *_unmet("requirements.txt", runtime),
        *_unmet("requirements-dev.txt", runtime + development),
        *_unmet("requirements-build.txt", build),
        *_disagreeing("requirements.txt", "requirements-dev.txt"),
        *_disagreeing("requirements-build.txt", "requirements-dev.txt"),
        *_unexplained(runtime + development + build),
    ]
    if faults:
        sys.exit("\n".join(faults))


def _unmet(lock: str, requirements: list[str]) -> list[str]:
    pins = _pins(lock)
    wanted = [Requirement(text) for text in requirements]
    return [
        f"{lock} does not hold {requirement}: run `make lock`"
        for requirement in wanted
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]


def _disagreeing(lock: str, other_lock: str) -> list[str]:
    others = _pins(other_lock)
    return [
        f"{lock} holds {name} {version}, {other_lock} {others[name]}: run `make lock`"
        for name, version in _pins(lock).items()
        if others.get(name, version) != version
    ]


def _pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.M)}


def _unexplained(requirements: list[str]) -> list[str]:
    """Names without a line in the page on dependencies, and lines without a dependency."""
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `([\w-]+)`", text, re.M))
    named = {str(canonicalize_name(Requirement(requirement).name)) for requirement in requirements}
    return [
        *(f"{PAGE} does not say what {name} is for: add a line" for name in sorted(named - explained)),
        *(f"{PAGE} explains {name}, which is no dependency any more" for name in sorted(explained - named)),
    ]


if __name__ == "__main__":
    main()
