"""One SELECT, run where it can reach nothing but its tables.

Two layers, each enough for what it stops: `statement` reads the SQL and refuses what is not on a
list; `sandbox` opens the file read only with settings that cannot be changed again.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import duckdb
import pyarrow as pa

from gundog.core.errors import GundogError, InputError, QueryError
from gundog.warehouse import functions, locks, opening, quoting, statement

# A hunt's SQL runs again for every interval: what reading it said is kept for so many texts.
_TEXTS = 256


@contextmanager
def sandbox(
    path: Path,
    *,
    memory_limit: int,
    threads: int,
    temp_directory: Path | None,
    timeout_s: float | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that reads one DuckDB file and can reach nothing else.

    Nothing else may have the file open for writing meanwhile, and no second sandbox of the same
    process; `con.cursor()` is another connection of the same sandbox.

    The limits stop queries over too many rows. They are looked at between batches of rows, so one
    call that builds one huge value can outgrow both for a while.

    Args:
        path: the DuckDB file; opened read only.
        memory_limit: bytes that queries may use.
        threads: how many at a time.
        temp_directory: where queries that need more memory may spill; None when they may not.
        timeout_s: seconds a statement may take; None for no limit.

    Raises:
        QueryError: when the file does not exist, or is open elsewhere.
    """
    # DuckDB lets SQL read and write in its temp directory, whatever else is locked: so each
    # sandbox gets one of its own, which holds nothing and goes when the sandbox closes.
    if temp_directory is None:
        with _locked(path, memory_limit, threads, "", timeout_s) as con:
            yield con
        return
    temp_directory.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="sandbox-", dir=temp_directory) as own,
        _locked(path, memory_limit, threads, f"{own}/spill", timeout_s) as con,
    ):
        yield con


_SPILL = 8  # times the memory limit; stops a query that would fill the disk


@contextmanager
def _locked(
    path: Path, memory_limit: int, threads: int, spill: str, timeout_s: float | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    settings = [
        f"memory_limit = '{memory_limit}B'",
        f"threads = {threads}",
        f"temp_directory = {quoting.text(spill)}",
        f"max_temp_directory_size = '{memory_limit * _SPILL}B'",
        "timezone = 'UTC'",
        "enable_progress_bar = false",
        *([f"max_execution_time = {max(1, round(timeout_s * 1000))}"] if timeout_s else []),
    ]
    con = None
    try:
        con = duckdb.connect(str(path), read_only=True)
        for setting in settings:
            con.execute(f"set {setting}")
        locks.lock(con)
    except duckdb.Error as error:
        if con:
            con.close()
        # Connections of one process to one file share their settings, locked ones too.
        cure = opening.CURE if opening.damage(error) else "close what else has it open"
        raise QueryError(
            f"{path} cannot be opened read-only: {statement.message(error)}: {cure}"
        ) from error
    try:
        yield con
    finally:
        con.close()


def arrow(con: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, object]) -> pa.Table:
    """The rows of one SELECT, in its own order, with those of `params` that it names.

    Args:
        con: an open connection, such as `sandbox` gives.
        sql: one SELECT that `check_statement` allows.
        params: values by name; a datetime has a time zone and arrives as TIMESTAMPTZ, a timedelta
            as INTERVAL, a list or tuple as a list.

    Raises:
        QueryError: when the SQL is refused, fails, takes too long or needs too much memory.
    """
    if problems := _problems(sql):
        raise QueryError("; ".join(problems))
    named = statement.parameters(sql)
    if missing := sorted(named - params.keys()):
        raise QueryError(f"${missing[0]} has no value: add {missing[0]} to params")
    bound = {name: _bindable(name, params[name]) for name in named}
    try:
        return _rows(con.sql(sql, params=bound), memory_limit_of(con))
    except _FAILURES as error:
        raise _failure(error) from error


@lru_cache(maxsize=_TEXTS)
def _problems(sql: str) -> list[str]:
    return statement.check_statement(sql, None, "the query")


# What goes wrong while rows stream out comes from Arrow, with DuckDB's message inside.
_FAILURES = (duckdb.Error, OSError, pa.ArrowException)
_BATCH = 100_000  # rows


def _rows(relation: duckdb.DuckDBPyRelation, limit: float) -> pa.Table:
    """All rows; DuckDB does not count what has left it, so their bytes are counted here."""
    reader = relation.to_arrow_reader(_BATCH)
    batches, size = [], 0
    for batch in reader:
        size += batch.nbytes
        if size > limit:
            reader.close()
            raise QueryError(
                f"returns more than the {limit / 1e6:.0f} MB of memory that it may use: return "
                "fewer rows or columns, or raise memoryLimit in gundog.yaml"
            )
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def memory_limit_of(con: duckdb.DuckDBPyConnection) -> float:
    """The connection's memory limit in bytes; DuckDB writes it as `3.7 GiB`."""
    (text,) = con.execute("select current_setting('memory_limit')").fetchall()[0]
    number, unit = text.split()
    return float(number) * (1 << 10 * ("bytes", "KiB", "MiB", "GiB", "TiB").index(unit))


