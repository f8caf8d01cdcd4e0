"""Sample tables of MP4 tracks: long ones, and what of them is played."""

import random
import struct
from array import array
from fractions import Fraction

import pytest

from stoat_ferret.media import timing
from stoat_ferret.media.containers import mp4_tables
from stoat_ferret.media.containers.boxes import NotUnderstoodError


def _table(*numbers: int, before: int = 0) -> bytes:
    return bytes(4) + before.to_bytes(4, "big") + struct.pack(f">{len(numbers)}I", *numbers)


def _read(**content: bytes) -> mp4_tables.Samples:
    data, boxes = b"", {}
    for kind, table in content.items():
        boxes[kind.encode()] = (kind.encode(), len(data), len(data) + len(table))
        data += table
    return mp4_tables.samples(data, boxes)


def _sizes(*sizes: int) -> bytes:
    return bytes(8) + len(sizes).to_bytes(4, "big") + struct.pack(f">{len(sizes)}I", *sizes)


def test_the_tables_of_a_film_of_many_hours() -> None:
    """Are read as a whole."""
    count = 1_000_000
    found = _read(
        stts=_table(count - 1, 512, 1, 300, before=2),
        stsz=bytes(8) + count.to_bytes(4, "big") + bytes(array("I", [0x01000000]) * count),
        stsc=_table(1, 1, 1, before=1),
        stco=_table(*range(count), before=count),
    )
    assert (found.duration, found.total, found.chunks) == (512 * (count - 1) + 300, count, count)
    assert float(Fraction(mp4_tables.average_rate(found, 12_800))) == pytest.approx(12_800 * count / found.duration)
    assert mp4_tables.real_rate(found, None, 12_800) == "25/1"
    assert mp4_tables.is_uneven(found, None, found.duration) is None  # as for any film of so many pictures


@pytest.mark.parametrize(
    "wrong",
    [
        {"stts": _table(3, 512, before=1)},
        {"stts": _table(0, 512, 2, 512, before=2)},
        {"stts": _table(1, 0, 1, 512, before=2)},
        {"stts": _table(2, 512, before=2)},
        {"stsz": _sizes(10)},
        {"stsz": _sizes(10, 1 << 31)},
        {"stsc": _table(1, 3, 1, before=1)},
        {"stsc": _table(2, 2, 1, before=1)},
        {"stsc": _table(1, 2, 2, before=1)},
        {"stco": _table(before=0)},
        {"stss": _table(before=0)},
        {"stss": _table(2, 2, before=2)},
        {"stss": _table(3, before=1)},
        {"ctts": _table(1, 0, before=1)},
        {"ctts": b"\3" + _table(2, 0, before=1)[1:]},
    ],
    ids=repr,
)
def test_tables_that_contradict_each_other(wrong: dict[str, bytes]) -> None:
    """Are not read."""
    tables = {
        "stts": _table(2, 512, before=1),
        "stsz": _sizes(10, 20),
        "stsc": _table(1, 2, 1, before=1),
        "stco": _table(48, before=1),
    }
    assert _read(**tables).first == 48
    with pytest.raises(NotUnderstoodError):
        _read(**tables | wrong)


def test_distances_say_of_frames_what_the_frames_say() -> None:
    """Whatever they are."""
    rng = random.Random(7)  # noqa: S311 - no secret
    for _ in range(300):
        usual = rng.choice((1, 10, 512, 1001))
        gaps = [usual + rng.choice((0, 0, 0, 1, -1, usual // 2)) for _ in range(rng.randrange(2, 30))]
        times = [sum(gaps[:count]) for count in range(len(gaps) + 1)]
        duration = times[-1] + rng.choice((usual, 0, 9 * usual))
        assert timing.is_uneven(times, duration) == timing.are_uneven(set(gaps), len(times), times[-1], duration)
