"""Tests of testing.examples: what examples inside detections prove, and what they say when not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gundog.core.errors import InputError
from gundog.core.times import Interval, parse_time
from gundog.detections.detection import Example
from gundog.detections.hunt import Content, Hunt
from gundog.testing import examples
from tests import benches, draws, kit

DAY = Interval(parse_time("2026-03-01"), parse_time("2026-03-02"))
OPEN = {"Timestamp": "2026-03-01T01:00:00Z", "Id": 1, "Kind": "open", "Who": "a"}
CLOSE = {"Timestamp": "2026-03-01T02:00:00Z", "Id": 2, "Kind": "close", "Who": "a"}
Rows = Mapping[str, Any]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The small project's content."""
    root = kit.make_project(tmp_path_factory.mktemp("content"), series=True)
    return kit.load_content(root)


@pytest.fixture
def pair(loaded: Content) -> Hunt:
    """The match detection of the small project."""
    return loaded.hunt("pair")


def example(events: list[Rows] | Mapping[str, Any], *findings: Rows) -> Example:
    """An example of the first of March."""
    named = events if isinstance(events, Mapping) else {"Things": tuple(events)}
    return Example("x", DAY, named, findings)


def checked(loaded: Content, hunt: Hunt, tried: Example) -> list[str]:
    """What is wrong with an example, tried on a bench that serves several."""
    return examples.check(loaded, hunt, tried, benches.of(loaded, hunt))


def test_shipped_and_small_examples_pass(loaded: Content) -> None:
    """Every example of the project finds what it promises."""
    for hunt in loaded.hunts:
        for one in hunt.detection.examples:
            assert checked(loaded, hunt, one) == [], (hunt.detection.stem, one.name)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"account_name": "a"},
        {"gap": "1h", "evidence_count": 2},
        {"severity": "medium", "title": "a opened and closed after 1h"},
        {"start_time": "2026-03-01T01:00:00Z"},
        {"start_time": "2026-03-01 02:00:00+01:00"},
        {"start_time": datetime(2026, 3, 1, 1, tzinfo=DAY.start.tzinfo)},
        {"reason": "Opened and closed", "tactics": ["Collection"]},
    ],
)
def test_only_named_columns_are_compared(loaded: Content, pair: Hunt, wanted: Rows) -> None:
    """Columns of the hunt, words of the detection; times however they are written."""
    assert checked(loaded, pair, example([OPEN, CLOSE], wanted)) == []


def test_difference_says_what_came_instead(loaded: Content, pair: Hunt) -> None:
    """Only what differs, so that the way to mend it is short."""
    wanted = {"account_name": "a", "gap": "2h"}

    problems = checked(loaded, pair, example([OPEN, CLOSE], wanted))

    assert problems == [
        'no finding has {"account_name":"a","gap":"2h"}; the nearest has {"gap":"1h"}'
    ]


def test_unknown_column_is_a_difference(loaded: Content, pair: Hunt) -> None:
    """A column that the hunt does not return is never equal, not even to null."""
    [problem] = checked(loaded, pair, example([OPEN, CLOSE], {"gpa": None}))

    assert 'no finding has {"gpa":null}' in problem


def test_number_of_findings_is_exact(loaded: Content, pair: Hunt) -> None:
    """One too few or too many is reported, and which was not expected."""
    missing = checked(loaded, pair, example([OPEN], {"account_name": "a"}))
    extra = checked(loaded, pair, example([OPEN, CLOSE]))
    twice = checked(loaded, pair, example([OPEN, CLOSE], {}, {}))

    assert missing == [
        'no finding has {"account_name":"a"}', "1 finding expected, 0 found"
    ]  # fmt: skip
    assert extra[0] == "0 findings expected, 1 found"
    assert extra[1].startswith('not expected: {"end_time":"2026-03-01T02:00:00Z"')
    assert "2 findings expected, 1 found" in twice


