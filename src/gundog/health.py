"""What needs a person: told from rows and a moment, without a database and without a clock.

A *fault* is about one interval, file or day. Faults that somebody acknowledged are set aside, equal
ones of neighbouring intervals are put together, and what is left is *troubles*, one line each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from gundog import acknowledged
from gundog.acknowledged import Entry, covering
from gundog.interval import (
    Interval,
    ceil,
    format_duration,
    format_time,
    hull,
    last_complete,
    split,
)

NEVER, CLOCK, NIGHT, SILENT, AHEAD = "never", "clock", "night", "silent", "ahead"
HOLE, FAILED, MISSING, STALE = "hole", "failed", "missing", "stale"
DRIFT, FILE, CHANNEL, CONTENT, TRIAGE = "drift", "file", "channel", "content", "triage"
# In the order in which they are told.
KINDS = (
    NEVER, CLOCK, CONTENT, NIGHT, SILENT, HOLE, DRIFT, FAILED, MISSING, STALE, FILE, AHEAD,
    CHANNEL, TRIAGE,
)  # fmt: skip
# As what each can be acknowledged.
KNOWN_AS = {
    HOLE: acknowledged.HOLE, SILENT: acknowledged.HOLE,
    DRIFT: acknowledged.DRIFT, FILE: acknowledged.REJECTED,
}  # fmt: skip

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_LONGEST_GRACE = timedelta(hours=3)
_RECENT = 8 * _DAY
_SOME_RUNS = 8
_FEW_AHEAD = 10
_FEW_AHEAD_SHARE = 0.01
_LACKING = re.compile(r"([A-Za-z_]\w*): (no file|no event|the rows) ")
_LACKS = {
    "no file": "no file",
    "no event": "no event, although files came,",
    "the rows": "rows that retention removed and the lake no longer has,",
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, as small as it can be told.

    Attributes:
        kind: one of `KINDS`.
        what: why, in words that are equal where the cause is.
        source: the source table, for a drift the staged table.
        span: the time it is about, in UTC; None where there is none.
        tenant: whose it is; None when it is everybody's.
        detection: the file stem of the detection it is about.
        path: the file it is about.
    """

    kind: str
    what: str
    source: str = ""
    span: Interval | None = None
    tenant: str | None = None
    detection: str = ""
    path: str = ""


@dataclass(frozen=True)
class Trouble:
    """Equal faults of neighbouring intervals, files or days, in one sentence.

    Attributes:
        kind: one of `KINDS`.
        text: the sentence, with the cure.
        count: intervals, files or days.
    """

    kind: str
    text: str
    source: str = ""
    tenant: str | None = None
    detections: tuple[str, ...] = ()
    span: Interval | None = None
    count: int = 1

    @property
    def key(self) -> str:
        """The same for the same trouble tomorrow, when it may have grown."""
        about = self.source or ",".join(self.detections) or self.text
        start = format_time(self.span.start) if self.span else ""
        return ":".join(part for part in (self.kind, about, self.tenant or "", start) if part)


# ---- what is known, and what belongs together ----


def unknown(
    faults: Iterable[Fault], entries: Sequence[Entry]
) -> tuple[list[Fault], Counter[Entry]]:
    """The faults that nobody acknowledged, and how many each entry covers."""
    left, covered = list[Fault](), Counter[Entry](dict.fromkeys(entries, 0))
    for fault in faults:
        kind = KNOWN_AS.get(fault.kind)
        entry = kind and fault.span and covering(
            entries, kind, fault.source, fault.span, fault.tenant
        )  # fmt: skip
        if entry:
            covered[entry] += 1
        else:
            left.append(fault)
    return left, covered


def together(faults: Iterable[Fault]) -> tuple[Trouble, ...]:
    """The faults with neighbours of the same cause put together, in the order of `KINDS`."""
    groups: dict[tuple[str, str, str, str | None], list[Fault]] = {}
    for fault in faults:
        about = fault.kind, fault.what, fault.source, fault.tenant
        groups.setdefault(about, []).append(fault)
    found = [_trouble(some) for group in groups.values() for some in _neighbours(group)]
    return tuple(sorted(found, key=_place))


