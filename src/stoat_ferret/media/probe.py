"""A file on disk -> MediaInfo. PyAV lives here, in `frames` and in `worker`, and nowhere else.

Every field agrees with what ffprobe says of the same file, or is None. Run it in a process that may be killed: files
are made by others, and FFmpeg reads them in C.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from typing import Any, cast

import av
import av.logging
from av.container import InputContainer

from stoat_ferret.errors import (
    IncompleteFileError,
    NoVideoStreamError,
    UnsupportedMediaLibraryError,
)
from stoat_ferret.media import headers, picture, timing
from stoat_ferret.media.dump import StreamSummary, parse_summary
from stoat_ferret.media.formats import HEADER_OPTIONS, open_options, starts_with_box
from stoat_ferret.media.info import ChapterInfo, Hdr, MediaInfo, StreamInfo, StreamKind
from stoat_ferret.media.refusal import refusal

MINIMUM_PYAV = (18, 1)
MINIMUM_FFMPEG = (8, 1, 2)
_MICROSECONDS = Fraction(1, av.time_base)
_LONGEST_TAG = 64 * 1024
_MOST_INDEX_ENTRIES = 500_000
_PACKETS_FOR_A_FRAME = 120


def require_safe_versions() -> None:
    """Refuse libraries that unknown files are known to crash or subvert.

    Raises:
        UnsupportedMediaLibraryError: PyAV is older than 18.1 (15.1 segfaulted on real files), or FFmpeg than 8.1.2
            (CVE-2026-8461).
    """
    _require("PyAV", av.__version__, MINIMUM_PYAV)
    _require("FFmpeg", av.ffmpeg_version_info, MINIMUM_FFMPEG)


def _require(name: str, version: str, minimum: tuple[int, ...]) -> None:
    numbers = tuple(int(part) for part in version.lstrip("n").split("-")[0].split(".") if part.isdigit())
    # A build from git calls itself N-12345-gabcdef or git-2026-01-01: newer than any release it could be compared to.
    if numbers and numbers < minimum:
        wanted = ".".join(map(str, minimum))
        msg = f"{name} {version} is not safe with unknown files; install {name} {wanted} or newer (pip install -U av)."
        raise UnsupportedMediaLibraryError(msg)


def probe(path: bytes, descriptor: int | None = None) -> MediaInfo:
    """Examine a video file.

    Args:
        path: absolute; any bytes.
        descriptor: the same file, open for reading; spares opening it again where its headers say enough. Its position
            is used.

    Raises:
        ValueError: the path is relative, which FFmpeg could take for an address.
        UnreadableFileError: the file system refused.
        NotMediaError: no known container.
        IncompleteFileError: a container whose index is missing, or nothing at all.
        NoVideoStreamError: media, but no moving picture.
    """
    info = examine(path, descriptor)
    pictures = [stream for stream in info.streams if stream.kind == "video"]
    if any(not stream.attached_picture for stream in pictures):
        return info
    if pictures:
        raise NoVideoStreamError("The file holds sound and cover art but no moving picture, so it is not a video.")
    if not info.streams:
        raise IncompleteFileError(
            "The file's header is there but describes no picture or sound; it was probably cut short. Copy it again."
        )
    kinds = ", ".join(sorted({stream.kind for stream in info.streams}))
    raise NoVideoStreamError(f"The file holds no picture stream (only {kinds}), so it is not a video.")


def examine(path: bytes, descriptor: int | None = None) -> MediaInfo:
    """Examine any media file, with or without pictures; otherwise as `probe`."""
    _require_absolute(path)
    if descriptor is not None and (info := _from_headers(descriptor)) is not None:
        return info
    with open_media(path) as container:
        return _describe(container, {})


def _from_headers(descriptor: int) -> MediaInfo | None:
    """Examine a QuickTime or MP4 file by its headers alone; None where they do not say all, or cannot be read."""
    if not starts_with_box(os.pread(descriptor, 8, 0)):
        return None
    os.lseek(descriptor, 0, os.SEEK_SET)
    options = HEADER_OPTIONS | {"fd": str(descriptor)}
    try:
        with av.open("fd:", options=options, metadata_errors="replace") as container:
            found = headers.complete(container) if container.format.name.startswith("mov") else None
            return None if found is None else _describe(container, found)
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        return None


@contextmanager
def open_media(path: bytes) -> Iterator[InputContainer]:
    """Open a file for demuxing, in the only way that is safe with files made by others.

    Raises:
        As `probe`, but for NoVideoStreamError.
    """
    _require_absolute(path)
    try:
        container = av.open(os.fsdecode(path), options=open_options(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise refusal(path, error) from error
    with container:
        yield container


def _require_absolute(path: bytes) -> None:
    if not path.startswith(b"/"):
        msg = f"The path is not absolute: {path!r}"
        raise ValueError(msg)


def _describe(container: InputContainer, found: Mapping[int, dict[str, Any]]) -> MediaInfo:
    """Say what is known of an open file; `found` has fields of its streams that were found out otherwise."""
    summary = {} if _has_forged_keys(container) else parse_summary(_summary(container))
    streams = tuple(
        replace(_stream(stream, summary.get(stream.index)), **found.get(stream.index, {}))
        for stream in container.streams
    )
    first = next((s for s in streams if s.kind == "video" and not s.attached_picture), None)
    sound = next((s for s in streams if s.kind == "audio"), None)
    tags = _tags(container.metadata)
    info: dict[str, Any] = {}
    if first is not None:
        info = _picture_fields(container, first, summary.get(first.index))
    if sound is not None:
        info |= {"audio_codec": sound.codec, "audio_channels": sound.channels}
    return MediaInfo(
        container=container.format.name,
        duration=timing.positive(timing.seconds(container.duration, _MICROSECONDS)),
        start_time=timing.seconds(container.start_time, _MICROSECONDS),
        bit_rate=container.bit_rate or None,
        created_at_in_camera=timing.camera_time(tags.get("creation_time")),
        streams=streams,
        chapters=tuple(_chapters(container)),
        tags=tags,
        **info,
    )


def _summary(container: Any) -> str:
    """Give FFmpeg's summary of the file. The log level is raised for that moment only: FFmpeg is noisy."""
    av.logging.set_skip_repeated(False)
    av.logging.set_level(av.logging.INFO)
    try:
        return str(container.dumps_format())
    finally:
        av.logging.set_level(None)


