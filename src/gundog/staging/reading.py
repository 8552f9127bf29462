"""Reading lake files into rows of staged tables: a pure function of the files.

A batch is read by a DuckDB of its own that is closed before anything is stored, so that the
memory limit holds for one of the two at a time. Rows that are many wait on disk meanwhile, where
another process finds them too: what goes in and comes out can be pickled.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from gundog.core.times import HOUR_US, epoch_us
from gundog.detections import stage_sql
from gundog.detections.stage_keys import Keys
from gundog.detections.staged import Source
from gundog.lake import columns, exporters, footers, time_formats
from gundog.lake.path import JSON
from gundog.staging import binding, day_counts, json_lines
from gundog.staging.batch import BROKEN, LACKING, Batch, Failed, Limits, Read, Rows, Task
from gundog.staging.binding import Remarks
from gundog.warehouse import database, locks, quoting

_ROWS_AT_A_TIME = 20_000
# Rows up to so many bytes come back as they are; more wait on disk.
_KEPT_BYTES = 4 * 2**20
# Rows are stored a piece at a time; a single one that is larger than this is a fault of the SQL.
_PIECE_BYTES = 16 * 2**20
_ROW_BYTES = 64 * 2**20
# What a stage makes of a batch may take so many times the memory limit on disk.
_SPILL = 8
# What a file can do to whoever reads it; its bytes may be anybody's.
FAILURES = (duckdb.Error, pa.ArrowException, columns.DoubledColumnError, ValueError, OverflowError)
# Of smaller files, reading the footer once more saves little over reading all times.
_LARGE = 4 * 2**20


class TooMuchError(ValueError):
    """A stage makes more of a batch than it may."""


def read(batch: Batch) -> Read | Failed:
    """Reads a batch; what its files or the stages' SQL do to it is in the answer."""
    try:
        return read_files(batch)
    except FAILURES as error:
        text = str(error).strip() or repr(error)
        return Failed(text.splitlines()[0][:500], LACKING if _is_lacking(error) else BROKEN)


def read_files(batch: Batch) -> Read:
    """Reads a batch of any format; raises as `read_batch` does, and NotLinesError for JSON."""
    times = time_formats.used(batch.time_format, batch.exporter)
    if batch.format != JSON:
        names = columns.schema(batch.files[0][1]).names  # the same in all of them
        wanted = [name for name, _ in batch.source.columns]
        aliases = exporters.aliases(names, batch.source.name, wanted, batch.aliases, batch.exporter)
        return read_batch(batch.files, batch.source, aliases, batch.limits, times)
    files, remarks, tails = json_lines.converted(batch)
    read = read_batch(files, batch.source, {}, batch.limits, times, json_lines.OWN_ROWS)
    appended = frozenset(task.file_id for task, _ in files if task.tail)
    return replace(read, own_remarks=remarks, tails=tails, appended=appended)


def _is_lacking(error: Exception) -> bool:
    kinds = (duckdb.OutOfMemoryException, TooMuchError)
    signs = ("Out of Memory Error", "bad allocation", "No space left", "max_temp_directory_size")
    return isinstance(error, kinds) or any(sign in str(error) for sign in signs)


def read_batch(
    group: Sequence[tuple[Task, Path]],
    source: Source,
    aliases: Mapping[str, str],
    limits: Limits,
    times: str = "",
    where: str = "true",
) -> Read:
    """Reads files of one schema, for the stages that the first one's task names.

    Args:
        group: tasks with the local path of each file.
        source: the source table of all of them.
        aliases: the files' column name by the source's, where they differ.
        limits: what may be used; `limits.folder` keeps rows until they are stored.
        times: the format of times that are not times in the files; see `time_formats`.
        where: true for the rows of the files that are rows of the source.

    Raises:
        duckdb.Error: when a file of the group cannot be read or a stage's SQL fails on it.
        DoubledColumnError: when several of the files' columns may be one of the source's.
        TooMuchError: when a stage makes more of it than may wait on disk, or a row too large.
        pa.ArrowException: when the footer of a file says what no reader understands.
    """
    shutil.rmtree(limits.folder / "spill", ignore_errors=True)  # of a process that was killed
    con = database.connect(
        memory_limit=f"{limits.memory}B",
        threads=limits.threads,
        temp_directory=str(limits.folder / "spill"),
    )
    try:
        remarks = _create_view(con, group, source, aliases, times, where)
        con.execute("set preserve_insertion_order = false")  # only now: columns come in order
        locks.lock(con, [path for _, path in group])  # stage SQL is checked, and shut in as well
        tasks = tuple(task for task, _ in group)
        rows = {
            stage.name: _collect(
                con.sql(stage.sql), limits, f"{tasks[0].file_id}-{stage.name}", stage.keys
            )
            for stage in tasks[0].stages
        }
        told = _hours_told(group, source, aliases)
        hours = _hours_read(con, source) if told is None else told
    finally:
        con.close()
    return Read(tasks, remarks, rows, hours)


