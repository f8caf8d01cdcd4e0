"""Ignore rules as a scan heeds them: what they leave out is not looked at, and what they take back is as it was."""

import os
from pathlib import Path

import pytest

from stoat_ferret.jobs.model import JobStatus
from tests.factories import Stage, put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The library's folder, with a file that stays."""
    folder = tmp_path / "videos"
    put(folder / "stays.mp4")
    return folder


def test_a_folders_ignore_file_is_heeded_in_it_and_below(stage: Stage, root: Path) -> None:
    """Paths in it are relative to where it lies."""
    put(root / "a" / "raw" / "x.mp4")
    put(root / "a" / "b" / "raw" / "y.mp4")
    kept = put(root / "raw" / "z.mp4")
    (root / "a" / ".stoatignore").write_text("raw/\n")
    assert stage.counts(root) == {"new": 2}
    assert kept in stage.tree()


def test_what_a_new_rule_leaves_out_is_missing_and_comes_back_with_it(stage: Stage, root: Path) -> None:
    """However much it is: that is no loss. The reason names the rule; ids stay, and nothing is examined again."""
    for number in range(60):
        put(root / "proxies" / f"{number}.mp4")
    other = put(root / "a.proxy.mp4")
    stage.scan(root)
    before = stage.tree()
    ignore = root / ".stoatignore"
    ignore.write_text("# made by the editing program\nproxies/\n*.proxy.mp4\n")
    job = stage.scan(root)
    assert job.status is JobStatus.COMPLETE, job.error
    assert job.result is not None
    assert (job.result["missing"], job.result["unchanged"]) == (61, 1)
    row = stage.ledger(job)[other]
    assert row.code == "IGNORED"
    assert f"line 3 of {ignore}: *.proxy.mp4" in (row.reason or "")
    row = stage.ledger(job)[bytes(root / "proxies" / "7.mp4")]
    assert f"line 2 of {ignore}: proxies/" in (row.reason or "")
    ignore.unlink()
    stage.pool.examined.clear()
    assert stage.counts(root) == {"restored": 61, "unchanged": 1}
    assert stage.pool.examined == []
    assert stage.tree() == before


def test_the_librarys_own_list_is_heeded(stage: Stage, root: Path) -> None:
    """A change of it shows at the next scan, though no file has changed."""
    put(root / "x.tmp.mp4")
    stage.scan(root)
    [library] = stage.repository.libraries()
    stage.repository.update_library(library.id, ignore=("*.tmp.mp4",))
    assert stage.counts(root) == {"missing": 1, "unchanged": 1}
    stage.repository.update_library(library.id, ignore=("*.tmp.mp4", "!x.*"))
    assert stage.counts(root) == {"restored": 1, "unchanged": 1}


def test_a_part_is_scanned_by_the_rules_above_it(stage: Stage, root: Path) -> None:
    """As a scan of the whole would."""
    put(root / "a" / "b" / "x.tmp.mp4")
    put(root / "a" / "b" / "y.mp4")
    (root / ".stoatignore").write_text("*.tmp.mp4\n")
    stage.scan(root)
    before = stage.tree()
    assert stage.counts(root / "a" / "b") == {"unchanged": 1}
    assert stage.tree() == before


@pytest.mark.parametrize("kind", ["folder", "large", "loop"])
def test_an_ignore_file_that_cannot_be_read_proves_nothing(stage: Stage, root: Path, kind: str) -> None:
    """Nobody knows what it leaves out, so all below it stays as it is."""
    put(root / "a" / "x.mp4")
    stage.scan(root)
    before = stage.tree()
    file = root / "a" / ".stoatignore"
    if kind == "folder":
        file.mkdir()
    elif kind == "large":
        file.write_bytes(b"#" * (1 << 20) + b"\n*")
    else:
        file.symlink_to(file)
    os.unlink(root / "a" / "x.mp4")
    job = stage.scan(root)
    assert stage.ledger(job)[bytes(root / "a")].code == "IGNORE_FILE_UNUSABLE"
    assert stage.tree() == before


def test_all_that_is_left_may_be_ignored(stage: Stage, root: Path) -> None:
    """That does not make the library look unmounted."""
    stage.scan(root)
    (root / ".stoatignore").write_text("*\n")
    assert stage.counts(root) == {"missing": 1}
    assert [library.state for library in stage.repository.libraries()] == ["online"]
