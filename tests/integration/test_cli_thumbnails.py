"""`stoat thumbnails`: with no server, and cancelled."""

import json
import re
from pathlib import Path

from stoat_ferret.cli.exits import ExitStatus
from tests.integration.cli_program import ctrl_c, ended, start, stoat
from tools.trees import make_tree


def test_pictures_are_made_without_a_server(tmp_path: Path, clips: Path) -> None:
    """It says how many; done again there is nothing to do."""
    data = tmp_path / "data"
    (tmp_path / "empty").mkdir()
    assert stoat("scan", tmp_path / "empty", "--data-dir", data).returncode == 0
    assert stoat("thumbnails", "--data-dir", data).stdout.startswith("there is no video")
    assert stoat("scan", clips, "--data-dir", data).returncode == 0
    done = stoat("thumbnails", clips, "--data-dir", data)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 made\n")
    assert len(list((data / "thumbnails").rglob("*.jpeg"))) == 2
    again = stoat("thumbnails", "--json", "--data-dir", data)
    assert again.stderr == ""
    job = json.loads(again.stdout)
    assert (job["type"], job["result"]["present"], job["result"]["bytes_read"]) == ("thumbnails", 2, 0)


def test_what_has_no_picture_is_listed_with_the_reason(tmp_path: Path, clips: Path) -> None:
    """A file that changed since the scan says so; a folder outside of every library is refused."""
    films, data = tmp_path / "films", tmp_path / "data"
    make_tree(films, 2)
    assert stoat("scan", films, "--data-dir", data).returncode == 0
    first = next(films.rglob("*.mp4"))
    first.write_bytes(b"something else")
    done = stoat("thumbnails", "--data-dir", data)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^{first}\t", done.stdout, re.MULTILINE)
    assert "1 made, 1 failed" in done.stdout
    refused = stoat("thumbnails", tmp_path / "away", "--data-dir", data)
    assert refused.returncode == 4
    assert "lies in no library" in refused.stderr


def test_ctrl_c_cancels_and_keeps_what_was_made(tmp_path: Path) -> None:
    """The next run makes the rest."""
    films, data = tmp_path / "films", tmp_path / "data"
    make_tree(films, 3000)
    assert stoat("scan", films, "--data-dir", data).returncode == 0
    making = start("thumbnails", "--data-dir", data)
    assert making.stderr is not None
    for line in making.stderr:
        if re.match("making pictures: [1-9]", line):
            break
    ctrl_c(making)
    status, out, told, _ = ended(making)
    assert status == ExitStatus.CANCELLED, told
    made = len(list((data / "thumbnails").rglob("*.jpeg")))
    assert 0 < made < 3000
    assert f"{made:,} made" in out
    rest = json.loads(stoat("thumbnails", "--json", "--data-dir", data).stdout)
    assert (rest["result"]["present"], rest["result"]["made"]) == (made, 3000 - made)
