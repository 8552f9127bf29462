"""Half-open UTC intervals, the grid they lie on, and how people write times and durations.

A grid of a given frequency starts at 0001-01-01T00:00Z, a Monday, as Kusto's `bin` does: days
start at midnight UTC, weeks on Monday.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from gundog.core.errors import InputError

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
MICROSECOND = timedelta(microseconds=1)
HOUR_US, DAY_US = HOUR // MICROSECOND, DAY // MICROSECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ORIGIN = datetime(1, 1, 1, tzinfo=UTC)
_UNITS = {"us": "microseconds", "ms": "milliseconds", "s": "seconds", "m": "minutes"}
_UNITS |= {"h": "hours", "d": "days", "w": "weeks"}
_LONGEST_SHOWN = 100
_DURATION = re.compile(r"(\d+)(us|ms|s|m|h|d|w)")
_ISO_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


@dataclass(frozen=True, order=True)
class Interval:
    """The instants `start <= t < end`, both timezone-aware and in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("an interval needs times with a time zone")
        if self.start > self.end:
            raise ValueError(f"interval ends before it starts: {self}")

    def __str__(self) -> str:
        return f"[{format_time(self.start)}, {format_time(self.end)})"

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def overlaps(self, other: Interval) -> bool:
        """True when some instant lies in both.

        >>> day = Interval(parse_time("2026-01-05"), parse_time("2026-01-06"))
        >>> day.overlaps(Interval(day.end, day.end + timedelta(days=1)))
        False
        """
        return self.start < other.end and other.start < self.end

    def widen(self, before: timedelta, after: timedelta = timedelta()) -> Interval:
        """The interval with `before` more at its start and `after` more at its end."""
        return Interval(_shift(self.start, -before), _shift(self.end, after))


def _shift(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if by > timedelta() else _ORIGIN


def floor(moment: datetime, frequency: timedelta) -> datetime:
    """The last grid point at or before `moment`.

    >>> format_time(floor(parse_time("2026-01-05T10:59:59Z"), timedelta(hours=1)))
    '2026-01-05T10:00:00Z'
    """
    return moment - (moment - _ORIGIN) % frequency


def ceil(moment: datetime, frequency: timedelta) -> datetime:
    """The first grid point at or after `moment`."""
    down = floor(moment, frequency)
    return down if down == moment else down + frequency


def split(interval: Interval, frequency: timedelta) -> Iterator[Interval]:
    """The grid intervals that cover `interval`, oldest first; both its ends lie on the grid."""
    start = interval.start
    while start < interval.end:
        yield Interval(start, start + frequency)
        start += frequency


def last_complete(now: datetime, frequency: timedelta) -> Interval:
    """The newest grid interval that had ended by `now`."""
    end = floor(now, frequency)
    return Interval(end - frequency, end)


def epoch_us(moment: datetime) -> int:
    """The microseconds from 1970 to a moment, as DuckDB's `epoch_us` counts them.

    >>> epoch_us(datetime(1970, 1, 2, tzinfo=UTC)) == DAY_US
    True
    """
    return (moment - EPOCH) // MICROSECOND


def hull(intervals: Iterable[Interval]) -> Interval | None:
    """The smallest interval that holds all of them; None when there are none."""
    parts = list(intervals)
    if not parts:
        return None
    return Interval(min(part.start for part in parts), max(part.end for part in parts))


def parse_duration(text: str) -> timedelta:
    """A duration such as `90m`, `1d12h` or ISO's `PT1H`; never zero.

    Raises:
        InputError: when the text is none of these.

    >>> parse_duration("1d12h") == parse_duration("P1DT12H") == timedelta(hours=36)
    True
    """
    stripped = str(text).strip()
    total = timedelta()
    iso = _ISO_DURATION.fullmatch(stripped)
    try:
        if iso:
            numbers = [int(group or 0) for group in iso.groups()]
            keys = ("weeks", "days", "hours", "minutes", "seconds")
            total = timedelta(**dict(zip(keys, numbers, strict=True)))
        elif re.fullmatch(f"(?:{_DURATION.pattern})+", stripped):
            for number, unit in _DURATION.findall(stripped):
                total += timedelta(**{_UNITS[unit]: int(number)})
    except (OverflowError, ValueError):  # ValueError: thousands of digits
        total = timedelta()
    if not total:
        brief = text if len(stripped) <= _LONGEST_SHOWN else stripped[:_LONGEST_SHOWN] + "…"
        raise InputError(
            f"{brief!r} is not a duration: write a number and a unit, such as 90m, 24h or 7d"
        )
    return total


def format_duration(span: timedelta) -> str:
    """A duration in the units people write, largest first.

    >>> format_duration(timedelta(hours=36, seconds=1))
    '1d12h1s'
    """
    rest = span // MICROSECOND
    sign, rest = ("-", -rest) if rest < 0 else ("", rest)
    sizes = {
        "d": DAY_US,
        "h": HOUR_US,
        "m": 60_000_000,
        "s": 1_000_000,
        "ms": 1000,
        "us": 1,
    }
    text = ""
    for unit, size in sizes.items():
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return sign + (text or "0s")


def parse_time(text: str | date | datetime) -> datetime:
    """A moment in UTC from ISO 8601; without a zone it is read as UTC, a plain date as midnight.

    Raises:
        InputError: when the text is not ISO 8601.
    """
    if isinstance(text, datetime):
        moment = text
    elif isinstance(text, date):
        moment = datetime(text.year, text.month, text.day)
    else:
        try:
            moment = datetime.fromisoformat(str(text).strip())
        except ValueError as error:
            raise InputError(
                f"{text!r} is not a time: write 2026-10-31 or 2026-10-31T13:00:00Z"
            ) from error
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise InputError(f"{text!r} is outside the years 1 to 9999 in UTC: correct it") from error


def is_plain_date(text: str) -> bool:
    """True for `2026-10-31`, which as an end means: that day included."""
    return re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip()) is not None


def parse_range(start: str, end: str) -> Interval:
    """The half-open range two arguments name: a plain date as `end` includes that day.

    Raises:
        InputError: when a side is not a time or the range is empty.

    >>> str(parse_range("2026-10-30", "2026-10-31"))
    '[2026-10-30T00:00:00Z, 2026-11-01T00:00:00Z)'
    """
    first, last = parse_time(start), parse_time(end)
    if is_plain_date(end):
        last = _shift(last, DAY)
    if first >= last:
        raise InputError(
            f"--from {start} --to {end} is an empty range: --to is exclusive, give a later one"
        )
    return Interval(first, last)


def check_on_grid(moment: datetime, frequency: timedelta, name: str) -> None:
    """Raises InputError naming the two nearest grid points when `moment` is not one."""
    before = floor(moment, frequency)
    if before != moment:
        raise InputError(
            f"{name} {format_time(moment)} is not on the grid of {format_duration(frequency)}: "
            f"use {format_time(before)} or {format_time(_shift(before, frequency))}"
        )


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC with a Z, fractions only where there are any; without a zone it is UTC.

    >>> format_time(datetime(2026, 1, 5, 10, 30, tzinfo=UTC))
    '2026-01-05T10:30:00Z'
    """
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")
