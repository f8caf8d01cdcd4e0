"""A file on disk -> MediaInfo. PyAV lives here, in `frames` and in `worker`, and nowhere else.

Every field agrees with what ffprobe says of the same file, or is None. Run it in a process that may be killed: files
are made by others, and FFmpeg reads them in C.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
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
from stoat_ferret.media import headers, overall, picture, streams, timing
from stoat_ferret.media.containers import avi, ebml, matroska, matroska_reader, mp4, transport
from stoat_ferret.media.dump import StreamSummary, parse_summary
from stoat_ferret.media.formats import HEADER_OPTIONS, open_options
from stoat_ferret.media.info import ChapterInfo, MediaInfo
from stoat_ferret.media.light import SideData, of_frame, with_light
from stoat_ferret.media.refusal import refusal
from stoat_ferret.media.source import Source, opened

MINIMUM_PYAV = (18, 1)
MINIMUM_FFMPEG = (8, 1, 2)
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


def probe(path: bytes, source: Source | None = None) -> MediaInfo:
    """Examine a video file.

    Args:
        path: absolute; any bytes.
        source: the same file. If it is given, it is not opened again, and what its headers say is taken where they say
            enough; without, the file is opened here, and its decoders are asked.

    Raises:
        ValueError: the path is relative, which FFmpeg could take for an address.
        UnreadableFileError: the file system refused.
        NotMediaError: no known container.
        IncompleteFileError: a container whose index is missing, or nothing at all.
        NoVideoStreamError: media, but no moving picture.
    """
    info = examine(path, source)
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


def examine(path: bytes, source: Source | None = None) -> MediaInfo:
    """Examine any media file, with or without pictures; otherwise as `probe`."""
    _require_absolute(path)
    info = None if source is None else _from_headers(source)
    if info is None:
        with open_media(path, source) as container:
            info = _describe(container, container.format.name, headers.Found())
    return info


def _from_headers(source: Source) -> MediaInfo | None:
    """Examine a QuickTime, MP4 or Matroska file without decoding; None where it does not say all, or cannot be read."""
    head = source.head()
    try:
        if head[4:8] == headers.FIRST_BOX:
            info = mp4.read(source) or _from_boxes(source)
        elif transport.may_be(head):
            info = transport.examine(source)
        elif avi.may_be(head):
            info = avi.examine(source)
        else:
            info = (_from_own_reader(source) or _from_elements(source)) if head.startswith(ebml.EBML) else None
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        info = None
    source.check()
    return info


def _from_boxes(source: Source) -> MediaInfo | None:
    read = headers.bytes_to_read(source)
    options = HEADER_OPTIONS | {"probesize": str(read)}
    source.seek(0)
    with av.open(source, "r", format="mov", options=options, metadata_errors="replace") as container:
        found = headers.complete(container, read)
        return None if found is None else _describe(container, headers.CONTAINER, found)


def _from_own_reader(source: Source) -> MediaInfo | None:
    """Examine a Matroska file without FFmpeg; None where it is not wholly understood."""
    read = matroska_reader.read(source)
    if read is None:
        return None
    film, found = read
    return _describe(
        film, matroska.CONTAINER, found, {index: stream.summary for index, stream in enumerate(film.streams)}
    )


def _from_elements(source: Source) -> MediaInfo | None:
    source.seek(0)
    options = HEADER_OPTIONS | matroska.OPTIONS
    with av.open(source, "r", format="matroska", options=options, metadata_errors="replace") as container:
        found = matroska.complete(container, source)
        return None if found is None else _describe(container, matroska.CONTAINER, found)


@contextmanager
def open_media(path: bytes, source: Source | None = None) -> Iterator[InputContainer]:
    """Open a file for demuxing, in the only way that is safe with files made by others.

    Args:
        path: absolute; any bytes.
        source: the same file; spares opening it.

    Raises:
        As `probe`, but for NoVideoStreamError.
    """
    _require_absolute(path)
    if source is None:
        with opened(path) as own, open_media(path, own) as container:
            yield container
        return
    source.seek(0)
    try:
        container = av.open(source, "r", options=open_options(source.head()), metadata_errors="replace")
    except av.FFmpegError as error:
        source.check()
        raise refusal(path, error) from error
    with container:
        yield container
    source.check()


def _require_absolute(path: bytes) -> None:
    if not path.startswith(b"/"):
        msg = f"The path is not absolute: {path!r}"
        raise ValueError(msg)


def _describe(
    container: Any, name: str, found: headers.Found, summary: Mapping[int, StreamSummary] | None = None
) -> MediaInfo:
    """Say what is known of an open file of a format, of which something was found out otherwise."""
    if summary is None:
        summary = {} if _may_be_forged(container) else parse_summary(_summary(container))
    described = [
        streams.describe(stream, summary.get(stream.index), found.streams.get(stream.index))
        for stream in container.streams
    ]
    first = overall.moving_picture(described)
    uneven: bool | None = None
    frame: SideData | None = None
    if first is not None:
        light = found.light.get(first.index)
        if light is not None:
            frame = {}
        elif first.color_transfer == picture.PQ:
            frame = _frame_side_data(container, container.streams[first.index])
            light = None if frame is None else of_frame(frame)
        if light is not None:
            described[described.index(first)] = with_light(first, light)
        uneven = _uneven(name, container.streams[first.index])
    start_time = timing.seconds(container.start_time, timing.MICROSECONDS)
    return overall.film(
        name,
        described,
        tags=streams.short_tags(container.metadata),
        duration=timing.seconds(container.duration, timing.MICROSECONDS),
        start_time=start_time if found.start_time is None else found.start_time,
        bit_rate=container.bit_rate,
        chapters=_chapters(container),
        uneven=uneven,
        side_data=frame,
    )


def _summary(container: Any) -> str:
    """Give FFmpeg's summary of the file. The log level is raised for that moment only: FFmpeg is noisy."""
    av.logging.set_skip_repeated(False)
    av.logging.set_level(av.logging.INFO)
    try:
        return str(container.dumps_format())
    finally:
        av.logging.set_level(None)


