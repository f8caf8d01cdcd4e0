"""A file -> one small upright picture of it, as JPEG or WebP."""

from fractions import Fraction
from typing import Any, Literal

import av
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from stoat_ferret.errors import NoPictureError
from stoat_ferret.media import picture
from stoat_ferret.media.probe import decode_frame, open_media
from stoat_ferret.media.source import Source
from stoat_ferret.media.tone import Transfer, to_standard

ImageFormat = Literal["jpeg", "webp"]

POSITION = Fraction(1, 10)
"""Where in the film the picture is taken: past black and titles, before the plot."""
SCALING = Interpolation.AREA
"""FAST_BILINEAR, the usual choice for speed, aliases: 19.8 dB against 26.5."""
_UNSPECIFIED = 2
_HIGH_DYNAMIC_RANGE: dict[int, Transfer] = {16: "smpte2084", 18: "arib-std-b67"}  # by ITU-T H.273
_ENCODERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "jpeg": ("mjpeg", "yuvj420p", {"qmin": "3", "qmax": "5"}),
    "webp": ("libwebp", "yuv420p", {"quality": "80", "compression_level": "3"}),
}


def thumbnail(path: bytes, width: int, image_format: ImageFormat, source: Source | None = None) -> bytes:
    """Give a picture from a tenth into the film, as it is meant to be seen: upright, square pixels, standard range.

    Args:
        path: absolute; any bytes.
        width: in pixels; never exceeded, and never more than the film's own width as shown.
        image_format: of the result.
        source: the same file; spares opening it.

    Raises:
        NoPictureError: no picture can be decoded.
        MediaError: the file cannot be opened; as `probe`.
    """
    for position, keyframe in ((POSITION, True), (None, True), (None, False)):
        with open_media(path, source) as container:
            frame, ratio = _frame(container, position, keyframe)
        if frame is not None:
            try:
                return _encode(_upright(frame, ratio, width, image_format), image_format)
            except (av.FFmpegError, ValueError) as error:
                if isinstance(error, MemoryError):
                    raise
                msg = f"The picture could not be turned into {image_format.upper()}: {error}."
                raise NoPictureError(msg) from error
    raise NoPictureError("No picture of this file can be decoded; it is damaged, or its codec is not supported.")


def _frame(
    container: InputContainer, position: Fraction | None, keyframe: bool
) -> tuple[av.VideoFrame | None, Fraction | None]:
    """Decode the frame at or before a position, which is a part of the duration or None for the start.

    Returns:
        The frame, None if there is none; and the shape of its samples, None if square.
    """
    attached = av.stream.Disposition.attached_pic
    stream: Any = next((s for s in container.streams.video if not s.disposition & attached), None)
    if stream is None:
        raise NoPictureError("The file holds no picture stream.")
    for other in container.streams:
        if other is not stream:
            other.discard = av.stream.Discard.all
    try:
        if position is not None:
            if not container.duration:
                return None, None
            container.seek((container.start_time or 0) + int(container.duration * position))
        return decode_frame(container, stream, keyframe=keyframe), stream.sample_aspect_ratio
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        return None, None


def _upright(frame: av.VideoFrame, ratio: Fraction | None, width: int, image_format: ImageFormat) -> av.VideoFrame:
    """Scale a frame to at most `width`, with square samples, and turn it as its display matrix says."""
    turn = picture.clockwise(frame.rotation, display_matrix=True) or 0
    shown_width, shown_height = picture.display_size(frame.width, frame.height, ratio, turn)
    if not shown_width or not shown_height:
        raise NoPictureError("The picture has no size.")
    target_width = min(width, shown_width)
    target_height = max(1, round(shown_height * target_width / shown_width))
    size = (target_height, target_width) if turn % 180 else (target_width, target_height)
    return _turned(_scaled(frame, *size, image_format), turn)


def _scaled(frame: av.VideoFrame, width: int, height: int, image_format: ImageFormat) -> av.VideoFrame:
    """Scale, and convert to what the image formats are defined in: BT.601, full range in JPEG, limited in WebP."""
    colours: dict[str, Any] = {}
    if frame.colorspace == _UNSPECIFIED and (frame.width > 1024 or frame.height > 576):
        colours["src_colorspace"] = Colorspace.ITU709  # what players assume of untagged high definition
    if transfer := _HIGH_DYNAMIC_RANGE.get(frame.color_trc):
        frame, colours = _standard_range(frame, width, height, transfer), {}
    return frame.reformat(
        width=width,
        height=height,
        format=_ENCODERS[image_format][1],
        interpolation=SCALING,
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG if image_format == "jpeg" else ColorRange.MPEG,
        threads=1,
        **colours,
    )


def _standard_range(frame: av.VideoFrame, width: int, height: int, transfer: Transfer) -> av.VideoFrame:
    """Scale a frame and compress its dynamic range; as 8-bit RGB."""
    deep = frame.reformat(
        width=width,
        height=height,
        format="gbrp10le",
        interpolation=SCALING,
        src_colorspace=Colorspace.BT2020 if frame.colorspace == _UNSPECIFIED else None,
        threads=1,
    )
    green, blue, red = (memoryview(b"".join(_rows(plane, 2))).cast("H").tolist() for plane in deep.planes)
    standard = to_standard(red, green, blue, transfer)
    result = av.VideoFrame(width, height, "gbrp")
    for plane, data in zip(result.planes, (standard[1], standard[2], standard[0]), strict=True):
        rows = (data[start : start + width] for start in range(0, width * height, width))
        plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in rows))
    return result


def _rows(plane: Any, bytes_per_sample: int = 1) -> list[bytes]:
    """Give a plane's rows without the padding between them."""
    data, length = bytes(plane), plane.width * bytes_per_sample
    return [data[start : start + length] for start in range(0, plane.line_size * plane.height, plane.line_size)]


def _turned(frame: av.VideoFrame, clockwise: int) -> av.VideoFrame:
    """Turn a planar 8-bit frame by 0, 90, 180 or 270 degrees."""
    if clockwise == 0:
        return frame
    size = (frame.height, frame.width) if clockwise % 180 else (frame.width, frame.height)
    turned = av.VideoFrame(*size, frame.format.name)
    for source, target in zip(frame.planes, turned.planes, strict=True):
        rows = turned_rows(_rows(source), clockwise)
        target.update(b"".join(row.ljust(target.line_size, b"\0") for row in rows))
    return turned


def turned_rows(rows: list[bytes], clockwise: int) -> list[bytes]:
    """Turn a picture of one byte a sample, given by its rows, by 90, 180 or 270 degrees."""
    if clockwise == 180:
        return [row[::-1] for row in reversed(rows)]
    packed, width = b"".join(rows), len(rows[0])
    columns = [packed[column::width] for column in range(width)]
    return [column[::-1] for column in columns] if clockwise == 90 else columns[::-1]


def _encode(frame: av.VideoFrame, image_format: ImageFormat) -> bytes:
    codec, pixel_format, options = _ENCODERS[image_format]
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, pixel_format
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = options
    frame.pts = 0
    frame.time_base = encoder.time_base
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
