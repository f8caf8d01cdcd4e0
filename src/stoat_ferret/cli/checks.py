"""The checks of `stoat doctor`: each looks at one thing, says how it stands and how to mend it, and changes nothing."""

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stoat_ferret.cli.session import opened
from stoat_ferret.cli.text import count, size
from stoat_ferret.errors import ConfigurationError, StoatError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from stoat_ferret.db.diagnosis import DatabaseState
    from stoat_ferret.db.migrate import Tree
    from stoat_ferret.settings import Settings

Verdict = Literal["ok", "warn", "fail"]

LITTLE_SPACE = 1 << 30
NO_SPACE = 50 << 20
OLDEST_POSTGRES = 13
"""What Procrastinate and the queries here are made for."""
ANSWER_SECONDS = 2.0
START_SECONDS = 30.0
NETWORK_FILE_SYSTEMS = frozenset(
    "9p afs afpfs ceph cifs davfs fuse.davfs2 fuse.glusterfs fuse.rclone fuse.s3fs fuse.sshfs glusterfs gpfs lustre "
    "ncpfs nfs nfs4 smb2 smb3 smbfs".split()
)
"""Where SQLite's locks cannot be relied on; https://www.sqlite.org/lockingv3.html section 6.0."""
REINSTALL = "Install stoat-ferret anew: python -m pip install --force-reinstall stoat-ferret"
_VERSIONS = """
import av, json
print(json.dumps([av.__version__, av.ffmpeg_version_info]), flush=True)
from stoat_ferret.errors import StoatError
from stoat_ferret.media.probe import require_safe_versions
try:
    require_safe_versions()
except StoatError as error:
    raise SystemExit(error.message)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing stands. `mend` says what to do; it is empty when all is well."""

    name: str
    verdict: Verdict
    detail: str
    mend: str = ""

    def to_json(self) -> dict[str, str]:
        """Give it as plain data."""
        return asdict(self)


def examine_all(settings: "Settings") -> Iterator[Finding]:
    """Do every check, one after the other."""
    yield python()
    yield media_library()
    usable = True
    for finding in files(settings) if settings.database_url is None else on_postgres(settings, settings.database_url):
        usable = usable and (finding.verdict == "ok" or not finding.name.endswith(("database", "postgres", "schema")))
        yield finding
    if usable and data_is_there(settings):
        yield workers(settings)
    yield sandbox(settings)
    yield from media_roots(settings)
    yield port(settings.host, settings.port)


def files(settings: "Settings") -> Iterator[Finding]:
    """Whether the data can be kept in files."""
    yield sqlite()
    yield from data_directory(settings.data_dir)
    yield database(settings.library_database, "library")
    yield database(settings.jobs_database, "jobs")


def on_postgres(settings: "Settings", address: "SecretStr") -> Iterator[Finding]:
    """Whether the data can be kept on a Postgres server, and pictures in the data directory."""
    yield from (finding for finding in data_directory(settings.data_dir) if finding.name != "file system")
    yield from postgres(address)


def postgres(address: "SecretStr") -> Iterator[Finding]:
    """Whether the server and the database are as they should be."""
    from stoat_ferret.db.engine import postgres_url, shown
    from stoat_ferret.db.postgres_diagnosis import examine_server

    try:
        url = postgres_url(address.get_secret_value())
        state = examine_server(url)
    except StoatError as error:
        mend = "Start the server, or correct its address: STOAT_DATABASE_URL or --database-url."
        yield Finding("postgres", "fail", error.message, mend)
        return
    name = shown(url)
    detail = f"PostgreSQL {state.version}, {state.encoding}, {size(state.size)}, {name}"
    if state.encoding != "UTF8":
        mend = "Make a database WITH ENCODING 'UTF8' TEMPLATE template0, and name that one."
        yield Finding("postgres", "fail", detail, mend)
    elif int(state.version.partition(".")[0]) < OLDEST_POSTGRES:
        mend = f"Update the server to {OLDEST_POSTGRES} or newer."
        yield Finding("postgres", "fail", detail, mend)
    else:
        yield Finding("postgres", "ok", detail)
    for tree, found in state.schemas.items():
        title = f"{tree} schema"
        if found.schema is None:
            yield Finding(title, "ok", "is not there yet; it will be made at first use.")
        else:
            yield schema(title, name, found)


