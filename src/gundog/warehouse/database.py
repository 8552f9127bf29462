"""The DuckDB file that holds everything a run knows, and the lock that keeps runs apart."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb

from gundog.core import places
from gundog.core.errors import LockError, StoreError
from gundog.core.times import format_time
from gundog.warehouse import opening, quoting, upgrading
from gundog.warehouse import statement as sql

# What an attached warehouse is called, whatever its file.
_NAME = "warehouse"
# A DuckDB file begins with three headers of 4,096 bytes.
_HEADERS = 3 * 4096
# The process that hunts ends by itself when its run was killed; a busy machine needs a while.
_RELEASE_TRIES = 100
_RELEASE_NAP_S = 0.1


@contextmanager
def lock(path: Path, wait: timedelta, now: datetime) -> Iterator[None]:
    """Holds the warehouse for one run; the operating system frees it when the process dies.

    Raises:
        LockError: when another run still holds it after `wait`; says which.
        StoreError: when its folder or the lock cannot be written.
    """
    from filelock import FileLock, Timeout  # those who read do without

    lock_file, owner = path.with_suffix(".lock"), path.with_suffix(".owner")
    places.folder(path.parent)
    places.check_files((path, opening.log_of(path), lock_file, owner))
    try:
        held = FileLock(lock_file).acquire(timeout=wait.total_seconds())
    except Timeout as error:
        raise LockError(
            f"{path}: another run holds the warehouse{_holder(owner)}:"
            " wait for it to end or give a longer --wait"
        ) from error
    except OSError as error:
        raise places.unusable(lock_file, error) from error
    with held:
        who = {"pid": os.getpid(), "host": socket.gethostname(), "since": format_time(now)}
        with suppress(OSError):  # a full disk; only who waits for this run would have read it
            owner.write_text(json.dumps(who))
        yield
        owner.unlink(missing_ok=True)


def _holder(owner: Path) -> str:
    try:
        who = json.loads(owner.read_text())
        return f" (process {who['pid']} on {who['host']} since {who['since']})"
    except (OSError, ValueError, TypeError, LookupError):
        return ""


def connect(
    path: Path | None = None, *, read_only: bool = False, **options: str | int
) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in UTC: to a file, or in memory."""
    con = duckdb.connect(str(path) if path else ":memory:", read_only=read_only, config={**options})
    # DuckDB draws a bar in any process that `python -c` or a library started, whoever looks on.
    con.execute("set timezone = 'UTC'; set enable_progress_bar = false")
    return con


