"""Tests of run.ledger: what is due follows from what was hunted and what arrived since."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import duckdb
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from gundog.core.times import Interval, parse_time, split
from gundog.detections.hunt import Content, Hunt
from gundog.findings.model import RunStamp
from gundog.run import ledger
from gundog.warehouse import database
from tests import draws, kit

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
WEEK = 7 * DAY
NOW = parse_time("2026-03-10T04:00")
FRESH = timedelta(hours=26)


def day(text: str) -> Interval:
    """One day of March 2026."""
    start = parse_time(f"2026-03-{text}")
    return Interval(start, start + DAY)


def stamp(now: datetime = NOW, late: timedelta = WEEK) -> RunStamp:
    """A run's time."""
    return RunStamp(UUID(int=1), now, "nightly", late)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The small project's content."""
    root = kit.make_project(tmp_path_factory.mktemp("content"), series=True)
    return kit.load_content(root)


@pytest.fixture(scope="module")
def pair(loaded: Content) -> Hunt:
    """Reads back one day."""
    return loaded.hunt("pair")


@pytest.fixture(scope="module")
def count(loaded: Content) -> Hunt:
    """Reads back nothing and trains on 21 days."""
    return loaded.hunt("count")


def hunted(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    interval: Interval,
    state: str = "done",
    seq: int = 1,
) -> None:
    """Writes that an interval was hunted."""
    database.insert(
        con,
        "run_intervals",
        [
            {"detection_id": hunt.detection.id, "detection_hash": hunt.hash,
             "interval_start": interval.start, "interval_end": interval.end, "state": state,
             "seq": seq}
        ],
    )  # fmt: skip


def changed(
    con: duckdb.DuckDBPyConnection, first: str, last: str = "", *, seq: int = 2,
    stage: str = "happenings",
) -> None:  # fmt: skip
    """Writes that rows between two moments were staged or removed."""
    start, end = parse_time(f"2026-03-{first}"), parse_time(f"2026-03-{last or first}")
    database.insert(
        con,
        "stage_changes",
        [{"stage": stage, "hour": start.replace(minute=0), "min_time": start, "max_time": end,
          "seq": seq}],
    )  # fmt: skip


def file(
    con: duckdb.DuckDBPyConnection, start: str, end: str, *, number: int = 1, state: str = "staged",
    source: str = "Things",
) -> None:  # fmt: skip
    """Writes that a file stands for a span."""
    first, last = parse_time(f"2026-03-{start}"), parse_time(f"2026-03-{end}")
    database.insert(
        con,
        "source_files",
        [{"file_id": number, "source_table": source, "path": f"{number}.parquet", "state": state,
          "covers_start": first, "covers_end": last, "size_bytes": 10, "mtime_ns": number}],
    )  # fmt: skip


def rows_in(con: duckdb.DuckDBPyConnection, hour: str, source: str = "Things") -> None:
    """Writes that a source has rows in an hour."""
    database.insert(
        con,
        "source_hours",
        [{"source_table": source, "file_id": 1, "hour": parse_time(f"2026-03-{hour}"), "rows": 3}],
    )


def state(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, at: RunStamp | None = None
) -> str:
    """The state of one interval."""
    return ledger.states(con, hunt, [interval], at or stamp())[interval]


def days(intervals: list[Interval]) -> list[str]:
    """Their days."""
    return [f"{one.start:%d}" for one in intervals]


# Which intervals a run looks at.


