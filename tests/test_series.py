"""Tests of hunting.series: which hours count, what is kept, one finding a series and night."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from gundog.core.child import Child
from gundog.core.errors import GundogError
from gundog.core.times import Interval, parse_time
from gundog.detections import series_keys
from gundog.detections.hunt import Content
from gundog.findings import model as finding
from gundog.hunting import contributors, series, series_findings
from gundog.hunting.contributors import Excess
from gundog.hunting.scoring import hour_scores
from gundog.testing import examples
from gundog.warehouse import database
from tests import draws, kit
from tests.kit import DAY, NOW, event, hunt, table, write_file

HOUR = timedelta(hours=1)
NIGHT = Interval(parse_time("2026-03-01"), parse_time("2026-03-02"))
STAGE = kit.STAGE.replace("N as n\n", "N as n,\n    'app-' || (Id % 3) as app_id\n")
THROTTLED = kit.COUNT.replace(
    "sum(n) as n", "sum(n) filter (kind = 'count') as n, bool_or(kind = 'limit') as throttled"
).replace("and kind = 'count'", "and kind in ('count', 'limit')")
Make = Callable[..., "Desk"]


class Desk:
    """A warehouse in memory with one series detection, filled by hand."""

    def __init__(self, root: Path, yaml: str, sql: str) -> None:
        kit.make_project(root, series=True)
        kit.write_text(root / "sql/stage/happenings.sql", STAGE)
        kit.write_text(root / "detections/count.yaml", yaml + kit.HEAD)
        kit.write_text(root / "sql/count.sql", sql)
        self.loaded: Content = kit.load_content(root)
        self.hunt = self.loaded.hunt("count")
        self.opened = ExitStack()
        self.con = self.opened.enter_context(examples.bench(self.loaded, self.hunt))
        self.stage = self.loaded.stages["happenings"]
        self.con.execute(
            "insert into file_stages select range, $stage, $hash, 0, 0 from range(100)",
            {"stage": self.stage.name, "hash": self.stage.hash},
        )

    def put(self, rows: Sequence[tuple[datetime, str, str, int]], tenant: str = "") -> Desk:
        """Stages rows of (time, kind, who, n)."""
        columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
        events = pa.table(
            {
                "Timestamp": pa.array(columns[0], pa.timestamp("us", tz="UTC")),
                "Id": pa.array(range(len(rows)), pa.int64()),
                "Kind": pa.array(columns[1], pa.string()),
                "Who": pa.array(columns[2], pa.string()),
                "N": pa.array(columns[3], pa.int64()),
            }
        )
        self.con.execute("delete from Things")
        self.con.register("events", events)
        self.con.execute(
            "insert into Things by name select *, ? as TenantId, 1 as file_id from events", [tenant]
        )
        self.con.unregister("events")
        columns_sql = ", ".join(f'"{name}"' for name, _ in self.stage.columns)
        self.con.execute(
            f"insert into {self.stage.table} by name select {columns_sql} from ({self.stage.sql})"
        )
        self.con.execute(
            """insert into source_hours
               select 'Things', 1, date_trunc('hour', "Timestamp"), count(*),
                      coalesce(TenantId, '')
               from Things group by all"""
        )
        return self

    def cover(self, start: datetime, end: datetime) -> Desk:
        """Says that one file stands for a span."""
        self.con.execute(
            """insert into source_files (file_id, source_table, path, covers_start, covers_end,
                                         state, seen_seq)
               values (1, 'Things', 'file', ?, ?, 'staged', 1)""",
            [start, end],
        )
        return self

    def night(self, interval: Interval = NIGHT) -> series.Scored:
        """Hunts one interval."""
        return series.score(self.con, self.hunt, interval, interval.start)

    def points(self, interval: Interval = NIGHT) -> dict[tuple[str, datetime], dict[str, Any]]:
        """The points of one interval, by series and hour."""
        return {
            (row["series_key"], row["hour"]): row for row in self.night(interval).points.to_pylist()
        }


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Make]:
    """Makes a warehouse with a series detection whose YAML has some text replaced."""
    made: list[Desk] = []

    def make(*changes: tuple[str, str], sql: str = kit.COUNT) -> Desk:
        text = kit.COUNT_YAML
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        made.append(Desk(tmp_path / str(len(made)), text, sql))
        return made[-1]

    yield make
    for one in made:
        one.opened.close()


def steady(
    who: str = "a", n: int = 5, *, until: datetime = NIGHT.end, hours: int = 22 * 24
) -> list[tuple[datetime, str, str, int]]:
    """The same count in every one of the last hours."""
    return [(until - (place + 1) * HOUR, "count", who, n) for place in range(hours)]


def without(
    rows: Iterable[tuple[datetime, str, str, int]], *gone: datetime
) -> list[tuple[datetime, str, str, int]]:
    """The rows of all other hours."""
    return [row for row in rows if row[0] not in gone]


def covered(desk: Desk) -> Desk:
    """The desk with a file for every hour that is trained on or scored."""
    return desk.cover(NIGHT.start - 30 * DAY, NIGHT.end)


def test_hour_without_rows_in_a_file_is_zero(desk: Make) -> None:
    """A quiet hour that a file stands for is an observation of nothing."""
    quiet = NIGHT.start + 3 * HOUR

    points = covered(desk()).put(without(steady(), quiet)).points()

    assert points["/a", quiet]["observed"] == 0.0
    assert points["/a", quiet]["data_state"] == "observed"
    assert points["/a", quiet]["score"] == 0.0
    assert len(points) == 2 * 24


def test_hour_that_no_file_covers_is_no_data(desk: Make) -> None:
    """What no file stands for is unknown, for every series and the tenant."""
    lost = NIGHT.start + 3 * HOUR
    made = desk().cover(NIGHT.start - 30 * DAY, lost).cover(lost + HOUR, NIGHT.end)

    points = made.put(without(steady(), lost)).points()

    for key in ("/a", "/*"):
        assert points[key, lost]["data_state"] == "no_data"
        assert points[key, lost]["observed"] is None
        assert points[key, lost]["score"] is None
        assert not points[key, lost]["flagged"]
    assert {row["data_state"] for (_, hour), row in points.items() if hour != lost} == {"observed"}


def test_rows_of_an_hour_that_no_file_names_count(desk: Make) -> None:
    """Rows that landed in another hour's file say that the hour was recorded."""
    hour = NIGHT.start + 3 * HOUR
    made = desk().cover(NIGHT.start - 30 * DAY, hour).cover(hour + HOUR, NIGHT.end)

    points = made.put(steady()).points()

    assert points["/a", hour]["observed"] == 5.0


