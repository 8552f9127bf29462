"""What reading a batch of files gave, kept in the warehouse in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from gundog.core.times import MICROSECOND
from gundog.detections.staged import Source, StagedTable
from gundog.staging import day_counts, file_counts, older_reads, read_ends, reading
from gundog.staging.batch import Read, Rows, Task
from gundog.staging.file_counts import Counted
from gundog.staging.tails import Tail
from gundog.warehouse import database, quoting, redeliveries


@dataclass(frozen=True)
class _Before:
    """What the warehouse holds of a batch's files before they are stored.

    Attributes:
        is_none: nothing is known of any of them: then nothing is there to replace.
        is_added_to: of some only the end was read; the temp tables `old_…` have their counts.
    """

    is_none: bool
    is_added_to: bool


def store(con: duckdb.DuckDBPyConnection, read: Read, source: Source, now: datetime) -> None:
    """Replaces what the warehouse holds of these files by what was read, in one transaction.

    To what it holds of files of which only the end was read, that is added.
    """
    with database.transaction(con):
        seq = database.next_seq(con)
        ids = [task.file_id for task in read.tasks]
        con.execute(
            "create or replace temp table batch as select unnest(?::bigint[]) as file_id", [ids]
        )
        appended = [key for key in ids if key in read.appended]
        before = _Before(not _are_known(con), bool(appended))
        if appended:
            _set_aside(con, appended, read.tasks[0].stages)
        if not before.is_none:
            older_reads.note(con, read)
        for stage in read.tasks[0].stages:
            _replace_rows(con, stage, read.rows.get(stage.name), seq, before)
        for stage in () if before.is_none else read.unread:
            _forget_rows(con, stage, seq)
        _replace_hours(con, source, read.hours, seq, before)
        _record_files(con, read, now, seq, before)


def _are_known(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether any file of the batch was seen before.

    Of files that `source_files` does not have, no stage holds anything: retention sees to it.
    """
    known = con.execute("select count(*) from source_files where file_id in (from batch)")
    return known.fetchall() != [(0,)]


def _set_aside(
    con: duckdb.DuckDBPyConnection, appended: Sequence[int], stages: Sequence[StagedTable]
) -> None:
    """Takes the counts of files of which only the end was read, to add to them.

    Of the temp table `batch` the rows of `replaced` go, those of `appended` stay.
    """
    con.execute(
        "create or replace temp table appended as select unnest(?::bigint[]) as file_id",
        [list(appended)],
    )
    con.execute(
        """create or replace temp table replaced as
           from batch where file_id not in (from appended)"""
    )
    names = [stage.name for stage in stages]
    for table in ("file_stages", "stage_hours", "day_counts"):
        con.execute(
            f"""create or replace temp table old_{table} as from {table}
                where file_id in (from appended) and list_contains(?::varchar[], stage)""",
            [names],
        )
    for table in ("file_stages", "stage_hours"):
        con.execute(
            f"""delete from {table}
                where file_id in (from appended) and list_contains(?::varchar[], stage)""",
            [names],
        )


def _forget_rows(con: duckdb.DuckDBPyConnection, stage: StagedTable, seq: int) -> None:
    """Removes what a stage holds of files that it could not read this time: it waits for them."""
    _delete_rows(con, stage, "batch")
    _mark_redeliveries(con, stage)
    _note_changes(con, stage.name, seq)


def _replace_rows(
    con: duckdb.DuckDBPyConnection,
    stage: StagedTable,
    rows: Rows | None,
    seq: int,
    before: _Before,
) -> None:
    if before.is_none:
        con.execute(f"create or replace temp table touched ({_TOUCHED})")
    else:
        _delete_rows(con, stage, "replaced" if before.is_added_to else "batch")
    if rows is not None:
        _insert_rows(con, stage, rows)
    con.register("read_counts", rows.counted if rows else reading.NOTHING_COUNTED)
    _count_rows(con, stage, before)
    con.execute(
        """insert into touched
           select hour, min(min_time), max(max_time) from read_counts
           where code >= 0 and hour is not null and file_id in (from batch) group by hour"""
    )
    con.unregister("read_counts")
    _mark_redeliveries(con, stage)
    _note_changes(con, stage.name, seq)


