"""A Matroska file's tracks (RFC 9559, 5.1.4) -> streams, as FFmpeg shows them before it has seen a packet of them.

Whatever is unusual raises `NotUnderstoodError`; then FFmpeg is asked.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from stoat_ferret.media.containers import ebml
from stoat_ferret.media.containers.demuxed import Codec, Context, Disposition, Layout, Stream, rounded
from stoat_ferret.media.containers.ebml import NotUnderstoodError, Readable
from stoat_ferret.media.containers.matroska_head import Head
from stoat_ferret.media.containers.matroska_tags import put
from stoat_ferret.media.dump import StreamSummary, light_levels

_TRACK = 0xAE
_NUMBER, _UID, _TYPE, _NAME, _LANGUAGE, _CODEC, _PRIVATE = 0xD7, 0x73C5, 0x83, 0x536E, 0x22B59C, 0x86, 0x63A2
_DURATION, _SCALE, _DELAY, _VIDEO, _AUDIO = 0x23E383, 0x23314F, 0x56AA, 0xE0, 0xE1
_FLAGS = {0x88: 1 << 0, 0x55AA: 1 << 6, 0x55AB: 1 << 7, 0x55AC: 1 << 8, 0x55AF: 1 << 3}
"""Elements, and the flags of FFmpeg's that they set."""
_DEFAULT, _ORIGINAL, _DESCRIBES = 0x88, 0x55AE, 0x55AD
_IS_DUBBED, _IS_ORIGINAL, _IS_COVER, _IS_DESCRIBED = 1 << 1, 1 << 2, 1 << 10, 1 << 17
_IGNORED = {0xB9, 0x9C, 0x6DE7, 0x6DF8, 0x234E7A, 0x55EE, 0x22B59D, 0x258688, 0xAA, 0x56BB}
"""Of which nothing is shown: whether it is enabled, laced, cached, how much is decoded before a jump, and the like."""
_TRACK_PARTS = frozenset(
    {_NUMBER, _UID, _TYPE, _NAME, _LANGUAGE, _CODEC, _PRIVATE, _DURATION, _SCALE, _DELAY, _VIDEO, _AUDIO}
    | _FLAGS.keys()
    | {_ORIGINAL, _DESCRIBES}
    | _IGNORED
)
_PICTURES, _SOUND, _SUBTITLES = 1, 2, 17
_MOST_TRACKS = 200
_LONGEST_PRIVATE = 1 << 16

_WIDTH, _HEIGHT, _SHOWN_WIDTH, _SHOWN_HEIGHT, _SHOWN_UNIT = 0xB0, 0xBA, 0x54B0, 0x54BA, 0x54B2
_INTERLACED, _FIELDS, _COLOUR, _PROJECTION = 0x9A, 0x9D, 0x55B0, 0x7670
_ZERO_ONLY = {0x53C0, 0x54AA, 0x54BB, 0x54CC, 0x54DD}
"""Transparency and cropping: not understood here, unless there is none."""
_VIDEO_PARTS = frozenset(
    {_WIDTH, _HEIGHT, _SHOWN_WIDTH, _SHOWN_HEIGHT, _SHOWN_UNIT, _INTERLACED, _FIELDS, _COLOUR, _PROJECTION, 0x54B3}
    | _ZERO_ONLY
)
_FIELD_ORDERS = {0: 1, 1: 2, 6: 3, 9: 4, 14: 5}
"""From Matroska's numbers to FFmpeg's; any other is not known."""
_UNKNOWN_UNIT = 4
_LARGEST_SIDE = 1 << 15

_MATRIX, _RANGE, _TRANSFER, _PRIMARIES, _MOST_LIGHT, _AVERAGE_LIGHT = 0x55B1, 0x55B9, 0x55BA, 0x55BB, 0x55BC, 0x55BD
_MASTERING = 0x55D0
_COLOUR_PARTS = frozenset(
    {_MATRIX, _RANGE, _TRANSFER, _PRIMARIES, _MOST_LIGHT, _AVERAGE_LIGHT, _MASTERING}
    | {0x55B2, 0x55B3, 0x55B4, 0x55B5, 0x55B6, 0x55B7, 0x55B8}
)
_MOST_COLOUR, _RESERVED = 22, (0, 3)
_BRIGHTEST_LIGHT = 1 << 16
_MASTERING_POINTS = (0x55D1, 0x55D2, 0x55D3, 0x55D4, 0x55D5, 0x55D6, 0x55D7, 0x55D8)
_BRIGHTEST, _DARKEST = 0x55D9, 0x55DA
_MASTERING_PARTS = frozenset({*_MASTERING_POINTS, _BRIGHTEST, _DARKEST})
_KIND, _YAW, _PITCH, _ROLL = 0x7671, 0x7673, 0x7674, 0x7675
_PROJECTION_PARTS = frozenset({_KIND, _YAW, _PITCH, _ROLL})
_QUARTERS = (0.0, 90.0, -90.0, 180.0, -180.0)

