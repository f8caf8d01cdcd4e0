"""Which containers may be opened, with which options, and what a file's first boxes tell when none of them fits."""

import os
from collections.abc import Iterator
from typing import BinaryIO, Literal

from stoat_ferret.media.containers.ebml import EBML

VIDEO_CONTAINERS = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "live_flv", "asf", "asf_o", "ogg", "mxf", "gxf",
    "dv", "nut", "nuv", "nsv", "rm", "wtv", "ty", "pva", "lxf", "mlv", "dhav", "swf", "bink", "smk", "roq", "flic",
    "vivo", "ivf", "yuv4mpegpipe",
)  # fmt: skip
RAW_STREAMS = (
    "h261", "h263", "h264", "hevc", "vvc", "evc", "av1", "obu", "m4v", "vc1", "vc1test", "dirac", "cavsvideo", "avs2",
    "avs3", "dnxhd",
)  # fmt: skip
AUDIO_CONTAINERS = (
    "wav", "w64", "aiff", "caf", "au", "mp3", "flac", "aac", "loas", "ac3", "eac3", "ac4", "dts", "dtshd", "truehd",
    "mlp", "amr", "amrnb", "amrwb", "ape", "wv", "tta", "tak", "mpc", "mpc8", "dsf", "oma", "voc",
)  # fmt: skip
"""Known only so that such a file is called one without pictures, not one of unknown format."""

OPEN_OPTIONS = {
    # Playlists and scripts (hls, concat, dash, sdp, vobsub, image2 and their like) name other files and addresses for
    # FFmpeg to open. Leaving them out of this list is what stops that, whatever a file is called.
    "format_whitelist": ",".join((*VIDEO_CONTAINERS, *RAW_STREAMS, *AUDIO_CONTAINERS)),
    # Files are opened here and handed over as a `Source`; FFmpeg has nothing to open.
    "protocol_whitelist": "none",
}
"""Options for every `av.open` of a file that somebody else made."""

_KEYFRAME_OPTIONS = OPEN_OPTIONS | {"skip_frame": "nokey", "skip_idct": "all", "skip_loop_filter": "all"}
"""For QuickTime, MP4 and MPEG transport streams: these say when each frame is shown, so that of the frames that FFmpeg
decodes to get to know a stream, the first keyframe's header is enough. A 4K phone clip opens in 40 ms instead of 200,
with equal results. Of Matroska and AVI, start and duration would come out wrong."""

HEADER_OPTIONS = OPEN_OPTIONS | {"codec_whitelist": "none"}
"""To open a file without any decoder."""

_FIRST_BOXES = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"wide", b"free", b"skip", b"pnot", b"sidx", b"uuid"}
_PACKET_SYNC = b"\x47"
"""Begins each packet of a transport stream (ISO/IEC 13818-1, 2.4.3.2); on Blu-ray discs and from cameras, four bytes of
time come before."""
_MOST_BOXES = 10_000


def open_options(start: bytes) -> dict[str, str]:
    """Give the options for opening a file that starts with these bytes."""
    keyframes = starts_with_box(start) or _starts_with_packet(start)
    return _KEYFRAME_OPTIONS if keyframes else OPEN_OPTIONS


def starts_with_box(start: bytes) -> bool:
    """Tell by the first eight bytes whether a file may be a QuickTime or MP4 one."""
    return start[4:8] in _FIRST_BOXES


def told_by_header(start: bytes) -> str | None:
    """Give FFmpeg's name of a file's format, by its first bytes, where its header says which decoder its pictures take.

    None for any other format. To be told it spares FFmpeg asking them all, which takes a third of opening a file.
    """
    if start.startswith(b"RIFF") and start[8:12] == b"AVI ":
        return "avi"
    if starts_with_box(start):
        return "mov"
    if start.startswith(EBML):
        return "matroska"
    return "mpegts" if _starts_with_packet(start) else None


def _starts_with_packet(start: bytes) -> bool:
    """Tell whether a file may be an MPEG transport stream."""
    return _PACKET_SYNC in (start[:1], start[4:5])


def lack_of_index(path: bytes) -> Literal["segment", "cut"] | None:
    """Say what a QuickTime or MP4 file (ISO/IEC 14496-12) without its index, the `moov` box, must be.

    `segment`: fragments (`moof`) of a stream whose index is in a file of its own; `cut`: a recording or copy that was
    cut short. None for one that has its index, and for a file of another format. Reads only the headers of the
    outermost boxes.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - a path of bytes
        boxes = list(_outer_boxes(file, os.fstat(file.fileno()).st_size))
    if not boxes or boxes[0] not in _FIRST_BOXES or b"moov" in boxes:
        return None
    return "segment" if b"moof" in boxes else "cut"


def _outer_boxes(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the types of the outermost boxes, until the end or until something that cannot be a box."""
    position = 0
    for _ in range(_MOST_BOXES):
        if position >= size:
            return
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return
        length = int.from_bytes(header[:4], "big")
        if length == 1:  # a 64-bit length follows the type
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # to the end of the file
            length = size - position
        if length < 8:
            return
        yield header[4:8]
        position += length
