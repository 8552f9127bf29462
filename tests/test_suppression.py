"""Tests of what is kept but not sent: against a plain loop, and whatever order rows come in."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gundog.core.severity import SEVERITIES
from gundog.core.times import parse_time
from gundog.detections import detection_yaml
from gundog.detections.detection import Detection, Suppression
from gundog.findings import suppression
from gundog.findings.exceptions import Entry
from gundog.warehouse import database, tables
from tests import draws, engines, kit, test_laws
from tests.kit import hunt, table

START = parse_time("2026-03-01")
HOUR = timedelta(hours=1)
SPACE = UUID(int=3)
calm = settings(suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class One:
    """A finding as far as sending it goes; `hour` and `severity` are numbers."""

    id: str
    hour: int
    severity: int
    group: str | None
    excepted: bool = False
    over: bool = False


findings = st.lists(
    st.builds(
        One,
        id=st.integers(0, 10**6).map(str),
        hour=st.integers(0, 30),
        severity=st.integers(0, 4),
        group=st.sampled_from(["x", "x", "y", None]),
        excepted=st.sampled_from([False, False, False, True]),
        over=st.sampled_from([False, False, False, True]),
    ),
    max_size=25,
    unique_by=lambda one: one.id,
)


def one_by_one(ones: Sequence[One], duration: int) -> tuple[dict[str, str | None], dict[str, int]]:
    """The rule as it is written, looking back over everything that was sent."""
    sent: list[One] = []
    by: dict[str, str | None] = {}
    counts = dict.fromkeys((one.id for one in ones), 0)
    for one in sorted(ones, key=lambda one: (one.hour, -one.severity, one.id)):
        before = [
            other
            for other in sent
            if None is not one.group == other.group
            and one.hour - duration < other.hour <= one.hour
            and other.severity >= one.severity
        ]
        if one.excepted:
            by[one.id] = "exception"
        elif one.over:
            by[one.id] = "alertBudget"
        elif before:
            by[one.id] = f"finding {before[-1].id}"
            counts[before[-1].id] += 1
        else:
            by[one.id] = None
            sent.append(one)
    return by, counts


def judged(ones: Sequence[One], duration: int) -> tuple[dict[str, str | None], dict[str, int]]:
    found = suppression.judge(
        [one.id for one in ones],
        np.array([one.hour for one in ones], dtype=np.int64),
        np.array([one.severity for one in ones], dtype=np.int64),
        [one.group for one in ones],
        ["exception" if one.excepted else None for one in ones],
        [one.over for one in ones],
        duration,
    )
    ids = [one.id for one in ones]
    return dict(zip(ids, found.by, strict=True)), dict(zip(ids, found.counts, strict=True))


@draws.law(400)
@given(findings, st.integers(0, 12))
def test_decisions_are_those_of_a_plain_loop(ones: list[One], duration: int) -> None:
    """Which are sent, which finding stands for which, and for how many."""
    assert judged(ones, duration) == one_by_one(ones, duration)


@calm
@given(findings, st.integers(0, 12), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(
    ones: list[One], duration: int, shuffler: random.Random
) -> None:
    """Findings are judged by their times, not by when they were stored."""
    mixed = list(ones)
    shuffler.shuffle(mixed)

    assert judged(mixed, duration) == judged(ones, duration)


@pytest.mark.parametrize(
    ("ones", "expected"),
    [
        ([One("a", 0, 1, "x"), One("b", 5, 1, "x")], [None, "a"]),
        ([One("a", 0, 1, "x"), One("b", 6, 1, "x")], [None, None]),
        ([One("a", 0, 1, "x"), One("b", 4, 1, "x"), One("c", 8, 1, "x")], [None, "a", None]),
        ([One("a", 0, 1, "x"), One("b", 1, 2, "x"), One("c", 2, 1, "x")], [None, None, "b"]),
        ([One("a", 0, 2, "x"), One("b", 1, 1, "x"), One("c", 2, 2, "x")], [None, "a", "a"]),
        ([One("a", 0, 1, "x"), One("b", 1, 1, "y")], [None, None]),
        ([One("a", 0, 1, None), One("b", 1, 1, None)], [None, None]),
        ([One("b", 0, 1, "x"), One("a", 0, 1, "x")], ["a", None]),
        ([One("a", 0, 1, "x"), One("b", 0, 2, "x")], ["b", None]),
        ([One("a", 0, 1, "x", excepted=True), One("b", 1, 1, "x")], ["exception", None]),
        ([One("a", 0, 1, "x", over=True), One("b", 1, 1, "x")], ["alertBudget", None]),
    ],
    ids=["within", "at its end", "not rolled on", "breaks through", "equal does not", "group",
         "null", "together", "together severest", "excepted", "over budget"],
)  # fmt: skip
def test_rule_at_its_edges(ones: list[One], expected: list[str | None]) -> None:
    """Six hours: each word of the rule on the smallest case it decides."""
    by, _ = judged(ones, 6)

    assert [None if by[one.id] is None else str(by[one.id]).removeprefix("finding ")
            for one in ones] == expected  # fmt: skip


@calm
@given(findings, st.integers(1, 5))
def test_budget_keeps_the_highest_of_each_interval(ones: list[One], limit: int) -> None:
    """Per day at most `limit`, none that is hidden among them, none lower than one left out."""
    hidden = [one.excepted for one in ones]
    over = suppression.beyond(
        limit, [one.hour // 24 for one in ones], [float(one.severity) for one in ones],
        [one.id for one in ones], hidden,
    )  # fmt: skip

    for day in (0, 1):
        mine = [(one, out) for one, out in zip(ones, over, strict=True)
                if one.hour // 24 == day and not one.excepted]  # fmt: skip
        kept = [one.severity for one, out in mine if not out]
        left = [one.severity for one, out in mine if out]
        assert len(kept) == min(limit, len(mine))
        assert not left or min(kept) >= max(left)
    assert not any(out for out, gone in zip(over, hidden, strict=True) if gone)
    assert not any(suppression.beyond(None, hidden, [0.0] * len(ones), [""] * len(ones), hidden))


# ---- over stored findings ----


def a_detection(duration: timedelta | None = 6 * HOUR) -> Detection:
    """A detection that suppresses by account and a detail."""
    found = detection_yaml.load(Path("detections/mailbox_export_removed.yaml"), "x", [])
    assert found is not None
    kept = Suppression(("account_name", "site"), duration) if duration else None
    return replace(found, stem="pair", suppression=kept)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty warehouse in memory."""
    with engines.memory() as made:
        for one in (tables.FINDINGS, tables.EXCEPTIONS, tables.JUDGED):
            made.execute(next(tables.create(one)))
        yield made


