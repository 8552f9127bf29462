"""Which intervals of a day are to be hunted, and what only the writable warehouse can tell of each.

What was done before stays as it is, and so does what could only be hunted on fewer rows than then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial

import duckdb

from gundog.core.times import Interval
from gundog.detections.hunt import Hunt
from gundog.hunting import tenancy
from gundog.run import ledger, left_out, stage_step, upgrade
from gundog.run.context import Context
from gundog.run.left_out import LeftOut
from gundog.run.stage_step import Staging
from gundog.warehouse import database

Key = tuple[str, Interval]  # a detection's id and an interval


@dataclass(frozen=True)
class Due:
    """An interval to hunt.

    Attributes:
        seq: the staging step that it will have seen.
        no_data: why no source can answer for it; empty when they can.
        staged_from: the time from which its staged tables are whole.
        fingerprint: a hash of the file versions that it reads.
        unlisted: why the run could not read what it needs; empty when it could.
        again: hunt it even if nothing has changed.
        left_out: the tenants that have no data for it.
        learning: what to say of too short a history.
        remark: what readers must know of tenants and files that are missing.
    """

    hunt: Hunt
    interval: Interval
    seq: int
    no_data: str
    staged_from: datetime
    fingerprint: str
    unlisted: str
    again: bool
    left_out: frozenset[str]
    learning: str
    remark: str

    @property
    def key(self) -> Key:
        return self.hunt.detection.id, self.interval

    @property
    def cannot_be_hunted(self) -> bool:
        return bool(self.no_data or self.unlisted)


@dataclass(frozen=True)
class Look:
    """The intervals of a day, sorted.

    Attributes:
        due: to be hunted.
        kept: done before this run, and left as they are.
        held: those of `kept` that are not hunted because rows are gone which they were found in.
        notes: why, one line for each of these.
    """

    due: tuple[Due, ...] = ()
    kept: frozenset[Key] = frozenset()
    held: frozenset[Key] = frozenset()
    notes: tuple[str, ...] = ()


class _Answers:
    """What the warehouse tells; hunts of the same sources share the answers."""

    def __init__(self, con: duckdb.DuckDBPyConnection, context: Context) -> None:
        freshness = context.project.settings.freshness
        self.con = con
        self.seq = cache(partial(database.current_seq, con))
        self.expired = cache(partial(ledger.expired, con))
        self.no_data = cache(partial(ledger.no_data, con, freshness=freshness))
        self.staged_from = cache(partial(ledger.staged_from, con))
        self.tenants = cache(partial(tenancy.known, con))
        self.started = cache(partial(tenancy.started, con))
        self.missing = cache(partial(tenancy.missing, con, freshness=freshness))


def look(
    con: duckdb.DuckDBPyConnection,
    context: Context,
    staging: Staging,
    states: Mapping[Key, str],
    intervals: Mapping[str, Sequence[Interval]],
    hunted: Collection[Key],
    tired: Collection[str],
) -> Look:
    """Sorts the intervals of a day.

    Args:
        con: the warehouse, writable.
        context: what is asked.
        staging: how far staging is.
        states: of each interval, from the ledger.
        intervals: those of the day, by detection id.
        hunted: what earlier passes of this run looked at: of these only what has become stale
            since is hunted again.
        tired: ids of detections that have no more turns in this run.
    """
    answers = _Answers(con, context)
    due, kept, held, notes = list[Due](), set[Key](), set[Key](), list[str]()
    for hunt in context.hunts:
        for interval in intervals.get(hunt.detection.id, ()):
            key = (hunt.detection.id, interval)
            if hunt.detection.id in tired:
                continue
            if not _is_due(context, states[key], key in hunted):
                if key not in hunted:
                    kept.add(key)
                continue
            absent = _absent(answers, hunt, interval)
            lost = upgrade.told(
                upgrade.reached(staging.lost, hunt.needed, interval.widen(hunt.detection.lookback))
            )
            reason = _why_held(answers, hunt, interval, states[key], absent, lost)
            if reason:
                held.add(key)
                if key not in hunted:
                    kept.add(key)
                    notes.append(f"{hunt.detection.stem} {interval}: kept as it is: {reason}")
                continue
            due.append(_due(answers, context, staging, hunt, interval, absent, lost))
    return Look(tuple(due), frozenset(kept), frozenset(held), tuple(notes))


def _is_due(context: Context, state: str, was_hunted: bool) -> bool:
    if was_hunted:  # in an earlier pass of this run: only what its own staging made stale
        return state == ledger.STALE
    return context.request.again or state in ledger.DUE


@dataclass(frozen=True)
class _Absent:
    """What an interval cannot be hunted on: tenants without data, and rows that retention took."""

    tenants: LeftOut
    expired: str


def _absent(answers: _Answers, hunt: Hunt, interval: Interval) -> _Absent:
    expired = answers.expired(hunt.sources, interval.widen(hunt.detection.lookback))
    known, missing = answers.tenants(hunt.sources), dict[str, str]()
    if len(known) > 1:  # what a single one lacks, its sources lack
        missing = answers.missing(hunt.needed, interval, hunt.detection.lookback)
    tenants = left_out.of(known, missing)
    return _Absent(tenants, "" if tenants.some else expired)


def _why_held(
    answers: _Answers, hunt: Hunt, interval: Interval, state: str, absent: _Absent, lost: str
) -> str:
    """Why what was found then stays, although the interval is due; empty when it is hunted."""
    if lost and ledger.was_hunted(answers.con, hunt, interval):
        return lost
    return absent.expired if state in (ledger.DONE, ledger.STALE) else ""


def _due(
    answers: _Answers,
    context: Context,
    staging: Staging,
    hunt: Hunt,
    interval: Interval,
    absent: _Absent,
    lost: str,
) -> Due:
    some = absent.tenants.some
    staged_from = answers.staged_from(hunt.needed)
    learning = left_out.learning(
        hunt,
        interval,
        answers.tenants(hunt.sources),
        answers.started(hunt.needed) if hunt.needs_history else {},
        staged_from,
    )
    return Due(
        hunt,
        interval,
        answers.seq(),
        absent.expired or answers.no_data(hunt.needed, interval) or absent.tenants.all,
        staged_from,
        ledger.fingerprint(answers.con, hunt, interval),
        _not_to_be_read(staging, hunt, interval),
        context.request.again,
        frozenset(some),
        learning,
        left_out.joined(left_out.remark(answers.con, hunt, interval, some), lost),
    )


def _not_to_be_read(staging: Staging, hunt: Hunt, interval: Interval) -> str:
    """Why the run could not read what an interval needs, in a sentence; empty when it could."""
    stores = [staging.unlisted[source] for source in hunt.sources if source in staging.unlisted]
    return "; ".join(filter(None, [*stores, stage_step.blind(staging, hunt, interval)]))
