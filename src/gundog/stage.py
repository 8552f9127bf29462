"""From lake files to staged tables: each file version read once per stage SQL.

Reading a batch of files is a pure function of the files (its own DuckDB, Arrow tables out), so
that it can run in another process; storing what it returns is one transaction.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gundog import content, lake, warehouse
from gundog.content import Source, Stage
from gundog.errors import StoreError
from gundog.interval import Interval
from gundog.lake import FileVersion
from gundog.settings import LakePath

BATCH_FILES = 50
BATCH_BYTES = 256 * 2**20
# Times outside are clock faults (1601 is Windows' zero, 9999 a placeholder), not events.
_PLAUSIBLE = "between timestamptz '1990-01-01 00:00:00+00' and timestamptz '2199-12-31 00:00:00+00'"
_NESTED = ("STRUCT", "MAP", "UNION", "VARIANT")


@dataclass(frozen=True)
class Task:
    """One file to read, into which staged tables."""

    file: FileVersion
    file_id: int
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Remarks:
    """What a file lacks or holds with another type than its source promises."""

    missing: tuple[str, ...] = ()
    cast: tuple[str, ...] = ()


@dataclass(frozen=True)
class Read:
    """What reading a batch gave: rows per staged table, rows of any kind per file and hour."""

    tasks: tuple[Task, ...]
    remarks: Remarks
    rows: Mapping[str, pa.Table] = field(default_factory=dict)
    hours: pa.Table | None = None
    error: str = ""


@dataclass(frozen=True)
class _Place:
    """Where a source's files are and where copies of them may lie meanwhile."""

    paths: Sequence[LakePath]
    environ: Mapping[str, str]
    scratch: Path


@dataclass
class Staged:
    """What a staging step did."""

    files: int = 0
    bytes: int = 0
    rows: int = 0
    rejected_rows: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)


def file_id(source: str, path: str) -> int:
    """A number that stands for a file, the same whatever order files are seen in."""
    digest = hashlib.md5(f"{source}\x1f{path}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def pending(
    con: duckdb.DuckDBPyConnection, files: Iterable[FileVersion], stages: Sequence[Stage]
) -> list[Task]:
    """The files that are new, changed, or not yet read by a stage's present SQL.

    A changed file is read again by every stage that had read it, so that no staged table keeps
    rows of the version that is gone.
    """
    known = {
        row[0]: row[1:]
        for row in con.execute("select file_id, size_bytes, mtime_ns from source_files").fetchall()
    }
    read = defaultdict[int, set[tuple[str, str]]](set)
    for key, name, digest in con.execute(
        "select file_id, stage, stage_hash from file_stages"
    ).fetchall():
        read[key].add((name, digest))
    tasks = []
    for file in files:
        key = file_id(file.source, file.path)
        unchanged = known.get(key) == (file.size, file.mtime_ns)
        done = read[key] if unchanged else set()
        mine = [stage for stage in stages if stage.source == file.source]
        wanted = tuple(stage for stage in mine if (stage.name, stage.hash) not in done)
        if wanted:
            tasks.append(Task(file, key, wanted))
    return tasks


def run(
    con: duckdb.DuckDBPyConnection,
    tasks: Sequence[Task],
    sources: Mapping[str, Source],
    lake_paths: Mapping[str, Sequence[LakePath]],
    environ: Mapping[str, str],
    at: datetime,
) -> Staged:
    """Reads and stores the tasks, batch by batch; a file that cannot be read is set aside.

    Args:
        con: the warehouse, writable.
        tasks: from `pending`.
        sources: source tables by name.
        lake_paths: the lake's paths by source, for stores and column aliases.
        environ: where stores' credentials come from.
        at: the time that is written down as the time of reading.
    """
    done = Staged()
    for stage in {stage.name: stage for task in tasks for stage in task.stages}.values():
        content.create_stage(con, stage)
    for batch in _batches(tasks):
        source = sources[batch[0].file.source]
        paths = lake_paths[source.name]
        with tempfile.TemporaryDirectory(prefix="gundog-") as scratch, ExitStack() as opened:
            for read in _read_safely(batch, source, _Place(paths, environ, Path(scratch)), opened):
                for part in _without_timeless(read):
                    _store(con, part, source, at, done)
    return done


