"""Sources, files and messages as findings.duckdb has them, for `gundog status`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from gundog.core.times import DAY, Interval
from gundog.health import watch
from gundog.health.clock import Source
from gundog.health.watch import Fault
from gundog.run.status_model import CanarySeen, LookedAt, Remark, Unsent
from gundog.warehouse import database

# For so long a message that was given up is a problem, although later ones arrived.
_GIVEN_UP = timedelta(days=7)


def has(con: duckdb.DuckDBPyConnection, table: str, column: str) -> bool:
    """Whether the file knows a column: one that an older gundog wrote may not."""
    columns = con.execute(
        "select count(*) from duckdb_columns() where table_name = ? and column_name = ?",
        [table, column],
    ).fetchall()
    return bool(columns[0][0])


def looked_at(con: duckdb.DuckDBPyConnection) -> tuple[LookedAt, ...]:
    """What silence rests on, one for each detection that was hunted."""
    if not has(con, "looked_at", "silent"):
        return ()
    rows = database.rows(
        con,
        """select d.stem as detection, count(*) as tenants, sum(l.rows)::bigint as rows,
                  sum(mailboxes)::bigint as mailboxes, sum(scored)::bigint as scored,
                  sum(learning)::bigint as learning, sum(throttled)::bigint as throttled,
                  sum(silent)::bigint as silent
           from looked_at as l inner join detections as d using (detection_id)
           group by d.stem order by d.stem""",
    )
    return tuple(LookedAt(**row) for row in rows)


def canaries(con: duckdb.DuckDBPyConnection) -> tuple[CanarySeen, ...]:
    """What became of the canaries that the last run that looked for any looked for."""
    if not has(con, "canaries", "delay_s"):
        return ()
    rows = database.rows(
        con,
        """select c.name, d.stem as detection, came, c.tenant, span_start, span_end, found_at,
                  delay_s, lost
           from canaries as c inner join detections as d using (detection_id)
           where judged_at = (select max(judged_at) from canaries)
           order by c.name, d.stem""",
    )
    return tuple(CanarySeen(**row) for row in rows)


def sources(con: duckdb.DuckDBPyConnection, now: datetime) -> tuple[Source, ...]:
    """The sources, with their newest event that is not from the future."""
    newest = {row["source_table"]: row for row in _newest_events(con, now)}
    counted = []
    for row in database.rows(
        con,
        """select source_table, count(*) as files, coalesce(sum(rows), 0) as rows,
                  coalesce(sum(rejected_rows), 0) as rejected_rows
           from source_files group by source_table order by source_table""",
    ):
        told = newest.get(row["source_table"], {})
        counted.append(
            Source(
                row["source_table"], row["files"], int(row["rows"]), int(row["rejected_rows"]),
                told.get("newest_event"), told.get("rows_ahead") or 0, told.get("ahead_until"),
            )
        )  # fmt: skip
    return tuple(counted)


def _newest_events(con: duckdb.DuckDBPyConnection, now: datetime) -> list[dict[str, Any]]:
    if has(con, "sources", "newest_event"):
        return database.rows(con, "select * from sources")
    return database.rows(
        con,
        """select source_table,
                  coalesce(
                      max(max_time) filter (max_time <= $now),
                      max(min_time) filter (min_time <= $now)
                  ) as newest_event
           from source_files group by source_table""",
        {"now": now},
    )


def rejected(con: duckdb.DuckDBPyConnection) -> list[Fault]:
    """Rejected files; one whose path names no time is placed on the day when it was read."""
    faults = []
    for row in database.rows(
        con,
        """select source_table, path, error, covers_start, covers_end, created_at
           from source_files where state = 'rejected' order by path""",
    ):
        start, end = row["covers_start"], row["covers_end"]
        if start is None and row["created_at"]:
            start = row["created_at"].astimezone(UTC).replace(
                hour=0, minute=0, second=0, microsecond=0
            )  # fmt: skip
            end = start + DAY
        span = Interval(start, end) if start else None
        error = row["error"] or ""
        faults.append(Fault(watch.FILE, error, row["source_table"], span, path=row["path"]))
    return faults


def remarks(con: duckdb.DuckDBPyConnection) -> tuple[Remark, ...]:
    """What is odd about staged files, those of a source with the same oddity together."""
    groups = dict[tuple[str, str], list[Mapping[str, Any]]]()
    for row in database.rows(
        con,
        """select source_table, path, rejected_rows, missing_columns, cast_columns, error
           from source_files where state = 'staged'
           and (rejected_rows > 0 or len(missing_columns) > 0 or len(cast_columns) > 0)
           order by source_table, path""",
    ):
        said = []
        if row["missing_columns"]:
            said.append(f"lacks {', '.join(row['missing_columns'])}")
        if row["cast_columns"]:
            said.append(f"cast {', '.join(row['cast_columns'])}")
        said += [row["error"]] if row["error"] else []  # which lines of JSON were not read
        groups.setdefault((row["source_table"], "; ".join(said)), []).append(row)
    lines = []
    for (source, said_of), rows in groups.items():
        rejected = sum(row["rejected_rows"] or 0 for row in rows)
        counted = f"{rejected:,} row{'s' if rejected > 1 else ''} rejected" if rejected else ""
        words = "; ".join(part for part in (counted, said_of) if part)
        lines.append(Remark(source, words, len(rows), rows[-1]["path"]))
    return tuple(lines)


def channels(con: duckdb.DuckDBPyConnection, now: datetime) -> list[Fault]:
    """Channels whose messages were given up."""
    return [Fault(watch.CHANNEL, text) for text, is_trouble in given_up(con, now) if is_trouble]


def given_up(con: duckdb.DuckDBPyConnection, now: datetime) -> list[tuple[str, bool]]:
    """Messages that were given up; no trouble any more once it is long ago and later ones came."""
    texts = []
    for row in database.rows(
        con,
        """select channel, count(dead_at) as n, max(dead_at) as dead, max(sent_at) as sent,
                  max_by(last_error, dead_at) as error
           from notifications group by channel having n > 0 order by channel""",
    ):
        messages = f"{row['n']} message{'s were' if row['n'] > 1 else ' was'}"
        text = f"channel {row['channel']}: {messages} given up: {row['error']}"
        over = row["sent"] and row["sent"] > row["dead"] and row["dead"] < now - _GIVEN_UP
        texts.append((text + ("; later ones arrived" if over else ""), not over))
    return texts


def unsent(con: duckdb.DuckDBPyConnection) -> tuple[Unsent, ...]:
    """How many messages wait for each channel."""
    rows = database.rows(
        con,
        """select channel, count(*) as n, max(last_error) as error from notifications
           where sent_at is null and dead_at is null group by channel order by channel""",
    )
    return tuple(Unsent(row["channel"], row["n"], row["error"] or "") for row in rows)
