"""Drifts in a project: runs name them, `status` shows them until they are mended or known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gundog.core.times import parse_time
from gundog.findings import reader
from gundog.health import drift
from gundog.health.drift import Drift
from gundog.health.watch import Trouble
from gundog.project.project import load_project
from gundog.run import drift_faults, status
from gundog.run.outcome import Outcome
from gundog.warehouse import database
from tests import draws, kit
from tests.kit import DAY, event, write_file, write_text
from tests.sinks import Sink

FIRST, NIGHT = parse_time("2026-02-02"), parse_time("2026-03-06")  # a Monday, a Friday
NOW = NIGHT + 2 * DAY
RANGE = ("2026-03-06", "2026-03-06")
Shape = Callable[[dict[str, Any]], dict[str, Any]]


def same(row: dict[str, Any]) -> dict[str, Any]:
    return row


def unreadable(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "N": -1}


def without_key(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "Who": ""}


def left_out(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "Kind": None}


def day(root: Path, at: datetime, shape: Shape = same, tenant: str | None = None) -> None:
    """A working day's file: 120 rows of one kind, 80 that the stage leaves out."""
    if at.weekday() > 4:
        return
    text = f"{at:%Y-%m-%d}"
    rows = [shape(event(f"{text}T{8 + n % 9:02}:{n % 60:02}", "count", f"w{n % 7}", n))
            for n in range(120)]  # fmt: skip
    rows += [left_out(event(f"{text}T12:{n % 60:02}", "x", "w", 500 + n)) for n in range(80)]
    write_file(root, text, rows, tenant or "a", tenant=tenant)


def project(root: Path) -> Path:
    kit.make_project(root)
    stage = root / "sql/stage/happenings.sql"
    write_text(stage, f"-- Keys: who\n{stage.read_text()}")
    yaml = root / "detections/pair.yaml"
    write_text(yaml, yaml.read_text().replace("lookback: 1d", "lookback: 40d"))
    return root


