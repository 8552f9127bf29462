"""What is old enough goes: staged rows, series, evidence and findings, counted from their writing.

A file whose rows went is `expired`: it is read again when a range that needs it is asked for and
the lake still has it. Intervals that cannot be hunted as they were are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import duckdb

from gundog.core.times import DAY
from gundog.detections import seen, staged
from gundog.detections.hunt import Content
from gundog.detections.staged import StagedTable
from gundog.findings import finding_contexts, triage
from gundog.findings.retention_times import Retention
from gundog.warehouse import contexts, database, quoting, redeliveries, schema


def apply(
    con: duckdb.DuckDBPyConnection,
    loaded: Content,
    retention: Retention,
    late_arrival: timedelta,
    now: datetime,
) -> None:
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
    staged = max(retention.staged, reach + late_arrival + 2 * DAY)
    with database.transaction(con):
        _expire_files(con, now - staged)
        _drop_old_stages(con, loaded)
        _drop_findings(con, now - retention.evidence, now - retention.findings)
        _drop_series(con, loaded, now - retention.series, reach)
        contexts.forget(con, now - retention.series)
        _forget_hours(con, now - max(staged, retention.series))
        _drop_records(con, now - retention.findings)


def is_due(con: duckdb.DuckDBPyConnection, retention: Retention, now: datetime) -> bool:
    """Whether anything is there that was written longer ago than it is kept."""
    old = con.execute(
        """select exists(from source_files where state = 'staged' and created_at < $staged)
               or exists(from run_intervals where updated_at < $series)
               or exists(from findings where updated_at < greatest($evidence, $findings))
               or exists(from finding_changes where changed_at < $findings)
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


def _expire_files(con: duckdb.DuckDBPyConnection, before: datetime) -> None:
    old = "from source_files where state = 'staged' and created_at < ?"
    if con.execute(f"select count(*) {old}", [before]).fetchall() != [(0,)]:
        con.execute(f"create or replace temp table expiring as select file_id {old}", [before])
        _settle_contexts(con)
        for name in staged_tables(con):
            table = staged.table(name)
            con.execute(f"delete from {table} where file_id in (from expiring)")
            first, last = con.execute(
                """select min(min_time), max(max_time) from stage_hours
                   where stage = ? and file_id in (from expiring)""",
                [_stage_name(name)],
            ).fetchall()[0]
            if first and _has_marks(con, name):
                redeliveries.promote(con, table, first, last)
        for table in ("stage_hours", "file_stages"):
            con.execute(f"delete from {table} where file_id in (from expiring)")
        con.execute("update source_files set state = 'expired' where file_id in (from expiring)")


def _settle_contexts(con: duckdb.DuckDBPyConnection) -> None:
    """Keeps the contexts of the days that the files in `expiring` have rows of."""
    rows = con.execute(
        """select distinct h.stage, c.day from stage_hours as h
           inner join context_days as c
           on c.stage = h.stage and h.hour >= c.day and h.hour < c.day + interval 24 hours
           where h.file_id in (from expiring)"""
    ).fetchall()
    for stage in sorted({stage for stage, _ in rows}):
        contexts.settle(con, stage, [day for name, day in rows if name == stage])


def staged_tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The names of the staged tables that there are, of every stage SQL."""
    rows = con.execute(
        "select table_name from duckdb_tables() where schema_name = 'staged' order by all"
    ).fetchall()
    return [name for (name,) in rows]


def _has_marks(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether redelivered rows are marked in a staged table; one of an old version has no marks."""
    columns = con.execute(
        """select count(*) from duckdb_columns()
           where schema_name = 'staged' and table_name = ? and column_name = ?""",
        [table, schema.IS_COPY],
    ).fetchall()
    return bool(columns[0][0])


def _stage_name(table: str) -> str:
    return table[:-9]  # without its hash


