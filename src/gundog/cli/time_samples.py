"""Some times of a file as they are written, and the formats that read them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from gundog.lake import columns, exporters, time_formats
from gundog.lake.path import JSON
from gundog.staging import binding, json_lines
from gundog.staging.batch import Batch
from gundog.warehouse import database

_MOST = 200


def formats(batch: Batch) -> tuple[str, ...]:
    """The time formats that read every time of a file's first rows, which no usual reading does.

    Several where the times seen leave open which number is the day and which the month.

    Args:
        batch: one file, all of it near or at least its times.
    """
    values = list(itertools.islice(_values(batch), _MOST))
    numbers = [number for number in map(_number, values) if number is not None]
    if values and len(numbers) == len(values):
        unit = time_formats.of_numbers(numbers)
        return (unit,) if unit else ()
    return _formats_of([str(value) for value in values]) if values else ()


def _values(batch: Batch) -> Iterator[Any]:
    place = _column(batch)
    if place is None:
        return
    path, name = place
    with pq.ParquetFile(path) as file:
        for rows in file.iter_batches(_MOST, columns=[name]):
            yield from (value for value in rows.column(0).to_pylist() if value is not None)


def _column(batch: Batch) -> tuple[Path, str] | None:
    """The parquet file and its column that holds the times; JSON becomes parquet before."""
    if batch.format == JSON:
        ((_, path),), *_ = json_lines.converted(batch)
        return path, binding.TIME
    ((_, path),) = batch.files
    names, source = columns.schema(path).names, batch.source.name
    renamed = exporters.aliases(names, source, [binding.TIME], batch.aliases, batch.exporter)
    place = columns.find(names, source, binding.TIME, renamed)
    return None if place is None else (path, names[place])


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _formats_of(texts: Sequence[str]) -> tuple[str, ...]:
    read = dict[tuple[Any, ...], str]()
    with database.connect(threads=1) as con:
        for format_ in time_formats.KNOWN:
            rows = con.execute(
                """select epoch_ns(try_strptime(value, $format)) as ns
                   from (select unnest($texts::varchar[]) as value)""",
                {"format": format_.replace("%f", "%n"), "texts": list(texts)},
            ).fetchall()
            times = tuple(ns for (ns,) in rows)
            if None not in times and time_formats.is_plausible(times):
                read.setdefault(times, format_)
    return tuple(read.values())
