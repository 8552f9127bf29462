"""The second step of a run: day by day, what is due is hunted and stored."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import duckdb

from gundog.core.child import EndedError, LateError
from gundog.core.times import DAY, Interval, ceil, format_duration, format_time
from gundog.detections.hunt import Hunt
from gundog.findings import storing
from gundog.findings.model import Changes, Hunted, RunStamp
from gundog.health import acknowledged, watch
from gundog.hunting import single_hunt
from gundog.hunting.single_hunt import Found, Order, Place
from gundog.run import due, ledger, left_out, stage_step
from gundog.run.context import Context
from gundog.run.due import Due, Key
from gundog.run.outcome import About, Outcome
from gundog.run.parts import hunt_part
from gundog.run.stage_step import Staging
from gundog.warehouse import contexts, database

# A pass stages all that waits; only files that their store did not give can come after the second.
_PASSES = 3
_LATE_TWICE = 2
# What DuckDB and Python raise for values that a column cannot hold.
_UNFIT = (duckdb.Error, ArithmeticError, TypeError, ValueError)
_CLOSING_S = 60.0
_TOO_LONG = "took longer than allowed ({limit}): read fewer rows, or raise huntLimit in gundog.yaml"
_LEFT_OUT = (
    "left out of this run: it reached huntLimit in two intervals in a row; the intervals that it"
    " did not reach are hunted the next time they are asked for"
)
Wanted = Mapping[str, Sequence[Interval]]  # by detection id, oldest first


@dataclass(frozen=True)
class Days:
    """How far hunting is.

    Attributes:
        staging: how far staging is with it.
        hunted: the intervals that this run looked at because they were due.
        kept: those that an earlier run did, and that stay as they are.
        late: how many intervals in a row reached huntLimit, by detection id.
        came_later: the last pass staged files after it had hunted its first day.
    """

    staging: Staging
    hunted: frozenset[Key] = frozenset()
    kept: frozenset[Key] = frozenset()
    late: Mapping[str, int] = field(default_factory=dict)
    came_later: bool = False


def hunt_days(
    held: database.Held, context: Context, staging: Staging, wanted: Wanted, outcome: Outcome
) -> frozenset[Key]:
    """Hunts what is due, oldest day first, and again what files of later days touched.

    Files are staged just before the first day that needs them, so a file of a later day may bring
    events of a day that is hunted already. The law: when the run was not stopped and left out no
    detection, no interval that it hunted is older than a row that the run itself staged into what
    the interval reads. Therefore the days are gone through again as long as a pass staged files
    after its first day. Of the intervals that this run hunted, such a pass hunts only those that
    are stale since.

    Returns:
        The intervals that were due.
    """
    days = Days(staging)
    for _ in range(_PASSES):
        days = _one_pass(held, context, days, wanted, outcome)
        if outcome.stopped or not days.came_later:
            break
    return days.hunted


def _one_pass(
    held: database.Held, context: Context, before: Days, wanted: Wanted, outcome: Outcome
) -> Days:
    """Goes through the days once, oldest first."""
    staging, late, came_later = before.staging, before.late, False
    hunted, kept = set(before.hunted), set(before.kept)
    days = list(_by_day(context.hunts, wanted).items())
    states: Mapping[Key, str] | None = None
    for turn, (day, intervals) in enumerate(days):
        context.went(turn, len(days))
        if context.stop():
            _stop(day, outcome)
            break
        staged = stage_step.stage_day(
            held.con(), context, staging, days[turn:], outcome, ahead=turn == 0
        )
        staging, came_later = staged or staging, came_later or (staged is not None and turn > 0)
        if staged or states is None:
            _learn(held.con(), context.hunts)
            states = _states(held.con(), context, wanted)  # of all days, until more is staged
        look = due.look(
            held.con(), context, staging, states, _by_hunt(intervals), before.hunted, _tired(late)
        )
        outcome.notes += look.notes
        kept |= look.kept
        hunted |= look.held
        if not look.due:
            continue
        held.let_go()  # hunts read the file through a connection that cannot write
        results, late = _hunt_day(context, look.due, late, outcome)
        _store(held.con(), context.stamp, results, outcome)
        hunted |= {(result.hunt.detection.id, result.interval) for result in results}
        context.say(f"{format_time(day)[:10]}  {_day_line(results)}")
    outcome.done = len(kept)
    return Days(staging, frozenset(hunted), frozenset(kept), late, came_later)


def _learn(con: duckdb.DuckDBPyConnection, hunts: Sequence[Hunt]) -> None:
    """Keeps the contexts of the days whose staged rows changed."""
    for stage in {table.name: table for hunt in hunts for table in hunt.learned}.values():
        if stage.learned:
            contexts.learn(con, stage.learned)


def _stop(day: datetime, outcome: Outcome) -> None:
    outcome.stopped = True
    outcome.notes.append(f"stopped before {day:%Y-%m-%d}: run the same command again to continue")


def _tired(late: Mapping[str, int]) -> frozenset[str]:
    """The detections that reached the limit twice running: what they have left is not hunted."""
    return frozenset(key for key, times in late.items() if times >= _LATE_TWICE)


def _states(con: duckdb.DuckDBPyConnection, context: Context, intervals: Wanted) -> dict[Key, str]:
    """The state of each interval."""
    return {
        (hunt.detection.id, interval): state
        for hunt in context.hunts
        for interval, state in ledger.states(
            con, hunt, intervals.get(hunt.detection.id, ()), context.stamp
        ).items()
    }


def _by_hunt(intervals: Iterable[tuple[Hunt, Interval]]) -> dict[str, list[Interval]]:
    by_hunt = defaultdict[str, list[Interval]](list)
    for hunt, interval in intervals:
        by_hunt[hunt.detection.id].append(interval)
    return {key: sorted(mine) for key, mine in by_hunt.items()}


def _by_day(hunts: Sequence[Hunt], wanted: Wanted) -> dict[datetime, list[tuple[Hunt, Interval]]]:
    days = defaultdict[datetime, list[tuple[Hunt, Interval]]](list)
    for hunt in hunts:
        for interval in wanted[hunt.detection.id]:
            days[ceil(interval.end, DAY) - DAY].append((hunt, interval))
    return dict(sorted(days.items()))


def _hunt_day(
    context: Context, intervals: Sequence[Due], late: Mapping[str, int], outcome: Outcome
) -> tuple[list[Hunted], Mapping[str, int]]:
    """Hunts the intervals of a day; what came of each, and how often detections were late since."""
    options = context.project.settings
    place = Place(options.warehouse, options.memory_limit, options.threads)
    results = [_not_hunted(asked) for asked in intervals if asked.cannot_be_hunted]
    try:
        for asked in intervals:
            if asked.cannot_be_hunted or asked.hunt.detection.id in _tired(late):
                continue
            part = hunt_part(asked.hunt.detection.stem, asked.interval.start)
            work = partial(_hunt_one, context, place, asked)
            attempt = _guarded(asked, partial(context.run_part, part, work, _error_of))
            results.append(attempt.hunted)
            late = _count_late(context, asked.hunt, late, attempt, outcome)
    finally:
        if context.child.pid is not None:
            with suppress(EndedError, LateError):  # it is gone, and so is its hold on the file
                context.child.call(single_hunt.close, seconds=_CLOSING_S)
    return results, late


@dataclass(frozen=True)
class _Attempt:
    """What hunting an interval gave; whether it reached huntLimit, None if that is not known."""

    hunted: Hunted
    is_late: bool | None = None


def _error_of(attempt: _Attempt) -> str:
    return attempt.hunted.error


def _guarded(asked: Due, part: Callable[[], _Attempt]) -> _Attempt:
    """What a hunt's step gives; a step that ends in an error of its own is that hunt's failure."""
    try:
        return part()
    except Exception as error:  # a time limit around one hunt must never stop the others
        if database.is_interrupt(error):
            raise KeyboardInterrupt from error
        return _Attempt(_failed(asked, f"{type(error).__name__}: {error}"))


def _failed(asked: Due | Hunted, error: str, seconds: float = 0.0) -> Hunted:
    state = ledger.FAILED
    return Hunted(asked.hunt, asked.interval, asked.seq, state, error=error, seconds=seconds)


def _not_hunted(asked: Due) -> Hunted:
    """An interval without data, or one of a source whose store could not be listed."""
    if asked.unlisted:
        return _failed(asked, asked.unlisted)
    return Hunted(asked.hunt, asked.interval, asked.seq, ledger.NO_DATA, error=asked.no_data)


def _hunt_one(context: Context, place: Place, asked: Due) -> _Attempt:
    """One detection over one interval; whatever goes wrong stays its own."""
    order = Order(asked.hunt, asked.interval, asked.staged_from, asked.again, asked.left_out)
    is_fresh = context.child.pid is None
    answer, is_late = _answer(context, place, order)
    if asked.hunt.detection.series and answer.error == single_hunt.MORE_MEMORY and not is_fresh:
        # What staging and other hunts freed may still count as that process's; a series needs most.
        context.child.stop()
        answer, is_late = _answer(context, place, order)
    if answer.error:
        return _Attempt(_failed(asked, answer.error, answer.seconds), is_late)
    kept = {"note": asked.learning, "fingerprint": asked.fingerprint, **answer.kept}
    kept["note"] = left_out.joined(kept["note"], asked.remark)
    kept["left_out"] = asked.left_out
    done = ledger.DONE
    hunted = Hunted(asked.hunt, asked.interval, asked.seq, done, seconds=answer.seconds, **kept)
    return _Attempt(hunted, is_late)


def _answer(context: Context, place: Place, order: Order) -> tuple[Found, bool]:
    """What the child says of a hunt, and whether it took longer than allowed."""
    limit = context.project.settings.hunt_limit
    began = time.perf_counter()
    try:
        answer: Found = context.child.call(
            single_hunt.hunt, place, order, memory=place.memory, seconds=limit.total_seconds()
        )
    except LateError:
        return _lost(place, _TOO_LONG.format(limit=format_duration(limit)), began), True
    except EndedError as error:
        return _lost(place, str(error), began), False
    return answer, False


def _lost(place: Place, error: str, began: float) -> Found:
    """What is left of a hunt whose process is gone: the reason, and no spilled rows."""
    for left in place.scratch.glob("sandbox-*"):
        shutil.rmtree(left, ignore_errors=True)
    return Found(error=error, seconds=round(time.perf_counter() - began, 3))


def _count_late(
    context: Context, hunt: Hunt, late: Mapping[str, int], attempt: _Attempt, outcome: Outcome
) -> Mapping[str, int]:
    """Two intervals running that reach the limit: the detection has no more turns in this run."""
    if attempt.is_late is None:
        return late
    detection = hunt.detection
    times = late.get(detection.id, 0) + 1 if attempt.is_late else 0
    if times == _LATE_TWICE:
        day = f"{context.stamp.at:%Y-%m-%d}"
        outcome.trouble(f"limit:{detection.id}:{day}", detection.stem, _LEFT_OUT)
    return {**late, detection.id: times}


def _store(
    con: duckdb.DuckDBPyConnection, stamp: RunStamp, results: Sequence[Hunted], outcome: Outcome
) -> None:
    """A day's hunts in one transaction; if that fails, each in its own, to name what is wrong."""
    try:
        stored = list(zip(results, storing.store_all(con, results, stamp), strict=True))
    except _UNFIT:
        stored = [_store_one(con, stamp, result) for result in results]
    for result, changes in stored:
        outcome.changes.add(changes)
        outcome.hunted += 1
        _name(result, outcome)


