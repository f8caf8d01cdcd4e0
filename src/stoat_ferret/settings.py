"""Every setting, read once from the environment (`STOAT_*`) and never changed afterwards."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stoat_ferret.errors import ConfigurationError, plain_message

DEFAULT_VIDEO_EXTENSIONS = tuple(
    "264 265 266 3g2 3gp amv asf av1 avc avi bik divx dv f4v flc fli flv gxf h264 h265 hevc ivf m1v m2t m2ts m2v m4s "
    "m4v mj2 mjpeg mjpg mkv mov mp4 mpe mpeg mpg mpv mts mxf nsv nut obu ogm ogv ps qt rm rmvb smk ts viv vob vvc webm "
    "wmv wtv y4m".split()
)

# Environment values of these fields reach the validators below as they are, instead of being read as JSON.
SplitOnSeparator = NoDecode


class Settings(BaseSettings):
    """What can be set. Lists of paths are separated by `:`, other lists by commas."""

    model_config = SettingsConfigDict(env_prefix="STOAT_", frozen=True, extra="forbid")

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("stoat-ferret", appauthor=False),
        description="Where the databases and the thumbnail cache lie.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="A Postgres database, as postgresql+psycopg://user:password@host/name; without it, SQLite files in "
        "the data directory.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on; only loopback addresses are accepted.")
    port: int = Field(8765, ge=0, le=65535, description="Port to listen on; 0 picks a free one and prints it.")
    media_roots: Annotated[tuple[Path, ...], SplitOnSeparator] = Field(
        (), description="Folders that may be scanned, with all below them; empty: any folder the user can read."
    )
    allowed_hosts: Annotated[tuple[str, ...], SplitOnSeparator] = Field(
        (), description="Names besides the loopback ones that a request's Host header may carry."
    )
    video_extensions: Annotated[tuple[str, ...], SplitOnSeparator] = Field(
        DEFAULT_VIDEO_EXTENSIONS, description="Name endings, without the dot, of files that are examined."
    )
    probe_workers: int = Field(
        default_factory=lambda: min(8, os.cpu_count() or 2), ge=1, le=64, description="Processes that examine files."
    )
    probe_timeout_seconds: float = Field(30.0, gt=0, description="Time that one file may take to be examined.")
    probe_memory_mib: int = Field(2048, ge=512, description="Address space that one examining process may use, in MiB.")
    scan_bytes_per_second: float = Field(
        0.0,
        ge=0,
        description="How much content a worker's scans read in a second; 0: as fast as it goes.",
    )
    device_concurrency: int = Field(
        0,
        ge=0,
        description="How many files on one device a worker's scans examine at once, all together; 0: as many as there "
        "are processes. 1 or 2 spare a spinning disk its seeks.",
    )
    path_timeout_seconds: float = Field(2.0, gt=0, description="Time that a disk has to answer whether a path exists.")
    list_timeout_seconds: float = Field(
        60.0, gt=0, description="Time that a disk may be silent while a scan lists one of its folders."
    )
    lease_seconds: float = Field(10.0, gt=0, description="A job whose worker is silent for so long is taken over.")
    lease_renew_seconds: float = Field(2.0, gt=0, description="How often a worker says that it is alive.")
    worker_slots: int = Field(2, ge=2, le=32, description="Jobs run at once by a worker; one slot never takes scans.")
    worker_roots: Annotated[tuple[str, ...], SplitOnSeparator] = Field(
        (),
        description="Folders that this machine's worker reaches, each as PATH or, where it lies elsewhere here than "
        "for the others, as PATH=HERE; empty: every folder, under the same path.",
    )
    job_limits: Annotated[dict[str, int], SplitOnSeparator] = Field(
        {},
        description="How many jobs of a type may run at once, over all workers, as in scan=1,probe=8. A scan that "
        "waits for its parts takes no worker's slot and does not count.",
    )
    job_timeouts: Annotated[dict[str, float], SplitOnSeparator] = Field(
        {}, description="How many seconds a job of a type may take, as in scan=7200; without: as long as it needs."
    )
    retention_days: float = Field(
        30.0, gt=0, description="How long jobs that have ended, their ledgers and idempotency keys are kept."
    )
    maintenance_schedule: str = Field(
        "30 3 * * *",
        description="When the daily maintenance runs, as a cron line in this machine's time; empty: never.",
    )
    verify_schedule: str = Field(
        "",
        description="When files are read as wholes by themselves, as a cron line in this machine's time; empty: never.",
    )
    verify_interval_days: float = Field(
        90.0, ge=0, description="A scheduled verification reads a file again only after so many days."
    )
    verify_bytes_per_second: float = Field(
        0.0, ge=0, description="A scheduled verification reads no faster; 0: as fast as it goes."
    )
    verify_max_bytes: int = Field(
        0, ge=0, description="A scheduled verification stops after so many bytes, and goes on the next time; 0: never."
    )
    thumbnails: Literal["on_demand", "after_scan"] = Field(
        "on_demand",
        description="When pictures are made: when someone looks at one, or also by themselves after each scan that "
        "found new or changed videos.",
    )
    max_event_streams: int = Field(500, ge=1, description="Event streams (text/event-stream) that may be open at once.")
    max_loss_fraction: float = Field(
        0.5, ge=0, le=1, description="A scan that would lose a larger part of a library stops and asks."
    )
    settle_seconds: float = Field(
        5.0,
        ge=0,
        le=3600,
        description="For libraries made from now on: a file younger than this may still be being written.",
    )
    watch_poll_seconds: float = Field(
        900.0, gt=0, description="How often a watched library is scanned whole where its disk does not tell of changes."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe message shown.")
    log_format: Literal["console", "json"] = Field("console", description="How log lines are written.")

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("media_roots", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    @field_validator("media_roots")
    @classmethod
    def _resolve_roots(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(Path(os.path.realpath(path.expanduser())) for path in value)

    @field_validator("worker_roots", mode="before")
    @classmethod
    def _split_roots(cls, value: Any) -> Any:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    @field_validator("job_limits", "job_timeouts", mode="before")
    @classmethod
    def _split_pairs(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        wrong = [name for name, equals, _ in pairs if not equals]
        if wrong:
            msg = f"{wrong[0]!r} has no number; write it as in scan=1"
            raise ValueError(msg)
        return {name.strip(): number.strip() for name, _, number in pairs}

    @field_validator("job_limits", "job_timeouts")
    @classmethod
    def _positive(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, number in value.items():
            if number <= 0:
                msg = f"{name}={number} must be more than 0"
                raise ValueError(msg)
        return value

    @field_validator("allowed_hosts", "video_extensions", mode="before")
    @classmethod
    def _split_words(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("video_extensions")
    @classmethod
    def _lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(extension.lower().lstrip(".") for extension in value)

    @property
    def library_database(self) -> Path:
        """The catalogue's file."""
        return self.data_dir / "library.db"

    @property
    def jobs_database(self) -> Path:
        """The job records' file: one of its own, so that a submit never waits behind a scan's batches."""
        return self.data_dir / "jobs.db"

    @property
    def thumbnail_dir(self) -> Path:
        """The cache of thumbnails; it may be deleted at any time."""
        return self.data_dir / "thumbnails"


def load_settings(**overrides: Any) -> Settings:
    """Read the environment; an override that is None counts as not given.

    Raises:
        ConfigurationError: a value cannot be used; the message names the variable and the value.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = "STOAT_" + "_".join(str(part) for part in problem["loc"][:1]).upper()
            lines.append(f"{name}={problem.get('input')!r}: {plain_message(problem['msg'])}")
        raise ConfigurationError("; ".join(lines)) from error


def as_environment(settings: Settings) -> dict[str, str]:
    """Give the environment variables that make another process read the same settings."""
    values: dict[str, str] = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if value is None:
            continue
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        elif name in ("media_roots", "worker_roots"):
            value = os.pathsep.join(str(path) for path in value)
        elif isinstance(value, tuple):
            value = ",".join(value)
        elif isinstance(value, dict):
            value = ",".join(f"{key}={number}" for key, number in value.items())
        values["STOAT_" + name.upper()] = str(value)
    return values
