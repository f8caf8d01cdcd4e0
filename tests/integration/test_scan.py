"""Scans of real files, examined in real processes, kept in a real database."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stoat_ferret.db.engine import Database
from stoat_ferret.jobs.model import JobStatus
from stoat_ferret.settings import Settings
from tests.factories import LONG_AGO_NS, Stage
from tests.media_files import clip_file, place_clip, stream_without_picture, truncate


@pytest.fixture
def real(catalogue: Database, settings: Settings) -> Stage:
    """Scans with the real probe."""
    return Stage(catalogue, settings, real_pool=True)


@pytest.fixture
def footage(tmp_path: Path, clips: Path) -> Path:
    """A copy of the clips, written long ago."""
    root = tmp_path / "footage"
    shutil.copytree(clips, root)
    age(root)
    return root


def age(root: Path) -> None:
    for number, path in enumerate(sorted(root.rglob("*"))):
        if path.is_file() and not path.is_symlink():
            os.utime(path, ns=(LONG_AGO_NS + number, LONG_AGO_NS + number))


def test_a_library_s_life(real: Stage, footage: Path) -> None:
    """New, unchanged, updated, broken, missing, restored: with files that a camera could have made."""
    beach, tower = bytes(footage / "beach.mp4"), os.fsencode(footage / "東京" / "tower.mkv")
    first = real.result(footage)
    assert (first["new"], first["failed"], first["skipped"]) == (2, 1, 1)
    assert first["bytes_read"] > 0
    assert "index" in first["errors"][0]["error"]
    ids = {path: video_id for path, (video_id, _) in real.tree().items()}
    detail = real.repository.video_detail(ids[tower])
    assert [stream["kind"] for stream in detail.streams] == ["video", "audio"]
    assert (detail.video.audio_codec, detail.video.audio_channels) == ("aac", 1)
    second = real.result(footage)
    assert (second["unchanged"], second["bytes_read"]) == (2, 0)

    place_clip(footage / "beach.mp4", size=(320, 192), seed=5)
    assert real.counts(footage) == {"updated": 1, "unchanged": 1, "failed": 1, "skipped": 1}
    assert real.repository.video(ids[beach]).width == 320
    truncate(footage / "beach.mp4", 0.3)
    assert real.result(footage)["failed"] in (1, 2)  # the index is at its start, so that a part may still open
    (footage / "beach.mp4").write_bytes(b"scrambled")
    assert real.result(footage)["failed"] == 2
    assert real.states()[beach] == "broken"
    shutil.copyfile(clip_file(seed=9), footage / "beach.mp4")
    shutil.copyfile(clip_file(seed=9), footage / "cut.mp4")
    assert real.counts(footage) == {"updated": 1, "new": 1, "unchanged": 1, "skipped": 1}

    shutil.move(footage / "東京", footage.parent / "away")
    assert real.counts(footage) == {"missing": 1, "unchanged": 2, "skipped": 1}
    shutil.move(footage.parent / "away", footage / "東京")
    result = real.result(footage)
    assert (result["restored"], result["bytes_read"]) == (1, 0)
    assert {path: video_id for path, (video_id, _) in real.tree().items() if path in ids} == ids


@pytest.mark.parametrize(
    "name",
    [b"new\nline.mp4", b"\xff\xfe.mp4", "\U0001f9a6.mp4".encode(), b"x" * 251 + b".mp4", b"-i.mp4", b"%03d.mp4",
     b"http:.mp4", b"concat:a|b.mp4", b"file.mp4", b" .mp4", b"'\"$(x).mp4"],
)  # fmt: skip
def test_a_real_probe_takes_every_name(real: Stage, tmp_path: Path, name: bytes) -> None:
    """As a name, not as an address, pattern or option; in a folder called like that, too."""
    root = bytes(tmp_path) + b"/v"
    place_clip(root + b"/" + name)
    place_clip(root + b"/d-" + name[:200] + b"/" + name, seed=1)
    assert real.counts(root) == {"new": 2}
    assert {video.width for video in real.videos()} == {160}


def test_a_killed_scan_of_real_files_ends_as_an_undisturbed_one(
    real: Stage, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same numbers, of attempts of any length."""
    monkeypatch.setattr("stoat_ferret.scan.store.BATCH_FILES", 1)
    for at in (2, 3, 4):
        for video_id, _ in real.tree().values():
            real.repository.delete_video(video_id)
        died, job = real.scan_that_dies(footage, at)
        assert died
        assert job.status is JobStatus.COMPLETE
        assert job.result is not None
        assert [job.result[name] for name in ("new", "failed", "skipped", "unchanged")] == [2, 1, 1, 0]
        real.check(job)


