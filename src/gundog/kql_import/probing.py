"""A translated SELECT bound to empty tables: which columns it returns, with which types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import duckdb

from gundog.kql_import.refusing import RefusalError
from gundog.warehouse import database, locks, quoting, series_function, statement

# DuckDB's type of each column that a SELECT returns, in their order.
TypesOf = Callable[[str], dict[str, str]]
_MOMENT = "TIMESTAMP '2026-01-01'"


class Probe:
    """Empty tables, over which a SELECT is bound; to call it is to ask as `TypesOf` says.

    `con` is their connection, shut: it parses and binds, and opens nothing.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con

    def __call__(self, sql: str) -> dict[str, str]:
        return _types_of(self.con, sql)

    def described(self, sql: str) -> list[tuple[str, str]]:
        """Name and type of each column, bound only: DuckDB's own error for what does not bind."""
        bound = sql.replace("$kqlnow", _MOMENT)
        return [(row[0], row[1]) for row in self.con.execute(f"describe {bound}").fetchall()]


@contextmanager
def over(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Probe]:
    """Describes SELECTs over empty tables; it raises RefusalError for what DuckDB does not accept.

    Args:
        tables: DuckDB's type of each column, by table.
    """
    con = database.connect(threads=1)
    try:
        for name, types in tables.items():
            columns = ", ".join(f"{quoting.name(column)} {kind}" for column, kind in types.items())
            con.execute(f"create table {quoting.name(name)} ({columns})")
        series_function.register(con, _computed)
        locks.lock(con)
        yield Probe(con)
    finally:
        con.close()


def _computed(name: str, points: Sequence[float | None], arguments: str) -> str:
    from gundog.hunting import kusto_series  # loads NumPy, which few queries need

    return kusto_series.compute(name, points, arguments)


def _types_of(con: duckdb.DuckDBPyConnection, sql: str) -> dict[str, str]:
    bound = sql.replace("$kqlnow", _MOMENT)
    try:
        rows = con.execute(f"describe select * from ({bound})").fetchall()
        con.execute(f"select * from ({bound})").fetchall()
    except (duckdb.Error, RecursionError) as error:
        said = statement.message(error)[:200]
        if named := re.match(r'Referenced column "([^"]+)" not found', said):
            reason = "is not a column there: correct the name, or add it to sql/sources/"
            raise RefusalError(f"column {named[1]}", reason) from error
        raise RefusalError(
            "types", f"{said}: convert the values, or write the step in another way"
        ) from error
    return {row[0]: row[1] for row in rows}
