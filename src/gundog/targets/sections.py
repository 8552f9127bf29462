"""The published rows in sections: one table and one day each, with a digest of its rows.

A section is what a target gets again when a row of it changed, so a night costs its own days and
not all that is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import duckdb

from gundog.warehouse import quoting, tables
from gundog.warehouse.schema import Table

TABLES = tuple(table for table in tables.TABLES if table.published)
# Where a row has no day; and the section of a table that has no rows.
NO_DAY, EMPTY = "none", "empty"
# The column whose day a row is filed under; of `evidence` and the like that of its finding.
DAYS = {
    "runs": "started_at",
    "source_files": "created_at",
    "run_intervals": "interval_start",
    "series_points": "interval_start",
    "findings": "interval_start",
    "finding_changes": "changed_at",
    "triage": "said_at",
    "notifications": "created_at",
}
OF_FINDING = ("evidence", "finding_contexts")
# Tables of few rows, and those that have no day.
WHOLE = ("sources", "drifts", "looked_at", "canaries", "exceptions", "detections")
_AS_TEXT = {"UUID": "VARCHAR", "JSON": "VARCHAR", "UUID[]": "VARCHAR[]"}


@dataclass(frozen=True)
class Section:
    """The rows of one table and day.

    Attributes:
        table: the table.
        day: such as 2026-03-09; `all` of a table that is one section.
        rows: how many.
        digest: the same for the same rows and columns, whatever order they are in.
    """

    table: str
    day: str
    rows: int
    digest: str


def sections(con: duckdb.DuckDBPyConnection) -> Iterator[Section]:
    """Every section of the published tables, by table and day; each table has at least one.

    Args:
        con: the published findings.
    """
    for table in TABLES:
        rows = con.execute(
            f"""with filed as (select {day_of(table.name)} as day, t from {table.name} as t)
                select day, count(*), sum(hash(t))::varchar, bit_xor(hash(t))
                from filed group by day order by day"""
        ).fetchall()
        empty = "all" if table.name in WHOLE else EMPTY
        for day, number, total, mixed in rows or [(empty, 0, "", 0)]:
            yield Section(table.name, day, number, _digest(table, number, total, mixed))


def day_of(table: str) -> str:
    """SQL for the section's day of a row `t`."""
    if table in WHOLE:
        return "'all'"
    if table in OF_FINDING:
        day = f"""(select {_day("f.interval_start")} from findings as f
                   where f.finding_id = t.finding_id)"""
        return f"coalesce({day}, '{NO_DAY}')"
    return f"coalesce({_day(f't.{DAYS[table]}')}, '{NO_DAY}')"


def _day(column: str) -> str:
    return f"strftime({column}, '%Y-%m-%d')"


def rows(con: duckdb.DuckDBPyConnection, section: Section) -> duckdb.DuckDBPyRelation:
    """The rows of a section: UUIDs and JSON as text, for all readers know that."""
    return con.sql(
        f"""select {
            ", ".join(
                _plain(column.name, column.type)
                for column in named(section.table).published_columns
            )
        }
            from {section.table} as t where {day_of(section.table)} = $day""",
        params={"day": section.day},
    )


@cache
def named(name: str) -> Table:
    """The published table of that name."""
    return next(table for table in TABLES if table.name == name)


def _plain(column: str, kind: str) -> str:
    name, text = f"t.{quoting.name(column)}", _AS_TEXT.get(kind.removesuffix(" PRIMARY KEY"))
    return f"{name}::{text} as {quoting.name(column)}" if text else name


def _digest(table: Table, *counted: object) -> str:
    # DuckDB's hash may differ from version to version: then all of it is published again.
    parts = [duckdb.__version__, table.published_columns, counted]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
