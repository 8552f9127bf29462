"""Rows that wait on disk: in memory, weeks of them would leave a hunt's queries no room."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa


def moved(con: duckdb.DuckDBPyConnection, rows: pa.Table) -> pa.Table:
    """The same rows, read from a file without a name in the folder where queries spill.

    Args:
        con: a connection; one that may not spill leaves rows where they are.
        rows: whose memory is free again once nobody else holds them.

    Raises:
        OSError: when the disk is full.
    """
    folder = con.execute("select current_setting('temp_directory')").fetchall()[0][0]
    if not folder:
        return rows
    Path(folder).mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(".arrow", "rows-", folder)
    try:
        with os.fdopen(handle, "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows)
        return pa.ipc.open_file(pa.memory_map(name)).read_all()
    finally:
        Path(name).unlink()
