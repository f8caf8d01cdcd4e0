"""Rates, times and dates of a media file: pure functions."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise

MICROSECONDS = Fraction(1, 1_000_000)
"""In which FFmpeg counts the time of a whole file."""
_TIMECODE = re.compile(r"\d{2}:\d{2}:\d{2}[:;.]\d{2,3}")
CONSTANT_RATE_CONTAINERS = {"avi", "dv", "gxf", "mxf", "yuv4mpegpipe"}
"""Formats whose pictures lie on a fixed grid."""


def rate_text(rate: Fraction | None) -> str | None:
    """Write a rate as `num/den`; None for no rate."""
    if rate is None or rate <= 0:
        return None
    return f"{rate.numerator}/{rate.denominator}"


def seconds(value: int | None, unit: Fraction | None) -> float | None:
    """Turn a time in `unit` seconds into seconds, to the microsecond."""
    if value is None or unit is None:
        return None
    return round(value * unit.numerator / unit.denominator, 6)  # which is rounded once, as a fraction would be


def positive(value: float | None) -> float | None:
    """Give None for a duration that says nothing: zero or less."""
    return value if value is not None and value > 0 else None


def is_uneven(timestamps: Iterable[int], duration: int | None) -> bool | None:
    """Tell whether frames lie at uneven distances.

    Args:
        timestamps: of every frame in decoding order, in ticks of the stream's time base.
        duration: the stream's, in the same ticks. Timestamps that do not reach it prove nothing.

    Returns:
        None where there is too little to tell. Distances may differ by one tick of a fine time base: a rate such as
        30000/1001 looks so in whole ticks.
    """
    times = list(timestamps)
    if len(times) < 3:
        return None
    gaps = {after - before for before, after in pairwise(times)}
    return are_uneven(gaps, len(times), times[-1] - times[0], duration)


def are_uneven(gaps: Iterable[int], count: int, span: int, duration: int | None) -> bool | None:
    """Tell the same of frames of which only the different distances are known.

    Args:
        gaps: each that there is between two frames.
        count: of frames, at least two.
        span: from the first frame to the last.
        duration: as above.
    """
    gap = span / (count - 1)
    if gap <= 0:
        return None
    slack = max(0.01 * gap, 1.0 if gap >= 10 else 0.0)
    if any(abs(distance - gap) > slack for distance in gaps):
        return True
    if duration is None or abs(count * gap - duration) > max(2 * gap, 0.02 * duration):
        return None
    return False


def camera_time(text: str | None) -> str | None:
    """Turn a container's creation time into RFC 3339 in UTC; None for one without a zone, or for a clock never set.

    A zero clock reads 1904-01-01 in QuickTime's epoch and 1970-01-01 in Unix's.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        return None
    if (moment.year, moment.month, moment.day) in {(1904, 1, 1), (1970, 1, 1)}:
        return None
    return moment.isoformat().replace("+00:00", "Z")


def timecode(text: str | None) -> str | None:
    """Give a timecode as it is written, `10:00:00:00`; None for what is none.

    A `;` or `.` before the frames says that numbers are dropped to keep pace with the clock (SMPTE ST 12-1).
    """
    return text if text is not None and _TIMECODE.fullmatch(text) else None
