"""The one function through which hunt SQL calls Kusto's series functions.

`kusto_series(name, points, arguments)` gives a JSON object with a list or number by output name.
The package that scores series knows how; connections that only bind SQL know its types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb

NAME = "kusto_series"
Compute = Callable[[str, Sequence[float | None], str], str]


def register(con: duckdb.DuckDBPyConnection, compute: Compute | None = None) -> None:
    """Makes the function known to a connection; without `compute` its types only."""
    con.create_function(NAME, compute or _unknown, ["VARCHAR", "DOUBLE[]", "VARCHAR"], "VARCHAR")


def _unknown(name: str, _points: Sequence[float | None], _arguments: str) -> str:
    raise ValueError(f"{name} cannot be called here")