@pytest.fixture(scope="module")
def good_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nearly five weeks of good days; the last Friday has not come yet."""
    made = project(tmp_path_factory.mktemp("good_days"))
    at = FIRST
    while at < NIGHT:
        day(made, at)
        at += DAY
    return made


@pytest.fixture
def root(good_days: Path, tmp_path: Path) -> Path:
    """A copy of them, for one test."""
    return kit.copy_project(good_days, tmp_path)


def hunt(root: Path, days: tuple[str, str] = RANGE, now: datetime = NOW) -> Outcome:
    return kit.hunt(root, days, now=now)


def troubles(root: Path, now: datetime = NOW) -> list[Trouble]:
    loaded = load_project(root, {})
    with reader.published(loaded.settings.findings) as con:
        found = status.read(con, status.known(loaded), now).troubles
    return [one for one in found if one.kind == "drift"]


def test_a_good_night_names_nothing(root: Path) -> None:
    day(root, NIGHT)
    assert hunt(root).exit_status == 0
    assert troubles(root) == []


def test_a_lake_that_is_slower_than_a_night_is_given_time(root: Path) -> None:
    """Rows that are wrong are told at once; rows that are missing when they should have come."""
    config = root / "gundog.yaml"
    write_text(config, f"{config.read_text()}freshness: 50h\n")
    day(root, NIGHT, left_out)
    assert hunt(root).exit_status == 0
    assert hunt(root, ("2026-03-07", "2026-03-07")).exit_status == 1
    day(root, NIGHT, unreadable)
    assert hunt(root).exit_status == 1


@pytest.mark.parametrize(
    ("shape", "kind", "said"),
    draws.spread(  # the others are made in quick tests of nights too
        [
            (left_out, drift.GONE, "no rows, usually 120 a day, while Things has other rows"),
            (unreadable, drift.REJECTED, "120 of 120 rows could not be read, usually 0%"),
            (without_key, drift.LACKING, "120 of 120 rows have no who, usually 0%"),
        ]
    ),
)
def test_each_drift_is_named_by_the_run_and_by_status(
    root: Path, shape: Shape, kind: str, said: str
) -> None:
    day(root, NIGHT, shape)
    done = hunt(root)
    assert done.exit_status == 1
    (health,) = done.health
    assert said in health.text
    assert kind in health.key
    (trouble,) = troubles(root)
    assert trouble.text.startswith(f"happenings: {said}")
    assert trouble.text.endswith("on 2026-03-06")
    assert (trouble.source, trouble.tenant, trouble.count) == ("happenings", None, 1)


def test_a_drift_is_one_message_however_many_nights(root: Path, sink: Sink) -> None:
    config = root / "gundog.yaml"
    write_text(config, f"{config.read_text()}notify: [{{name: soc, url: '{sink.url()}'}}]\n")
    keys = set()
    for turn in (0, 3, 4):
        day(root, NIGHT + turn * DAY, without_key)
        text = f"{NIGHT + turn * DAY:%Y-%m-%d}"
        done = hunt(root, (text, text), NIGHT + (turn + 1) * DAY)
        assert done.exit_status == 1
        keys |= {one.key for one in done.health}
    assert len(keys) == 1
    told = [one.body for one in sink.requests if "have no who" in str(one.body)]
    assert len(told) == 1
    (trouble,) = troubles(root, NIGHT + 5 * DAY)
    assert trouble.text.endswith("from 2026-03-06 to 2026-03-10")


@pytest.mark.slow
def test_a_drift_that_is_over_stays_until_its_days_are_mended(root: Path) -> None:
    day(root, NIGHT, unreadable)
    assert hunt(root).exit_status == 1
    monday = NIGHT + 3 * DAY
    day(root, monday)
    assert hunt(root, ("2026-03-09", "2026-03-09"), monday + DAY).exit_status == 0
    assert [one.count for one in troubles(root)] == [1]

    day(root, NIGHT)  # delivered again, as it should have been
    assert hunt(root, RANGE, monday + DAY).exit_status == 0
    assert troubles(root) == []


def test_days_that_are_known_are_no_problem(root: Path) -> None:
    entry = "- {source: happenings, from: 2026-03-06, to: 2026-03-06, kind: drift, reason: known}\n"
    write_text(root / "acknowledged.yaml", entry)
    day(root, NIGHT, unreadable)
    done = hunt(root)
    assert (done.exit_status, done.health) == (0, [])
    assert done.notes == ["acknowledged: drift: happenings on 2026-03-06: known"]
    assert troubles(root) == []

    monday = NIGHT + 3 * DAY
    day(root, monday, unreadable)
    assert hunt(root, ("2026-03-09", "2026-03-09"), monday + DAY).exit_status == 1
    (trouble,) = troubles(root, monday + DAY)
    assert trouble.text.endswith("from 2026-03-07 to 2026-03-09")


def test_a_tenant_that_fell_silent_is_named(tmp_path: Path) -> None:
    root = project(tmp_path)
    at = FIRST
    while at <= NIGHT:
        for tenant in ("one", "two")[: 1 if at == NIGHT else 2]:
            day(root, at, tenant=tenant)
        at += DAY
    done = hunt(root)
    assert done.exit_status == 1
    (trouble,) = troubles(root)
    assert trouble.text.startswith("Things of tenant two: no rows, usually 200 a day, while other")
    assert trouble.tenant == "two"


def test_changed_keys_are_judged_without_reading_the_lake(root: Path) -> None:
    day(root, NIGHT, without_key)
    stage = root / "sql/stage/happenings.sql"
    keyed = stage.read_text()
    write_text(stage, keyed.replace("-- Keys: who\n", ""))
    assert hunt(root).exit_status == 0
    write_text(stage, keyed)
    done = hunt(root)
    assert (done.files, done.exit_status) == (0, 1)
    write_text(stage, keyed.replace("-- Keys: who\n", ""))
    assert (hunt(root).exit_status, troubles(root)) == (0, [])


def test_a_file_of_an_older_version_has_no_drifts(root: Path) -> None:
    """A findings.duckdb without the table is read as it is."""
    day(root, NIGHT)
    hunt(root)
    path = load_project(root, {}).settings.findings
    con = database.connect(path)
    con.execute("drop table drifts")
    con.close()
    assert troubles(root) == []


def test_each_day_of_a_drift_is_a_fault() -> None:
    one = Drift(drift.SILENT, "Things", "", "", "t", 20_000, 20_002, 20_001, 0, 400, 200.0)
    found = drift_faults.faults(one)
    assert [fault.span.length for fault in found if fault.span] == [timedelta(days=1)] * 3
    assert {(fault.source, fault.tenant) for fault in found} == {("Things", "t")}