def _create_view(
    con: duckdb.DuckDBPyConnection,
    group: Sequence[tuple[Task, Path]],
    source: Source,
    aliases: Mapping[str, str],
    times: str,
    where: str,
) -> Remarks:
    """Makes the source table's name stand for the files of the group."""
    stage_sql.register_functions(con)
    names = ", ".join(quoting.text(str(path)) for _, path in group)
    scan = f"read_parquet([{names}], hive_partitioning = false)"
    own_names = columns.schema(group[0][1]).names  # the same in all of them
    described = [row[:2] for row in con.execute(f"describe from {scan}").fetchall()]
    held = columns.named(own_names, described)
    files = [(task.file_id, task.file.tenant) for task, _ in group]
    partitions = [dict(task.file.partition) for task, _ in group]
    projection, remarks = binding.bind(source, held, aliases, files, partitions, times)
    con.execute(
        f"create view {quoting.name(source.name)} as select {projection} from {scan} where {where}"
    )
    return remarks


def _hours_told(
    group: Sequence[tuple[Task, Path]], source: Source, aliases: Mapping[str, str]
) -> pa.Table | None:
    """Rows of any kind per file and hour, when the footers of all these files tell them.

    They do where a file holds the rows of one tenant.
    """
    if any(task.file.size < _LARGE for task, _ in group):
        return None
    names = columns.schema(group[0][1]).names
    place = columns.find(names, source.name, binding.TIME, aliases)
    if place is None:
        return None
    records = list[tuple[int, int, int, int, int, str]]()
    for task, path in group:
        spans = footers.hours(path, names[place])
        tenant = _tenant_told(task, path, names, source, aliases)
        if spans is None or tenant is None:
            return None
        for hour, span in spans.items():
            records.append((task.file_id, hour * HOUR_US, span.rows, span.first, span.last, tenant))
    if not all(first >= _LOW and last <= _HIGH for *_, first, last, _ in records):
        return None
    values = list(zip(*records, strict=True)) or [()] * len(_HOURS)
    return pa.table(values, _HOURS)


def _tenant_told(
    task: Task, path: Path, names: Sequence[str], source: Source, aliases: Mapping[str, str]
) -> str | None:
    """The one tenant of a file, as its footer tells it; None where only the rows can tell."""
    kind = dict(source.columns).get(binding.TENANT)
    if kind is None:
        return ""
    if kind != "VARCHAR":
        return None
    place = columns.find(names, source.name, binding.TENANT, aliases)
    own = footers.NOTHING if place is None else footers.single(path, names[place])
    return None if own is None else own or task.file.tenant or ""


_LOW, _HIGH = (epoch_us(limit) for limit in (binding.EARLIEST, binding.LATEST))
_HOURS = pa.schema(
    [
        ("file_id", pa.int64()),
        ("hour", pa.timestamp("us", "UTC")),
        ("rows", pa.int64()),
        ("min_time", pa.timestamp("us", "UTC")),
        ("max_time", pa.timestamp("us", "UTC")),
        ("tenant", pa.string()),
    ]
)


