"""The warehouse with rows of attacks laid over it, in memory: its file stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from gundog.core.errors import QueryError
from gundog.detections import stage_sql
from gundog.detections.staged import StagedTable
from gundog.hunting import kusto_series
from gundog.warehouse import (
    context_columns,
    contexts,
    database,
    locks,
    opening,
    quoting,
    schema,
    series_function,
    statement,
)

# The file that rows of attacks are of.
FILE_ID = -1
FILE = "drill"
_BASE = "lake"
_CONTEXTS = "learned.contexts"


@contextmanager
def opened(
    path: Path, stages: Sequence[StagedTable], *, memory: int, threads: int
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that shows a warehouse, and with it what `attacks_table` holds.

    The warehouse is attached so that nothing can be written to it, and once it is open, SQL on
    the connection reaches no other file.

    Args:
        path: the warehouse.
        stages: the staged tables that may be laid over; all have been staged.
        memory: bytes that queries may use.
        threads: how many at a time.

    Raises:
        QueryError: when the warehouse does not exist or is open for writing elsewhere.
    """
    con = database.connect(memory_limit=f"{memory}B", threads=threads, temp_directory="")
    try:
        _attach(con, path)
        con.execute("create schema learned")
        tables = _tables(con)
        if "contexts" in tables:
            con.execute(f"create table {_CONTEXTS} as from {_BASE}.main.contexts limit 0")
        for name in tables:
            con.execute(f"create view main.{quoting.name(name)} as {_shown(name)}")
        con.execute("create schema staged")
        con.execute("create schema attacks")
        for stage in stages:
            _lay_over(con, stage)
        series_function.register(con, kusto_series.compute)
        locks.lock(con)
        yield con
    finally:
        con.close()


def _attach(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        con.execute(f"attach {quoting.text(str(path))} as {_BASE} (read_only)")
    except duckdb.Error as error:
        cure = opening.CURE if opening.damage(error) else "run gundog hunt first, or wait for a run"
        raise QueryError(
            f"{path} cannot be opened read-only: {statement.message(error)}: {cure}"
        ) from error


def _tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    rows = con.execute(
        "select table_name from duckdb_tables() where database_name = ? and schema_name = 'main'",
        [_BASE],
    ).fetchall()
    return [name for (name,) in rows]


def _shown(name: str) -> str:
    """A table of the warehouse; its files and contexts have also those of the attacks."""
    own = f"from {_BASE}.main.{quoting.name(name)}"
    if name == "contexts":
        return f"{own} union all by name from {_CONTEXTS}"
    if name != "source_files":
        return own
    return f"{own} union all by name select {FILE_ID} as file_id, {quoting.text(FILE)} as path"


def attacks_table(stage: StagedTable) -> str:
    """The table of rows that are laid over a staged table, as SQL writes it."""
    return f"attacks.{quoting.name(stage.name)}"


def _lay_over(con: duckdb.DuckDBPyConnection, stage: StagedTable) -> None:
    columns = quoting.names([*(name for name, _ in stage.columns), schema.IS_COPY])
    theirs = f"select {columns} from {_BASE}.{stage.table}"
    con.execute(f"create table {attacks_table(stage)} as {theirs} limit 0")
    con.execute(
        f"create view {stage.table} as {theirs}"
        f" union all select {columns} from {attacks_table(stage)}"
    )
    con.execute(stage_sql.view_sql(stage))
    if stage.contexts:
        con.execute(context_columns.view_sql(stage.name))


def learn(con: duckdb.DuckDBPyConnection, stage: StagedTable) -> None:
    """Keeps the contexts of what is laid over a staged table now, as a run would learn them.

    Without it nothing that an attack comes from would be known at all, so that nothing of it would
    be new.
    """
    if stage.learned:
        con.execute(f"delete from {_CONTEXTS} where stage = ?", [stage.name])
        contexts.lay(con, replace(stage.learned, view=attacks_table(stage)), _CONTEXTS)


def is_staged(con: duckdb.DuckDBPyConnection, stage: StagedTable) -> bool:
    """True where a warehouse, open as `con`, has the staged table."""
    rows = con.execute(
        "select 1 from duckdb_tables() where schema_name = 'staged' and table_name = ?",
        [f"{stage.name}_{stage.hash[:8]}"],
    ).fetchall()
    return bool(rows)