def _batches(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Tasks of one source and the same stages, oldest path first, in batches of bounded size."""
    groups = defaultdict[tuple[str, tuple[str, ...]], list[Task]](list)
    for task in sorted(tasks, key=lambda task: task.file.path):
        groups[task.file.source, tuple(stage.hash for stage in task.stages)].append(task)
    for group in groups.values():
        batch: list[Task] = []
        size = 0
        for task in group:
            if batch and (len(batch) >= BATCH_FILES or size + task.file.size > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(task)
            size += task.file.size
        yield batch


def _read_safely(
    batch: Sequence[Task],
    source: Source,
    place: _Place,
    opened: ExitStack,
) -> Iterator[Read]:
    """Reads a batch, schema by schema; when a group fails, file by file to find the bad one."""
    groups = defaultdict[tuple[str, str], list[tuple[Task, Path]]](list)
    for task in batch:
        try:
            local = opened.enter_context(
                lake.local_copy(task.file, place.paths, place.scratch, place.environ)
            )
            schema = str(pq.read_schema(local).remove_metadata()) if task.file.size else ""
            groups[schema, str(task.file.lake_path)].append((task, local))
        except (pa.ArrowException, StoreError, OSError) as error:
            yield Read((task,), Remarks(), error=_reason(error))
    for group in groups.values():
        aliases = dict(place.paths[group[0][0].file.lake_path].columns)
        try:
            yield read_batch(group, source, aliases)
        except duckdb.Error as error:
            if len(group) == 1:
                yield Read((group[0][0],), Remarks(), error=_reason(error))
                continue
            for one in group:
                try:
                    yield read_batch([one], source, aliases)
                except duckdb.Error as single:
                    yield Read((one[0],), Remarks(), error=_reason(single))


def _reason(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:500] if str(error).strip() else repr(error)


def read_batch(
    group: Sequence[tuple[Task, Path]], source: Source, aliases: Mapping[str, str]
) -> Read:
    """Reads files of one schema into Arrow tables, one per staged table.

    Raises:
        duckdb.Error: when a file of the group cannot be read or a stage's SQL fails on it.
    """
    con = warehouse.connect(threads=2)
    try:
        content.register_functions(con)
        paths = [str(path) for _, path in group]
        names = _literal_list(paths)
        held = con.execute(
            f"describe from read_parquet({names}, hive_partitioning = false)"
        ).fetchall()
        projection, remarks = _bind(source, {row[0]: row[1] for row in held}, aliases, group)
        con.execute(
            f'create view "{source.name}" as select {projection}'
            f" from read_parquet({names}, hive_partitioning = false)"
        )
        con.execute("set preserve_insertion_order = false")
        rows = {stage.name: con.sql(stage.sql).to_arrow_table() for stage in group[0][0].stages}
        hours = con.sql(
            f"""select file_id, date_trunc('hour', "Timestamp") as hour, count(*) as rows,
                       min("Timestamp") as min_time, max("Timestamp") as max_time
                from "{source.name}" group by all"""
        ).to_arrow_table()
    finally:
        con.close()
    return Read(tuple(task for task, _ in group), remarks, rows, hours)


def _literal_list(values: Sequence[str]) -> str:
    return "[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"


def _bind(
    source: Source,
    held: Mapping[str, str],
    aliases: Mapping[str, str],
    group: Sequence[tuple[Task, Path]],
) -> tuple[str, Remarks]:
    """The projection that gives a file's columns the names and types of its source table."""
    folded = {name.lower(): name for name in held}
    parts, missing, cast = [], [], []
    for name, kind in source.columns:
        column = folded.get(aliases.get(name, name).lower()) or folded.get(name.lower())
        if name == "TenantId" and column is None:
            expression = _per_file([_text(task.file.tenant) for task, _ in group], "varchar")
        else:
            expression, remark = _bind_column(column, held.get(column or "", ""), kind)
            if remark == "missing":
                missing.append(name)
            elif remark:
                cast.append(f"{name} ({held[column or '']})")
        if name == "Timestamp":
            ns = content.nanoseconds(column, held.get(column or "", ""), expression)
            parts.append(f"case when {expression} {_PLAUSIBLE} then {ns} end as timestamp_ns")
            expression = f"case when {expression} {_PLAUSIBLE} then {expression} end"
        parts.append(f'{expression} as "{name}"')
    parts.append(f"{_per_file([str(task.file_id) for task, _ in group], 'bigint')} as file_id")
    return ", ".join(parts), Remarks(tuple(missing), tuple(cast))


def _text(value: str | None) -> str:
    return "null" if value is None else "'" + value.replace("'", "''") + "'"


def _per_file(values: Sequence[str], kind: str) -> str:
    return f"([{', '.join(values)}]::{kind}[])[file_index::bigint + 1]"


def _bind_column(column: str | None, held: str, kind: str) -> tuple[str, str]:
    """The expression for one column, and whether it is missing or cast."""
    if column is None:
        return f"null::{kind}", "missing"
    quoted = '"' + column.replace('"', '""') + '"'
    if held == kind:
        return quoted, ""
    if kind == "VARCHAR" and (held.startswith(_NESTED) or held.endswith("]")):
        return f"to_json({quoted})::varchar", "cast"
    if kind == "VARCHAR" and held == "JSON":
        return f"{quoted}::varchar", ""
    if kind == "VARCHAR" and held == "BLOB":
        return f"try(decode({quoted}))", "cast"
    if kind.startswith("TIMESTAMP") and not held.startswith(("TIMESTAMP", "VARCHAR", "DATE")):
        return f"null::{kind}", "cast"
    return f"try_cast({quoted} as {kind})", "" if held.startswith(kind.split()[0]) else "cast"


def _store(
    con: duckdb.DuckDBPyConnection, read: Read, source: Source, at: datetime, done: Staged
) -> None:
    """Replaces what the warehouse holds of these files by what was read, in one transaction."""
    with warehouse.transaction(con):
        seq = warehouse.next_seq(con)
        ids = [task.file_id for task in read.tasks]
        con.execute(
            "create or replace temp table batch as select unnest(?::bigint[]) as file_id", [ids]
        )
        for stage in read.tasks[0].stages:
            _replace_rows(con, stage, read.rows.get(stage.name), seq)
        _replace_hours(con, source, read.hours, seq)
        _record_files(con, read, at, seq)
    done.files += len(read.tasks)
    done.bytes += sum(task.file.size for task in read.tasks)
    if read.error:
        done.rejected += [(task.file.path, read.error) for task in read.tasks]


def _without_timeless(read: Read) -> Iterator[Read]:
    """What was read without the files that have rows but not one usable time; those rejected."""
    counts = _counts(read.hours)
    bad = {key for key, (_, _, first, _) in counts.items() if first is None}
    if not bad:
        yield read
        return
    good = tuple(task for task in read.tasks if task.file_id not in bad)
    if good:
        rows = {name: _drop(table, bad) for name, table in read.rows.items()}
        hours = None if read.hours is None else _drop(read.hours, bad)
        yield replace(read, tasks=good, rows=rows, hours=hours)
    what = "not one row has a usable Timestamp: correct the column or name its alias under lake"
    for task in read.tasks:
        if task.file_id in bad:
            yield Read((task,), read.remarks, error=what)


def _drop(table: pa.Table, file_ids: Collection[int]) -> pa.Table:
    gone = pc.is_in(table["file_id"], value_set=pa.array(sorted(file_ids), pa.int64()))
    return table.filter(pc.invert(gone))


def _replace_rows(
    con: duckdb.DuckDBPyConnection, stage: Stage, rows: pa.Table | None, seq: int
) -> None:
    table = stage.table
    con.execute(
        """create or replace temp table touched as
           select hour, min_time, max_time from stage_hours
           where stage = ? and file_id in (from batch)""",
        [stage.name],
    )
    con.execute(f"delete from {table} where file_id in (from batch)")
    con.execute("delete from stage_hours where stage = ? and file_id in (from batch)", [stage.name])
    con.execute("delete from file_stages where stage = ? and file_id in (from batch)", [stage.name])
    columns = ", ".join(f'"{name}"' for name, _ in stage.columns)
    if rows is None:
        rows = con.sql(f"select {columns} from {table} limit 0").to_arrow_table()
    con.register("read_rows", rows)
    con.execute(
        f"insert into {table} ({columns}) select {columns} from read_rows order by event_time"
    )
    con.execute(
        """insert into stage_hours
           select ?, file_id, date_trunc('hour', event_time), count(*), min(event_time),
                  max(event_time)
           from read_rows where reject_reason is null group by all""",
        [stage.name],
    )
    con.execute(
        """insert into file_stages
           select b.file_id, ?, ?, count(r.file_id) filter (r.reject_reason is null),
                  count(r.file_id) filter (r.reject_reason is not null)
           from batch as b left join read_rows as r on r.file_id = b.file_id group by all""",
        [stage.name, stage.hash],
    )
    con.unregister("read_rows")
    con.execute(
        """insert into touched select hour, min_time, max_time from stage_hours
           where stage = ? and file_id in (from batch)""",
        [stage.name],
    )
    _note_changes(con, stage.name, seq)


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
    con: duckdb.DuckDBPyConnection, source: Source, hours: pa.Table | None, seq: int
) -> None:
    """Rows of any kind per hour; a changed hour of the source is noted under the source's name."""
    con.execute(
        """create or replace temp table old_hours as
           select file_id, hour, rows from source_hours where file_id in (from batch)"""
    )
    con.execute("delete from source_hours where file_id in (from batch)")
    if hours is not None:
        con.register("read_hours", hours)
        con.execute(
            """insert into source_hours
               select ?, file_id, hour, rows from read_hours where hour is not null""",
            [source.name],
        )
        con.unregister("read_hours")
    con.execute(
        """create or replace temp table touched as
           select hour, hour as min_time, hour as max_time from (
               (select file_id, hour, rows from source_hours where file_id in (from batch)
                except from old_hours)
               union
               (from old_hours
                except select file_id, hour, rows from source_hours where file_id in (from batch))
           )"""
    )
    _note_changes(con, source.name, seq)