def _drop_old_stages(con: duckdb.DuckDBPyConnection, loaded: Content) -> None:
    """Removes the rows of stages that are gone, if all content loads, and of SQL that changed.

    Of changed SQL only the rows whose files were read again: the lake may have the others no more.
    """
    current = {stage.table for stage in loaded.stages.values()}
    for table in staged_tables(con):
        name, where = _stage_name(table), staged.table(table)
        stage = loaded.stages.get(name)
        if where in current or (stage is None and loaded.problems):
            continue
        if stage is None:
            _forget_stage(con, name)
        elif _is_left(con, where, stage):
            continue
        con.execute(f"drop table {where}")


def _forget_stage(con: duckdb.DuckDBPyConnection, name: str) -> None:
    con.execute(f"drop view if exists main.{quoting.name(name)}")
    forgotten = ("file_stages", "stage_hours", "counted_files", "day_counts", "older_reads")
    for table in (*forgotten, "contexts", "context_days"):
        con.execute(f"delete from {table} where stage = ?", [name])


def _is_left(con: duckdb.DuckDBPyConnection, table: str, stage: StagedTable) -> bool:
    """Whether a table of earlier SQL has rows of files that its present SQL has not read."""
    con.execute(f"delete from {table} where {seen.by([stage], stage.source)}")
    return bool(con.execute(f"select count(*) from (from {table} limit 1)").fetchall()[0][0])


def _drop_findings(
    con: duckdb.DuckDBPyConnection, evidence_before: datetime, before: datetime
) -> None:
    """Findings stored before, and evidence; of those a person called true it stays."""
    old = con.execute(
        """select finding_id, updated_at < $evidence, updated_at < $findings from findings
           where updated_at < greatest($evidence, $findings)""",
        {"evidence": evidence_before, "findings": before},
    ).fetchall()
    if any(is_bare for _, is_bare, _ in old):
        con.execute(
            f"""delete from evidence where finding_id in (
                    select finding_id from findings where updated_at < ?)
                and finding_id not in (
                    select finding_id from ({triage.NOW}) where verdict = 'true_positive')""",
            [evidence_before],
        )
    delete_findings(con, [str(key) for key, _, is_gone in old if is_gone])


def delete_findings(con: duckdb.DuckDBPyConnection, ids: Iterable[str]) -> int:
    """Removes findings with their evidence; returns how many there were."""
    gone = list(ids)
    if gone:
        con.execute("delete from evidence where finding_id in (select unnest(?::uuid[]))", [gone])
        con.execute("delete from findings where finding_id in (select unnest(?::uuid[]))", [gone])
        finding_contexts.delete(con, gone)
    return len(gone)


def _drop_series(
    con: duckdb.DuckDBPyConnection, loaded: Content, before: datetime, reach: timedelta
) -> None:
    """Points of intervals hunted before, and counts that no interval hunted since trains on.

    Counts of a detection as it was before go too, but for those of files that were not read again.
    Smaller questions say first whether anything goes.
    """
    ended = "from run_intervals where updated_at < ?"
    if con.execute(f"select count(*) {ended}", [before]).fetchall() != [(0,)]:
        con.execute(
            f"""delete from series_points where (detection_id, interval_start) in (
                    select (detection_id, interval_start) {ended})""",
            [before],
        )
    hashes = _counted_hashes(con)
    if not hashes:
        return
    con.execute(
        """create or replace temp table trained as
           select detection_id, detection_hash, min(interval_start) - $reach as since
           from run_intervals where updated_at >= $before group by all""",
        {"before": before, "reach": reach},
    )
    if not loaded.problems and hashes - {hunt.hash for hunt in loaded.hunts}:
        _drop_recounted(con, loaded)
    for table, time in (("series_counts", "hour"), ("series_spans", "interval_start")):
        is_any = con.execute(
            f"""select count(*) from (
                    select detection_id, detection_hash, min({time}) as oldest
                    from {table} group by all)
                left join trained using (detection_id, detection_hash)
                where since is null or oldest < since"""
        ).fetchall() != [(0,)]
        if not is_any:
            continue
        con.execute(
            f"""delete from {table} as c where not exists (
                    select 1 from trained as t
                    where t.detection_id = c.detection_id
                    and t.detection_hash = c.detection_hash and c.{time} >= t.since)"""
        )


