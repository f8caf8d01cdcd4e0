"""Moving pictures for the demo clips: flat landscapes of hills, sea or a city under a sky, drawn without numpy.

A picture is drawn column by column, back to front. Each layer covers a column from its outline down to the bottom edge
with a ready-made ramp of colours, so that a column costs a few slice copies instead of a loop over its pixels.
"""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import av

Outline = Literal["hills", "peaks", "city", "firs", "waves", "flat"]
Rgb = str
"""Red, green and blue as `"rrggbb"`."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Something that fills the picture from its outline down.

    `base` is the outline's mean distance from the top and `height` its reach, both as parts of the picture's height;
    `speed` is how far it slides in a frame, as a part of the picture's width.
    """

    outline: Outline
    base: float
    height: float
    top: Rgb
    bottom: Rgb
    speed: float = 0.0
    lit: Rgb | None = None
    """The colour of lit windows; None: it has no windows."""


@dataclass(frozen=True, slots=True)
class Disc:
    """A sun, a ball, a balloon; place and radius as parts of the picture's width and height, drift in each frame."""

    x: float
    y: float
    radius: float
    colour: Rgb
    drift: tuple[float, float] = (0.0, 0.0)
    front: bool = False
    """Before the layers instead of behind them."""


@dataclass(frozen=True, slots=True)
class Specks:
    """Stars, snow or bubbles, scattered over the picture; `fall` is their way down in a frame, negative: up."""

    count: int
    size: float
    colour: Rgb
    fall: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture's ingredients, back to front."""

    sky: tuple[Rgb, Rgb]
    layers: tuple[Layer, ...] = ()
    discs: tuple[Disc, ...] = ()
    specks: Specks | None = None
    sway: float = 0.0
    """How far the sky's colours wave up and down, as a part of the height: northern lights."""
    seed: int = 0
    upright: bool = False
    """Turned a quarter to the left, as a phone stores what it films upright."""

    def draw(self, index: int, width: int, height: int, *, mark_corner: bool = False) -> av.VideoFrame:
        """Draw frame `index`, yuv420p, in the place of `tools.clips.picture`."""
        del mark_corner
        frame = av.VideoFrame(width, height, "yuv420p")
        for number, plane in enumerate(frame.planes):
            across, down = (plane.height, plane.width) if self.upright else (plane.width, plane.height)
            columns = self._columns(number, index, across, down)
            rows = _turned_left(columns) if self.upright else _rows(columns, down)
            plane.update(_padded(rows, plane.line_size))
        return frame

    def _columns(self, plane: int, index: int, width: int, height: int) -> list[bytearray]:
        columns = self._sky(plane, index, width, height)
        if self.specks and not self.specks.fall:
            _scatter(columns, self.specks, plane, index, height, self.seed)
        _put_discs(columns, [disc for disc in self.discs if not disc.front], plane, index, height)
        for number, layer in enumerate(self.layers):
            _put_layer(columns, layer, plane, index, height, self.seed + number)
        _put_discs(columns, [disc for disc in self.discs if disc.front], plane, index, height)
        if self.specks and self.specks.fall:
            _scatter(columns, self.specks, plane, index, height, self.seed)
        return columns

    def _sky(self, plane: int, index: int, width: int, height: int) -> list[bytearray]:
        ramp = _ramp(*self.sky, plane, height)
        if not self.sway:
            return [bytearray(ramp) for _ in range(width)]
        reach = int(self.sway * height)
        ramp = ramp[:1] * reach + ramp + ramp[-1:] * reach
        starts = (
            reach + int(reach * math.sin(9 * x / width + index / 9) * math.sin(23 * x / width - index / 14))
            for x in range(width)
        )
        return [bytearray(ramp[start : start + height]) for start in starts]


def upright(scene: Scene) -> Scene:
    """The same scene, filmed with the phone held upright."""
    return replace(scene, upright=True)


def _put_layer(columns: list[bytearray], layer: Layer, plane: int, index: int, height: int, seed: int) -> None:
    width = len(columns)
    tops = _outline(layer.outline, width, seed)
    ramp = _ramp(layer.top, layer.bottom, plane, height)
    windows = _windows(layer, plane, height) if layer.lit else ramp
    shift = int(index * layer.speed * width)
    for x, column in enumerate(columns):
        place = (x + shift) % len(tops)
        top = max(0, min(height, int((layer.base - layer.height * tops[place]) * height)))
        lit = layer.lit and place * 160 // width % 4 in (1, 2) and _noise(place * 40 // width, seed) > 0.35
        column[top:] = (windows if lit else ramp)[: height - top]