def test_each_promise_needs_a_finding_of_its_own(loaded: Content, pair: Hunt) -> None:
    """Two equal promises are not met by one finding that fits both."""
    other = [{**OPEN, "Who": "b", "Id": 3}, {**CLOSE, "Who": "b", "Id": 4}]
    events = [OPEN, CLOSE, *other]

    assert checked(loaded, pair, example(events, {"account_name": "b"}, {})) == []
    assert checked(loaded, pair, example(events, {"account_name": "b"}, {"account_name": "b"}))


def test_events_pass_through_stage_sql(loaded: Content, pair: Hunt) -> None:
    """Rows that the stage rejects or does not pick are not there for the hunt."""
    rejected = {**CLOSE, "N": -1}
    unpicked = {"Timestamp": CLOSE["Timestamp"], "Id": 2, "Who": "a"}
    shouted = {**CLOSE, "Kind": "CLOSE"}

    assert checked(loaded, pair, example([OPEN, rejected])) == []
    assert checked(loaded, pair, example([OPEN, unpicked])) == []
    assert checked(loaded, pair, example([OPEN, shouted], {"gap": "1h"})) == []


def test_event_delivered_twice_is_one(loaded: Content, pair: Hunt) -> None:
    """As in a night."""
    wanted = {"account_name": "a", "evidence_count": 2}

    assert checked(loaded, pair, example([OPEN, CLOSE, OPEN, CLOSE], wanted)) == []


def test_columns_that_are_not_named_are_null(loaded: Content, pair: Hunt) -> None:
    """And times may be dates or times."""
    opened = {**OPEN, "Timestamp": date(2026, 3, 1)}
    closed = {**CLOSE, "Timestamp": datetime(2026, 3, 1, 12)}

    [found] = examples.run(loaded, pair, example([opened, closed]))

    assert found.row["tenant"] == ""
    assert found.row["gap"] is not None
    assert found.events[0].event_time == DAY.start


def test_repeated_event_makes_a_history(loaded: Content) -> None:
    """A series is judged by what an event's repetitions left."""
    steady = {"Timestamp": "2026-02-07T00:05:00Z", "Id": 1, "Kind": "count", "Who": "a", "N": 5,
              "repeat": {"every": "1h", "times": 23 * 24}}  # fmt: skip
    burst = {"Timestamp": "2026-03-01T03:00:00Z", "Id": 2, "Kind": "count", "Who": "a", "N": 900}

    found = examples.run(loaded, loaded.hunt("count"), example([steady, burst]))

    assert sorted(hit.row["series_key"] for hit in found) == ["/*", "/a"]


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ({"Thing": (OPEN,)}, "events.Thing: unknown source table: did you mean Things?"),
        ({"Things": ({**OPEN, "Knd": 1},)}, "events.Things.Knd: unknown column: did you mean"),
        ({"Things": ({**OPEN, "Timestamp": "soon"},)}, "'soon' is not a time"),
        ({"Things": ({**OPEN, "Timestamp": 5},)}, "5 is not a time"),
        ({"Things": ({**OPEN, "Id": "seven"},)}, "seven"),
    ],
)
def test_events_that_cannot_be_are_named(
    loaded: Content, pair: Hunt, events: Mapping[str, Any], problem: str
) -> None:
    """A wrong example is a failed example, not a traceback."""
    [said] = checked(loaded, pair, example(events))

    assert problem in said


def test_running_raises_what_checking_tells(loaded: Content, pair: Hunt) -> None:
    """For whoever calls it alone."""
    with pytest.raises(InputError, match=r"events\.Thing"):
        examples.run(loaded, pair, example({"Thing": (OPEN,)}))


