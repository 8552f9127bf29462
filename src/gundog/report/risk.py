"""Who first: entities by the risk of their findings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb

from gundog.core.times import DAY, Interval, ceil, floor, split
from gundog.findings import views
from gundog.report import charts
from gundog.report.asked import Entity
from gundog.report.model import Risky
from gundog.report.scope import Scope, rows

SHOWN = 15
_DAYS = 30


def of(con: duckdb.DuckDBPyConnection, scope: Scope) -> tuple[tuple[Risky, ...], int]:
    """The riskiest entities of the scope, and how many more have any risk.

    As the view `risk_by_entity` counts: its findings, over the days before the newest interval
    that was hunted. Of a month: over that month, without the column of 7 days.
    """
    daily = _month(con) if scope.asked.month else _recent(con)
    ranked = sorted(
        (_risky(entity, some, _days(scope)) for entity, some in daily.items()),
        key=lambda risky: (-risky.risk_30d, -risky.risk_7d, risky.entity.kind, risky.entity.name),
    )
    asked = scope.asked.entity
    if asked:
        ranked = [
            risky
            for risky in ranked
            if (risky.entity.kind, risky.entity.name.lower()) == (asked.kind, asked.name.lower())
        ]
    return tuple(ranked[:SHOWN]), max(len(ranked) - SHOWN, 0)


def anchor(entity: Entity) -> str:
    """The anchor of an entity's part of the page; it says nothing of the name."""
    said = "\0".join((entity.kind, entity.name.lower(), entity.tenant))
    return f"entity-{hashlib.sha256(said.encode('utf-8', 'replace')).hexdigest()[:16]}"


_Daily = dict[Entity, list[tuple[datetime, int, str]]]


def _recent(con: duckdb.DuckDBPyConnection) -> _Daily:
    return _grouped(
        rows(
            con,
            f"""with named as (
                    select kind, name, tenant, unnest(findings) as finding_id
                    from risk_by_entity
                )

                select n.kind, n.name, n.tenant, f.finding_id, f.end_time, {views.RISK} as risk
                from named as n inner join findings as f using (finding_id)
                where finding_id in (from chosen)""",
        )
    )


def _month(con: duckdb.DuckDBPyConnection) -> _Daily:
    """The same sums over a month, of which the view knows nothing."""
    return _grouped(
        rows(
            con,
            f"""with counted as (
                    select f.*, {views.RISK} as risk
                    from findings as f inner join detections as d using (detection_id)
                    where d.status = 'stable' and f.suppressed_by is null
                    and coalesce(f.verdict, '') not in ({views.HARMLESS})
                    and finding_id in (from chosen)
                )

                select finding_id, end_time, risk, coalesce(tenant, '') as tenant, unnest([
                    {{'kind': 'host', 'name': host_name}},
                    {{'kind': 'account', 'name': account_name}},
                    {{'kind': 'mailbox', 'name': mailbox}}
                ], recursive := true)
                from counted""",
        )
    )


def _grouped(named: Iterable[Mapping[str, Any]]) -> _Daily:
    daily: _Daily = {}
    for row in named:
        if row["name"] in (None, "", "*"):
            continue
        entity = Entity(row["kind"], row["name"], row["tenant"] or "")
        daily.setdefault(entity, []).append((row["end_time"], row["risk"], str(row["finding_id"])))
    return daily


def _days(scope: Scope) -> Interval:
    if scope.asked.month:
        return scope.asked.month
    return Interval(scope.newest - _DAYS * DAY, scope.newest)


def _risky(entity: Entity, some: Sequence[tuple[datetime, int, str]], span: Interval) -> Risky:
    """An entity's sums and line; a finding that ends with the span lies in its last day."""
    days = [day.start for day in split(Interval(floor(span.start, DAY), ceil(span.end, DAY)), DAY)]
    heights = dict.fromkeys(days, 0)
    for end, risk, _ in some:
        day = min(max(floor(end, DAY), days[0]), days[-1])
        heights[day] += risk
    recent = sum(risk for end, risk, _ in some if end > span.end - 7 * DAY)
    return Risky(
        entity,
        anchor(entity),
        recent,
        sum(risk for _, risk, _ in some),
        len({finding for _, _, finding in some}),
        charts.bars(list(heights.values())),
    )
