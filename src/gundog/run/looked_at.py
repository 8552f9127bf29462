"""What the silence of each detection rests on: rows and mailboxes that its newest interval had."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

import duckdb

from gundog.core.times import DAY, Interval
from gundog.detections.hunt import Hunt
from gundog.hunting import tenancy
from gundog.warehouse import context_columns, database

# From so many days of history on a series is scored.
LEARNING = 14 * DAY
SILENT = 30 * DAY
_ByTenant = dict[str, dict[str, Any]]

# Rows, by tenant, of the days that the interval touches.
_ROWS = """
    select tenant, sum(rows)::bigint as rows from day_counts
    where list_contains($stages::varchar[], stage) and code >= 0
    and day > $start::timestamptz - interval 24 hours and day < $end
    group by tenant"""

# Mailboxes, or whatever else the staged table keeps contexts of.
_MAILBOXES = """
    select tenant, count(*) filter (where last_time >= $start) as mailboxes,
           count(*) filter (where last_time < $silent) as silent
    from (select tenant, entity, max(last_time) as last_time from contexts
          where list_contains($stages::varchar[], stage) and kind = $itself
          and first_time < $end group by tenant, entity)
    group by tenant"""

_SERIES = """
    select replace(replace(split_part(series_key, '/', $place), '%2F', '/'), '%25', '%') as tenant,
           count(distinct series_key) as mailboxes,
           count(distinct series_key) filter (where data_state = 'throttled') as throttled
    from series_points
    where detection_id = $detection and interval_start = $start and interval_end = $end
    and not regexp_full_match(series_key, '[^/]*(/\\*)+')
    group by tenant"""


def record(con: duckdb.DuckDBPyConnection, hunts: Iterable[Hunt]) -> None:
    """Replaces what the newest interval of each detection had, by tenant.

    Args:
        con: the warehouse, writable, outside a transaction.
        hunts: the detections as they are now.
    """
    counts = cache(partial(_counts, con))  # hunts that share staged tables share the answer
    rows = [row for hunt in hunts for row in _of(con, hunt, counts)]
    with database.transaction(con):
        con.execute("delete from looked_at")
        database.insert(con, "looked_at", rows)


def _counts(
    con: duckdb.DuckDBPyConnection, stages: tuple[str, ...], start: datetime, end: datetime
) -> tuple[_ByTenant, _ByTenant]:
    """Rows, and mailboxes, of an interval in these staged tables."""
    seen = {"stages": list(stages), "start": start, "end": end}
    whose = {**seen, "silent": end - SILENT, "itself": context_columns.ITSELF}
    return _by_tenant(con, _ROWS, seen), _by_tenant(con, _MAILBOXES, whose)


def _of(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    counts: Callable[[tuple[str, ...], datetime, datetime], tuple[_ByTenant, _ByTenant]],
) -> Iterator[dict[str, Any]]:
    detection = hunt.detection
    newest = con.execute(
        """select interval_start, interval_end from run_intervals
           where detection_id = ? and detection_hash = ? and state = 'done'
           order by interval_start desc limit 1""",
        [detection.id, hunt.hash],
    ).fetchall()
    for start, end in newest:
        span = Interval(start, end)
        staged, by_stem = counts(tuple(stage.name for stage in hunt.needed), start, end)
        series = _series(con, hunt, span)
        since = tenancy.started(con, hunt.needed) if _may_be_learning(hunt) else {}
        for tenant in sorted(staged.keys() | series.keys()):
            mine = {**by_stem.get(tenant, {}), **series.get(tenant, {})}
            mailboxes = mine.get("mailboxes")
            learning = mailboxes if _is_learning(hunt, span, since.get(tenant)) else 0
            yield {
                "detection_id": detection.id,
                "tenant": tenant,
                "interval_start": start,
                "interval_end": end,
                "rows": staged.get(tenant, {}).get("rows", 0),
                "mailboxes": mailboxes,
                "scored": None if mailboxes is None else mailboxes - (learning or 0),
                "learning": None if mailboxes is None else learning,
                "throttled": mine.get("throttled"),
                # Of a tenant that has no record at all the source is silent, not a mailbox.
                "silent": mine.get("silent") if mailboxes else None,
            }


def _may_be_learning(hunt: Hunt) -> bool:
    return bool(hunt.detection.series) or hunt.needs_history


def _is_learning(hunt: Hunt, span: Interval, since: datetime | None) -> bool:
    """Whether nothing can be found yet, because too little of the past is staged."""
    needed: timedelta | None = None
    if hunt.detection.series:
        needed = LEARNING if hunt.detection.series.method == "forecast" else None
    elif hunt.needs_history:
        needed = hunt.detection.lookback
    return needed is not None and since is not None and since > span.start - needed


def _series(con: duckdb.DuckDBPyConnection, hunt: Hunt, span: Interval) -> _ByTenant:
    settings = hunt.detection.series
    if not settings or "tenant" not in settings.by:
        return {}
    asked = {"detection": hunt.detection.id, "start": span.start, "end": span.end}
    return _by_tenant(con, _SERIES, {**asked, "place": settings.by.index("tenant") + 1})


def _by_tenant(con: duckdb.DuckDBPyConnection, sql: str, params: dict[str, Any]) -> _ByTenant:
    rows = database.rows(con, sql, params)
    return {row.pop("tenant") or "": row for row in rows}
