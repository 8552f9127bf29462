"""What is old enough goes: staged rows, series, evidence and findings, counted from their writing.

A file whose rows went is `expired`: it is read again when a range that needs it is asked for and
the lake still has it. Intervals that cannot be hunted as they were are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from gundog import content, quoting, redelivery, triage, warehouse
from gundog.content import Content, Stage
from gundog.settings import Retention

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Removed:
    """How much went: files whose rows expired, evidence rows, findings, old staged tables."""

    files: int = 0
    evidence: int = 0
    findings: int = 0
    tables: int = 0


def apply(
    con: duckdb.DuckDBPyConnection,
    loaded: Content,
    retention: Retention,
    late_arrival: timedelta,
    now: datetime,
) -> Removed:
    """Removes what was written longer ago than `retention` says, and staged tables of old SQL.

    Staged rows are kept as long as nightly runs read back, whatever is configured: to remove them
    would only have their files read again every night.

    Args:
        con: the warehouse, writable.
        loaded: all content; a stage that fails to load keeps its rows.
        retention: how long to keep what.
        late_arrival: how far back every run looks.
        now: the run's time.
    """
    reach = max((hunt.detection.reach for hunt in loaded.hunts), default=timedelta())
    staged = max(retention.staged, reach + late_arrival + 2 * _DAY)
    with warehouse.transaction(con):
        removed = Removed(
            tables=_drop_old_stages(con, loaded),
            files=_expire_files(con, now - staged),
            evidence=_drop_evidence(con, now - retention.evidence),
            findings=_drop_findings(con, now - retention.findings),
        )
        _drop_series(con, loaded, now - retention.series, reach)
        _forget_hours(con, now - max(staged, retention.series))
        _drop_records(con, now - retention.findings)
    return removed


def is_due(con: duckdb.DuckDBPyConnection, retention: Retention, now: datetime) -> bool:
    """Whether anything is there that was written longer ago than it is kept."""
    old = con.execute(
        """select exists(from source_files where state = 'staged' and created_at < $staged)
               or exists(from run_intervals where updated_at < $series)
               or exists(from findings where updated_at < greatest($evidence, $findings))
               or exists(from finding_changes where "at" < $findings)
               or exists(from notifications where created_at < $findings)
               or exists(from runs where started_at < $findings)""",
        {
            "staged": now - retention.staged,
            "series": now - retention.series,
            "evidence": now - retention.evidence,
            "findings": now - retention.findings,
        },
    ).fetchall()
    return bool(old[0][0])


def _expire_files(con: duckdb.DuckDBPyConnection, before: datetime) -> int:
    con.execute(
        """create or replace temp table expiring as
           select file_id from source_files where state = 'staged' and created_at < ?""",
        [before],
    )
    count = int(con.execute("select count(*) from expiring").fetchall()[0][0])
    if count:
        for name in staged_tables(con):
            table = content.staged_table(name)
            con.execute(f"delete from {table} where file_id in (from expiring)")
            first, last = con.execute(
                """select min(min_time), max(max_time) from stage_hours
                   where stage = ? and file_id in (from expiring)""",
                [_stage_name(name)],
            ).fetchall()[0]
            if first:
                redelivery.promote(con, table, first, last)
        for table in ("stage_hours", "file_stages"):
            con.execute(f"delete from {table} where file_id in (from expiring)")
        con.execute("update source_files set state = 'expired' where file_id in (from expiring)")
    return count


def staged_tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The names of the staged tables that there are, of every stage SQL."""
    rows = con.execute(
        "select table_name from duckdb_tables() where schema_name = 'staged' order by all"
    ).fetchall()
    return [name for (name,) in rows]


def _stage_name(table: str) -> str:
    return table[:-9]  # without its hash


def _drop_old_stages(con: duckdb.DuckDBPyConnection, loaded: Content) -> int:
    """Removes the rows of stage SQL that is no more; of stages that are gone, if all content loads.

    Returns:
        How many tables went.
    """
    current = {stage.table for stage in loaded.stages.values()}
    names = {stage.name for stage in loaded.stages.values()}
    dropped = 0
    for table in staged_tables(con):
        name, where = _stage_name(table), content.staged_table(table)
        if where in current or (name not in names and loaded.problems):
            continue
        if name not in names:
            con.execute(f"drop view if exists main.{quoting.name(name)}")
        con.execute(f"drop table {where}")
        _forget_stage(con, name, loaded.stages.get(name))
        dropped += 1
    return dropped


