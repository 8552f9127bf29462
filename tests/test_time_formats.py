"""Tests of lake.time_formats, and of times that are read by them, in parquet and in JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gundog.lake import time_formats
from gundog.lake.path import LakePath
from tests.lab import NOON, STAGE, Lab, good

NS = "select id, event_time, nano from {} order by id"
NANO = STAGE.replace("    Flag as flag", "    Flag as flag,\n    timestamp_ns as nano")
AT = NOON + timedelta(microseconds=123456)
EPOCH_NS = int(NOON.timestamp()) * 10**9 + 123_456_700


def read(root: Path, values: list[Any], kind: str, **options: Any) -> list[tuple[Any, ...]]:
    """Stages rows with these times, as parquet or as JSON lines."""
    lab = Lab(root / kind, {"mail": NANO})
    lab.path = LakePath("lake/date=%Y-%m-%d/*.*", said_format=kind, **options)
    if kind == "parquet":
        times = pa.array(values)
        lab.put(good(*range(len(values))).set_column(0, "Timestamp", times))
    else:
        path = lab.put(b"", "a").with_suffix(".json")
        path.with_suffix(".parquet").unlink()
        rows = [{"Timestamp": value, "Id": place} for place, value in enumerate(values)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lab.stage()
    rows_ = lab.rows(NS.format(lab.stages[0].table))
    lab.opened.close()
    return rows_


@pytest.mark.parametrize("kind", ["parquet", "json"])
@pytest.mark.parametrize(
    ("said", "value", "nanoseconds"),
    [
        ("%d/%m/%Y %H:%M:%S.%f", "09/03/2026 12:00:00.1234567", EPOCH_NS),
        ("%m/%d/%Y, %I:%M:%S.%f %p", "3/9/2026, 12:00:00.123 PM", EPOCH_NS // 10**6 * 10**6),
        ("%d %b %Y %H:%M:%S %z", "09 Mar 2026 14:00:00 +02:00", EPOCH_NS // 10**9 * 10**9),
        ("epoch-milliseconds", EPOCH_NS // 10**6, EPOCH_NS // 10**6 * 10**6),
        ("epoch-seconds", str(EPOCH_NS // 10**9), EPOCH_NS // 10**9 * 10**9),
        ("epoch-nanoseconds", EPOCH_NS, EPOCH_NS),
    ],
)
def test_odd_times_are_read(
    tmp_path: Path, kind: str, said: str, value: Any, nanoseconds: int
) -> None:
    """To the nanosecond, where the file has it."""
    ((_, time, nano),) = read(tmp_path, [value], kind, time_format=said)

    assert nano == nanoseconds
    assert time == datetime.fromtimestamp(nanoseconds // 10**9, UTC) + timedelta(
        microseconds=nanoseconds % 10**9 // 1000
    )


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_texts_in_no_such_format_are_read_as_ever(tmp_path: Path, kind: str) -> None:
    """A lake may have both, and what is neither is a row without a time."""
    values = ["09/03/2026 12:00:00", "2026-03-09T12:00:00.1234567Z", "soon", None]
    rows = read(tmp_path, values, kind, time_format="%d/%m/%Y %H:%M:%S")

    assert [time for _, time, _ in rows] == [NOON, AT, None, None]
    assert rows[1][2] == EPOCH_NS


@pytest.mark.parametrize("exporter", ["log-analytics", "azure-data-explorer"])
@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_exporters_write_milliseconds(tmp_path: Path, kind: str, exporter: str) -> None:
    """Where they write numbers; in other units events would lie outside of all years."""
    milliseconds = EPOCH_NS // 10**6
    rows = read(tmp_path, [milliseconds, 5, milliseconds * 10**6], kind, exporter=exporter)

    assert [time for _, time, _ in rows] == [NOON + timedelta(milliseconds=123), None, None]


def test_known_formats_are_formats() -> None:
    """Each may be written under timeFormat."""
    assert [text for text in time_formats.KNOWN if time_formats.problem(text)] == []
    assert [text for text in time_formats.EPOCHS if time_formats.problem(text)] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [("%d.%m.%Y %c", "holds %c"), ("%H:%M", "has no %Y and no %m and no %d"), ("%Y %j", None),
     ("%Y-%m", "has no %d"), ("unix", "is an unknown format"), ("%", "holds %, an unknown")],
)  # fmt: skip
def test_what_is_no_format_is_named(text: str, problem: str | None) -> None:
    """Before a night."""
    told = time_formats.problem(text)

    assert told is None if problem is None else told is not None and told.startswith(problem)


@pytest.mark.parametrize(
    ("values", "unit"),
    [([1_762_000_000], "epoch-seconds"), ([1.762e9 + 0.5], "epoch-seconds"),
     ([EPOCH_NS // 1000, EPOCH_NS // 1000 + 9], "epoch-microseconds"), ([EPOCH_NS],
     "epoch-nanoseconds"), ([7, 1_762_000_000], ""), ([], ""), ([20260309], "")],
)  # fmt: skip
def test_units_of_numbers_are_guessed(values: list[float], unit: str) -> None:
    """From the years that events may have, which no two units share."""
    assert time_formats.of_numbers(values) == unit
