"""When a cron line is next due, in the machine's time, also where clocks are changed."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stoat_ferret.errors import InvalidScheduleError
from stoat_ferret.jobs.cron import LOCAL, NAMED, check, next_after

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # changes by half an hour
    "America/Havana",  # at midnight
    "Asia/Kathmandu",  # an odd offset
    "Pacific/Apia",  # left out a day
)
MINUTE = 60_000_000
DAY = 1_440 * MINUTE
MOMENTS = st.integers(1_293_840_000, 2_051_222_400).map(lambda seconds: seconds * 1_000_000)  # 2011 to 2034
"""Whole seconds; those tests for which parts of them matter add these."""


@contextmanager
def living_in(zone: str) -> Iterator[ZoneInfo]:
    """Move the machine there for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        try:
            yield ZoneInfo(zone if zone in ZONES else "UTC")
        finally:
            patch.undo()
            time.tzset()


def at(text: str, zone: str, fold: int = 0) -> int:
    """Give a local time as microseconds since 1970."""
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(moment.timestamp()) * 1_000_000


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    """Give fields of lines: a star, a number, a list, a range, a step."""
    number = st.integers(low, high)
    several = st.lists(number, min_size=1, max_size=4).map(lambda numbers: ",".join(map(str, numbers)))
    between = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.integers(1, high).map(lambda size: f"*/{size}")
    return st.one_of(st.just("*"), several, between, step)


LINES = st.tuples(fields(0, 59), fields(0, 23), st.just("*"), st.just("*"), fields(0, 6)).map(" ".join)
"""Lines that are due at least once a week."""


@given(LINES, MOMENTS, st.integers(0, 999_999), st.sampled_from(ZONES))
@example("30 2 * * *", at("2024-10-27 02:15", "Europe/Berlin", fold=1), 0, "Europe/Berlin")
@example("0 0 * * *", at("2011-12-29 23:59", "Pacific/Apia"), 0, "Pacific/Apia")
def test_the_next_moment_lies_ahead_on_a_whole_minute_and_within_a_week(
    line: str, second: int, part: int, zone: str
) -> None:
    """Whatever the line, the time and the place; the days that a place left out come on top."""
    with living_in(zone):
        due = next_after(line, second + part)
    assert second + part < due <= second + 9 * DAY
    assert due % MINUTE == 0


