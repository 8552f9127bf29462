"""DuckDB's errors about a file that it cannot open or read, in words that say what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from gundog.core.errors import StoreError
from gundog.warehouse import statement

_DAMAGE = (
    "Could not read enough bytes", "not a valid DuckDB database file", "Corrupt database file",
    "Could not read from file", "Failed to deserialize", "Serialization Error",
)  # fmt: skip
# Of the warehouse; what the lake still holds comes back.
CURE = (
    "restore it from a backup, or move it away with its .wal and run again to stage everything"
    " again (gundog backfill brings older days back)"
)
_HOLDER = re.compile(r"lock is held in (\S+) \(PID (\d+)\)")


def damage(error: BaseException) -> str:
    """What is wrong with a file that was cut or written over; empty when the error is another."""
    text = str(error)
    return statement.message(error) if any(sign in text for sign in _DAMAGE) else ""


def log_of(path: Path) -> Path:
    """Where DuckDB keeps what was written to a file and is not yet in it."""
    return path.with_name(f"{path.name}.wal")


def left(path: Path) -> list[str]:
    """What to say of a log beside a published file that is of it, and so is seen with it."""
    logs = {log_of(path), log_of(path.resolve())}
    return [
        f"{log.name} is there: another program opened {path.name} for writing, and what it changed"
        " is seen by everybody until the next run"
        for log in sorted(logs)
        if log.exists()
    ]


def _is_of_the_log(error: BaseException) -> bool:
    return "replaying WAL file" in str(error)


def published(
    path: Path, connect: Callable[[Path], duckdb.DuckDBPyConnection]
) -> duckdb.DuckDBPyConnection:
    """A connection to a published file; a log beside it that is of another file is removed.

    Such a log stays when a program opened an older findings.duckdb for writing: nothing in it
    belongs to this file.

    Args:
        path: findings.duckdb.
        connect: opens it, read only.

    Raises:
        StoreError: when it cannot be opened.
    """
    try:
        return connect(path)
    except duckdb.Error as error:
        if not _is_of_the_log(error):
            raise told(path, error) from error
    try:
        for log in {log_of(path), log_of(path.resolve())}:
            log.unlink(missing_ok=True)
        return connect(path)
    except (OSError, duckdb.Error) as error:
        raise StoreError(
            f"{log_of(path)}: another program left it there, and it is not of this {path.name}:"
            " remove it, or run gundog hunt as the account that owns it"
        ) from error


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Tells what DuckDB says while a published file is read, where the file is to blame.

    Raises:
        StoreError: when the file is damaged, or not one that this gundog published.
    """
    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise StoreError(
            f"{path}: another program or another gundog wrote it ({statement.message(error)}):"
            " run gundog hunt, which writes it again"
        ) from error
    except duckdb.Error as error:
        if not damage(error):
            raise
        raise told(path, error) from error


def told(path: Path, error: Exception) -> StoreError:
    """Why a published file cannot be opened or read, and what to do."""
    text = str(error)
    if held := _HOLDER.search(text):
        problem = (
            f"{Path(held[1]).name}, process {held[2]}, has it open for writing: close it there;"
            " programs that only read open it read only"
        )
    elif "Permission denied" in text:
        problem = (
            "this account may not read it: ask who runs gundog to let a group read it"
            " (docs/operations.md)"
        )
    elif said := damage(error):
        problem = f"is damaged ({said}): run gundog hunt, which writes it again"
    else:
        problem = f"cannot be opened ({statement.message(error)}): run gundog hunt"
    return StoreError(f"{path}: {problem}")
