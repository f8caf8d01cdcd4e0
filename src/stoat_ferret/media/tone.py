"""High dynamic range to standard, for thumbnails: pure arithmetic over planes of samples.

FFmpeg's own conversion builds a table for every pair of formats, at 1.4 s a picture. What this says of some colours
`colours` makes a table of, once.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

Transfer = Literal["smpte2084", "arib-std-b67"]

CODES = 1024
"""Samples are 10-bit full-range RGB."""
_WHITE = 203.0
"""cd/m²: the brightness of graphics white, ITU-R BT.2408."""
_KNEE = 0.6
"""Light below this part of white is left alone; what is brighter is compressed into the rest."""
_SCALE = 65535
"""Linear light is kept in whole numbers up to this."""
_TO_BT709 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
"""Linear BT.2020 to BT.709, ITU-R BT.2087 M2."""


def to_standard(
    red: Sequence[int], green: Sequence[int], blue: Sequence[int], transfer: Transfer
) -> tuple[bytes, bytes, bytes]:
    """Turn 10-bit BT.2020 planes with an HDR transfer function into 8-bit sRGB ones."""
    gamma = _gamma()
    result = []
    for weights in _TO_BT709:
        a, b, c = (_weighted(transfer, weight) for weight in weights)
        # Out of range on both sides is ordinary: _gamma() is indexed from -_SCALE to 2 * _SCALE.
        result.append(bytes([gamma[a[r] + b[g] + c[b_]] for r, g, b_ in zip(red, green, blue, strict=True)]))
    return result[0], result[1], result[2]


@cache
def _weighted(transfer: Transfer, weight: float) -> list[int]:
    """Give each code's linear light, highlights compressed, times a coefficient of the matrix."""
    light: Callable[[float], float] = _pq if transfer == "smpte2084" else _hlg
    return [round(_SCALE * weight * _compressed(light(code / (CODES - 1)))) for code in range(CODES)]


def _compressed(light: float) -> float:
    """Roll highlights off below 1, smoothly, where white is 1."""
    if light <= _KNEE:
        return light
    room = 1 - _KNEE
    excess = (light - _KNEE) / room
    return _KNEE + room * excess / (1 + excess)


def _pq(signal: float) -> float:
    """Give light relative to white, by SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = signal ** (1 / m2)
    return float(10000 / _WHITE * (max(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1))


def _hlg(signal: float) -> float:
    """Give light relative to white on a display of 1,000 cd/m², by ITU-R BT.2100 with its gamma of 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = signal**2 / 3 if signal <= 0.5 else (2.718281828459045 ** ((signal - c) / a) + b) / 12
    return float(1000 / _WHITE * scene**1.2)


@cache
def _gamma() -> list[int]:
    """Give the sRGB code of linear light; negative light is found at the list's end, where Python looks for it."""
    codes = [round(255 * _srgb(light / _SCALE)) for light in range(_SCALE + 1)]
    return codes + [255] * _SCALE + [0] * (_SCALE + 1)


def _srgb(light: float) -> float:
    return float(12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)
