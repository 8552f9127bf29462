"""Events that the lake delivered more than once: which of their rows counts.

A row's mark `is_copy` is brought up to date when rows come or go, so that a hunt, which may read
weeks of rows every night, need not look for redelivered events in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gundog.core.times import HOUR, MICROSECOND, Interval
from gundog.warehouse.schema import IS_COPY

# Looked through at a time: nine bytes of memory each.
_ROWS_AT_A_TIME = 2_000_000


def mark(
    con: duckdb.DuckDBPyConnection, table: str, hours: Iterable[tuple[datetime, int]] | None = None
) -> None:
    """Marks the redelivered ones among the rows of hours that rows were added to or taken from.

    Of a tenant's good rows with the same event_time and event_id the one of the smallest file_id
    counts.

    Args:
        con: the warehouse, in the transaction that changed the rows.
        table: the staged table.
        hours: the hours in order, with the number of rows that each has; all there are by default.
    """
    changed = _spans(hours) if hours is not None else _spans(_hours(con, table), over_gaps=True)
    for span in changed:
        rows = con.execute(
            f"select hash(event_id) as event, {IS_COPY} from {table} where {_GOOD}",
            {"low": span.start, "high": span.end},
        ).fetchnumpy()
        again = _repeated(rows["event"])
        if again.size or rows[IS_COPY].any():
            _settle(con, table, span, again)


def promote(con: duckdb.DuckDBPyConnection, table: str, first: datetime, last: datetime) -> None:
    """Lets a redelivered row count where the row that counted is gone.

    Args:
        con: the warehouse, in the transaction that removed the rows.
        table: the staged table.
        first: the time of the first row that was removed.
        last: the time of the last one.
    """
    span = Interval(first, last + MICROSECOND)
    _settle(con, table, span, np.zeros(0, dtype=np.uint64))


def _hours(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple[datetime, int]]:
    return con.execute(
        f"""select date_trunc('hour', event_time) as hour, count(*) from {table}
            where event_time is not null group by hour order by hour"""
    ).fetchall()


_GOOD = "reject_reason is null and event_time >= $low and event_time < $high"


def _spans(hours: Iterable[tuple[datetime, int]], *, over_gaps: bool = False) -> Iterator[Interval]:
    """Hours that follow one another as one, up to a number of rows.

    Args:
        hours: in order, with the number of rows of each.
        over_gaps: the hours between have no rows, so that a span may hold them as well.

    >>> from gundog.core.times import parse_time
    >>> noon = parse_time("2026-03-01T12:00")
    >>> hours = [(noon + n * HOUR, 10) for n in (0, 1, 3)]
    >>> [span.length // HOUR for span in _spans(hours)]
    [2, 1]
    >>> [span.length // HOUR for span in _spans(hours, over_gaps=True)]
    [4]
    """
    start, end, many = None, None, 0
    for hour, rows in hours:
        apart = hour != end and not over_gaps
        if start and end and (apart or many + rows > _ROWS_AT_A_TIME):
            yield Interval(start, end)
            start, many = None, 0
        start, end, many = start or hour, hour + HOUR, many + rows
    if start and end:
        yield Interval(start, end)


def _repeated(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """What is there more than once.

    >>> _repeated(np.array([7, 3, 7, 5, 7, 3], dtype=np.uint64)).tolist()
    [3, 7]
    """
    ordered = np.sort(hashes)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def _settle(
    con: duckdb.DuckDBPyConnection, table: str, span: Interval, hashes: npt.NDArray[np.uint64]
) -> None:
    """Marks again all rows of events that were marked, or whose hash is one of these."""
    con.register("hashes", pa.table({"event": pa.array(hashes, pa.uint64())}))
    try:
        con.execute(
            f"""update {table} as t set {IS_COPY} = n.again
                from (
                    select rowid as place, row_number() over (
                        partition by event_time, event_id, tenant
                        order by file_id, rowid) > 1 as again
                    from {table}
                    where {_GOOD} and event_id in (
                        select event_id from {table}
                        where {_GOOD} and ({IS_COPY} or hash(event_id) in (from hashes)))
                ) as n
                where t.rowid = n.place and t.{IS_COPY} <> n.again""",
            {"low": span.start, "high": span.end},
        )
    finally:
        con.unregister("hashes")