def store(con: duckdb.DuckDBPyConnection, ones: Sequence[One]) -> None:
    """Replaces the findings by these; a group is an account and a site."""
    con.execute("delete from findings")
    add(con, ones)


def add(con: duckdb.DuckDBPyConnection, ones: Sequence[One]) -> None:
    ids = [str(uuid5(SPACE, one.id)) for one in ones]
    con.execute("delete from findings where finding_id in (select unnest(?::uuid[]))", [ids])
    database.insert(
        con,
        "findings",
        [
            {
                "finding_id": key,
                "detection_id": a_detection().id,
                "severity": SEVERITIES[one.severity],
                "start_time": START + one.hour * HOUR,
                "interval_start": START,
                "account_name": one.group,
                "host_name": "hidden" if one.excepted else "",
                "tenant": "",
                "details": '{"site": "s"}',
                "suppressed_count": 0,
            }
            for one, key in zip(ones, ids, strict=True)
        ],
    )


HIDE = Entry("pair", (("host_name", ("hidden",)),), START, START + 1000 * HOUR, "known", "kim")


def decisions(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[str | None, int]]:
    rows = con.execute("select finding_id::varchar, suppressed_by, suppressed_count from findings")
    return {row[0]: (row[1], row[2]) for row in rows.fetchall()}


