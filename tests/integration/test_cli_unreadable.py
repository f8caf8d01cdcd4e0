"""What may not be read: the commands say so, and nothing is lost; with real processes and the system's permissions."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.cli_program import SECONDS, command, environment
from tests.media_files import place_clip

BOUND = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Runs a program, and all that it starts, without root's power to pass permissions over."""


def stoat(data: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which(BOUND[0]) is None:
            pytest.skip("root passes permissions over, and setpriv, which would keep it from that, is not there")
        prefix = BOUND
    return subprocess.run(
        [*prefix, *command(*arguments, "--data-dir", data)],
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        timeout=SECONDS,
    )


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library that was scanned."""
    folder = tmp_path / "videos"
    place_clip(folder / "in" / "a.mp4")
    place_clip(folder / "b.mp4", seed=1)
    assert stoat(tmp_path / "data", "scan", folder).returncode == 0
    return folder


@pytest.mark.slow
def test_a_folder_that_may_not_be_read_is_named_and_loses_nothing(library: Path, tmp_path: Path) -> None:
    """By the scan, with the reason; and by explain of a video in it."""
    data, folder = tmp_path / "data", library / "in"
    folder.chmod(0)
    try:
        done = stoat(data, "scan", library)
        assert done.returncode == 0
        assert "1 unchanged, 1 skipped" in done.stdout
        assert f"{folder}\t" in done.stdout
        assert "marked missing" in done.stdout
        result = json.loads(stoat(data, "scan", library, "--json").stdout)["result"]
        assert [each["path"] for each in result["left_out"]] == [str(folder)]
        why = stoat(data, "explain", folder / "a.mp4", "--json")
        found = json.loads(why.stdout)
        assert found["decision"] == "available"
        assert "could not" in found["reason"]
        assert "nothing in it was looked at" in found["reason"]
    finally:
        folder.chmod(0o700)
    assert "2 unchanged" in stoat(data, "scan", library).stdout


@pytest.mark.slow
def test_a_file_that_may_not_be_read_is_explained(library: Path, tmp_path: Path) -> None:
    """The command does not refuse the path: that is what it is asked about."""
    data, path = tmp_path / "data", library / "new.mp4"
    place_clip(path, seed=2)
    path.chmod(0)
    done = stoat(data, "scan", path)
    assert (done.returncode, "1 failed" in done.stdout) == (0, True), done.stderr
    assert "Permission denied" in done.stdout
    found = json.loads(stoat(data, "explain", path, "--json").stdout)
    assert found["decision"] == "unreadable"
    path.chmod(0o600)
    assert "1 new" in stoat(data, "scan", library).stdout
