"""Tests of core.times: grids, halves that make a whole, and how people write times."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gundog.core.errors import InputError
from gundog.core.times import (
    Interval,
    ceil,
    check_on_grid,
    floor,
    format_duration,
    format_time,
    hull,
    is_plain_date,
    last_complete,
    parse_duration,
    parse_range,
    parse_time,
    split,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
moments = st.datetimes(
    datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)
)  # fmt: skip
frequencies = st.sampled_from([HOUR, 6 * HOUR, DAY, 7 * DAY, timedelta(minutes=7)])
spans = st.integers(1, 10**15).map(lambda n: timedelta(microseconds=n))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_interval_needs_time_zones_and_an_order() -> None:
    """A time without a zone, or an end before its start, is our own mistake."""
    with pytest.raises(ValueError, match="time zone"):
        Interval(datetime(2026, 1, 1), utc("2026-01-02"))
    with pytest.raises(ValueError, match="ends before it starts"):
        Interval(utc("2026-01-02"), utc("2026-01-01"))


@given(moments, frequencies)
def test_floor_and_ceil_are_the_grid_points_around_a_moment(
    moment: datetime, frequency: timedelta
) -> None:
    """Both lie on the grid, at most one step apart, and a grid point is its own."""
    low, high = floor(moment, frequency), ceil(moment, frequency)

    assert low <= moment <= high
    assert high - low in (timedelta(), frequency)
    assert moment - low < frequency
    assert floor(low, frequency) == ceil(low, frequency) == low


def test_grid_starts_days_at_midnight_and_weeks_on_monday() -> None:
    """As Kusto's bin: counted from the first day of year 1, a Monday."""
    moment = utc("2026-01-07T13:45:10")

    assert floor(moment, DAY) == utc("2026-01-07")
    assert floor(moment, 7 * DAY) == utc("2026-01-05")
    assert floor(moment, 7 * DAY).weekday() == 0
    assert ceil(moment, 6 * HOUR) == utc("2026-01-07T18:00")


@given(moments, frequencies, st.integers(0, 50))
def test_split_covers_without_gap_or_overlap(
    moment: datetime, frequency: timedelta, count: int
) -> None:
    """The pieces follow each other, each one step long, and together are the whole."""
    start = floor(moment, frequency)
    whole = Interval(start, start + count * frequency)

    pieces = list(split(whole, frequency))

    assert len(pieces) == count
    assert all(one.length == frequency for one in pieces)
    ends = [start, *(one.end for one in pieces)]
    assert [one.start for one in pieces] == ends[:-1]
    assert ends[-1] == whole.end


@given(moments, frequencies)
def test_last_complete_has_ended_and_the_next_has_not(now: datetime, frequency: timedelta) -> None:
    """An interval that ends exactly now is complete."""
    last = last_complete(now, frequency)

    assert last.length == frequency
    assert last.end <= now < last.end + frequency


@given(moments, moments, moments, moments)
def test_overlap_is_an_instant_in_both(a: datetime, b: datetime, c: datetime, d: datetime) -> None:
    """Half-open: neighbours share nothing."""
    one, other = Interval(*sorted((a, b))), Interval(*sorted((c, d)))
    assume(one.length and other.length)

    assert one.overlaps(other) == other.overlaps(one)
    assert one.overlaps(other) == (max(one.start, other.start) < min(one.end, other.end))
    assert not one.overlaps(Interval(one.end, one.end + DAY))


def test_widen_stops_at_the_ends_of_time() -> None:
    """A training span before year 1 is cut, not an error."""
    day = Interval(utc("0001-01-02"), utc("9999-12-31"))

    wide = day.widen(9 * DAY, 9 * DAY)

    assert wide.start.year == 1
    assert wide.end.year == 9999
    assert day.widen(DAY).start == utc("0001-01-01")
    assert day.widen(DAY).end == day.end


def test_hull_holds_all_and_nothing_has_none() -> None:
    """From the first start to the last end."""
    day = Interval(utc("2026-01-05"), utc("2026-01-06"))
    hour = Interval(utc("2026-01-03T05:00"), utc("2026-01-03T06:00"))

    assert hull([day, hour]) == Interval(hour.start, day.end)
    assert hull([]) is None


