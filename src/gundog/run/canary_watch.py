"""Canaries that did not come: at which stage they were lost; of those that came, how late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import duckdb

from gundog.core import wording
from gundog.core.times import Interval, format_duration
from gundog.detections.hunt import Content, Hunt
from gundog.detections.staged import StagedTable
from gundog.findings import exceptions
from gundog.findings.canaries import Canary
from gundog.health import watch
from gundog.warehouse import database, quoting

# What the problems of canaries begin with.
TITLE = "canary"


@dataclass(frozen=True)
class Seen:
    """What became of a canary.

    Attributes:
        canary: of gundog.yaml.
        detection_id: of the detection that must find it.
        span: in which a finding had to come.
        lost: the stage at which it was lost, empty when it came.
        tenant: of the finding that came first; None without one.
        happened_at: when its planted behaviour ended; None where the finding does not know.
        found_at: when that finding was stored first.
    """

    canary: Canary
    detection_id: str
    span: Interval
    lost: str = ""
    tenant: str | None = None
    happened_at: datetime | None = None
    found_at: datetime | None = None

    @property
    def delay(self) -> timedelta | None:
        """From the planted behaviour to the stored finding."""
        if self.found_at is None or self.happened_at is None:
            return None
        return self.found_at - self.happened_at

    @property
    def note(self) -> str:
        """That it came, and how late; empty when it was lost."""
        if self.lost:
            return ""
        delay = f" {format_duration(self.delay)} after it happened" if self.delay else ""
        return f"canary {self.canary.name}: found{delay}"

    @property
    def key(self) -> str:
        """The same for the same absence, so that it is told once."""
        return f"canary:{self.canary.name}:{self.span.end:%Y-%m-%dT%H}"

    @property
    def text(self) -> str:
        """The problem in a sentence."""
        return (
            f"{self.canary.name}: no finding of {self.canary.detection}"
            f" {watch.when(self.span)}: {self.lost}"
        )


def look(
    con: duckdb.DuckDBPyConnection, content: Content, canaries: Sequence[Canary]
) -> list[Seen]:
    """What became of each canary in the newest span that its detection has hunted.

    Args:
        con: the warehouse, after findings were stored and judged.
        content: what was hunted; a canary of a detection that does not load is left out.
        canaries: of gundog.yaml.
    """
    seen = []
    for canary in canaries:
        for hunt in content.hunts:
            if hunt.detection.runs and canary.names(hunt.detection.id, hunt.detection.stem):
                seen += _look(con, hunt, canary)
    return seen


def record(
    con: duckdb.DuckDBPyConnection, seen: Sequence[Seen], run_id: UUID, at: datetime
) -> None:
    """Writes down what became of canaries, once for each and its span.

    Args:
        con: the warehouse, writable, outside a transaction.
        seen: what `look` returned.
        run_id: the run that looked.
        at: when.
    """
    rows = [
        {
            "name": one.canary.name,
            "detection_id": one.detection_id,
            "span_start": one.span.start,
            "span_end": one.span.end,
            "came": not one.lost,
            "tenant": one.tenant,
            "happened_at": one.happened_at,
            "found_at": one.found_at,
            "delay_s": None if one.delay is None else one.delay.total_seconds(),
            "lost": one.lost or None,
            "run_id": run_id,
            "judged_at": at,
        }
        for one in seen
    ]
    with database.transaction(con):
        for row in rows:
            con.execute(
                "delete from canaries where name = ? and detection_id = ? and span_end = ?",
                [row["name"], row["detection_id"], row["span_end"]],
            )
        database.insert(con, "canaries", rows)


def published(con: duckdb.DuckDBPyConnection) -> list[watch.Fault]:
    """The canaries that the last run without dates missed.

    Args:
        con: findings.duckdb, of this version of gundog or an older one.
    """
    columns = con.execute(
        "select count(*) from duckdb_columns()"
        " where table_name = 'runs' and column_name in ('asked_range', 'problems')"
    ).fetchall()
    if columns[0][0] < 2:
        return []
    runs = con.execute(
        """select problems from runs where command = 'hunt' and not coalesce(asked_range, true)
           and finished_at is not null order by rowid desc limit 1"""
    ).fetchall()
    return [
        watch.Fault(watch.CANARY, problem)
        for (problems,) in runs
        for problem in problems or ()
        if problem.startswith(f"{TITLE}: ")
    ]


def _look(con: duckdb.DuckDBPyConnection, hunt: Hunt, canary: Canary) -> list[Seen]:
    """One entry; none before its detection was hunted at all."""
    ((edge,),) = con.execute(
        "select max(interval_end) from run_intervals where detection_id = ?", [hunt.detection.id]
    ).fetchall()
    if edge is None:
        return []
    span = Interval(edge - max(canary.every, hunt.detection.frequency), edge)
    findings = con.execute(
        """select coalesce(tenant, ''), end_time, created_at from findings where detection_id = ?
           and suppressed_by = ? and interval_end > ? and interval_start < ?
           order by created_at, end_time, finding_id limit 1""",
        [hunt.detection.id, canary.shown, span.start, span.end],
    ).fetchall()
    for tenant, happened_at, found_at in findings:
        return [Seen(canary, hunt.detection.id, span, "", tenant, happened_at, found_at)]
    return [Seen(canary, hunt.detection.id, span, _lost(con, hunt, canary, span))]


def _lost(con: duckdb.DuckDBPyConnection, hunt: Hunt, canary: Canary, span: Interval) -> str:
    """The stage at which it was lost, from the lake to the finding."""
    undone = con.execute(
        """select state, coalesce(error, '') from run_intervals where detection_id = ?
           and interval_end > ? and interval_start < ? and state in ('no_data', 'failed')""",
        [hunt.detection.id, span.start, span.end],
    ).fetchall()
    if undone:
        return f"it was not hunted ({undone[0][0]}: {undone[0][1]})"
    for source in hunt.sources:
        if not _files(con, source, span):
            return f"no file of {source} has events of that time"
    rows = sum(_rows(con, stage, canary, span) for stage in hunt.stages)
    if rows:
        return f"{wording.count(rows, 'row')} of it came, and the hunt made no finding of them"
    rejected = sum(_rejected(con, stage, span) for stage in hunt.stages)
    more = f"; {wording.count(rejected, 'row')} of that time were rejected" if rejected else ""
    return f"no row of it came{more}"


def _files(con: duckdb.DuckDBPyConnection, source: str, span: Interval) -> int:
    ((files,),) = con.execute(
        """select count(distinct file_id) from source_hours
           where source_table = ? and hour >= date_trunc('hour', ?::timestamptz) and hour < ?""",
        [source, span.start, span.end],
    ).fetchall()
    return int(files)


def _rows(
    con: duckdb.DuckDBPyConnection, stage: StagedTable, canary: Canary, span: Interval
) -> int:
    """How many staged rows fit the columns of its match that are staged at all."""
    names = {name for name, _ in stage.columns}
    columns = [column for column, _ in canary.match if column in names]
    if not columns:
        return 0
    values = con.execute(
        f"""select count(*), {quoting.names(columns)} from {stage.view}
            where event_time >= ? and event_time < ? group by all""",
        [span.start, span.end],
    ).fetchall()
    kept = tuple(pair for pair in canary.match if pair[0] in columns)
    fits = exceptions.matcher(exceptions.Entry("*", kept, canary.start, canary.end, "planted"))
    return sum(count for count, *row in values if fits(_named(columns, row)))


def _named(columns: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(columns, row, strict=True))


def _rejected(con: duckdb.DuckDBPyConnection, stage: StagedTable, span: Interval) -> int:
    ((rows,),) = con.execute(
        f"""select count(*) from {stage.table} where reject_reason is not null
            and (event_time is null or (event_time >= ? and event_time < ?))""",
        [span.start, span.end],
    ).fetchall()
    return int(rows)
