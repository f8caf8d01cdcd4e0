"""The doctor's checks, each on its own."""

import http.server
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from stoat_ferret.cli import checks
from stoat_ferret.cli.checks import Finding
from stoat_ferret.db import diagnosis
from stoat_ferret.db.engine import open_postgres, open_sqlite
from stoat_ferret.db.migrate import upgrade
from stoat_ferret.errors import ConfigurationError, ProbeTimeoutError
from stoat_ferret.media.grabber import FrameGrabber
from stoat_ferret.settings import Settings
from tests.postgres import PostgresServer

Mount = namedtuple("Mount", "mountpoint fstype")
Usage = namedtuple("Usage", "free")


def verdicts(findings: Iterator[Finding]) -> list[str]:
    """Give how they stand."""
    return [finding.verdict for finding in findings]


def mended(finding: Finding) -> str:
    """Give the verdict of a finding that says what to do if and only if something is to be done."""
    assert bool(finding.mend) == (finding.verdict != "ok")
    return finding.verdict


@pytest.mark.parametrize(
    ("stdout", "stderr", "status", "verdict", "part"),
    [
        ('["18.1.0", "8.1.2"]', "", 0, "ok", "PyAV 18.1.0, FFmpeg 8.1.2"),
        ('["15.1.0", "7.1"]', "PyAV 15.1.0 is not safe", 1, "fail", "FFmpeg 7.1: PyAV 15.1.0 is not safe"),
        ("", "Traceback\nImportError: libavcodec", 1, "fail", "ImportError: libavcodec"),
        ("", "", -11, "fail", "exit status -11"),
    ],
)
def test_the_media_library_is_asked_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str, status: int, verdict: str, part: str
) -> None:
    """Loading it may crash."""
    done = subprocess.CompletedProcess([], status, stdout, stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    finding = checks.media_library()
    assert mended(finding) == verdict
    assert part in finding.detail


def test_a_media_library_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for for ever."""

    def hang(*_arguments: Any, **_options: Any) -> None:
        raise subprocess.TimeoutExpired("python", 30)

    monkeypatch.setattr(subprocess, "run", hang)
    assert mended(checks.media_library()) == "fail"


def test_sqlite_must_be_able_to_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without FTS5 nothing is found."""
    assert mended(checks.sqlite()) == "ok"
    lacking = diagnosis.SqliteFeatures("3.40.1", full_text_search=False)
    monkeypatch.setattr(diagnosis, "sqlite_features", lambda: lacking)
    assert mended(checks.sqlite()) == "fail"


def test_a_data_directory_need_not_be_there_yet(tmp_path: Path) -> None:
    """Then what is above it counts, and it is not made."""
    findings = list(checks.data_directory(tmp_path / "a" / "b"))
    assert findings[0].verdict == "ok"
    assert "will be made" in findings[0].detail
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    """Nothing else is looked at then."""
    (tmp_path / "data").write_text("")
    assert verdicts(checks.data_directory(tmp_path / "data")) == ["fail"]


def test_a_data_directory_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the answer is given here."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert [mended(finding) for finding in checks.data_directory(tmp_path)] == ["fail"]


@pytest.mark.parametrize(("free", "verdict"), [(10 << 30, "ok"), (500 << 20, "warn"), (1 << 20, "fail")])
def test_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str) -> None:
    """Little is a warning, next to nothing a failure."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free))
    assert mended(checks.free_space(tmp_path)) == verdict


@pytest.mark.parametrize(("kind", "verdict"), [("ext4", "ok"), ("NFS4", "warn"), ("fuse.sshfs", "warn"), ("", "ok")])
def test_a_network_file_system_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, verdict: str
) -> None:
    """The innermost mount counts."""
    mounts = [Mount("/", "nfs"), Mount(os.path.realpath(tmp_path), kind)]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    assert mended(checks.file_system(tmp_path)) == verdict


def test_a_system_that_does_not_tell_its_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is claimed then."""
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [])
    assert checks.file_system(tmp_path).detail == "not known"


def test_databases(tmp_path: Path) -> None:
    """Not there, sound, of another schema, not sound."""
    file = tmp_path / "library.db"
    assert mended(checks.database(file, "library")) == "ok"
    database = open_sqlite(file)
    upgrade(database, "library")
    database.close()
    assert mended(checks.database(file, "library")) == "ok"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert mended(checks.database(file, "library")) == "warn"
    file.write_bytes(b"garbage")
    assert mended(checks.database(file, "library")) == "fail"