def expected(ones: Sequence[One], duration: int = 6) -> dict[str, tuple[str | None, int]]:
    """The plain loop's decisions in the words that are stored."""
    renamed = [replace(one, id=str(uuid5(SPACE, one.id)), over=False) for one in ones]
    by, counts = one_by_one(renamed, duration)
    return {
        one.id: (HIDE.shown if by[one.id] == "exception" else by[one.id], counts[one.id])
        for one in renamed
    }


parts = st.lists(findings, min_size=1, max_size=3)


@draws.law(6, suppress_health_check=list(HealthCheck))
@given(parts)
def test_stored_in_parts_is_as_stored_at_once(parts: list[list[One]]) -> None:
    """Late, changed and withdrawn findings: afterwards all is as if it had come at once."""
    with engines.memory() as con:
        for one in (tables.FINDINGS, tables.EXCEPTIONS, tables.JUDGED):
            con.execute(next(tables.create(one)))
        have: dict[str, One] = {}
        for part in parts:
            add(con, part)
            have |= {one.id: one for one in part}
            suppression.apply(con, [a_detection()], [HIDE])
            assert decisions(con) == expected(list(have.values()))
        gone = list(have)[::2]
        con.execute(
            "delete from findings where finding_id in (select unnest(?::uuid[]))",
            [[str(uuid5(SPACE, name)) for name in gone]],
        )
        suppression.apply(con, [a_detection()], [HIDE])
        assert decisions(con) == expected([have[name] for name in have if name not in gone])


def a_series(budget: float | None = 1, threshold: float | None = None) -> Detection:
    """A detection that scores hourly counts."""
    found = detection_yaml.load(Path("detections/mail_items_accessed.yaml"), "x", [])
    assert found is not None
    assert found.series is not None
    scored = replace(found.series, alert_budget=budget, threshold=threshold)
    return replace(found, series=scored, suppression=None)


@pytest.mark.parametrize(
    ("rule", "sent"),
    [
        (a_series(), 10),
        (a_series(None), 10),
        (a_series(0.25), 3),
        (a_series(0.01), 1),
        (a_series(2), 20),
        (a_series(None, threshold=4), 25),
    ],
    ids=["1", "unsaid", "a quarter", "a hundredth", "2", "threshold"],
)
def test_budget_limits_what_is_sent_of_a_night(
    con: duckdb.DuckDBPyConnection, rule: Detection, sent: int
) -> None:
    """The highest scores of each night are sent, the rest is kept, and the tenant's is not part."""
    nights = [START, START + 24 * HOUR]
    database.insert(
        con,
        "findings",
        [
            {
                "finding_id": str(uuid5(SPACE, f"{night} {n}")),
                "detection_id": rule.id,
                "severity": "medium",
                "score": 0.1 if n == 0 else float(n),
                "start_time": night,
                "interval_start": night,
                "details": json.dumps({"series_key": "/*" if n == 0 else f"/m{n}"}),
                "suppressed_count": 0,
            }
            for night in nights
            for n in range(26)
        ],
    )

    suppression.apply(con, [rule], [])

    rows = con.execute(
        """select interval_start, score, suppressed_by from findings
           order by interval_start, score desc"""
    ).fetchall()
    assert len(rows) == 52
    for night in nights:
        mine = [(score, by) for start, score, by in rows if start == night]
        assert [by for _, by in mine[:sent]] == [None] * sent
        assert {by for _, by in mine[sent:-1]} <= {"alertBudget"}
        assert mine[-1] == (0.1, None)


def test_tenants_keep_nothing_of_each_other_quiet(con: duckdb.DuckDBPyConnection) -> None:
    """One account and site in three tenants: each is judged as if it were alone."""
    moments = {"": [0, 3, 9], "t1": [1, 4], "t2": [2, 8]}
    database.insert(
        con,
        "findings",
        [
            {
                "finding_id": str(uuid5(SPACE, f"{tenant} {hour}")),
                "detection_id": a_detection().id,
                "severity": "medium",
                "start_time": START + hour * HOUR,
                "interval_start": START,
                "account_name": "ana",
                "tenant": tenant,
                "details": '{"site": "s"}',
                "suppressed_count": 0,
            }
            for tenant, hours in moments.items()
            for hour in hours
        ],
    )

    suppression.apply(con, [a_detection()], [])

    hidden = {key for key, (by, _) in decisions(con).items() if by}
    assert hidden == {str(uuid5(SPACE, one)) for one in (" 3", "t1 4")}