def _count_rows(con: duckdb.DuckDBPyConnection, stage: StagedTable, before: _Before) -> None:
    """Counts what the stage made of the batch's files, from what is registered as `read_counts`."""

    def and_old(columns: str, table: str) -> str:
        if not before.is_added_to:
            return ""
        name = quoting.text(stage.name)
        return f"union all select {columns} from old_{table} where stage = {name}"

    con.execute(
        f"""insert into file_stages
            select b.file_id, ?, ?, coalesce(sum(c.good), 0), coalesce(sum(c.bad), 0)
            from batch as b left join (
                select file_id, case when code >= 0 then rows else 0 end as good,
                       case when code < 0 then rows else 0 end as bad
                from read_counts
                {and_old("file_id, rows, rejected_rows", "file_stages")}
            ) as c on c.file_id = b.file_id group by all""",
        [stage.name, stage.hash],
    )
    con.execute(
        f"""insert into stage_hours
            select ?, file_id, hour, sum(rows), min(min_time), max(max_time) from (
                select file_id, hour, rows, min_time, max_time from read_counts
                where code >= 0 and hour is not null and file_id in (from batch)
                {and_old("file_id, hour, rows, min_time, max_time", "stage_hours")}
            ) group by all""",
        [stage.name],
    )
    day_counts.store(
        con,
        stage,
        f"""(select file_id, tenant, hour, code, rows from read_counts
             {and_old("file_id, tenant, day as hour, code, rows", "day_counts")})""",
    )


def _delete_rows(con: duckdb.DuckDBPyConnection, stage: StagedTable, files: str) -> None:
    """Removes what files brought before; of files that brought nothing, nothing.

    The temp table `touched` has the hours of what is removed; `files` names one with their ids.
    """
    con.execute(
        f"""create or replace temp table touched as
            select hour, min_time, max_time from stage_hours
            where stage = ? and file_id in (from {files})""",
        [stage.name],
    )
    brought = con.execute(
        f"""select count(*) from file_stages
            where stage = ? and stage_hash = ? and file_id in (from {files})
            and rows + rejected_rows > 0""",
        [stage.name, stage.hash],
    ).fetchall()
    if brought[0][0]:
        con.execute(f"delete from {stage.table} where file_id in (from {files})")
    for table in ("stage_hours", "file_stages"):
        con.execute(
            f"delete from {table} where stage = ? and file_id in (from {files})", [stage.name]
        )


def _insert_rows(con: duckdb.DuckDBPyConnection, stage: StagedTable, rows: Rows) -> None:
    columns = quoting.names(name for name, _ in stage.columns)
    con.register("read_rows", rows.open())
    try:
        con.execute(
            f"""insert into {stage.table} ({columns}) select {columns} from read_rows
                where file_id in (from batch) order by event_time"""
        )
    finally:
        con.unregister("read_rows")


def _mark_redeliveries(con: duckdb.DuckDBPyConnection, stage: StagedTable) -> None:
    """Marks redelivered rows again in the hours of the temp table `touched`."""
    hours = con.execute(
        """select hour, sum(rows)::bigint from stage_hours
           where stage = ? and hour in (select hour from touched) group by hour order by hour""",
        [stage.name],
    ).fetchall()
    redeliveries.mark(con, stage.table, hours)


def _note_changes(con: duckdb.DuckDBPyConnection, name: str, seq: int) -> None:
    """Marks the hours in the temp table `touched` as changed at this step."""
    con.execute(
        """insert into touched select hour, min_time, max_time from stage_changes
           where stage = ? and hour in (select hour from touched)""",
        [name],
    )
    con.execute(
        "delete from stage_changes where stage = ? and hour in (select hour from touched)", [name]
    )
    con.execute(
        """insert into stage_changes
           select ?, hour, min(min_time), max(max_time), ? from touched
           where hour is not null group by hour""",
        [name, seq],
    )


def _replace_hours(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    hours: pa.Table | None,
    seq: int,
    before: _Before,
) -> None:
    """Rows of any kind per hour; a changed hour of the source is noted under the source's name.

    What was counted before there were tenants is as it was where there are none.
    """
    con.execute(
        f"""create or replace temp table old_hours as
            select {_HOURS} from source_hours where file_id in (from batch)"""
    )
    con.execute("delete from source_hours where file_id in (from batch)")
    if hours is not None:
        _insert_hours(con, source, hours, before)
    con.execute(  # the hours of rows that only one of both has
        f"""create or replace temp table touched as
            select hour, hour as min_time, hour as max_time from (
                select {_HOURS}, true as is_new from source_hours where file_id in (from batch)
                union all
                select *, false from old_hours
            ) group by file_id, hour, rows, tenant having bool_and(is_new) = bool_or(is_new)"""
    )
    _note_changes(con, source.name, seq)


