"""One detection over one interval, hunted in a child process on a warehouse that only it reads."""

from __future__ import annotations

import copyreg
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from gundog.core import child
from gundog.core.errors import GundogError
from gundog.core.times import Interval
from gundog.detections.hunt import Hunt
from gundog.hunting import kusto_series, match, series
from gundog.warehouse import query, series_function

MORE_MEMORY = (
    "needs more memory than allowed: raise memoryLimit in gundog.yaml, or read fewer rows or"
    " columns and build smaller values"
)

# DuckDB may hold so small a part of its limit while scores are made.
_MOST_KEPT = 8


def _duration(*parts: int) -> pa.MonthDayNano:
    return pa.MonthDayNano(parts)


def _reduced(value: pa.MonthDayNano) -> tuple[Any, ...]:
    return _duration, tuple(value)


# What an INTERVAL is in Arrow does not pickle by itself, and rows come back to the run so.
copyreg.pickle(pa.MonthDayNano, _reduced)


@dataclass(frozen=True)
class Place:
    """The warehouse to read and what hunting in it may use: bytes and threads."""

    path: Path
    memory: int
    threads: int

    @property
    def scratch(self) -> Path:
        """Where queries may spill."""
        return self.path.with_suffix(".tmp")


@dataclass(frozen=True)
class Order:
    """What to hunt, and what only the writable warehouse could tell of it."""

    hunt: Hunt
    interval: Interval
    staged_from: datetime
    again: bool
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Found:
    """What `findings.Hunted` is made of, or why it failed."""

    kept: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0


class _Open:
    """The warehouse that this process has open; hunts of a day share it."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.con: duckdb.DuckDBPyConnection | None = None


_open = _Open()


def hunt(place: Place, order: Order) -> Found:
    """Hunts, in the child; whatever goes wrong stays its own."""
    began = time.perf_counter()
    kept: dict[str, Any] = {}
    try:
        kept, error = _hunt(place, order), ""
    except (GundogError, duckdb.Error) as failure:
        error = _said(failure)
    except MemoryError:
        error = MORE_MEMORY
    except Exception as failure:  # one detection must never stop the others
        error = f"{type(failure).__name__}: {failure}"
    return Found(kept, error, round(time.perf_counter() - began, 3))


def close() -> None:
    """Lets go of the warehouse, in the child, so that it can be opened for writing."""
    _open.con = None
    _open.stack.close()


def _connection(place: Place) -> duckdb.DuckDBPyConnection:
    if _open.con is None:
        _open.con = _open.stack.enter_context(
            query.sandbox(
                place.path,
                memory_limit=place.memory,
                threads=place.threads,
                temp_directory=place.scratch,
            )
        )
        series_function.register(_open.con, kusto_series.compute)
    return _open.con


def _emptied(place: Place, con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The connection, or another one to the same file where DuckDB holds much of what was read.

    It keeps blocks of the file up to its limit, beside which scoring has to find room, and lets go
    of them only when the file is closed.
    """
    sql = "select coalesce(sum(memory_usage_bytes), 0)::bigint from duckdb_memory()"
    (held,) = con.execute(sql).fetchall()[0]
    if held * _MOST_KEPT < place.memory:
        return con
    close()
    return _connection(place)


def _hunt(place: Place, order: Order) -> dict[str, Any]:
    con = _connection(place)
    if order.hunt.detection.kind != "series":
        hits = match.match(con, order.hunt, order.interval, order.staged_from, order.left_out)
        return {"hits": hits}
    scored = series.score(
        con, order.hunt, order.interval, order.staged_from,
        again=order.again, apart=child.unlimited, emptied=partial(_emptied, place),
        left_out=order.left_out,
    )  # fmt: skip
    return {
        "hits": scored.hits,
        "points": scored.points,
        "note": scored.note,
        "counts": scored.counted.rows,
        "counted": scored.counted.spans,
        "basis": scored.basis,
    }


def _said(failure: Exception) -> str:
    """DuckDB's words for want of memory do not help; all others are kept."""
    lacking = isinstance(failure, duckdb.OutOfMemoryException) or "bad allocation" in str(failure)
    return MORE_MEMORY if lacking else str(failure)