@given(LINES, MOMENTS, st.integers(0, 3 * DAY), st.sampled_from(ZONES))
def test_later_is_never_due_sooner(line: str, earlier: int, between: int, zone: str) -> None:
    """Nothing that was due after a moment is due before an earlier one's next."""
    with living_in(zone):
        first, second = next_after(line, earlier), next_after(line, earlier + between)
        assert first <= second
        # And asking between a moment and its next changes nothing.
        assert next_after(line, (earlier + first) // 2) == first


def matches(line: str, moment: datetime) -> bool:
    """Tell whether a local time is one of a simple line's, worked out in the dullest way."""

    def within(field: str, low: int, high: int) -> set[int]:
        if field.startswith("*"):
            return set(range(low, high + 1, int(field.partition("/")[2] or 1)))
        if "-" in field:
            start, end = map(int, field.split("-"))
            return set(range(start, end + 1))
        return set(map(int, field.split(",")))

    minutes, hours, _, _, weekdays = line.split()
    return (
        moment.minute in within(minutes, 0, 59)
        and moment.hour in within(hours, 0, 23)
        and moment.isoweekday() % 7 in {day % 7 for day in within(weekdays, 0, 7)}
    )


@given(LINES, MOMENTS)
def test_it_is_the_first_minute_that_fits(line: str, moment: int) -> None:
    """None in between does, where no clock is changed."""
    with living_in("Asia/Kathmandu") as zone:
        due = next_after(line, moment)
    minutes = range(moment // MINUTE * MINUTE + MINUTE, min(due, moment + 2 * DAY) + 1, MINUTE)
    local = [datetime.fromtimestamp(minute // 1_000_000, zone) for minute in minutes]
    fitting = [minute for minute, shown in zip(minutes, local, strict=True) if matches(line, shown)]
    assert fitting == ([due] if due in minutes else [])


@given(MOMENTS, st.sampled_from(ZONES))
@example(at("2024-10-27 02:30", "Europe/Berlin", fold=0), "Europe/Berlin")
@example(at("2024-10-27 02:30", "Europe/Berlin", fold=1), "Europe/Berlin")
@example(at("2011-12-31 00:30", "Pacific/Apia"), "Pacific/Apia")
def test_the_local_zone_is_the_one_of_its_name(moment: int, zone: str) -> None:
    """There and back, with the same offset, in either pass of an hour that comes twice."""
    with living_in(zone) as named:
        utc = datetime.fromtimestamp(moment // 1_000_000, UTC)
        local, known = utc.astimezone(LOCAL), utc.astimezone(named)
        assert local.replace(tzinfo=None) == known.replace(tzinfo=None)
        assert (local.utcoffset(), local.fold) == (known.utcoffset(), known.fold)
        assert local.astimezone(UTC) == utc


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("line", "after", "due"),
    [
        # 31 March 2024: at 2:00 it is 3:00.
        ("30 2 * * *", at("2024-03-31 01:00", BERLIN), at("2024-03-31 03:00", BERLIN)),
        ("0,30 2 * * *", at("2024-03-31 03:00", BERLIN), at("2024-04-01 02:00", BERLIN)),
        ("*/30 * * * *", at("2024-03-31 01:30", BERLIN), at("2024-03-31 03:00", BERLIN)),
        # 27 October 2024: at 3:00 it is 2:00.
        ("30 2 * * *", at("2024-10-27 00:00", BERLIN), at("2024-10-27 02:30", BERLIN)),
        ("30 2 * * *", at("2024-10-27 02:30", BERLIN), at("2024-10-28 02:30", BERLIN)),
        ("30 2 * * *", at("2024-10-27 02:00", BERLIN, fold=1), at("2024-10-28 02:30", BERLIN)),
        ("*/30 * * * *", at("2024-10-27 02:30", BERLIN), at("2024-10-27 02:00", BERLIN, fold=1)),
        ("15 3 * * *", at("2024-10-27 02:30", BERLIN, fold=1), at("2024-10-27 03:15", BERLIN)),
    ],
)
def test_when_clocks_are_changed_a_job_is_due_once(line: str, after: int, due: int) -> None:
    """As with cron: right after an hour that is skipped, in the first pass of one that comes twice."""
    with living_in(BERLIN):
        assert next_after(line, after) == due


def test_a_rule_in_the_variable_tz_counts_too() -> None:
    """Not only the name of a place."""
    with living_in("CET-1CEST,M3.5.0,M10.5.0/3"):
        assert next_after("30 2 * * *", at("2024-03-31 01:00", BERLIN)) == at("2024-03-31 03:00", BERLIN)
        assert next_after("0 12 * * *", at("2024-07-01 00:00", BERLIN)) == at("2024-07-01 12:00", BERLIN)
        assert os.environ["TZ"].startswith("CET")


@pytest.mark.parametrize(
    ("line", "due"),
    [
        ("0 3 * * *", "2024-02-29 03:00"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("0 0 L * *", "2024-03-31 00:00"),
        ("0 0 13 * FRI", "2024-03-01 00:00"),  # either of the two
        ("0 12 * jan-mar sun#1", "2024-03-03 12:00"),
        (" 5\t4 * * * ", "2024-02-29 04:05"),
        ("@daily", "2024-03-01 00:00"),
        ("@Weekly", "2024-03-03 00:00"),
    ],
)
def test_what_a_line_may_hold(line: str, due: str) -> None:
    """Names, steps, last days, and names for whole lines."""
    with living_in("UTC"):
        assert next_after(line, at("2024-02-29 00:00", "UTC")) == at(due, "UTC")


@pytest.mark.parametrize("line", NAMED)
def test_every_name_is_a_line(line: str) -> None:
    """None is misspelt."""
    check(line)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("", "it has no fields instead of five (minute, hour, "),
        ("5", "it has 1 field instead of five"),
        ("0 3 * *", "it has 4 fields instead of five"),
        ("0 0 3 * * *", "it has six fields; five are taken, without one for seconds"),
        ("0 25 * * *", "the hour '25' is none; it is 0 to 23, or a list"),
        ("60 * * * *", "the minute '60' is none"),
        ("0 0 32 * *", "the day of the month '32' is none"),
        ("0 0 * FOO *", "the month 'FOO' is none; it is 1 to 12 or JAN to DEC"),
        ("0 0 * * 8", "the day of the week '8' is none"),
        ("0 0 31 2 *", "no such day ever comes"),
        ("0 0 30 2 */7", "no such day ever comes"),
        ("0 0 31 4,6 *", "no such day ever comes"),
        ("@reboot", "of names, only @hourly, @daily, "),
        ("0 3 * * " + "1" * 5000, "it is not a line of 200 ASCII characters at most"),
        ("٣ 3 * * *", "it is not a line of 200 ASCII characters"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_with_what_is_wrong(line: str, part: str) -> None:
    """The sentence names the line, says what is wrong with it, and how one is written."""
    with pytest.raises(InvalidScheduleError) as refused:
        check(line)
    sentence = refused.value.message
    assert sentence.startswith(f"The schedule {line!r} " if len(line) <= 60 else "The schedule '0 3 * * 111")
    assert part in sentence
    assert 'as in "0 3 * * *"' in sentence
    assert len(sentence) < 400


@given(st.text() | st.text("0123456789*/-,#LW @adily?SUN", max_size=30))
@example("0 0 5/5 * 1L")
@example("0 0 LW/3 * 1#5")
def test_any_text_is_either_a_line_or_refused(line: str) -> None:
    """Never anything else."""
    with suppress(InvalidScheduleError):
        check(line)