def _hours_read(con: duckdb.DuckDBPyConnection, source: Source) -> pa.Table:
    """Rows of any kind per file, hour and tenant."""
    has_tenant = binding.TENANT in dict(source.columns)
    tenant = f"coalesce(\"{binding.TENANT}\"::varchar, '')" if has_tenant else "''"
    # date_trunc of a TIMESTAMPTZ goes through the calendar and takes three times as long.
    return con.sql(
        f"""select file_id, make_timestamptz(hour * {HOUR_US}) as hour, rows,
                   min_time, max_time, tenant
            from (select file_id, epoch_us("Timestamp") // {HOUR_US} as hour,
                         {tenant} as tenant, count(*) as rows,
                         min("Timestamp") as min_time, max("Timestamp") as max_time
                  from {quoting.name(source.name)} group by all)"""
    ).to_arrow_table()


def _collect(relation: duckdb.DuckDBPyRelation, limits: Limits, name: str, keys: Keys) -> Rows:
    """All rows of a query; when they are many they wait on disk."""
    reader = relation.to_arrow_reader(_ROWS_AT_A_TIME)
    kept, size, counts = list[pa.RecordBatch](), 0, list[pa.Table]()
    path, writer = limits.folder / f"{name}.arrows", None
    try:
        for batch in reader:
            counts.append(_count(pa.Table.from_batches([batch]), keys))
            size += batch.nbytes
            if size > limits.memory * _SPILL:
                raise TooMuchError(
                    f"makes more than {limits.memory * _SPILL / 1e9:,.0f} GB of rows:"
                    " return fewer rows or smaller values"
                )
            kept += _pieces(batch)
            if writer is None and size > _KEPT_BYTES:
                writer = pa.ipc.new_stream(pa.OSFile(str(path), "wb"), reader.schema)
            while writer and kept:
                writer.write(kept.pop(0))
    except (OSError, pa.ArrowException) as error:  # DuckDB's own error, as Arrow passes it on
        raise duckdb.IOException(str(error)) from error
    finally:
        if writer:
            writer.close()
    return Rows(reader.schema, tuple(kept), path if writer else None, _total(counts))


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows in pieces that whoever stores them has room for."""
    rows = batch.num_rows
    if batch.nbytes <= _PIECE_BYTES:
        yield batch
    elif rows == 1:
        if batch.nbytes > _ROW_BYTES:
            raise TooMuchError(
                f"makes a row of {batch.nbytes / 1e6:,.0f} MB: return smaller values"
            )
        yield batch
    else:
        yield from _pieces(batch.slice(0, rows // 2))
        yield from _pieces(batch.slice(rows // 2))


def _count(rows: pa.Table, keys: Keys) -> pa.Table:
    """Rows per file, hour of the event, tenant and what they lack."""
    times = rows["event_time"].cast(pa.timestamp("us", "UTC"))
    hours = pc.floor(pc.divide(times.cast(pa.int64()).cast(pa.float64()), HOUR_US))
    short = pa.table(
        {
            "file_id": rows["file_id"],
            "hour": pc.multiply(hours.cast(pa.int64()), HOUR_US).cast(times.type),
            "tenant": pc.fill_null(rows["tenant"], ""),
            "code": day_counts.codes(rows, keys),
            "min_time": times,
            "max_time": times,
            "rows": pa.repeat(1, rows.num_rows),
        }
    )
    return _grouped(short)


def _grouped(rows: pa.Table) -> pa.Table:
    keys = ["file_id", "hour", "tenant", "code"]
    names = ["min_time", "max_time", "rows"]
    made = rows.group_by(keys).aggregate(
        [("min_time", "min"), ("max_time", "max"), ("rows", "sum")]
    )
    renamed = made.select([*keys, "min_time_min", "max_time_max", "rows_sum"])
    return renamed.rename_columns([*keys, *names])


_COUNTED = pa.schema(
    [
        ("file_id", pa.int64()),
        ("hour", pa.timestamp("us", "UTC")),
        ("tenant", pa.string()),
        ("code", pa.int32()),
        ("min_time", pa.timestamp("us", "UTC")),
        ("max_time", pa.timestamp("us", "UTC")),
        ("rows", pa.int64()),
    ]
)

# Not `empty_table()`, which imports pandas.
NOTHING_COUNTED = pa.Table.from_batches([], _COUNTED)


def _total(counts: Sequence[pa.Table]) -> pa.Table:
    return _grouped(pa.concat_tables(counts)).cast(_COUNTED) if counts else NOTHING_COUNTED
