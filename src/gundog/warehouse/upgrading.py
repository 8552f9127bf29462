"""Brings a warehouse that an older gundog wrote to the tables of this one.

Everything happens in one transaction: a run that is killed leaves the old tables or the new ones.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import duckdb

from gundog.core.errors import StoreError
from gundog.warehouse import quoting, tables

# The number of the layout that this gundog writes. Raise it with each change that an older gundog
# would misread or damage: from then on older ones refuse the file. Layout 1 had no number.
LAYOUT = 2


@dataclass(frozen=True)
class Renamed:
    """A column that had another name in an older layout."""

    table: str
    old: str
    new: str


RENAMED = (
    Renamed("finding_changes", "at", "changed_at"),
    Renamed("triage", "at", "said_at"),
    Renamed("judged", "state", "fingerprint"),
)


def make_tables(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Makes the tables and columns that are missing and renames those with an older name.

    The caller's transaction holds all of it. A warehouse that is up to date is only read.

    Args:
        con: the warehouse, writable, in a transaction.
        path: where it is, for the message.

    Raises:
        StoreError: when a newer gundog wrote it; it is left as it is.
    """
    present = columns(con)
    written = _layout(con, present)
    if written > LAYOUT:
        raise StoreError(
            f"{path}: a newer gundog wrote it (layout {written}, this one writes {LAYOUT}):"
            " install that version again, or restore a backup from before the upgrade"
        )
    old = outdated(present)
    for column in old:
        _rename(con, column, present)
    present |= {(column.table, column.new) for column in old}
    _complete(con, present, {column.table for column in old})
    if written < LAYOUT:
        con.execute("delete from warehouse_layout")
        con.execute("insert into warehouse_layout values (?)", [LAYOUT])


def columns(con: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    """Table and column of every column in the file that is open."""
    rows = con.execute(
        """select table_name, column_name from duckdb_columns()
           where schema_name = 'main' and database_name = current_database()"""
    ).fetchall()
    return set(rows)


def outdated(present: Collection[tuple[str, str]]) -> list[Renamed]:
    """The columns that still have their old name."""
    return [column for column in RENAMED if (column.table, column.old) in present]


def renamed(con: duckdb.DuckDBPyConnection, schema: str) -> dict[str, str]:
    """Tables of an older file, each with a SELECT that gives its columns the names of today.

    Empty when the file has the names of today.

    Args:
        con: the published findings.
        schema: where its tables are, as SQL.
    """
    pairs = dict[str, list[str]]()
    for column in outdated(columns(con)):
        pairs.setdefault(column.table, []).append(f"{quoting.name(column.old)} as {column.new}")
    return {
        table: f"select * rename ({', '.join(names)}) from {schema}.{table}"
        for table, names in pairs.items()
    }


def _layout(con: duckdb.DuckDBPyConnection, present: Collection[tuple[str, str]]) -> int:
    """The layout a warehouse was written in; 1 when it has no number."""
    if (tables.WAREHOUSE_LAYOUT.name, "layout") not in present:
        return 1
    [(layout,)] = con.execute("select coalesce(max(layout), 1) from warehouse_layout").fetchall()
    return int(layout)


def _rename(
    con: duckdb.DuckDBPyConnection, column: Renamed, present: Collection[tuple[str, str]]
) -> None:
    old = quoting.name(column.old)
    if (column.table, column.new) not in present:
        con.execute(f"alter table {column.table} rename column {old} to {column.new}")
        return
    # An older gundog, which could not read the layout's number, wrote again in the meantime.
    con.execute(f"update {column.table} set {column.new} = coalesce({column.new}, {old})")
    con.execute(f"alter table {column.table} drop column {old}")


def _complete(
    con: duckdb.DuckDBPyConnection, present: Collection[tuple[str, str]], renamed: Collection[str]
) -> None:
    """Makes the tables and columns that an older gundog did not know, and says what they are."""
    names = {table for table, _ in present}
    con.execute("create schema if not exists staged")
    for table in tables.TABLES:
        missing = [c for c in table.columns if (table.name, c.name) not in present]
        for column in missing if table.name in names else ():
            kind = column.type.split()[0]
            con.execute(f"alter table {table.name} add column {quoting.name(column.name)} {kind}")
        for statement in tables.create(table) if missing or table.name in renamed else ():
            con.execute(statement)
