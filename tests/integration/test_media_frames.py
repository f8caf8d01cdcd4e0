"""Thumbnails of real files."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from stoat_ferret.errors import MediaError, NoPictureError
from stoat_ferret.media import frames as frames_module
from stoat_ferret.media import picture
from stoat_ferret.media.frames import ImageFormat, thumbnail
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
    """Some files can only be read forward."""
    seen: list[Fraction | None] = []
    real = frames_module._frame

    def first_fails(container: Any, position: Fraction | None, keyframe: bool) -> Any:
        seen.append(position)
        return (None, None) if position is not None else real(container, position, keyframe)

    monkeypatch.setattr(frames_module, "_frame", first_fails)
    assert thumbnail(bytes(clip_file()), 64, "jpeg")
    assert seen == [frames_module.POSITION, None]


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