def _forget_stage(con: duckdb.DuckDBPyConnection, name: str, stage: Stage | None) -> None:
    con.execute(
        "delete from file_stages where stage = ? and stage_hash is distinct from ?",
        [name, stage.hash if stage else None],
    )
    con.execute(
        """delete from stage_hours where stage = $stage
           and file_id not in (select file_id from file_stages where stage = $stage)""",
        {"stage": name},
    )


def _drop_evidence(con: duckdb.DuckDBPyConnection, before: datetime) -> int:
    """Evidence of findings stored before; of those a person called true it stays."""
    return _count_deleted(
        con,
        f"""delete from evidence where finding_id in (
                select finding_id from findings where updated_at < ?)
            and finding_id not in (
                select finding_id from ({triage.NOW}) where verdict = 'true_positive')
            returning 1""",
        [before],
    )


def _drop_findings(con: duckdb.DuckDBPyConnection, before: datetime) -> int:
    old = con.execute("select finding_id from findings where updated_at < ?", [before]).fetchall()
    return delete_findings(con, [str(row[0]) for row in old])


def delete_findings(con: duckdb.DuckDBPyConnection, ids: Iterable[str]) -> int:
    """Removes findings with their evidence; returns how many there were."""
    gone = list(ids)
    if gone:
        con.execute("delete from evidence where finding_id in (select unnest(?::uuid[]))", [gone])
        con.execute("delete from findings where finding_id in (select unnest(?::uuid[]))", [gone])
    return len(gone)


def _drop_series(
    con: duckdb.DuckDBPyConnection, loaded: Content, before: datetime, reach: timedelta
) -> None:
    """Points of intervals hunted before, and counts that no interval hunted since trains on.

    Smaller questions say first whether anything goes.
    """
    con.execute(
        """create or replace temp table ended as
           select detection_id, interval_start from run_intervals where updated_at < ?""",
        [before],
    )
    if con.execute("select count(*) from ended").fetchall()[0][0]:
        con.execute(
            """delete from series_points where (detection_id, interval_start) in (
                   select (detection_id, interval_start) from ended)"""
        )
    con.execute(
        """create or replace temp table trained as
           select detection_id, detection_hash, min(interval_start) - $reach as since
           from run_intervals where updated_at >= $before group by all""",
        {"before": before, "reach": reach},
    )
    if not loaded.problems:
        con.execute(
            "delete from trained where detection_hash not in (select unnest(?::varchar[]))",
            [[hunt.hash for hunt in loaded.hunts]],
        )
    for table, time in (("series_counts", "hour"), ("series_spans", "interval_start")):
        ended = con.execute(
            f"""select count(*) from (
                    select detection_id, detection_hash, min({time}) as oldest
                    from {table} group by all)
                left join trained using (detection_id, detection_hash)
                where since is null or oldest < since"""
        ).fetchall()[0][0]
        if not ended:
            continue
        con.execute(
            f"""delete from {table} as c where not exists (
                    select 1 from trained as t
                    where t.detection_id = c.detection_id
                    and t.detection_hash = c.detection_hash and c.{time} >= t.since)"""
        )


def _forget_hours(con: duckdb.DuckDBPyConnection, before: datetime) -> None:
    """Hours of files that are staged no more and that no series looks at."""
    con.execute(
        """delete from source_hours where file_id in (
               select file_id from source_files where state <> 'staged' and created_at < ?)""",
        [before],
    )


def _drop_records(con: duckdb.DuckDBPyConnection, before: datetime) -> None:
    """What happened to findings, messages about them, and runs, as old as findings may get."""
    con.execute('delete from finding_changes where "at" < ?', [before])
    con.execute("delete from notifications where created_at < ?", [before])
    con.execute("delete from runs where started_at < ?", [before])
    # As long as there may be findings, an expired file tells that they cannot be hunted again.
    con.execute("delete from source_files where state <> 'staged' and created_at < ?", [before])
    con.execute("delete from file_stages where file_id not in (select file_id from source_files)")


def _count_deleted(con: duckdb.DuckDBPyConnection, sql: str, params: list[datetime]) -> int:
    return len(con.execute(sql, params).fetchall())
