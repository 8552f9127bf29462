"""A person's question of the staged tables, beside runs: a run never waits for it.

DuckDB lets nobody read a file that another process writes, and nobody write one that others read.
So a question waits until a run lets go of the warehouse, and a run that wants it back says so in a
file beside it, on which the question is stopped and asked again later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from gundog.core.errors import GundogError, LockError
from gundog.warehouse import database, query

_NAP_S = 0.1


def ask(path: Path, sql: str, *, memory_limit: int, threads: int, wait: timedelta) -> pa.Table:
    """The rows of what a person asks of the staged tables.

    Args:
        path: the warehouse.
        sql: what is asked; allowed is what `query.user_query` allows.
        memory_limit: bytes it may use.
        threads: how many at a time.
        wait: how long to wait for a run that writes the warehouse.

    Raises:
        InputError: when the SQL is wrong, or would do more than read.
        LockError: when a run holds the warehouse for longer.
        QueryError: when it fails or needs too much memory.
    """
    until = time.monotonic() + wait.total_seconds()
    while True:
        watcher = _Watcher(path)
        try:
            with watcher.on():
                return query.user_query(
                    path, sql, memory_limit=memory_limit, threads=threads, prepare=watcher.watch
                )
        except (GundogError, duckdb.Error, RuntimeError) as error:
            if not (watcher.was_stopped or _is_held(error)):
                raise
            if time.monotonic() >= until:
                raise LockError(
                    f"{path}: a run is writing it: wait for it to end or give a longer --wait"
                ) from error
        time.sleep(_NAP_S)


def _is_held(error: BaseException) -> bool:
    """True where another process has the file open for writing."""
    return "Conflicting lock" in f"{error} {error.__cause__}"


class _Watcher:
    """Stops a question as soon as a run wants the warehouse."""

    def __init__(self, path: Path) -> None:
        self._sign = database.wanted(path)
        self._since = time.time()
        self._con: duckdb.DuckDBPyConnection | None = None
        self._ended = threading.Event()
        self.was_stopped = False

    def watch(self, con: duckdb.DuckDBPyConnection) -> None:
        """Says which connection to stop."""
        self._con = con

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watches until the block is left."""
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_NAP_S):
            if self._con is not None and self._is_wanted():
                self.was_stopped = True
                with suppress(duckdb.ConnectionException):  # it was answered and closed meanwhile
                    self._con.interrupt()

    def _is_wanted(self) -> bool:
        """A sign that is older was left by a run that was killed."""
        try:
            return self._sign.stat().st_mtime >= self._since
        except OSError:
            return False
