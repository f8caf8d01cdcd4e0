"""Figures and names as people read them: sizes, durations, moments, codecs, and text that may hold anything."""

import re
from datetime import UTC, datetime
from typing import Any

from stoat_ferret import paths

UNKNOWN = "—"
UNITS = ("kB", "MB", "GB", "TB")
TIMES = "\N{MULTIPLICATION SIGN}"
CODECS = {
    "aac": "AAC",
    "ac3": "AC-3",
    "alac": "ALAC",
    "av1": "AV1",
    "dvvideo": "DV",
    "eac3": "E-AC-3",
    "flac": "FLAC",
    "h264": "H.264",
    "hevc": "HEVC",
    "mjpeg": "MJPEG",
    "mp3": "MP3",
    "mpeg1video": "MPEG-1",
    "mpeg2video": "MPEG-2",
    "mpeg4": "MPEG-4",
    "opus": "Opus",
    "prores": "ProRes",
    "vorbis": "Vorbis",
    "vp8": "VP8",
    "vp9": "VP9",
}
"""FFmpeg's names of the codecs that are met most, as their standards write them."""

HDR = {"hdr10": "HDR10", "hdr10_plus": "HDR10+", "hlg": "HLG", "dolby_vision": "Dolby Vision"}
"""`sdr` is left out: what is usual needs no badge."""

CLASSES = (("8K", 7680, 4320), ("4K", 3840, 2160), ("1440p", 2560, 1440), ("1080p", 1920, 1080), ("720p", 1280, 720))
"""Resolution classes: a picture is in the first whose long or short side it reaches, in pixels."""

ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# Control characters, and those that change the direction of what follows them: a name must not look like another one.
_DECEIVING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Show characters that could not be seen, or that would rearrange others, as `\\n` or `⟨U+202E⟩`."""
    return _DECEIVING.sub(_stand_in, text)


def _stand_in(match: re.Match[str]) -> str:
    character = match.group()
    return ESCAPES.get(character) or f"⟨U+{ord(character):04X}⟩"


def path(path_bytes: bytes) -> str:
    """Show a path; bytes that are not UTF-8 become U+FFFD."""
    return visible(paths.display(path_bytes))


def folder(path_bytes: bytes) -> str:
    """Show the last two folders that a file lies in: enough to tell names apart that cameras give again and again."""
    return visible(" / ".join(paths.display(path_bytes).split("/")[-3:-1]))


def size(count: int) -> str:
    """Give a number of bytes in decimal units, as disks are sold and file managers show them."""
    if count < 1000:
        return f"{count} B"
    power = next((power for power in (1, 2, 3) if count < 999.5 * 1000**power), 4)
    value = count / 1000**power
    return f"{value:,.{1 if value < 9.95 else 0}f} {UNITS[power - 1]}"


def number(count: int) -> str:
    """Group a number's digits."""
    return f"{count:,}"


def amount(count: int, unit: str) -> str:
    """Give a number with its unit, which is written in the plural: `amount(1, "videos")` is `1 video`."""
    return f"{count:,} {unit.removesuffix('s') if count == 1 else unit}"


def clock(seconds: float | None) -> str:
    """Give a duration as a player does: `0:07`, `12:03`, `1:00:00`."""
    if seconds is None:
        return UNKNOWN
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def iso_duration(seconds: float) -> str:
    """Give a duration as the `datetime` of a `time` element."""
    return f"PT{seconds:.3f}S"


def spell(seconds: float) -> str:
    """Give a stretch of time roughly, in words: `0.6 s`, `45 s`, `3 min`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def ago(moment_us: int, now_us: int) -> str:
    """Say how long ago a moment was."""
    seconds = (now_us - moment_us) / 1_000_000
    if seconds < 10:
        return "just now"
    if seconds < 48 * 3600:
        return f"{spell(seconds if seconds < 6000 else round(seconds / 3600) * 3600).removesuffix(' 0 min')} ago"
    if seconds < 60 * 86400:
        return f"{round(seconds / 86400)} days ago"
    return f"on {moment(moment_us)[:10]}"


def moment(moment_us: int | None) -> str:
    """Give a moment to the second, in UTC."""
    if moment_us is None:
        return UNKNOWN
    return _utc(moment_us).strftime("%Y-%m-%d %H:%M:%S UTC") if _datable(moment_us) else UNKNOWN


def iso_moment(moment_us: int) -> str:
    """Give a moment as RFC 3339."""
    return _utc(moment_us).isoformat().replace("+00:00", "Z") if _datable(moment_us) else ""


def _utc(moment_us: int) -> datetime:
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC)


def _datable(moment_us: int) -> bool:
    # A damaged file system can give a file any time; datetime takes the years 1 to 9999.
    return -62_135_596_800_000_000 <= moment_us < 253_402_300_799_000_000


def codec(name: str) -> str:
    """Give a codec's usual name."""
    return visible(CODECS.get(name, name))


