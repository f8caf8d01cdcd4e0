"""Rates, times and dates."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media import timing

RATES = st.fractions(min_value=Fraction(1, 10), max_value=1000, max_denominator=1001)


@given(RATES)
def test_a_rate_is_written_exactly(rate: Fraction) -> None:
    """What is written is what was read."""
    text = timing.rate_text(rate)
    assert text is not None
    assert Fraction(text) == rate
    assert "/" in text


def test_no_rate_is_null() -> None:
    """FFmpeg says 0/0 or 0/1 for a rate it does not know."""
    assert timing.rate_text(None) is None
    assert timing.rate_text(Fraction(0)) is None


def test_times_are_seconds_to_the_microsecond() -> None:
    """As ffprobe writes them."""
    assert timing.seconds(2955, Fraction(1, 44100)) == 0.067007
    assert timing.seconds(None, Fraction(1, 44100)) is None
    assert timing.seconds(1, None) is None


def test_a_duration_of_nothing_is_null() -> None:
    """Zero and less say nothing."""
    assert timing.positive(0.0) is None
    assert timing.positive(-1.0) is None
    assert timing.positive(None) is None
    assert timing.positive(1.5) == 1.5


@given(rate=RATES, ticks=st.sampled_from([600, 1000, 12800, 90000]), count=st.integers(min_value=3, max_value=200))
def test_a_constant_rate_in_whole_ticks_is_never_called_uneven(rate: Fraction, ticks: int, count: int) -> None:
    """Rounding to ticks is no variation, whatever the rate, as long as ticks are much finer than frames."""
    if ticks / rate < 10:
        return
    times = [round(n * ticks / rate) for n in range(count)]
    assert timing.is_uneven(times, round(count * ticks / rate)) is False


@given(st.integers(min_value=3, max_value=100), st.integers(min_value=0, max_value=98))
def test_one_dropped_frame_makes_it_uneven(count: int, dropped: int) -> None:
    """A gap of two frames is seen, wherever it lies."""
    times = [n * 100 + (100 if n > dropped % (count - 1) else 0) for n in range(count)]
    assert timing.is_uneven(times, None) is True


def test_too_little_to_tell_is_null() -> None:
    """Two frames, no progress, or an index that ends long before the film does."""
    assert timing.is_uneven([0, 100], 200) is None
    assert timing.is_uneven([5, 5, 5], 0) is None
    assert timing.is_uneven([0, 100, 200], 100_000) is None
    assert timing.is_uneven([0, 100, 200], None) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-22T10:47:52.000000Z", "2024-01-22T10:47:52Z"),
        ("2024-01-22T10:47:52.250000Z", "2024-01-22T10:47:52.250000Z"),
        ("2023-05-09T12:41:46+0100", "2023-05-09T11:41:46Z"),
        ("1904-01-01T00:00:00.000000Z", None),
        ("1970-01-01T00:00:00.000000Z", None),
        ("2016-05-31 17:01:35", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_the_cameras_clock(text: str | None, expected: str | None) -> None:
    """RFC 3339 in UTC, or null for a clock that was never set or a time without a zone."""
    assert timing.camera_time(text) == expected


@given(st.text(max_size=40))
def test_no_text_breaks_the_clock(text: str) -> None:
    """Tags are written by anybody."""
    result = timing.camera_time(text)
    assert result is None or result.endswith("Z")
