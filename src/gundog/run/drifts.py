"""The drifts of a lake's records: judged after staging, and remembered.

`drift` decides from counts what a drift is; `drift_faults` writes it in words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import duckdb

from gundog.core.times import DAY, Interval
from gundog.detections.hunt import Content
from gundog.health import drift
from gundog.health.drift import Drift
from gundog.health.drift_series import moment, number
from gundog.run import drift_faults
from gundog.staging import day_counts
from gundog.warehouse import database

# Rows that arrive within this time are there when a night hunts their day.
_A_NIGHT = timedelta(hours=26)


@dataclass(frozen=True)
class Known:
    """A drift, the name of the health message that tells of it, and the run that noticed it."""

    drift: Drift
    message: str
    run_id: UUID


def watch(
    con: duckdb.DuckDBPyConnection,
    loaded: Content,
    sources: Collection[str],
    hunted: Interval,
    freshness: timedelta,
    now: datetime,
    run_id: UUID,
) -> list[Known]:
    """Judges the days that a run hunted and the five weeks before, and remembers what it finds.

    Args:
        con: the warehouse, writable, with everything staged that the run reads.
        loaded: all content; what is known of a stage that fails to load is kept.
        sources: the source tables that gundog.yaml has a path for.
        hunted: the time that the run was about.
        freshness: how late rows may come; the days of a lake that is slower than a night are
            judged for missing rows as many nights later.
        now: the run's time; days that are not over are not judged.
        run_id: the run.

    Returns:
        The drifts that touch the hunted days, or that go on.
    """
    last = number(min(hunted.end, now)) - 1
    first = min(number(hunted.start), last) - drift.REACH
    lag = max(0, -(-(freshness - _A_NIGHT) // DAY))
    with database.transaction(con):
        day_counts.follow_keys(con, loaded.stages.values())
        remembered = _known(con)
        judged_now = [
            entry
            for source in sorted({*sources} & {*loaded.sources})
            for entry in _judge(con, loaded, source, first, last, remembered, lag)
        ]
        kept = _named(judged_now, remembered, run_id)
        judged = {(entry.source, entry.stage) for entry in judged_now} | _tables(loaded, sources)
        if loaded.problems:
            kept += [
                entry
                for entry in remembered
                if (entry.drift.source, entry.drift.stage) not in judged
            ]
        _remember(con, kept)
    start = number(hunted.start)
    return [
        entry
        for entry in kept
        if entry.drift.since <= last and (entry.drift.last >= start or not entry.drift.is_over)
    ]


def _tables(loaded: Content, sources: Collection[str]) -> set[tuple[str, str]]:
    names = {(source, "") for source in sources}
    return names | {(stage.source, stage.name) for stage in loaded.stages.values()}


def _judge(
    con: duckdb.DuckDBPyConnection,
    loaded: Content,
    source: str,
    first: int,
    last: int,
    remembered: Sequence[Known],
    lag: int,
) -> Iterator[Drift]:
    """The drifts of a source and its stages: those of the days judged, and all others known."""
    stages = [stage for stage in loaded.stages.values() if stage.source == source]
    for table in day_counts.tables(con, source, stages, first - drift.REACH, last):
        keys = {"", *table.lacking}
        mine = [
            entry.drift
            for entry in remembered
            if (entry.drift.source, entry.drift.stage) == (table.source, table.stage)
            and entry.drift.key in keys
        ]
        whole = replace(table, whole_until=last - lag)
        yield from drift.judge(whole, first, last, [entry for entry in mine if entry.since < first])
        yield from (entry for entry in mine if entry.since > last)


# ---- remembering them ----


def _known(con: duckdb.DuckDBPyConnection) -> list[Known]:
    rows = database.rows(con, "select * from drifts")
    return [Known(drift_faults.stored(row), row["message"], row["run_id"]) for row in rows]


def _named(drifts: Iterable[Drift], remembered: Sequence[Known], run_id: UUID) -> list[Known]:
    """Each drift with its message: that of the one known before which it goes on from."""
    named = []
    for drifted in drifts:
        before = next((old for old in remembered if _is_same(old.drift, drifted)), None)
        message = before.message if before else _message(drifted)
        named.append(Known(drifted, message, before.run_id if before else run_id))
    return named


def _is_same(first: Drift, second: Drift) -> bool:
    return (
        first.series == second.series and first.since <= second.last and second.since <= first.last
    )


def _message(drifted: Drift) -> str:
    name = ":".join(part for part in (*drifted.series, str(moment(drifted.since).date())) if part)
    return f"drift:{name}"


def _remember(con: duckdb.DuckDBPyConnection, kept: Iterable[Known]) -> None:
    con.execute("delete from drifts")
    rows = [
        {
            "kind": entry.drift.kind,
            "source_table": entry.drift.source,
            "stage": entry.drift.stage,
            "key": entry.drift.key,
            "tenant": entry.drift.tenant,
            "since": moment(entry.drift.since),
            "until": moment(entry.drift.last + 1),
            "is_over": entry.drift.is_over,
            "noticed": moment(entry.drift.noticed),
            "bad": entry.drift.bad,
            "seen": entry.drift.seen,
            "usual": entry.drift.usual,
            "message": entry.message,
            "run_id": str(entry.run_id),
        }
        for entry in kept
    ]
    database.insert(con, "drifts", sorted(rows, key=lambda row: (row["since"], row["message"])))
