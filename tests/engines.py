"""DuckDB instances that one test hands on to the next: to make one takes 15 ms of CPU.

A run gets a connection of its own, so that no temporary table of an earlier run is there, with the
settings that it asks for. An instance in which something is still attached is not handed on. Those
that look at JSON lines read files, and are handed on among themselves. So are those that read a
published file: it is attached under the name that it has where it is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from gundog.core import places
from gundog.staging import json_lines
from gundog.staging.batch import Limits
from gundog.warehouse import database, quoting, tables

_engine = database.engine
_connect = database.connect
_look_at_lines = json_lines._connect
_lookers: list[duckdb.DuckDBPyConnection] = []
_readers: list[duckdb.DuckDBPyConnection] = []
_idle: list[duckdb.DuckDBPyConnection] = []
_numbers = count()
_THRESHOLD = "16.0 MiB"  # by default; publishing sets another


def hand_on() -> None:
    """From now on runs share instances, one run at a time."""
    database.engine = _shared
    database.connect = _connected
    json_lines._connect = _looking


def make_new() -> None:
    """From now on each run makes its own."""
    database.engine = _engine
    database.connect = _connect
    json_lines._connect = _look_at_lines
    for kept in (_idle, _lookers, _readers):
        while kept:
            kept.pop().close()


@contextmanager
def reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC that reads a database file, and lets go of it."""
    name = f"read_{next(_numbers)}"
    instance = _take()
    with instance.cursor() as con:
        con.execute(f"attach {quoting.text(str(path))} as {name} (read_only)")
        try:
            con.execute(f"set timezone = 'UTC'; use {name}.main")
            yield con
        finally:
            con.execute(f"use memory.main; detach {name}")
            _idle.append(instance)


@contextmanager
def memory() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC to an empty database of its own, in memory, with one thread."""
    name = f"memory_{next(_numbers)}"
    instance = _take()
    with instance.cursor() as con:
        con.execute(f"attach ':memory:' as {name}; use {name}.main; set timezone = 'UTC'")
        con.execute("set threads = 1; reset memory_limit")
        yield con
    instance.execute(f"detach {name}")
    if _is_empty(instance):
        _idle.append(instance)


@contextmanager
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """The same, with the tables of a warehouse: copied, which costs a fifth of making them."""
    with memory() as con:
        [(name,)] = con.execute("select current_database()").fetchall()
        con.execute(f"attach {quoting.text(_tables())} as tables_made (read_only)")
        con.execute(f"copy from database tables_made to {name} (schema); detach tables_made")
        yield con


@cache
def _tables() -> str:
    """A file with every table of a warehouse, none with a row."""
    path = Path(_folder().name) / "tables.duckdb"
    with _connect(path) as con:
        for table in tables.TABLES:
            con.execute(next(tables.create(table)))
    return str(path)


@cache
def _folder() -> TemporaryDirectory[str]:
    """It goes with the process."""
    return TemporaryDirectory()


def _limited(
    idle: duckdb.DuckDBPyConnection, folder: Path, memory: int, threads: int
) -> duckdb.DuckDBPyConnection:
    """The instance with these limits; a new one where an earlier test spilled to its folder."""
    spill = f"set temp_directory = {quoting.text(str(folder))}"
    try:
        idle.execute(spill)
    except duckdb.Error:
        idle = duckdb.connect(config={"threads": 1})
        idle.execute(spill)
    idle.execute(f"set memory_limit = '{memory}B'; set threads = {threads}")
    return idle


@contextmanager
def _shared(path: Path, memory_limit: int, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    places.folder(path.parent)
    instance = _limited(_take(), path.with_suffix(".tmp"), memory_limit, threads)
    with instance.cursor() as con:
        con.execute("set timezone = 'UTC'; set enable_progress_bar = false")
        yield con
    if _is_empty(instance):
        _idle.append(instance)


@contextmanager
def _looking(limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of an instance that remembers nothing of a file, which may be another by now."""
    idle = _lookers.pop() if _lookers else duckdb.connect(config={"threads": 1})
    instance = _limited(idle, limits.folder / "spill", limits.memory, limits.threads)
    instance.execute("set enable_external_file_cache = false")
    with instance.cursor() as con:
        con.execute("set timezone = 'UTC'; set enable_progress_bar = false")
        yield con
    _lookers.append(instance)


class _Reader:
    """A connection that reads a file; closed, it hands its instance on."""

    def __init__(self, path: Path) -> None:
        name = quoting.name(path.stem)
        self._instance = _readers.pop() if _readers else _connect(threads=1)
        self._instance.execute(f"attach {quoting.text(str(path))} as {name} (read_only)")
        self._name, self._con = name, self._instance.cursor()
        self._con.execute(f"set timezone = 'UTC'; use {name}.main")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._con.close()
        if self._name:
            self._instance.execute(f"detach {self._name}")
            _readers.append(self._instance)
        self._name = ""


def _connected(path: Path | None = None, *, read_only: bool = False, **options: Any) -> Any:
    if path and read_only and not options:
        try:
            return _Reader(path)
        except duckdb.Error:  # what is wrong is told as it is outside of the tests
            pass
    return _connect(path, read_only=read_only, **options)


def _take() -> duckdb.DuckDBPyConnection:
    return _idle.pop() if _idle else duckdb.connect(config={"threads": 1})


def _is_empty(instance: duckdb.DuckDBPyConnection) -> bool:
    """Whether no file is attached and no setting of a run is left."""
    sql_text = """
        select list(database_name), current_setting('checkpoint_threshold')
        from duckdb_databases() where not internal
    """
    return instance.execute(sql_text).fetchall() == [(["memory"], _THRESHOLD)]
