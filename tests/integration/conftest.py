"""What tests with real files and processes may ask for."""

import pytest

from stoat_ferret.media.containers import matroska_reader, mp4

THROUGH_FFMPEG = "through FFmpeg"


@pytest.fixture(params=["read here first", THROUGH_FFMPEG])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The two ways to examine a file by its headers.

    Our own readers answer first, so that what FFmpeg's demuxers say without decoders is asked only of what those do not
    understand: of no plain clip, unless they are kept from it.
    """
    way: str = request.param
    if way == THROUGH_FFMPEG:
        for reader in (mp4, matroska_reader):
            monkeypatch.setattr(reader, "read", lambda _source: None)
    return way