def _insert_hours(
    con: duckdb.DuckDBPyConnection, source: Source, hours: pa.Table, before: _Before
) -> None:
    old = """union all
             select file_id, hour, rows, tenant from old_hours
             where file_id in (from appended)"""
    con.register("read_hours", hours)
    con.execute(
        f"""insert into source_hours by name
            select ? as source_table, file_id, hour, sum(rows)::bigint as rows, tenant from (
                select file_id, hour, rows, tenant from read_hours
                where hour is not null and file_id in (from batch)
                {old if before.is_added_to else ""}
            ) group by all""",
        [source.name],
    )
    con.unregister("read_hours")


def _record_files(
    con: duckdb.DuckDBPyConnection, read: Read, now: datetime, seq: int, before: _Before
) -> None:
    counted_before = _counted_before(con) if before.is_added_to else {}
    if not before.is_none:
        for table in ("source_files", "rejected_reads", "read_ends"):
            con.execute(f"delete from {table} where file_id in (from batch)")
    older_reads.note_rejected(con, read)
    refused = dict(
        con.execute(
            """select file_id, max(rejected_rows) from file_stages
               where file_id in (from batch) group by file_id"""
        ).fetchall()
    )
    counted = file_counts.of(read.hours)
    records, ends = list[dict[str, Any]](), dict[int, Tail]()
    for task in read.tasks:
        key = task.file_id
        mine = counted.get(key, Counted())
        if tail := read.tails.get(key):
            ends[key] = replace(tail, timeless=mine.timeless)
        if key in counted_before:
            old, was = counted_before[key]
            mine = mine.after(was)
            ends[key] = ends[key].after(old)
        record = _record(task, read, mine, refused.get(key, 0), ends.get(key))
        records.append(record | {"created_at": now, "seen_seq": seq})
    con.register("read_files", pa.Table.from_pylist(records, _RECORD))
    con.execute("insert into source_files by name select * from read_files")
    con.unregister("read_files")
    read_ends.store(con, read.tasks, ends)


def _counted_before(con: duckdb.DuckDBPyConnection) -> dict[int, tuple[Tail, Counted]]:
    """What the files of which only the end was read held before."""
    rows = database.rows(
        con,
        """select file_id, rows, min_time, max_time from source_files
           where file_id in (from appended)""",
    )
    tails = read_ends.of_batch(con)
    return {
        row["file_id"]: (
            tails[row["file_id"]],
            Counted(row["rows"], tails[row["file_id"]].timeless, row["min_time"], row["max_time"]),
        )
        for row in rows
    }


_TOUCHED = "hour timestamptz, min_time timestamptz, max_time timestamptz"
_HOURS = "file_id, hour, rows, coalesce(tenant, '') as tenant"
_TIME = pa.timestamp("us", "UTC")
_RECORD = pa.schema(
    [
        *((name, pa.int64()) for name in ("file_id", "size_bytes", "mtime_ns", "rows")),
        *((name, pa.int64()) for name in ("rejected_rows", "seen_seq")),
        *((name, pa.string()) for name in ("source_table", "path", "state", "error")),
        *((name, _TIME) for name in ("covers_start", "covers_end", "created_at")),
        *((name, _TIME) for name in ("min_time", "max_time")),
        *((name, pa.list_(pa.string())) for name in ("missing_columns", "cast_columns")),
    ]
)


def _record(
    task: Task, read: Read, counted: Counted, refused: int, tail: Tail | None
) -> dict[str, Any]:
    """The row of `source_files` for a file; without a time in its path it covers its events."""
    covers, remarks = task.file.covers, read.remarks_on(task)
    end = counted.last + MICROSECOND if counted.last else None
    return {
        "file_id": task.file_id,
        "source_table": task.file.source,
        "path": task.file.path,
        "size_bytes": task.file.size,
        "mtime_ns": task.file.mtime_ns,
        "covers_start": covers.start if covers else counted.first,
        "covers_end": covers.end if covers else end,
        "state": read.outcome.ledger_state,
        "rows": counted.rows,
        "rejected_rows": max(refused, counted.timeless) + (tail or remarks).too_long,
        "min_time": counted.first,
        "max_time": counted.last,
        "missing_columns": list(remarks.missing),
        "cast_columns": list(remarks.cast),
        "error": read.error or (tail.words() if tail else remarks.lines) or None,
    }
