"""The oracle, `make oracle`, on a folder of anything, against programs that play ffprobe."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.media_files import AudioTrack, place_clip, samples_folder, stream_without_picture

ROOT = Path(__file__).resolve().parents[2]
PRETENDER = """#!{python}
import json, os, sys, time
if "-version" in sys.argv:
    print("ffprobe version 9.9 Copyright (c) nobody")
    sys.exit()
name = os.fsencode(sys.argv[-1])
if b"slow" in name:
    time.sleep(60)
if b"clip" not in name and b"sound" not in name:
    print("Invalid data found when processing input", file=sys.stderr)
    sys.exit(1)
if b"broken" in name:
    print('{{"streams": [')
    sys.exit(1)
kind = "audio" if b"sound" in name else "video"
turn = -90 if b"turned" in name else 0
stream = {{"index": 0, "codec_type": kind, "codec_name": "h264", "width": 160, "height": 96,
          "side_data_list": [{{"side_data_type": "Display Matrix", "rotation": turn}}]}}
print(json.dumps({{"format": {{"format_name": {container!r}}}, "streams": [stream]}}))
"""
MOV = "mov,mp4,m4a,3gp,3g2,mj2"


def pretender(folder: Path, container: str = MOV) -> Path:
    """A program that plays ffprobe: names tell it what to say."""
    program = folder / f"ffprobe-{len(container)}"
    program.write_text(PRETENDER.format(python=sys.executable, container=container))
    program.chmod(0o755)
    return program


def consult(folder: Path, *options: Any, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "tools.oracle", folder, *map(str, options)],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, **environment},
    )


def test_a_folder_of_anything_is_compared(tmp_path: Path) -> None:
    """Names that are no text, files that are no media, pipes, time-outs, cut-off answers: each costs itself only."""
    folder = tmp_path / "files"
    for name in (b"clip.mp4", b"clip \xff\n.mp4", b"clip slow.mp4", b"clip broken.mp4", b"unknown to them.mp4"):
        place_clip(bytes(folder) + b"/" + name)
    stream_without_picture(folder / "deep" / "sound.m4a")
    (folder / "readme.txt").write_text("No media.")
    (folder / "clip of nothing.mp4").write_bytes(b"nothing" * 100)
    os.mkfifo(folder / "pipe.mp4")
    (folder / "link.mp4").symlink_to("nowhere")
    report = tmp_path / "report.json"
    done = consult(folder, "--ffprobe", pretender(tmp_path), "--json", report, "--timeout", 3)
    found = json.loads(report.read_text())
    assert (found["files"], found["compared"]) == (8, 2), done.stderr
    assert found["unanswered"] == ["clip slow.mp4: no answer within 3 s"]
    assert [line.partition(":")[0] for line in found["only_ours"]] == ["clip broken.mp4", "unknown to them.mp4"]
    assert [line.partition(":")[0] for line in found["only_theirs"]] == ["clip of nothing.mp4"]
    assert found["fields"]["opens"] == {
        "compared": 7, "equal": 4, "ours_null": 0, "wrong": 1, "theirs_absent": 2, "agreement": 4 / 7,
    }  # fmt: skip
    assert found["fields"]["width"]["equal"] == found["fields"]["rotation"]["equal"] == 2
    assert found["fields"]["duration"]["theirs_absent"] == 2
    assert done.returncode == 1
    assert b"8 files, 2 compared" in done.stdout
    assert b"only ffprobe opens" in done.stdout


def test_one_wrong_rotation_is_one_too_many(tmp_path: Path) -> None:
    """It is named, whatever the percentage."""
    place_clip(tmp_path / "files" / "clip turned.mp4")
    done = consult(tmp_path / "files", "--ffprobe", pretender(tmp_path))
    assert done.returncode == 1
    assert b"rotation is wrong 1 times" in done.stdout
    assert b"clip turned.mp4: stream.rotation[0]: ours 0, theirs 90" in done.stdout


def test_formats_that_are_refused_on_purpose_count_for_nothing(tmp_path: Path) -> None:
    """A playlist is no video to us, and is one to ffprobe."""
    folder = tmp_path / "files"
    place_clip(folder / "clip.mp4")
    (folder / "clip list.m3u8").write_text("#EXTM3U\n")
    report = tmp_path / "report.json"
    consult(folder, "--ffprobe", pretender(tmp_path, "hls"), "--json", report)
    found = json.loads(report.read_text())
    assert len(found["refused_by_design"]) == 1
    assert found["fields"]["opens"]["compared"] == 1


@pytest.mark.parametrize("empty", [True, False])
def test_where_nothing_can_be_compared_it_says_so(tmp_path: Path, empty: bool) -> None:
    """No file, no folder, no ffprobe; and how to get one."""
    folder = tmp_path / "files"
    if empty:
        folder.mkdir()
    done = consult(folder, "--ffprobe", pretender(tmp_path))
    assert done.returncode == 2
    assert (b"holds no file" if empty else b"is no folder") in done.stderr
    for program in ("/no/such/ffprobe", "true", "false"):
        missing = consult(tmp_path, "--ffprobe", program)
        assert missing.returncode == 2
        assert b"apt install ffmpeg" in missing.stderr
    nowhere = consult(tmp_path, PATH="/nowhere")
    assert nowhere.returncode == 2
    assert b"apt install ffmpeg" in nowhere.stderr


def test_what_was_once_seen_takes_an_ffprobe_s_place(tmp_path: Path) -> None:
    """Files that the list does not name are left out, differences that it knows are not counted."""
    folder = tmp_path / "files"
    place_clip(folder / "clip.mp4", audio=(AudioTrack(language="eng"),))
    place_clip(folder / "other.mp4")
    stream = {"index": 0, "codec_type": "video", "codec_name": "hevc", "disposition": ["default"], "language": "und"}
    row = {"path": "clip.mp4", "opens": True, "format_name": MOV, "chapters": [], "streams": [stream]}
    row["differs"] = {"pyav18.1": ["nstreams", "duration", "bit_rate", "tags", "0.stags", "start"]}
    expected = tmp_path / "EXPECTED.jsonl"
    expected.write_text(json.dumps(row) + "\n")
    report = tmp_path / "report.json"
    done = consult(folder, "--expected", expected, "--json", report, "--all")
    found = json.loads(report.read_text())
    assert found["files"] == 1
    assert {"video_codec", "stream.codec[0]"} <= {entry["field"] for entry in found["disagreements"]}
    assert "streams" not in found["fields"]
    assert done.returncode == 1


@pytest.mark.samples
def test_the_samples_agree(tmp_path: Path) -> None:
    """Every field of every sample: the whole way from the folder to the status."""
    folder = samples_folder()
    report = tmp_path / "report.json"
    done = consult(folder, "--expected", folder / "EXPECTED.jsonl", "--json", report)
    assert json.loads(report.read_text())["failures"] == []
    assert done.returncode == 0


def test_a_folder_without_a_video_proves_nothing(tmp_path: Path) -> None:
    """That both sides refuse everything is no agreement to be proud of."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "readme.txt").write_text("No media.")
    done = consult(tmp_path / "files", "--ffprobe", pretender(tmp_path))
    assert done.returncode == 1
    assert b"1 files, 0 compared" in done.stdout
