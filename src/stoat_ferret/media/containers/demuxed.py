"""A file that was read here and not by FFmpeg, with the names that PyAV has for what it shows of an open one.

So what is said of a stream, and what is found out of its headers, is the same code for both.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, ClassVar

import av

from stoat_ferret.media.dump import StreamSummary
from stoat_ferret.media.source import View

_UNSPECIFIED = 2
"""What H.273 calls a colour of which nothing is said."""


@dataclass(slots=True)
class Codec:
    """A codec by FFmpeg's name."""

    name: str

    @property
    def canonical_name(self) -> str:
        """Give the codec's name, which is its decoder's here."""
        return self.name


@dataclass(slots=True)
class Layout:
    """How many channels, and in which order; `N channels` where that is not known."""

    name: str = ""
    nb_channels: int = 0


@dataclass(slots=True)
class Context:
    """What is known of how a stream is coded, before any decoder has seen it."""

    codec: Codec
    extradata: bytes = b""
    profile: str | None = None
    level: int = -99
    bit_rate: int | None = None
    width: int = 0
    height: int = 0
    field_order: int = 0
    color_range: int = 0
    color_primaries: int = _UNSPECIFIED
    color_trc: int = _UNSPECIFIED
    colorspace: int = _UNSPECIFIED
    sample_rate: int = 0
    layout: Layout = field(default_factory=Layout)
    codec_tag: str = ""
    pix_fmt: ClassVar[None] = None
    format: ClassVar[None] = None

    @property
    def extradata_size(self) -> int:
        """Give the header's length in bytes."""
        return len(self.extradata)


@cache
def flags(value: int) -> tuple[Any, ...]:
    """Give the single flags of a disposition."""
    return tuple(av.stream.Disposition(value))


@dataclass(slots=True)
class Disposition:
    """What a stream is for: FFmpeg's flags."""

    value: int = 0

    def __bool__(self) -> bool:
        return bool(self.value)

    def __and__(self, flag: Any) -> int:
        return self.value & int(flag.value)

    def __iter__(self) -> Any:
        return iter(flags(self.value))


@dataclass(slots=True)
class Format:
    """The format of a file, by FFmpeg's name."""

    name: str = "matroska,webm"


@dataclass(slots=True)
class Container:
    """What a stream says of the file that it is in."""

    format: Format = field(default_factory=Format)


@dataclass(slots=True)
class Stream:
    """One stream; times in its time base, None for what is not known."""

    index: int
    type: str
    codec_context: Context | None
    time_base: Fraction
    summary: StreamSummary
    """What FFmpeg would say of it in its summary."""
    metadata: dict[str, str] = field(default_factory=dict)
    disposition: Disposition = field(default_factory=Disposition)
    start_time: int | None = None
    duration: int | None = None
    sample_aspect_ratio: Fraction | None = None
    average_rate: Fraction | None = None
    base_rate: Fraction | None = None
    frames: ClassVar[int] = 0
    index_entries: ClassVar[tuple[Any, ...]] = ()
    container: ClassVar[Any] = Container()


class Streams(list[Stream]):
    """All streams of a file, in their order."""

    @property
    def video(self) -> list[Stream]:
        """Give those of pictures."""
        return [stream for stream in self if stream.type == "video"]


@dataclass(slots=True)
class Film:
    """A whole file; times in microseconds."""

    streams: Streams
    metadata: dict[str, str]
    duration: int
    bit_rate: int
    start_time: int | None = None
    parts: list[dict[str, Any]] = field(default_factory=list)

    def chapters(self) -> list[dict[str, Any]]:
        """Give the chapters, as PyAV does."""
        return self.parts


class Packet:
    """The first packet of a stream.

    Args:
        content: its bytes, or a view of them.
        pts: when it is shown, in the stream's time base; None where that is not said.
    """

    def __init__(self, content: bytes | View, pts: int | None = None) -> None:
        self.content = content
        self.pts = pts

    def __len__(self) -> int:
        return len(self.content)

    def __getitem__(self, place: Any) -> Any:
        return self.content[place]


def content_of(packet: Any) -> Any:
    """Give the bytes of a packet of PyAV's, or something like them of one that was read here."""
    return packet.content if isinstance(packet, Packet) else bytes(packet)


def rescaled(value: int, unit: Fraction, other: Fraction) -> int:
    """Give a time in another unit."""
    return rounded(value * unit.numerator * other.denominator, unit.denominator * other.numerator)


def rounded(over: int, under: int) -> int:
    """Divide as FFmpeg does: halves are rounded away from zero."""
    whole = (2 * abs(over) + under) // (2 * under)
    return whole if over >= 0 else -whole
