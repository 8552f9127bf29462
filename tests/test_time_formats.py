"""Tests of lake.time_formats, and of times that are read by them, in parquet and in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gundog.lake import time_formats
from gundog.lake.path import LakePath
from tests.lab import NOON, STAGE, Lab, good

NANO = STAGE.replace("    Flag as flag", "    Flag as flag,\n    timestamp_ns as nano")
AT = NOON + timedelta(microseconds=123456)
EPOCH_NS = int(NOON.timestamp()) * 10**9 + 123_456_700


class Times:
    """A lab in which rows with some times are staged, as parquet or as JSON lines."""

    def __init__(self, root: Path, kind: str) -> None:
        self.kind, self.turn, self.lab = kind, 0, Lab(root, {"mail": NANO})

    def read(self, values: list[Any], **options: Any) -> list[tuple[Any, ...]]:
        """What a lake with these times alone gives its stage."""
        self.turn += 1
        lab, place = self.lab, f"lake/{self.turn}"
        lab.path = LakePath(f"{place}/*.{self.kind}", said_format=self.kind, **options)
        path = lab.root / place / f"a.{self.kind}"
        path.parent.mkdir(parents=True)
        if self.kind == "parquet":
            table = good(*range(len(values))).set_column(0, "Timestamp", pa.array(values))
            pq.write_table(table, path)
        else:
            rows = [{"Timestamp": value, "Id": number} for number, value in enumerate(values)]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        lab.stage()
        ours = "file_id in (select file_id from source_files where path like ?)"
        sql = f"select id, event_time, nano from {lab.stages[0].table} where {ours} order by id"
        return lab.rows(sql, [f"{place}/%"])


@pytest.fixture(params=["parquet", "json"])
def times(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Times]:
    """A lab for each kind of file."""
    made = Times(tmp_path, request.param)
    yield made
    made.lab.opened.close()


ODD = [
    ("%d/%m/%Y %H:%M:%S.%f", "09/03/2026 12:00:00.1234567", EPOCH_NS),
    ("%m/%d/%Y, %I:%M:%S.%f %p", "3/9/2026, 12:00:00.123 PM", EPOCH_NS // 10**6 * 10**6),
    ("%d %b %Y %H:%M:%S %z", "09 Mar 2026 14:00:00 +02:00", EPOCH_NS // 10**9 * 10**9),
    ("epoch-milliseconds", EPOCH_NS // 10**6, EPOCH_NS // 10**6 * 10**6),
    ("epoch-seconds", str(EPOCH_NS // 10**9), EPOCH_NS // 10**9 * 10**9),
    ("epoch-nanoseconds", EPOCH_NS, EPOCH_NS),
]


def test_odd_times_are_read(times: Times) -> None:
    """To the nanosecond, where the file has it."""
    for said, value, nanoseconds in ODD:
        ((_, time, nano),) = times.read([value], time_format=said)

        assert nano == nanoseconds, said
        assert time == datetime.fromtimestamp(nanoseconds // 10**9, UTC) + timedelta(
            microseconds=nanoseconds % 10**9 // 1000
        ), said


def test_texts_in_no_such_format_are_read_as_ever(times: Times) -> None:
    """A lake may have both, and what is neither is a row without a time."""
    values = ["09/03/2026 12:00:00", "2026-03-09T12:00:00.1234567Z", "soon", None]
    rows = times.read(values, time_format="%d/%m/%Y %H:%M:%S")

    assert [time for _, time, _ in rows] == [NOON, AT, None, None]
    assert rows[1][2] == EPOCH_NS


def test_exporters_write_milliseconds(times: Times) -> None:
    """Where they write numbers; in other units events would lie outside of all years."""
    milliseconds = EPOCH_NS // 10**6
    for exporter in ("log-analytics", "azure-data-explorer"):
        rows = times.read([milliseconds, 5, milliseconds * 10**6], exporter=exporter)

        expected = [NOON + timedelta(milliseconds=123), None, None]
        assert [time for _, time, _ in rows] == expected, exporter


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