_RATE, _OUTPUT_RATE, _CHANNELS, _BITS = 0xB5, 0x78B5, 0x9F, 0x6264
_AUDIO_PARTS = frozenset({_RATE, _OUTPUT_RATE, _CHANNELS, _BITS})
_DEFAULT_RATE, _HIGHEST_RATE, _MOST_CHANNELS = 8000.0, 1_000_000, 32

_CODECS = {
    "V_MPEG4/ISO/AVC": "h264", "V_MPEGH/ISO/HEVC": "hevc", "V_VP8": "vp8", "V_VP9": "vp9", "A_AAC": "aac",
    "A_AC3": "ac3", "A_OPUS": "opus", "A_FLAC": "flac", "S_TEXT/UTF8": "subrip", "S_TEXT/ASS": "ass", "S_ASS": "ass",
    "S_TEXT/SSA": "ass", "S_SSA": "ass", "D_WEBVTT/SUBTITLES": "webvtt",
}  # fmt: skip
_PCM = {8: "pcm_u8", 16: "pcm_s16le", 24: "pcm_s24le", 32: "pcm_s32le"}
_WHOLE_NUMBERS, _KINDS = "A_PCM/INT/LIT", {_PICTURES: "video", _SOUND: "audio", _SUBTITLES: "subtitle"}
_FLAC_BLOCK = b"fLaC\x80\0\0\x22"
"""Before the only metadata block there is."""
_SHORTEST_FLAC_BLOCK = 16
_SHORTEST_FRAME, _LONGEST_FRAME = 1_001_000, 199_000_000
"""Nanoseconds; of rates that are not between 5 and 1000 Hz FFmpeg makes sure by looking at pictures."""
_SECOND = 1_000_000_000
"""In nanoseconds."""
_LONGEST_DELAY = 1_000_000_000
_LARGEST_TERM = 30_000
"""Of a rate."""

Fields = dict[int, tuple[int, int]]


@dataclass(slots=True)
class Track:
    """A stream, and what is needed to read its packets."""

    number: int
    stream: Stream
    delay: int = 0
    """Ticks that its beginning lies before what is written."""
    frame_duration: int = 0
    """Nanoseconds; of pictures."""


def read_tracks(head: Head) -> list[Track]:
    """Read all tracks, with their tags.

    Raises:
        NotUnderstoodError: one of them is not understood.
    """
    unit = _ratio(head.scale, _SECOND)
    data, found, numbers = head.tracks.data, list[Track](), dict[int, list[Stream]]()
    for index, (_, at, end) in enumerate(ebml.children(*head.tracks, frozenset({_TRACK}))):
        said = ebml.once(data, at, end, _TRACK_PARTS)
        track = _track(data, said, index, unit, head)
        found.append(track)
        numbers.setdefault(_number(data, said, _UID), []).append(track.stream)
    if not found or len(found) > _MOST_TRACKS or len({track.number for track in found}) != len(found):
        raise NotUnderstoodError
    for tag in head.tags:
        for stream in numbers.get(tag.track, ()) if tag.track else ():
            put(stream.metadata, tag.said)
    return found


def _track(data: Readable, said: Fields, index: int, unit: Fraction, head: Head) -> Track:
    kind = _number(data, said, _TYPE)
    number = _number(data, said, _NUMBER)
    if kind not in _KINDS or not number or (_SCALE in said and ebml.real(data, *said[_SCALE], 1.0) != 1.0):
        raise NotUnderstoodError
    context = _context(data, said)
    delay = _number(data, said, _DELAY)
    stream = Stream(index, _KINDS[kind], context, unit, StreamSummary(_KINDS[kind], context.codec.name))
    stream.metadata = _names(data, said)
    stream.disposition = _disposition(data, said, kind)
    track = Track(number, stream)
    if kind == _PICTURES:
        track.frame_duration = _number(data, said, _DURATION)
        _add_picture(stream, data, said, track.frame_duration, head.application)
    elif kind == _SOUND:
        _add_sound(context, data, said)
        if delay:
            track.delay = _delay(delay, head.scale, context.sample_rate)
    elif _VIDEO in said or _AUDIO in said:
        raise NotUnderstoodError
    if delay and (kind != _SOUND or delay > _LONGEST_DELAY):
        raise NotUnderstoodError
    return track