def _bindable(name: str, value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise QueryError(f"${name} is a time without a time zone: give it one")
    return list(value) if isinstance(value, tuple) else value


# Advice for who may change DuckDB's settings.
_ADVICE = re.compile(r"[.]? (?:Database is launched|This limit was set by)")


def _failure(error: Exception) -> QueryError:
    """What a failed statement means and what to do about it."""
    kind, text = str(error).partition(":")[0], statement.message(error)
    if kind == "Out of Memory Error":
        text = _ADVICE.split(text)[0]
        return QueryError(
            f"needs more memory than allowed ({text}): raise memoryLimit in gundog.yaml, "
            "or read fewer rows or columns"
        )
    if kind == "INTERRUPT Error":
        return QueryError("took longer than allowed: read fewer rows, or raise the time limit")
    if kind in ("Binder Error", "Catalog Error"):
        return QueryError(f"{text}: correct the name or type in the SQL")
    return QueryError(f"failed: {text}")


_USER_KINDS = frozenset({"SELECT", "EXPLAIN", "PIVOT"})
_USER_SHAPES = frozenset({"SHOW_REF", "SAMPLE"})
_USER_TABLE_FUNCTIONS = functions.TABLE_FUNCTIONS | frozenset(
    "duckdb_columns duckdb_tables duckdb_views pragma_table_info".split()
)
_USER_SYSTEM = re.compile(r"duckdb_(columns|tables|views)|information_schema\.\w+")
_USER_REFUSED = frozenset(
    "current_setting getvariable json_serialize_plan pg_sleep sleep_ms write_log".split()
)
_ONLY_READS = "gundog sql only reads"


def user_query(
    path: Path,
    sql: str,
    *,
    memory_limit: int = 2_000_000_000,
    threads: int = 2,
    timeout_s: float | None = None,
    prepare: Callable[[duckdb.DuckDBPyConnection], None] | None = None,
) -> pa.Table:
    """The rows of what a person asks of the published findings.

    Allowed are SELECT, FROM-first, SHOW, DESCRIBE, SUMMARIZE, EXPLAIN and PIVOT; the clock too.

    Args:
        path: the published findings.
        sql: what is asked.
        memory_limit: bytes it may use.
        threads: how many at a time.
        timeout_s: seconds it may take; None for no limit.
        prepare: puts temporary views over what is published.

    Raises:
        InputError: when the SQL is wrong, or would do more than read.
        QueryError: when it fails, takes too long or needs too much memory.
    """
    _check_user(sql)
    with sandbox(
        path, memory_limit=memory_limit, threads=threads, temp_directory=None, timeout_s=timeout_s
    ) as con:
        if prepare:
            prepare(con)
        try:
            relation = con.sql(sql)
            if relation is None:
                raise InputError(f"{_ONLY_READS}; this statement returns no rows: give a SELECT")
            return _rows(relation, memory_limit)
        except _FAILURES as error:
            raise _user_error(path, error) from error


def _check_user(sql: str) -> None:
    try:
        parsed = statement.statements(sql)
        if len(parsed) != 1:
            raise InputError(f"{_ONLY_READS}, one statement at a time: {len(parsed)} were given")
        kind = statement.kind_of(parsed[0])
        if kind not in _USER_KINDS:
            raise InputError(f"{_ONLY_READS}; {kind} does more: give a SELECT")
        # EXPLAIN and PIVOT cannot be taken apart: them the sandbox alone keeps in.
        if kind == "SELECT":
            for problem in _user_problems(statement.see(sql)):
                raise InputError(f"{_ONLY_READS} the findings; the SQL {problem}")
    except QueryError as error:
        raise InputError(f"the SQL {error}") from error


def _user_problems(seen: statement.Seen) -> Iterator[str]:
    for shape in sorted(seen.shapes - _USER_SHAPES):
        yield statement.SHAPES.get(shape, f"uses {shape}: give a SELECT")
    for path in sorted(seen.tables):
        name = statement.written(path)
        if statement.is_file(path):
            yield f"reads the file {'.'.join(path)!r}: read tables only (gundog sql 'show tables')"
        elif statement.is_system(path) and not _USER_SYSTEM.fullmatch(name.lower()):
            yield f"reads {name}: read tables only (gundog sql 'show tables')"
    for name in sorted(seen.table_functions - _USER_TABLE_FUNCTIONS):
        yield f"reads from {name}(): read tables only (gundog sql 'show tables')"
    for name in sorted(seen.functions & _USER_REFUSED):
        yield f"calls {name}: remove it"


def _user_error(path: Path, error: Exception) -> GundogError:
    kind, text = str(error).partition(":")[0], statement.message(error)
    if opening.damage(error):
        return opening.told(path, error)
    if "read-only mode" in text:
        return InputError(f"{_ONLY_READS}; this statement would write: give a SELECT")
    if kind in ("Parser Error", "Binder Error", "Catalog Error"):
        return InputError(f"the SQL is wrong: {text}: see gundog sql 'show tables'")
    if kind == "Permission Error":
        return InputError(f"{_ONLY_READS} the findings; {text}: read tables only")
    return _failure(error)