def _put_discs(columns: list[bytearray], discs: Iterable[Disc], plane: int, index: int, height: int) -> None:
    width = len(columns)
    for disc in discs:
        value = _yuv(disc.colour)[plane]
        radius = disc.radius * min(width, height)
        middle_x = (disc.x + index * disc.drift[0]) * width
        middle_y = (disc.y + index * disc.drift[1]) * height
        for x in range(max(0, math.ceil(middle_x - radius)), min(width, int(middle_x + radius) + 1)):
            reach = math.sqrt(max(0.0, radius**2 - (x - middle_x) ** 2))
            top, bottom = max(0, int(middle_y - reach)), min(height, int(middle_y + reach))
            if bottom > top:
                columns[x][top:bottom] = bytes([value]) * (bottom - top)


def _scatter(columns: list[bytearray], specks: Specks, plane: int, index: int, height: int, seed: int) -> None:
    value = _yuv(specks.colour)[plane]
    dice = random.Random(seed)  # noqa: S311 - the same stars every time are what is wanted
    width = len(columns)
    for _ in range(specks.count):
        x, y, weight = dice.random(), dice.random(), 0.4 + dice.random()
        side = max(1, round(specks.size * weight * height))
        top = int((y + index * specks.fall * weight) % 1 * height)
        left = int((x + 0.01 * math.sin(index / 7 + 40 * x) * (specks.fall != 0)) * width)
        for number, column in enumerate(columns[max(0, left) : max(0, left + side)]):
            corner = side // 4 if number in (0, side - 1) else 0  # rounds it off
            start, end = min(height, top + corner), min(height, top + side - corner)
            column[start:end] = bytes([value]) * (end - start)


@lru_cache(maxsize=64)
def _outline(kind: Outline, width: int, seed: int) -> tuple[float, ...]:
    """Heights between 0 and 1 over the picture's width, at whose end they begin again."""
    return tuple(_OUTLINES[kind](x / width, seed) for x in range(width))


def _hills(x: float, seed: int) -> float:
    turns = 2 * math.pi * x
    return 0.5 + 0.3 * math.sin(2 * turns + seed) + 0.2 * math.sin(5 * turns + 2 * seed)


def _peaks(x: float, seed: int) -> float:
    return sum(share * _teeth(x * count + _noise(count, seed), count, seed) for count, share in _RIDGES)


def _teeth(place: float, count: int, seed: int) -> float:
    return (1 - 2 * abs(place % 1 - 0.5)) * (0.5 + 0.5 * _noise(int(place) % count, seed))


def _city(x: float, seed: int) -> float:
    house = int(x * 20)
    return 0.0 if x * 20 % 1 > 0.93 else 0.25 + 0.75 * _noise(house, seed)


def _firs(x: float, seed: int) -> float:
    return _teeth(x * 28, 28, seed)


def _waves(x: float, seed: int) -> float:
    return 0.5 + 0.5 * math.sin(2 * math.pi * 6 * x + seed) * math.sin(2 * math.pi * 2 * x)


def _flat(x: float, seed: int) -> float:
    del x, seed
    return 0.0


_RIDGES = ((3, 0.6), (8, 0.3), (22, 0.1))
_OUTLINES: dict[Outline, Callable[[float, int], float]] = {
    "hills": _hills,
    "peaks": _peaks,
    "city": _city,
    "firs": _firs,
    "waves": _waves,
    "flat": _flat,
}


def _noise(number: int, seed: int) -> float:
    """A number between 0 and 1 that looks random and is always the same."""
    return math.sin(number * 127.1 + seed * 311.7) * 43758.5453 % 1


@lru_cache(maxsize=256)
def _ramp(top: Rgb, bottom: Rgb, plane: int, height: int) -> bytes:
    first, last = _yuv(top)[plane], _yuv(bottom)[plane]
    return bytes(round(first + (last - first) * y / max(1, height - 1)) for y in range(height))


@lru_cache(maxsize=64)
def _windows(layer: Layer, plane: int, height: int) -> bytes:
    ramp, lit = _ramp(layer.top, layer.bottom, plane, height), _yuv(layer.lit or layer.top)[plane]
    return bytes(lit if y * 60 // height % 3 == 1 else ramp[y] for y in range(height))


@lru_cache(maxsize=256)
def _yuv(colour: Rgb) -> tuple[int, int, int]:
    """Limited-range Y'CbCr by ITU-R BT.601, which players assume of small pictures that do not say."""
    red, green, blue = bytes.fromhex(colour)
    return (
        round(16 + 0.257 * red + 0.504 * green + 0.098 * blue),
        round(128 - 0.148 * red - 0.291 * green + 0.439 * blue),
        round(128 + 0.439 * red - 0.368 * green - 0.071 * blue),
    )


def _rows(columns: list[bytearray], height: int) -> list[bytes]:
    everything = b"".join(columns)
    return [everything[y::height] for y in range(height)]


def _turned_left(columns: list[bytearray]) -> list[bytes]:
    """The last column becomes the first row."""
    return [bytes(column) for column in reversed(columns)]


def _padded(rows: list[bytes], line_size: int) -> bytes:
    return b"".join(row.ljust(line_size, b"\0") for row in rows)
