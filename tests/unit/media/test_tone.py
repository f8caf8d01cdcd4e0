"""High dynamic range becomes standard range."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.tone import Transfer, to_standard

TRANSFERS: list[Transfer] = ["smpte2084", "arib-std-b67"]
CODE = st.integers(min_value=0, max_value=1023)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_grey_stays_grey_and_brighter_stays_brighter(transfer: Transfer) -> None:
    """Black is black, and nothing gets darker as it gets lighter."""
    ramp = list(range(1024))
    planes = to_standard(ramp, ramp, ramp, transfer)
    red, green, blue = (list(plane) for plane in planes)
    assert red[0] == 0
    assert all(after >= before - 1 for before, after in pairwise(red)), "but for rounding"
    assert max(abs(a - b) for a, b in zip(red, green, strict=True)) <= 2
    assert max(abs(a - b) for a, b in zip(red, blue, strict=True)) <= 2


@pytest.mark.parametrize(("transfer", "signal"), [("smpte2084", 0.58), ("arib-std-b67", 0.75)])
def test_graphics_white_is_nearly_white(transfer: Transfer, signal: float) -> None:
    """The signal of graphics white by BT.2408 is light but leaves room for highlights."""
    code = round(1023 * signal)
    assert 215 <= to_standard([code], [code], [code], transfer)[0][0] <= 245


@given(CODE, CODE, CODE, st.sampled_from(TRANSFERS))
def test_every_colour_has_a_place(red: int, green: int, blue: int, transfer: Transfer) -> None:
    """Colours outside the smaller gamut are clipped, not wrapped around."""
    result = to_standard([red], [green], [blue], transfer)
    brightest = max(red, green, blue)
    channels = (red, green, blue)
    if sorted(channels)[1] < brightest - 100:
        # In the smaller gamut two bright channels may change places, by a little; one that wrapped would be dark.
        assert result[channels.index(brightest)][0] >= max(plane[0] for plane in result) - 25