def _place(trouble: Trouble) -> tuple[int, str, str, str]:
    start = format_time(trouble.span.start) if trouble.span else ""
    return KINDS.index(trouble.kind), start, trouble.source, trouble.text


def _neighbours(faults: Sequence[Fault]) -> list[list[Fault]]:
    """Faults of one cause cut where a time between them is fine."""
    clusters = [[fault] for fault in faults if not fault.span]
    end: datetime | None = None
    for fault in sorted((one for one in faults if one.span), key=_span):
        span = _span(fault)
        if end is None or span.start > end:
            clusters.append([])
        end = span.end if end is None else max(end, span.end)
        clusters[-1].append(fault)
    return clusters


def _span(fault: Fault) -> Interval:
    assert fault.span  # noqa: S101 - asked of faults that have one
    return fault.span


def _trouble(faults: Sequence[Fault]) -> Trouble:
    first = faults[0]
    spans = {fault.span for fault in faults if fault.span}
    files = {fault.path for fault in faults if fault.path}
    return Trouble(
        first.kind,
        _sentence(faults, sorted(spans), sorted(files)),
        first.source,
        first.tenant,
        tuple(sorted({fault.detection for fault in faults if fault.detection})),
        hull(spans),
        len(files) or len(spans) or 1,
    )


def _sentence(faults: Sequence[Fault], spans: Sequence[Interval], files: Sequence[str]) -> str:
    first, whole = faults[0], hull(spans)
    stems = sorted({fault.detection for fault in faults if fault.detection})
    names, span = ", ".join(stems), when(whole) if whole else ""
    again = f"gundog backfill {asked(whole)}" if whole else ""
    tenant = f" of tenant {first.tenant}" if first.tenant else ""
    match first.kind:
        case "hole":
            who = f"{names} could not hunt" if len(stems) < 2 else (
                f"{len(stems)} detections could not hunt: {names}")  # fmt: skip
            return f"{first.source}{tenant}: {first.what} {span}{_length(whole)}: {who}"
        case "night":
            return f"no run hunted {span}{_nights(spans)}: {names}: {first.what}"
        case "failed":
            return f"{names}: failed {span}{_many(spans)}: {first.what}"
        case "missing":
            return f"{names}: never hunted {span}{_many(spans)}: {again}"
        case "stale":
            return f"{names}: events changed since the hunt {span}{_many(spans)}: {again}"
        case "file" if len(files) > 1:
            more = f"{files[0]} and {len(files) - 1} more"
            return f"{first.source}: {len(files)} files rejected {span}: {first.what}: {more}"
        case "file":
            return f"{first.path}: rejected: {first.what}"
        case "drift" | "silent":
            return f"{first.source}{tenant}: {first.what}{' ' + span if span else ''}"
        case _:
            return first.what


def when(span: Interval) -> str:
    """A span in words: its first and last day, or exact times."""
    return acknowledged.days(span) if span.start < span.end else f"at {format_time(span.start)}"


def asked(span: Interval) -> str:
    """A span as --from and --to of a command."""
    start, end = acknowledged.ends(span)
    return f"--from {start} --to {end}"


def _length(span: Interval | None) -> str:
    count = span.length // _DAY if span else 0
    return f" ({count} days)" if count > 1 else ""


def _many(spans: Sequence[Interval]) -> str:
    return f" ({len(spans)} intervals)" if len(spans) > 1 else ""


def _nights(spans: Sequence[Interval]) -> str:
    if any(span.length != _DAY for span in spans):
        return _many(spans)
    return f" ({len(spans)} nights)" if len(spans) > 1 else ""


# ---- the ledger ----


