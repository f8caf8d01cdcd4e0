"""What the demo library holds: which clip lies where, how it is encoded, and what is to be seen in it."""

from dataclasses import dataclass, replace
from fractions import Fraction

from tools.clips import AudioTrack, Clip, SubtitleTrack
from tools.demo_scenes import Disc, Layer, Rgb, Scene, Specks, upright

NTSC = Fraction(30000, 1001)
TONE = AudioTrack(channels=2, hertz=220.0)


@dataclass(frozen=True, slots=True)
class Demo:
    """One clip of the demo library."""

    path: str
    filmed: str
    """When, in UTC; becomes the file's time and, where the format keeps one, the camera's."""
    clip: Clip
    scene: Scene
    keep: float = 1.0
    """The part of the file that is kept: less than 1 is a transfer that broke off."""


def _city(sky: str, front: str, lit: str | None, seed: int) -> Scene:
    """Two rows of houses under a sky of two colours, `"rrggbb rrggbb"`; a dark front has lit windows."""
    above, below = sky.split()
    return Scene(
        sky=(above, below),
        layers=(
            Layer("city", 0.78, 0.42, below, front, 0.001),
            Layer("city", 0.92, 0.50, front, "10101c" if lit else front, 0.003, lit),
            Layer("flat", 0.93, 0.0, "1c1c28" if lit else "8a7f78", "08080c" if lit else "5d554f"),
        ),
        discs=(Disc(0.82, 0.2, 0.07, "f4efd8" if lit else "fff3c4"),),
        specks=Specks(60, 0.006, "d8dcf0") if lit else None,
        seed=seed,
    )


def _range(sky: str, far: str, near: str, ground: str, seed: int, *, sun: Disc | None = None) -> Scene:
    """Two chains of mountains behind a plain."""
    above, below = sky.split()
    return Scene(
        sky=(above, below),
        layers=(
            Layer("peaks", 0.72, 0.52, far, below, 0.0007),
            Layer("peaks", 0.82, 0.40, near, far, 0.0018),
            Layer("hills", 0.88, 0.08, ground, near, 0.004),
        ),
        discs=(sun,) if sun else (),
        seed=seed,
    )


def _sea(sky: str, water: str, sun: Disc, seed: int) -> Scene:
    """Three rows of waves below a sun."""
    above, below = sky.split()
    light, dark = water.split()
    return Scene(
        sky=(above, below),
        layers=(
            Layer("flat", 0.60, 0.0, light, _mix(light, dark, 0.8)),
            Layer("waves", 0.71, 0.03, _mix(light, dark, 0.3), dark, 0.003),
            Layer("waves", 0.82, 0.05, _mix(light, dark, 0.6), dark, -0.005),
            Layer("waves", 0.95, 0.07, _mix(light, dark, 0.9), dark, 0.008),
        ),
        discs=(sun,),
        seed=seed,
    )


def _mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """The first colour with that share of the second."""
    pairs = zip(bytes.fromhex(first), bytes.fromhex(second), strict=True)
    return bytes(round(one + (other - one) * share) for one, other in pairs).hex()


def _wood(sky: str, far: str, near: str, seed: int, *, snow: bool = False) -> Scene:
    """Firs on hills; snow falls on them, or does not."""
    above, below = sky.split()
    ground = "f4f7fb" if snow else near
    return Scene(
        sky=(above, below),
        layers=(
            Layer("hills", 0.60, 0.20, far, below, 0.001),
            Layer("firs", 0.80, 0.32, far, near, 0.002),
            Layer("firs", 0.92, 0.45, near, "0c1a14", 0.004),
            Layer("hills", 0.92, 0.06, ground, "c8d4e2" if snow else "0c1a14", 0.006),
        ),
        specks=Specks(110, 0.018, "ffffff", 0.007) if snow else None,
        seed=seed,
    )


