"""Damaged files, examined by their headers and with decoders: the headers say the same, or less, never otherwise."""

import random
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.errors import MediaError
from stoat_ferret.media import probe
from stoat_ferret.media.info import MediaInfo, StreamInfo, known
from stoat_ferret.media.source import opened
from tests.media_files import AudioTrack, SubtitleTrack, clip_file
from torture.mutators import mutate

SEED = 20_261_127
_REORDERED = {"preset": "medium", "x264-params": "bframes=3"}
CLIPS: dict[str, tuple[dict[str, Any], ...]] = {
    "mp4": (
        {"frames": 30, "audio": (AudioTrack(channels=2),)},
        {"codec": "libx265", "fast_start": False},
        {"codec": "libsvtav1"},
        {"codec": "libx265", "hdr": "hdr10"},
        {"cover": True},
    ),
    "mkv": (
        {"frames": 30, "audio": (AudioTrack(channels=2),), "subtitles": (SubtitleTrack(),)},
        {"frames": 30, "quality": _REORDERED, "audio": (AudioTrack(codec="flac"),)},
        {"codec": "libx265", "audio": (AudioTrack(codec="ac3"),)},
        {"codec": "libsvtav1", "audio": (AudioTrack(codec="pcm_s16le"),)},
        {"frames": 30, "cover": True},
    ),
    "webm": ({"codec": "libvpx-vp9", "audio": (AudioTrack(codec="libopus"),)}, {"codec": "libvpx"}),
}
ONLY_PICTURES_SAY = {
    "pixel_format", "bit_depth", "chroma", "hdr", "hdr10_plus", "profile", "level", "color_range", "color_space",
    "color_primaries", "color_transfer", "mastering_primaries", "mastering_min_luminance", "mastering_max_luminance",
    "max_content_light", "max_average_light", "start_time",
}  # fmt: skip
"""What decoders do not know where pictures or sound are damaged, while the headers, which are not, still say it."""


def outcome(path: Path, *, quick: bool) -> MediaInfo | str | None:
    try:
        if not quick:
            return probe.examine(bytes(path))
        with opened(bytes(path)) as source:
            return probe._from_headers(source)  # whether it is used is what is asked
    except (MediaError, MemoryError) as error:
        return type(error).__name__


def otherwise(quick: MediaInfo, whole: MediaInfo) -> list[tuple[str, object, object]]:
    """Give the fields of which the headers say something else; name, what they say, and what decoders say."""
    pairs: list[tuple[Any, Any]] = [(quick, whole), *zip(quick.streams, whole.streams, strict=True)]
    pairs += zip(quick.chapters, whole.chapters, strict=True)
    found = []
    for ours, theirs in pairs:
        for name, value in known(ours).items():
            other = getattr(theirs, name)
            unsaid = other is None and name in ONLY_PICTURES_SAY and isinstance(theirs, MediaInfo | StreamInfo)
            if value != other and not unsaid and name not in ("streams", "chapters"):
                found.append((name, value, other))
    return found


@pytest.mark.parametrize("container", CLIPS)
def test_headers_say_of_a_damaged_file_what_decoders_say(container: str, way: str, tmp_path: Path) -> None:
    """Of some hundred mutants; a good part of them by their headers."""
    rng = random.Random(f"{SEED} {container} {way}")  # noqa: S311 - no secret
    whole = [clip_file(container=container, **fields).read_bytes() for fields in CLIPS[container]]
    path, quick, differences = tmp_path / f"mutant.{container}", 0, []
    for number in range(400):
        content, steps = mutate(rng.choice(whole), rng, whole)
        path.write_bytes(content)
        ours = outcome(path, quick=True)
        if ours is None:
            continue
        theirs = outcome(path, quick=False)
        if isinstance(ours, MediaInfo) and isinstance(theirs, MediaInfo):
            quick += 1
            if wrong := otherwise(ours, theirs):
                differences.append((number, steps, wrong))
        elif ours != theirs:
            differences.append((number, steps, [("outcome", ours, theirs)]))
    assert differences == []
    assert quick >= 80


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("container", CLIPS)
def test_headers_say_of_a_file_cut_short_what_decoders_say(container: str, tmp_path: Path) -> None:
    """Wherever it was cut."""
    path = tmp_path / f"cut.{container}"
    for fields in CLIPS[container]:
        content = clip_file(container=container, **fields).read_bytes()
        for tenths in range(1, 10):
            path.write_bytes(content[: len(content) * tenths // 10])
            ours, theirs = outcome(path, quick=True), outcome(path, quick=False)
            if isinstance(ours, MediaInfo):
                assert isinstance(theirs, MediaInfo), (fields, tenths)
                assert otherwise(ours, theirs) == [], (fields, tenths)