def of_interval(detection: str, span: Interval, state: str, error: str) -> Fault:
    """The fault of an interval that failed, had no data, is stale or missing."""
    if state == "no_data":
        found = _LACKING.match(error)
        if found:
            return Fault(HOLE, _LACKS[found[2]], found[1], span, detection=detection)
        return Fault(FAILED, f"no data: {error}", span=span, detection=detection)
    if state == "failed":
        return Fault(FAILED, error.replace(str(span), "it"), span=span, detection=detection)
    return Fault(STALE if state == "stale" else MISSING, "", span=span, detection=detection)


def lacking(error: str) -> str:
    """The source that an interval without data lacked, from the sentence; empty when none is named.

    >>> lacking("Things: no file covers any part of [a, b)")
    'Things'
    """
    found = _LACKING.match(error)
    return found[1] if found else ""


# ---- the clock ----


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
        start = next((one for one in self.starts if since and one >= since), self.starts[-1])
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
    recent = [one for one in starts if one > starts[-1] - _RECENT]
    if len(recent) < 4:
        recent = starts[-_SOME_RUNS:]
    gaps = sorted(later - one for one, later in pairwise(recent))
    every = gaps[-2] if len(gaps) > 2 else _DAY
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
    what = (
        f"is the schedule at work? gundog hunt catches up {format_duration(late)},"
        " gundog backfill hunts what is older"
    )
    for one in detections:
        newest = one.newest or last_complete(plan.starts[-1], one.frequency).end
        expected = last_complete(plan.due(now, newest), one.frequency).end
        if newest < expected:
            begin = ceil(newest, one.frequency)
            for span in split(Interval(begin, expected), one.frequency):
                yield Fault(NIGHT, what, span=span, detection=one.stem)


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
        readers = [one.frequency for one in detections if source.name in one.sources]
        if not readers or source.newest is None:
            continue
        end = max(last_complete(due, one).end for one in readers)
        if source.newest < end - freshness:
            start = min(ceil(source.newest, min(readers)), end - min(readers))
            what = (
                f"newest event {_second(source.newest)}, {age(now - source.newest)} old;"
                f" freshness is {_hours(freshness)}: silent"
            )
            yield Fault(SILENT, what, source.name, Interval(start, end))


def _second(moment: datetime) -> str:
    return format_time(moment.replace(microsecond=0))


def _hours(span: timedelta) -> str:
    """A span as freshness is written: 26h rather than 1d2h."""
    return f"{span // _HOUR}h" if not span % _HOUR else format_duration(span)


def age(span: timedelta) -> str:
    """An age in the units people use, to the hour.

    >>> age(timedelta(days=28, hours=5, minutes=3)), age(timedelta(minutes=-3))
    ('28d5h', '<1h')
    """
    return format_duration(span - span % _HOUR) if span >= _HOUR else "<1h"


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
    """True when so many rows lie ahead of the clock that it is no single machine's clock."""
    return source.rows_ahead > max(_FEW_AHEAD, _FEW_AHEAD_SHARE * source.rows)


def judged_by_clock(
    plan: Schedule,
    detections: Sequence[Watched],
    sources: Mapping[str, Source],
    settings: tuple[timedelta, timedelta],
    now: datetime,
    holes: Sequence[Fault] = (),
) -> list[Fault]:
    """Every fault that only the clock tells.

    Args:
        plan: when runs come.
        detections: those that run.
        sources: by name.
        settings: freshness and lateArrival.
        now: the present.
        holes: what intervals lacked; a source that is named there is not named again.
    """
    freshness, late = settings
    found = list(nights(plan, detections, late, now))
    for fault in silent(plan, detections, sources.values(), freshness, now):
        told = (one.span for one in holes if one.source == fault.source)
        if not any(span and fault.span and span.end >= fault.span.end for span in told):
            found.append(fault)
    if plan.starts[-1] > now + _HOUR:
        began = format_time(plan.starts[-1])
        what = f"the newest run began {began}, ahead of the clock, {format_time(now)}: set it right"
        found.append(Fault(CLOCK, what))
    return found
