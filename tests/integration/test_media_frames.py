"""Thumbnails of real files."""

import errno
import json
import math
import os
import platform
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from inotify_simple import INotify, flags

from stoat_ferret.errors import MediaError, NoPictureError, UnreadableFileError
from stoat_ferret.media import frames as frames_module
from stoat_ferret.media import picture
from stoat_ferret.media.frames import ImageFormat, thumbnail
from stoat_ferret.media.grabber import FrameGrabber
from stoat_ferret.media.source import Source
from tests.media_files import AudioTrack, clip_file, place_clip, samples_folder, truncate

FORMATS: list[ImageFormat] = ["jpeg", "webp"]
MAGIC = {"jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}


def decoded(data: bytes, image_format: ImageFormat) -> Any:
    """Give the picture as full-range grey."""
    decoder: Any = av.CodecContext.create("mjpeg" if image_format == "jpeg" else "webp", "r")
    decoder.thread_count = 1
    frames = decoder.decode(av.Packet(data)) or decoder.decode(None)
    return frames[0].reformat(format="gray", dst_color_range="JPEG")


def brightness(frame: Any, x: float, y: float) -> int:
    """Give the grey value at a place, as parts of width and height."""
    plane = frame.planes[0]
    value: int = bytes(plane)[int(y * (frame.height - 1)) * plane.line_size + int(x * (frame.width - 1))]
    return value


def corners(frame: Any) -> dict[str, bool]:
    """Tell which corners hold the white mark."""
    places = {
        "top left": (0.06, 0.06),
        "top right": (0.94, 0.06),
        "bottom left": (0.06, 0.94),
        "bottom right": (0.94, 0.94),
    }
    return {name: brightness(frame, *place) > 240 for name, place in places.items()}


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize(
    ("rotation", "corner", "size"),
    [
        (0, "top left", (80, 48)),
        (90, "top right", (80, 133)),
        (180, "bottom right", (80, 48)),
        (270, "bottom left", (80, 133)),
    ],
)
def test_a_picture_comes_out_upright(
    image_format: ImageFormat, rotation: int, corner: str, size: tuple[int, int]
) -> None:
    """The mark at the top left of what the camera saw is where the viewer expects it."""
    data = thumbnail(bytes(clip_file(mark_corner=True, rotation=rotation)), 80, image_format)
    assert data.startswith(MAGIC[image_format])
    frame = decoded(data, image_format)
    assert (frame.width, frame.height) == size
    assert [name for name, white in corners(frame).items() if white] == [corner]


@pytest.mark.parametrize(("rotation", "width"), [(0, 160), (90, 96)])
def test_no_picture_is_enlarged(rotation: int, width: int) -> None:
    """A small film has a small thumbnail."""
    frame = decoded(thumbnail(bytes(clip_file(rotation=rotation)), 1280, "jpeg"), "jpeg")
    assert frame.width == width


def test_samples_are_made_square() -> None:
    """An anamorphic film is stretched as a player does."""
    frame = decoded(thumbnail(bytes(clip_file(sample_aspect_ratio=Fraction(2, 1))), 320, "jpeg"), "jpeg")
    assert (frame.width, frame.height) == (320, 96)


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("full_range", [False, True])
def test_white_is_white(image_format: ImageFormat, full_range: bool) -> None:
    """Limited range is stretched to what the image format has, once."""
    pixel_format = "yuvj420p" if full_range else "yuv420p"
    path = clip_file(mark_corner=True, full_range=full_range, pixel_format=pixel_format)
    frame = decoded(thumbnail(bytes(path), 160, image_format), image_format)
    assert brightness(frame, 0.06, 0.06) >= 250


@pytest.mark.parametrize(
    "fields",
    [
        {"container": "ts", "frames": 60},
        {"container": "mkv", "frames": 60, "codec": "libx265"},
        {"container": "webm", "codec": "libvpx-vp9"},
        {"container": "avi", "codec": "mpeg4"},
        {"codec": "libsvtav1"},
        {"codec": "libx265", "hdr": "hdr10"},
        {"codec": "libx265", "hdr": "hlg", "rotation": 90},
        {"size": (1280, 640), "frames": 3},
        {"cover": True},
        {"frames": 1},
    ],
)
def test_every_kind_of_film_has_a_picture(fields: dict[str, Any]) -> None:
    """Of the width asked for."""
    assert decoded(thumbnail(bytes(clip_file(**fields)), 64, "webp"), "webp").width == 64


def test_a_cut_off_film_shows_its_beginning(tmp_path: Path) -> None:
    """Where the index points past the end, the start is tried."""
    path = tmp_path / "cut.mp4"
    place_clip(path, frames=100, container="mp4", key_interval=100)
    truncate(path, 0.3)
    assert thumbnail(bytes(path), 64, "jpeg")


def test_the_start_is_taken_where_seeking_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same container, and then in one that was not sought in: some files can only be read forward."""
    seen: list[Fraction | None] = []
    real = frames_module._frame

    def seeking_fails(container: Any, position: Fraction | None, **options: Any) -> Any:
        seen.append(position)
        return (None, None) if position is not None else real(container, position, **options)

    monkeypatch.setattr(frames_module, "_frame", seeking_fails)
    assert thumbnail(bytes(clip_file()), 64, "jpeg")
    assert seen == [frames_module.POSITION, frames_module.POSITION, 0, None]


KINDS: list[dict[str, Any]] = [
    {},
    {"frames": 1},
    {"frames": 100, "key_interval": 7},
    {"frames": 60, "vfr": True, "audio": (AudioTrack(),)},
    {"size": (1280, 720), "frames": 30},
    {"container": "mov", "rotation": 90},
    {"rotation": 180, "cover": True},
    {"rotation": 270, "codec": "libx265"},
    {"sample_aspect_ratio": Fraction(4, 3)},
    {"codec": "libx265", "sample_aspect_ratio": Fraction(2, 1)},
    {"full_range": True, "pixel_format": "yuvj420p"},
    {"pixel_format": "yuv444p"},
    {"codec": "libx265", "hdr": "hdr10"},
    {"codec": "libx265", "hdr": "hlg"},
    {"codec": "libsvtav1"},
    {"codec": "libvpx-vp9"},
    {"codec": "mpeg4"},
    {"container": "mov", "codec": "mjpeg", "pixel_format": "yuvj420p"},
    {"container": "mov", "codec": "prores_ks", "pixel_format": "yuv422p10le"},
    {"fast_start": False},
    {"container": "mkv", "frames": 60, "audio": (AudioTrack(),)},
    {"container": "mkv", "codec": "libx265", "hdr": "hdr10"},
    {"container": "mkv", "sample_aspect_ratio": Fraction(2, 1)},
    {"container": "mkv", "codec": "mpeg4", "frames": 40},
    {"container": "mkv", "codec": "mpeg2video", "frames": 40, "sample_aspect_ratio": Fraction(16, 15)},
    {"container": "webm", "codec": "libvpx-vp9", "frames": 40},
    {"container": "ts", "frames": 60},
    {"container": "avi", "codec": "mpeg4"},
]


@pytest.mark.parametrize("fields", KINDS, ids=str)
def test_a_header_is_enough_for_the_same_picture(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte, as after opening the file in the ordinary way, which decodes some of it first."""
    path = bytes(clip_file(**fields))
    quick = thumbnail(path, 320, "jpeg")
    monkeypatch.setattr(frames_module, "_TRIES", frames_module._TRIES[1:])
    assert thumbnail(path, 320, "jpeg") == quick


@pytest.mark.samples
def test_a_header_is_enough_for_the_same_picture_of_real_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other projects, whatever is wrong with them."""
    folder = samples_folder()
    files = [folder / json.loads(line)["path"] for line in (folder / "EXPECTED.jsonl").read_text().splitlines()]
    quick = [_outcome(path) for path in files]
    monkeypatch.setattr(frames_module, "_TRIES", frames_module._TRIES[1:])
    assert [path for path, outcome in zip(files, quick, strict=True) if _outcome(path) != outcome] == []


def _outcome(path: Path) -> bytes | str:
    try:
        return thumbnail(bytes(path), 160, "jpeg")
    except (NoPictureError, MediaError) as error:
        return error.message


@pytest.mark.parametrize(
    "fields",
    [
        {"size": (1280, 720), "frames": 3},
        {"size": (1280, 720), "frames": 3, "quality": {"crf": "45"}},
        {"size": (1280, 720), "frames": 3, "codec": "libx265", "quality": {"crf": "40"}},
    ],
    ids=str,
)
def test_what_is_left_out_cannot_be_seen(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture made much smaller, without the blocks' edges smoothed, is within 40 dB of the exact one."""
    path = bytes(clip_file(**fields))
    quick = decoded(thumbnail(path, 320, "webp"), "webp")
    monkeypatch.setattr(frames_module, "_SMOOTHED_BY_SCALING", 1000)
    exact = decoded(thumbnail(path, 320, "webp"), "webp")
    pairs = list(zip(bytes(quick.planes[0]), bytes(exact.planes[0]), strict=True))
    error = sum((one - other) ** 2 for one, other in pairs) / len(pairs)
    assert error == 0 or 10 * math.log10(255**2 / error) > 40


@pytest.mark.parametrize(
    ("fields", "most"),
    [({}, 1), ({"container": "mkv"}, 1), ({"container": "ts", "frames": 60}, 1), ({"codec": None}, 2)],
    ids=str,
)
def test_a_picture_takes_one_open(fields: dict[str, Any], most: int, tmp_path: Path) -> None:
    """Of the file, however often FFmpeg begins anew with it; one without a picture is looked at by name once more."""
    path = tmp_path / f"clip.{fields.get('container', 'mp4')}"
    place_clip(path, **({"container": "m4a", "audio": (AudioTrack(),)} | fields if "codec" in fields else fields))
    with FrameGrabber() as grabber, INotify() as notify:
        grabber.check()
        notify.add_watch(tmp_path, flags.OPEN)
        with suppress(NoPictureError):
            grabber.thumbnail(bytes(path), 64, "jpeg")
        opens = [event for event in notify.read(timeout=0) if not event.mask & flags.ISDIR]
    assert len(opens) <= most


def test_a_picture_is_the_same_whatever_was_scaled_before() -> None:
    """Also where a film of the same size had other colours, which is all that a kept scaler might mistake."""
    kinds: list[dict[str, Any]] = [
        {},
        {"full_range": True, "pixel_format": "yuvj420p"},
        {"codec": "libx265", "hdr": "hdr10"},
        {"size": (1280, 720), "frames": 3},
        {"codec": "mpeg4"},
        {"pixel_format": "yuv444p"},
    ]
    paths = [bytes(clip_file(**fields)) for fields in kinds]
    alone = []
    for path in paths:
        frames_module._scaler.cache_clear()
        alone.append(thumbnail(path, 64, "jpeg"))
    for _ in range(2):
        assert [thumbnail(path, 64, "jpeg") for path in paths] == alone
        assert [thumbnail(path, 64, "jpeg") for path in reversed(paths)] == alone[::-1]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory as they like")
def test_memory_is_kept_from_one_film_to_the_next() -> None:
    """What a decoder took is not fetched from the system again, page by page: a picture alone has 250 of them."""
    path = clip_file(codec="libx265", size=(1280, 720), frames=3)
    with FrameGrabber() as grabber:
        for _ in range(4):
            grabber.thumbnail(bytes(path), 320, "jpeg")
        before = _pages_fetched(grabber)
        for _ in range(4):
            grabber.thumbnail(bytes(path), 320, "jpeg")
        assert _pages_fetched(grabber) - before < 4 * 250


def _pages_fetched(grabber: FrameGrabber) -> int:
    assert grabber._worker is not None
    stat = Path(f"/proc/{grabber._worker.process.pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[7])  # minflt of proc_pid_stat(5)


def test_a_disk_that_fails_while_a_picture_is_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the file's fault: it can be read another time."""
    path = tmp_path / "clip.mp4"
    with pytest.raises(UnreadableFileError):
        thumbnail(bytes(path), 64, "jpeg")
    place_clip(path)

    def fail(_descriptor: int, _length: int, _offset: int) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(UnreadableFileError, match="Stale file handle"):
        thumbnail(bytes(path), 64, "jpeg")


def test_a_relative_path_is_refused() -> None:
    """FFmpeg could take it for an address."""
    with clip_file().open("rb") as file, pytest.raises(ValueError, match="not absolute"):
        thumbnail(b"clip.mp4", 64, "jpeg", Source(file.fileno(), b"clip.mp4"))


def test_a_film_that_begins_beyond_all_time_has_a_picture_or_none(tmp_path: Path) -> None:
    """What a damaged header says of times can be any number."""
    path, content = tmp_path / "x.ivf", bytearray(clip_file(container="ivf", codec="libvpx").read_bytes())
    content[36:44] = (6_333_598_246_058_974_407).to_bytes(8, "little")  # of the first picture
    path.write_bytes(content)
    with suppress(NoPictureError):
        assert thumbnail(bytes(path), 64, "jpeg")


def test_sound_has_no_picture() -> None:
    """Cover art included: it is not from the film."""
    path = clip_file(container="m4a", codec=None, audio=(AudioTrack(),), cover=True)
    with pytest.raises(NoPictureError):
        thumbnail(bytes(path), 64, "jpeg")


def test_a_film_without_a_whole_picture_has_none(tmp_path: Path) -> None:
    """All of its packets are zeros."""
    path = tmp_path / "zeros.mp4"
    place_clip(path, fast_start=True)
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + bytes(len(content) - start))
    with pytest.raises(NoPictureError):
        thumbnail(bytes(path), 64, "jpeg")


def test_a_shape_that_no_image_can_have_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the encoder refuses, and a frame without size."""
    monkeypatch.setitem(frames_module._ENCODERS, "jpeg", ("mjpeg", "gbrp", {}))
    with pytest.raises(NoPictureError, match="could not be turned into JPEG"):
        thumbnail(bytes(clip_file()), 64, "jpeg")
    monkeypatch.setattr(picture, "display_size", lambda *_args: (None, None))
    with pytest.raises(NoPictureError, match="no size"):
        thumbnail(bytes(clip_file()), 64, "jpeg")


@pytest.mark.samples
def test_every_real_file_gives_a_picture_or_says_that_there_is_none() -> None:
    """Nothing else comes of it, and of most there is one."""
    folder = samples_folder()
    pictures: list[bytes] = []
    for line in (folder / "EXPECTED.jsonl").read_text().splitlines():
        try:
            pictures.append(thumbnail(bytes(folder / json.loads(line)["path"]), 160, "jpeg"))
        except (NoPictureError, MediaError):
            continue
    assert all(data.startswith(MAGIC["jpeg"]) for data in pictures)
    assert len(pictures) >= 30
