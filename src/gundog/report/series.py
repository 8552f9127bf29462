"""The hours of series that findings are about: counted, expected, and which were flagged."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb

from gundog.core.times import DAY, parse_time
from gundog.report.scope import rows

# What a picture shows before the interval of its finding, and at most.
_BEFORE = DAY
_MOST_HOURS = 24 * 9


def points(
    con: duckdb.DuckDBPyConnection, findings: Sequence[Mapping[str, Any]]
) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The hours of each series finding's interval and of the day before, in order of time.

    Args:
        con: findings.duckdb.
        findings: rows of `findings`, of any kind.

    Returns:
        By finding id: hour, observed, expected, upper (each may be null), and flagged.
    """
    wanted = list(_wanted(findings))
    if not wanted:
        return {}
    told = {str(row["finding_id"]): _told(_details(row)) for row in findings}
    by_finding = defaultdict[str, list[Mapping[str, Any]]](list)
    for row in rows(
        con,
        """select w.finding_id, p."hour", p.observed, p.expected, p.upper, p.flagged
           from (select unnest($wanted, recursive := true)) as w
           inner join series_points as p
               on p.series_key = w.series_key
               and p.detection_id = w.detection_id::uuid
               and p."hour" >= w.from_time
               and p."hour" < w.to_time
           order by w.finding_id, p."hour" """,
        {"wanted": wanted},
    ):
        key = row["finding_id"]
        flagged = row["flagged"] or row["hour"] in told[key]
        by_finding[key].append({**row, "flagged": flagged})
    return {key: hours[-_MOST_HOURS:] for key, hours in by_finding.items()}


def _wanted(findings: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in findings:
        key = _details(row).get("series_key")
        if row["kind"] == "series" and isinstance(key, str):
            yield {
                "finding_id": str(row["finding_id"]),
                "detection_id": str(row["detection_id"]),
                "series_key": key,
                "from_time": row["interval_start"] - _BEFORE,
                "to_time": row["interval_end"],
            }


def _details(row: Mapping[str, Any]) -> Mapping[str, Any]:
    details = json.loads(row["details"] or "{}")
    return details if isinstance(details, dict) else {}


def _told(details: Mapping[str, Any]) -> set[datetime]:
    """The hours that the finding itself names."""
    hours = details.get("hours")
    return {
        parse_time(hour["hour"])
        for hour in (hours if isinstance(hours, list) else ())
        if isinstance(hour, dict) and isinstance(hour.get("hour"), str)
    }