def _has_forged_keys(container: Any) -> bool:
    """Tell whether a tag's key holds a line break, with which it could say anything in FFmpeg's summary."""
    named: list[Any] = [container.metadata, *(stream.metadata for stream in container.streams)]
    named += [chapter["metadata"] for chapter in container.chapters()]
    return any(not key.isprintable() for tags in named for key in tags)


def _chapters(container: InputContainer) -> Iterator[ChapterInfo]:
    for index, chapter in enumerate(container.chapters()):
        start = timing.seconds(chapter["start"], chapter["time_base"])
        end = timing.seconds(chapter["end"], chapter["time_base"])
        if start is not None and end is not None:
            yield ChapterInfo(index=index, start=start, end=end, title=chapter["metadata"].get("title"))


def _tags(metadata: dict[str, str]) -> dict[str, str]:
    """Leave out what no person wrote: a tag longer than 64 KiB is an attachment in disguise."""
    return {key: value for key, value in metadata.items() if len(value) <= _LONGEST_TAG}


def _stream(stream: Any, summary: StreamSummary | None) -> StreamInfo:
    context = stream.codec_context  # None where FFmpeg has no decoder
    kind = stream.type if stream.type != "unknown" else "data"
    fields: dict[str, Any] = {}
    if context is not None:
        fields = {
            "codec": context.codec.canonical_name,
            "codec_tag": _codec_tag(context),
            "profile": _profile(context),
            "bit_rate": context.bit_rate or None,
        }
        if kind == "video":
            fields |= _video_fields(stream, context)
        elif kind == "audio":
            fields |= _audio_fields(context)
    elif summary is not None:
        fields = {"codec": summary.codec}
    if kind == "video" and summary is not None:
        fields["rotation"] = picture.clockwise(summary.rotation, display_matrix=summary.display_matrix)
    if kind != "data":  # FFmpeg's releases do not agree on when data begins and ends
        fields["start_time"] = timing.seconds(stream.start_time, stream.time_base)
        fields["duration"] = timing.positive(timing.seconds(stream.duration, stream.time_base))
    return StreamInfo(
        index=stream.index,
        kind=cast("StreamKind", kind),
        language=stream.metadata.get("language"),
        title=stream.metadata.get("title"),
        disposition=tuple(str(flag.name) for flag in stream.disposition),
        attached_picture=bool(stream.disposition & av.stream.Disposition.attached_pic),
        **fields,
    )


def _codec_tag(context: Any) -> str | None:
    """Give the four characters if they are characters."""
    try:
        text = str(context.codec_tag).strip("\0 ")
    except UnicodeDecodeError:  # PyAV reads it as ASCII, which a number such as 0xFF, AAC's in AVI, is not
        return None
    return text if text.isprintable() and text else None


def _profile(context: Any) -> str | None:
    if context.codec.canonical_name == "aac" and not context.extradata_size:
        return None  # guessed from ADTS headers; FFmpeg's releases guess differently
    return context.profile or None


