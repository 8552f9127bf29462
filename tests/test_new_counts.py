"""What of hourly counts was new: out of a hunt's rows into lists, and onto the axis."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gundog.hunting import new_counts

KIND = pa.list_(pa.float64())
ROWS = pa.table(
    {
        "network": pa.array([0, 4, None, 0, float("nan")], pa.float64()),
        "app": pa.array([0, 0, 2, 7, 1], pa.int64()),
    }
)


def test_a_row_is_null_where_anything_is_unknown_and_empty_where_nothing_is_new() -> None:
    lists = new_counts.column(ROWS, ("network", "app"), KIND)
    assert lists.to_pylist() == [[], [4.0, 0.0], None, [0.0, 7.0], None]


def test_a_hunt_that_says_nothing_has_nulls() -> None:
    assert new_counts.column(ROWS, (), KIND).to_pylist() == [None] * 5


def test_entries_are_what_is_new_and_since_when_it_is_known() -> None:
    """Zeros, as rows once kept them, say the same as an empty list."""
    for nothing in ([], [0.0, 0.0]):
        lists = pa.chunked_array([[nothing, None], [[4.0, 0.0], nothing, [0.0, 7.0]]], KIND)
        rows, hours = np.array([2, 0, 0, 1, 2]), np.array([5, 1, 3, 2, 6])

        new = new_counts.entries(lists, 2, rows, hours, (4, 9))

        assert new.rows.tolist() == [0, 2]
        assert new.hours.tolist() == [3, 6]
        assert new.amounts.tolist() == [[4.0, 0.0], [0.0, 7.0]]
        assert new.since.tolist() == [3, 2, 5, 9]
