"""Files that ask whoever plays them to open something else: a file, an address, a pipe. None of them may be obeyed.

`build` writes each kind of request, for each thing that may be asked for, under several names and extensions.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from tests.media_files import clip_file, place_clip

SIBLING = "canary.mp4"
EXTENSIONS = ("mp4", "mkv", "avi", "m3u8")
NAME_ENDINGS = ("", ".mp4")


@dataclass(frozen=True, slots=True)
class Bait:
    """What the files ask for: each is watched, and must see nobody."""

    folder: Path
    """Holds files that nobody may open."""
    port: int
    """On 127.0.0.1, of TCP and of UDP."""

    def targets(self) -> dict[str, str]:
        """Give the ways to name it that FFmpeg knows."""
        there = self.folder / SIBLING
        return {
            "sibling": SIBLING,
            "absolute": str(there),
            "file": f"file:{there}",
            "http": f"http://127.0.0.1:{self.port}/x.ts",
            "tcp": f"tcp://127.0.0.1:{self.port}",
            "udp": f"udp://127.0.0.1:{self.port}",
            "unix": f"unix:{self.folder / 'socket'}",
            "concat": f"concat:{there}|{there}",
            "subfile": f"subfile,,start,0,end,0,,:{there}",
            "pipe": "pipe:0",
        }

    def names(self) -> list[str]:
        """Give names of files that are addresses, patterns, options or commands to somebody."""
        protocols = "tcp udp http https rtp rtsp rtmp rtmps mmsh srtp sctp tls gopher ftp httpproxy hls+http".split()
        wrappers = "file concat cache async crypto subfile,,start,0,end,0,, lavfi concatf tee".split()
        return [
            *(f"{protocol}:127.0.0.1:{self.port}" for protocol in protocols),
            *(f"{wrapper}:{SIBLING}" for wrapper in wrappers),
            f"concat:{SIBLING}|{SIBLING}",
            *"unix:socket pipe:0 pipe: fd:0 fd: - data:text,x ipfs:x %03d.png %d.png *.png img%03d.jpg".split(),
            f"movie={SIBLING}",
            f"-i {SIBLING}",
            f"|cat {SIBLING}",
            f"$(cat {SIBLING})",
            f"a\nfile '{SIBLING}'",
            f"{SIBLING}#",
            f"{SIBLING}?x",
        ]


def build(folder: Path, bait: Bait) -> list[Path]:
    """Write all files into folders of their own below `folder`, and give their paths.

    Each of these folders also holds files that the others may ask for by a relative name; no open of one is allowed but
    of the case that is being examined.
    """
    furnish(bait.folder)
    paths: list[Path] = []
    for name, text in {**PLAYLISTS, **SCRIPTS}.items():
        home = folder / name
        furnish(home)
        for kind, target in bait.targets().items():
            for extension in sorted({*EXTENSIONS, OWN_EXTENSIONS.get(name, "txt")}):
                paths.append(home / f"{kind}.{extension}")
                paths[-1].write_text(text(target))
                (home / f"{kind}.sub").write_bytes(b"\0\0\1\xba" + bytes(2048))  # what an .idx of that name is about
    for name, binary in BINARIES.items():
        furnish(folder / name)
        for kind, target in bait.targets().items():
            for extension in EXTENSIONS[:3]:
                paths.append(folder / name / f"{kind}.{extension}")
                paths[-1].write_bytes(binary(target))
    return [*paths, *_by_name(folder, bait)]


def furnish(home: Path) -> None:
    """Make a folder with what a relative name or a pattern could mean."""
    place_clip(home / SIBLING)
    for name in ("000.png", "001.png", "0.png", "1.png", "img001.jpg", "x.ts"):
        place_clip(home / name, container="mjpeg", codec="mjpeg", pixel_format="yuvj420p", frames=1)


def _by_name(folder: Path, bait: Bait) -> Iterator[Path]:
    """Write harmless and harmful content under harmful names, and below folders that make the path look so."""
    target = bait.targets()["absolute"]
    contents = {
        "hls": hls(target).encode(),
        "ffconcat": ffconcat(target).encode(),
        "clip": clip_file().read_bytes(),
        "picture": clip_file(container="mjpeg", codec="mjpeg", pixel_format="yuvj420p", frames=1).read_bytes(),
    }
    for kind, content in contents.items():
        home = folder / f"named-{kind}"
        furnish(home)
        for name in bait.names():
            for ending in NAME_ENDINGS:
                yield _write(home / f"{name}{ending}", content)
        for above in (f"http:/127.0.0.1:{bait.port}", f"tcp:/127.0.0.1:{bait.port}", "concat:", "subfile,,start,0,:"):
            furnish(home / above)
            for name in ("%03d.png", "x.mp4", "x.m3u8", f"pipe:0|{SIBLING}"):
                yield _write(home / above / name, content)


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def hls(target: str, extra: str = "") -> str:
    """Give a playlist of one segment."""
    return f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n{extra}#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n"


def ffconcat(target: str) -> str:
    """Give a script of FFmpeg's own for files that follow each other."""
    return f"ffconcat version 1.0\nfile '{target}'\nduration 1\n"


