"""How loud: findings of each detection by week, what people said of them, and who is silent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import duckdb

from gundog.core.times import WEEK, floor
from gundog.report import charts
from gundog.report.model import Loud, Loudness
from gundog.report.scope import Scope, rows

WEEKS = 8
SILENT = timedelta(days=90)


def of(con: duckdb.DuckDBPyConnection, scope: Scope) -> Loudness:
    """The loudness part: the last weeks, or those of the month."""
    weeks = _weeks(scope)
    counts, verdicts = _counts(con, weeks), _verdicts(con)
    loud_rows = tuple(
        _loud(row, [counts[str(row["detection_id"]), week] for week in weeks], verdicts)
        for row in scope.detections
        if row["status"] != "deprecated"
    )
    silent = () if scope.asked.month else tuple(_silent(con, scope))
    return Loudness(weeks, loud_rows, silent)


def _weeks(scope: Scope) -> tuple[datetime, ...]:
    """The Mondays on which weeks begin, oldest first."""
    month = scope.asked.month
    last = floor((month.end if month else scope.newest) - timedelta(microseconds=1), WEEK)
    first = floor(month.start, WEEK) if month else last - (WEEKS - 1) * WEEK
    return tuple(first + n * WEEK for n in range((last - first) // WEEK + 1))


def _counts(
    con: duckdb.DuckDBPyConnection, weeks: tuple[datetime, ...]
) -> Counter[tuple[str, datetime]]:
    counts = Counter[tuple[str, datetime]]()
    for row in rows(
        con,
        """select detection_id, date_trunc('week', end_time) as week, count(*) as n
           from findings where finding_id in (from chosen) and end_time >= $first
           group by all""",
        {"first": weeks[0]},
    ):
        counts[str(row["detection_id"]), row["week"]] += row["n"]
    return counts


def _verdicts(con: duckdb.DuckDBPyConnection) -> Mapping[str, Counter[str]]:
    verdicts = defaultdict[str, Counter[str]](Counter)
    for row in rows(
        con,
        """select detection_id, verdict, count(*) as n from findings
           where verdict is not null and finding_id in (from chosen) group by all""",
    ):
        verdicts[str(row["detection_id"])][row["verdict"]] += row["n"]
    return verdicts


def _loud(row: Mapping[str, Any], weeks: list[int], verdicts: Mapping[str, Counter[str]]) -> Loud:
    said = verdicts.get(str(row["detection_id"]), Counter())
    judged = sum(said.values())
    return Loud(
        row["stem"],
        row["status"],
        tuple(weeks),
        charts.bars(weeks),
        tuple(sorted(said.items(), key=lambda pair: (-pair[1], pair[0]))),
        said["false_positive"] / judged if judged else None,
    )


def _silent(con: duckdb.DuckDBPyConnection, scope: Scope) -> Iterator[tuple[str, str]]:
    """Detections that were hunted for 90 days without a finding, and since when."""
    began = {
        str(row["detection_id"]): row["began"]
        for row in rows(
            con,
            """select detection_id, min(interval_start) as began from run_intervals
               where state in ('provisional', 'final', 'stale') group by all""",
        )
    }
    newest = {
        str(row["detection_id"]): row["newest"]
        for row in rows(
            con,
            """select detection_id, max(end_time) as newest from findings
               where finding_id in (from chosen) group by all""",
        )
    }
    for row in scope.detections:
        key, edge = str(row["detection_id"]), scope.newest - SILENT
        is_young = key not in began or began[key] > edge
        if row["status"] == "deprecated" or is_young or (key in newest and newest[key] > edge):
            continue
        hunted = f"hunted since {began[key]:%Y-%m-%d}"
        last = f"newest finding {newest[key]:%Y-%m-%d}" if key in newest else "never a finding"
        yield row["stem"], f"{last}, {hunted}"