def test_a_database_that_cannot_be_opened_for_work(tmp_path: Path) -> None:
    """The worker check says why."""
    (tmp_path / "library.db").write_bytes(b"garbage" * 100)
    assert mended(checks.workers(Settings(data_dir=tmp_path))) == "fail"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"nice": True, "memory_limit": True}, "ok"),
        ({"nice": True, "memory_limit": False}, "warn"),
        ({"landlock_no_tcp": False, "seccomp": True}, "ok"),
        ({"landlock_no_tcp": True, "seccomp": False}, "warn"),
        ({"nice": False}, "warn"),
        (ConfigurationError("It cannot be started."), "fail"),
        (ProbeTimeoutError("It took too long."), "fail"),
    ],
)
def test_the_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: object, verdict: str) -> None:
    """Which controls it has is told, and which it lacks."""

    def check(_grabber: FrameGrabber, _timeout: float) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(FrameGrabber, "check", check)
    assert mended(checks.sandbox(Settings(data_dir=tmp_path))) == verdict


def test_media_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There and readable, or not."""
    (tmp_path / "there").mkdir()
    roots = (tmp_path / "there", tmp_path / "away")
    assert verdicts(checks.media_roots(Settings(data_dir=tmp_path, media_roots=roots))) == ["ok", "warn"]
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert verdicts(checks.media_roots(Settings(data_dir=tmp_path, media_roots=roots[:1]))) == ["fail"]
    assert verdicts(checks.media_roots(Settings(data_dir=tmp_path))) == ["ok"]


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every request with the server's `body`."""

    def do_GET(self) -> None:
        """Answer."""
        body: bytes = self.server.body  # type: ignore[attr-defined]  # set below
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("body", "verdict"), [(b'{"status": "ok"}', "ok"), (b"<html>", "warn"), (b"[]", "warn")])
def test_a_port_that_is_taken(body: bytes, verdict: str) -> None:
    """By a server of ours, which is fine, or by something else."""
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.body = body  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        finding = checks.port("127.0.0.1", server.server_port)
        thread.join()
        taken = server.server_port
    assert mended(finding) == verdict
    assert mended(checks.port("127.0.0.1", taken)) == "ok"


def test_this_python_is_named() -> None:
    """With its place."""
    assert sys.executable in checks.python().detail


@pytest.mark.postgres
def test_a_postgres_server_is_asked_instead_of_files(postgres: PostgresServer, tmp_path: Path) -> None:
    """Before there is a library on it, and after; the password is never shown."""
    with postgres.database() as url, postgres.database(migrated=True) as migrated:
        for address, detail in ((url, "not there yet"), (migrated, "schema 0")):
            secret = SecretStr(address.render_as_string(hide_password=False))
            settings = Settings(data_dir=tmp_path, database_url=secret)
            findings = list(checks.on_postgres(settings, secret))
            assert verdicts(iter(findings)) == ["ok"] * len(findings)
            assert [finding.name for finding in findings][-3:] == ["postgres", "library schema", "jobs schema"]
            assert detail in findings[-1].detail
            assert "PostgreSQL" in findings[-3].detail
            assert "UTF8" in findings[-3].detail
            assert checks.data_is_there(settings) is (address is migrated)


@pytest.mark.postgres
def test_a_postgres_server_that_will_not_do(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Because of its database's encoding, its age, or since a schema on it is of another version."""
    with postgres.database(encoding="SQL_ASCII") as url:
        (finding, *_) = checks.postgres(SecretStr(url.render_as_string(hide_password=False)))
        assert (mended(finding), "SQL_ASCII" in finding.detail) == ("fail", True)
    with postgres.database(migrated=True) as url:
        database = open_postgres(url, "stoat_jobs")
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
        database.close()
        monkeypatch.setattr(checks, "OLDEST_POSTGRES", 1000)
        found = list(checks.postgres(SecretStr(url.render_as_string(hide_password=False))))
        assert [mended(finding) for finding in found] == ["fail", "ok", "warn"]


@pytest.mark.parametrize("address", ["postgresql://u:secret@127.0.0.1:1/x", "nothing", "postgresql://u:secret@h:x/y"])
def test_a_postgres_server_that_is_not_there(address: str) -> None:
    """Or an address that is none; either way without the password."""
    (finding,) = checks.postgres(SecretStr(address))
    assert mended(finding) == "fail"
    assert "secret" not in finding.detail