def _sdp(target: str) -> str:
    port = target.rpartition(":")[2].partition("/")[0] if "127.0.0.1" in target else "5004"
    return (
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns={target}\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{target}\n"
        f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )


def _mpd(inner: str) -> str:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S" '
        'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">'
        f'<Representation id="1" bandwidth="1">{inner}</Representation></AdaptationSet></Period></MPD>'
    )


def _dash_template(target: str) -> str:
    return _mpd(
        f'<SegmentTemplate initialization="{target}" media="{target}" duration="1" startNumber="1" timescale="1"/>'
    )


PLAYLISTS: dict[str, Callable[[str], str]] = {
    "hls": hls,
    "hls-master": lambda target: f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
    "hls-key": lambda target: hls("x.ts", f'#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n'),
    "hls-map": lambda target: hls("x.ts", f'#EXT-X-MAP:URI="{target}"\n'),
    "hls-media": lambda target: (
        f'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{target}"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nx.ts\n'
    ),
    "dash": lambda target: _mpd(f"<BaseURL>{target}</BaseURL><SegmentBase/>"),
    "dash-template": _dash_template,
    "m3u": lambda target: f"#EXTM3U\n#EXTINF:1,x\n{target}\n",
    "asx": lambda target: f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "asf-reference": lambda target: f"[Reference]\r\nRef1={target}\r\nRef2={target}\r\n",
    "pls": lambda target: f"[playlist]\nFile1={target}\nNumberOfEntries=1\nVersion=2\n",
    "xspf": lambda target: (
        '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track>'
        f"<location>{target}</location></track></trackList></playlist>"
    ),
    "smil": lambda target: f'<smil><body><video src="{target}"/></body></smil>',
}
SCRIPTS: dict[str, Callable[[str], str]] = {
    "ffconcat": ffconcat,
    "vobsub": lambda target: (
        "# VobSub index file, v7 (do not modify this line!)\nsize: 720x480\nid: en, index: 0\n"
        f"alt: {target}\ntimestamp: 00:00:01:000, filepos: 000000000\n"
    ),
    "sdp": _sdp,
    "rtsp": lambda target: f"RTSPtext\nrtsp:{target.removeprefix('http:')}\n",
    "avisynth": lambda target: f'AviSource("{target}")\n',
    "lavfi": lambda target: f"movie='{target}'\n",
    "ffmetadata": lambda target: f";FFMETADATA1\nfile={target}\n[STREAM]\n",
}
OWN_EXTENSIONS = {"vobsub": "idx", "sdp": "sdp", "rtsp": "rtsp", "dash": "mpd", "dash-template": "mpd", "asx": "asx"}
OWN_EXTENSIONS |= {"ffconcat": "ffconcat", "pls": "pls", "xspf": "xspf", "avisynth": "avs", "m3u": "m3u"}


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _with_box(data: bytes, path: tuple[bytes, ...], new: bytes) -> bytes:
    """Put a box in the place of another in an MP4 file, or a part of one."""
    result, position = b"", 0
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        box = data[position : position + length]
        if kind == path[0]:
            box = new if len(path) == 1 else _box(kind, _with_box(box[8:], path[1:], new))
        result, position = result + box, position + length
    return result


