"""Which names are looked at: gitignore's meaning, decided by git itself where it is installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stoat_ferret.scan.rules import DEFAULT_IGNORE, Rules
from stoat_ferret.settings import DEFAULT_VIDEO_EXTENSIONS

RULES = Rules(DEFAULT_VIDEO_EXTENSIONS)
ODD_PARTS = (
    ".", "._", "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", ".part",
    ".partial", ".crdownload", ".download", ".!qB", ".aria2", ".mp4", "\n", " ", "a", "Z", "*", "?", "[", "\\", "é",
)  # fmt: skip
names = st.lists(st.sampled_from(ODD_PARTS) | st.characters(codec="utf-8"), min_size=1, max_size=4).map("".join)
usable = names.filter(lambda name: "/" not in name and "\0" not in name and name not in (".", "..", ".git"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the default rules."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", folder], check=True)
    (folder / ".gitignore").write_text("\n".join(DEFAULT_IGNORE) + "\n")
    return folder


def ignored_by_git(folder: Path, paths: list[bytes]) -> set[bytes]:
    command = ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "--stdin", "-z"]
    done = subprocess.run(command, cwd=folder, input=b"\0".join(paths), capture_output=True)
    assert done.returncode in (0, 1), done.stderr
    return set(done.stdout.split(b"\0")) - {b""}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(usable.map(str.encode) | st.binary(min_size=1, max_size=6), max_size=60))
def test_the_default_rules_mean_what_git_takes_them_for(repository: Path, some: list[bytes]) -> None:
    """For folders and for files, whatever they are called."""
    plain = sorted({name for name in some if name not in (b".", b"..", b".git") and not {0, 47} & set(name)})
    as_folders = ignored_by_git(repository, [b"./" + name + b"/" for name in plain])
    as_files = ignored_by_git(repository, [b"./" + name + b".mp4" for name in plain])
    for name in plain:
        assert RULES.wants_folder(name) == (b"./" + name + b"/" not in as_folders), name
        assert RULES.wants_file(name + b".mp4") == (b"./" + name + b".mp4" not in as_files), name


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (b"a.mp4", True), (b"A.MKV", True), (b".mp4", True), (b"a.txt", False), (b"mp4", False), (b"._a.mp4", False),
        (b"a.mp4.part", False), (b"a.mp4\n", False), (b"\xff.mov", True), (b"", False),
    ],
)  # fmt: skip
def test_files_by_name(name: bytes, wanted: bool) -> None:
    """A video's ending, in either case, and no rule against it."""
    assert RULES.wants_file(name) is wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (b"Holidays", True), (b".git", False), (b"@eaDir", False), (b"#recycle", False), (b"lost+found", False),
        (b"lost+found2", True), (b"x.part", False), (b"\xff", True), (b"System Volume Information", False),
    ],
)  # fmt: skip
def test_folders_by_name(name: bytes, wanted: bool) -> None:
    """Caches, bins and unfinished downloads are left out."""
    assert RULES.wants_folder(name) is wanted


def test_the_digest_changes_with_the_rules() -> None:
    """So that folders are compared anew; the order of the endings does not matter."""
    digests = {
        Rules(["mp4", "mkv"]).digest,
        Rules(["mp4"]).digest,
        Rules(["mp4", "mkv"], ["*.part"]).digest,
        Rules(["mp4"], ["mkv", *DEFAULT_IGNORE]).digest,
    }
    assert len(digests) == 4
    assert Rules(["mkv", "mp4"]).digest == Rules(["mp4", "mkv"]).digest


def test_names_are_bytes() -> None:
    """A name that is not UTF-8 is matched all the same."""
    assert not RULES.wants_folder(os.fsencode(".\udcff"))