def test_first_run_looks_at_the_last_complete_interval(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """A new detection starts where time is now, not years ago."""
    assert days(ledger.candidates(con, pair, stamp(), None)) == ["09"]
    midnight = stamp(parse_time("2026-03-10"))
    assert days(ledger.candidates(con, pair, midnight, None)) == ["09"]
    before = stamp(parse_time("2026-03-10") - timedelta(microseconds=1))
    assert days(ledger.candidates(con, pair, before, None)) == ["08"]


@pytest.mark.parametrize(
    ("first", "looked_at"),
    [("06", ["06", "07", "08", "09"]), ("01", ["03", "04", "05", "06", "07", "08", "09"])],
)
def test_later_runs_go_back_to_their_first_or_late_arrival(
    con: duckdb.DuckDBPyConnection, pair: Hunt, first: str, looked_at: list[str]
) -> None:
    """Whichever is nearer; the oldest comes first."""
    hunted(con, pair, day(first))

    assert days(ledger.candidates(con, pair, stamp(), None)) == looked_at


def test_changed_detection_starts_anew(con: duckdb.DuckDBPyConnection, pair: Hunt) -> None:
    """What was hunted under another hash says nothing."""
    hunted(con, replace(pair, hash="old"), day("05"))

    assert days(ledger.candidates(con, pair, stamp(), None)) == ["09"]


def test_range_is_looked_at_as_far_as_it_is_over(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """A day that has not ended is left for its time."""
    within = Interval(parse_time("2026-03-08"), parse_time("2026-03-20"))

    assert days(ledger.candidates(con, pair, stamp(), within)) == ["08", "09"]


def test_short_intervals_have_their_own_grid(con: duckdb.DuckDBPyConnection, pair: Hunt) -> None:
    """Every hour of an hourly detection."""
    hourly = replace(pair, detection=replace(pair.detection, frequency=HOUR))

    [last] = ledger.candidates(con, hourly, stamp(), None)

    assert (last.start, last.end) == (NOW - HOUR, NOW)


# What is due.


def test_interval_never_hunted_is_missing(con: duckdb.DuckDBPyConnection, pair: Hunt) -> None:
    """Also when its neighbours were, and when another hash was hunted."""
    hunted(con, pair, day("08"))
    hunted(con, replace(pair, hash="old"), day("09"))

    found = ledger.states(con, pair, [day("07"), day("08"), day("09")], stamp())

    assert list(found.values()) == ["missing", "done", "missing"]
    assert ledger.states(con, pair, [], stamp()) == {}


@pytest.mark.parametrize("known", ["failed", "no_data"])
def test_what_did_not_end_well_is_due_again(
    con: duckdb.DuckDBPyConnection, pair: Hunt, known: str
) -> None:
    """Failed and no_data stay what they are until hunted."""
    hunted(con, pair, day("09"), known)
    changed(con, "09T10:00", seq=9)

    assert state(con, pair, day("09")) == known
    assert known in ledger.DUE
    assert "done" not in ledger.DUE


@pytest.mark.parametrize(
    ("first", "last", "known"),
    [
        ("08T10:00", "08T10:00", "stale"),
        ("07T00:00", "07T00:00", "stale"),
        ("06T23:59", "06T23:59", "done"),
        ("06T22:00", "07T00:00", "stale"),
        ("09T00:00", "09T00:00", "done"),
        ("08T23:59", "09T05:00", "stale"),
    ],
)
def test_rows_in_what_an_interval_reads_make_it_stale(
    con: duckdb.DuckDBPyConnection, pair: Hunt, first: str, last: str, known: str
) -> None:
    """From its start less the lookback, up to but without its end."""
    hunted(con, pair, day("08"), seq=1)
    changed(con, first, last)

    assert state(con, pair, day("08")) == known


def test_rows_that_were_there_when_it_was_hunted_do_not(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """Only later staging steps count, and only of what the hunt reads."""
    hunted(con, pair, day("08"), seq=2)
    changed(con, "08T10:00", seq=2)
    changed(con, "08T11:00", seq=3, stage="others")
    changed(con, "08T12:00", seq=3, stage="Things")

    assert state(con, pair, day("08")) == "done"
    changed(con, "08T13:00", seq=3)
    assert state(con, pair, day("08")) == "stale"


def test_final_match_is_stale_by_its_lookback_too(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """Time alone does not close an interval for rows that it reads."""
    hunted(con, pair, day("08"))
    changed(con, "07T10:00")

    assert state(con, pair, day("08"), stamp(NOW + 300 * DAY)) == "stale"


def test_training_of_a_series_counts_while_it_is_provisional(
    con: duckdb.DuckDBPyConnection, count: Hunt
) -> None:
    """A final night is not scored again because its history grew; final it is to the instant."""
    hunted(con, count, day("08"))
    changed(con, "01T10:00")
    final = day("08").end + WEEK

    assert state(con, count, day("08"), stamp(NOW)) == "stale"
    assert state(con, count, day("08"), stamp(final - timedelta(microseconds=1))) == "stale"
    assert state(con, count, day("08"), stamp(final)) == "done"
    changed(con, "08T10:00", seq=3)
    assert state(con, count, day("08"), stamp(day("08").end + WEEK)) == "stale"


def test_hours_of_the_source_count_for_a_series(
    con: duckdb.DuckDBPyConnection, count: Hunt
) -> None:
    """Rows of any kind tell an outage from a quiet hour, so they can change a score."""
    hunted(con, count, day("08"))
    changed(con, "08T10:00", stage="Things")

    assert state(con, count, day("08")) == "stale"


@draws.law(
    40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.tuples(st.integers(0, 23), st.integers(0, 30), st.integers(1, 4)), max_size=6),
    st.dictionaries(st.integers(2, 9), st.tuples(st.sampled_from(["done", "failed"]),
                    st.integers(1, 4)), max_size=6),
)  # fmt: skip
def test_states_are_those_of_the_rule_in_words(
    con: duckdb.DuckDBPyConnection,
    pair: Hunt,
    arrivals: list[tuple[int, int, int]],
    known: dict[int, tuple[str, int]],
) -> None:
    """Stale: hunted, and a row in [start - lookback, end) came or went in a later step."""
    con.execute("delete from run_intervals; delete from stage_changes")
    first = parse_time("2026-03-01")
    for place, (hour, length, seq) in enumerate(arrivals):
        start = first + timedelta(hours=9 * hour + place)
        database.insert(
            con,
            "stage_changes",
            [{"stage": "happenings", "hour": start, "min_time": start,
              "max_time": start + timedelta(hours=length), "seq": seq}],
        )  # fmt: skip
    for number, (was, seq) in known.items():
        hunted(con, pair, day(f"{number:02}"), was, seq)
    intervals = list(split(Interval(first + DAY, first + 9 * DAY), DAY))

    found = ledger.states(con, pair, intervals, stamp())

    for one in intervals:
        was, seq = known.get(one.start.day, ("missing", 0))
        touched = any(
            step > seq
            and first + timedelta(hours=9 * hour + place) < one.end
            and first + timedelta(hours=9 * hour + place + length) >= one.start - DAY
            for place, (hour, length, step) in enumerate(arrivals)
        )
        assert found[one] == ("stale" if was == "done" and touched else was)


@draws.law(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 90), st.integers(2, 6)),
                   max_size=6),
    known=st.dictionaries(st.integers(1, 19), st.tuples(st.sampled_from(["done", "failed"]),
                          st.integers(1, 5)), max_size=9),
    late=st.integers(0, 9),
)  # fmt: skip
def test_gaps_are_the_missing_and_stale_of_all_states(
    con: duckdb.DuckDBPyConnection,
    pair: Hunt,
    count: Hunt,
    steps: list[tuple[int, int, int]],
    known: dict[int, tuple[str, int]],
    late: int,
) -> None:
    """Of a match and of a series, whose training counts while an interval is provisional."""
    con.execute("delete from run_intervals; delete from stage_changes")
    first = parse_time("2026-02-15")
    for hour, length, seq in steps:
        start = first + 9 * hour * HOUR
        row = {"stage": "happenings", "hour": start, "min_time": start,
               "max_time": start + length * HOUR, "seq": seq}  # fmt: skip
        database.insert(con, "stage_changes", [row])
    at = stamp(parse_time("2026-03-14"), late * DAY)
    expected = []
    for hunt in (pair, count):
        for number, (was, seq) in known.items():
            hunted(con, hunt, day(f"{number:02}"), was, seq)
        spans = [
            day(f"{number:02}")
            for number in range(min(known, default=1), max(known, default=0) + 1)
        ]
        states = ledger.states(con, hunt, spans, at)

        expected += [(hunt, one, is_) for one, is_ in states.items() if is_ in ("missing", "stale")]
    assert list(ledger.gaps(con, [pair, count], at)) == expected


