"""The one function through which hunt SQL calls Kusto's series functions.

`kusto_series(name, points, arguments)` gives a JSON object with a list or number by output name.
The package that scores series knows how; connections that only bind SQL know its types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb

from gundog.warehouse.own_functions import Function

NAME = "kusto_series"
FUNCTION = Function(NAME, ("VARCHAR", "DOUBLE[]", "VARCHAR"), "VARCHAR")
Compute = Callable[[str, Sequence[float | None], str], str]


def register(con: duckdb.DuckDBPyConnection, compute: Compute) -> None:
    """Makes the function known to a connection that runs hunts."""
    FUNCTION.register(con, compute)