def data_is_there(settings: "Settings") -> bool:
    """Tell whether there are data to work with, so that nothing is made by looking."""
    from stoat_ferret.runtime import has_library

    return has_library(settings) and (settings.database_url is not None or settings.jobs_database.exists())


def python() -> Finding:
    """Which Python runs this."""
    return Finding("python", "ok", f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}")


def media_library() -> Finding:
    """Whether PyAV and FFmpeg are safe to use; asked in another process, which they may crash."""
    command = [sys.executable, "-P", "-c", _VERSIONS]
    try:
        asked = subprocess.run(  # noqa: S603 - our own interpreter and text
            command, capture_output=True, text=True, errors="replace", timeout=START_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("media library", "fail", f"PyAV could not be asked for its version: {error}", REINSTALL)
    said = (asked.stderr.strip().splitlines() or [f"exit status {asked.returncode}"])[-1]
    try:
        pyav, ffmpeg = json.loads(asked.stdout)
    except ValueError:
        return Finding("media library", "fail", f"PyAV cannot be loaded: {said}", REINSTALL)
    versions = f"PyAV {pyav}, FFmpeg {ffmpeg}"
    if asked.returncode:
        return Finding("media library", "fail", f"{versions}: {said}", "Update it: python -m pip install -U av")
    return Finding("media library", "ok", versions)


def sqlite() -> Finding:
    """Whether SQLite can search text."""
    from stoat_ferret.db.diagnosis import sqlite_features

    features = sqlite_features()
    if not features.full_text_search:
        mend = "Use a Python whose SQLite has FTS5, such as those of python.org, Debian or uv."
        return Finding("sqlite", "fail", f"SQLite {features.version} lacks FTS5, which search needs.", mend)
    return Finding("sqlite", "ok", f"SQLite {features.version} with FTS5")


def data_directory(folder: Path) -> Iterator[Finding]:
    """Whether data can be kept: folder, space, file system."""
    existing = nearest_existing(folder)
    name = "data directory"
    if not existing.is_dir():
        yield Finding(name, "fail", f"{existing} is not a folder.", "Name another one with --data-dir.")
        return
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        mend = f"Give this user the right to write in {existing}, or name another folder with --data-dir."
        yield Finding(name, "fail", f"{existing} may not be written by this user.", mend)
        return
    yield Finding(name, "ok", str(folder) if existing == folder else f"{folder} will be made at first use.")
    yield free_space(existing)
    yield file_system(existing)


def nearest_existing(folder: Path) -> Path:
    """Give the folder, or the nearest one above it that is there."""
    return next((path for path in (folder, *folder.parents) if os.path.lexists(path)), Path("/"))


def free_space(folder: Path) -> Finding:
    """Whether the disk has room."""
    free = shutil.disk_usage(folder).free
    detail = f"{size(free)} free"
    mend = f"Free some space on the disk that holds {folder}."
    if free < NO_SPACE:
        return Finding("free space", "fail", detail, mend)
    return Finding("free space", "warn", detail, mend) if free < LITTLE_SPACE else Finding("free space", "ok", detail)


def file_system(folder: Path) -> Finding:
    """Whether the data lies on a disk of this machine."""
    kind = file_system_type(folder)
    if kind in NETWORK_FILE_SYSTEMS:
        mend = "Keep the data on a disk of this machine (--data-dir); the footage itself may lie anywhere."
        detail = f"{folder} lies on a network file system ({kind}), where SQLite's locks cannot be relied on."
        return Finding("file system", "warn", detail, mend)
    return Finding("file system", "ok", kind or "not known")


def file_system_type(folder: Path) -> str:
    """Give the type of the file system that holds a folder; empty where the system does not tell."""
    import psutil

    real = Path(os.path.realpath(folder))
    mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    return next((mounts[path].lower() for path in (real, *real.parents) if path in mounts), "")


def database(file: Path, tree: "Tree") -> Finding:
    """Whether a database is sound and of the present schema."""
    from stoat_ferret.db.diagnosis import examine

    name = f"{tree} database"
    if not os.path.lexists(file):
        return Finding(name, "ok", f"{file.name} is not there yet; it will be made at first use.")
    state = examine(file, tree)
    if state.problem is not None:
        mend = f"Stop stoat, move {file} (with its -wal and -shm) away, or put a backup in its place, and scan again."
        return Finding(name, "fail", f"{file} is not sound: {state.problem}", mend)
    fresh = f"sound, schema {state.schema}, {size(file.stat().st_size)}"
    return schema(name, str(file), state) if state.schema != state.newest else Finding(name, "ok", fresh)


def schema(name: str, place: str, state: "DatabaseState") -> Finding:
    """Whether a schema is the present one."""
    if state.schema == state.newest:
        return Finding(name, "ok", f"schema {state.schema}")
    known = f"schema {state.schema}" if state.schema else "no schema"
    mend = "It is upgraded at the next start. If that is refused, a newer stoat-ferret wrote it: update stoat-ferret."
    return Finding(name, "warn", f"{place} has {known}; this program works with {state.newest}.", mend)


def workers(settings: "Settings") -> Finding:
    """Whether somebody runs the jobs that wait."""
    from stoat_ferret.jobs.model import JobStatus

    try:
        with opened(settings) as runtime:
            alive = asyncio.run(runtime.queue.live_workers())
            waiting = asyncio.run(runtime.queue.list(status=JobStatus.PENDING, limit=1)).jobs
    except StoatError as error:
        return Finding("worker", "fail", error.message, "Stop other programs that use the data directory, and retry.")
    if alive:
        pids = ", ".join(str(worker.pid) for worker in alive)
        return Finding("worker", "ok", f"{count(len(alive), 'worker')} alive (process {pids})")
    if waiting:
        mend = "Run `stoat serve` or `stoat worker`."
        return Finding("worker", "warn", "Jobs wait, and no worker is alive.", mend)
    return Finding("worker", "ok", "None runs and no job waits; `stoat serve` and `stoat scan` start one.")


def sandbox(settings: "Settings") -> Finding:
    """Whether a process that examines files starts, and how far it is locked down."""
    from stoat_ferret.media.grabber import FrameGrabber
    from stoat_ferret.media.sandbox import in_words, lacking

    name = "media sandbox"
    try:
        with FrameGrabber(memory_limit_bytes=settings.probe_memory_mib << 20) as grabber:
            controls = grabber.check(START_SECONDS)
    except ConfigurationError as error:
        return Finding(name, "fail", error.message, REINSTALL)
    except StoatError as error:
        return Finding(name, "fail", error.message, "Try again when the machine has less to do.")
    got = ", ".join(in_words(control) for control, works in controls.items() if works) or "nothing"
    if missing := ", ".join(lacking(controls)):
        mend = (
            "The system refuses these; Landlock wants Linux 5.13 or newer and its name in /sys/kernel/security/lsm, "
            "seccomp an x86-64 or ARM64 processor. Scan only footage that you trust, or run stoat where they are there."
        )
        return Finding(name, "warn", f"starts; has {got}; lacks {missing}", mend)
    return Finding(name, "ok", f"starts; has {got}")


def media_roots(settings: "Settings") -> Iterator[Finding]:
    """Whether the folders that may be scanned can be read."""
    if not settings.media_roots:
        yield Finding("media roots", "ok", "Any folder that this user can read may be scanned.")
    for root in settings.media_roots:
        if not root.is_dir():
            mend = "Mount its disk, or correct STOAT_MEDIA_ROOTS."
            yield Finding("media root", "warn", f"{root} is not there.", mend)
        elif not os.access(root, os.R_OK | os.X_OK):
            mend = "Grant this user the right to read and search it."
            yield Finding("media root", "fail", f"{root} may not be read.", mend)
        else:
            yield Finding("media root", "ok", str(root))


def port(host: str, number: int) -> Finding:
    """Whether the server can have its port, or has it already."""
    from stoat_ferret.cli.serve import listen

    place = f"{host}:{number}"
    try:
        listen(host, number).close()
    except ConfigurationError as error:
        if answers(host, number):
            return Finding("port", "ok", f"A server answers at http://{place}.")
        return Finding("port", "warn", error.message, "Serve on another one with --port, or end what holds it.")
    return Finding("port", "ok", f"{place} is free; no server runs there.")


def answers(host: str, number: int) -> bool:
    """Tell whether a stoat-ferret server answers there."""
    connection = HTTPConnection(host.strip("[]"), number, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/health/live")
        response = connection.getresponse()
        body: Any = json.loads(response.read(1000))
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return response.status == 200 and isinstance(body, dict) and body.get("status") == "ok"
