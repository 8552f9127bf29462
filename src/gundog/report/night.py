"""What `gundog status` says of the nights, as far as a report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from gundog.core.times import Interval
from gundog.health import watch
from gundog.health.clock import Source
from gundog.health.watch import Trouble

# These say nothing of what was hunted.
ASIDE = frozenset({watch.CHANNEL, watch.TARGET, watch.WORKERS, watch.TRIAGE})
# Their sentences may hold names of any tenant.
_OF_ALL = ASIDE | {watch.FILE, watch.CONTENT, watch.RUN}


@dataclass(frozen=True)
class Night:
    """How the nights went, judged at `now`.

    Attributes:
        now: the moment of the report, in UTC.
        nightly: a run without dates was seen, so that nights are judged by the clock.
        troubles: what is wrong and not acknowledged.
        notes: what else is worth knowing.
        sources: the source tables, with their newest events.
        expiring: what to say of exceptions, a sentence each.
        acknowledged: what is wrong and known: whose it is (None: everybody's), and a sentence.
        idle: why a detection does not run, by its file stem.
        left_out: how many troubles were left out because they may name other tenants.
    """

    now: datetime
    nightly: bool = False
    troubles: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    expiring: tuple[str, ...] = ()
    acknowledged: tuple[tuple[str | None, str], ...] = ()
    idle: Mapping[str, str] = field(default_factory=dict)
    left_out: int = 0

    @property
    def doubts(self) -> tuple[Trouble, ...]:
        """The troubles because of which something may not have been seen."""
        return tuple(trouble for trouble in self.troubles if trouble.kind not in ASIDE)


def of_tenant(night: Night, tenant: str) -> Night:
    """The same without what is, or may be, about other tenants."""

    def is_mine(owner: str | None) -> bool:
        return owner is None or owner.lower() == tenant.lower()

    kept = tuple(
        _without_error(trouble)
        for trouble in night.troubles
        if is_mine(trouble.tenant) and trouble.kind not in _OF_ALL
    )
    sources = tuple(Source(source.name, newest=source.newest) for source in night.sources)
    acknowledged = tuple(entry for entry in night.acknowledged if is_mine(entry[0]))
    return replace(
        night,
        troubles=kept,
        notes=(),
        sources=sources,
        expiring=(),
        acknowledged=acknowledged,
        left_out=len(night.troubles) - len(kept),
    )


def of_span(night: Night, span: Interval) -> Night:
    """The same without troubles that have nothing to do with this span of time."""
    kept = tuple(
        trouble for trouble in night.troubles if trouble.span and trouble.span.overlaps(span)
    )
    return replace(night, troubles=kept, notes=())


def _without_error(trouble: Trouble) -> Trouble:
    """The same; what a database said of a failure may quote any tenant's values."""
    if trouble.kind != watch.FAILED:
        return trouble
    span = f" {watch.when(trouble.span)}" if trouble.span else ""
    return replace(trouble, text=f"{', '.join(trouble.detections)}: failed{span}")