# No data.


def test_interval_with_files_and_fresh_events_has_data(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """One file that covers a part of it, one event near its end."""
    file(con, "09T23:00", "10T00:00")
    staged(con, pair)
    rows_in(con, "09T23:00")

    assert ledger.no_data(con, pair.stages, day("09"), FRESH) == ""


@pytest.mark.parametrize(
    ("start", "end", "kind"),
    [("08T00:00", "09T00:00", "staged"), ("10T00:00", "11T00:00", "staged"),
     ("09T00:00", "10T00:00", "rejected")],
)  # fmt: skip
def test_no_file_that_covers_it_is_no_data(
    con: duckdb.DuckDBPyConnection, pair: Hunt, start: str, end: str, kind: str
) -> None:
    """Neighbours do not count, and neither does a file that could not be read."""
    file(con, start, end, state=kind)
    staged(con, pair)
    rows_in(con, "09T23:00")

    said = ledger.no_data(con, pair.stages, day("09"), FRESH)

    assert said.startswith("Things: no file covers any part of [2026-03-09T00:00:00Z")


@pytest.mark.parametrize(
    ("hour", "has"), [("08T21:00", False), ("08T22:00", True), ("10T00:00", False)]
)
def test_newest_event_is_judged_from_the_end_of_the_interval(
    con: duckdb.DuckDBPyConnection, pair: Hunt, hour: str, has: bool
) -> None:
    """Older than freshness before the end, or only after it: a dead exporter."""
    file(con, "09T00:00", "10T00:00")
    staged(con, pair)
    rows_in(con, hour)

    said = ledger.no_data(con, pair.stages, day("09"), FRESH)

    assert (said == "") == has
    assert has or "no event since 2026-03-08T22:00:00Z although files cover" in said


def test_file_that_only_the_sql_of_before_read_is_no_data(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """Its rows cannot be seen, so it says neither that there are events nor that there are none."""
    file(con, "09T00:00", "10T00:00")
    rows_in(con, "09T23:00")
    con.execute("insert into file_stages values (1, 'happenings', 'old', 1, 0)")

    assert ledger.no_data(con, pair.stages, day("09"), FRESH).startswith("Things: no file")


def test_another_sources_files_do_not_help(con: duckdb.DuckDBPyConnection, pair: Hunt) -> None:
    """Each source that a hunt needs has to have its own."""
    file(con, "09T00:00", "10T00:00", source="Others")
    rows_in(con, "09T23:00", source="Others")

    assert ledger.no_data(con, pair.stages, day("09"), FRESH).startswith("Things: no file")


# Learning and history.


def staged(con: duckdb.DuckDBPyConnection, hunt: Hunt, number: int = 1) -> None:
    """Writes that a file was read by the hunt's stage."""
    database.insert(
        con,
        "file_stages",
        [{"file_id": number, "stage": one.name, "stage_hash": one.hash} for one in hunt.stages],
    )


def test_staged_from_is_where_the_oldest_staged_file_begins(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """Files of another stage SQL, or rejected ones, hold nothing for it; none is never."""
    assert ledger.staged_from(con, pair.stages).year == 9999
    file(con, "05T00:00", "06T00:00", number=1)
    file(con, "03T00:00", "04T00:00", number=2, state="rejected")
    file(con, "02T00:00", "03T00:00", number=3)
    for number in (1, 2):
        staged(con, pair, number)
    con.execute("insert into file_stages values (3, 'happenings', 'old', 1, 0)")

    assert ledger.staged_from(con, pair.stages) == parse_time("2026-03-05")


def test_learning_says_until_when(pair: Hunt) -> None:
    """A hunt that asks for its history has it once lookback lies behind the first file."""
    needs = replace(pair, sql=pair.sql + " -- $staged_from\n")
    asks = replace(pair, sql="select $staged_from")
    start = parse_time("2026-03-05T06:00")

    assert ledger.learning(needs, day("05"), start) == ""
    assert ledger.learning(asks, day("06"), start) == "learning until 2026-03-07T00:00:00Z"
    assert ledger.learning(asks, day("07"), start) == ""
    assert ledger.learning(asks, day("06"), parse_time("2026-03-05")) == ""
    never = datetime(9999, 1, 1, tzinfo=UTC)
    assert ledger.learning(asks, day("06"), never) == "learning: nothing is staged yet"


def test_fingerprint_follows_the_files_that_are_read(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """Another file in reach, or another version of one, is another input; others are not."""

    def hour(number: int, at: str) -> dict[str, Any]:
        moment = parse_time(f"2026-03-{at}")
        return {"stage": "happenings", "file_id": number, "hour": moment, "rows": 1,
                "min_time": moment, "max_time": moment}  # fmt: skip

    for number, at in ((1, "08T10:00"), (2, "09T10:00"), (3, "05T10:00")):
        file(con, at[:3] + "00:00", at[:3] + "01:00", number=number)
        database.insert(con, "stage_hours", [hour(number, at)])
    prints = [ledger.fingerprint(con, pair, day("08"))]
    con.execute("update source_files set mtime_ns = 99 where file_id in (2, 3)")
    prints.append(ledger.fingerprint(con, pair, day("08")))
    con.execute("update source_files set mtime_ns = 99 where file_id = 1")
    prints.append(ledger.fingerprint(con, pair, day("08")))
    database.insert(con, "stage_hours", [hour(3, "07T10:00")])
    prints.append(ledger.fingerprint(con, pair, day("08")))

    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_gaps_lie_between_what_was_hunted_with_this_hash(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """Holes and what became stale, oldest first; what failed or has no data is said elsewhere."""
    assert list(ledger.gaps(con, [pair], stamp())) == []
    hunted(con, pair, day("03"))
    hunted(con, pair, day("04"), "failed")
    hunted(con, pair, day("07"), seq=9)
    hunted(con, replace(pair, hash="old"), day("09"))
    changed(con, "03T10:00", seq=8)
    changed(con, "07T10:00", seq=9)

    found = list(ledger.gaps(con, [pair], stamp()))

    assert found == [
        (pair, day("03"), "stale"), (pair, day("05"), "missing"), (pair, day("06"), "missing"),
    ]  # fmt: skip
