"""Functions of gundog's own: where SQL is only bound, they have the same types as where it runs."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest

from gundog.detections import stage_sql
from gundog.warehouse import series_function

NAMES = [*sorted(stage_sql.VERSIONS), series_function.NAME]
CALLS = (
    "{f}('a')", "{f}('a', 'b')", "{f}('a', [1.0, null], 'c')", "{f}(null)", "{f}(null, null)",
    "{f}(1)", "{f}(date '2026-01-01')", "{f}(1, 'b')", "{f}('a', 1)", "{f}('a', [1.0], 1)", "{f}()",
    "list_transform(['a'], lambda x: {f}(x))", "list_transform(['a'], lambda x: {f}(x, x))",
    "{f}('a').text", "{f}('a')[1].name", "{f}('a').nothing",
)  # fmt: skip


def registered(con: duckdb.DuckDBPyConnection) -> None:
    stage_sql.register_functions(con)
    series_function.register(con, lambda _name, _points, _arguments: "{}")


def declared(con: duckdb.DuckDBPyConnection) -> None:
    stage_sql.declare_functions(con)
    series_function.FUNCTION.declare(con)


def kinds_of(make: Callable[[duckdb.DuckDBPyConnection], None], calls: list[str]) -> dict[str, str]:
    """The type of each call; empty where DuckDB refuses it."""
    with duckdb.connect() as con:
        make(con)
        return {call: kind_of(con, call) for call in calls}


def kind_of(con: duckdb.DuckDBPyConnection, call: str) -> str:
    try:
        return str(con.execute(f"describe select {call} as value").fetchall()[0][1])
    except duckdb.BinderException:
        return ""


@pytest.mark.parametrize("name", NAMES)
def test_what_is_only_bound_binds_as_what_runs(name: str) -> None:
    """Right calls have the same type, and wrong ones are refused by both."""
    calls = [call.format(f=name) for call in CALLS]
    running = kinds_of(registered, calls)

    assert kinds_of(declared, calls) == running
    assert any(running.values())
    assert not all(running.values())
