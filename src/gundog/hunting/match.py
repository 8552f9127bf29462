"""Hits of a match detection: its SELECT over one interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from gundog.core import plain_values
from gundog.core.errors import QueryError
from gundog.core.times import Interval
from gundog.detections import checks
from gundog.detections.detection import Detection
from gundog.detections.hunt import Hunt
from gundog.detections.staged import StagedTable
from gundog.findings import model
from gundog.findings.model import Event, Hit
from gundog.hunting import tenancy
from gundog.warehouse import query


def match(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    interval: Interval,
    staged_from: datetime,
    left_out: Collection[str] = (),
) -> tuple[Hit, ...]:
    """The hits of a match detection over one interval, each tenant hunted alone.

    Args:
        con: a connection that sees the staged views, such as `query.sandbox`.
        hunt: the detection and its SQL.
        interval: what `$start` and `$end` are.
        staged_from: what `$staged_from` is where rows are not counted by tenant.
        left_out: tenants that are not hunted.

    Raises:
        QueryError: when the SQL fails, or two rows have the same identity.
    """
    return by_part(con, hunt, hunt.sql, interval, staged_from, left_out, {})


def by_part(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    sql: str,
    interval: Interval,
    staged_from: datetime,
    left_out: Collection[str],
    more: Mapping[str, Any],
) -> tuple[Hit, ...]:
    """What a SELECT of a detection finds in each tenant's rows.

    Args:
        con: as for `match`.
        hunt: the detection.
        sql: its SELECT.
        interval, staged_from, left_out: as for `match`.
        more: what the SELECT may name beside the usual parameters.

    Raises:
        QueryError: when the SQL fails, two rows have the same identity, or the rows need more
            memory as findings than the connection has.
    """
    hits = list[Hit]()
    needed = 0
    reach = interval.widen(hunt.detection.lookback)
    for part in tenancy.parts(con, hunt, reach, staged_from, left_out):
        with tenancy.only(con, hunt.stages, part):
            params = checks.bind_params(
                hunt.detection.params, interval.start, interval.end, part.staged_from
            )
            table = query.arrow(con, sql, {**params, **more})
            needed += _needed(table)
            _refuse_too_many(con, len(hits) + table.num_rows, needed)
            rows = table.to_pylist()
            # A hunt that does not tell whose rows it returns saw nobody else's.
            whose = {"tenant": part.tenant} if part.tenant else {}
            hits += to_hits(con, hunt, interval, [{**whose, **row} for row in rows])
    return tuple(hits)


# A run holds what a hunt found as Python values, and several times while it stores them. Measured
# were 32 kB for a finding of 85 columns.
_HELD = 4
_VALUE = 100  # bytes


def _needed(table: pa.Table) -> int:
    """About how many bytes a run needs for these rows as findings."""
    return int(_HELD * (table.nbytes + _VALUE * table.num_rows * table.num_columns))


def _refuse_too_many(con: duckdb.DuckDBPyConnection, rows: int, needed: int) -> None:
    """Raises QueryError where findings need more than the memory limit: they would end the run."""
    if needed > (limit := query.memory_limit_of(con)):
        raise QueryError(
            f"returns {rows:,} rows in one interval, which need {needed / 1e9:,.1f} GB as findings"
            f" (memoryLimit is {limit / 1e9:,.1f} GB): count or filter them in the SQL, or raise"
            " memoryLimit in gundog.yaml"
        )


def to_hits(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, rows: Sequence[dict[str, Any]]
) -> tuple[Hit, ...]:
    """Rows with the detection's identity columns and `evidence` as hits.

    Raises:
        QueryError: when two rows have the same identity.
    """
    detection = hunt.detection
    reach = interval.widen(detection.lookback)
    wanted = [{**ref, "tenant": row.get("tenant")} for row in rows for ref in row["evidence"] or ()]
    events = lookup(con, hunt.stages, reach, wanted)
    hits = {}
    for row in rows:
        identity = [row[name] for name in detection.identity]
        tenant = row.get("tenant") or ""
        finding_id = model.identify(detection, identity, _untold(detection, tenant))
        if finding_id in hits:
            raise QueryError(
                f"{detection.shown}: identity: two rows share {plain_values.plain(identity)}:"
                " return one row for each, or add a column to identity"
            )
        refs = row["evidence"] or ()
        evidence = [
            events[key]
            for ref in refs
            if (key := _key({**ref, "tenant": row.get("tenant")})) in events
        ]
        kept = {name: value for name, value in row.items() if name != "evidence"}
        hits[finding_id] = Hit(finding_id, kept, tuple(evidence[: model.EVIDENCE_LIMIT]), len(refs))
    return tuple(hits.values())


def _untold(detection: Detection, tenant: str) -> str:
    """The tenant where the identity does not hold it already, else nothing."""
    return "" if "tenant" in detection.identity else tenant


_Key = tuple[str, str, str, str | None]


def _key(ref: Mapping[str, Any]) -> _Key:
    return ref["role"], ref["source_table"], str(ref["event_id"]), ref.get("tenant")


def lookup(
    con: duckdb.DuckDBPyConnection,
    stages: Iterable[StagedTable],
    span: Interval,
    refs: Sequence[Mapping[str, Any]],
) -> dict[_Key, Event]:
    """The staged rows that evidence refers to, by (role, source table, event id, tenant).

    Args:
        con: a connection that sees the staged views.
        stages: where to look, in this order.
        span: when the events happened.
        refs: each with role, source_table, event_id and tenant; without a tenant the row of any.
    """
    wanted = defaultdict[str, dict[str, None]](dict)
    for ref in refs:
        wanted[ref["source_table"]][str(ref["event_id"])] = None
    rows: dict[tuple[str, str, str | None], tuple[Any, ...]] = {}
    for stage in stages:
        ids = list(wanted[stage.source]) + list(wanted[stage.name])
        if not ids:
            continue
        staged = con.execute(_lookup_sql(stage), [ids, span.start, span.end]).fetchall()
        for tenant, *row in staged:
            for name in (stage.source, stage.name):
                for whose in (tenant, None):
                    rows.setdefault((name, str(row[0]), whose), tuple(row))
    return {
        _key(ref): Event(ref["role"], ref["source_table"], *rows[key])
        for ref in refs
        if (key := (ref["source_table"], str(ref["event_id"]), ref.get("tenant"))) in rows
    }


def _lookup_sql(stage: StagedTable) -> str:
    """Evidence rows as JSON; of a re-delivered event the smallest path, seen first."""
    return f"""
        with wanted as (select unnest(?::uuid[]) as event_id),
        span as (select ?::timestamptz as low, ?::timestamptz as high),
        places as (
            select s.tenant, s.event_id, min(f.path) as path, min(f.seen_seq) as seen_seq
            from {stage.table} as s inner join source_files as f using (file_id)
            where s.event_id in (from wanted)
            and s.event_time >= (select low from span) and s.event_time < (select high from span)
            group by s.tenant, s.event_id
        )
        select v.tenant, v.event_id, v.event_time, p.path, p.seen_seq, to_json(v)::varchar
        from {stage.view} as v
        inner join places as p on p.event_id = v.event_id and p.tenant is not distinct from v.tenant
        where v.event_time >= (select low from span) and v.event_time < (select high from span)
        order by v.event_time, v.event_id"""