@pytest.mark.parametrize(("most", "sent"), [(None, 5), (2, 2), (9, 5)])
def test_a_match_sends_the_highest_scores(
    con: duckdb.DuckDBPyConnection, most: int | None, sent: int
) -> None:
    """No more than its suppression says of an interval; the others are kept and say why."""
    store(con, [One(f"f{n}", n, 1, f"account {n}") for n in range(5)])
    con.execute("update findings set score = date_part('hour', start_time)")
    detection = replace(a_detection(), suppression=Suppression(("account_name",), HOUR, most))

    suppression.apply(con, [detection], [])

    rows = con.execute("select suppressed_by from findings order by score desc").fetchall()
    assert [by for (by,) in rows] == [None] * sent + ["alertBudget"] * (5 - sent)


def test_budget_is_each_tenants_own(con: duckdb.DuckDBPyConnection) -> None:
    """The ten highest of a night are sent of every tenant, however high another's are."""
    rule = a_series()
    database.insert(
        con,
        "findings",
        [
            {
                "finding_id": str(uuid5(SPACE, f"{tenant} {n}")),
                "detection_id": rule.id,
                "severity": "medium",
                "score": float(n + 100 * place),
                "start_time": START,
                "interval_start": START,
                "tenant": tenant,
                "details": json.dumps({"series_key": f"{tenant}/m{n}"}),
                "suppressed_count": 0,
            }
            for place, tenant in enumerate(["", "t1"])
            for n in range(15)
        ],
    )

    suppression.apply(con, [rule], [])

    sent = con.execute(
        """select tenant, count(*), min(score) from findings where suppressed_by is null
           group by tenant order by tenant"""
    ).fetchall()
    assert sent == [("", 10, 5.0), ("t1", 10, 105.0)]


TWO = [One("a", 0, 1, "x"), One("b", 1, 1, "x"), One("c", 2, 1, "x", excepted=True)]


def test_changed_rules_judge_anew(con: duckdb.DuckDBPyConnection) -> None:
    """Another duration, no suppression, another exception: each holds at the next run."""
    store(con, TWO)
    for rule, entries, sent in (
        (a_detection(), [HIDE], 1),
        (a_detection(HOUR), [HIDE], 2),
        (a_detection(None), [HIDE], 2),
        (a_detection(None), [], 3),
        (a_detection(), [], 1),
        (a_detection(None), [replace(HIDE, detection="other")], 3),
        (a_detection(None), [replace(HIDE, detection="*")], 2),
    ):
        suppression.apply(con, [rule], entries)
        [(found,)] = con.execute(
            "select count(*) from findings where suppressed_by is null"
        ).fetchall()
        assert found == sent


def test_row_that_lost_its_decision_gets_it_back(con: duckdb.DuckDBPyConnection) -> None:
    """A run that died after it had replaced a finding is made good by the next one."""
    store(con, TWO)
    suppression.apply(con, [a_detection()], [HIDE])
    before = decisions(con)
    con.execute("update findings set suppressed_by = null, suppressed_count = 0")

    suppression.apply(con, [a_detection()], [HIDE])
    assert decisions(con) == before


