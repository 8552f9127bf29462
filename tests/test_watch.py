"""Tests of what needs a person: judged from rows and a moment, by plain oracles and properties."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.times import Interval, floor, parse_range, parse_time
from gundog.health import clock, watch
from gundog.health.acknowledged import Entry
from gundog.health.clock import Schedule, Source, Watched
from gundog.health.watch import Fault

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ZERO = datetime(2026, 3, 1, tzinfo=UTC)
LATE, FRESH = 7 * DAY, 26 * HOUR
NO_FILE = "Things: no file covers any part of it"


def day(number: int, length: int = 1) -> Interval:
    return Interval(ZERO + number * DAY, ZERO + (number + length) * DAY)


def hole(number: int, detection: str = "pair", source: str = "Things") -> Fault:
    return Fault(watch.HOLE, "no file", source, day(number), detection=detection)


def texts(*faults: Fault) -> list[str]:
    return [one.text for one in watch.together(faults)]


# ---- together ----


def test_a_hole_is_one_line_however_many_hunts_it_stopped() -> None:
    """Forty days and five detections: from, to, days, and who could not hunt."""
    faults = [hole(number, name) for number in range(40) for name in "edcba"]

    (trouble,) = watch.together(faults)
    assert trouble.text == (
        "Things: no file from 2026-03-01 to 2026-04-09 (40 days): 5 detections could not hunt:"
        " a, b, c, d, e"
    )
    assert (trouble.count, trouble.span) == (40, day(0, 40))
    assert trouble.key == "hole:Things:2026-03-01T00:00:00Z"


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from("ab"), st.sampled_from("xy"))))
def test_lines_cover_the_faults_and_nothing_else(drawn: list[tuple[int, str, str]]) -> None:
    """Against a walk over days: each source's days once, no line longer than its days."""
    faults = [hole(number, name, source) for number, name, source in drawn]

    found: list[tuple[str, int]] = []
    for one in watch.together(faults):
        assert one.span is not None
        days = [(one.span.start - ZERO) // DAY + n for n in range(one.span.length // DAY)]
        found += [(one.source, number) for number in days]
        assert one.count == len(days)
    assert sorted(found) == sorted({(source, number) for number, _, source in drawn})
    of_source = [one for one in watch.together(faults) if one.source == "x"]
    assert all(a.span and b.span and a.span.end < b.span.start for a, b in pairwise(of_source))


def test_what_was_well_between_stays_well() -> None:
    """Two holes with a good day between them are two lines, oldest first."""
    assert [one.split(" on ")[1][:10] for one in texts(hole(4), hole(2))] == [
        "2026-03-03", "2026-03-05",
    ]  # fmt: skip


def test_each_kind_says_what_to_do() -> None:
    """Failed, missing, stale, rejected; a cause of its own keeps a line of its own."""

    def of(number: int, state: str, error: str = "", name: str = "pair") -> Fault:
        return watch.of_interval(name, day(number), state, error)

    files = [Fault(watch.FILE, "torn", "Things", day(n), path=f"d{n}/a.parquet") for n in (1, 2)]
    alone = Fault(watch.FILE, "no time", "Things", day(5), path="d5/a.parquet")
    found = texts(
        of(0, "failed", "out of memory"), of(1, "failed", "out of memory"),
        of(2, "failed", "too long"), of(3, "missing"), of(4, "missing", name="count"),
        of(6, "stale"),
        *files, alone,
    )  # fmt: skip
    assert found == [
        "pair: failed from 2026-03-01 to 2026-03-02 (2 intervals): out of memory",
        "pair: failed on 2026-03-03: too long",
        ("count, pair: never hunted from 2026-03-04 to 2026-03-05 (2 intervals):"
        " gundog backfill --from 2026-03-04 --to 2026-03-05"),
        ("pair: events changed since the hunt on 2026-03-07:"
        " gundog backfill --from 2026-03-07 --to 2026-03-07"),
        ("Things: 2 files rejected from 2026-03-02 to 2026-03-03: torn:"
        " d1/a.parquet and 1 more"),
        "d5/a.parquet: rejected: no time",
    ]  # fmt: skip


def test_tenants_are_told_apart() -> None:
    """Equal faults of two tenants are two lines, each with its name."""
    one = replace(hole(0), tenant="a")

    assert [text[:21] for text in texts(one, replace(one, tenant="b"))] == [
        "Things of tenant a: n", "Things of tenant b: n",
    ]  # fmt: skip


def test_the_source_is_told_by_the_sentence() -> None:
    """The ledger's own words, of this version and older ones; others are failures with a cause."""
    since = "Things: no event since 2026-03-01 although files cover it"
    kinds = {
        text: (fault.kind, fault.source)
        for text in (NO_FILE, since, "the rows of 3 files it reads were removed")
        for fault in [watch.of_interval("pair", day(0), "no_data", text)]
    }
    assert list(kinds.values()) == [("hole", "Things"), ("hole", "Things"), ("failed", "")]
    assert [watch.lacking(text) for text in kinds] == ["Things", "Things", ""]


# ---- acknowledged ----


def test_what_is_acknowledged_is_no_trouble_and_hides_nothing_beside_it() -> None:
    """A hole that grows by a day is a trouble of that day."""
    entry = Entry("hole", "Things", day(0, 5), "down")
    other = Entry("file", "Things", day(0, 90), "torn")
    faults = [hole(number) for number in range(6)]

    left, covered = watch.unknown([*faults, hole(1, source="Others")], [entry, other])

    assert left == [hole(5), hole(1, source="Others")]
    assert covered == {entry: 5, other: 0}


@pytest.mark.parametrize("kind", [kind for kind in watch.KINDS if kind not in watch.KNOWN_AS])
def test_only_holes_drifts_and_files_can_be_acknowledged(kind: str) -> None:
    """A failed hunt, a missing night or a broken file of ours is to be mended."""
    fault = Fault(kind, "x", "Things", day(0))
    entries = [Entry(one, "Things", day(0, 9), "x") for one in ("hole", "drift", "file")]

    assert watch.unknown([fault], entries)[0] == [fault]


# ---- the clock ----


def plan_of(*starts: datetime, took: timedelta = timedelta()) -> Schedule:
    found = clock.schedule([(one, one + took) for one in starts])
    assert found is not None
    return found


def nightly(count: int, at: timedelta = 2 * HOUR) -> list[datetime]:
    return [ZERO + number * DAY + at for number in range(count)]


def missing(plan: Schedule, newest: datetime | None, now: datetime, f: timedelta = DAY) -> int:
    return len(list(clock.nights(plan, [Watched("pair", f, newest=newest)], LATE, now)))


def test_no_run_without_dates_is_no_schedule() -> None:
    """Nothing to judge by."""
    assert clock.schedule([]) is None


@pytest.mark.parametrize(
    ("starts", "hours"),
    [
        ([ZERO], 24),
        ([ZERO, ZERO + HOUR], 24),
        (nightly(20), 24),
        ([ZERO + n * HOUR for n in range(300)], 1),
        ([ZERO + n * 7 * DAY for n in range(8)], 168),
        # one outage of three days, a run by hand, and retries after 20 minutes
        ([*nightly(5), ZERO + 7 * DAY + 2 * HOUR, ZERO + 8 * DAY + 2 * HOUR], 24),
        (sorted([*nightly(9), ZERO + 8 * DAY - 9 * HOUR]), 24),
        (sorted([*nightly(9), *nightly(9, 2 * HOUR + timedelta(minutes=20))]), 23),
    ],
)
def test_the_schedule_is_learnt(starts: list[datetime], hours: int) -> None:
    """Days, hours, weeks; not disturbed by retries, runs by hand and one outage."""
    assert plan_of(*starts).every // HOUR == hours


def test_a_night_is_missed_when_its_time_and_some_grace_are_over() -> None:
    """A run at two each night that took an hour: at six the next one is missing, not before."""
    starts = nightly(10)
    plan = plan_of(*starts, took=HOUR)
    newest, due = floor(starts[-1], DAY), starts[-1] + DAY
    late = due + 4 * HOUR

    assert plan.grace == 4 * HOUR
    assert missing(plan, newest, starts[-1]) == 0
    assert missing(plan, newest, late - timedelta(minutes=1)) == 0
    assert missing(plan, newest, late) == 1
    assert missing(plan, newest, late + 27 * DAY) == 28
    assert missing(plan, newest, late + 365 * DAY) == 366


@given(st.integers(0, 60 * 24), st.integers(1, 20), st.integers(0, 20 * 24 * 60))
def test_nights_are_counted_as_a_walk_counts_them(at: int, count: int, later: int) -> None:
    """Every day's run that should have ended by now, at whatever time of day it comes."""
    starts = nightly(count, timedelta(minutes=at % 1440))
    plan, newest = plan_of(*starts), floor(starts[-1], DAY)
    now = starts[-1] + timedelta(minutes=later)

    expected, turn = 0, starts[-1] + DAY
    while turn + plan.grace <= now:
        expected, turn = expected + 1, turn + DAY
    assert missing(plan, newest, now) == expected


def test_hours_hunted_once_a_night_are_not_late_at_noon() -> None:
    """A detection of one hour waits for the night, as its schedule has it."""
    starts = nightly(10)
    plan = plan_of(*starts)
    newest = floor(starts[-1], HOUR)

    assert missing(plan, newest, starts[-1] + 20 * HOUR, HOUR) == 0
    assert missing(plan, newest, starts[-1] + DAY + 3 * HOUR, HOUR) == 24


def test_a_detection_that_was_left_out_is_told_alone() -> None:
    """The others' nights went on; a new one begins with the next run."""
    starts = nightly(10)
    plan, now = plan_of(*starts), starts[-1] + 4 * HOUR
    watched = [Watched("old", DAY, newest=floor(starts[4], DAY)),
               Watched("well", DAY, newest=floor(starts[-1], DAY)),
               Watched("fresh", DAY)]  # fmt: skip

    found = list(clock.nights(plan, watched, LATE, now))
    assert {one.detection for one in found} == {"old"}
    assert [one.text for one in watch.together(found)] == [
        (
            "no run hunted from 2026-03-05 to 2026-03-09 (5 nights): old: is the scheduler running?"
            " gundog hunt catches up 7d, for older ones use gundog backfill"
        )
    ]


def silent(newest: datetime | None, now: datetime, *faults: Fault, count: int = 10) -> list[str]:
    plan = plan_of(*nightly(count))
    watched = [Watched("pair", DAY, ("Things",), floor(now, DAY))]
    sources = {"Things": Source("Things", newest=newest)}
    found = clock.judged_by_clock(plan, watched, sources, (FRESH, LATE), now, faults)
    return [one.cause for one in found if one.kind == watch.SILENT]


def test_a_source_ages_as_the_ledger_would_judge_it() -> None:
    """Older than freshness at the end of the last interval that is due; no source is never old."""
    now = nightly(10)[-1] + HOUR
    edge = ZERO + 9 * DAY - FRESH

    assert silent(edge, now) == []
    assert silent(edge - HOUR, now) == [
        "newest event 2026-03-08T21:00:00Z, 1d6h old; freshness is 26h: silent"
    ]
    assert silent(None, now) == []
    assert silent(edge, now + 2 * DAY) != []
    assert silent(edge - HOUR, now, hole(8)) == []
    assert silent(edge - HOUR, now, hole(3)) != []


def test_events_ahead_of_the_clock_are_named() -> None:
    """How many, until when, and the newest that counts; when their time has come, no more."""
    source = Source("Things", rows=5000, newest=ZERO, rows_ahead=2, ahead_until=ZERO + 365 * DAY)

    assert clock.ahead(source, ZERO + DAY) == (
        "Things: 2 rows lie ahead of the clock, until 2027-03-01 00:00: a sender's clock or time"
        " zone is wrong; freshness counts only events before, the newest of them"
        " 2026-03-01T00:00:00Z"
    )
    assert clock.ahead(source, ZERO + 365 * DAY) == ""
    assert clock.ahead(replace(source, rows_ahead=0), ZERO) == ""
    assert not clock.many_ahead(source)
    assert clock.many_ahead(replace(source, rows_ahead=51))


def test_a_clock_behind_the_last_run_is_named() -> None:
    """Nights that are to come cannot be judged."""
    plan = plan_of(*nightly(10))
    found = clock.judged_by_clock(plan, [], {}, (FRESH, LATE), plan.starts[-1] - 2 * HOUR)

    assert [one.kind for one in found] == ["clock"]


def test_when_says_days_or_times() -> None:
    """Whole days as days, others exactly, an empty span as a moment."""
    assert watch.when(parse_range("2026-03-01", "2026-03-02")) == "from 2026-03-01 to 2026-03-02"
    moment = parse_time("2026-03-01T10:00:00Z")
    assert watch.when(Interval(moment, moment)) == "at 2026-03-01T10:00:00Z"
    assert watch.asked(Interval(moment, moment + HOUR)) == (
        "--from 2026-03-01T10:00:00Z --to 2026-03-01T11:00:00Z"
    )
