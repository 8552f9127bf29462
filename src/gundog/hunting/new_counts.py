"""How much of hourly counts was of something new: out of a hunt's rows, and onto the axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gundog.hunting.scoring.newness import Newness


def column(rows: pa.Table, names: Sequence[str], kind: pa.DataType) -> pa.Array:
    """What a hunt's rows say of new things as one list a row, null where any column is null.

    An empty list says that nothing is new, which is so in nearly all rows.

    Args:
        rows: what the hunt's SQL returned.
        names: the columns; none where the hunt says nothing of it.
        kind: the list's type.
    """
    columns = [rows[name].cast(pa.float64()).combine_chunks() for name in names]
    if not columns:
        return pa.nulls(rows.num_rows, kind)
    given = pc.fill_null(pc.is_finite(reduce(pc.add, columns)), False)
    amounts = np.stack([column.fill_null(0).to_numpy() for column in columns], axis=1)
    some = amounts.any(axis=1) & given.to_numpy(zero_copy_only=False)
    offsets = np.zeros(rows.num_rows + 1, dtype=np.int32)
    np.cumsum(some * len(columns), out=offsets[1:])
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(amounts[some].ravel()), mask=pc.invert(given)
    )


def entries(
    new: pa.ChunkedArray,
    kinds: int,
    rows: np.ndarray,
    columns: np.ndarray,
    shape: tuple[int, ...],
) -> Newness:
    """What kept counts say of new things; hours with nothing new say only that they are known.

    Args:
        new: lists of so many `kinds`, empty where nothing was new (or of zeros, as they once were
            kept), null where the series was not known yet.
        kinds: how many kinds of newness there are.
        rows: the series of each, by its row on the axis.
        columns: its hour.
        shape: (n_series, n_hours) of the axis.
    """
    given = np.flatnonzero(new.is_valid().to_numpy(zero_copy_only=False))
    lengths = pc.fill_null(pc.list_value_length(new), 0).to_numpy()
    told = np.flatnonzero(lengths)
    amounts = new.combine_chunks().drop_null().flatten().to_numpy().reshape(-1, kinds)
    since = np.full(shape[0], shape[1])
    np.minimum.at(since, rows[given], columns[given])
    some = np.flatnonzero(amounts.any(axis=1))
    places = told[some]
    return Newness(rows[places], columns[places], amounts[some], since)