def test_hunt_that_needs_history_has_it_from_the_first_event(tmp_path: Path) -> None:
    """`$staged_from` is the start of the first event's day, or of the interval."""
    kit.make_project(tmp_path)
    sql = kit.PAIR.replace("where end_time >= $start", "where end_time >= $start and $staged_from"
                           " <= $start - interval 3 day")  # fmt: skip
    kit.write_text(tmp_path / "sql/pair.sql", sql)
    loaded = kit.load_content(tmp_path)
    old = {**OPEN, "Timestamp": "2026-02-26T23:00:00Z", "Id": 9, "Kind": "other"}
    older = {**old, "Timestamp": "2026-02-26T00:00:00Z"}
    young = {**old, "Timestamp": "2026-02-27T00:00:00Z"}

    def found(event: Rows) -> int:
        return len(examples.run(loaded, loaded.hunt("pair"), example([OPEN, CLOSE, event])))

    assert [found(old), found(older), found(young)] == [1, 1, 0]


def test_numbers_compare_with_rounding_in_mind(tmp_path: Path) -> None:
    """A score written with six digits is that score."""
    kit.make_project(tmp_path)
    sql = kit.PAIR.replace("c.event_time - o.event_time as gap",
                           "c.event_time - o.event_time as gap, 1 / 3 as share")  # fmt: skip
    kit.write_text(tmp_path / "sql/pair.sql", sql)
    loaded = kit.load_content(tmp_path)
    hunt = loaded.hunt("pair")

    assert examples.check(loaded, hunt, example([OPEN, CLOSE], {"share": 0.3333333})) == []
    assert examples.check(loaded, hunt, example([OPEN, CLOSE], {"share": 0.3334}))


def test_sql_of_examples_reads_no_file(loaded: Content, pair: Hunt, tmp_path: Path) -> None:
    """The bench is shut for files, whatever the check of the SQL would have let through."""
    secret = tmp_path / "secret.csv"
    secret.write_text("secret\nhush\n")

    with examples.bench(loaded, pair) as con, pytest.raises(duckdb.Error, match="disabled"):
        con.execute(f"from '{secret}'")


@pytest.mark.parametrize("name", draws.spread(["events", "rows", "wanted", "batch", "touched"]))
def test_a_source_may_have_any_name(tmp_path: Path, name: str) -> None:
    """No table of gundog's own comes in the way of a source of that name."""
    for path, text in {
        f"sql/sources/{name}.sql": kit.SOURCE,
        "sql/stage/happenings.sql": kit.STAGE,
        "sql/pair.sql": kit.PAIR,
        "detections/pair.yaml": kit.PAIR_YAML + kit.HEAD,
    }.items():
        kit.write_text(tmp_path / path, text.replace("Things", name))
    made = kit.load_content(tmp_path)

    (hunt,) = made.hunts
    assert examples.check(made, hunt, hunt.detection.examples[0]) == []


def test_a_bench_serves_one_example_after_the_other(loaded: Content, pair: Hunt) -> None:
    """Nothing of an example is left for the next one, not even of one that went wrong."""
    fires, silent = example([OPEN, CLOSE], {"account_name": "a"}), example([OPEN])
    wrong = example([{**OPEN, "Colour": "red"}])

    with examples.bench(loaded, pair) as con:
        said = [examples.check(loaded, pair, one, con) for one in (fires, silent, wrong, fires)]

    assert said[:2] == [[], []]
    assert "events.Things.Colour" in said[2][0]
    assert said[3] == []


def test_events_that_no_stage_reads_are_checked_too() -> None:
    """Rows of another source than the hunt reads: their columns must exist, no more comes of it."""
    loaded, hunt = kit.shipped(), kit.shipped().hunt("throttled_mailbox")
    given = hunt.detection.examples[0]

    def beside(column: str) -> Example:
        row = {"Timestamp": "2026-01-05T10:00:00Z", column: "x"}
        return replace(given, events={**given.events, "DeviceProcessEvents": (row,)})

    with examples.bench(loaded, hunt) as con:
        said = [examples.check(loaded, hunt, beside(name), con) for name in ("FileName", "Name")]

    assert said[0] == []
    assert "events.DeviceProcessEvents.Name" in said[1][0]
