"""What we say of a media file, held field by field against what ffprobe says of it.

One table, `FIELDS`, names every field that is stored and where ffprobe's JSON has the same; whoever stores another one
adds a line to it, or to `NOT_COMPARED` with the reason (a test insists). `tools.oracle` holds a whole folder against a
running ffprobe with it, the tests hold the samples against what ffprobe was once seen to say.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.origin import location
from tools import readings as read

Json = dict[str, Any]
Verdict = Literal["equal", "ours null", "wrong", "theirs absent"]
Scope = Literal["file", "picture", "sound", "stream", "chapter"]
"""What a field is said of: `picture` and `sound` are the file's own fields that its first such stream decides."""

ROUNDING_SECONDS = 1.5e-6
"""Times are written with six decimals, and halves are not rounded alike everywhere."""
CRITICAL = ("hdr", "rotation")
"""Of these not one may be wrong: a picture that lies on its side, or that is shown grey, is seen at once."""


@dataclass(frozen=True, slots=True)
class Field:
    """A stored field, and how to read the same out of ffprobe's JSON."""

    scope: Scope
    ours: str
    """The attribute of MediaInfo, StreamInfo or ChapterInfo."""
    theirs: Callable[[Json], object]
    """From ffprobe's whole document (scope `file`), its stream or its chapter to our form; None for not said."""
    word: str | None = None
    """What `differs` in the samples' EXPECTED.jsonl calls it; None where that file does not record it."""

    @property
    def name(self) -> str:
        return f"{self.scope}.{self.ours}" if self.scope in ("stream", "chapter") else self.ours


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field of one file."""

    field: Field
    index: int | None
    """Of the stream or chapter; None for what the whole file decides."""
    verdict: Verdict
    ours: object
    theirs: object

    @property
    def word(self) -> str:
        """As `differs` in EXPECTED.jsonl has it."""
        by_stream = self.field.scope in ("stream", "picture", "sound")
        return f"{self.index}.{self.field.word}" if by_stream else str(self.field.word)


def compare(info: MediaInfo, document: Json) -> Iterator[Comparison]:
    """Hold everything stored of a file against ffprobe's document; what neither side says is passed over.

    Streams and chapters are paired by their place; that there are as many on both sides is a comparison of its own.
    What EXPECTED.jsonl does not record is left out for a document that was made of one of its rows.
    """
    recorded_only = bool(document.get(read.RECORDED_ONLY))
    parts: dict[Scope, tuple[Any, Any]] = {
        "file": ([info], [document]),
        "picture": ([info], [stream for stream in [read.moving_picture(document)] if stream is not None]),
        "sound": ([info], [stream for stream in document.get("streams", []) if read.kind(stream) == "audio"]),
        "stream": (info.streams, document.get("streams", [])),
        "chapter": (info.chapters, document.get("chapters", [])),
    }
    for field in FIELDS:
        if recorded_only and field.scope == "stream" and field.word is None:
            continue
        for index, (ours, theirs) in enumerate(zip(*parts[field.scope], strict=False)):
            said = field.ours_of(ours) if isinstance(field, Count) else getattr(ours, field.ours)
            told = field.theirs(theirs)
            if (verdict := _verdict(said, told)) is not None:
                place = None if field.scope == "file" else theirs.get("index", index)
                yield Comparison(field, place, verdict, said, told)


@dataclass(frozen=True, slots=True)
class Count(Field):
    """How many streams or chapters there are."""

    def ours_of(self, info: MediaInfo) -> int:
        return len(getattr(info, self.ours))


def _verdict(ours: object, theirs: object) -> Verdict | None:
    if theirs is read.CANNOT_TELL:
        return None
    if ours is None:
        return None if theirs is None else "ours null"
    if theirs is None:
        return "theirs absent"
    if isinstance(ours, float) and isinstance(theirs, int | float):
        return "equal" if math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=ROUNDING_SECONDS) else "wrong"
    return "equal" if _repaired(ours) == _repaired(theirs) else "wrong"


def _repaired(value: object) -> object:
    """Leave one U+FFFD of several: how many replace a broken sequence of bytes is a matter of taste."""
    if isinstance(value, str):
        return re.sub("\ufffd+", "\ufffd", value)
    if isinstance(value, dict):
        return {_repaired(key): _repaired(item) for key, item in value.items()}
    return value


def document_of_row(row: Json) -> Json:
    """Turn a row of EXPECTED.jsonl into what ffprobe printed, as far as the row records it."""
    streams = [
        {
            **stream,
            "tags": {"language": stream["language"]} if stream.get("language") else {},
            "disposition": dict.fromkeys(stream["disposition"], 1),
            "side_data_list": [
                *({"side_data_type": kind} for kind in stream.get("side_data", [])),
                *([{"rotation": stream["rotation"]}] if "rotation" in stream else []),
            ],
        }
        for stream in row["streams"]
    ]
    chapters = [
        {"start_time": chapter["start"], "end_time": chapter["end"], "tags": _titled(chapter.get("title"))}
        for chapter in row["chapters"]
    ]
    return {"format": row, "streams": streams, "chapters": chapters, read.RECORDED_ONLY: True}


def _titled(title: str | None) -> dict[str, str]:
    return {} if title is None else {"title": title}


FIELDS: tuple[Field, ...] = (
    Field("file", "container", read.of_format(read.text("format_name")), "container"),
    Field("file", "duration", read.of_format(read.seconds("duration", positive=True)), "duration"),
    Field("file", "start_time", read.of_format(read.seconds("start_time")), "start"),
    Field("file", "bit_rate", read.of_format(read.whole("bit_rate")), "bit_rate"),
    Field("file", "tags", read.of_format(read.tags), "tags"),
    Field("file", "created_at_in_camera", read.of_format(read.of_origin("created_at_in_camera")), "tags"),
    Field("file", "camera_make", read.of_format(read.of_origin("camera_make")), "tags"),
    Field("file", "camera_model", read.of_format(read.of_origin("camera_model")), "tags"),
    Field("file", "location", read.of_format(lambda part: location(read.short_tags(part))), "tags"),
    Field("file", "timecode", read.timecode),
    Field("file", "hdr", read.hdr),
    Field("picture", "width", read.whole("width"), "width"),
    Field("picture", "height", read.whole("height"), "height"),
    Field("picture", "rotation", read.rotation, "rotation"),
    Field("picture", "display_width", read.shown(0), "width"),
    Field("picture", "display_height", read.shown(1), "height"),
    Field("picture", "video_codec", read.text("codec_name"), "codec"),
    Field("picture", "video_profile", read.profile, "profile"),
    Field("picture", "pixel_format", read.text("pix_fmt"), "pix_fmt"),
    Field("picture", "frame_rate", read.ratio("avg_frame_rate"), "avg"),
    Field("picture", "frame_rate_float", read.rate, "avg"),
    Field("sound", "audio_codec", read.text("codec_name"), "codec"),
    Field("sound", "audio_channels", read.whole("channels"), "channels"),
    Count("file", "streams", lambda document: len(document.get("streams", [])), "nstreams"),
    Count("file", "chapters", lambda document: len(document.get("chapters", [])), "chapters"),
    Field("stream", "index", lambda stream: stream["index"], "index"),
    Field("stream", "kind", read.kind, "type"),
    Field("stream", "codec", read.text("codec_name"), "codec"),
    Field("stream", "codec_tag", read.codec_tag),
    Field("stream", "profile", read.profile, "profile"),
    Field("stream", "level", read.of_picture(read.level)),
    Field("stream", "language", read.tag("language"), "language"),
    Field("stream", "title", read.tag("title")),
    Field("stream", "disposition", read.disposition, "disp"),
    Field("stream", "start_time", read.seconds_unless_data("start_time"), "start"),
    Field("stream", "duration", read.seconds_unless_data("duration", positive=True), "sduration"),
    Field("stream", "bit_rate", read.whole("bit_rate")),
    Field("stream", "frame_count", read.whole("nb_frames")),
    Field("stream", "timecode", read.stream_timecode),
    Field("stream", "width", read.whole("width"), "width"),
    Field("stream", "height", read.whole("height"), "height"),
    Field("stream", "sample_aspect_ratio", read.ratio("sample_aspect_ratio"), "sar"),
    Field("stream", "display_aspect_ratio", read.ratio("display_aspect_ratio")),
    Field("stream", "pixel_format", read.text("pix_fmt"), "pix_fmt"),
    Field("stream", "bit_depth", read.bit_depth),
    Field("stream", "chroma", read.chroma),
    Field("stream", "frame_rate", read.ratio("avg_frame_rate"), "avg"),
    Field("stream", "real_frame_rate", read.ratio("r_frame_rate"), "r"),
    Field("stream", "field_order", read.text("field_order"), "field_order"),
    Field("stream", "color_range", read.text("color_range"), "color_range"),
    Field("stream", "color_primaries", read.text("color_primaries"), "primaries"),
    Field("stream", "color_transfer", read.text("color_transfer"), "transfer"),
    Field("stream", "color_space", read.text("color_space"), "space"),
    Field("stream", "rotation", read.rotation, "rotation"),
    Field("stream", "attached_picture", lambda stream: "attached_pic" in read.disposition(stream), "disp"),
    Field("stream", "mastering_primaries", read.of_light(read.MASTERING, *read.PRIMARIES, digits=4)),
    Field("stream", "mastering_min_luminance", read.of_light(read.MASTERING, "min_luminance")),
    Field("stream", "mastering_max_luminance", read.of_light(read.MASTERING, "max_luminance")),
    Field("stream", "max_content_light", read.whole_light("max_content")),
    Field("stream", "max_average_light", read.whole_light("max_average")),
    Field("stream", "hdr10_plus", read.hdr10_plus),
    Field("stream", "dolby_vision_profile", read.of_side_data("DOVI configuration record", "dv_profile")),
    Field("stream", "dolby_vision_level", read.of_side_data("DOVI configuration record", "dv_level")),
    Field(
        "stream",
        "dolby_vision_compatibility",
        read.of_side_data("DOVI configuration record", "dv_bl_signal_compatibility_id"),
    ),
    Field("stream", "stereo_3d", read.of_side_data("Stereo 3D", "type")),
    Field("stream", "projection", read.of_side_data("Spherical Mapping", "projection")),
    Field("stream", "sample_rate", read.whole("sample_rate"), "sample_rate"),
    Field("stream", "channels", read.whole("channels"), "channels"),
    Field("stream", "channel_layout", read.text("channel_layout"), "layout"),
    Field("stream", "bits_per_sample", read.sample_bits),
    Field("stream", "file_name", read.tag("filename")),
    Field("stream", "mime_type", read.tag("mimetype")),
    Field("stream", "tags", read.stream_tags),
    Field("chapter", "start", read.seconds("start_time"), "chapters"),
    Field("chapter", "end", read.seconds("end_time"), "chapters"),
    Field("chapter", "title", read.tag("title"), "chapters"),
)

NOT_COMPARED = {
    "vfr": "ffprobe does not say it; that r_frame_rate and avg_frame_rate differ proves nothing",
    "stream.views": "ffprobe before 7.1 does not say it, and later ones only where its decoder is told to",
    "chapter.index": "ours is the place in the list, ffprobe's the number that the file gives",
}
"""Stored fields that ffprobe has nothing to hold against, and why, by `Field.name`."""
