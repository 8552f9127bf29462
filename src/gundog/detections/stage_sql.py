"""Staged tables in SQL: their hash, and how one is created."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import duckdb

from gundog.detections import staged
from gundog.detections.staged import HIDDEN_COLUMNS, Source, StagedTable
from gundog.warehouse import context_columns, quoting, schema, tables
from gundog.warehouse.own_functions import Function

_NORMALISE = "normalise_command_line"


_NORMALISE_RECORD = "normalise_record"


_CMDLETS = "cmdlets_run"


_OF_LINES = 1
VERSIONS = {
    _NORMALISE: f"{_OF_LINES}",
    _NORMALISE_RECORD: "1",
    _CMDLETS: f"1 {_OF_LINES}",  # it looks for cmdlets in lines that are normalised
}
"""A function's number is raised when it gives another result for some text, so that stages that
call it are read again. They stand here, as reading content needs no function."""


_FUNCTIONS = (
    Function(_NORMALISE, ("VARCHAR",), "STRUCT(text VARCHAR, steps VARCHAR[])"),
    Function(_NORMALISE_RECORD, ("VARCHAR", "VARCHAR"), "VARCHAR"),
    Function(_CMDLETS, ("VARCHAR",), "STRUCT(name VARCHAR, arguments VARCHAR)[]"),
)


def register_functions(con: duckdb.DuckDBPyConnection) -> None:
    """Makes gundog's own functions known to a connection that runs stage SQL."""
    from gundog.detections import cmdlets, command_lines, records  # reading content needs none

    def normalise(text: str) -> dict[str, Any]:
        plain, steps = command_lines.normalise(text)
        return {"text": plain, "steps": list(steps)}

    def run(text: str) -> list[dict[str, str]]:
        return [
            {"name": cmdlet.name, "arguments": cmdlet.arguments} for cmdlet in cmdlets.run_by(text)
        ]

    works: tuple[Callable[..., Any], ...] = (normalise, records.normalise, run)
    for function, work in zip(_FUNCTIONS, works, strict=True):
        function.register(con, work)


def declare_functions(con: duckdb.DuckDBPyConnection) -> None:
    """Makes the types of these functions known to a connection that only binds stage SQL."""
    for function in _FUNCTIONS:
        function.declare(con)


def create_source(con: duckdb.DuckDBPyConnection, ddl: str) -> None:
    """Makes a source table, with what stage SQL may read beside its own columns.

    `file_id` is the file, `timestamp_ns` the file's own Timestamp in ns since 1970: a TIMESTAMPTZ
    has no room for Kusto's ticks of 100 ns.

    Args:
        con: where it is made.
        ddl: its CREATE TABLE, as `source_ddl.read` gives it.
    """
    hidden = "".join(f", {column} BIGINT" for column in staged.BESIDE_SOURCE)
    con.execute(f"{ddl.rstrip().removesuffix(')')}{hidden})")


def nanoseconds(column: str | None, held: str, moment: str) -> str:
    """The expression for `timestamp_ns`.

    Args:
        column: the file's column that holds the time; None when it has none.
        held: that column's DuckDB type.
        moment: the expression for the same time as TIMESTAMPTZ.
    """
    quoted = quoting.name(column or "")
    if held.endswith("_NS"):
        return f"epoch_ns({quoted})"
    whole = f"try(epoch_ns({moment}))"
    if held == "VARCHAR":  # a cast of text drops what is finer than 1 us
        finer = rf"rpad(regexp_extract({quoted}, '[.,]\d{{6}}(\d{{1,3}})', 1), 3, '0')"
        return f"{whole} + try_cast({finer} as bigint)"
    return whole


def stage_hash(sql: str, source: Source) -> str:
    """The hash of everything that can change the rows of a staged table.

    Of gundog's own functions that the SQL calls it covers the version, not the code.
    """
    plain = canonical(sql)
    called = (f"{name} {version}" for name, version in VERSIONS.items() if name in plain.lower())
    kinds = (f"{name} {kind}" for name, kind in source.columns)
    return digest([plain, *kinds, schema.IS_COPY, *called])


# A night asks for the plain text of each hunt several times.
_TEXTS = 256


@lru_cache(maxsize=_TEXTS)
def canonical(sql: str) -> str:
    """The SQL without comments and with single blanks, so that prose changes no hash.

    >>> canonical("select 1 -- one" + chr(10) + "   , '--x'")
    "select 1 , '--x'"
    """
    encoded = sql.encode()
    tokens = duckdb.tokenize(sql)
    ends = [start for start, _ in tokens[1:]] + [len(encoded)]
    kept = [
        encoded[start:end].decode().strip()
        for (start, kind), end in zip(tokens, ends, strict=True)
        if kind != duckdb.token_type.comment
    ]
    return " ".join(kept)


def digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def create_stage(con: duckdb.DuckDBPyConnection, stage: StagedTable) -> None:
    """Makes a staged table where it is not, and the view of it that hunts read."""
    columns = ", ".join(f"{quoting.name(name)} {kind}" for name, kind in stage.columns)
    con.execute(
        f"create table if not exists {stage.table}"
        f" ({columns}, {schema.IS_COPY} boolean default false)"
    )
    con.execute(view_sql(stage))
    if stage.contexts:
        con.execute(next(tables.create(tables.CONTEXTS)))
        con.execute(context_columns.view_sql(stage.name))


def view_sql(stage: StagedTable) -> str:
    """The view hunts read: good rows, each event once."""
    names = quoting.names(name for name, _ in stage.columns if name not in HIDDEN_COLUMNS)
    return (
        f"create or replace view {stage.view} as select {names} from {stage.table}"
        f" where reject_reason is null and not {schema.IS_COPY}"
    )


def strip(sql: str) -> str:
    """The statement without comments or a final semicolon, to stand inside another."""
    return canonical(sql).rstrip("; ")
