"""Small real video files made from nothing: moving pictures, tones, subtitles, chapters, rotation, HDR tags.

The tests and the demo library are built with it, so no media file needs to be kept in the repository. The picture is
a sliding gradient with a bouncing box, which no encoder can reduce to nothing and in which any two frames differ.
"""

import math
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import av
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

MUXERS = {"mkv": "matroska", "ts": "mpegts", "m4a": "mp4", "ps": "mpeg"}
"""Muxer by file name extension, where the two differ."""
FAST_OPTIONS = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1:bframes=0"},
    "libsvtav1": {"preset": "11", "svtav1-params": "lp=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "mjpeg": {"strict": "unofficial"},
}
"""What makes each encoder quick, quiet and single-threaded. With B-frames, x265 spoils clips of one or two frames."""
HDR10_X265 = (
    ":hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited"
    ":master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
)
"""A 1,000 nit mastering display with BT.2020 primaries, as x265 wants it written."""

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 writes past FFmpeg's logging, straight to the terminal

Hdr = Literal["hdr10", "hlg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """A sine tone. `language` is an ISO 639-2 code."""

    codec: str = "aac"
    language: str | None = None
    title: str | None = None
    channels: int = 1
    sample_rate: int = 48000
    hertz: float = 440.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtitleTrack:
    """Lines of text, one a second."""

    lines: tuple[str, ...] = ("A line.", "Another line.")
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What to encode. Times are in seconds, sizes in pixels; `rotation` is clockwise, as a player would turn it."""

    container: str = "mp4"
    codec: str | None = "libx264"
    """The PyAV encoder's name; None for a file without moving pictures."""
    size: tuple[int, int] = (160, 96)
    rate: Fraction | int = 25
    frames: int = 10
    pixel_format: str = "yuv420p"
    quality: dict[str, str] = field(default_factory=dict)
    """Encoder options on top of the quick defaults, such as `{"crf": "30"}`."""
    key_interval: int = 12
    sample_aspect_ratio: Fraction | None = None
    rotation: int = 0
    hdr: Hdr | None = None
    full_range: bool = False
    vfr: bool = False
    """Frames at uneven distances."""
    mark_corner: bool = False
    """A white square at the top left, so that a test can tell which way up a picture is."""
    seed: int = 0
    """Another seed, another picture."""
    audio: Sequence[AudioTrack] = ()
    subtitles: Sequence[SubtitleTrack] = ()
    chapters: Sequence[str] = ()
    """Titles of chapters of equal length."""
    cover: bool = False
    title: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    repeatable: bool = False
    """The same bytes each time: no random identifiers, no names of the encoders' releases."""
    fast_start: bool = True
    """The index before the media data (mp4 and mov); False puts it at the end, where a cut-off copy lacks it."""

    @property
    def seconds(self) -> float:
        """How long the clip lasts."""
        return self.frames / float(self.rate)


def make_clip(path: Path | str | bytes, clip: Clip | None = None, **fields: Any) -> None:
    """Write a clip; `fields` are those of `Clip` and may be given instead of one."""
    spec = clip or Clip(**fields)
    options = {"movflags": "+faststart"} if spec.fast_start and spec.container in {"mp4", "mov", "m4a"} else {}
    if spec.repeatable:
        options["fflags"] = "+bitexact"
    muxer = MUXERS.get(spec.container, spec.container)
    with av.open(os.fsdecode(path), "w", format=muxer, options=options) as output:
        output.metadata.update(spec.tags | ({"title": spec.title} if spec.title else {}))
        video = _add_video(output, spec) if spec.codec else None
        sounds = [_add_audio(output, track) for track in spec.audio]
        texts = [_add_subtitles(output, spec, track) for track in spec.subtitles]
        cover = _add_cover(output, spec) if spec.cover else None
        if spec.chapters:
            output.set_chapters(_chapters(spec))
        output.start_encoding()
        if cover is not None:
            _write_cover(output, cover)
        if video is not None:
            _write_video(output, video, spec)
        for stream, track in zip(sounds, spec.audio, strict=True):
            _write_audio(output, stream, track, spec.seconds)
        for stream, subtitles in zip(texts, spec.subtitles, strict=True):
            _write_subtitles(output, stream, subtitles, spec)


def truncate(path: Path | str | bytes, fraction: float) -> None:
    """Keep the first part of a file, as a copy that was cut short would."""
    os.truncate(path, int(Path(os.fsdecode(path)).stat().st_size * fraction))


def _add_video(output: Any, spec: Clip) -> Any:
    codec = spec.codec or ""
    options = FAST_OPTIONS.get(codec, {}) | spec.quality
    if spec.hdr == "hdr10" and codec == "libx265":
        options["x265-params"] += HDR10_X265
    stream = output.add_stream(codec, rate=spec.rate, options=options)
    context = stream.codec_context
    context.width, context.height = spec.size
    context.pix_fmt = "yuv420p10le" if spec.hdr else spec.pixel_format
    context.gop_size = spec.key_interval
    context.thread_count = 1
    context.time_base = 1 / (Fraction(spec.rate) * (4 if spec.vfr else 1))
    if spec.sample_aspect_ratio:
        context.sample_aspect_ratio = spec.sample_aspect_ratio
    if spec.full_range:
        context.color_range = ColorRange.JPEG
    if spec.hdr:
        context.color_range = ColorRange.MPEG
        context.colorspace = 9  # BT.2020 non-constant luminance; PyAV's Colorspace names libswscale's tables instead
        context.color_primaries = ColorPrimaries.BT2020
        context.color_trc = ColorTrc.SMPTE2084 if spec.hdr == "hdr10" else ColorTrc.ARIB_STD_B67
    if spec.rotation:
        stream.set_display_rotation(-spec.rotation)
    return stream


def _write_video(output: Any, stream: Any, spec: Clip) -> None:
    for index, pts in zip(range(spec.frames), _timestamps(spec.vfr), strict=False):
        frame = picture(index + 7 * spec.seed, *spec.size, mark_corner=spec.mark_corner)
        if frame.format.name != stream.codec_context.pix_fmt:
            frame = frame.reformat(format=stream.codec_context.pix_fmt, dst_colorspace=Colorspace.DEFAULT)
        frame.pts = pts
        frame.time_base = stream.codec_context.time_base
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def _timestamps(uneven: bool) -> Iterator[int]:
    """Frame times in units of the codec's time base: one apart, or 4, 2, 6 and 8 quarters of a frame apart."""
    gaps = (4, 2, 6, 8) if uneven else (1,)
    now = index = 0
    while True:
        yield now
        now += gaps[index % len(gaps)]
        index += 1


def picture(index: int, width: int, height: int, *, mark_corner: bool = False) -> av.VideoFrame:
    """Draw frame `index` of the moving picture, yuv420p."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for number, plane in enumerate(frame.planes):
        scale = 1 if number == 0 else 2
        data = _gradient(plane.line_size, plane.height, shift=index * (3 + number) + 40 * number, flat=number > 0)
        if number == 0:
            side = max(8, height // 5)
            x = _bounce(index * 5, width - side)
            y = _bounce(index * 3, height - side)
            _box(data, plane.line_size, x, y, side, 40 + index * 9 % 160)
        if mark_corner:
            side = min(width, height) // 4 // scale
            _box(data, plane.line_size, 0, 0, side, 235 if number == 0 else 128)
        plane.update(bytes(data))
    return frame


def _gradient(stride: int, height: int, *, shift: int, flat: bool) -> bytearray:
    """A diagonal ramp between video black and white, or a weak one around grey for the colour planes."""
    low, steps = (88, 80) if flat else (16, 180)
    period = bytes(low + (i if i < steps else 2 * steps - 1 - i) for i in range(2 * steps))
    ramp = period * (stride // len(period) + 2)
    return bytearray(b"".join(ramp[(start := (row + shift) % len(period)) : start + stride] for row in range(height)))


def _bounce(position: int, limit: int) -> int:
    limit = max(1, limit)
    position %= 2 * limit
    return position if position < limit else 2 * limit - position


def _box(data: bytearray, stride: int, x: int, y: int, side: int, value: int) -> None:
    line = bytes([value]) * side
    for row in range(y, min(y + side, len(data) // stride)):
        data[row * stride + x : row * stride + x + side] = line


def _add_audio(output: Any, track: AudioTrack) -> Any:
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[track.channels]
    stream = output.add_stream(track.codec, rate=track.sample_rate, layout=layout)
    _describe(stream, language=track.language, title=track.title)
    return stream


def _write_audio(output: Any, stream: Any, track: AudioTrack, seconds: float) -> None:
    layout = stream.codec_context.layout.name
    total, block, written = int(seconds * track.sample_rate), 1024, 0
    while written < total:
        count = min(block, total - written)
        wave = (
            int(8000 * math.sin(2 * math.pi * track.hertz * n / track.sample_rate))
            for n in range(written, written + count)
        )
        frame = av.AudioFrame(format="s16", layout=layout, samples=count)
        samples = array("h", (value for value in wave for _ in range(track.channels)))
        frame.planes[0].update(samples.tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate = track.sample_rate
        frame.pts, frame.time_base = written, Fraction(1, track.sample_rate)
        output.mux(stream.encode(frame))
        written += count
    output.mux(stream.encode(None))


def _add_subtitles(output: Any, spec: Clip, track: SubtitleTrack) -> Any:
    codec = {"mkv": "subrip", "mp4": "mov_text", "mov": "mov_text", "webm": "webvtt"}[spec.container]
    stream = output.add_mux_stream(codec)
    stream.time_base = Fraction(1, 1000)
    _describe(stream, language=track.language)
    return stream


def _write_subtitles(output: Any, stream: Any, track: SubtitleTrack, spec: Clip) -> None:
    for second, line in enumerate(islice(track.lines, max(1, int(spec.seconds)))):
        text = line.encode()
        packet = av.Packet(len(text).to_bytes(2, "big") + text if spec.container in {"mp4", "mov"} else text)
        packet.stream = stream
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = second * 1000
        packet.duration = min(1000, int(spec.seconds * 1000))
        output.mux(packet)


def _chapters(spec: Clip) -> list[Any]:
    length = int(spec.seconds * 1000 / len(spec.chapters))
    return [
        {
            "id": number + 1,
            "start": number * length,
            "end": (number + 1) * length,
            "time_base": Fraction(1, 1000),
            "metadata": {"title": title},
        }
        for number, title in enumerate(spec.chapters)
    ]


def _add_cover(output: Any, spec: Clip) -> Any:
    """Cover art as the format keeps it: an attachment in Matroska, a stream of one picture elsewhere."""
    if spec.container in {"mkv", "webm"}:
        output.add_attachment("cover.jpg", "image/jpeg", still())
        return None
    stream = output.add_mux_stream("mjpeg", width=64, height=64)
    stream.disposition = av.stream.Disposition.attached_pic
    stream.time_base = Fraction(1, 90000)
    return stream


def _write_cover(output: Any, stream: Any) -> None:
    packet = av.Packet(still())
    packet.stream = stream
    packet.time_base = Fraction(1, 90000)
    packet.pts = packet.dts = 0
    packet.is_keyframe = True
    output.mux(packet)


def still(width: int = 64, height: int = 64) -> bytes:
    """A JPEG picture."""
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    frame = picture(3, width, height).reformat(format="yuvj420p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _describe(stream: Any, *, language: str | None = None, title: str | None = None) -> None:
    if language:
        stream.metadata["language"] = language
    if title:
        stream.metadata["title"] = title
