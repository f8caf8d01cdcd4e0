"""Shape, rotation and dynamic range of a picture."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media import picture
from stoat_ferret.media.info import Hdr

SIDES = st.integers(min_value=1, max_value=16384)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(-90.0, 90), (90.0, 270), (180.0, 180), (-180.0, 180), (0.0, 0), (270.0, 90), (-2147483648.0, None), (45.0, None)],
)
def test_ffmpeg_turns_anticlockwise_and_we_clockwise(degrees: float, expected: int | None) -> None:
    """A portrait phone clip, which ffprobe gives as -90, is turned 90 degrees clockwise to be seen."""
    assert picture.clockwise(degrees, display_matrix=True) == expected


def test_no_matrix_is_no_turn_but_a_strange_one_is_unknown() -> None:
    """A mirror image is not called upright."""
    assert picture.clockwise(None, display_matrix=False) == 0
    assert picture.clockwise(None, display_matrix=True) is None


def test_colours_are_named_where_their_numbers_say_something() -> None:
    """2 is what says nothing, and RGB has the number 0."""
    assert picture.colours(9, 16, 0) == {
        "color_primaries": "bt2020",
        "color_transfer": "smpte2084",
        "color_space": "gbr",
    }
    assert set(picture.colours(2, 2, 2).values()) == {None}


def test_a_ratio_that_is_not_known_is_not_written() -> None:
    """FFmpeg calls it zero, PyAV none."""
    assert [picture.ratio_text(ratio) for ratio in (Fraction(8, 6), Fraction(0), None)] == ["4:3", None, None]


@given(SIDES, SIDES, st.sampled_from([0, 90, 180, 270]))
def test_square_samples_only_turn(width: int, height: int, rotation: int) -> None:
    """Turning twice gives the picture back."""
    shown = picture.display_size(width, height, None, rotation)
    assert sorted(side for side in shown if side) == sorted((width, height))
    assert picture.display_size(shown[0], shown[1], None, rotation) == (width, height)


@given(SIDES, SIDES, st.fractions(min_value=Fraction(1, 100), max_value=100, max_denominator=1000))
def test_only_the_width_is_stretched(width: int, height: int, ratio: Fraction) -> None:
    """Height is what was coded, and nothing has no width."""
    shown_width, shown_height = picture.display_size(width, height, ratio, 0)
    assert shown_height == height
    assert shown_width is not None
    assert shown_width >= 1
    assert abs(shown_width - width * ratio) <= 1


def test_anamorphic_pal_is_shown_wide() -> None:
    """720 x 576 with 64:45 samples is 1024 x 576."""
    assert picture.display_size(720, 576, Fraction(64, 45), 0) == (1024, 576)
    assert picture.display_size(720, 576, Fraction(64, 45), 90) == (576, 1024)


def test_an_unknown_size_stays_unknown() -> None:
    """Null in, null out."""
    assert picture.display_size(None, 576, None, 0) == (None, None)
    assert picture.display_size(720, None, None, 0) == (None, None)
    assert picture.display_size(720, 576, None, None) == (None, None)


@pytest.mark.parametrize(
    ("transfer", "bits", "dolby_vision", "side_data", "expected"),
    [
        ("bt709", 8, False, None, "sdr"),
        ("bt2020-10", 10, False, None, "sdr"),
        (None, 8, False, None, "sdr"),
        (None, 10, False, None, None),
        (None, None, False, None, None),
        ("linear", 16, False, None, None),
        ("arib-std-b67", 10, False, None, "hlg"),
        ("arib-std-b67", 10, True, None, "dolby_vision"),
        ("smpte2084", 10, True, None, "dolby_vision"),
        ("smpte2084", 10, False, None, None),
        ("smpte2084", 10, False, [], "hdr10"),
        ("smpte2084", 10, False, ["MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"], "hdr10"),
        ("smpte2084", 10, False, ["DYNAMIC_HDR_PLUS"], "hdr10_plus"),
        ("smpte2084", 10, False, ["DOVI_METADATA"], "dolby_vision"),
    ],
)
def test_dynamic_range(
    transfer: str | None, bits: int | None, dolby_vision: bool, side_data: list[str] | None, expected: Hdr | None
) -> None:
    """Named where it is certain, null where it is not."""
    assert (
        picture.dynamic_range(transfer=transfer, bits=bits, dolby_vision=dolby_vision, side_data=side_data) == expected
    )
