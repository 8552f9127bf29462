"""The second step of a run: day by day, what is due is hunted and stored."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any

import duckdb

from gundog.core.child import EndedError, LateError
from gundog.core.times import DAY, Interval, ceil, format_duration, format_time
from gundog.detections.hunt import Hunt
from gundog.findings import storing
from gundog.findings.model import Hunted
from gundog.health import acknowledged, watch
from gundog.hunting import single_hunt, tenancy
from gundog.hunting.single_hunt import Found, Order, Place
from gundog.run import ledger, left_out, stage_step, upgrade
from gundog.run.context import About, Course
from gundog.warehouse import contexts, database

_LATE_TWICE = 2
_CLOSING_S = 60.0
_TOO_LONG = "took longer than allowed ({limit}): read fewer rows, or raise huntLimit in gundog.yaml"
_LEFT_OUT = (
    "left out of this run: it reached huntLimit in two intervals in a row; the intervals that it"
    " did not reach are hunted the next time they are asked for"
)


def hunt_days(held: database.Held, state: Course, wanted: Mapping[str, Sequence[Interval]]) -> bool:
    """Goes through the days oldest first; True when a day's files came after days before it."""
    again = False
    days = list(_by_day(state.hunts, wanted).items())
    known: _Known | None = None
    for turn, (day, intervals) in enumerate(days):
        state.went(turn, len(days))
        if state.stop():
            state.outcome.stopped = True
            state.outcome.notes.append(
                f"stopped before {day:%Y-%m-%d}: run the same command again to continue"
            )
            break
        staged = stage_step.stage_day(held.con(), state, days[turn:], ahead=turn == 0)
        again |= staged and turn > 0
        if staged or known is None:
            _learn(held.con(), state)
            known = _states(held.con(), state, wanted)  # of all days, until more is staged
        due = _due(held.con(), state, known, _by_hunt(intervals))
        if not due:
            continue
        held.let_go()  # hunts read the file through a connection that cannot write
        hunted = _hunt_day(state, due)
        _store(held.con(), state, hunted)
        state.say(f"{format_time(day)[:10]}  {_day_line(hunted)}")
    return again


def _learn(con: duckdb.DuckDBPyConnection, state: Course) -> None:
    """Keeps the contexts of the days whose staged rows changed."""
    for stage in {one.name: one for hunt in state.hunts for one in hunt.learned}.values():
        if stage.learned:
            contexts.learn(con, stage.learned)


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
            days[ceil(interval.end, DAY) - DAY].append((hunt, interval))
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
    left_out: frozenset[str]
    learning: str
    remark: str


def _due(
    con: duckdb.DuckDBPyConnection,
    state: Course,
    known: _Known,
    intervals: Mapping[str, Sequence[Interval]],
) -> list[_Due]:
    # Hunts of the same sources share the answers.
    seq = cache(partial(database.current_seq, con))
    expired = cache(partial(ledger.expired, con))
    no_data = cache(partial(ledger.no_data, con, freshness=state.project.settings.freshness))
    staged_from = cache(partial(ledger.staged_from, con))
    tenants = cache(partial(tenancy.known, con))
    started = cache(partial(tenancy.started, con))
    missing = cache(partial(tenancy.missing, con, freshness=state.project.settings.freshness))
    found = []
    for hunt in state.hunts:
        for interval in intervals.get(hunt.detection.id, ()):
            at = known[hunt.detection.id, interval]
            if _is_left_out(state, hunt, interval):
                continue
            tried = (hunt.detection.id, interval) in state.attempted
            if not _to_hunt(state, at, tried):
                _leave(state, hunt, interval, tried)
                continue
            read = interval.widen(hunt.detection.lookback)
            gone = expired(hunt.sources, read)
            absent = left_out.of(
                tenants(hunt.sources), missing(hunt.stages, interval, hunt.detection.lookback)
            )
            gone = "" if absent.some else gone
            lost = upgrade.told(upgrade.reached(state.lost, hunt.stages, read))
            state.attempted.add((hunt.detection.id, interval))
            holds = gone if at in (ledger.DONE, ledger.STALE) else ""
            if lost and ledger.was_hunted(con, hunt, interval):
                holds = lost
            if holds:  # what it found then
                if not tried:
                    state.outcome.notes.append(
                        f"{hunt.detection.stem} {interval}: kept as it is: {holds}"
                    )
                _leave(state, hunt, interval, tried)
                continue
            found.append(
                _Due(
                    hunt,
                    interval,
                    seq(),
                    gone or no_data(hunt.stages, interval) or absent.all,
                    staged_from(hunt.stages),
                    ledger.fingerprint(con, hunt, interval),
                    _not_to_be_read(state, hunt, interval),
                    state.request.again,
                    frozenset(absent.some),
                    left_out.learning(
                        hunt,
                        interval,
                        tenants(hunt.sources),
                        started(hunt.stages) if hunt.needs_history else {},
                        staged_from(hunt.stages),
                    ),
                    left_out.joined(left_out.remark(con, hunt, interval, absent.some), lost),
                )
            )
    return found


