"""Settings, read from the environment once."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from stoat_ferret.errors import ConfigurationError
from stoat_ferret.settings import DEFAULT_VIDEO_EXTENSIONS, Settings, as_environment, load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the one who runs the tests."""
    for name in list(os.environ):
        if name.startswith("STOAT_"):
            monkeypatch.delenv(name)


def test_nothing_needs_to_be_set() -> None:
    """Loopback, any folder, the usual endings."""
    settings = load_settings()
    assert (settings.host, settings.port, settings.media_roots) == ("127.0.0.1", 8765, ())
    assert settings.video_extensions == DEFAULT_VIDEO_EXTENSIONS
    assert settings.data_dir.is_absolute()
    assert settings.library_database.parent == settings.jobs_database.parent == settings.data_dir
    assert settings.thumbnail_dir.parent == settings.data_dir


def test_lists_are_written_with_separators(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Paths by colons, other lists by commas; endings with or without a dot, in any case."""
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("STOAT_MEDIA_ROOTS", f"{tmp_path / 'link'}:~/footage:")
    monkeypatch.setenv("STOAT_ALLOWED_HOSTS", " nas.local , box ,")
    monkeypatch.setenv("STOAT_VIDEO_EXTENSIONS", ".MP4, mkv")
    settings = load_settings()
    assert settings.media_roots == (tmp_path / "real", Path(os.path.realpath(Path("~/footage").expanduser())))
    assert settings.allowed_hosts == ("nas.local", "box")
    assert settings.video_extensions == ("mp4", "mkv")


def test_an_override_counts_unless_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a command line's absent options leave the environment alone."""
    monkeypatch.setenv("STOAT_PORT", "1234")
    assert load_settings(port=None).port == 1234
    assert load_settings(port=0).port == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "70000"), ("PORT", "x"), ("LOG_LEVEL", "loud"), ("PROBE_WORKERS", "0"), ("MAX_LOSS_FRACTION", "2")],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """With its variable, so that it can be found."""
    monkeypatch.setenv(f"STOAT_{name}", value)
    with pytest.raises(ConfigurationError, match=f"STOAT_{name}='{value}': "):
        load_settings()


def test_settings_do_not_change() -> None:
    """Every part of the program sees the same."""
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]  # that is the point


def test_another_process_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All of them, through its environment."""
    settings = Settings(
        data_dir=tmp_path,
        port=0,
        media_roots=(tmp_path / "a", tmp_path / "b c"),
        allowed_hosts=("x", "y"),
        video_extensions=("mp4",),
        lease_seconds=0.1 + 0.2,
        log_format="json",
    )
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings
    assert as_environment(load_settings()) == as_environment(settings)


def test_numbers_for_job_types_are_read_and_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pairs; what is no pair, or not more than nothing, is refused with the variable's name."""
    monkeypatch.setenv("STOAT_JOB_LIMITS", "scan=1, probe=8")
    monkeypatch.setenv("STOAT_JOB_TIMEOUTS", "scan=7200")
    settings = load_settings()
    assert settings.job_limits == {"scan": 1, "probe": 8}
    assert settings.job_timeouts == {"scan": 7200.0}
    passed = as_environment(settings)
    assert (passed["STOAT_JOB_LIMITS"], passed["STOAT_JOB_TIMEOUTS"]) == ("scan=1,probe=8", "scan=7200.0")
    for wrong in ("scan", "scan=0", "scan=many"):
        monkeypatch.setenv("STOAT_JOB_LIMITS", wrong)
        with pytest.raises(ConfigurationError, match="STOAT_JOB_LIMITS") as refused:
            load_settings()
        assert "Value error" not in refused.value.message


def test_a_database_password_is_handed_on_but_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in a log nor in a message."""
    address = "postgresql+psycopg://me:secret@host/name"
    monkeypatch.setenv("STOAT_DATABASE_URL", address)
    settings = load_settings()
    assert "secret" not in repr(settings)
    assert as_environment(settings)["STOAT_DATABASE_URL"] == address
