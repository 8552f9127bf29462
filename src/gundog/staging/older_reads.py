"""Which stages hold rows of an older version of a file than the one that is known of it.

They come to be where a run reads for some detections only: the file stays due for the others. Here
is kept as well what was said of files that were rejected.
"""

from __future__ import annotations

from collections import defaultdict

import duckdb
import pyarrow as pa

from gundog.staging.batch import FileOutcome, Read

_VERSIONS = pa.schema(
    [
        *((name, pa.int64()) for name in ("file_id", "size_bytes", "mtime_ns")),
        ("reading", pa.string()),
    ]
)


def by_file(con: duckdb.DuckDBPyConnection) -> dict[int, set[str]]:
    """The names of these stages, by file_id."""
    stages = defaultdict[int, set[str]](set)
    for key, name in con.execute("select file_id, stage from older_reads").fetchall():
        stages[key].add(name)
    return stages


def rejected(con: duckdb.DuckDBPyConnection) -> dict[int, str]:
    """What gundog.yaml said of the files that were rejected, by file_id."""
    return dict(con.execute("select file_id, reading from rejected_reads").fetchall())


def note_rejected(con: duckdb.DuckDBPyConnection, read: Read) -> None:
    """Keeps what gundog.yaml says of these files, if they are rejected.

    Args:
        con: the warehouse, in the transaction that stores the files, after `note`, without what it
            said of them before.
        read: what is stored.
    """
    for task in read.tasks if read.outcome == FileOutcome.REJECTED else ():
        con.execute("insert into rejected_reads values (?, ?)", [task.file_id, task.file.reading])


def note(con: duckdb.DuckDBPyConnection, read: Read) -> None:
    """Notes the stages that keep rows of older versions when these files' rows are stored.

    Args:
        con: the warehouse, in the transaction that stores the files, before `source_files` and
            `file_stages` have them; the temp table `batch` has their ids.
        read: what is stored.
    """
    stages = [stage.name for stage in (*read.tasks[0].stages, *read.unread)]
    versions = [
        {
            "file_id": task.file_id,
            "size_bytes": task.file.size,
            "mtime_ns": task.file.mtime_ns,
            "reading": task.file.reading,
        }
        for task in read.tasks
    ]
    con.register("read_versions", pa.Table.from_pylist(versions, _VERSIONS))
    con.execute(
        """insert into older_reads by name
           select f.file_id, f.stage from file_stages as f
           inner join source_files as s using (file_id)
           inner join read_versions as v using (file_id)
           where (s.size_bytes, s.mtime_ns) <> (v.size_bytes, v.mtime_ns)
           or v.reading <> (select r.reading from rejected_reads as r where r.file_id = v.file_id)
           except select file_id, stage from older_reads"""
    )
    con.unregister("read_versions")
    con.execute(
        """delete from older_reads
           where file_id in (from batch) and list_contains(?::varchar[], stage)""",
        [stages],
    )
