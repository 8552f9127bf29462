"""Drifts in words: what `gundog status` and runs say of records that changed.

A drift is a fault on each of its days, until its files are read again and are good, or somebody
acknowledges the day.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from gundog.core.times import DAY, Interval, split
from gundog.health import drift, watch
from gundog.health.drift import Drift
from gundog.health.drift_series import moment, number
from gundog.health.watch import Fault
from gundog.warehouse import database


def stored(row: Mapping[str, Any]) -> Drift:
    """The drift that a row of the table `drifts` holds."""
    return Drift(
        row["kind"], row["source_table"], row["stage"], row["key"], row["tenant"],
        number(row["since"]), number(row["until"]) - 1,
        number(row["noticed"]), row["bad"], row["seen"], row["usual"], row["is_over"],
    )  # fmt: skip


def published(con: duckdb.DuckDBPyConnection) -> list[Fault]:
    """The faults of every drift in findings.duckdb."""
    return [
        fault for row in database.rows(con, "select * from drifts") for fault in faults(stored(row))
    ]


def faults(drifted: Drift) -> list[Fault]:
    """A drift as one fault for each of its days."""
    span = Interval(moment(drifted.since), moment(drifted.last + 1))
    table, tenant = drifted.stage or drifted.source, drifted.tenant or None
    return [Fault(watch.DRIFT, sentence(drifted), table, day, tenant) for day in split(span, DAY)]


def sentence(drifted: Drift) -> str:
    """What happened, and what to do; the days stand behind it.

    >>> sentence(Drift("lacking", "Events", "mail", "mailbox", "", 1, 1, 1, 90, 100, 0.012))
    '90 of 100 rows have no mailbox, usually 1% (fix the exporter or sql/stage/mail.sql)'
    """
    cure = f"(fix the exporter or sql/stage/{drifted.stage}.sql)"
    of, usual = f"{drifted.bad:,} of {drifted.seen:,} rows", f"usually {_percent(drifted.usual)}"
    match drifted.kind:
        case drift.REJECTED:
            return f"{of} could not be read, {usual} {cure}"
        case drift.LACKING:
            return f"{of} have no {drifted.key}, {usual} {cure}"
        case drift.GONE:
            others = f"while {drifted.source} has other rows of the same days"
            return f"no rows, usually {drifted.usual:,.0f} a day, {others} {cure}"
        case _:
            others = "while other tenants have some"
            return f"no rows, usually {drifted.usual:,.0f} a day, {others} (fix the exporter)"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"
