"""Random queries give what plain Python gives, some here and 5,000 in `make torture`."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from tests import kql_random

# Seeds that differed before: a second join that fills the text columns of a first one.
FIXED = (4236,)


@pytest.mark.parametrize(
    "seeds",
    [range(10), FIXED, pytest.param(range(10, 60), marks=pytest.mark.slow)],
    ids=str,
)
def test_random_queries_give_what_plain_python_gives(seeds: Sequence[int]) -> None:
    """Filters, new columns, summaries, joins, unions, lists and lets, woven with their events."""
    with duckdb.connect() as con:
        differing = [text for seed in seeds if (text := kql_random.differing(con, seed))]

    assert differing == []


def test_drawn_queries_are_about_something() -> None:
    """Most give rows, and each shape is among them."""
    cases = [kql_random.case(seed) for seed in range(600)]
    shapes = ("where", "extend", "summarize", "distinct", "arg_max", "mv-expand", "union", "let")

    assert sum(bool(case.rows) for case in cases) > 200
    for shape in (*shapes, *(f"kind={kind}" for kind in kql_random.KINDS)):
        assert sum(shape in case.kql and bool(case.rows) for case in cases) >= 3, shape