@pytest.mark.parametrize(("usual", "state"), [(20, "outage"), (19, "observed")])
def test_silence_of_a_busy_source_is_an_outage(desk: Make, usual: int, state: str) -> None:
    """Where a source has 20 rows in that hour of the week and now none, nothing was recorded."""
    hour = NIGHT.start + 3 * HOUR
    weeks = [hour - week * 7 * DAY for week in (1, 2, 3)]
    crowd = [(week, "other", f"p{n}", 1) for week in weeks for n in range(usual - 1)]
    made = covered(desk()).put([*without(steady(), hour), *crowd])

    points = made.points()

    assert points["/a", hour]["data_state"] == state
    assert (points["/a", hour]["observed"] is None) == (state == "outage")
    assert points["/*", hour]["data_state"] == state


def test_usual_is_the_median_of_the_same_hour_in_earlier_weeks(desk: Make) -> None:
    """One crowded week among three does not make silence an outage; other hours say nothing."""
    hour = NIGHT.start + 3 * HOUR
    crowd = [(hour - 7 * DAY, "other", f"p{n}", 1) for n in range(200)]
    crowd += [(hour - DAY, "other", f"p{n}", 1) for n in range(200)]

    points = covered(desk()).put([*without(steady(), hour), *crowd]).points()

    assert points["/a", hour]["data_state"] == "observed"


def test_mailbox_is_throttled_for_the_24_hours_after_its_mark(desk: Make) -> None:
    """The mark hides the next 24 hours of its own series; the tenant stays observed."""
    mark = NIGHT.start - 20 * HOUR
    rows = [*steady("a"), *steady("b"), (mark + timedelta(minutes=5), "limit", "a", 0)]

    points = covered(desk(sql=THROTTLED)).put(rows).points()

    hidden = [hour for (key, hour), row in points.items()
              if key == "/a" and row["data_state"] == "throttled"]  # fmt: skip
    assert hidden == [NIGHT.start + place * HOUR for place in range(5)]
    assert all(points["/a", hour]["observed"] is None for hour in hidden)
    assert {row["data_state"] for (key, _), row in points.items() if key != "/a"} == {"observed"}


def test_hour_of_the_mark_itself_still_counts(desk: Make) -> None:
    """Recording stops after the mark: what its own hour holds was observed."""
    mark = NIGHT.start + 2 * HOUR
    rows = [*steady("a"), (mark + timedelta(minutes=5), "limit", "a", 0)]

    points = covered(desk(sql=THROTTLED)).put(rows).points()

    assert points["/a", mark]["data_state"] == "observed"
    assert points["/a", mark + HOUR]["data_state"] == "throttled"
    assert points["/a", NIGHT.end - HOUR]["data_state"] == "throttled"