def _delay(nanoseconds: int, scale: int, sample_rate: int) -> int:
    """Give by how much a sound begins before its first packet's time.

    What is left out at the beginning counts, though its packets come before: FFmpeg counts it in samples again.
    """
    samples = rounded(nanoseconds * sample_rate, _SECOND)
    return rounded(nanoseconds, scale) - rounded(samples * _SECOND, sample_rate * scale)


def _number(data: Readable, said: Fields, kind: int, default: int = 0) -> int:
    return ebml.unsigned(data, *said[kind], default) if kind in said else default


def _context(data: Readable, said: Fields) -> Context:
    at, end = said.get(_PRIVATE, (0, 0))
    name = ebml.text(data, *said.get(_CODEC, (0, 0)))
    if name == _WHOLE_NUMBERS:
        codec = ""  # told by the number of bits
    elif name not in _CODECS or end - at > _LONGEST_PRIVATE:
        raise NotUnderstoodError
    else:
        codec = _CODECS[name]
    header = data[at:end]
    if codec == "vp9":
        header = b""
    elif codec == "flac":
        if not header.startswith(_FLAC_BLOCK) or len(header) != len(_FLAC_BLOCK) + 34:
            raise NotUnderstoodError
        header = header[len(_FLAC_BLOCK) :]
        if int.from_bytes(header[2:4], "big") < _SHORTEST_FLAC_BLOCK:
            raise NotUnderstoodError
    return Context(Codec(codec), header)


def _names(data: Readable, said: Fields) -> dict[str, str]:
    at, end = said.get(_LANGUAGE, (0, 0))
    language = ebml.text(data, at, end) if end > at else "eng"
    if not language.isprintable() or ")" in language:
        raise NotUnderstoodError
    named = {} if language == "und" else {"language": language}
    if _NAME in said:
        named["title"] = ebml.text(data, *said[_NAME])
    return named


def _disposition(data: Readable, said: Fields, kind: int) -> Disposition:
    value = 0 if _DEFAULT in said else _FLAGS[_DEFAULT]
    for element in said.keys() & _FLAGS.keys():
        if _number(data, said, element, 1 if element == _DEFAULT else 0):
            value |= _FLAGS[element]
    if _ORIGINAL in said:
        value |= _IS_ORIGINAL if _number(data, said, _ORIGINAL) else _IS_DUBBED
    if kind == _SUBTITLES and _number(data, said, _DESCRIBES):
        value |= _IS_DESCRIBED
    return Disposition(value)


