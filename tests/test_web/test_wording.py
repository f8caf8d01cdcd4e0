"""Figures and names as people read them."""

import pytest

from stoat_ferret.web import wording
from stoat_ferret.web.prose import inline, prose

SECOND = 1_000_000
DAY = 86_400 * SECOND


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_960, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (4_700_000_000, "4.7 GB"),
        (12_000_000_000_000, "12 TB"),
        (5_000_000_000_000_000, "5,000 TB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    """Two or three digits, in decimal units."""
    assert wording.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "—"), (0.32, "0:00"), (59.6, "1:00"), (723, "12:03"), (3600, "1:00:00"), (-1, "0:00")]
)
def test_durations(seconds: float | None, text: str) -> None:
    """As a player shows them."""
    assert wording.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0 s"), (0.61, "0.6 s"), (7, "7 s"), (45.2, "45 s"), (180, "3 min"), (7500, "2 h 5 min")],
)
def test_stretches_of_time(seconds: float, text: str) -> None:
    """Roughly, in words."""
    assert wording.spell(seconds) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (-5 * SECOND, "just now"),
        (42 * SECOND, "42 s ago"),
        (600 * SECOND, "10 min ago"),
        (3 * 3600 * SECOND, "3 h ago"),
        (5 * DAY, "5 days ago"),
        (90 * DAY, "on 2024-03-01"),
    ],
)
def test_times_gone_by(passed: int, text: str) -> None:
    """The longer ago, the rougher."""
    then = 1_709_294_400 * SECOND  # 2024-03-01T12:00:00Z
    assert wording.ago(then, then + passed) == text


def test_moments() -> None:
    """In UTC; a time that no calendar has is none."""
    assert wording.moment(0) == "1970-01-01 00:00:00 UTC"
    assert wording.iso_moment(1_500_000) == "1970-01-01T00:00:01.500000Z"
    assert wording.moment(None) == "—"
    assert wording.moment(2**62) == "—"
    assert wording.iso_moment(-(2**62)) == ""


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ((3840, 2160), "4K"),
        ((4096, 1716), "4K"),
        ((1080, 1920), "1080p"),
        ((1920, 800), "1080p"),
        ((1440, 1080), "1080p"),
        ((7680, 4320), "8K"),
        ((640, 480), "640\N{MULTIPLICATION SIGN}480"),
        ((None, None), None),
        ((640, 0), None),
    ],
)
def test_resolution_classes(size: tuple[int | None, int | None], name: str | None) -> None:
    """Whichever way up, and however wide."""
    assert wording.resolution(*size) == name


def test_small_words() -> None:
    """Codecs, rates, channels."""
    assert wording.codec("hevc") == "HEVC"
    assert wording.codec("new\ncodec") == "new\\ncodec"
    assert wording.hdr("hdr10_plus") == "HDR10+"
    assert wording.hdr("sdr") is None
    assert [wording.bit_rate(bits) for bits in (None, 73_400, 8_100_000)] == ["—", "73 kbit/s", "8.1 Mbit/s"]
    assert [wording.fps(rate) for rate in (None, 25.0, 30000 / 1001)] == ["—", "25 fps", "29.97 fps"]
    assert [wording.channels(count) for count in (None, 2, 6, 3)] == ["—", "stereo", "5.1", "3 channels"]
    assert wording.amount(1, "videos") == "1 video"
    assert wording.amount(1200, "videos") == "1,200 videos"
    assert wording.iso_duration(1.5) == "PT1.500S"


def test_what_cannot_be_seen_is_written_out() -> None:
    """Control characters, and those that would turn the rest of a line round; letters of any script stay."""
    assert wording.visible("a\nb\tc\r\x00\u202egpj\x9b") == "a\\nb\\tc\\r⟨U+0000⟩⟨U+202E⟩gpj⟨U+009B⟩"
    assert wording.visible("שלום 東京 🎈") == "שלום 東京 🎈"
    assert wording.path(b"/a/\xff") == "/a/\ufffd"
    assert wording.folder(b"/x/Holidays/2024/a.mp4") == "Holidays / 2024"
    assert wording.folder(b"/a.mp4") == ""


def test_streams_are_told_in_a_line() -> None:
    """Whatever is known of them."""
    picture = {"width": 1920, "height": 1080, "pixel_format": "yuv420p10le", "frame_rate": "25/1"}
    hdr = {"color_primaries": "bt2020", "color_transfer": "smpte2084", "disposition": ["default"]}
    told = wording.stream_details(picture | hdr)
    assert told == "1920\N{MULTIPLICATION SIGN}1080 · yuv420p10le · 25 fps · bt2020/smpte2084/— · default"
    assert wording.stream_details({"channel_layout": "stereo", "sample_rate": 44100}) == "stereo · 44.1 kHz"
    light = {"mastering_max_luminance": 1000.0, "max_content_light": 900, "max_average_light": None, "hdr10_plus": True}
    seen = {"bit_depth": 10, "dolby_vision_profile": 8, "dolby_vision_compatibility": 1, "views": 2, **light}
    assert wording.stream_details(seen | {"projection": "equirectangular", "display_aspect_ratio": "16:9"}) == (
        "16:9 · 10 bit · Dolby Vision 8.1 · HDR10+ · graded for 1000 cd/m² · MaxCLL 900 · equirectangular · 2 views"
    )
    assert wording.stream_details({"dolby_vision_profile": 5, "dolby_vision_compatibility": 0}) == "Dolby Vision 5"
    assert wording.stream_details({}) == "—"


def test_prose_is_html_and_nothing_in_it_is() -> None:
    """Paragraphs, lists, code and emphasis; markup in the text is text."""
    text = "A `<b>` *job* and 2 * 3.\nMore.\n\n1. `one`\n2. two\n\n- <i>\n\n"
    assert str(prose(text)) == (
        "<p>A <code>&lt;b&gt;</code> <em>job</em> and 2 * 3. More.</p>\n"
        "<ol><li><code>one</code></li><li>two</li></ol>\n"
        "<ul><li>&lt;i&gt;</li></ul>"
    )
    assert str(prose("")) == ""
    assert str(inline("plain & simple")) == "plain &amp; simple"


def test_cameras_and_levels() -> None:
    """A maker's name is said once; levels as the standards write them."""
    assert wording.camera("Apple", "iPhone 14 Pro") == "Apple iPhone 14 Pro"
    assert wording.camera("Canon", "Canon EOS R5") == "Canon EOS R5"
    assert (wording.camera("Apple", None), wording.camera(None, "X"), wording.camera(None, None)) == ("Apple", "X", "—")
    assert [wording.codec_level(41, "h264"), wording.codec_level(153, "hevc")] == ["4.1", "5.1"]
    assert [wording.codec_level(9, "av1"), wording.codec_level(None, "h264"), wording.codec_level(1, None)] == [""] * 3