def _counted_hashes(con: duckdb.DuckDBPyConnection) -> set[str]:
    """The hashes of the detections of which counts or spans are there."""
    rows = con.execute(
        """select distinct detection_hash from series_spans
           union select distinct detection_hash from series_counts"""
    ).fetchall()
    return {digest for (digest,) in rows}


def _drop_recounted(con: duckdb.DuckDBPyConnection, loaded: Content) -> None:
    """Counts of detections as they were before, but for hours of files that were not read again."""
    hashes = [hunt.hash for hunt in loaded.hunts]
    old = "c.detection_hash not in (select unnest($hashes::varchar[]))"
    con.execute(
        """create or replace temp table unread as
           select d.detection_id, h.hour
           from (select unnest($ids::uuid[]) as detection_id, unnest($stages::varchar[]) as stage,
                        unnest($digests::varchar[]) as digest) as d
           inner join file_stages as s on s.stage = d.stage and s.stage_hash <> d.digest
           inner join source_hours as h on h.file_id = s.file_id
           group by all""",
        _read_by_series(loaded),
    )
    con.execute(
        f"""create or replace temp table held as
            select c.* from series_spans as c where {old} and exists (
                select 1 from unread as u where u.detection_id = c.detection_id
                and u.hour >= c.interval_start and u.hour < c.interval_end)""",
        {"hashes": hashes},
    )
    for table, time in (("series_counts", "hour"), ("series_spans", "interval_start")):
        con.execute(
            f"""delete from {table} as c where {old} and not exists (
                    select 1 from held as h
                    where h.detection_id = c.detection_id and h.detection_hash = c.detection_hash
                    and c.{time} >= h.interval_start and c.{time} < h.interval_end)""",
            {"hashes": hashes},
        )


def _read_by_series(loaded: Content) -> dict[str, list[str]]:
    """Which stages each series reads, as columns."""
    read = [
        (hunt.detection.id, stage.name, stage.hash)
        for hunt in loaded.hunts
        if hunt.detection.series
        for stage in hunt.stages
    ]
    return {
        "ids": [key for key, _, _ in read],
        "stages": [name for _, name, _ in read],
        "digests": [digest for _, _, digest in read],
    }


def _forget_hours(con: duckdb.DuckDBPyConnection, before: datetime) -> None:
    """Hours of files that are staged no more and that no series looks at, and what was counted."""
    for table in ("source_hours", "counted_files", "day_counts") if _are_gone(con, before) else ():
        con.execute(f"delete from {table} where file_id in (select file_id {_GONE})", [before])


_GONE = "from source_files where state <> 'staged' and created_at < ?"


def _are_gone(con: duckdb.DuckDBPyConnection, before: datetime) -> bool:
    """Whether there are files that are staged no more, seen before."""
    return con.execute(f"select count(*) {_GONE}", [before]).fetchall() != [(0,)]


def _drop_records(con: duckdb.DuckDBPyConnection, before: datetime) -> None:
    """What happened to findings, messages about them, and runs, as old as findings may get."""
    con.execute("delete from finding_changes where changed_at < ?", [before])
    con.execute("delete from notifications where created_at < ?", [before])
    con.execute("delete from runs where started_at < ?", [before])
    con.execute("delete from drifts where until < ?", [before])
    con.execute("delete from canaries where judged_at < ?", [before])
    # As long as there may be findings, an expired file tells that they cannot be hunted again.
    if not _are_gone(con, before):
        return
    con.execute(f"delete {_GONE}", [before])
    for table in ("file_stages", "stage_hours", "read_ends", "older_reads", "rejected_reads"):
        con.execute(f"delete from {table} where file_id not in (select file_id from source_files)")