BALLOONS = tuple(
    Disc(
        0.08 + 0.14 * number, 0.45 + 0.24 * (number * 3 % 5), 0.10 + 0.02 * (number % 3), colour, (0.0004, -0.008), True
    )
    for number, colour in enumerate(["e8505b", "f9d56e", "14b1ab", "6a4c93", "ff924c", "8ac926", "1982c4"])
)
BLOSSOM = Scene(
    sky=("bfe3f5", "fdeef3"),
    layers=(
        Layer("hills", 0.70, 0.15, "a7c6a0", "cfe3c3", 0.001),
        Layer("hills", 0.95, 0.10, "7da36f", "577a4f", 0.003),
    ),
    discs=tuple(
        Disc(0.08 + 0.13 * number, 0.30 + 0.06 * (number * 5 % 4), 0.17, ("f7b7ce", "f48fb1", "fbd3e0")[number % 3])
        for number in range(8)
    ),
    specks=Specks(70, 0.022, "f9c4d6", 0.006),
    seed=31,
)
REEF = Scene(
    sky=("2fb7d8", "063a6b"),
    layers=(
        Layer("peaks", 0.98, 0.34, "e0677a", "7d2b57", 0.001),
        Layer("firs", 1.02, 0.30, "f2a65a", "a8432f", 0.003),
        Layer("hills", 0.96, 0.05, "e9d8a6", "94825a", 0.004),
    ),
    discs=tuple(
        Disc(-0.2 - 0.16 * number, 0.25 + 0.13 * (number % 4), 0.035, ("ffd23f", "ff7f11")[number % 2], (0.012, 0.0004))
        for number in range(6)
    ),
    specks=Specks(60, 0.02, "bdeaf5", -0.009),
    seed=7,
)
LIGHTS = Scene(
    sky=("071330", "3df2a4"),
    layers=(
        Layer("peaks", 0.86, 0.35, "1b2f4a", "0e1a2e"),
        Layer("flat", 0.88, 0.0, "16503f", "061420"),
    ),
    specks=Specks(120, 0.006, "e6f0ff"),
    sway=0.22,
    seed=3,
)
PITCH = Scene(
    sky=("8ecdf2", "dff3fd"),
    layers=(
        Layer("city", 0.40, 0.14, "59637a", "39415a", 0.0, "e9ecf5"),
        Layer("flat", 0.40, 0.0, "4caf50", "2f8f3a"),
        Layer("flat", 0.58, 0.0, "57bd5b", "2f8f3a"),
        Layer("flat", 0.80, 0.0, "49a84d", "27782f"),
    ),
    discs=(
        Disc(0.05, 0.85, 0.045, "ffffff", (0.009, -0.004), True),
        Disc(0.30, 0.66, 0.030, "d62828", (0.004, 0.001), True),
        Disc(0.62, 0.72, 0.030, "1d3f9e", (-0.003, 0.001), True),
    ),
    seed=11,
)
INTERVIEW = Scene(
    sky=("5b4636", "2c211a"),
    layers=(
        Layer("flat", 0.86, 0.0, "6d4c33", "3c2819"),
        Layer("city", 0.60, 0.0, "8c5f3a", "5b3b22"),
    ),
    discs=(
        Disc(0.78, 0.26, 0.16, "f3c26b"),
        Disc(0.40, 1.00, 0.34, "2f5d73", (0.0, 0.0), True),
        Disc(0.40, 0.44, 0.17, "d9a27c", (0.0003, 0.0), True),
    ),
    seed=5,
)