@given(spans)
def test_durations_are_read_as_they_are_written(span: timedelta) -> None:
    """What `format_duration` writes, `parse_duration` reads."""
    assert parse_duration(format_duration(span)) == span
    assert format_duration(-span) == f"-{format_duration(span)}"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90m", timedelta(minutes=90)),
        ("1w", timedelta(weeks=1)),
        ("250ms", timedelta(milliseconds=250)),
        ("5us", timedelta(microseconds=5)),
        (" 24h ", DAY),
        ("PT1H", HOUR),
        ("P1D", DAY),
        ("P2W", timedelta(weeks=2)),
        ("PT1H30M10S", timedelta(hours=1, minutes=30, seconds=10)),
    ],
)
def test_durations_people_write(text: str, span: timedelta) -> None:
    """Units from microseconds to weeks, and ISO's spelling."""
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text",
    ["", "0h", "P", "PT0S", "1", "h", "-1h", "1.5h", "1 h", "1H", "1d 2h", "soon", "9" * 30 + "w",
     "1y", "1mo"],
)  # fmt: skip
def test_what_is_no_duration_says_how_to_write_one(text: str) -> None:
    """Zero, negative, fractions and unknown units included."""
    with pytest.raises(InputError, match=r"is not a duration: write a number and a unit"):
        parse_duration(text)


def test_zero_is_written_so() -> None:
    """A gap of nothing reads 0s."""
    assert format_duration(timedelta()) == "0s"


@given(moments)
def test_times_are_read_as_they_are_written(moment: datetime) -> None:
    """What `format_time` writes, `parse_time` reads, to the microsecond."""
    assert parse_time(format_time(moment)) == moment
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", format_time(moment))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-10-31", "2026-10-31T00:00:00Z"),
        ("2026-10-31T13:00", "2026-10-31T13:00:00Z"),
        (" 2026-10-31 13:00:00+02:00 ", "2026-10-31T11:00:00Z"),
        (date(2026, 10, 31), "2026-10-31T00:00:00Z"),
        (datetime(2026, 10, 31, 5), "2026-10-31T05:00:00Z"),
        (datetime(2026, 10, 31, 5, tzinfo=timezone(-HOUR)), "2026-10-31T06:00:00Z"),
    ],
)
def test_times_without_a_zone_are_utc(text: str | date | datetime, shown: str) -> None:
    """Any zone is turned into UTC; a plain date is its midnight."""
    assert format_time(parse_time(text)) == shown


def test_time_without_a_zone_is_written_as_utc() -> None:
    """The machine's own zone is not part of what a finding says."""
    assert format_time(datetime(2026, 10, 31, 5)) == "2026-10-31T05:00:00Z"


@pytest.mark.parametrize("text", ["", "yesterday", "31.10.2026", "2026-13-01", "now", 5])
def test_what_is_no_time_says_how_to_write_one(text: str) -> None:
    """With an example of a day and of a moment."""
    with pytest.raises(InputError, match="is not a time: write 2026-10-31 or"):
        parse_time(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00+05:00", "9999-12-31T23:00-05:00"])
def test_times_beyond_the_calendar_are_wrong_input(text: str) -> None:
    """In UTC they would lie outside the years there are."""
    with pytest.raises(InputError, match="outside the years"):
        parse_time(text)


def test_plain_date_as_an_end_includes_its_day() -> None:
    """A time as an end is exclusive."""
    assert parse_range("2026-10-30", "2026-10-31").end == utc("2026-11-01")
    assert parse_range("2026-10-30", "2026-10-31T00:00").end == utc("2026-10-31")
    assert is_plain_date("2026-10-31")
    assert not is_plain_date("2026-10-31T00:00")


def test_range_may_end_with_the_calendar() -> None:
    """The last day of year 9999 is a day like others."""
    assert parse_range("9999-12-31", "9999-12-31").end.year == 9999


@pytest.mark.parametrize(
    ("start", "end"), [("2026-10-31", "2026-10-30"), ("2026-10-31T05:00", "2026-10-31T05:00")]
)
def test_empty_range_is_wrong_input(start: str, end: str) -> None:
    """`--to` is exclusive, so equal times hold nothing."""
    with pytest.raises(InputError, match="is an empty range: --to is exclusive"):
        parse_range(start, end)


def test_off_the_grid_names_the_two_nearest() -> None:
    """Whoever asks for half a day learns both whole ones; on the grid there is no error."""
    with pytest.raises(
        InputError,
        match="--from 2026-10-31T05:00:00Z is not on the grid of 1d: "
        "use 2026-10-31T00:00:00Z or 2026-11-01T00:00:00Z",
    ):
        check_on_grid(utc("2026-10-31T05:00"), DAY, "--from")
    check_on_grid(utc("2026-10-31"), DAY, "--from")
    with pytest.raises(InputError, match="use 9999-12-31T00:00:00Z or"):
        check_on_grid(utc("9999-12-31T05:00"), DAY, "--to")


def test_interval_reads_as_a_half_open_range() -> None:
    """In logs and errors the bracket says which end is in."""
    shown = str(Interval(utc("2026-10-31"), utc("2026-11-01")))

    assert shown == "[2026-10-31T00:00:00Z, 2026-11-01T00:00:00Z)"
