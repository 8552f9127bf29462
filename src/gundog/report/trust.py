"""Can this night be trusted: what was hunted on each day, and how new the data is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb

from gundog.core.times import DAY, Interval, floor, split
from gundog.report import silence
from gundog.report.model import Cell, Fresh, GridRow, Problem, Trust
from gundog.report.night import Night
from gundog.report.scope import Scope, rows, tenants

# The worst first: a day shows the worst of its intervals. Each has a sign beside its colour.
STATES = {
    "failed": "✗",
    "no_data": "∅",
    "missing": "?",
    "stale": "!",
    "learning": "…",
    "provisional": "~",
    "final": "✓",
    "none": "·",
}
WORDS = {
    "failed": "failed",
    "no_data": "no data",
    "missing": "never hunted",
    "stale": "events changed since the hunt",
    "learning": "learning: does not fire yet",
    "provisional": "hunted, late files may still change it",
    "final": "hunted, final",
    "none": "not hunted",
}
# What an interval of each state says of whether everything was looked at.
GAPS = ("failed", "no_data", "missing", "stale")


def of(con: duckdb.DuckDBPyConnection, scope: Scope, night: Night) -> Trust:
    """The trust part of the page."""
    return Trust(
        problems=tuple(Problem(item.kind, item.text) for item in night.troubles),
        notes=night.notes,
        acknowledged=tuple(text for _, text in night.acknowledged),
        days=tuple(day.start for day in split(scope.span, DAY)),
        grid=tuple(grid(con, scope, night.idle)),
        sources=tuple(
            Fresh(
                item.name, item.newest, night.now - item.newest if item.newest else None,
                item.files, item.rows, item.rejected_rows,
            )
            for item in night.sources
        ),
        tenants=_tenants(con, scope),
        silence=silence.of(con, scope),
        left_out=night.left_out,
    )  # fmt: skip


def grid(
    con: duckdb.DuckDBPyConnection, scope: Scope, idle: Mapping[str, str]
) -> Iterable[GridRow]:
    """A row for each detection that runs or has run in these days."""
    ledger = _ledger(con, scope)
    counts = {
        (str(row["detection_id"]), row["day"]): row["n"]
        for row in rows(
            con,
            """select detection_id, date_trunc('day', interval_start) as day, count(*) as n
               from findings where finding_id in (from chosen) group by all""",
        )
    }
    for detection in scope.detections:
        key = str(detection["detection_id"])
        states = _by_day(ledger[key], scope.span)
        if detection["status"] == "deprecated" and not states:
            continue
        yield GridRow(
            detection["stem"],
            detection["status"],
            tuple(
                Cell(day.start, states.get(day.start, "none"), counts.get((key, day.start), 0))
                for day in split(scope.span, DAY)
            ),
            idle.get(detection["stem"], ""),
        )


def _ledger(
    con: duckdb.DuckDBPyConnection, scope: Scope
) -> defaultdict[str, list[Mapping[str, Any]]]:
    """Intervals in the grid's days by detection, of the detection as it is now where it has any."""
    by_detection = defaultdict[str, list[Mapping[str, Any]]](list)
    for row in rows(
        con,
        """select r.detection_id, r.interval_start, r.interval_end, r.state, r.note
           from run_intervals as r
           where r.interval_end > $start and r.interval_start < $end
           qualify row_number() over (
               partition by r.detection_id, r.interval_start, r.interval_end
               order by r.detection_hash in (
                   select d.detection_hash from detections as d
                   where d.detection_id = r.detection_id
               ) desc, r.updated_at desc nulls last
           ) = 1""",
        {"start": scope.span.start, "end": scope.span.end},
    ):
        by_detection[str(row["detection_id"])].append(row)
    return by_detection


def _by_day(intervals: Iterable[Mapping[str, Any]], span: Interval) -> dict[datetime, str]:
    """The worst state of each day that an interval covers a part of."""
    worst = dict[datetime, str]()
    order = list(STATES)
    for row in intervals:
        state = state_of(row)
        first = max(floor(row["interval_start"], DAY), span.start)
        last = min(row["interval_end"], span.end)
        day = first
        while day < last:
            worst[day] = min(worst.get(day, "none"), state, key=order.index)
            day += DAY
    return worst


def state_of(row: Mapping[str, Any]) -> str:
    """What the grid calls a row of `run_intervals`.

    >>> state_of({"state": "final", "note": "learning until 2026-10-26T00:00:00Z"})
    'learning'
    """
    if row["state"] in ("provisional", "final") and (row["note"] or "").startswith("learning"):
        return "learning"
    return str(row["state"]) if row["state"] in STATES else "failed"


def _tenants(con: duckdb.DuckDBPyConnection, scope: Scope) -> tuple[Fresh, ...]:
    """The newest hour with events of each tenant's own series, where there are several tenants."""
    named = [name for name in tenants(con) if name]
    asked = scope.asked.tenant
    if not named:
        return ()
    newest: Sequence[Mapping[str, Any]] = rows(
        con,
        """select series_key[:-3] as tenant, max("hour") + interval 1 hour as newest
           from series_points
           where series_key like '%/*' and data_state = 'observed' and observed > 0
           group by all""",
    )
    seen = {row["tenant"]: row["newest"] for row in newest}
    return tuple(
        Fresh(name, seen.get(name), scope.now - seen[name] if name in seen else None)
        for name in named
        if asked is None or name.lower() == asked.lower()
    )