def _store_one(
    con: duckdb.DuckDBPyConnection, stamp: RunStamp, result: Hunted
) -> tuple[Hunted, Changes]:
    """Rows that do not fit the findings table are their own hunt's failure."""
    try:
        return result, storing.store(con, result, stamp)
    except _UNFIT as failure:
        failed = _failed(result, f"{type(failure).__name__}: {failure}")
        return failed, storing.store(con, failed, stamp)


def _name(result: Hunted, outcome: Outcome) -> None:
    """Names what failed or had no data, and notes what the hunt says of itself."""
    detection, interval = result.hunt.detection, result.interval
    key = f"{result.state}:{detection.id}:{format_time(interval.start)}"
    title = f"{detection.stem} {interval}"
    if result.state == ledger.FAILED:
        outcome.trouble(key, title, f"failed: {result.error}")
    elif result.state == ledger.NO_DATA:
        about = About(acknowledged.HOLE, watch.lacking(result.error), interval)
        outcome.trouble(key, title, f"no data: {result.error}", about)
    elif result.note:
        outcome.notes.append(f"{title}: {result.note}")


def _day_line(results: Sequence[Hunted]) -> str:
    hits = sum(len(result.hits) for result in results)
    bad = [result.hunt.detection.stem for result in results if result.state != ledger.DONE]
    text = f"{_many(len(results), 'hunt')}, {_many(hits, 'finding')}"
    return text + (f", not done: {', '.join(sorted(set(bad)))}" if bad else "")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
