"""What counts by tenant and day tell of records that changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.health import drift
from gundog.health.drift import Drift, Rows, Table
from tests import draws, drift_nights
from tests.drift_nights import DAYS, PLANTS, Plant

# 20454 is Thursday, 1 January 2026; weeks here begin on Monday, 5 January.
MONDAY = 20_458
WEEKS = 5


def working(count: int, weeks: int = WEEKS, weekend: int = 0) -> dict[int, int]:
    """So many rows on each working day of some weeks."""
    return {
        MONDAY + day: count if day % 7 < 5 else weekend
        for day in range(7 * weeks)
        if day % 7 < 5 or weekend
    }


def staged(kept: Rows, rejected: Rows | None = None, others: int = 100) -> Table:
    """A table of one tenant whose source has other rows too, fewer on weekends."""
    came = {
        day: kept.get(day, 0) + (rejected or {}).get(day, 0) for day in {*kept, *(rejected or {})}
    }
    given = {
        MONDAY + day: (others if day % 7 < 5 else others // 10) + came.get(MONDAY + day, 0)
        for day in range(7 * WEEKS)
    }
    return Table("Events", "mail", {"": given}, {"": kept}, {"": rejected or {}})


LAST_MONDAY = MONDAY + 28


def test_a_night_like_others_is_no_drift() -> None:
    table = staged(working(300), working(5))
    assert drift.judge(table, MONDAY, LAST_MONDAY + 6) == []


def test_rows_that_are_set_aside_are_told_that_night() -> None:
    kept, rejected = working(300), {LAST_MONDAY: 300}
    del kept[LAST_MONDAY]
    (found,) = drift.judge(staged(kept, rejected), MONDAY, LAST_MONDAY)
    assert (found.kind, found.since, found.noticed, found.is_over) == (
        drift.REJECTED, LAST_MONDAY, LAST_MONDAY, False,
    )  # fmt: skip
    assert (found.bad, found.seen) == (300, 300)


def test_a_drift_ends_when_good_rows_come() -> None:
    kept, rejected = working(300), {LAST_MONDAY: 300, LAST_MONDAY + 1: 300}
    for day in rejected:
        del kept[day]
    (found,) = drift.judge(staged(kept, rejected), MONDAY, LAST_MONDAY + 4)
    assert (found.since, found.last, found.is_over) == (LAST_MONDAY, LAST_MONDAY + 1, True)


def test_a_day_that_was_read_again_is_no_drift_any_more() -> None:
    before = drift.judge(staged(working(300)), MONDAY, LAST_MONDAY)
    assert before == []


def test_a_second_drift_is_another_one() -> None:
    bad = {LAST_MONDAY: 300, LAST_MONDAY + 3: 300}
    kept = {day: rows for day, rows in working(300).items() if day not in bad}
    found = drift.judge(staged(kept, bad), MONDAY, LAST_MONDAY + 4)
    assert [(one.since, one.last) for one in found] == [
        (LAST_MONDAY, LAST_MONDAY), (LAST_MONDAY + 3, LAST_MONDAY + 3),
    ]  # fmt: skip


def test_a_lake_that_was_never_read_well_is_told() -> None:
    """There is no better time to compare with, but nearly all rows are of no use."""
    (found,) = drift.judge(staged({}, working(300, 1)), MONDAY, MONDAY)
    assert (found.since, found.usual) == (MONDAY, 0.0)


def test_unknown_days_tell_nothing() -> None:
    kept, rejected = working(300), {LAST_MONDAY: 300}
    del kept[LAST_MONDAY]
    table = replace(staged(kept, rejected), unknown=frozenset({LAST_MONDAY}))
    assert drift.judge(table, MONDAY, LAST_MONDAY) == []
    everything = frozenset(range(MONDAY, LAST_MONDAY))
    (found,) = drift.judge(replace(table, unknown=everything), MONDAY, LAST_MONDAY)
    assert found.usual == 0.0  # as of a new lake


def test_a_table_that_is_empty_like_every_weekend_is_no_drift() -> None:
    assert drift.judge(staged(working(300)), MONDAY, LAST_MONDAY + 6) == []


def test_a_table_without_rows_is_told_while_the_source_has_others() -> None:
    kept = working(300, WEEKS - 1)
    (found,) = drift.judge(staged(kept), MONDAY, LAST_MONDAY)
    assert (found.kind, found.noticed, found.seen) == (drift.GONE, LAST_MONDAY, 300)
    holiday = staged(kept, others=100)
    quiet = {day: 10 if day == LAST_MONDAY else rows for day, rows in holiday.given[""].items()}
    assert drift.judge(replace(holiday, given={"": quiet}), MONDAY, LAST_MONDAY) == []


def test_a_table_that_is_all_of_its_source_is_told_when_rows_leave_it() -> None:
    """Such as mail alone, whose Application has another name from one day on."""
    kept = working(300)
    table = Table("Events", "mail", {"": dict(kept)}, {"": kept})
    assert drift.judge(table, MONDAY, LAST_MONDAY) == []
    left = {day: rows for day, rows in kept.items() if day != LAST_MONDAY}
    (found,) = drift.judge(replace(table, kept={"": left}), MONDAY, LAST_MONDAY)
    assert (found.kind, found.noticed) == (drift.GONE, LAST_MONDAY)
    nothing = replace(table, given={"": left}, kept={"": left})
    assert drift.judge(nothing, MONDAY, LAST_MONDAY) == []  # a hole, which the ledger tells


def test_a_tenant_without_rows_is_told_while_others_have_some() -> None:
    both = {"a": working(300), "b": working(500)}
    silent = {**both, "a": working(300, WEEKS - 1)}
    assert drift.judge(Table("Events", given=both), MONDAY, LAST_MONDAY + 4) == []
    (found,) = drift.judge(Table("Events", given=silent), MONDAY, LAST_MONDAY)
    assert (found.kind, found.tenant, found.stage) == (drift.SILENT, "a", "")
    nobody = {name: working(300, WEEKS - 1) for name in both}
    assert drift.judge(Table("Events", given=nobody), MONDAY, LAST_MONDAY + 4) == []


def test_a_small_table_is_told_within_the_week() -> None:
    kept = working(12, WEEKS - 1)
    (found,) = drift.judge(staged(kept), MONDAY, LAST_MONDAY + 6)
    assert found.since == LAST_MONDAY
    assert 0 < found.noticed - LAST_MONDAY <= 6


def test_drifts_of_other_tables_are_left_out() -> None:
    other = Drift(drift.GONE, "Events", "other", "", "", MONDAY, MONDAY, MONDAY, 0, 9, 9.0)
    assert drift.judge(staged(working(300)), MONDAY + 7, LAST_MONDAY, [other]) == []


@draws.law(30)
@given(
    seed=st.integers(0, 50), plant=st.sampled_from(PLANTS),
    since=st.integers(80, 150), cut=st.integers(60, 200), place=st.integers(0, 2),
)  # fmt: skip
def test_nights_one_after_the_other_find_what_one_look_finds(
    seed: int, plant: Plant, since: int, cut: int, place: int
) -> None:
    """Each night judges the days after what is known, and knows nothing of days to come."""
    tenants = drift_nights.lake(seed, (8, 60, 500))
    tenants[place] = plant.applied(tenants[place], DAYS[since])
    for table in drift_nights.tables(tenants):
        whole = drift.judge(table, DAYS[40], DAYS[200])
        first = drift.judge(table, DAYS[40], DAYS[cut - 1])
        known = [one for one in first if one.since < DAYS[cut]]
        assert drift.judge(table, DAYS[cut], DAYS[200], known) == whole
        told = {(*one.series, one.since) for one in whole if one.noticed < DAYS[cut]}
        assert {(*one.series, one.since) for one in first} == told


def test_a_year_of_good_nights_has_no_problem() -> None:
    """The first of the lakes that `make torture` draws; its tables are printed there."""
    said = []
    for sizes in (drift_nights.MAILBOXES, (5,), (60,), (5_000,), (8, 15)):
        tenants = drift_nights.lake(7, sizes)
        said += drift_nights.problems(tenants)
    assert said == []


@pytest.mark.parametrize("plant", PLANTS, ids=lambda one: one.text)
def test_each_planted_drift_is_told_in_time(plant: Plant) -> None:
    found = list(drift_nights.plant_in(drift_nights.lake(500), 1, 1, (plant,)))
    assert [one.shown for one in found if one.is_late] == []
    assert any(one.nights == 0 for one in found if one.is_big)
