"""What `gundog status` shows: coverage, remarks, what was not sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gundog.core.times import Interval
from gundog.health.acknowledged import Entry
from gundog.health.clock import Source
from gundog.health.watch import Trouble


@dataclass(frozen=True)
class Coverage:
    """What was hunted of one detection; `intervals` counts them by state."""

    detection: str
    detection_id: str
    span: Interval | None = None
    intervals: Mapping[str, int] = field(default_factory=dict)
    findings: int = 0
    note: str = ""
    idle: str = ""


@dataclass(frozen=True)
class LookedAt:
    """What the newest interval of a detection had, over all tenants; None where it is not known."""

    detection: str
    tenants: int
    rows: int
    mailboxes: int | None = None
    scored: int | None = None
    learning: int | None = None
    throttled: int | None = None
    silent: int | None = None


@dataclass(frozen=True)
class CanarySeen:
    """What became of a canary when a run looked last; `delay_s` None where it did not come."""

    name: str
    detection: str
    came: bool
    tenant: str | None
    span_start: datetime
    span_end: datetime
    found_at: datetime | None
    delay_s: float | None
    lost: str | None


@dataclass(frozen=True)
class Remark:
    """Staged files of one source that have the same oddity."""

    source: str
    text: str
    files: int
    example: str


@dataclass(frozen=True)
class Unsent:
    """Messages that wait for a channel."""

    channel: str
    messages: int
    error: str


@dataclass(frozen=True)
class Status:
    """How everything is at a moment; it is well when there are no troubles.

    Attributes:
        now: the moment.
        nightly: a run without dates was seen, so that nights and sources are judged by the clock.
        acknowledged: the entries of acknowledged.yaml, and how many faults each covers.
    """

    now: datetime
    nightly: bool = False
    troubles: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    looked_at: tuple[LookedAt, ...] = ()
    canaries: tuple[CanarySeen, ...] = ()
    sources: tuple[Source, ...] = ()
    exceptions: tuple[str, ...] = ()
    acknowledged: tuple[tuple[Entry, int], ...] = ()
    remarks: tuple[Remark, ...] = ()
    unsent: tuple[Unsent, ...] = ()