def _record_files(con: duckdb.DuckDBPyConnection, read: Read, at: datetime, seq: int) -> None:
    con.execute("delete from source_files where file_id in (from batch)")
    counted = _counts(read.hours)
    records = []
    for task in read.tasks:
        rows, timeless, first, last = counted.get(task.file_id, (0, 0, None, None))
        covers = task.file.covers or Interval(at, at)
        known = task.file.covers is not None
        rejected = con.execute(
            "select coalesce(max(rejected_rows), 0) from file_stages where file_id = ?",
            [task.file_id],
        ).fetchall()[0][0]
        records.append(
            {
                "file_id": task.file_id,
                "source_table": task.file.source,
                "path": task.file.path,
                "size_bytes": task.file.size,
                "mtime_ns": task.file.mtime_ns,
                "covers_start": covers.start if known else first,
                "covers_end": covers.end if known else last,
                "state": "rejected" if read.error else "staged",
                "rows": rows,
                "rejected_rows": max(rejected, timeless),
                "min_time": first,
                "max_time": last,
                "missing_columns": list(read.remarks.missing),
                "cast_columns": list(read.remarks.cast),
                "error": read.error or None,
                "created_at": at,
                "seen_seq": seq,
            }
        )
    warehouse.insert(con, "source_files", records)


def _counts(
    hours: pa.Table | None,
) -> dict[int, tuple[int, int, datetime | None, datetime | None]]:
    """Per file: rows, rows without a usable time, first and last time."""
    found: dict[int, tuple[int, int, datetime | None, datetime | None]] = {}
    for row in hours.to_pylist() if hours is not None else ():
        rows, timeless, first, last = found.get(row["file_id"], (0, 0, None, None))
        times = [one for one in (first, row["min_time"]) if one]
        ends = [one for one in (last, row["max_time"]) if one]
        found[row["file_id"]] = (
            rows + row["rows"],
            timeless + (row["rows"] if row["hour"] is None else 0),
            min(times, default=None),
            max(ends, default=None),
        )
    return found
