"""Pictures made ahead by the installed program: killed and gone on with, cancelled, given way for, on a full disk."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.test_blackbox.conftest import Start
from tests.test_blackbox.program import Program
from tests.test_blackbox.test_full_disk import small_disk  # noqa: F401
from tests.test_blackbox.test_kill import check_databases, wait_for_progress
from tools.trees import make_tree

FILES = 1500


def submit(program: Program, **body: object) -> str:
    """Have pictures made; gives the job's id."""
    answer = program.client.post("/api/v1/videos/thumbnails", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def kept(data: Path) -> dict[Path, int]:
    """Give the pictures in the cache, and when each was made."""
    return {path: path.stat().st_mtime_ns for path in (data / "thumbnails").rglob("[!.]*.jpeg")}


def check_whole(data: Path) -> None:
    """No picture is there by half: each ends as a JPEG does."""
    for path in kept(data):
        content = path.read_bytes()
        assert (content[:2], content[-2:]) == (b"\xff\xd8", b"\xff\xd9")


@pytest.mark.slow
def test_killing_worker_and_server_loses_no_picture(start: Start, tmp_path: Path) -> None:
    """The job goes on by itself with what is lacking; what was there is not touched."""
    make_tree(tmp_path / "films", FILES)
    data = tmp_path / "data"
    program = start(measured=False)
    program.scan(tmp_path / "films")
    job_id = submit(program)
    for part in (1, 2):
        wait_for_progress(program, job_id, FILES * part // 5)
        before = kept(data)
        program.worker().kill()
        wait_for_progress(program, job_id, len(before))
        assert before.items() <= kept(data).items(), "what was there was made again"
    wait_for_progress(program, job_id, FILES * 3 // 5)
    program.kill()
    before = kept(data)
    check_whole(data)
    program = start(measured=False)
    job = program.finish(job_id)
    assert job["status"] == "complete", job
    assert (job["result"]["made"] + job["result"]["present"], job["result"]["failed"]) == (FILES, 0)
    assert len(kept(data)) == FILES
    assert before.items() <= kept(data).items()
    check_whole(data)
    program.stop()
    check_databases(data)


def test_a_cancel_is_heeded_at_once(program: Program, tmp_path: Path) -> None:
    """What was made until then is kept and told."""
    make_tree(tmp_path / "films", FILES)
    program.scan(tmp_path / "films")
    job_id = submit(program)
    wait_for_progress(program, job_id, 20)
    began = time.monotonic()
    assert program.client.post(f"/api/v1/jobs/{job_id}/cancel").status_code == 202
    job = program.finish(job_id)
    seconds = time.monotonic() - began
    assert job["status"] == "cancelled"
    assert seconds < 5, "it takes a quarter of a second, on a machine that is not busy"
    assert 20 <= job["result"]["made"] <= len(kept(tmp_path / "data")) < FILES


def test_scans_go_first(start: Start, tmp_path: Path) -> None:
    """Of the same library, and of another one, which only lacks the slot; the job then goes on where it was."""
    make_tree(tmp_path / "films", FILES)
    make_tree(tmp_path / "other", 5)
    program = start()
    program.scan(tmp_path / "films")
    program.stop()
    # So slow that it would take a minute.
    program = start(STOAT_LEASE_RENEW_SECONDS="0.3", STOAT_SCAN_BYTES_PER_SECOND="300000")
    job_id = submit(program, path=str(tmp_path / "films"))
    for attempt, folder in enumerate(("films", "other"), 2):
        wait_for_progress(program, job_id, 10)
        program.scan(tmp_path / folder)
        while program.job(job_id)["attempt"] < attempt:
            time.sleep(0.05)
        job = program.job(job_id)
        assert job["status"] in ("pending", "running"), "the scan had to wait for the pictures"
        assert job["attempt"] == attempt
    made = len(kept(tmp_path / "data"))
    program.client.post(f"/api/v1/jobs/{job_id}/cancel")
    job = program.finish(job_id)
    assert made <= job["result"]["made"] + job["result"]["present"] < FILES
    program.stop()


def test_pictures_follow_a_scan_by_themselves(start: Start, tmp_path: Path) -> None:
    """Where the setting says so: the worker of the server has it too."""
    make_tree(tmp_path / "films", 20)
    program = start(STOAT_THUMBNAILS="after_scan")
    program.scan(tmp_path / "films")
    [job] = program.pages("/api/v1/jobs", "jobs", type="thumbnails")
    assert program.finish(job["job_id"])["result"]["made"] == 20
    assert len(kept(tmp_path / "data")) == 20
    program.stop()


@pytest.mark.slow
def test_a_full_disk_is_said_and_room_helps(start: Start, small_disk: Path, tmp_path: Path) -> None:  # noqa: F811
    """The job ends with that reason; no half a picture is left; with room the next one makes the rest."""
    make_tree(tmp_path / "films", FILES)
    subprocess.run(["mount", "-o", "remount,size=60m", str(small_disk)], check=True)
    program = start(data="disk/data")
    program.scan(tmp_path / "films")
    ballast = small_disk / "ballast"
    free = int(subprocess.check_output(["stat", "-f", "-c", "%a * %S", str(small_disk)]).split()[0]) * 4096
    ballast.write_bytes(bytes(max(0, free - 600_000)))
    job = program.finish(submit(program))
    assert (job["status"], job["error_code"]) == ("failed", "STORAGE_FULL"), json.dumps(job)
    check_whole(small_disk / "data")
    made = len(kept(small_disk / "data"))
    assert 0 < made < FILES
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    job = program.finish(submit(program))
    assert job["status"] == "complete", json.dumps(job)
    assert job["result"]["present"] == made
    assert job["result"]["made"] == FILES - made
    program.stop()
