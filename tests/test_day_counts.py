"""Rows by tenant and day: counted while files are read, kept per file, counted again."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.detections import content
from gundog.health import drift
from gundog.health.drift import Table
from gundog.health.drift_series import moment, number
from gundog.staging import day_counts
from gundog.warehouse import database
from tests import draws
from tests.kit import write_text
from tests.lab import NOON, STAGE, Lab, good
from tests.lab import SOURCE as SOURCE_DDL

DAY = number(NOON)
KEYED = "-- Things.\n-- Keys: who, id | score\n" + STAGE
SOURCE, ROWS = "Cloud", "rows"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, {ROWS: KEYED})


def known(lab: Lab, first: int = DAY - 3, last: int = DAY + 3) -> tuple[Table, Table]:
    """What is known of the source, and of the stage."""
    alone, staged = day_counts.tables(lab.con, SOURCE, lab.stages, first, last)
    return alone, staged


def raw(*texts: str | None) -> pa.Array:
    return pa.array(texts, pa.string())


def test_rows_are_counted_by_what_they_lack(lab: Lab) -> None:
    """A key is lost when it is null or empty; one column of a bar is enough."""
    rows = good(
        1, 2, 3, 4,
        RawEventData=raw('{"Who": "ana"}', '{"Who": ""}', "{}", '{"Who": "ana"}'),
        Id=pa.array([1, None, None, None], pa.int64()),
        Score=pa.array([None, 0.5, None, None], pa.float64()),
    )  # fmt: skip
    lab.put(rows)
    lab.stage()
    _, staged = known(lab)
    assert staged.kept == {"": {DAY: 4}}
    assert staged.lacking == {"who": {"": {DAY: 2}}, "id | score": {"": {DAY: 2}}}
    assert (staged.rejected, staged.unknown) == ({}, frozenset())


def test_rows_that_are_set_aside_count_for_the_day_of_their_file(lab: Lab) -> None:
    """They may have no time of their own."""
    times = pa.array([NOON, None, None], pa.timestamp("us", "UTC"))
    lab.put(good(1, 2, 3, Timestamp=times))
    lab.stage()
    _, staged = known(lab)
    assert (staged.kept, staged.rejected) == ({"": {DAY: 1}}, {"": {DAY: 2}})


def test_a_file_that_changes_takes_its_counts_with_it(lab: Lab) -> None:
    lab.put(good(1, 2, 3))
    lab.put(good(4), "b")
    lab.stage()
    lab.put(good(1, at=NOON + timedelta(days=1)))
    lab.stage()
    alone, staged = known(lab)
    assert staged.kept == {"": {DAY: 1, DAY + 1: 1}}
    assert alone.given == staged.given == {"": {DAY: 1, DAY + 1: 1}}


def test_tenants_are_counted_apart(lab: Lab) -> None:
    lab.put(good(1, 2, 3, TenantId=raw("a", "b", None)))
    lab.stage()
    alone, staged = known(lab)
    assert staged.kept == alone.given == {"a": {DAY: 1}, "b": {DAY: 1}, "": {DAY: 1}}


def test_files_of_an_older_version_are_unknown(lab: Lab) -> None:
    lab.put(good(1))
    lab.put(good(2, at=NOON + timedelta(days=1)), "b", "2026-03-10")
    lab.stage()
    lab.con.execute(
        "delete from counted_files where file_id ="
        " (select file_id from source_files where path like '%/a.parquet')"
    )
    assert known(lab)[1].unknown == {DAY}
    lab.con.execute("update source_hours set tenant = null")
    alone, staged = known(lab)
    assert alone.unknown == staged.unknown == {DAY, DAY + 1}


def test_the_day_of_a_rejected_file_is_unknown_of_the_source(lab: Lab) -> None:
    """It is named as a rejected file; its tenant did not fall silent."""
    lab.put(good(1))
    lab.put(b"no parquet", "b", "2026-03-10")
    lab.stage()
    assert known(lab)[0].unknown == {DAY + 1}


def test_other_sql_or_other_keys_make_days_unknown_until_they_are_counted(lab: Lab) -> None:
    lab.put(good(1, RawEventData=raw("{}")))
    lab.stage()
    lab.write_stages({ROWS: KEYED.replace("who, id | score", "who")})
    assert known(lab)[1].unknown == {DAY}

    with database.transaction(lab.con):
        day_counts.follow_keys(lab.con, lab.stages)
    _, staged = known(lab)
    assert (staged.unknown, staged.lacking) == (frozenset(), {"who": {"": {DAY: 1}}})

    lab.write_stages({ROWS: KEYED.replace("Score as score", "Score + 1 as score")})
    with database.transaction(lab.con):
        day_counts.follow_keys(lab.con, lab.stages)
    assert known(lab)[1].unknown == {DAY}
    lab.stage()
    assert known(lab)[1].unknown == frozenset()


def test_keys_change_no_hash(lab: Lab) -> None:
    """Nobody has to read the lake again for them."""
    before = lab.stages[0].hash
    lab.write_stages({ROWS: STAGE})
    assert (lab.stages[0].hash, lab.stages[0].keys) == (before, ())
    lab.put(good(1))
    lab.stage()
    assert known(lab)[1].lacking == {}


def test_a_key_that_is_no_column_is_a_problem(tmp_path: Path) -> None:
    write_text(tmp_path / "sql/sources/Cloud.sql", SOURCE_DDL)
    write_text(tmp_path / "sql/stage/rows.sql", "-- Keys: whom\n" + STAGE)
    (problem,) = content.load([tmp_path]).problems
    assert "sql/stage/rows.sql: Keys: names 'whom': " in str(problem)


ROW = st.tuples(
    st.integers(-2, 2), st.sampled_from([None, "", "a", "b"]),
    st.sampled_from(["{}", '{"Who": ""}', '{"Who": "x"}', "broken", None]),
    st.sampled_from([None, 0.5]), st.booleans(),
)  # fmt: skip


@draws.law(15)
@given(files=st.lists(st.lists(ROW, min_size=1, max_size=8), min_size=1, max_size=3))
def test_counts_are_those_of_the_rows(
    files: list[list[Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Counted while reading, counted again by SQL, and counted by hand."""
    lab = Lab(tmp_path_factory.mktemp("lab"), {ROWS: KEYED})
    wanted = Counter[tuple[str, str, int]]()
    for turn, rows in enumerate(files):
        columns = list(zip(*rows, strict=True))
        times = [NOON + timedelta(days=day) for day in columns[0]]
        lab.put(
            good(
                *range(len(rows)),
                Timestamp=pa.array(times, pa.timestamp("us", "UTC")),
                TenantId=raw(*columns[1]), RawEventData=raw(*columns[2]),
                Id=pa.array([1 if held else None for held in columns[4]], pa.int64()),
                Score=pa.array(columns[3], pa.float64()),
            ),
            f"f{turn}",
        )  # fmt: skip
        for day, tenant, text, score, held in rows:
            wanted["kept", tenant or "", DAY + day] += 1
            wanted["who", tenant or "", DAY + day] += text != '{"Who": "x"}'
            wanted["id | score", tenant or "", DAY + day] += score is None and not held
    lab.stage()
    assert _flat(known(lab)[1]) == +wanted
    lab.con.execute("update counted_files set keys = 'other'")
    with database.transaction(lab.con):
        day_counts.follow_keys(lab.con, lab.stages)
    assert _flat(known(lab)[1]) == +wanted
    lab.opened.close()


def _flat(table: Table) -> Counter[tuple[str, str, int]]:
    found = Counter[tuple[str, str, int]]()
    for name, held in {"kept": table.kept, **table.lacking}.items():
        for tenant, rows in held.items():
            found.update({(name, tenant, day): count for day, count in rows.items()})
    return found


def test_a_day_has_a_number_and_a_beginning() -> None:
    start = datetime(2026, 3, 9, tzinfo=UTC)
    assert moment(number(NOON)) == start
    assert number(start - timedelta(microseconds=1)) == DAY - 1
    assert drift.REACH == 35
