"""Which rows of findings.duckdb a report is about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb

from gundog.core.errors import InputError
from gundog.core.fields import unknown
from gundog.core.times import DAY, Interval, floor
from gundog.report.asked import ENTITY_COLUMNS, Asked
from gundog.report.night import Night
from gundog.warehouse import database

# What a report reads, beside columns that every version has had.
_NEEDS = {
    "runs": {"asked_range", "clock_doubt", "problems", "version"},
    "findings": {"suppressed_by", "suppressed_count", "triage_status", "tenant"},
    "finding_changes": {"before", "reason", "changed_at"},
    "triage": {"said_at", "verdict"},
    "series_points": {"upper", "data_state"},
    "detections": {"stem", "triage", "blind_spots"},
    "exceptions": {"exception_id", "expires"},
    "risk_by_entity": {"risk_7d", "findings"},
}


@dataclass(frozen=True)
class Scope:
    """What a report is about, found out from what it is asked for.

    Attributes:
        asked: what was asked for.
        now: the moment of the report, in UTC.
        since: what was stored after this moment is new; None when all of it is.
        since_what: the same in words.
        newest: the end of the newest interval hunted; `now` when there is none.
        span: the days of the grid, whole days in UTC.
        detections: rows of `detections` in the scope, by file stem.
    """

    asked: Asked
    now: datetime
    since: datetime | None
    since_what: str
    newest: datetime
    span: Interval
    detections: tuple[dict[str, Any], ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its detections."""
        return tuple(str(row["detection_id"]) for row in self.detections)


def check_version(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Raises InputError when an older gundog wrote the file, or another program did.

    Args:
        con: the file.
        name: how to call it.
    """
    columns = con.execute("select table_name, column_name from duckdb_columns()").fetchall()
    held = defaultdict[str, set[str]](set)
    for table, column in columns:
        held[table].add(column)
    for table, needed in _NEEDS.items():
        if lacking := sorted(needed - held[table]):
            raise InputError(
                f"{name}: {table} has no {', '.join(lacking)}, so an older gundog or another"
                " program wrote it: run `gundog hunt`, which writes the file again"
            )


def settle(con: duckdb.DuckDBPyConnection, asked: Asked, night: Night) -> Scope:
    """What the report is about; makes the temporary table `chosen`, the ids of its findings.

    Raises:
        InputError: when a detection or tenant is asked for that the file does not know.
    """
    _check_tenant(con, asked.tenant)
    detections = _detections(con, asked.detection)
    newest = _newest(con, night.now)
    since, words = _since(con, asked)
    scope = Scope(
        asked, night.now, since, words, newest, _span(asked, night, newest), tuple(detections)
    )
    where, values = condition(scope)
    con.execute("drop table if exists chosen")
    con.execute(
        f"""create temp table chosen as select finding_id from findings where {where}
            and ($from is null or (end_time >= $from and end_time < $to))""",
        {**values, "from": _edge(asked.month, "start"), "to": _edge(asked.month, "end")},
    )
    return scope


def _edge(month: Interval | None, side: str) -> datetime | None:
    return getattr(month, side) if month else None


def condition(scope: Scope) -> tuple[str, dict[str, Any]]:
    """SQL that holds for rows of the scope, whatever table has their columns, and its values."""
    asked = scope.asked
    column = ENTITY_COLUMNS[asked.entity.kind] if asked.entity else "tenant"
    sql = f"""($tenant is null or lower(coalesce(tenant, '')) = lower($tenant))
        and ($entity is null or lower({column}) = lower($entity))
        and ($all or detection_id::varchar in (select unnest($ids)))"""
    values = {
        "tenant": asked.tenant,
        "entity": asked.entity.name if asked.entity else None,
        "all": asked.detection is None,
        "ids": list(scope.ids) or [""],
    }
    return sql, values


def _detections(con: duckdb.DuckDBPyConnection, name: str | None) -> list[dict[str, Any]]:
    rows = database.rows(con, "select * from detections order by stem")
    if name is None:
        return rows
    chosen = [
        row for row in rows if name.lower() in (row["stem"].lower(), str(row["detection_id"]))
    ]
    if not chosen:
        stems = [row["stem"] for row in rows]
        raise InputError(f"--detection {name!r}: {unknown(name, stems, 'detection')}")
    return chosen


def _check_tenant(con: duckdb.DuckDBPyConnection, tenant: str | None) -> None:
    if tenant is None:
        return
    named = tenants(con)
    if tenant.lower() not in {name.lower() for name in named}:
        if not any(named):
            raise InputError(f"--tenant {tenant!r}: no finding here has a tenant: leave it out")
        raise InputError(
            f"--tenant {tenant!r}: no finding, series or drift is of that tenant:"
            f" {unknown(tenant, [name for name in named if name], 'tenant')}"
        )


def tenants(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Every tenant that the file names; row that has no name is empty."""
    rows = con.execute(
        """select distinct tenant from (
               select coalesce(tenant, '') as tenant from findings
               union all select tenant from drifts
               union all select series_key[:-3] from series_points where series_key like '%/*'
           ) order by tenant"""
    ).fetchall()
    return [row[0] for row in rows]


def _newest(con: duckdb.DuckDBPyConnection, now: datetime) -> datetime:
    [(newest,)] = con.execute(
        """select coalesce(
               (select max(interval_end) from run_intervals
                where state in ('provisional', 'final')),
               (select max(interval_end) from run_intervals),
               (select max(interval_end) from findings)
           )"""
    ).fetchall()
    return newest or now


def _span(asked: Asked, night: Night, newest: datetime) -> Interval:
    """The days of the grid: the month, or 14 days up to the newest that is or should be hunted."""
    if asked.month:
        return asked.month
    end = floor(newest + DAY - timedelta(microseconds=1), DAY)
    if night.nightly:
        end = max(end, floor(night.now, DAY))
    return Interval(end - 14 * DAY, end)


def _since(con: duckdb.DuckDBPyConnection, asked: Asked) -> tuple[datetime | None, str]:
    """From when on something is new, and in words."""
    if asked.month:
        return None, f"in {asked.month.start:%B %Y}"
    if asked.since:
        return asked.since - timedelta(microseconds=1), f"since {_day_or_minute(asked.since)}"
    runs = con.execute(
        """select started_at, not coalesce(asked_range, false) from runs
           where finished_at is not null and clock_doubt is null order by started_at"""
    ).fetchall()
    nights = [at for at, is_night in runs if is_night]
    if len(nights) > 1:
        return nights[-2], f"since the nightly run of {_day_or_minute(nights[-2])}"
    return None, "no earlier nightly run to compare with, so everything is new"


def _day_or_minute(moment: datetime) -> str:
    whole = moment.replace(hour=0, minute=0, second=0, microsecond=0) == moment
    return f"{moment:%Y-%m-%d}" if whole else f"{moment:%Y-%m-%d %H:%M} UTC"


def rows(con: duckdb.DuckDBPyConnection, sql: str, values: Any = None) -> Sequence[dict[str, Any]]:
    """Rows of a query that may name `chosen`."""
    return database.rows(con, sql, values)
