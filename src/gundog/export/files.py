"""Rows written into a file: CSV, JSON lines or parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator
from typing import IO, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from gundog.core import safe_text
from gundog.core.plain_values import plain

FORMATS = ("csv", "parquet", "jsonl")
_BATCH_ROWS = 20_000


Wrote = Callable[[int], None]


def untold(rows: int) -> None:
    """Tells nobody that rows were written."""
    del rows


def write_csv(query: duckdb.DuckDBPyRelation, out: IO[str], wrote: Wrote = untold) -> None:
    """Writes the rows as CSV that no spreadsheet computes anything of; a header comes first."""
    reader = query.to_arrow_reader(_BATCH_ROWS)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(safe_text.for_csv(name) for name in reader.schema.names)
    for row in _records(reader, wrote):
        writer.writerow(map(_csv_cell, row.values()))


def write_jsonl(
    query: duckdb.DuckDBPyRelation,
    out: IO[str],
    json_columns: Collection[str] = (),
    wrote: Wrote = untold,
) -> None:
    """Writes one JSON object a line, in ASCII; what `json_columns` hold becomes part of it."""
    for row in _records(query.to_arrow_reader(_BATCH_ROWS), wrote):
        for name in json_columns:
            row[name] = unpacked(row[name])
        out.write(json.dumps(plain(row), ensure_ascii=True) + "\n")


def write_parquet(query: duckdb.DuckDBPyRelation, out: IO[bytes], wrote: Wrote = untold) -> None:
    """Writes the rows as one parquet file, also when there are none."""
    reader = query.to_arrow_reader(_BATCH_ROWS)
    with pq.ParquetWriter(out, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
            wrote(batch.num_rows)


def unpacked(text: str | None) -> Any:
    """What a JSON text holds; the text itself when it is not JSON."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _records(reader: pa.RecordBatchReader, wrote: Wrote) -> Iterator[dict[str, Any]]:
    for batch in reader:
        yield from batch.to_pylist()
        wrote(batch.num_rows)


def _csv_cell(value: Any) -> str:
    value = plain(value)
    if isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=True)
    return safe_text.for_csv(value)
