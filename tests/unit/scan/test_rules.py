"""Which names are looked at: gitignore's meaning, decided by git itself where it is installed."""

import os
import re
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


class GitTree:
    """A git repository that is told names and rules anew for each example."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["git", "init", "-q", folder], check=True)

    def ignored(self, rules: dict[bytes, bytes], places: list[bytes]) -> set[bytes]:
        """Give those of some paths that git leaves out; folders end with a slash."""
        for entry in self.folder.iterdir():
            if entry.name != ".git":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for folder, content in rules.items():
            place = Path(os.fsdecode(os.fsencode(self.folder) + b"/" + folder))
            place.mkdir(parents=True, exist_ok=True)
            (place / ".gitignore").write_bytes(content)
        for name in places:  # real ones: of a name that ends with a slash, git asks something else than of a folder
            place = Path(os.fsdecode(os.fsencode(self.folder) + b"/" + name))
            if name.endswith(b"/"):
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
        return ignored_by_git(self.folder, [b"./" + place.rstrip(b"/") for place in places])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> GitTree:
    """One for all examples."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return GitTree(tmp_path_factory.mktemp("tree"))


NAMES = (b"a", b"b", b"ab", b"a b", b"x.mp4", b"\xc3\xa9", b"\xff", b"#a", b"!a", b"a\n", b"a\\", b"[a]", b"A")
PATTERN_PARTS = (
    b"a", b"b", b"x", b".mp4", b"*", b"**", b"?", b"[ab]", b"[!a]", b"[a-c]", b"/", b"/", b"\\a", b"\\#", b"\\!", b" ",
    b"\\ ", b"\xc3\xa9", b"\xff", b"[\xc3\xa9]", b"**/", b"/**", b"A",
)  # fmt: skip
patterns = st.builds(
    lambda start, parts, end: start + b"".join(parts) + end,
    st.sampled_from((b"", b"", b"", b"!", b"/", b"#", b"**/")),
    st.lists(st.sampled_from(PATTERN_PARTS), min_size=1, max_size=4),
    st.sampled_from((b"", b"", b"/", b" ", b"\r", b"/**", b"/*")),
).filter(
    # Of asterisks in a row that are not a whole name, git's manual says that they are as one; git itself differs.
    lambda pattern: not re.search(rb"[^/!]\*\*|\*\*[^/\r ]", pattern)
)
ignore_files = st.lists(patterns, min_size=1, max_size=5).map(b"\n".join)
folders = st.lists(st.sampled_from(NAMES[:4]), max_size=3).map(b"/".join)


# The same examples each time: of patterns that nobody writes, git's meaning was not found out to the last one.
@settings(
    max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(folders, ignore_files, min_size=1, max_size=3), st.data())
def test_ignore_files_mean_what_git_takes_them_for(
    tree: GitTree, files: dict[bytes, bytes], data: st.DataObject
) -> None:
    """In any folder, one below the other, whatever stands in them and whatever names are asked about."""
    places = [
        b"/".join(parts)
        for parts in data.draw(
            st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4), min_size=1, max_size=40)
        )
    ]
    asked = [place + ending for place in dict.fromkeys(places) for ending in (b"/", b".mp4")]
    by_git = tree.ignored(files, asked)
    for place in asked:
        assert is_ignored(files, place) == (b"./" + place.rstrip(b"/") in by_git), (place, files)


def is_ignored(files: dict[bytes, bytes], place: bytes) -> bool:
    """Go down to a place as a walk does."""
    rules = Rules(["mp4"], ()).of_library(b"/", ()).inside(b"/", files.get(b""))
    folder = b""
    *above, last = place.rstrip(b"/").split(b"/")
    for name in above:
        if rules.decision(name, is_folder=True) is not None:
            return True
        folder = folder + b"/" + name if folder else name
        rules = rules.inside(b"/" + folder, files.get(folder))
    return rules.decision(last, is_folder=place.endswith(b"/")) is not None


def test_a_rule_is_named_by_its_line() -> None:
    """The default ones, the library's and an ignore file's are told apart; a later one takes a name in again."""
    rules = Rules(["mp4"]).of_library(b"/v", ["*.tmp.mp4", "/old/"])
    assert str(rules.decision(b"@eaDir", is_folder=True)) == "line 3 of the default rules: @eaDir/"
    assert str(rules.decision(b"a.tmp.mp4", is_folder=False)) == "line 1 of the library's list: *.tmp.mp4"
    assert str(rules.decision(b"old", is_folder=True)) == "line 2 of the library's list: /old/"
    inner = rules.inside(b"/v", None).inside(b"/v/a", b"# a comment\n!keep.tmp.mp4\n!.extras/\n/x.mp4")
    assert inner.decision(b"keep.tmp.mp4", is_folder=False) is None
    assert inner.decision(b".extras", is_folder=True) is None
    assert str(inner.decision(b"x.mp4", is_folder=False)) == "line 4 of /v/a/.stoatignore: /x.mp4"
    assert inner.inside(b"/v/a/b", None).decision(b"x.mp4", is_folder=False) is None
    assert inner.inside(b"/v/a/b", None).digest == inner.digest != rules.digest
