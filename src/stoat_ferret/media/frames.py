"""A file -> one small upright picture of it, as JPEG or WebP."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import av
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from stoat_ferret.errors import NoPictureError
from stoat_ferret.media import colours, picture
from stoat_ferret.media.formats import HEADER_OPTIONS, open_options, told_by_header
from stoat_ferret.media.probe import decode_frame
from stoat_ferret.media.refusal import refusal
from stoat_ferret.media.source import Source, opened
from stoat_ferret.media.tone import Transfer

ImageFormat = Literal["jpeg", "webp"]

POSITION = Fraction(1, 10)
"""Where in the film the picture is taken: past black and titles, before the plot."""
SCALING = Interpolation.AREA
"""FAST_BILINEAR, the usual choice for speed, aliases: 19.8 dB against 26.5."""
_HEADER_OPTIONS = HEADER_OPTIONS | {"fpsprobesize": "0", "probesize": "32"}
"""A picture's decoder needs the stream's header only, and of all else as little is to be read as there is."""
_SMOOTHED_BY_SCALING = 2
"""Where a picture is made so many times smaller, it does not matter whether its blocks' edges were smoothed: 52 dB or
more against the exact picture in all that was tried, for a seventh of the time."""
_SCALERS_KEPT = 16
"""Each holds some rows of a picture: about a megabyte for a film of 4K."""
_UNSPECIFIED = 2
_HIGH_DYNAMIC_RANGE: dict[int, Transfer] = {16: "smpte2084", 18: "arib-std-b67"}  # by ITU-T H.273
_ENCODERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "jpeg": ("mjpeg", "yuvj420p", {"qmin": "3", "qmax": "5"}),
    # The quickest level: pictures as good as at the third within 0.8 dB, a quarter larger at most, in a quarter of the
    # time, which was more than all the rest took for a small clip.
    "webp": ("libwebp", "yuv420p", {"quality": "80", "compression_level": "0"}),
}


@dataclass(frozen=True, slots=True)
class _Try:
    """One way to come by a picture."""

    header_only: bool
    """Open without decoders: what a stream is like is not found out by decoding some of it first."""
    places: tuple[tuple[Fraction | None, bool], ...]
    """Where to look, one after another: a part of the duration, or None for the start; and for a keyframe only?"""


_START = Fraction(0)
_TRIES = (
    _Try(header_only=True, places=((POSITION, True),)),
    _Try(header_only=False, places=((POSITION, True), (_START, True))),
    # Some files can only be read forward.
    _Try(header_only=False, places=((None, True),)),
    _Try(header_only=False, places=((None, False),)),
)


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
    if source is None:
        with opened(path) as own:
            return thumbnail(path, width, image_format, own)
    for attempt in _TRIES:
        frame, ratio = _look(path, source, attempt, width)
        if frame is not None:
            try:
                return _encode(_upright(frame, ratio, width, image_format), image_format)
            except (av.FFmpegError, ValueError) as error:
                if isinstance(error, MemoryError):
                    raise
                msg = f"The picture could not be turned into {image_format.upper()}: {error}."
                raise NoPictureError(msg) from error
    source.check()
    raise NoPictureError("No picture of this file can be decoded; it is damaged, or its codec is not supported.")


Found = tuple[av.VideoFrame | None, Fraction | None]
"""A frame, None if there is none; and the shape of its samples, None if square."""


def _look(path: bytes, source: Source, attempt: _Try, width: int) -> Found:
    """Open a file and decode a frame of it.

    Raises:
        NoPictureError: there is no stream of pictures.
        MediaError: the file cannot be opened, other than by its header only.
    """
    start = source.head()
    known = told_by_header(start) if attempt.header_only else None
    if attempt.header_only and known is None:
        return None, None
    options = _HEADER_OPTIONS if attempt.header_only else open_options(start)
    source.seek(0)
    try:
        with av.open(source, "r", format=known, options=options, metadata_errors="replace") as container:
            for position, keyframe in attempt.places:
                frame, ratio = _frame(container, position, keyframe=keyframe, most_width=width)
                if frame is not None:
                    return frame, ratio
    except NoPictureError:
        if not attempt.header_only:
            raise
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        if not attempt.header_only:
            source.check()
            raise refusal(path, error) from error
    return None, None


def _frame(container: InputContainer, position: Fraction | None, *, keyframe: bool, most_width: int) -> Found:
    """Decode the frame at or before a position, which is a part of the duration; None: without having sought it."""
    attached = av.stream.Disposition.attached_pic
    stream: Any = next((s for s in container.streams.video if not s.disposition & attached), None)
    if stream is None:
        raise NoPictureError("The file holds no picture stream.")
    try:
        if position is not None and not container.duration:
            return None, None
        began = 0 if position is None else _began(container)
        for other in container.streams:
            if other is not stream:
                other.discard = av.stream.Discard.all
        if position is not None and container.duration:
            container.seek(began + int(container.duration * position))
        context = stream.codec_context
        if context is not None and not context.is_open and context.width >= _SMOOTHED_BY_SCALING * most_width:
            context.options = {"skip_loop_filter": "all"}
        frame = decode_frame(container, stream, keyframe=keyframe)
        return frame, stream.sample_aspect_ratio or (context.sample_aspect_ratio if frame is not None else None)
    except (av.FFmpegError, OverflowError) as error:  # a damaged file may begin at any time
        if isinstance(error, MemoryError):
            raise
        return None, None


def _began(container: Any) -> int:
    """Give when a film begins, in microseconds. Of a Matroska file's header alone it is not known; its packets say."""
    if container.start_time is not None:
        return int(container.start_time)
    for packet in container.demux():
        return 0 if packet.pts is None else int(packet.pts * packet.time_base * av.time_base)
    return 0


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
    space: dict[str, Any] = {}
    if frame.colorspace == _UNSPECIFIED and (frame.width > 1024 or frame.height > 576):
        space["src_colorspace"] = Colorspace.ITU709  # what players assume of untagged high definition
    if transfer := _HIGH_DYNAMIC_RANGE.get(frame.color_trc):
        frame, space = _standard_range(frame, width, height, transfer), {}
    # How to scale from one size to another is worked out once: it takes as long as a quarter of scaling itself.
    return _scaler(frame.width, frame.height, frame.format.name, width, height, image_format).reformat(
        frame,
        width=width,
        height=height,
        format=_ENCODERS[image_format][1],
        interpolation=SCALING,
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG if image_format == "jpeg" else ColorRange.MPEG,
        threads=1,
        **space,
    )


@lru_cache(maxsize=_SCALERS_KEPT)
def _scaler(*_what: object) -> VideoReformatter:
    """Give one for what is scaled alike; it finds out by itself what else has changed since its last frame."""
    return VideoReformatter()


def _standard_range(frame: av.VideoFrame, width: int, height: int, transfer: Transfer) -> av.VideoFrame:
    """Scale a frame and compress its dynamic range; as RGB."""
    deep = frame.reformat(
        width=width,
        height=height,
        format="gbrp10le",
        interpolation=SCALING,
        src_colorspace=Colorspace.BT2020 if frame.colorspace == _UNSPECIFIED else None,
        threads=1,
    )
    return colours.standard(deep, transfer)


def _rows(plane: Any) -> list[bytes]:
    """Give a plane's rows of one byte a sample, without the padding between them."""
    data, length = bytes(plane), plane.width
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
