"""What the footers tell of hours is what the rows say, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gundog.core.times import HOUR_US
from gundog.lake import footers
from gundog.lake.footers import Span
from gundog.staging import reading
from tests import draws
from tests.lab import NOON, STAGE, Lab, good

HOUR = timedelta(hours=1)
TIMES = st.builds(
    lambda hour, us: hour * HOUR_US + us, st.integers(-3, 3), st.integers(0, HOUR_US - 1)
)


def counted(times: list[int | None]) -> dict[int, Span]:
    """The same by looking at every time."""
    found: dict[int, Span] = {}
    for one in times:
        if one is not None:
            span = found.setdefault(one // HOUR_US, Span(0, one, one))
            span.rows += 1
            span.first, span.last = min(span.first, one), max(span.last, one)
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(st.none() | TIMES, max_size=12), rows=st.integers(1, 4), in_order=st.booleans()
)
def test_footer_tells_what_the_rows_say_or_nothing(
    tmp_path: Path, times: list[int | None], rows: int, in_order: bool
) -> None:
    """Nothing when a row group reaches into a second hour or lacks a time."""
    times = sorted(times, key=lambda one: one or 0) if in_order else times
    table = pa.table({"n": range(len(times)), "t": pa.array(times, pa.timestamp("us", "UTC"))})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=rows)

    groups = [times[low : low + rows] for low in range(0, len(times), rows)]
    is_told = all(None not in one and len(counted(one)) == 1 for one in groups)
    assert footers.hours(tmp_path / "x.parquet", "t") == (counted(times) if is_told else None)


@pytest.mark.parametrize(
    ("times", "is_told"),
    [
        (pa.array([NOON], pa.timestamp("us", "UTC")), True),
        (pa.array([NOON], pa.timestamp("ms", "America/New_York")), True),
        (pa.array([NOON], pa.timestamp("ns", "UTC")), False),
        (pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us")), False),
        (pa.array(["2026-03-09T12:00:00Z"]), False),
        (pa.array([[NOON]], pa.list_(pa.timestamp("us", "UTC"))), False),
    ],
)
def test_only_instants_in_us_or_ms_are_told(tmp_path: Path, times: pa.Array, is_told: bool) -> None:
    """Whatever needs a cast is left to DuckDB; a zone is only how an instant is shown."""
    pq.write_table(pa.table({"a": [{"t": 1}], "t": times}), tmp_path / "x.parquet")
    noon = int(NOON.timestamp()) * 1_000_000

    found = footers.hours(tmp_path / "x.parquet", "t")

    assert found == ({noon // HOUR_US: Span(1, noon, noon)} if is_told else None)


def test_file_without_statistics_tells_nothing(tmp_path: Path) -> None:
    """Some writers leave them out."""
    table = pa.table({"t": pa.array([NOON], pa.timestamp("us", "UTC"))})
    pq.write_table(table, tmp_path / "x.parquet", write_statistics=False)

    assert footers.hours(tmp_path / "x.parquet", "t") is None


def test_name_that_two_columns_have_tells_nothing(tmp_path: Path) -> None:
    """DuckDB renames the second one; which is meant is for it to say."""
    times = pa.array([NOON], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table([times, times], names=["t", "t"]), tmp_path / "x.parquet")

    assert footers.hours(tmp_path / "x.parquet", "t") is None
    assert footers.hours(tmp_path / "x.parquet", "other") is None


LAKES: dict[str, list[Any]] = {
    "an hour each": [[NOON, NOON + HOUR / 2], [NOON + HOUR]],
    "two hours": [[NOON, NOON + HOUR]],
    "a clock fault": [[datetime(1601, 1, 1, tzinfo=UTC)], [NOON]],
    "no time": [[None, NOON], [NOON]],
    "no rows": [[], []],
    "some rows": [[], [NOON]],
}


@pytest.mark.parametrize("name", draws.spread(LAKES, 2))
def test_hours_are_the_same_from_footers_and_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """How large a file is decides how its hours are counted, never what they are."""
    found = []
    for limit in (0, reading._LARGE):
        monkeypatch.setattr(reading, "_LARGE", limit)
        (tmp_path / str(limit)).mkdir()
        lab = Lab(tmp_path / str(limit), {"mail": STAGE})
        for number, times in enumerate(LAKES[name]):
            rows = pa.concat_tables([good(n) for n in range(len(times))] or [good(0).slice(1)])
            stamps = pa.array(times, pa.timestamp("us", "UTC"))
            named = rows.set_column(rows.schema.get_field_index("Timestamp"), "TIMESTAMP", stamps)
            lab.put(named, f"f{number}")
        lab.stage()
        found.append(lab.rows("select * from source_hours order by all"))
        found.append(
            lab.rows("select path, state, min_time, max_time from source_files order by 1")
        )
        lab.opened.close()

    assert found[:2] == found[2:]


def test_rows_are_not_asked_where_footers_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the test above compares nothing."""

    def never(*args: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(reading, "_LARGE", 0)
    monkeypatch.setattr(reading, "_hours_read", never)
    lab = Lab(tmp_path, {"mail": STAGE})
    lab.put(good(1))
    lab.stage()

    assert lab.rows("select rows from source_hours") == [(1,)]
    lab.opened.close()
