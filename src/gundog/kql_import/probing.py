"""A translated SELECT bound to empty tables: which columns it returns, with which types."""

from __future__ import annotations

import re
from collections.abc import Iterable

import duckdb

from gundog.hunting import kusto_series
from gundog.kql_import.refusing import RefusalError
from gundog.kql_import.source_columns import KqlTable
from gundog.kql_import.weaving import MARK
from gundog.warehouse import database, locks, quoting, series_function, statement

_MOMENT = "TIMESTAMP '2026-01-01'"


def types_of(sql: str, tables: Iterable[KqlTable]) -> dict[str, str]:
    """DuckDB's type of each column that a SELECT returns, in their order.

    Raises:
        RefusalError: when DuckDB does not accept it.
    """
    con = database.connect()
    try:
        for table in tables:
            columns = ", ".join(
                f"{quoting.name(name)} {kind}" for name, kind in table.types.items()
            )
            con.execute(f"create table {quoting.name(table.name)} ({columns}, {MARK} VARCHAR)")
        series_function.register(con, kusto_series.compute)
        locks.lock(con)
        bound = sql.replace("$kqlnow", _MOMENT)
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
    finally:
        con.close()
    return {row[0]: row[1] for row in rows}