@contextmanager
def writable(path: Path, *, memory_limit: int, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse opened for writing, its tables made where they are not.

    Raises:
        StoreError: when the file is not a warehouse, cannot be written, or is of a newer gundog.
    """
    with engine(path, memory_limit, threads) as con, attached(con, path):
        yield con


@contextmanager
def engine(path: Path, memory_limit: int, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB without a file, in which `attached` opens the warehouse: to make one takes longer.

    Args:
        path: the warehouse; what does not fit into memory lies beside it.
        memory_limit: bytes that it may use.
        threads: how many threads it may use.
    """
    places.folder(path.parent)
    con = connect(
        memory_limit=f"{memory_limit}B",
        threads=threads,
        temp_directory=str(path.with_suffix(".tmp")),
    )
    try:
        yield con
    finally:
        with suppress(duckdb.Error):
            con.close()


@contextmanager
def attached(
    con: duckdb.DuckDBPyConnection, path: Path, *, is_complete: bool = False
) -> Iterator[None]:
    """The warehouse as the database of a connection; nothing of the file is open afterwards.

    Args:
        con: an `engine`.
        path: the warehouse.
        is_complete: its tables need no look, as this run has opened it before.

    Raises:
        StoreError: as `writable`.
    """
    is_new = not path.exists()
    sql_text = f"attach {quoting.text(str(path))} as {_NAME}"
    try:
        _released(wanted(path), partial(con.execute, sql_text))
    except duckdb.Error as error:
        if is_new:
            drop_stub(path)
        raise _unopened(path, error) from error
    try:
        con.execute(f"use {_NAME}.main")
        if not is_complete:
            with transaction(con):
                upgrading.make_tables(con, path)
        yield
    except duckdb.Error as error:
        if opening.damage(error):
            problem = f"is damaged ({sql.message(error)}): {opening.CURE}"
        elif lacking := _lacking(error):
            problem = f"{lacking}: nothing is left half done, run again"
        else:
            raise
        raise StoreError(f"{path}: {problem}") from error
    finally:
        with suppress(duckdb.Error):  # a full disk refuses the closing checkpoint too
            con.execute("use memory.main")
            con.execute(f"detach {_NAME}")


def wanted(path: Path) -> Path:
    """The file by which a run says that it wants the warehouse back from those who read it."""
    return path.with_suffix(".wanted")


def _released(sign: Path, opened: Callable[[], object]) -> object:
    """What opening gives, also where others read, or the process of a killed run still lets go."""
    try:
        for _ in range(_RELEASE_TRIES):
            try:
                return opened()
            except duckdb.IOException as error:
                if "Conflicting lock" not in str(error):
                    raise
                with suppress(OSError):  # a full disk; then the reader is waited for
                    sign.touch(mode=0o600)
                time.sleep(_RELEASE_NAP_S)
        return opened()
    finally:
        with suppress(OSError):
            sign.unlink(missing_ok=True)


def _unopened(path: Path, error: duckdb.Error) -> StoreError:
    cause = sql.message(error)
    if "replaying WAL file" in str(error):
        log = opening.log_of(path)
        cause += (
            f": where {log.name} belongs to another {path.name}, as after a backup, move it away"
        )
        return StoreError(f"{path}: cannot be opened: {cause}")
    if opening.damage(error):
        return StoreError(f"{path}: cannot be opened: {cause}: {opening.CURE}")
    if is_full(error):
        return StoreError(f"{path}: cannot be written ({cause}): free disk space and run again")
    return StoreError(f"{path}: cannot be opened: {cause}: close what holds it and run again")


def drop_stub(path: Path) -> None:
    """Removes what a full disk or a kill left of a warehouse that was being made: no whole header.

    A file that was cut so short holds nothing either; its caller knows that there was none.
    """
    log = opening.log_of(path)
    if path.is_file() and path.stat().st_size < _HEADERS and not log.exists():
        path.unlink()


class Held:
    """A warehouse for writing that is opened when it is needed and let go while others read it."""

    def __init__(self, path: Path, *, memory_limit: int, threads: int) -> None:
        self._path = path
        self._engine = partial(engine, path, memory_limit, threads)
        self._stack, self._opened = ExitStack(), ExitStack()
        self._con: duckdb.DuckDBPyConnection | None = None
        self._is_open = False

    def con(self) -> duckdb.DuckDBPyConnection:
        """The connection.

        Raises:
            StoreError: when the file is not a warehouse or cannot be written.
        """
        is_first = self._con is None
        if self._con is None:
            self._con = self._stack.enter_context(self._engine())
        if not self._is_open:
            self._opened.enter_context(attached(self._con, self._path, is_complete=not is_first))
            self._is_open = True
        return self._con

    def let_go(self) -> None:
        """Closes the file until it is needed again."""
        self._is_open = False
        self._opened.close()

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            self._opened.__exit__(kind, error, trace)


def _lacking(error: duckdb.Error) -> str:
    """What the machine had too little of, and what to do; empty when the error is another."""
    text = str(error).strip().splitlines()[0]
    if isinstance(error, duckdb.OutOfMemoryException) or "max_temp_directory_size" in text:
        return f"memory ran out ({text}): raise memoryLimit in gundog.yaml"
    if is_full(error) or isinstance(error, duckdb.IOException):
        return f"cannot be written ({text}): free disk space"
    return ""


def is_full(error: duckdb.Error) -> bool:
    """True for what DuckDB raises when a disk has no room."""
    return any(sign in str(error) for sign in ("Could not write", "No space", "too large"))


def is_interrupt(error: BaseException) -> bool:
    """True for what DuckDB raises when Ctrl-C falls into one of its queries."""
    return type(error) is RuntimeError and str(error) == "Query interrupted"


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of it or none of it."""
    con.execute("begin")
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # the error that matters is the first one
            con.execute("rollback")
        raise
    con.execute("commit")


def rows(con: duckdb.DuckDBPyConnection, sql: str, params: Any = None) -> list[dict[str, Any]]:
    """Every row of a query as a dict by column name."""
    cursor = con.execute(sql, params if params is not None else [])
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def insert(
    con: duckdb.DuckDBPyConnection, table: str, records: Sequence[Mapping[str, Any]]
) -> None:
    """Inserts rows given as dicts that all have the same keys."""
    if not records:
        return
    names = list(records[0])
    columns = quoting.names(names)
    marks = ", ".join("?" for _ in names)
    con.executemany(
        f"insert into {table} ({columns}) values ({marks})",
        [[record[name] for name in names] for record in records],
    )


def next_seq(con: duckdb.DuckDBPyConnection) -> int:
    """The number of the next staging step."""
    return current_seq(con) + 1


def current_seq(con: duckdb.DuckDBPyConnection) -> int:
    """The number of the newest staging step; 0 before the first."""
    rows = con.execute("select coalesce(max(seq), 0) from stage_changes").fetchall()
    return int(rows[0][0])