counted = st.lists(
    st.tuples(
        st.sampled_from(["", "t1"]), st.sampled_from(["a", "b", "c"]), st.integers(0, 22 * 24 - 1),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=40,
)  # fmt: skip


@draws.law(
    8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(counted)
def test_points_are_the_sums_that_a_loop_makes(
    desk: Make, rows: list[tuple[str, str, int, int]]
) -> None:
    """Every series of every tenant on every hour, and each tenant's own sum."""
    made = covered(desk())
    for tenant in ("", "t1"):
        mine = [row for row in rows if row[0] == tenant]
        made.put([(NIGHT.end - (h + 1) * HOUR, "count", who, n) for _, who, h, n in mine], tenant)
    wanted = {
        (f"{tenant}/{name}", NIGHT.start + place * HOUR): 0.0
        for tenant, who, _, _ in rows
        for name in (who, "*")
        for place in range(24)
    }
    once: dict[tuple[str, str, int, int], None] = {}
    for place, (tenant, who, back, n) in enumerate(rows):
        hour = NIGHT.end - (back + 1) * HOUR
        del place
        if hour >= NIGHT.start:
            once[tenant, who, back, n] = None
            wanted[f"{tenant}/{who}", hour] += n
            wanted[f"{tenant}/*", hour] += n

    points = made.points()

    assert {key: row["observed"] for key, row in points.items()} == wanted


def test_one_by_column_has_no_sum_over_it(desk: Make) -> None:
    """A series per mailbox alone has no tenant to sum over."""
    made = desk(
        ("by: [tenant, who]", "by: [who]"),
        ("findings: [{series_key: /a}, {series_key: /*}]", "findings: [{series_key: a}]"),
        sql=kit.COUNT.replace("    tenant,\n", ""),
    )
    burst = (NIGHT.start + 3 * HOUR, "count", "*", 5000)

    found = covered(made).put([*steady("*"), *steady("b"), burst]).night()

    assert set(found.points["series_key"].to_pylist()) == {"*", "b"}
    assert [hit.row["series_key"] for hit in found.hits] == ["*"]
    assert {json.loads(event.event)["who"] for event in found.hits[0].events} == {"*"}


def test_burst_is_one_finding_with_its_hours_beneath(desk: Make) -> None:
    """Flagged hours of one night are one finding that lists them, with sums and the span."""
    hours = [NIGHT.start + place * HOUR for place in (2, 3, 9)]
    rows = [*steady(), *((hour, "count", "a", 700) for hour in hours)]

    found = covered(desk()).put(rows).night()

    hit = next(hit for hit in found.hits if hit.row["series_key"] == "/a")
    named = [one["hour"] for one in hit.row["hours"]]
    assert set(hours) <= set(named)
    assert hit.row["observed"] == sum(one["observed"] for one in hit.row["hours"])
    assert hit.row["start_time"] <= hours[0]
    assert hit.row["end_time"] >= hours[-1] + HOUR
    assert hit.row["start_time"] >= NIGHT.start
    assert hit.row["end_time"] <= NIGHT.end
    flagged = [row["hour"] for row in found.points.to_pylist()
               if row["flagged"] and row["series_key"] == "/a"]  # fmt: skip
    assert [one["hour"] for one in hit.row["hours"] if one["window_h"]] == flagged
    assert [h.row["series_key"] for h in found.hits].count("/a") == 1
    assert f"{hit.row['observed']:,.0f} n of a in {len(named)} hours" in hit.row["reason"]


def test_title_hours_and_evidence_tell_one_story(desk: Make) -> None:
    """Hours that made a later one trigger count in all three, though none of them triggered."""
    made = covered(desk(("threshold: 4", "threshold: 4, minCount: 60")))
    start = NIGHT.start + 3 * HOUR
    counted = {start: 50, start + HOUR: 50, start + 2 * HOUR: 700, start + 5 * HOUR: 0}
    rows = [(hour, "count", "a", n) for hour, n in counted.items()]

    found = made.put([*rows, *steady(n=0)]).night()

    (hit,) = [hit for hit in found.hits if hit.row["series_key"] == "/a"]
    points = {row["hour"]: row for row in found.points.to_pylist() if row["series_key"] == "/a"}
    told = {one["hour"]: one["observed"] for one in hit.row["hours"]}
    assert [hour for hour, point in points.items() if point["flagged"]] == [start + 2 * HOUR]
    assert len(told) > 1
    assert told == {hour: points[hour]["observed"] for hour in told}
    assert hit.row["observed"] == sum(told.values()) > 700
    assert hit.row["expected"] == pytest.approx(
        sum(points[hour]["expected"] for hour in told), 1e-3
    )
    assert (hit.row["start_time"], hit.row["end_time"]) == (min(told), max(told) + HOUR)
    seen = [
        event.event_time.replace(minute=0, second=0) for event in hit.events if event.event_time
    ]
    assert set(seen) == told.keys()
    assert sum(json.loads(event.event)["n"] for event in hit.events) == hit.row["observed"]
    assert f"{hit.row['observed']:,.0f} n of a in {len(told)} hours" in hit.row["reason"]
    for one in hit.row["hours"]:
        assert (one["window_h"] > 0) == points[one["hour"]]["flagged"]
        assert one["upper"] == pytest.approx(points[one["hour"]]["upper"])


def test_evidence_is_the_records_of_the_hours_that_triggered(desk: Make) -> None:
    """Records of the series in those hours, in order, with the commonest application named."""
    hour = NIGHT.start + 3 * HOUR
    rows = [(hour + timedelta(seconds=n), "count", "a", 300) for n in range(11)]
    rows += [(hour + timedelta(seconds=20 + n), "other", "b", 1) for n in range(9)]

    found = covered(desk()).put([*rows, *steady(), *steady("b")]).night()

    hit = next(hit for hit in found.hits if hit.row["series_key"] == "/a")
    times = [event.event_time for event in hit.events]
    assert times == sorted(times)
    assert {event.role for event in hit.events} == {"record"}
    assert {json.loads(event.event)["who"] for event in hit.events} == {"a"}
    assert {row[0] for row in rows if row[2] == "a"} <= set(times)
    inside = {hit.row["start_time"] <= at < hit.row["end_time"] for at in times if at}
    assert inside == {True}
    assert hit.evidence_count == len(hit.events)
    top = hit.row["top_app_id"]
    assert hit.row["app_id"] == top[0]["value"]
    records = [one["records"] for one in top]
    assert records == sorted(records, reverse=True)
    assert records[0] > records[-1]
    assert sum(records) == hit.evidence_count


@pytest.mark.parametrize("seed", range(4))
def test_contributors_are_those_of_a_plain_loop(desk: Make, seed: int) -> None:
    """Each app's count above its part of the history, as a share of all that lies above."""
    rng = random.Random(seed)  # noqa: S311 - no secrets
    history = Interval(NIGHT.start - 21 * DAY, NIGHT.start)
    rows = [
        (history.start + rng.random() * 22 * DAY, "count", rng.choice("ab"), rng.choice([0, 1, 50]))
        for _ in range(400)
    ]
    hours = tuple(NIGHT.start + n * HOUR for n in (1, 2, 5, 6, 7, 8))
    found = [Excess(("", "a"), hours, 20.0), Excess(("", "*"), hours[:4], 1.0),
             Excess(("", "b"), hours[2:], 0.0), Excess(("", "nobody"), hours, 1.0)]  # fmt: skip
    made = desk().put(rows)

    said = contributors.explain(made.con, made.hunt, history, found)

    for one, parts in zip(found, said, strict=True):
        mine = [
            (at, f"app-{place % 3}", n)
            for place, (at, _, who, n) in enumerate(rows)
            if one.key[1] in ("*", who)
        ]
        usual, seen = Counter[str](), Counter[str]()
        for at, app, n in mine:
            if history.start <= at < history.end:
                usual[app] += n
            elif any(hour <= at < hour + HOUR for hour in one.hours):
                seen[app] += n
        part = {app: usual[app] / (usual.total() or 1) for app in {*usual, *seen}}
        above = {app: max(seen[app] - one.expected * part[app], 0) for app in part}
        whole = sum(above.values()) or 1
        shares = {each["value"]: each["share"] for each in parts.get("app_id", ())}
        assert shares == {app: pytest.approx(above[app] / whole, abs=1e-3) for app in shares}
        assert set(shares) == {
            app for at, app, _ in mine if any(hour <= at < hour + HOUR for hour in one.hours)
        }
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert said[3] == {}


def test_tenants_own_finding_holds_everybodys_records(desk: Make) -> None:
    """The sum over a tenant is proven by the records of all of its own, none of another's."""
    hour = NIGHT.start + 3 * HOUR
    made = covered(desk())
    for tenant in ("t1", "t2"):
        rows = [*steady("a"), *steady("b")]
        if tenant == "t1":
            rows += [(hour, "count", who, 900) for who in ("a", "b")]
        made.put(rows, tenant)

    hits = {hit.row["series_key"]: hit for hit in made.night().hits}

    assert "t2/*" not in hits
    whole = [json.loads(event.event) for event in hits["t1/*"].events]
    assert {one["who"] for one in whole} == {"a", "b"}
    assert {one["tenant"] for one in whole} == {"t1"}
    assert "the whole tenant" in hits["t1/*"].row["reason"]
    assert hits["t1/*"].row["who"] == "*"


def test_evidence_stops_at_its_limit_and_says_how_many_there_are(
    desk: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many events as the limit are kept whole; the count is that of all."""
    assert finding.EVIDENCE_LIMIT == 10_000
    monkeypatch.setattr(finding, "EVIDENCE_LIMIT", 500)
    hour = NIGHT.start + 3 * HOUR
    rows = [(hour + timedelta(microseconds=n), "count", "a", 1) for n in range(550)]

    found = covered(desk()).put([*steady(), *rows]).night()

    hit = next(hit for hit in found.hits if hit.row["series_key"] == "/a")
    assert len(hit.events) == 500
    assert hit.evidence_count >= 550


def test_least_count_keeps_small_hours_from_being_flagged(desk: Make) -> None:
    """`minCount` holds for every hour by itself."""
    hour = NIGHT.start + 3 * HOUR
    rows = [*steady(n=0), (hour, "count", "a", 80)]

    assert covered(desk()).put(rows).night().hits
    made = desk(("threshold: 4", "threshold: 4, minCount: 81"))
    assert not covered(made).put(rows).night().hits


@pytest.mark.parametrize(("days", "fires"), [(13, False), (14, True)])
def test_series_learns_for_14_days(desk: Make, days: int, fires: bool) -> None:
    """Younger series have points but no findings, and the note says so."""
    hour = NIGHT.start + 3 * HOUR
    rows = [*steady(hours=(days + 1) * 24), (hour, "count", "a", 5000)]
    made = desk().cover(NIGHT.start - days * DAY, NIGHT.end).put(rows)

    found = made.night()

    assert bool(found.hits) == fires
    assert ("learning" in found.note) != fires
    assert found.points.num_rows == 2 * 24
    assert max(found.points["observed"].to_pylist()) >= 5000


def test_no_rows_at_all_is_no_series(desk: Make) -> None:
    """Without a single count there is nothing to score."""
    found = covered(desk()).night()

    assert found.hits == ()
    assert found.points.num_rows == 0
    assert found.note == ""


@pytest.mark.parametrize("frequency", draws.spread(["5d", "1h", "6h", "1d", "2d"], 2))
def test_each_hour_is_counted_once_whatever_the_grid(desk: Make, frequency: str) -> None:
    """The grid need not divide the training span: counts stay in their own hours."""
    made = covered(desk(("kind: series", f"kind: series\nfrequency: {frequency}")))
    length = made.hunt.detection.frequency
    interval = Interval(NIGHT.end - length, NIGHT.end)
    rows = [(NIGHT.end - (h + 1) * HOUR, "count", "a", h % 7 + 1) for h in range(40 * 24)]

    points = made.put(rows).points(interval)

    for place in range(length // HOUR):
        assert points["/a", NIGHT.end - (place + 1) * HOUR]["observed"] == place % 7 + 1
    assert len(points) == 2 * (length // HOUR)


def test_two_nights_of_one_interval_are_two_findings(desk: Make) -> None:
    """An interval of two days has a finding for each of its nights, each with its records."""
    made = covered(desk(("kind: series", "kind: series\nfrequency: 2d")))
    interval = Interval(NIGHT.end - 2 * DAY, NIGHT.end)
    first, second = NIGHT.start - HOUR, NIGHT.start
    rows = [*steady(), (first, "count", "a", 900), (second, "count", "a", 900)]

    hits = [hit for hit in made.put(rows).night(interval).hits if hit.row["series_key"] == "/a"]

    assert len({hit.finding_id for hit in hits}) == len(hits) == 2
    for hit in hits:
        assert len(hit.events) == hit.evidence_count > 0


@pytest.mark.parametrize(("zone", "busy"), [("Europe/Berlin", True), ("UTC", False)])
def test_season_follows_the_time_zone(desk: Make, zone: str, busy: bool) -> None:
    """After the clocks change, office hours move in UTC and stay in local time."""
    night = Interval(parse_time("2026-03-30"), parse_time("2026-03-31"))
    made = desk(("threshold: 4", f"threshold: 4, timeZone: {zone}"))
    made.cover(night.start - 30 * DAY, night.end)
    changed = parse_time("2026-03-29T01:00")
    rows = []
    for place in range(22 * 24):
        at = night.end - (place + 1) * HOUR
        local = (at.hour + (2 if at >= changed else 1)) % 24
        rows.append((at, "count", "a", 40 if 8 <= local < 16 else 1))

    points = made.put(rows).points(night)

    opening = points["/a", night.start + 6 * HOUR]
    assert (opening["expected"] > 20) == busy


def test_confirmed_attack_teaches_nothing(desk: Make) -> None:
    """A night that people call an attack is as one that was never observed, by its last verdict."""
    burst = NIGHT.start - 2 * DAY + 3 * HOUR
    usual = [*steady("a"), *steady("b"), (burst, "count", "a", 400)]
    night = Interval(NIGHT.start - 2 * DAY, NIGHT.start - DAY)
    made = covered(desk().put(usual))
    [found] = [hit for hit in made.night(night).hits if hit.row["series_key"] == "/a"]
    database.insert(
        made.con,
        "findings",
        [
            {
                "finding_id": str(found.finding_id),
                "detection_id": made.hunt.detection.id,
                "details": json.dumps({"series_key": "/a"}),
                "interval_start": night.start,
                "interval_end": night.end,
            }
        ],
    )
    learned = {}
    for turn, verdict in enumerate(
        ["", "true_positive", "false_positive", "benign", "true_positive"]
    ):
        if verdict:
            said = {"finding_id": str(found.finding_id), "said_at": NIGHT.end + turn * HOUR}
            database.insert(made.con, "triage", [{**said, "verdict": verdict}])
        points = made.points()
        learned[turn, verdict] = (
            points["/a", NIGHT.start]["expected"] - points["/b", NIGHT.start]["expected"]
        )

    for (_, verdict), taught in learned.items():
        is_attack = verdict == "true_positive"
        assert abs(taught) < 0.02 if is_attack else taught > 0.2, learned


def test_silent_day_does_not_make_the_next_one_odd(desk: Make) -> None:
    """A day of zeros among ordinary days leaves what is expected after it."""
    silent = [NIGHT.start - (place + 1) * HOUR for place in range(24)]

    found = covered(desk()).put(without(steady(n=30), *silent)).night()

    assert found.hits == ()
    expected = found.points["expected"].to_pylist()
    assert min(expected) > 15


def test_day_without_files_does_not_make_the_next_one_odd(desk: Make) -> None:
    """Unknown hours train nothing."""
    day = NIGHT.start - DAY
    made = desk().cover(NIGHT.start - 30 * DAY, day).cover(NIGHT.start, NIGHT.end)
    lost = [day + place * HOUR for place in range(24)]

    found = made.put(without(steady(n=30), *lost)).night()

    assert found.hits == ()
    assert found.points["expected"].to_pylist() == pytest.approx([30] * 48, rel=0.05)
    assert set(found.points["data_state"].to_pylist()) == {"observed"}


def test_mailbox_named_like_the_tenant_is_not_the_tenant(desk: Make) -> None:
    """A name from events cannot pass for the tenant's own series or for another mailbox."""
    hour = NIGHT.start + 3 * HOUR
    names = ["*", "a", "b/c"]
    made = covered(desk())
    made.put([row for who in names for row in [*steady(who), (hour, "count", who, 4000)]])

    found = made.night()

    ids = [hit.finding_id for hit in found.hits]
    assert len(ids) == len(set(ids))
    places = [(row["series_key"], row["hour"]) for row in found.points.to_pylist()]
    assert len(places) == len(set(places))
    assert made.points()["/*", hour]["observed"] == 3 * 4005


@pytest.mark.parametrize(("values", "others"), [(["a/b", "c"], ["a", "b/c"]), (["*"], ["%2A"])])
def test_series_keys_never_meet(values: list[str], others: list[str]) -> None:
    """Different series have different keys, whatever their names hold."""
    assert series_keys.series_key(values) != series_keys.series_key(others)


# The nights, over a lake.


@pytest.fixture(scope="module")
def steady_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a series and 24 days of steady counts before NOW."""
    made = kit.make_project(tmp_path_factory.mktemp("steady_days"), series=True)
    for turn in range(24):
        write_steady(made, NOW.replace(hour=0) - (turn + 1) * DAY, turn)
    return made


def write_steady(root: Path, day: datetime, turn: int) -> None:
    """A day of steady counts of two people; `turn` is another number for each day."""
    rows = [
        event(f"{day + hour * HOUR:%Y-%m-%dT%H:%M}", "count", who, 100 * turn + place, n=5)
        for hour in range(24)
        for place, who in enumerate(("a", "b"))
    ]
    os.utime(write_file(root, f"{day:%Y-%m-%d}", rows, "steady"), ns=(1, 1))


@pytest.fixture(scope="module")
def scored_once(steady_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after its first night."""
    made = kit.copy_project(steady_days, tmp_path_factory.mktemp("scored"))
    hunt(made, detections=("count",))
    return made


@pytest.fixture
def lake(steady_days: Path, tmp_path: Path) -> Path:
    """A copy of the project, of which nothing was hunted."""
    return kit.copy_project(steady_days, tmp_path)


@pytest.fixture
def scored(scored_once: Path, tmp_path: Path) -> Path:
    """A copy of it after its first night."""
    return kit.copy_project(scored_once, tmp_path)


def spans(root: Path) -> dict[str, int]:
    """The staging step at which each day was counted last."""
    con = duckdb.connect(str(root / ".gundog/warehouse.duckdb"), read_only=True)
    try:
        con.execute("set timezone = 'UTC'")
        found = con.execute(
            "select strftime(interval_start, '%m-%d'), seq from series_spans"
        ).fetchall()
    finally:
        con.close()
    assert len(found) == len(dict(found))
    return dict(found)


def points(root: Path, day: str) -> list[tuple[Any, ...]]:
    """All stored points of one day."""
    con = duckdb.connect(str(root / ".gundog/warehouse.duckdb"), read_only=True)
    try:
        con.execute("set timezone = 'UTC'")
        return con.execute(
            "from series_points where hour::date = ?::date order by series_key, hour", [day]
        ).fetchall()
    finally:
        con.close()


@pytest.mark.slow
def test_kept_counts_give_the_points_of_a_first_night(lake: Path, tmp_path: Path) -> None:
    """Night after night, or the last night alone: the same points and findings."""
    write_file(lake, "2026-03-09", [event("2026-03-09T03:10", "count", "a", 7, n=900)], "burst")
    alone = tmp_path / "alone"
    kit.make_project(alone, series=True)
    (alone / "lake").symlink_to(lake / "lake")
    for back in (1, 0):
        hunt(lake, now=NOW - back * DAY, detections=("count",))

    hunt(alone, now=NOW, detections=("count",))

    assert points(lake, "2026-03-09") == points(alone, "2026-03-09")
    assert len(points(lake, "2026-03-09")) == 3 * 24
    found = "select finding_id, title, score, evidence_count from findings order by finding_id"
    assert table(lake, found) == table(alone, found)
    assert len(table(lake, found)) == 2


@pytest.mark.slow
def test_only_days_whose_rows_changed_are_counted_again(scored: Path) -> None:
    """A night counts its own day; a late file its day; all others stay as they were counted."""
    before = spans(scored)
    write_file(scored, "2026-02-27", [event("2026-02-27T05:00", "count", "a", 999, n=3)], "late")
    write_steady(scored, NOW.replace(hour=0), -1)

    hunt(scored, now=NOW + DAY, detections=("count",))

    after = spans(scored)
    assert len(before) == 22
    assert {day for day, seq in after.items() if before.get(day) != seq} >= {"02-27", "03-10"}
    untouched = {"02-20", "02-26", "02-28", "03-05"}
    assert {day: after[day] for day in untouched} == {day: before[day] for day in untouched}


@pytest.mark.slow
def test_late_rows_reach_the_kept_counts(scored: Path) -> None:
    """What arrives late is in the history of the next night and in the points of its own day."""
    write_file(scored, "2026-03-09", [event("2026-03-09T05:00", "count", "a", 999, n=3)], "late")

    outcome = hunt(scored, ("2026-03-09", "2026-03-09"), detections=("count",))

    assert outcome.hunted == 1
    observed = table(
        scored,
        """select observed from series_points where series_key = '/*'
           and hour = timestamptz '2026-03-09 05:00:00+00'""",
    )
    assert observed == [(13.0,)]


def test_counts_of_a_changed_detection_are_its_own(scored: Path) -> None:
    """New SQL starts its history again and never mixes with what the old one counted."""
    path = scored / "sql/count.sql"
    path.write_text(path.read_text().replace("sum(n)", "10 * sum(n)"))

    hunt(scored, detections=("count",))

    rows = points(scored, "2026-03-09")
    assert len(rows) == 3 * 24
    expected = table(scored, "select min(expected), max(expected) from series_points")
    assert expected[0] == pytest.approx((100, 100), rel=0.05)


def scorings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of series at every scoring."""
    seen: list[int] = []
    real = hour_scores.score

    def counting(counts: Any, *args: Any, **options: Any) -> hour_scores.Scores:
        seen.append(len(counts))
        return real(counts, *args, **options)

    def here(child: Child, work: Callable[..., Any], *arguments: Any, **limits: Any) -> Any:
        return work(*arguments)

    monkeypatch.setattr(hour_scores, "score", counting)
    # Only what runs in this process can be watched.
    monkeypatch.setattr(Child, "call", here)
    monkeypatch.setattr(Child, "pid", 0)
    return seen


BURST = event("2026-03-09T03:10", "count", "a", 7, n=900)
LATE = {
    "rows of another kind": ("2026-03-09", event("2026-03-09T05:00", "other", "a", 999), False),
    "the same row once more": ("2026-03-09", BURST, False),
    "a count of the night": ("2026-03-09", event("2026-03-09T05:00", "count", "b", 999, 3), True),
    "a count of its history": ("2026-03-01", event("2026-03-01T05:00", "count", "b", 9, 3), True),
    "a day that had no file": ("2026-02-20", event("2026-02-20T05:00", "other", "a", 999), True),
}


@pytest.mark.slow
@pytest.mark.parametrize(("day", "row", "scored"), LATE.values(), ids=LATE)
def test_night_is_scored_again_only_where_counts_or_hours_changed(
    lake: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    day: str,
    row: dict[str, Any],
    scored: bool,
) -> None:
    """Whatever a late file holds, the night stands as one that saw all files at once."""
    for path in (lake / "lake/date=2026-02-20").iterdir():
        path.unlink()
    write_file(lake, "2026-03-09", [BURST], "burst")
    within = ("2026-03-09", "2026-03-09")
    hunt(lake, within, detections=("count",))
    os.utime(write_file(lake, day, [row], "a-late"), ns=(1, 1))  # before all others by its name
    seen = scorings(monkeypatch)

    outcome = hunt(lake, within, detections=("count",))

    assert outcome.hunted == 1
    assert seen == ([2, 1] if scored else [])
    monkeypatch.undo()
    alone = kit.make_project(tmp_path / "alone", series=True)
    (alone / "lake").symlink_to(lake / "lake")
    hunt(alone, within, detections=("count",))
    assert points(lake, "2026-03-09") == points(alone, "2026-03-09")
    for told in (
        "select * exclude (is_late, run_id, created_at, updated_at) from findings order by all",
        "select * replace (parse_filename(source_file) as source_file) from evidence order by all",
        "select note from run_intervals",
    ):
        assert table(lake, told) == table(alone, told)
    assert len(table(lake, "from findings")) == 2


def test_hunting_again_scores_what_did_not_change(
    scored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--again` means all of it."""
    seen = scorings(monkeypatch)

    hunt(scored, ("2026-03-09", "2026-03-09"), detections=("count",), again=True)

    assert seen == [2, 1]


@pytest.mark.slow
def test_night_whose_points_were_removed_is_scored_again(
    scored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be told from what is stored is worked out again."""
    write_file(scored, "2026-03-09", [BURST], "burst")
    within = ("2026-03-09", "2026-03-09")
    hunt(scored, within, detections=("count",))
    before = points(scored, "2026-03-09")
    with duckdb.connect(str(scored / ".gundog/warehouse.duckdb")) as con:
        con.execute("delete from series_points")
    write_file(scored, "2026-03-09", [event("2026-03-09T05:00", "other", "a", 999)], "late")
    seen = scorings(monkeypatch)

    hunt(scored, within, detections=("count",))

    assert seen == [2, 1]
    assert points(scored, "2026-03-09") == before


def test_series_is_scored_by_the_model_that_it_names(desk: Make) -> None:
    """What is expected follows from it, and a model that fits no series fails in its own words."""
    hour = NIGHT.start + 3 * HOUR
    rows = [*steady(), (hour - timedelta(days=7), "count", "a", 15)]
    expected = []
    for model in ("SeasonalWindowAverage", "{SeasonalNaive: {season_length: 168}}"):
        made = desk(("threshold: 4", f"threshold: 4, model: {model}"))
        expected.append(covered(made).put(rows).points()["/a", hour]["expected"])

    assert expected[1] > expected[0]
    broken = covered(desk(("threshold: 4", "threshold: 4, model: {AutoETS: {model: QQQ}}"))).put(
        rows
    )
    with pytest.raises(GundogError, match=r"series\.model: AutoETS: "):
        broken.night()


def test_what_is_new_is_told_together_where_it_is_as_much() -> None:
    new = {"new_network": 600, "new_app": 600, "rare_network": 600, "new_first_folder": 1200.0}

    assert list(series_findings._from_new(new)) == [
        "600 from a new network and app",
        "600 from a rare network",
        "1,200 from a new first folder",
    ]
