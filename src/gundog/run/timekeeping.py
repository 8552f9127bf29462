"""Whether the clock of a run can be believed, and what a clock that was wrong left behind.

Retention and messages count in time: with a clock that is years ahead a single run would remove
every finding. A clock is believed when it is near the last run, or near events that were read.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from gundog.core.times import format_time
from gundog.core.wording import count
from gundog.warehouse import database, quoting

# How far from the last run and from the newest events a clock may be, either way.
FAR = timedelta(days=7)
# Of a large lake so many rows are more than single machines with wrong clocks send.
_SOME_ROWS = 10
_SOME_SHARE = 0.01
# Two machines' clocks differ by seconds; later than this no run can have begun.
_SKEW = timedelta(hours=1)
_CURE = "correct the clock, or, if it is correct, run once with --trust-clock"
# When rows were written, as far as something is counted from it.
_WRITTEN = (
    ("findings", "created_at"),
    ("findings", "updated_at"),
    ("finding_changes", "changed_at"),
    ("source_files", "created_at"),
    ("run_intervals", "updated_at"),
    ("notifications", "created_at"),
)
_OF_A_LATER_RUN = "ahead of the clock of a later run"


@dataclass(frozen=True)
class Judged:
    """What a run's clock is worth.

    Attributes:
        doubt: why it is not believed, in one sentence with the cure; empty when it is.
        proven: events or a proven run are near it, so that a later run may be measured by it.
        seen: when the last run began that was believed; None before the first.
        behind: it is before what was seen, so that nothing can be stored under it.
    """

    doubt: str = ""
    proven: bool = False
    seen: datetime | None = None
    behind: bool = False

    @property
    def key(self) -> str:
        """The same on every run until the clock is right again."""
        return f"clock/{format_time(self.seen)}" if self.seen else "clock"


def judge(con: duckdb.DuckDBPyConnection, now: datetime, *, trusted: bool = False) -> Judged:
    """What the clock of the run at work is worth, by what the warehouse has seen.

    Args:
        con: the warehouse.
        now: the run's time.
        trusted: a person says that it is right.
    """
    seen, proven = con.execute(
        """select max(started_at), max(started_at) filter (clock_proven)
           from runs where clock_doubt is null and finished_at is not null"""
    ).fetchall()[0]
    if trusted:
        return Judged(proven=True, seen=seen)
    if proven and now < proven - FAR:
        doubt = f"{_second(now)} is {_days(proven - now)} before the last run, {_second(proven)}"
        return Judged(f"{doubt}: nothing was done: {_CURE}", seen=proven, behind=True)
    near = _events_near(con, now)
    if seen and now > seen + FAR and not near:
        doubt = f"{_second(now)} is {_days(now - seen)} after the last run, {_second(seen)}"
        why = (
            f"{doubt}, and no events of the {FAR.days} days before it were read: the clock is"
            f" wrong, or nothing came: retention removed nothing, no message was given up: {_CURE}"
        )
        return Judged(why, seen=seen)
    return Judged(proven=near or bool(proven and now <= proven + FAR), seen=seen)


def _second(moment: datetime) -> str:
    return format_time(moment.replace(microsecond=0))


def _days(span: timedelta) -> str:
    return count(span.days, "day")


def _events_near(con: duckdb.DuckDBPyConnection, now: datetime) -> bool:
    """Whether rows of the days before `now` were read, and not only those of some machine."""
    near, every = con.execute(
        """select coalesce(sum(rows) filter (hour > $now - $far and hour <= $now), 0),
                  coalesce(sum(rows), 0) from source_hours""",
        {"now": now, "far": FAR},
    ).fetchall()[0]
    return bool(near and near >= min(_SOME_ROWS, _SOME_SHARE * every))


def mend(con: duckdb.DuckDBPyConnection, now: datetime, news_age: timedelta) -> None:
    """Takes back what runs whose clock was ahead of `now`, a believed one, wrote down.

    Channels are told what they would have been told; what was written later than now was written
    now; intervals that are not over were not hunted. Where no clock was ahead nothing changes.

    Args:
        con: the warehouse, writable.
        now: the run's time.
        news_age: how long before its start a channel is told of findings.
    """
    if not _is_ahead(con, now, now - news_age):
        return
    with database.transaction(con):
        for table in ("notification_starts", "notification_tenants"):
            con.execute(
                f"update {table} set since = $first where since > $first",
                {"first": now - news_age},
            )
        # What was said of a day to come must be said again when that day has come.
        con.execute(
            "delete from notifications where kind = 'health' and created_at > ? and sent_at is"
            " not null",
            [now],
        )
        for table, column in _WRITTEN:
            name = quoting.name(column)
            con.execute(f"update {table} set {name} = $now where {name} > $now", {"now": now})
        _mend_outbox(con, now)
        con.execute("delete from run_intervals where interval_end > ?", [now])
        con.execute(
            "update runs set clock_doubt = ? where started_at > ? and clock_doubt is null",
            [_OF_A_LATER_RUN, now + _SKEW],
        )


def _is_ahead(con: duckdb.DuckDBPyConnection, now: datetime, first: datetime) -> bool:
    """Whether anything is there that `mend` would change: one question, most often for nothing."""
    later = defaultdict[str, list[str]](list)
    for table, column in (*_WRITTEN, ("runs", "started_at"), ("run_intervals", "interval_end")):
        later[table].append(f"max({quoting.name(column)}) > $now")
    later["notifications"] += ["max(first_attempt_at) > $now", "max(next_attempt_at) > $now"]
    for table in ("notification_starts", "notification_tenants"):
        later[table].append("max(since) > $first")
    tables = " union all ".join(
        f"select {' or '.join(questions)} as is_later from {table}"
        for table, questions in later.items()
    )
    answer = con.execute(f"select bool_or(is_later) from ({tables})", {"now": now, "first": first})
    return bool(answer.fetchall()[0][0])


def _mend_outbox(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Tries at once what would wait longer than any wait is."""
    con.execute(
        """update notifications set next_attempt_at = $now
           where next_attempt_at > $now + interval 25 hour""",
        {"now": now},
    )
    con.execute(
        "update notifications set first_attempt_at = $now where first_attempt_at > $now",
        {"now": now},
    )