def _video_fields(stream: Any, context: Any) -> dict[str, Any]:
    ratio = stream.sample_aspect_ratio
    return {
        "width": context.width or None,
        "height": context.height or None,
        "sample_aspect_ratio": f"{ratio.numerator}:{ratio.denominator}" if ratio else None,
        "pixel_format": context.pix_fmt,
        "frame_rate": timing.rate_text(stream.average_rate),
        "real_frame_rate": timing.rate_text(stream.base_rate),
        "field_order": picture.FIELD_ORDERS.get(context.field_order),
        "color_range": picture.RANGES.get(context.color_range),
        "color_primaries": picture.PRIMARIES.get(context.color_primaries),
        "color_transfer": picture.TRANSFERS.get(context.color_trc),
        "color_space": picture.SPACES.get(context.colorspace),
    }


def _audio_fields(context: Any) -> dict[str, Any]:
    layout = context.layout
    # "6 channels" is FFmpeg's way to say that their order is not known.
    known = layout.nb_channels and not layout.name.endswith(" channels")
    return {
        "sample_rate": context.sample_rate or None,
        "channels": layout.nb_channels or None,
        "channel_layout": layout.name if known else None,
    }


def _picture_fields(container: InputContainer, first: StreamInfo, summary: StreamSummary | None) -> dict[str, Any]:
    """Give the file's own picture fields, from its first picture stream."""
    stream: Any = container.streams[first.index]
    ratio = Fraction(first.sample_aspect_ratio.replace(":", "/")) if first.sample_aspect_ratio else None
    shown = picture.display_size(first.width, first.height, ratio, first.rotation)
    average = stream.average_rate
    return {
        "width": first.width,
        "height": first.height,
        "rotation": first.rotation,
        "display_width": shown[0],
        "display_height": shown[1],
        "video_codec": first.codec,
        "video_profile": first.profile,
        "pixel_format": first.pixel_format,
        "frame_rate": first.frame_rate,
        "frame_rate_float": round(float(average), 3) if average else None,
        "vfr": _uneven(container.format.name, stream),
        "hdr": _dynamic_range(container, stream, first, summary),
    }


def _uneven(container: str, stream: Any) -> bool | None:
    """Tell whether the frame rate varies, from the index of a QuickTime or MP4 file; elsewhere it is not known."""
    if container in timing.CONSTANT_RATE_CONTAINERS:
        return False
    entries = stream.index_entries
    if not container.startswith("mov") or not 3 <= len(entries) <= _MOST_INDEX_ENTRIES:
        return None
    return timing.is_uneven((entry.timestamp for entry in entries if not entry.is_discard), stream.duration)


def _dynamic_range(
    container: InputContainer, stream: Any, first: StreamInfo, summary: StreamSummary | None
) -> Hdr | None:
    dolby_vision = summary is not None and summary.dolby_vision
    bits = None
    if first.pixel_format is not None:
        bits = max((part.bits for part in av.VideoFormat(first.pixel_format).components), default=None)
    side_data = None
    if first.color_transfer == picture.PQ and not dolby_vision:
        # HDR10+ and Dolby Vision in a bare stream are told apart from HDR10 by what comes with a frame, only.
        side_data = _frame_side_data(container, stream)
    return picture.dynamic_range(
        transfer=first.color_transfer, bits=bits, dolby_vision=dolby_vision, side_data=side_data
    )


def _frame_side_data(container: InputContainer, stream: Any) -> list[str] | None:
    """Decode one keyframe and name what comes with it; None where that fails."""
    try:
        frame = decode_frame(container, stream)
        return None if frame is None else [cast("Any", data).type.name for data in frame.side_data]
    except (av.FFmpegError, ValueError) as error:  # ValueError: side data of a type that PyAV does not know
        if isinstance(error, MemoryError):
            raise
        return None


def decode_frame(container: InputContainer, stream: Any, *, keyframe: bool = True) -> av.VideoFrame | None:
    """Decode the first keyframe, or the first picture of any kind, at or after the present position; on one thread.

    Gives None where the stream has no decoder, or no picture comes of its first hundred packets.

    Raises:
        av.FFmpegError: the file cannot be demuxed here. Packets that cannot be decoded are passed over.
        MemoryError: the picture is larger than the process may grow.
    """
    context = stream.codec_context
    if context is None:
        return None
    if not context.is_open:
        context.thread_count = 1
    context.skip_frame = "NONKEY" if keyframe else "DEFAULT"
    for packet in _packets(container, stream):
        wanted = packet.is_keyframe and keyframe
        try:
            # A decoder holds pictures back to put them in order; a single one comes out when it is told that is all.
            frames = packet.decode() or (context.decode(None) if wanted else [])
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            frames = []
        if frames:
            return cast("av.VideoFrame", frames[0])
        if wanted:
            context.flush_buffers()
    return None


def _packets(container: InputContainer, stream: Any) -> Iterator[Any]:
    """Give the stream's next packets, as many as are worth looking at for a frame."""
    try:
        yield from islice(container.demux(stream), _PACKETS_FOR_A_FRAME)
    except IndexError:
        # At the end PyAV has an empty packet for every stream, also for one that only showed itself while the file was
        # read, as those of an MPEG program stream may; that one it does not know. All the packets have been given.
        return
