"""How far growing files were read, as the warehouse keeps it beside their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from gundog.detections import stage_keys
from gundog.detections.staged import StagedTable
from gundog.staging.batch import Task
from gundog.staging.tails import Tail
from gundog.warehouse import database

_COLUMNS = {
    "end": "read_end",
    **{name: name for name in ("digest", "said", "exporter", "names", "lines", "broken")},
    **{name: name for name in ("first_broken", "too_long", "waiting", "timeless")},
}
_TEXTS = ("digest", "said", "exporter")
_RECORD = pa.schema(
    [
        *((name, pa.int64()) for name in ("file_id", "size_bytes", "mtime_ns")),
        *(
            (column, pa.string() if column in _TEXTS else pa.int64())
            for column in _COLUMNS.values()
            if column != "names"
        ),
        ("names", pa.list_(pa.string())),
    ]
)


def known(con: duckdb.DuckDBPyConnection, stages: Sequence[StagedTable]) -> dict[int, Tail]:
    """How far each file was read by all of its source's stages as they are now.

    Files that any of them has not read, or of which rows are gone, must be read whole.

    Args:
        con: the warehouse.
        stages: all stages that will read the files.
    """
    tails = _tails(con, "")
    for stage in stages if tails else ():
        rows = con.execute(
            """select s.file_id from source_files as s
               where s.source_table = ? and not exists (
                   from file_stages as f inner join counted_files as c using (file_id, stage)
                   where f.file_id = s.file_id and f.stage = ? and f.stage_hash = ?
                   and c.stage_hash = f.stage_hash and c.keys = ?)
               union all select file_id from older_reads where stage = ?""",
            [stage.source, stage.name, stage.hash, stage_keys.shown(stage.keys), stage.name],
        ).fetchall()
        for (key,) in rows:
            tails.pop(key, None)
    return tails


def of_batch(con: duckdb.DuckDBPyConnection) -> dict[int, Tail]:
    """How far the files in the temp table `appended` were read before."""
    return _tails(con, "and e.file_id in (from appended)")


def _tails(con: duckdb.DuckDBPyConnection, where: str) -> dict[int, Tail]:
    rows = database.rows(
        con,
        f"""select e.* from read_ends as e
            inner join source_files as s using (file_id, size_bytes, mtime_ns)
            where s.state = 'staged' and s.min_time is not null {where}""",
    )
    return {row["file_id"]: _tail(row) for row in rows}


def _tail(row: Mapping[str, Any]) -> Tail:
    values = {name: row[column] for name, column in _COLUMNS.items()}
    return Tail(**{**values, "names": tuple(row["names"])})


def store(con: duckdb.DuckDBPyConnection, tasks: Iterable[Task], tails: Mapping[int, Tail]) -> None:
    """Keeps how far files were read.

    Args:
        con: the warehouse, in the transaction that stores the files, without what it held of them.
        tasks: of these files.
        tails: how far those that may grow were read, by file_id.
    """
    records = [_record(task, tails[task.file_id]) for task in tasks if task.file_id in tails]
    if records:
        con.register("new_ends", pa.Table.from_pylist(records, _RECORD))
        con.execute("insert into read_ends by name select * from new_ends")
        con.unregister("new_ends")


def _record(task: Task, tail: Tail) -> dict[str, Any]:
    values = {column: getattr(tail, name) for name, column in _COLUMNS.items()}
    file = task.file
    version = {"file_id": task.file_id, "size_bytes": file.size, "mtime_ns": file.mtime_ns}
    return {**version, **values, "names": list(tail.names)}
