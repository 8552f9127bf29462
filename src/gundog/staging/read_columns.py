"""The columns of a source that stages read, as DuckDB's own plan of their SQL says.

A column that the plan's scans leave out cannot change a row, however the SQL names rows as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import duckdb

from gundog.detections import stage_sql
from gundog.detections.staged import Source, StagedTable
from gundog.warehouse import database, locks, quoting

# Of all optimizers, the one that leaves columns out of scans; others hide scans or filters.
_LEAVES_OUT = "unused_columns"
_TABLE = "SEQ_SCAN"
# What reads rows that others made.
_INNER = frozenset(
    "CTE_SCAN RECURSIVE_CTE_SCAN DUMMY_SCAN COLUMN_DATA_SCAN DELIM_SCAN EXPRESSION_SCAN".split()
)
# What a stage can read beside the columns of its source.
_OWN = {"timestamp_ns": "bigint", "file_id": "bigint"}


def of(source: Source, stages: Sequence[StagedTable]) -> frozenset[str] | None:
    """The names of the source's columns that any of the stages reads.

    Returns:
        None where that is not sure, or there is no stage: then all columns are needed.
    """
    read = frozenset[str]()
    for stage in stages:
        own = _of_stage(source, stage.sql)
        if own is None:
            return None
        read |= own
    return read if stages else None


@lru_cache(maxsize=64)
def _of_stage(source: Source, sql: str) -> frozenset[str] | None:
    try:
        (plan,) = json.loads(_plan(source, sql))
        return _scanned(plan, source)
    except (duckdb.Error, ValueError, KeyError, TypeError, RecursionError):
        return None


def _plan(source: Source, sql: str) -> str:
    """DuckDB's plan of the SQL over an empty table, as JSON."""
    columns = [*source.columns, *_OWN.items()]
    with database.connect(threads=1) as con:
        stage_sql.register_functions(con)
        declared = ", ".join(f"{quoting.name(name)} {kind}" for name, kind in columns)
        con.execute(f"create table {quoting.name(source.name)} ({declared})")
        others = con.execute(
            "select string_agg(name, ',') from duckdb_optimizers() where name <> ?", [_LEAVES_OUT]
        ).fetchall()[0][0]
        con.execute(f"set disabled_optimizers = {quoting.text(others)}")
        locks.lock(con, [])
        text: str = con.execute(f"explain (format json) {sql}").fetchall()[0][1]
        return text


def _scanned(plan: Any, source: Source) -> frozenset[str] | None:
    """What the plan's scans of the source read; None where a scan is of another kind."""
    readable = {name for name, _ in source.columns} | _OWN.keys()
    read, scans = set[str](), 0
    for node in _nodes(plan):
        name = node["name"].strip()
        if name == _TABLE:
            scans += 1
            said = node["extra_info"]["Projections"]
            read |= {said} - {""} if isinstance(said, str) else set(said)
            if not node["extra_info"]["Table"].endswith(f".main.{source.name}"):
                return None
        elif "SCAN" in name and name not in _INNER:
            return None
    return frozenset(read - _OWN.keys()) if scans and read <= readable else None


def _nodes(plan: Any) -> Iterator[Any]:
    stack = [plan]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node["children"])