def hdr(name: str | None) -> str | None:
    """Give the name of a high dynamic range; None for standard range, or where it is not known."""
    return HDR.get(name or "")


def resolution(width: int | None, height: int | None) -> str | None:
    """Give the class of a picture by its size as shown, or its size where it is below every class."""
    if not width or not height:
        return None
    long, short = max(width, height), min(width, height)
    for name, class_long, class_short in CLASSES:
        if long >= class_long or short >= class_short:
            return name
    return f"{width}{TIMES}{height}"


def bit_rate(bits: int | None) -> str:
    """Give a bit rate."""
    if bits is None:
        return UNKNOWN
    return f"{bits / 1e6:.1f} Mbit/s" if bits >= 1_000_000 else f"{bits / 1e3:.0f} kbit/s"


def fps(rate: float | None) -> str:
    """Give a frame rate with up to three decimals."""
    return UNKNOWN if rate is None else f"{rate:.3f}".rstrip("0").rstrip(".") + " fps"


def channels(count: int | None) -> str:
    """Give a number of audio channels as layouts are called."""
    if count is None:
        return UNKNOWN
    return {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}.get(count, f"{count} channels")


def codec_level(level: int | None, codec: str | None) -> str:
    """Give a level as its standard writes it (Rec. ITU-T H.264 and H.265, annex A); nothing for other codecs."""
    parts = {"h264": 10, "hevc": 30}.get(codec or "")
    return f"{level / parts:.1f}" if level and parts else ""


def camera(make: str | None, model: str | None) -> str:
    """Give a camera's name; many makers begin the model with their own."""
    if make and model and not model.lower().startswith(make.lower()):
        return f"{make} {model}"
    return model or make or UNKNOWN


def stream_details(stream: dict[str, Any]) -> str:
    """Say in a line what kind of picture or sound a stream (a `media.info.StreamInfo` as JSON) holds."""
    parts = []
    if stream.get("width") and stream.get("height"):
        parts.append(f"{stream['width']}{TIMES}{stream['height']}")
    parts += [
        str(stream[name])
        for name in ("display_aspect_ratio", "pixel_format", "channel_layout", "file_name")
        if stream.get(name)
    ]
    if stream.get("frame_rate"):
        parts.append(f"{stream['frame_rate'].removesuffix('/1')} fps")
    if stream.get("sample_rate"):
        parts.append(f"{stream['sample_rate'] / 1000:g} kHz")
    bits = stream.get("bit_depth") or stream.get("bits_per_sample")
    if bits:
        parts.append(f"{bits} bit")
    colours = [stream.get(name) for name in ("color_primaries", "color_transfer", "color_space")]
    if any(colours):
        parts.append("/".join(name or UNKNOWN for name in colours))
    parts += _light(stream)
    parts += [str(stream[name]) for name in ("stereo_3d", "projection") if stream.get(name)]
    if stream.get("views"):
        parts.append(f"{stream['views']} views")
    return visible(" · ".join([*parts, *stream.get("disposition", ())])) or UNKNOWN


def _light(stream: dict[str, Any]) -> list[str]:
    """Say which Dolby Vision, and how bright a display it was made for and a picture gets."""
    parts = []
    if (profile := stream.get("dolby_vision_profile")) is not None:
        compatibility = stream.get("dolby_vision_compatibility")
        parts.append(f"Dolby Vision {profile}" + (f".{compatibility}" if compatibility else ""))
    if stream.get("hdr10_plus"):
        parts.append("HDR10+")
    if stream.get("mastering_max_luminance"):
        parts.append(f"graded for {stream['mastering_max_luminance']:g} cd/m²")
    levels = [
        (name, stream.get(key)) for name, key in (("MaxCLL", "max_content_light"), ("MaxFALL", "max_average_light"))
    ]
    return parts + [f"{name} {value}" for name, value in levels if value]