TRAM = _city("7cc6ec ffe7c2", "d98e5f", None, 2)
SHIBUYA = _city("1a1040 c2407e", "2b1d4f", "ffd166", 9)
STATION = _city("20304a e07a5f", "2a2f45", "9be7ff", 21)
BEACH = _sea("3b1c5a ff9e5e", "f08a5d 4b2a63", Disc(0.5, 0.56, 0.16, "ffe9a8", (0.0, 0.0007)), 1)
TIDE = _sea("9fd8ef f2fbff", "3aa6b9 11616f", Disc(0.2, 0.22, 0.09, "fffbe0"), 4)
FERRY = _sea("8fb4cc dbe6ea", "4f7f93 1f4557", Disc(0.75, 0.3, 0.07, "ffffff"), 6)
PASS = _range("f7b267 fde8c9", "c06c84", "6c5b7b", "355c7d", 8, sun=Disc(0.3, 0.33, 0.1, "fff1b8"))
SLOPE = _range("3f9be8 cfeaff", "dfeaf5", "f4f8fc", "ffffff", 14, sun=Disc(0.85, 0.16, 0.07, "fff6cf"))
DUNES = _range("ffb347 ffe8b5", "e3985b", "c8703c", "9c4a25", 12, sun=Disc(0.65, 0.25, 0.12, "fff4d6"))
GORGE = _range("bfd7ea f7f9fb", "7a8f7c", "49654f", "2f4a38", 17)
WOOD = _wood("cfe8d5 f6fbe9", "6f9f7b", "24503a", 13)
SNOW = _wood("8ea6c4 dfe8f2", "7f95ad", "3d566e", 19, snow=True)
TREE = _wood("141b3c 43396b", "2e3d66", "1c3b33", 23, snow=True)
PARTY = Scene(("ffe3ef", "ffc6d9"), (Layer("flat", 0.88, 0.0, "fff3f7", "f7a9c4"),), BALLOONS, seed=1)
WEDDING = Scene(("e9dcc9", "f8f1e4"), PASS.layers[2:], (Disc(0.38, 0.5, 0.2, "c9a66b"), Disc(0.6, 0.5, 0.2, "d8b97f")))


FILM = Clip(size=(640, 360), frames=75, audio=(TONE,))
"""Three seconds with a stereo tone."""

