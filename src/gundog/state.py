"""The state of everything: what needs a person, coverage, sources, exceptions, files, outbox."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gundog import exceptions, warehouse
from gundog.interval import format_duration
from gundog.printing import listing, safe, short_time


def status_problems(con: duckdb.DuckDBPyConnection) -> list[str]:
    """What needs a person, one sentence each."""
    problems = []
    for row in warehouse.rows(
        con,
        """select coalesce(d.stem, i.detection_id::varchar) as stem, i.*
           from run_intervals as i left join detections as d using (detection_id)
           where i.state in ('failed', 'no_data', 'stale', 'missing')
           and (d.detection_id is null or d.detection_hash = i.detection_hash)
           order by i.interval_start, stem""",
    ):
        what = {"failed": "failed", "no_data": "no data"}.get(row["state"], row["state"])
        why = f": {row['error']}" if row["error"] else ": gundog backfill hunts it"
        start, end = short_time(row["interval_start"]), short_time(row["interval_end"])
        problems.append(f"{row['stem']} {start} to {end}: {what}{why}")
    problems += [
        f"{row['path']}: rejected: {row['error']}"
        for row in warehouse.rows(
            con, "select path, error from source_files where state = 'rejected' order by path"
        )
    ]
    problems += [
        f"channel {row['channel']}: {row['n']} messages were given up: {row['error']}"
        for row in warehouse.rows(
            con,
            """select channel, count(*) as n, max(last_error) as error from notifications
               where dead_at is not null group by channel order by channel""",
        )
    ]
    return problems


def status(
    console: Console,
    con: duckdb.DuckDBPyConnection,
    names: Mapping[str, str],
    problems: Sequence[str],
    now: datetime,
    idle: Mapping[str, str] | None = None,
) -> None:
    """Prints the state: a first line that says it all, then coverage, sources, files, outbox.

    Args:
        console: where to.
        con: findings.duckdb.
        names: detection stems by id, of the detections that run.
        problems: what needs a person.
        now: the present, for ages.
        idle: why a detection cannot run, by its stem.
    """
    count = len(problems)
    console.print(Text("OK") if not count else Text(f"{count} PROBLEM{'S' if count > 1 else ''}"))
    for problem in problems:
        console.print(Text("  ").append_text(safe(problem)))
    _coverage(console, con, names, idle or {})
    _sources(console, con, now)
    _exceptions(console, con, now)
    _remarks(console, con)
    _outbox(console, con)


def _coverage(
    console: Console,
    con: duckdb.DuckDBPyConnection,
    names: Mapping[str, str],
    idle: Mapping[str, str],
) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("detection", "hunted from", "to (UTC)", "intervals", "findings", "note"):
        table.add_column(name, overflow="fold")
    ledger = defaultdict[str, list[dict[str, Any]]](list)
    for row in warehouse.rows(con, "select * from run_intervals order by interval_start"):
        ledger[str(row["detection_id"])].append(row)
    for key, stem in sorted(names.items(), key=lambda item: item[1]):
        rows = ledger[key]
        if stem in idle and not rows:
            table.add_row(stem, f"does not run: {idle[stem]}")
            continue
        if not rows:
            table.add_row(
                stem, "not hunted yet: the next gundog hunt starts it, a backfill adds history"
            )
            continue
        states = Counter(row["state"] for row in rows)
        note = rows[-1]["note"] or ""
        table.add_row(
            stem,
            short_time(rows[0]["interval_start"]),
            short_time(rows[-1]["interval_end"]),
            ", ".join(f"{n} {state}" for state, n in sorted(states.items())),
            str(sum(row["findings"] or 0 for row in rows)),
            safe(f"does not run: {idle[stem]}" if stem in idle else note),
        )
    console.print()
    console.print(table)


def _sources(console: Console, con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("source", "files", "rows", "rejected rows", "newest event (UTC)", "age"):
        table.add_column(name)
    for row in warehouse.rows(
        con,
        """select source_table, count(*) as files, sum(rows) as rows,
                  sum(rejected_rows) as rejected, max(max_time) as newest
           from source_files group by source_table order by source_table""",
    ):
        age = now - row["newest"] if row["newest"] else None
        table.add_row(
            safe(row["source_table"]),
            f"{row['files']:,}",
            f"{row['rows'] or 0:,}",
            f"{row['rejected'] or 0:,}",
            short_time(row["newest"]),
            _age(age),
        )
    console.print()
    console.print(table)


def _age(age: timedelta | None) -> str:
    if age is None:
        return ""
    return format_duration(age - age % timedelta(hours=1)) if age >= timedelta(hours=1) else "<1h"


def _exceptions(console: Console, con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    rows = warehouse.rows(con, "select * from exceptions order by expires, exception_id")
    listing(console, "Exceptions", exceptions.attention(rows, now))


def _remarks(console: Console, con: duckdb.DuckDBPyConnection) -> None:
    rows = warehouse.rows(
        con,
        """select path, rejected_rows, missing_columns, cast_columns from source_files
           where state = 'staged'
           and (rejected_rows > 0 or len(missing_columns) > 0 or len(cast_columns) > 0)
           order by path""",
    )
    lines = []
    for row in rows:
        said = []
        if row["rejected_rows"]:
            said.append(f"{row['rejected_rows']} rows rejected")
        if row["missing_columns"]:
            said.append(f"lacks {', '.join(row['missing_columns'])}")
        if row["cast_columns"]:
            said.append(f"cast {', '.join(row['cast_columns'])}")
        lines.append(f"{row['path']}: {'; '.join(said)}")
    listing(console, "Files with remarks", lines)


def _outbox(console: Console, con: duckdb.DuckDBPyConnection) -> None:
    rows = warehouse.rows(
        con,
        """select channel, count(*) as n, max(last_error) as error from notifications
           where sent_at is null and dead_at is null group by channel order by channel""",
    )
    listing(
        console,
        "Unsent",
        [f"{r['channel']}: {r['n']} waiting: {r['error'] or 'next run'}" for r in rows],
    )