def _not_to_be_read(state: Course, hunt: Hunt, interval: Interval) -> str:
    """Why the run could not read what an interval needs, in a sentence; empty when it could."""
    stores = [state.unlisted[one] for one in hunt.sources if one in state.unlisted]
    return "; ".join(filter(None, [*stores, stage_step.blind(state, hunt, interval)]))


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
    place = Place(options.warehouse, options.memory_limit, options.threads)
    hunted = [_not_hunted(one) for one in due if one.no_data or one.unlisted]
    try:
        for one in due:
            if one.no_data or one.unlisted or _is_left_out(state, one.hunt, one.interval):
                continue
            work = partial(_hunt_one, state, place, one)
            hunted.append(_guarded(one, partial(state.step, _hunt_name(one), work)))
    finally:
        if state.child.pid is not None:
            with suppress(EndedError, LateError):  # it is gone, and so is its hold on the file
                state.child.call(single_hunt.close, seconds=_CLOSING_S)
    return hunted


def _is_left_out(state: Course, hunt: Hunt, interval: Interval) -> bool:
    """True for what a detection that reached the limit twice running has left to hunt."""
    if state.late.get(hunt.detection.id, 0) < _LATE_TWICE:
        return False
    state.attempted.discard((hunt.detection.id, interval))
    return True


def _hunt_name(due: _Due) -> str:
    return f"hunt {due.hunt.detection.stem} {format_time(due.interval.start).split('T00:00')[0]}"


def _guarded(due: _Due, part: Callable[[], Any]) -> Hunted:
    """What a hunt's step gives; a step that ends in an error of its own is that hunt's failure."""
    try:
        hunted: Hunted = part()
    except Exception as error:  # a time limit around one hunt must never stop the others
        if database.is_interrupt(error):
            raise KeyboardInterrupt from error
        text = f"{type(error).__name__}: {error}"
        return Hunted(due.hunt, due.interval, due.seq, ledger.FAILED, error=text)
    return hunted


def _not_hunted(due: _Due) -> Hunted:
    """An interval without data, or one of a source whose store could not be listed."""
    if due.unlisted:
        return Hunted(due.hunt, due.interval, due.seq, ledger.FAILED, error=due.unlisted)
    return Hunted(due.hunt, due.interval, due.seq, ledger.NO_DATA, error=due.no_data)


def _hunt_one(state: Course, place: Place, due: _Due) -> Hunted:
    """One detection over one interval; whatever goes wrong stays its own."""
    limit = state.project.settings.hunt_limit
    order = Order(due.hunt, due.interval, due.staged_from, due.again, due.left_out)
    began = time.perf_counter()
    late = False
    try:
        found: Found = state.child.call(
            single_hunt.hunt, place, order, memory=place.memory, seconds=limit.total_seconds()
        )
    except LateError:
        late = True
        found = _lost(place, _TOO_LONG.format(limit=format_duration(limit)), began)
    except EndedError as error:
        found = _lost(place, str(error), began)
    _count_late(state, due.hunt, late)
    if found.error:
        return Hunted(
            due.hunt, due.interval, due.seq, ledger.FAILED, error=found.error, seconds=found.seconds
        )
    kept = {"note": due.learning, "fingerprint": due.fingerprint, **found.kept}
    kept["note"] = left_out.joined(kept["note"], due.remark)
    kept["left_out"] = due.left_out
    return Hunted(due.hunt, due.interval, due.seq, ledger.DONE, seconds=found.seconds, **kept)


def _lost(place: Place, error: str, began: float) -> Found:
    """What is left of a hunt whose process is gone: the reason, and no spilled rows."""
    for left in place.scratch.glob("sandbox-*"):
        shutil.rmtree(left, ignore_errors=True)
    return Found(error=error, seconds=round(time.perf_counter() - began, 3))


def _count_late(state: Course, hunt: Hunt, late: bool) -> None:
    """Two intervals running that reach the limit: the detection has no more turns in this run."""
    detection = hunt.detection
    state.late[detection.id] = state.late.get(detection.id, 0) + 1 if late else 0
    if state.late[detection.id] == _LATE_TWICE:
        day = f"{state.author.at:%Y-%m-%d}"
        state.outcome.trouble(f"limit:{detection.id}:{day}", detection.stem, _LEFT_OUT)


def _store(con: duckdb.DuckDBPyConnection, state: Course, finished: Sequence[Hunted]) -> None:
    outcome = state.outcome
    for one in finished:
        try:
            changes = storing.store(con, one, state.author)
        except (duckdb.Error, ArithmeticError, TypeError, ValueError) as failure:
            # Rows that do not fit the findings table are their own hunt's failure.
            error = f"{type(failure).__name__}: {failure}"
            one = Hunted(one.hunt, one.interval, one.seq, ledger.FAILED, error=error)
            changes = storing.store(con, one, state.author)
        outcome.changes.add(changes)
        outcome.hunted += 1
        stem = one.hunt.detection.stem
        key = f"{one.state}:{one.hunt.detection.id}:{format_time(one.interval.start)}"
        if one.state == ledger.FAILED:
            outcome.trouble(key, f"{stem} {one.interval}", f"failed: {one.error}")
        elif one.state == ledger.NO_DATA:
            about = About(acknowledged.HOLE, watch.lacking(one.error), one.interval)
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
