"""What the footer of a parquet file says about its rows, without reading one of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from gundog.core.times import HOUR_US
from gundog.lake import columns

_UNITS = {"us": 1, "ms": 1000}


# What a column says that holds nothing.
NOTHING = ""


@dataclass
class Span:
    """How many rows lie in an hour, and the first and last of their times in us since 1970."""

    rows: int
    first: int
    last: int


def hours(path: Path, column: str) -> dict[int, Span] | None:
    """The rows of a file by hour, counted in hours since 1970.

    Args:
        path: a file that can be read.
        column: the name of a top level column of times.

    Returns:
        None where only the rows can tell: when a row group reaches into a second hour, holds nulls
        or has no statistics, or when there is no one such column of instants in us or ms.
    """
    with columns.footer(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
    field = schema.get_field_index(column)  # -1 also where two have the name
    kind = schema.field(field).type if field >= 0 else pa.null()
    if not pa.types.is_timestamp(kind) or kind.tz is None or kind.unit not in _UNITS:
        return None
    place, unit = columns.leaves(schema)[field].start, _UNITS[kind.unit]
    spans: dict[int, Span] = {}
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if not group.num_rows:
            continue
        told = group.column(place).statistics
        if not (told and told.has_min_max and told.has_null_count) or told.null_count:
            return None
        first, last = told.min_raw * unit, told.max_raw * unit
        if first // HOUR_US != last // HOUR_US:
            return None
        span = spans.setdefault(first // HOUR_US, Span(0, first, last))
        span.rows += group.num_rows
        span.first, span.last = min(span.first, first), max(span.last, last)
    return spans


def single(path: Path, column: str) -> str | None:
    """The one text that a column holds in every row of a file, `NOTHING` where all are null.

    Args:
        path: a file that can be read.
        column: the name of a top level column of texts.

    Returns:
        None where only the rows can tell: when a row group holds two values, or a value and a
        null, or has no statistics, or when there is no one such column.
    """
    with columns.footer(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
    field = schema.get_field_index(column)  # -1 also where two have the name
    if field < 0 or pa.types.is_nested(schema.field(field).type):
        return None
    place, texts = columns.leaves(schema)[field].start, set[str]()
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if not group.num_rows:
            continue
        told = group.column(place).statistics
        if not (told and told.has_null_count):
            return None
        if told.null_count == group.num_rows:
            texts.add(NOTHING)
            continue
        if told.null_count or not told.has_min_max or told.min != told.max:
            return None
        if not isinstance(told.min, str):
            return None
        texts.add(told.min)
    return texts.pop() if len(texts) == 1 else None if texts else NOTHING
