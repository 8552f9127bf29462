"""What the clock asks for: nights to hunt, sources that age, events ahead of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from gundog.core.times import (
    DAY,
    HOUR,
    Interval,
    ceil,
    format_duration,
    format_time,
    last_complete,
    split,
)
from gundog.health import watch
from gundog.health.watch import Fault

_LONGEST_GRACE = timedelta(hours=3)


_RECENT = 8 * DAY


_SOME_RUNS = 8


_FEW_AHEAD = 10


_FEW_AHEAD_SHARE = 0.01


@dataclass(frozen=True)
class Watched:
    """A detection that runs: how often, what it reads, and the end of its newest interval."""

    stem: str
    frequency: timedelta
    sources: tuple[str, ...] = ()
    newest: datetime | None = None


@dataclass(frozen=True)
class Source:
    """A source table as staged, at the last run.

    Attributes:
        newest: the newest event that was not ahead of the clock; None when there is none.
        rows_ahead: rows whose time lay ahead of the clock, the last of them at `ahead_until`.
    """

    name: str
    files: int = 0
    rows: int = 0
    rejected_rows: int = 0
    newest: datetime | None = None
    rows_ahead: int = 0
    ahead_until: datetime | None = None


@dataclass(frozen=True)
class Schedule:
    """When runs without dates came, how often, and how late one may be."""

    starts: tuple[datetime, ...]
    every: timedelta
    grace: timedelta

    def due(self, now: datetime, since: datetime | None = None) -> datetime:
        """When the newest run should have begun that must have ended by `now`.

        Counted on from the first run at or after `since`, or from the last run.
        """
        start = next((start for start in self.starts if since and start >= since), self.starts[-1])
        late = now - self.grace - start
        return start + max(late // self.every, 0) * self.every


def schedule(runs: Sequence[tuple[datetime, datetime | None]]) -> Schedule | None:
    """The schedule that runs without dates have kept so far; None when there was none.

    It is learnt from the last eight days, or the last eight runs where there were few: the longest
    gap but one, so that neither runs by hand and retries nor one outage change it. Before the
    fourth run it is a day.

    Args:
        runs: start and end of each; the end is None for one that was killed.
    """
    if not runs:
        return None
    starts = sorted({start for start, _ in runs})
    recent = [earlier for earlier in starts if earlier > starts[-1] - _RECENT]
    if len(recent) < 4:
        recent = starts[-_SOME_RUNS:]
    gaps = sorted(later - earlier for earlier, later in pairwise(recent))
    every = gaps[-2] if len(gaps) > 2 else DAY
    took = [end - start for start, end in runs if end and start >= recent[0]]
    grace = min(every / 4, _LONGEST_GRACE) + max(took, default=timedelta())
    return Schedule(tuple(starts), every, grace)


def nights(
    plan: Schedule, detections: Iterable[Watched], late: timedelta, now: datetime
) -> Iterator[Fault]:
    """The intervals that a run should have hunted by now and none did.

    A detection that was never hunted begins with the run after the last one.

    Args:
        plan: when runs come.
        detections: those that run.
        late: how far back a run catches up.
        now: the present.
    """
    why = (
        f"is the scheduler running? gundog hunt catches up {format_duration(late)},"
        " for older ones use gundog backfill"
    )
    for detection in detections:
        newest = detection.newest or last_complete(plan.starts[-1], detection.frequency).end
        expected = last_complete(plan.due(now, newest), detection.frequency).end
        if newest < expected:
            begin = ceil(newest, detection.frequency)
            for span in split(Interval(begin, expected), detection.frequency):
                yield Fault(watch.NIGHT, why, span=span, detection=detection.stem)


def silent(
    plan: Schedule,
    detections: Sequence[Watched],
    sources: Iterable[Source],
    freshness: timedelta,
    now: datetime,
) -> Iterator[Fault]:
    """The sources whose newest event is too old for the intervals that are due by now."""
    due = plan.due(now)
    for source in sources:
        readers = [
            detection.frequency for detection in detections if source.name in detection.sources
        ]
        if not readers or source.newest is None:
            continue
        end = max(last_complete(due, detection).end for detection in readers)
        if source.newest < end - freshness:
            start = min(ceil(source.newest, min(readers)), end - min(readers))
            why = (
                f"newest event {_second(source.newest)}, {age(now - source.newest)} old;"
                f" freshness is {_hours(freshness)}: silent"
            )
            yield Fault(watch.SILENT, why, source.name, Interval(start, end))


def _second(moment: datetime) -> str:
    return format_time(moment.replace(microsecond=0))


def _hours(span: timedelta) -> str:
    """A span as freshness is written: 26h rather than 1d2h."""
    return f"{span // HOUR}h" if not span % HOUR else format_duration(span)


def age(span: timedelta) -> str:
    """An age in the units people use, to the hour.

    >>> age(timedelta(days=28, hours=5, minutes=3)), age(timedelta(minutes=-3))
    ('28d5h', '<1h')
    """
    return format_duration(span - span % HOUR) if span >= HOUR else "<1h"


def ahead(source: Source, now: datetime) -> str:
    """What to say of events that lie ahead of the clock; empty when there are none."""
    if not source.rows_ahead or not source.ahead_until or source.ahead_until <= now:
        return ""
    rows = f"{source.rows_ahead:,} row{'s lie' if source.rows_ahead > 1 else ' lies'}"
    until = f"{format_time(source.ahead_until)[:16].replace('T', ' ')}"
    newest = _second(source.newest) if source.newest else "none"
    return (
        f"{source.name}: {rows} ahead of the clock, until {until}: a sender's clock or time zone is"
        f" wrong; freshness counts only events before, the newest of them {newest}"
    )


def many_ahead(source: Source) -> bool:
    """True when so many rows lie ahead of the clock that it is not a single machine's clock."""
    return source.rows_ahead > max(_FEW_AHEAD, _FEW_AHEAD_SHARE * source.rows)


def judged_by_clock(
    plan: Schedule,
    detections: Sequence[Watched],
    sources: Mapping[str, Source],
    settings: tuple[timedelta, timedelta],
    now: datetime,
    holes: Sequence[Fault] = (),
) -> list[Fault]:
    """Every fault that only the clock shows.

    Args:
        plan: when runs come.
        detections: those that run.
        sources: by name.
        settings: freshness and lateArrival.
        now: the present.
        holes: what intervals lacked; a source that is named there is not named again.
    """
    freshness, late = settings
    faults = list(nights(plan, detections, late, now))
    for fault in silent(plan, detections, sources.values(), freshness, now):
        told = (hole.span for hole in holes if hole.source == fault.source)
        if not any(span and fault.span and span.end >= fault.span.end for span in told):
            faults.append(fault)
    if plan.starts[-1] > now + HOUR:
        began = format_time(plan.starts[-1])
        why = f"the newest run began {began}, ahead of the clock, {format_time(now)}: correct it"
        faults.append(Fault(watch.CLOCK, why))
    return faults
