"""Rows that wait on disk are the same rows, take no memory, and leave no file."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from gundog.hunting import on_disk


def table(rows: int) -> pa.Table:
    names = pa.array([f"user {row % 7}" for row in range(rows)]).dictionary_encode()
    lists = pa.array([None, [], [1.5, 2.0]] * (rows // 3), pa.list_(pa.float64()))
    return pa.table({"name": names, "items": pa.array(range(rows)), "new": lists})


def test_rows_are_the_same_and_their_memory_is_free(tmp_path: Path) -> None:
    rows = table(300_000)
    expected, size = rows.slice(0, 9).to_pylist(), rows.nbytes
    with duckdb.connect() as con:
        con.execute(f"set temp_directory = '{tmp_path}/spill'")
        before = pa.total_allocated_bytes()

        waiting = on_disk.moved(con, rows)
        assert waiting.equals(rows)
        del rows

        assert before - pa.total_allocated_bytes() > 0.9 * size
        assert waiting.slice(0, 9).to_pylist() == expected
        assert not list((tmp_path / "spill").iterdir())


def test_without_a_folder_to_spill_rows_stay_where_they_are() -> None:
    rows = table(30)
    with duckdb.connect() as con:
        con.execute("set temp_directory = ''")
        assert on_disk.moved(con, rows) is rows
