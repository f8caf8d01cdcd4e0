"""What comes with a decoded frame of high dynamic range."""

from struct import pack

from stoat_ferret.media.info import StreamInfo
from stoat_ferret.media.light import of_frame, with_light

STREAM = StreamInfo(index=0, kind="video")
PRIMARIES = (35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450)


def mastering(*, primaries: int = 1, luminance: int = 1, bottom: int = 50_000) -> bytes:
    fractions = [number for top in PRIMARIES for number in (top, bottom)]
    return pack("=22i", *fractions, 50, 10_000, 10_000_000, 10_000, primaries, luminance)


def test_the_display_and_the_light_are_read() -> None:
    """Primaries with four decimals, luminances exact; zero light was never measured."""
    side_data = {"MASTERING_DISPLAY_METADATA": mastering(), "CONTENT_LIGHT_LEVEL": pack("=2I", 1000, 0)}
    found = with_light(STREAM, of_frame(side_data | {"DYNAMIC_HDR_PLUS": b""}))
    assert found.mastering_primaries == (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329)
    assert (found.mastering_min_luminance, found.mastering_max_luminance) == (0.005, 1000.0)
    assert (found.max_content_light, found.max_average_light, found.hdr10_plus) == (1000, None, True)


def test_what_the_container_says_goes_before() -> None:
    """As ffprobe shows it for the stream."""
    said = StreamInfo(index=0, kind="video", max_content_light=700, mastering_max_luminance=600.0)
    side_data = {"MASTERING_DISPLAY_METADATA": mastering(), "CONTENT_LIGHT_LEVEL": pack("=2I", 1000, 400)}
    found = with_light(said, of_frame(side_data))
    assert (found.max_content_light, found.max_average_light) == (700, 400)
    assert (found.mastering_min_luminance, found.mastering_max_luminance) == (0.005, 600.0)
    assert found.hdr10_plus is False


def test_what_is_not_there_or_no_number_says_nothing() -> None:
    """A structure that is too short, a half of it left out, a division by zero."""
    for data in (b"", mastering()[:-1], mastering(bottom=0), mastering(primaries=0, luminance=0)):
        found = with_light(STREAM, of_frame({"MASTERING_DISPLAY_METADATA": data, "CONTENT_LIGHT_LEVEL": b"123"}))
        assert (found.mastering_primaries, found.mastering_max_luminance, found.max_content_light) == (None, None, None)
