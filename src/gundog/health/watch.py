"""What needs a person: judged from rows and a moment, without a database and without a clock.

A *fault* is about one interval, file or day. Faults that somebody acknowledged are set aside, equal
ones of neighbouring intervals are put together, and what is left is *troubles*, one line each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gundog.core.times import DAY, Interval, format_time, hull
from gundog.health import acknowledged
from gundog.health.acknowledged import Entry, covering

NEVER, CLOCK, NIGHT, SILENT, AHEAD = "never", "clock", "night", "silent", "ahead"
# Only of the run that ends: what it leaves in findings.duckdb does not tell of it.
RUN = "run"
HOLE, FAILED, MISSING, STALE = "hole", "failed", "missing", "stale"
DRIFT, FILE, CHANNEL, CONTENT, TRIAGE = "drift", "file", "channel", "content", "triage"
CANARY, TARGET, WORKERS = "canary", "target", "workers"
# In the order in which they are told.
KINDS = (
    NEVER, RUN, CLOCK, CONTENT, NIGHT, CANARY, SILENT, HOLE, DRIFT, FAILED, MISSING, STALE, FILE,
    AHEAD, CHANNEL, TARGET, WORKERS, TRIAGE,
)  # fmt: skip
# As what each can be acknowledged.
KNOWN_AS = {
    HOLE: acknowledged.HOLE, SILENT: acknowledged.HOLE,
    DRIFT: acknowledged.DRIFT, FILE: acknowledged.REJECTED,
}  # fmt: skip

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
        cause: why, in words that are equal where the cause is.
        source: the source table, for a drift the staged table.
        span: the time it is about, in UTC; None where there is none.
        tenant: whose it is; None when it is everybody's.
        detection: the file stem of the detection it is about.
        path: the file it is about.
    """

    kind: str
    cause: str
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
        about = fault.kind, fault.cause, fault.source, fault.tenant
        groups.setdefault(about, []).append(fault)
    troubles = [_trouble(some) for group in groups.values() for some in _neighbours(group)]
    return tuple(sorted(troubles, key=_place))


def _place(trouble: Trouble) -> tuple[int, str, str, str]:
    start = format_time(trouble.span.start) if trouble.span else ""
    return KINDS.index(trouble.kind), start, trouble.source, trouble.text


def _neighbours(faults: Sequence[Fault]) -> list[list[Fault]]:
    """Faults of one cause cut where a time between them is fine."""
    clusters = [[fault] for fault in faults if not fault.span]
    end: datetime | None = None
    for fault in sorted((fault for fault in faults if fault.span), key=_span):
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
            return f"{first.source}{tenant}: {first.cause} {span}{_length(whole)}: {who}"
        case "night":
            return f"no run hunted {span}{_nights(spans)}: {names}: {first.cause}"
        case "failed":
            return f"{names}: failed {span}{_many(spans)}: {first.cause}"
        case "missing":
            return f"{names}: never hunted {span}{_many(spans)}: {again}"
        case "stale":
            return f"{names}: events changed since the hunt {span}{_many(spans)}: {again}"
        case "file" if len(files) > 1:
            more = f"{files[0]} and {len(files) - 1} more"
            return f"{first.source}: {len(files)} files rejected {span}: {first.cause}: {more}"
        case "file":
            return f"{first.path}: rejected: {first.cause}"
        case "drift" | "silent":
            return f"{first.source}{tenant}: {first.cause}{' ' + span if span else ''}"
        case _:
            return first.cause


def when(span: Interval) -> str:
    """A span in words: its first and last day, or exact times."""
    return acknowledged.days(span) if span.start < span.end else f"at {format_time(span.start)}"


def asked(span: Interval) -> str:
    """A span as --from and --to of a command."""
    start, end = acknowledged.ends(span)
    return f"--from {start} --to {end}"


def _length(span: Interval | None) -> str:
    count = span.length // DAY if span else 0
    return f" ({count} days)" if count > 1 else ""


def _many(spans: Sequence[Interval]) -> str:
    return f" ({len(spans)} intervals)" if len(spans) > 1 else ""


def _nights(spans: Sequence[Interval]) -> str:
    if any(span.length != DAY for span in spans):
        return _many(spans)
    return f" ({len(spans)} nights)" if len(spans) > 1 else ""


# ---- the ledger ----


def of_interval(detection: str, span: Interval, state: str, error: str) -> Fault:
    """The fault of an interval that failed, had no data, is stale or missing."""
    if state == "no_data":
        lacks = _LACKING.match(error)
        if lacks:
            return Fault(HOLE, _LACKS[lacks[2]], lacks[1], span, detection=detection)
        return Fault(FAILED, f"no data: {error}", span=span, detection=detection)
    if state == "failed":
        return Fault(FAILED, error.replace(str(span), "it"), span=span, detection=detection)
    return Fault(STALE if state == "stale" else MISSING, "", span=span, detection=detection)


def lacking(error: str) -> str:
    """The source that an interval without data lacked, from the sentence; empty when none is named.

    >>> lacking("Things: no file covers any part of [a, b)")
    'Things'
    """
    lacks = _LACKING.match(error)
    return lacks[1] if lacks else ""


# ---- the clock ----
