"""How a JPEG picture is stored, by its own header: for cover art, which is not decoded. Pure functions over bytes."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from stoat_ferret.media import picture

_START, _END = b"\xff\xd8", b"\xff\xd9"
_FRAMES = {0xC0: "Baseline", 0xC2: "Progressive"}
"""Markers (Rec. ITU-T T.81, table B.1) of the kinds that nearly all pictures are of, by FFmpeg's names."""
_JFIF, _COMMENT = 0xE0, 0xFE
_HARMLESS = {0xC4, 0xDB, 0xDD, 0xE1, 0xE2, 0xED, _COMMENT}
"""Tables; Exif, colour profiles, Photoshop's notes and comments, of which none changes how the picture is stored."""
_TELLING = (b"AVID", b"CS=ITU601", b"Intel", b"Metasoft")
"""Comments at which FFmpeg takes a picture for another kind."""
_FORMATS = {(0x22, 0x11, 0x11): "yuvj420p", (0x21, 0x11, 0x11): "yuvj422p", (0x11, 0x11, 0x11): "yuvj444p"}
"""By the sampling factors of the three components."""
_YCBCR = (1, 2, 3)
"""The components' numbers, as JFIF wants them."""


@dataclass(frozen=True, slots=True)
class Jpeg:
    """What a JPEG picture's header says."""

    profile: str
    width: int
    height: int
    pixel_format: str
    sample_aspect_ratio: Fraction | None

    @property
    def fields(self) -> dict[str, Any]:
        """The same as fields of `StreamInfo`, with the range and the matrix that JFIF stands for (Rec. ITU-T T.871)."""
        return {
            "profile": self.profile,
            "width": self.width,
            "height": self.height,
            "pixel_format": self.pixel_format,
            "sample_aspect_ratio": picture.ratio_text(self.sample_aspect_ratio),
            "color_range": picture.RANGES[2],
            "color_space": picture.SPACES[5],
        }


def jpeg(data: bytes) -> Jpeg | None:
    """Read the header of a picture in colour (Rec. ITU-T T.81 and T.871) that ends as one should; None for another."""
    if not data.startswith(_START) or not data.endswith(_END):
        return None
    ratio: Fraction | None = None
    at = len(_START)
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        content = data[at + 4 : at + 2 + length]
        if marker in _FRAMES:
            return _frame(_FRAMES[marker], content, ratio)
        if marker == _JFIF and content[:5] == b"JFIF\0" and len(content) >= 12:
            across, down = int.from_bytes(content[8:10], "big"), int.from_bytes(content[10:12], "big")
            ratio = Fraction(across, down) if across and down else None
        elif length < 2 or marker not in _HARMLESS or (marker == _COMMENT and content.startswith(_TELLING)):
            return None
        at += 2 + length
    return None


def _frame(profile: str, content: bytes, ratio: Fraction | None) -> Jpeg | None:
    """Read a frame's header (Rec. ITU-T T.81, B.2.2)."""
    if len(content) != 15 or content[0] != 8 or (content[6], content[9], content[12]) != _YCBCR:
        return None
    height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
    name = _FORMATS.get((content[7], content[10], content[13]))
    return None if name is None or not width or not height else Jpeg(profile, width, height, name, ratio)
