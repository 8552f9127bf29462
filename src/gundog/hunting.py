"""The second step of a run: day by day, what is due is hunted and stored."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

import duckdb

from gundog import acknowledged, findings, health, intake, ledger, query, series, warehouse
from gundog.content import Hunt
from gundog.course import About, Course
from gundog.errors import GundogError
from gundog.findings import Hunted
from gundog.interval import Interval, ceil, format_time

_DAY = timedelta(days=1)
# A hunt that takes longer reads far too much, and would keep the night from ending.
HUNT_LIMIT_S = 3600.0


def hunt_days(
    held: warehouse.Held, state: Course, wanted: Mapping[str, Sequence[Interval]]
) -> bool:
    """Goes through the days oldest first; True when a day's files came after days before it."""
    again = False
    days = list(_by_day(state.hunts, wanted).items())
    known: _Known | None = None
    for turn, (day, intervals) in enumerate(days):
        state.went(turn, len(days))
        if state.stop():
            state.outcome.stopped = True
            state.outcome.notes.append(
                f"stopped before {day:%Y-%m-%d}: run the same command again to go on"
            )
            break
        staged = intake.stage_day(held.con(), state, days[turn:], ahead=turn == 0)
        again |= staged and turn > 0
        if staged or known is None:
            known = _states(held.con(), state, wanted)  # of all days, until more is staged
        due = _due(held.con(), state, known, _by_hunt(intervals))
        if not due:
            continue
        held.let_go()  # hunts read the file through a connection that cannot write
        hunted = _hunt_day(state, due)
        _store(held.con(), state, hunted)
        state.say(f"{format_time(day)[:10]}  {_day_line(hunted)}")
    return again


_Known = Mapping[tuple[str, Interval], str]


def _states(
    con: duckdb.DuckDBPyConnection, state: Course, intervals: Mapping[str, Sequence[Interval]]
) -> _Known:
    """The state of each interval, by detection id and interval."""
    return {
        (hunt.detection.id, interval): known
        for hunt in state.hunts
        for interval, known in ledger.states(
            con, hunt, intervals.get(hunt.detection.id, ()), state.clock
        ).items()
    }


def _by_hunt(intervals: Iterable[tuple[Hunt, Interval]]) -> dict[str, list[Interval]]:
    by_hunt = defaultdict[str, list[Interval]](list)
    for hunt, interval in intervals:
        by_hunt[hunt.detection.id].append(interval)
    return {key: sorted(mine) for key, mine in by_hunt.items()}


def _by_day(
    hunts: Sequence[Hunt], wanted: Mapping[str, Sequence[Interval]]
) -> dict[datetime, list[tuple[Hunt, Interval]]]:
    days = defaultdict[datetime, list[tuple[Hunt, Interval]]](list)
    for hunt in hunts:
        for interval in wanted[hunt.detection.id]:
            days[ceil(interval.end, _DAY) - _DAY].append((hunt, interval))
    return dict(sorted(days.items()))


@dataclass(frozen=True)
class _Due:
    """An interval to hunt, with what only the writable warehouse can tell of it."""

    hunt: Hunt
    interval: Interval
    seq: int
    no_data: str
    staged_from: datetime
    fingerprint: str
    unlisted: str
    again: bool


def _due(
    con: duckdb.DuckDBPyConnection,
    state: Course,
    known: _Known,
    intervals: Mapping[str, Sequence[Interval]],
) -> list[_Due]:
    # Hunts of the same sources share the answers.
    seq = cache(partial(warehouse.current_seq, con))
    expired = cache(partial(ledger.expired, con))
    no_data = cache(partial(ledger.no_data, con, freshness=state.project.settings.freshness))
    staged_from = cache(partial(ledger.staged_from, con))
    found = []
    for hunt in state.hunts:
        for interval in intervals.get(hunt.detection.id, ()):
            at = known[hunt.detection.id, interval]
            tried = (hunt.detection.id, interval) in state.attempted
            if not _to_hunt(state, at, tried):
                _leave(state, hunt, interval, tried)
                continue
            gone = expired(hunt.sources, interval.widen(hunt.detection.lookback))
            state.attempted.add((hunt.detection.id, interval))
            if gone and at in (ledger.DONE, ledger.STALE):  # what it found then, holds
                if not tried:
                    state.outcome.notes.append(
                        f"{hunt.detection.stem} {interval}: kept as it is: {gone}"
                    )
                _leave(state, hunt, interval, tried)
                continue
            found.append(
                _Due(
                    hunt,
                    interval,
                    seq(),
                    gone or no_data(hunt.sources, interval),
                    staged_from(hunt.stages),
                    ledger.fingerprint(con, hunt, interval),
                    "; ".join(state.unlisted[s] for s in hunt.sources if s in state.unlisted),
                    state.request.again,
                )
            )
    return found


def _leave(state: Course, hunt: Hunt, interval: Interval, tried: bool) -> None:
    """Counts an interval that was done before this run, once however often it is looked at."""
    if not tried:
        state.left.add((hunt.detection.id, interval))
        state.outcome.done = len(state.left)