def test_what_did_not_change_is_not_judged_again(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night without news costs a count."""
    store(con, TWO)
    suppression.apply(con, [a_detection()], [HIDE])

    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(suppression, "_judge_stored", never)
    suppression.apply(con, [a_detection()], [HIDE])


def test_detection_that_does_not_load_keeps_its_decisions(con: duckdb.DuckDBPyConnection) -> None:
    """A typo in a YAML file sends nothing that was suppressed."""
    store(con, TWO)
    suppression.apply(con, [a_detection()], [HIDE])
    before = decisions(con)

    suppression.apply(con, [], [])
    assert decisions(con) == before


def test_first_exception_that_fits_counts(con: duckdb.DuckDBPyConnection) -> None:
    """In the order of the file; the table says what each hides and the newest of it."""
    store(con, [One("a", 0, 1, "x", excepted=True), One("b", 9, 1, "y", excepted=True)])
    first = replace(HIDE, match=(("account_name", ("x",)),))
    suppression.apply(con, [a_detection()], [first, HIDE])

    rows = con.execute("select hidden, newest_hidden from exceptions order by newest_hidden")
    assert rows.fetchall() == [(1, START), (1, START + 9 * HOUR)]


# ---- with runs ----

SUPPRESSED = "suppression: {groupBy: [tenant, account_name], duration: 12h}\n"
EXCEPTED = (
    "- {detection: pair, match: {account_name: B}, from: 2026-03-03T06:00:00Z,"
    " expires: 2026-03-05, reason: known, owner: kim}\n"
)


@pytest.mark.slow
@draws.law(
    5,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(test_laws.worlds(max_size=40))
def test_backfill_suppresses_what_the_nights_suppressed(world: list[dict[str, Any]]) -> None:
    """After the same files, late ones among them, the same findings are hidden by the same.

    The pair of each world is there again half an hour later, which is hidden, and b has a pair in
    the time of an exception.
    """
    first, days = test_laws.FIRST, test_laws.DAYS
    again = [{**one, "minute": one["minute"] + 30} for one in world[:2]]
    excepted = [{**one, "who": "b", "minute": 32 * 60 + n} for n, one in enumerate(world[:2])]
    happenings = world[:2] + again + excepted + world[2:]
    files = test_laws.files_of(
        [{**one, "kind": ("open", "close")[n % 2]} for n, one in enumerate(happenings)]
    )
    with test_laws.two_projects(series=False) as (nights, backfill):
        for root in (nights, backfill):
            pair = root / "detections/pair.yaml"
            pair.write_text(pair.read_text() + SUPPRESSED)
            kit.write_text(root / "exceptions.yaml", EXCEPTED)
        within = (f"{first:%Y-%m-%d}", f"{test_laws.END - kit.DAY:%Y-%m-%d}")
        for day in range(days + 4):
            test_laws.write_arrivals(nights, files, day)
            test_laws.write_arrivals(backfill, files, day)
            if day < days:
                hunt(nights, now=first + (day + 1) * kit.DAY + 4 * HOUR)
        now = test_laws.END + timedelta(days=3, hours=5)
        hunt(nights, now=now, within=within)

        hunt(backfill, now=now, within=within)

        both = ("findings", "exceptions")
        assert test_laws.content(backfill, both) == test_laws.content(nights, both)
        for cause in ("finding", "exception"):
            hidden = f"select count(*) > 0 from findings where suppressed_by like '{cause} %'"
            assert table(nights, hidden) == [(True,)]


def test_suppressed_findings_are_not_open_and_count(tmp_path: Path) -> None:
    """Three pairs of one account in an afternoon: one is open and says that it stands for three."""
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-01", 9)
    pair = root / "detections/pair.yaml"
    pair.write_text(pair.read_text() + SUPPRESSED)
    rows = [
        kit.event(f"2026-03-08T1{hour}:{minute}0", kind, "a", 10 * hour + minute)
        for hour in (1, 2, 3)
        for minute, kind in ((0, "open"), (1, "close"))
    ]
    kit.write_file(root, "2026-03-08", rows)
    hunt(root, ("2026-03-07", "2026-03-09"))

    assert table(root, "select suppressed_count from open_findings") == [(2,)]
    [(sent,)] = table(root, "select finding_id::varchar from open_findings")
    found = table(
        root, "select distinct suppressed_by from findings where suppressed_by is not null"
    )
    assert found == [(f"finding {sent}",)]