def _may_be_forged(container: Any) -> bool:
    """Tell whether a tag's key, or a language, which the summary quotes as they are, could say anything in it."""
    named: list[Any] = [container.metadata, *(stream.metadata for stream in container.streams)]
    named += [chapter["metadata"] for chapter in container.chapters()]
    languages = (tags.get("language", "") for tags in named)
    return any(not key.isprintable() for tags in named for key in tags) or any(
        not language.isprintable() or ")" in language for language in languages
    )


def _chapters(container: Any) -> Iterator[ChapterInfo]:
    for index, chapter in enumerate(container.chapters()):
        start = timing.seconds(chapter["start"], chapter["time_base"])
        end = timing.seconds(chapter["end"], chapter["time_base"])
        if start is not None and end is not None:
            yield ChapterInfo(index=index, start=start, end=end, title=chapter["metadata"].get("title"))


def _uneven(container: str, stream: Any) -> bool | None:
    """Tell whether the frame rate varies, from the index of a QuickTime or MP4 file; elsewhere it is not known."""
    if container in timing.CONSTANT_RATE_CONTAINERS:
        return False
    entries = stream.index_entries
    if not container.startswith("mov") or not 3 <= len(entries) <= _MOST_INDEX_ENTRIES:
        return None
    return timing.is_uneven((entry.timestamp for entry in entries if not entry.is_discard), stream.duration)


def _frame_side_data(container: InputContainer, stream: Any) -> SideData | None:
    """Decode one keyframe and give what comes with it, by name; None where that fails.

    HDR10+ and Dolby Vision in a bare stream are told apart from HDR10 by this only, and what display a picture was
    graded on is often said nowhere else.
    """
    try:
        frame = decode_frame(container, stream)
        if frame is None:
            return None
        return {data.type.name: bytes(data) for data in cast("Iterable[Any]", frame.side_data)}
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
