"""When a cron line is next due, in this machine's local time.

A line has five fields: minute, hour, day of the month, month, day of the week. What they may hold, that days of the
month and of the week add up unless one of them begins with a star, and what happens when clocks are changed are as in
Debian's cron(8): what is due in an hour that is skipped is due right after it, and what is due in an hour that comes
twice is due once; lines whose minute or hour begins with a star simply follow the clock.
"""

from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

from stoat_ferret.errors import InvalidScheduleError

NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
VALUES = ("0 to 59", "0 to 23", "1 to 31 or L for the last", "1 to 12 or JAN to DEC", "0 to 7 or SUN to SAT")
EXAMPLE = 'Write it as in "0 3 * * *" (each day at 3:00) or "*/15 * * * *" (each quarter of an hour).'
LONGEST = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
ANY_MOMENT = 1_700_000_000_000_000


class LocalZone(tzinfo):
    """This machine's time zone with all its changes, as the C library knows it: a file, `TZ`, or a rule in `TZ`."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        """Give the offset; of a time that is skipped the one before, of one that comes twice the one of its fold."""
        assert moment is not None  # noqa: S101  # only a time without a date has none
        local = moment.replace(tzinfo=None)
        # A datetime without a zone is taken for local time.
        return local - (EPOCH + timedelta(seconds=local.timestamp())).replace(tzinfo=None)

    def fromutc(self, moment: datetime) -> datetime:
        """Give the local time of a moment in UTC."""
        return datetime.fromtimestamp(moment.replace(tzinfo=UTC).timestamp()).replace(tzinfo=self)  # noqa: DTZ006

    def dst(self, _moment: datetime | None) -> None:
        """Nothing: only the whole offset is known."""

    def tzname(self, _moment: datetime | None) -> str:
        """Name it."""
        return "local"


LOCAL = LocalZone()


def next_after(cron: str, after_us: int) -> int:
    """Give the line's first moment after another one, both in microseconds since 1970 UTC.

    Raises:
        InvalidScheduleError: the line cannot be understood, or its moment never comes.
    """
    after = (EPOCH + after_us * MICROSECOND).astimezone(LOCAL)
    try:
        for moment in CronSim(_expression(cron), after):
            due = (moment - EPOCH) // MICROSECOND
            if due > after_us:  # within an hour that comes twice, the first moment may already be over
                return due
    except CronSimError as error:
        raise InvalidScheduleError(_refusal(cron, _fault(cron))) from error
    raise InvalidScheduleError(_refusal(cron, "no such day ever comes"))


def check(cron: str) -> None:
    """Make sure that a line can be used.

    Raises:
        InvalidScheduleError: it cannot be understood, or its moment never comes.
    """
    next_after(cron, ANY_MOMENT)


def _expression(cron: str) -> str:
    """Give the five fields of a line.

    Raises:
        InvalidScheduleError: there are not five, or they are too long.
    """
    if len(cron) > LONGEST or not cron.isascii():
        raise InvalidScheduleError(_refusal(cron, f"it is not a line of {LONGEST} ASCII characters at most"))
    if cron.strip().startswith("@"):
        expression = NAMED.get(cron.strip().lower())
        if expression is None:
            names = ", ".join(NAMED)
            raise InvalidScheduleError(_refusal(cron, f"of names, only {names} are known"))
        return expression
    fields = cron.split()
    if len(fields) == 6:
        raise InvalidScheduleError(_refusal(cron, "it has six fields; five are taken, without one for seconds"))
    if len(fields) != 5:
        number = len(fields) or "no"
        sentence = f"it has {number} field{'' if number == 1 else 's'} instead of five ({', '.join(FIELDS)})"
        raise InvalidScheduleError(_refusal(cron, sentence))
    return " ".join(fields)


def _fault(cron: str) -> str:
    """Say which field cannot be understood, or that together they mean no day."""
    for place, field in enumerate(_expression(cron).split()):
        alone = ["*"] * 5
        alone[place] = field
        try:
            CronSim(" ".join(alone), EPOCH)
        except CronSimError:
            return f"the {FIELDS[place]} {field!r} is none; it is {VALUES[place]}, or a list, range or step of these"
    return "no such day ever comes"


def _refusal(cron: str, fault: str) -> str:
    shown = cron if len(cron) <= 60 else cron[:60] + "…"
    return f"The schedule {shown!r} cannot be used: {fault}. {EXAMPLE}"
