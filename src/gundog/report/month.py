"""A month in numbers, for a customer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from statistics import median
from typing import Any

import duckdb

from gundog.core.severity import SEVERITIES
from gundog.core.times import DAY, Interval, split
from gundog.report import trust
from gundog.report.model import GridRow, Month
from gundog.report.scope import Scope, rows

_MOST_GAPS = 20
_SEEN = "f.suppressed_by is null and d.status = 'stable'"


def of(
    con: duckdb.DuckDBPyConnection, scope: Scope, grid: Sequence[GridRow], month: Interval
) -> Month:
    """The month's numbers.

    Args:
        con: findings.duckdb, with the table `chosen`.
        scope: what the report is about.
        grid: the month's days of each detection.
        month: which one.
    """
    past = [day.start for day in split(month, DAY) if day.end <= scope.now]
    holes = {day: list(_lacking(grid, day)) for day in past}
    seen = rows(
        con,
        f"""select f.severity, f.verdict from findings as f
            inner join detections as d using (detection_id)
            where {_SEEN} and f.finding_id in (from chosen)""",
    )
    verdicts = Counter(row["verdict"] for row in seen if row["verdict"])
    severities = Counter(row["severity"] for row in seen)
    took = _took(con)
    gaps = list(_gaps(holes))
    more = len(gaps) - _MOST_GAPS
    return Month(
        name=f"{month.start:%B %Y}",
        nights=len(past),
        hunted=sum(not some for some in holes.values()),
        gaps=(*gaps[:_MOST_GAPS], *([f"and {more} more"] if more > 0 else [])),
        findings=len(seen),
        by_severity=tuple((severity, severities[severity]) for severity in reversed(SEVERITIES)),
        verdicts=tuple(sorted(verdicts.items(), key=lambda pair: (-pair[1], pair[0]))),
        judged=len(took),
        median=timedelta(seconds=median(took)) if took else None,
    )


def _gaps(holes: Mapping[datetime, Sequence[str]]) -> Iterator[str]:
    """Each gap with why; nights in a row that lack the same are one."""
    for reasons, days in groupby(holes, key=lambda day: holes[day]):
        nights = list(days)
        if reasons:
            first, last = f"{nights[0]:%Y-%m-%d}", f"{nights[-1]:%Y-%m-%d}"
            span = f"{first} to {last} ({len(nights)} nights)" if len(nights) > 1 else first
            yield f"{span}: {', '.join(reasons)}"


def _lacking(grid: Sequence[GridRow], day: datetime) -> Iterator[str]:
    """The detections that did not look at a day, each with why.

    One that does not run, or had not begun, lacks nothing; a day of which nothing is known does.
    """
    if all(cell.state == "none" for row in grid for cell in row.cells if cell.day == day):
        yield "nothing was hunted"
        return
    for row in grid:
        began = next((cell.day for cell in row.cells if cell.state != "none"), None)
        state = next((cell.state for cell in row.cells if cell.day == day), "none")
        is_gap = state in trust.GAPS or (state == "none" and began is not None and began < day)
        if is_gap and not row.idle and row.status != "deprecated":
            yield f"{row.detection} {trust.WORDS[state]}"


def _took(con: duckdb.DuckDBPyConnection) -> list[float]:
    """Seconds from when each judged finding was stored to its first verdict."""
    judged: Sequence[Mapping[str, Any]] = rows(
        con,
        f"""select min(t.said_at) - f.created_at as took from findings as f
            inner join detections as d using (detection_id)
            inner join triage as t using (finding_id)
            where t.verdict is not null and {_SEEN} and f.finding_id in (from chosen)
            group by f.finding_id, f.created_at""",
    )
    return [row["took"].total_seconds() for row in judged if row["took"] is not None]