PROGRAM = """
import sys
from pathlib import Path
from tests.factories import Stage, make_settings
from stoat_ferret.db.engine import open_sqlite

folder, root = Path(sys.argv[1]), sys.argv[2]
database = open_sqlite(folder / "library.db")
result = Stage(database, make_settings(folder), real_pool=True).result(root)
print(result["unchanged"], result["bytes_read"])
database.close()
"""


def opens(footage: Path, tmp_path: Path) -> tuple[list[str], list[str]]:
    """Scan in a process of its own, and give what it printed, and each open of anything in the footage.

    Whatever process it is: the kernel is asked, where it can be.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    command: list[str | Path] = ["strace", "-f", "-qq", "-o", trace, "-y", "-e", "trace=open,openat,openat2,creat"]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    try:
        done = subprocess.run(
            [*command, sys.executable, "-c", PROGRAM, tmp_path, footage],
            cwd=root, env=environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    except PermissionError:
        pytest.skip("strace may not be used here")
    if "ptrace" in done.stderr and "not permitted" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.stdout, done.stderr
    lines = trace.read_text(errors="replace").splitlines()
    opened = [line for line in lines if f'"{footage}' in line]  # a call that was interrupted has a second line
    assert opened, "the folders at least are opened"
    return done.stdout.split(), [line for line in opened if "O_DIRECTORY" not in line]


def test_an_unchanged_file_is_not_opened(real: Stage, footage: Path, tmp_path: Path) -> None:
    """By no process at all."""
    real.scan(footage)
    assert opens(footage, tmp_path) == (["2", "0"], [])


CONTAINERS = ("mp4", "mov", "mkv", "avi", "ts")


@pytest.mark.usefixtures("catalogue")
def test_a_new_file_is_opened_once(tmp_path: Path) -> None:
    """On a network share each open costs a round trip."""
    footage = tmp_path / "new"
    for number, container in enumerate(CONTAINERS):
        place_clip(footage / f"clip.{container}", container=container, seed=number)
    age(footage)
    _, opened = opens(footage, tmp_path)
    counts = {each: sum(f'"{footage}/clip.{each}"' in line for line in opened) for each in CONTAINERS}
    assert counts == dict.fromkeys(CONTAINERS, 1)


def test_a_folder_closed_to_another_user_proves_nothing(real: Stage, tmp_path: Path) -> None:
    """With the permissions of a real file system, as a user who has to obey them."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    root = tmp_path / "v"
    place_clip(root / "open.mp4")
    place_clip(root / "closed" / "a.mp4")
    place_clip(root / "unsearchable" / "b.mp4")
    place_clip(root / "unsearchable" / "deep" / "c.mp4")
    age(root)
    real.scan(root)
    before = real.states()
    for folder in (root / "closed" / "a.mp4", root / "unsearchable" / "b.mp4"):
        folder.unlink()
    shutil.rmtree(root / "unsearchable" / "deep")
    place_clip(root / "unsearchable" / "other.mp4")
    (root / "closed").chmod(0o000)
    (root / "unsearchable").chmod(0o744)
    source = """
import os, sys
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.scope import descend
from stoat_ferret.scan.walk import list_folder
os.setresuid(65534, 65534, 65534)
root = os.fsencode(sys.argv[1])
for name in (b"/closed", b"/unsearchable"):
    print(list_folder(root + name, Rules(["mp4"])).code)
for name in (b"/closed/x", b"/unsearchable/deep"):
    print(descend(root + name, root, Rules(["mp4"])).gone)
"""
    for parent in (tmp_path, *tmp_path.parents[:-2]):
        if parent.stat().st_uid == 0 and parent != Path("/tmp"):  # noqa: S108 - compared, not used
            parent.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", source, root], capture_output=True, text=True)
    assert done.stdout.split() == ["FOLDER_NOT_READABLE"] * 2 + ["False"] * 2, done.stderr
    assert real.states() == before


def test_only_sound_is_skipped_and_not_opened_again(real: Stage, tmp_path: Path) -> None:
    """What is no video is remembered."""
    stream_without_picture(tmp_path / "v" / "song.mp4")
    place_clip(tmp_path / "v" / "a.mp4")
    age(tmp_path / "v")
    job = real.scan(tmp_path / "v")
    assert real.ledger(job)[bytes(tmp_path / "v" / "song.mp4")].code == "NO_VIDEO_STREAM"
    again = real.result(tmp_path / "v")
    assert (again["skipped"], again["bytes_read"]) == (1, 0)