def _add_picture(stream: Stream, data: Readable, track: Fields, frame: int, application: str) -> None:
    context = stream.codec_context
    if context is None or _VIDEO not in track or _AUDIO in track or not _SHORTEST_FRAME <= frame <= _LONGEST_FRAME:
        raise NotUnderstoodError
    said = ebml.once(data, *track[_VIDEO], _VIDEO_PARTS)
    context.width, context.height = width, height = _number(data, said, _WIDTH), _number(data, said, _HEIGHT)
    if not (0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
        raise NotUnderstoodError
    if any(_number(data, said, kind) for kind in _ZERO_ONLY):
        raise NotUnderstoodError
    stream.average_rate = stream.base_rate = rate(frame)
    stream.sample_aspect_ratio = _shape(data, said, width, height)
    interlaced = _number(data, said, _INTERLACED)
    if interlaced == 1:
        fields = _number(data, said, _FIELDS, 2)
        if fields in (9, 14) and application.startswith("Lavf57"):  # which exchanged the two
            raise NotUnderstoodError
        context.field_order = _FIELD_ORDERS.get(fields, 0)
    elif interlaced == 2:
        context.field_order = 1
    if _COLOUR in said:
        stream.summary.side_data |= _colour(context, data, said[_COLOUR])
    if _PROJECTION in said:
        _turn(stream.summary, data, said[_PROJECTION])


@lru_cache(maxsize=64)
def rate(frame: int) -> Fraction:
    """Give the rate of pictures that last so many nanoseconds each, as FFmpeg does: no term is above 30,000."""
    return 1 / Fraction(frame, _SECOND).limit_denominator(_LARGEST_TERM)


@lru_cache(maxsize=64)
def _ratio(width: int, height: int) -> Fraction:
    return Fraction(width, height)


def _shape(data: Readable, said: Fields, width: int, height: int) -> Fraction | None:
    """Give the shape of a sample, from the size as shown."""
    unit = _number(data, said, _SHOWN_UNIT)
    shown_width = _number(data, said, _SHOWN_WIDTH, 0 if unit else width)
    shown_height = _number(data, said, _SHOWN_HEIGHT, 0 if unit else height)
    if shown_width > _LARGEST_SIDE or shown_height > _LARGEST_SIDE or unit > _UNKNOWN_UNIT:
        raise NotUnderstoodError
    if unit == _UNKNOWN_UNIT:
        return None
    if not shown_width or not shown_height:
        raise NotUnderstoodError
    return _ratio(height * shown_width, width * shown_height)


def _colour(context: Context, data: Readable, place: tuple[int, int]) -> dict[str, Any]:
    said = ebml.once(data, *place, _COLOUR_PARTS)
    matrix, transfer = _number(data, said, _MATRIX, 2), _number(data, said, _TRANSFER, 2)
    primaries, most, average = (
        _number(data, said, _PRIMARIES, 2),
        _number(data, said, _MOST_LIGHT),
        _number(data, said, _AVERAGE_LIGHT),
    )
    full = _number(data, said, _RANGE)
    if max(matrix, transfer, primaries) > _MOST_COLOUR or max(most, average) >= _BRIGHTEST_LIGHT:
        raise NotUnderstoodError
    if matrix not in _RESERVED[1:]:
        context.colorspace = matrix
    if transfer not in _RESERVED:
        context.color_trc = transfer
    if primaries not in _RESERVED:
        context.color_primaries = primaries
    if full in (1, 2):
        context.color_range = full
    found = light_levels(most, average) if most and average else {}
    return found | (_mastering(data, said[_MASTERING]) if _MASTERING in said else {})


def _mastering(data: Readable, place: tuple[int, int]) -> dict[str, Any]:
    """Read SMPTE ST 2086, rounded as FFmpeg does where it writes it."""
    said = {kind: ebml.real(data, *inner) for kind, inner in ebml.once(data, *place, _MASTERING_PARTS).items()}
    points = [said.get(kind, 0.0) for kind in _MASTERING_POINTS]
    found: dict[str, Any] = {}
    if all(point > 0 for point in points):
        found["mastering_primaries"] = tuple(float(f"{point:.4f}") for point in points)
    darkest, brightest = said.get(_DARKEST), said.get(_BRIGHTEST, 0.0)
    if darkest is not None and 0 <= darkest < brightest:
        found["mastering_min_luminance"] = float(f"{darkest:.6f}")
        found["mastering_max_luminance"] = float(f"{brightest:.6f}")
    return found


def _turn(summary: StreamSummary, data: Readable, place: tuple[int, int]) -> None:
    """Read how a flat picture is turned: quarter turns only."""
    said = ebml.once(data, *place, _PROJECTION_PARTS)
    kind = _number(data, said, _KIND)
    yaw, pitch, roll = (ebml.real(data, *said[part]) if part in said else 0.0 for part in (_YAW, _PITCH, _ROLL))
    if kind or yaw or pitch or roll not in _QUARTERS:
        raise NotUnderstoodError
    if roll:
        summary.rotation, summary.display_matrix = roll, True


def _add_sound(context: Context, data: Readable, track: Fields) -> None:
    if _AUDIO not in track or _VIDEO in track:
        raise NotUnderstoodError
    said = ebml.once(data, *track[_AUDIO], _AUDIO_PARTS)
    hertz = ebml.real(data, *said[_RATE], _DEFAULT_RATE) if _RATE in said else _DEFAULT_RATE
    played = ebml.real(data, *said[_OUTPUT_RATE]) if _OUTPUT_RATE in said else 0.0
    channels, bits = _number(data, said, _CHANNELS, 1), _number(data, said, _BITS)
    context.sample_rate = int(played or hertz)
    if min(hertz, context.sample_rate) < 1 or max(hertz, played) > _HIGHEST_RATE or not 0 < channels <= _MOST_CHANNELS:
        raise NotUnderstoodError
    context.layout = Layout(f"{channels} channels", channels)
    if not context.codec.name:
        if bits not in _PCM or context.extradata:
            raise NotUnderstoodError
        context.codec = Codec(_PCM[bits])
    elif not context.extradata and context.codec.name != "ac3":
        raise NotUnderstoodError