def _referring(entry: bytes) -> bytes:
    """Give a film whose media data lie elsewhere, by a data reference."""
    whole = clip_file(container="mov", fast_start=False).read_bytes()
    reference = _box(b"dref", struct.pack(">II", 0, 1) + entry)
    return _with_box(whole, (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"), reference)


def alias(target: str) -> bytes:
    """Give a film that refers by an alias record of the Macintosh, as FFmpeg's `mov_read_dref` reads it."""
    path = f"/x/{target}".encode() if target == SIBLING else target.encode()
    path += b"\0" * (len(path) % 2)
    record = struct.pack(">10xB27s12xB63s16xHH16x", 1, b"x", 1, b"x", 1, 1)
    record += struct.pack(">HH", 2, len(path)) + path + b"\xff\xff\0\0"
    return _referring(_box(b"alis", bytes(4) + record))


def _reference_movie(target: str) -> bytes:
    address = target.encode() + b"\0"
    link = _box(b"rdrf", struct.pack(">I4sI", 0, b"url ", len(address)) + address)
    return _box(b"ftyp", b"qt  \0\0\0\0qt  ") + _box(b"moov", _box(b"rmra", _box(b"rmda", link)))


def _attached(target: str) -> bytes:
    path = clip_file(container="mkv").with_name("attached.mkv")
    with av.open(str(clip_file(container="mkv"))) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        output.add_attachment(target, "application/x-mpegurl", hls(target).encode())
        output.add_attachment("x.ffconcat", "text/plain", ffconcat(target).encode())
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return path.read_bytes()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _subtitled(text: bytes) -> bytes:
    """Give an AVI whose second stream is a subtitle file (GAB2), which FFmpeg opens by what is in it."""
    video = struct.pack("<4s4sIHHIIIIIIII4H", b"vids", b"MJPG", 0, 0, 0, 0, 1, 25, 0, 1, 0, 0, 0, 0, 0, 160, 96)
    picture = struct.pack("<IiiHH4sIiiII", 40, 160, 96, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    texts = struct.pack("<4s4sIHHIIIIIIII4H", b"txts", bytes(4), 0, 0, 0, 0, 1, 25, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    header = struct.pack("<14I", 40000, 0, 0, 0x10, 1, 0, 2, 0, 160, 96, 0, 0, 0, 0)
    streams = _chunk(b"LIST", b"strl" + _chunk(b"strh", video) + _chunk(b"strf", picture))
    streams += _chunk(b"LIST", b"strl" + _chunk(b"strh", texts) + _chunk(b"strf", b""))
    subtitle = b"GAB2\0" + struct.pack("<HI", 2, 2) + b"x\0" + struct.pack("<HI", 4, len(text)) + text
    frame = clip_file(container="mjpeg", codec="mjpeg", pixel_format="yuvj420p", frames=1).read_bytes()
    movie = _chunk(b"LIST", b"movi" + _chunk(b"01tx", subtitle) + _chunk(b"00dc", frame))
    return _chunk(b"RIFF", b"AVI " + _chunk(b"LIST", b"hdrl" + _chunk(b"avih", header) + streams) + movie)


BINARIES: dict[str, Callable[[str], bytes]] = {
    "dref-alias": alias,
    "dref-url": lambda target: _referring(_box(b"url ", bytes(4) + target.encode() + b"\0")),
    "reference-movie": _reference_movie,
    "mkv-attachment": _attached,
    "gab2-hls": lambda target: _subtitled(hls(target).encode()),
    "gab2-ffconcat": lambda target: _subtitled(ffconcat(target).encode()),
    "hls-after-id3": lambda target: b"ID3\4\0\0\0\0\0\0" + hls(target).encode(),
    "hls-before-clip": lambda target: hls(target).encode() + clip_file(container="ts").read_bytes(),
}