DEMOS = (
    Demo("Holidays/2023/Lisbon/Tram 28.mp4", "2023-05-12T09:41:07", replace(FILM, title="Tram 28"), TRAM),
    Demo(
        "Holidays/2023/Lisbon/Sunset at the beach.mov",
        "2023-05-13T19:22:40",
        replace(FILM, container="mov", size=(960, 540), fast_start=False, tags={"make": "Canon", "model": "EOS R6"}),
        BEACH,
    ),
    Demo(
        "Holidays/2024/Été en Bretagne/Marée haute.mkv",
        "2024-07-02T15:04:00",
        replace(
            FILM,
            container="mkv",
            frames=100,
            title="Marée haute à Saint-Malo",
            audio=(
                AudioTrack(language="fra", title="Français", channels=2, hertz=196.0),
                AudioTrack(language="eng", title="English", channels=2, hertz=247.0),
            ),
            subtitles=(
                SubtitleTrack(lines=("La mer monte.", "Encore une vague !", "On rentre ?", "Oui."), language="fra"),
            ),
        ),
        TIDE,
    ),
    Demo(
        "Holidays/2024/Norway/Fjord from the ferry.mp4",
        "2024-09-18T10:15:30",
        replace(FILM, codec="libsvtav1", pixel_format="yuv420p", size=(1280, 720), frames=50),
        FERRY,
    ),
    Demo(
        "Holidays/2024/Norway/Northern lights.mkv",
        "2024-09-20T22:48:11",
        replace(FILM, container="mkv", codec="libx265", size=(1280, 720), frames=60, rate=24, hdr="hdr10", audio=()),
        LIGHTS,
    ),
    Demo(
        "Holidays/2024/Norway/IMG_0042.MOV",
        "2024-09-19T08:03:52",
        replace(FILM, container="mov", rotation=90, rate=30, frames=90, tags={"make": "Apple", "model": "iPhone 15"}),
        upright(GORGE),
    ),
    Demo("Holidays/2024/東京/渋谷の夜.mp4", "2024-11-03T12:30:00", replace(FILM, codec="libx265", frames=60), SHIBUYA),
    Demo(
        "Holidays/2025/東京/桜 🌸.webm",
        "2025-03-29T03:12:09",
        replace(FILM, container="webm", codec="libvpx-vp9", audio=(AudioTrack(codec="libopus", channels=2),)),
        BLOSSOM,
    ),
    Demo("Holidays/2025/Sahara/Dunes at noon.ts", "2025-10-21T11:58:03", replace(FILM, container="ts"), DUNES),
    Demo(
        "Family/Birthdays/Mia is six 🎈.mp4",
        "2025-06-08T14:20:00",
        replace(FILM, rate=NTSC, frames=120, title="Mia is six"),
        PARTY,
    ),
    Demo(
        "Family/Old tapes/Christmas 1998.avi",
        "1998-12-24T17:30:00",
        replace(
            FILM,
            container="avi",
            codec="mpeg4",
            size=(640, 480),
            audio=(AudioTrack(codec="libmp3lame", sample_rate=44100),),
        ),
        TREE,
    ),
    Demo(
        "Family/Old tapes/Wedding 1994.avi",
        "1994-08-20T13:00:00",
        replace(
            FILM,
            container="avi",
            codec="mjpeg",
            size=(360, 288),
            frames=50,
            sample_aspect_ratio=Fraction(16, 15),
            pixel_format="yuvj420p",
            quality={"qmin": "6", "qmax": "12"},
            audio=(AudioTrack(codec="pcm_s16le", sample_rate=22050),),
        ),
        WEDDING,
    ),
    Demo(
        "Family/First snow.mp4",
        "2024-12-01T08:10:45",
        replace(FILM, frames=100, quality={"crf": "30"}, fast_start=False),
        SNOW,
    ),
    Demo("Family/Forest walk.mp4", "2023-10-15T13:37:00", replace(FILM, rate=24, frames=96), WOOD),
    Demo(
        "Sport/Football/Final, first half.mkv",
        "2025-05-24T16:00:00",
        replace(
            FILM,
            container="mkv",
            rate=50,
            frames=200,
            chapters=("Line-up", "Kick-off", "1:0", "Half-time"),
            audio=(AudioTrack(codec="ac3", channels=6, language="eng"),),
        ),
        PITCH,
    ),
    Demo(
        "Sport/Ski/Helmet camera.mp4", "2025-02-11T10:22:18", replace(FILM, rate=60, frames=180, size=(960, 540)), SLOPE
    ),
    Demo(
        "Sport/Diving/Reef.mp4",
        "2024-04-06T07:55:00",
        replace(FILM, frames=125, quality={"crf": "30"}, title="House reef, 12 m"),
        REEF,
    ),
    Demo(
        "Projects/Documentary/Footage/Interview, camera A.mov",
        "2025-09-02T09:00:00",
        replace(
            FILM,
            container="mov",
            codec="mjpeg",
            pixel_format="yuvj420p",
            frames=40,
            quality={"qmin": "5", "qmax": "8"},
            audio=(AudioTrack(codec="pcm_s16le"),),
        ),
        INTERVIEW,
    ),
    Demo(
        "Projects/Documentary/Footage/Mountain pass, drone.mp4",
        "2025-09-04T05:48:26",
        replace(FILM, codec="libx265", size=(3840, 2160), frames=16, quality={"crf": "32"}, audio=()),
        PASS,
    ),
    Demo(
        "Projects/Documentary/Footage/Wild track, river.mp4",
        "2025-09-04T06:30:00",
        Clip(codec=None, frames=100, audio=(AudioTrack(channels=2, hertz=110.0),), title="River, wild track"),
        GORGE,
    ),
    Demo(
        "Projects/Documentary/Rough cut 3.mp4",
        "2025-10-30T18:05:00",
        replace(
            FILM,
            frames=150,
            title="The Pass (rough cut 3)",
            cover=True,
            chapters=("Dawn", "The road", "The pass"),
            subtitles=(
                SubtitleTrack(lines=("Nobody came here in winter.", "Then they built the road."), language="eng"),
            ),
        ),
        PASS,
    ),
    Demo(
        "Projects/Screen recordings/Bug in the station map.mp4",
        "2025-11-11T11:11:00",
        replace(FILM, vfr=True, rate=30, frames=60, audio=()),
        STATION,
    ),
    Demo(
        "Camera card/DCIM/100GOPRO/GX010023.MP4",
        "2025-02-11T10:31:02",
        replace(FILM, rate=60, frames=120, size=(960, 540), fast_start=False),
        SLOPE,
        keep=0.7,
    ),
)

COPY = ("Family/Birthdays/Mia is six 🎈.mp4", "Camera card/Backup/Mia is six 🎈 (copy).mp4")
"""A clip, and where the same bytes lie once more."""
NO_VIDEO = "Downloads/lecture-07.mp4"
"""What a browser saves when the link has run out."""
NO_VIDEO_TEXT = (
    "<!doctype html>\n<html><head><title>404 Not Found</title></head>\n"
    "<body><h1>Not Found</h1><p>The lecture you asked for is no longer here.</p></body></html>\n"
)
