"""`stoat serve`: the line that programs wait for, what it refuses, and how it ends."""

import http.client
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli_program import PATIENCE, ctrl_c, ended, start, stoat


def get(address: str, path: str) -> tuple[int, Any]:
    """Ask the server."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    return answer.status, json.loads(body)


@pytest.mark.parametrize("end", ["ctrl-c", "term"])
def test_a_server_listens_scans_and_ends_in_good_order(tmp_path: Path, clips: Path, end: str) -> None:
    """The line comes when requests are taken; a program may rely on it."""
    server = start("serve", clips, "--port", "0", "--data-dir", tmp_path / "data", "--log-level", "debug")
    assert server.stdout is not None
    try:
        address = server.stdout.readline().removeprefix("listening on ").strip()
        assert get(address, "/health/live") == (200, {"status": "ok"})
        told = [server.stdout.readline() for _ in range(4)]
        assert any(str(tmp_path / "data") in line for line in told)
        assert any(str(clips) in line for line in told)
        until = time.monotonic() + 180
        while get(address, "/api/v1/videos")[1]["total"] == 0 and time.monotonic() < until:
            time.sleep(0.1)
        assert get(address, "/api/v1/videos")[1]["total"] >= 2
    finally:
        if end == "term":
            server.send_signal(signal.SIGTERM)
        else:
            ctrl_c(server)
        status, out, log, seconds = ended(server)
    assert (status, out) == (0, "")
    assert seconds < PATIENCE
    assert "GET /health/live" in log, "requests are logged at the level debug"
    assert "Traceback" not in log
    assert "worker stopped" in log


def test_a_server_ends_although_a_client_stays(tmp_path: Path) -> None:
    """Connections get a moment, not for ever."""
    server = start("serve", "--port", "0", "--data-dir", tmp_path)
    assert server.stdout is not None
    port = int(server.stdout.readline().rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /")
        client.recv(1000)
        server.terminate()
        status, _, log, seconds = ended(server)
    assert status == 0
    assert seconds < PATIENCE
    assert "health" not in log, "requests are not logged"


def test_a_port_in_use(tmp_path: Path) -> None:
    """One line, with the way out, and nothing is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = stoat("serve", "--port", port, "--data-dir", tmp_path / "data")
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: Port {port} on 127.0.0.1 is in use")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["--host", "0.0.0.0"], 3, "Refusing to listen on 0.0.0.0"),  # noqa: S104 - it is refused
        (["/no/such/folder"], 4, "/no/such/folder does not exist"),
    ],
)
def test_what_a_server_refuses(tmp_path: Path, arguments: list[str], status: int, part: str) -> None:
    """Before it takes a single request."""
    done = stoat("serve", *arguments, "--port", "0", "--data-dir", tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("error: ")
    assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_data_directory_that_cannot_be_used(tmp_path: Path) -> None:
    """A file in its place, or a database that is none."""
    (tmp_path / "file").write_text("")
    done = stoat("serve", "--port", "0", "--data-dir", tmp_path / "file")
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "library.db").write_bytes(b"garbage" * 100)
    done = stoat("serve", "--port", "0", "--data-dir", tmp_path / "data")
    assert done.returncode == 3
    assert "library.db could not be used" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(tmp_path / "data") == ["library.db"]


@pytest.mark.parametrize("arguments", [("serve", "--port", "0"), ("worker",)])
def test_libraries_that_are_not_safe_with_unknown_files(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Neither a server nor a worker starts with them; a worker would fail all that it takes."""
    (tmp_path / "sitecustomize.py").write_text("from stoat_ferret.media import probe\nprobe.MINIMUM_FFMPEG = (99, 0)\n")
    done = stoat(*arguments, "--data-dir", tmp_path / "data", PYTHONPATH=str(tmp_path))
    assert done.returncode == 3, done.stderr
    assert "is not safe with unknown files; install FFmpeg 99.0 or newer" in done.stderr
    assert "listening" not in done.stdout


def test_a_setting_that_cannot_be_used(tmp_path: Path) -> None:
    """Its variable is named."""
    done = stoat("serve", "--data-dir", tmp_path, STOAT_PORT="many")
    assert done.returncode == 3
    assert "STOAT_PORT" in done.stderr


@pytest.mark.parametrize("name", ["serve", "worker"])
def test_what_runs_until_stopped_speaks_json_too(tmp_path: Path, name: str) -> None:
    """The server says where it listens in one document; both write their log as JSON, a line each."""
    options = ("--port", "0") if name == "serve" else ()
    process = start(name, "--json", *options, "--data-dir", tmp_path / "data")
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        if name == "serve":
            told = json.loads(process.stdout.readline())
            assert get(told["listening"], "/health/live")[0] == 200
            assert told["data"] == str(tmp_path / "data")
        assert json.loads(process.stderr.readline())["event"] == "worker started"
        process.send_signal(signal.SIGTERM)
    finally:
        ended(process)