def _to_hunt(state: Course, known: str, tried: bool) -> bool:
    if tried:  # a later pass of the same run: only what its own staging made stale
        return known == ledger.STALE
    return state.request.again or known in ledger.DUE


def _hunt_day(state: Course, due: Sequence[_Due]) -> list[Hunted]:
    options = state.project.settings
    hunted = [_not_hunted(one) for one in due if one.no_data or one.unlisted]
    rest = [one for one in due if not one.no_data and not one.unlisted]
    if not rest:
        return hunted
    with query.sandbox(
        options.warehouse,
        memory_limit=options.memory_limit,
        threads=options.threads,
        temp_directory=options.warehouse.with_suffix(".tmp"),
        timeout_s=HUNT_LIMIT_S,
    ) as con:
        hunted += [
            _guarded(one, partial(state.step, _hunt_name(one), partial(_hunt_one, con, one)))
            for one in rest
        ]
    return hunted


def _hunt_name(due: _Due) -> str:
    return f"hunt {due.hunt.detection.stem} {format_time(due.interval.start).split('T00:00')[0]}"


def _guarded(due: _Due, part: Callable[[], Any]) -> Hunted:
    """What a hunt's step gives; a step that ends in an error of its own is that hunt's failure."""
    try:
        hunted: Hunted = part()
    except Exception as error:  # a time limit around one hunt must never stop the others
        if warehouse.is_interrupt(error):
            raise KeyboardInterrupt from error
        text = f"{type(error).__name__}: {error}"
        return Hunted(due.hunt, due.interval, due.seq, ledger.FAILED, error=text)
    return hunted


def _not_hunted(due: _Due) -> Hunted:
    """An interval without data, or one of a source whose store could not be listed."""
    if due.unlisted:
        return Hunted(due.hunt, due.interval, due.seq, ledger.FAILED, error=due.unlisted)
    return Hunted(due.hunt, due.interval, due.seq, ledger.NO_DATA, error=due.no_data)


def _hunt_one(con: duckdb.DuckDBPyConnection, due: _Due) -> Hunted:
    """One detection over one interval; whatever goes wrong stays its own."""
    began = time.perf_counter()
    note = ledger.learning(due.hunt, due.interval, due.staged_from)
    kept: dict[str, Any] = {"note": note, "fingerprint": due.fingerprint}
    try:
        if due.hunt.detection.kind == "series":
            scored = series.hunt(con, due.hunt, due.interval, due.staged_from, again=due.again)
            kept |= {"hits": scored.hits, "points": scored.points, "note": scored.note}
            kept |= {"counts": scored.counted.rows, "counted": scored.counted.spans}
            kept |= {"basis": scored.basis}
        else:
            kept["hits"] = findings.match(con, due.hunt, due.interval, due.staged_from)
        state, error = ledger.DONE, ""
    except (GundogError, duckdb.Error) as failure:
        state, error = ledger.FAILED, str(failure)
    except Exception as failure:  # one detection must never stop the others
        if warehouse.is_interrupt(failure):
            raise KeyboardInterrupt from failure
        state, error = ledger.FAILED, f"{type(failure).__name__}: {failure}"
    seconds = round(time.perf_counter() - began, 3)
    return Hunted(
        due.hunt, due.interval, due.seq, state, error=error, seconds=seconds,
        **(kept if not error else {}),
    )  # fmt: skip


def _store(con: duckdb.DuckDBPyConnection, state: Course, finished: Sequence[Hunted]) -> None:
    outcome = state.outcome
    for one in finished:
        try:
            changes = findings.store(con, one, state.author)
        except (duckdb.Error, ArithmeticError, TypeError, ValueError) as failure:
            # Rows that do not fit the findings table are their own hunt's failure.
            error = f"{type(failure).__name__}: {failure}"
            one = Hunted(one.hunt, one.interval, one.seq, ledger.FAILED, error=error)
            changes = findings.store(con, one, state.author)
        outcome.changes.add(changes)
        outcome.hunted += 1
        stem = one.hunt.detection.stem
        key = f"{one.state}:{one.hunt.detection.id}:{format_time(one.interval.start)}"
        if one.state == ledger.FAILED:
            outcome.trouble(key, f"{stem} {one.interval}", f"failed: {one.error}")
        elif one.state == ledger.NO_DATA:
            about = About(acknowledged.HOLE, health.lacking(one.error), one.interval)
            outcome.trouble(key, f"{stem} {one.interval}", f"no data: {one.error}", about)
        elif one.note:
            outcome.notes.append(f"{stem} {one.interval}: {one.note}")


def _day_line(hunted: Sequence[Hunted]) -> str:
    hits = sum(len(one.hits) for one in hunted)
    bad = [one.hunt.detection.stem for one in hunted if one.state != ledger.DONE]
    text = f"{_many(len(hunted), 'hunt')}, {_many(hits, 'finding')}"
    return text + (f", not done: {', '.join(sorted(set(bad)))}" if bad else "")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
