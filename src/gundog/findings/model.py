"""What a hunt hands over: hits, and what storing them changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pyarrow as pa

from gundog.core import plain_values
from gundog.core.times import Interval
from gundog.detections.detection import Detection
from gundog.detections.hunt import Hunt

EVIDENCE_LIMIT = 10_000


# Columns of findings that a hunt's own columns fill; every other one becomes part of details.
FILLED = (
    "tenant", "host_name", "dns_domain", "account_name", "account_sid", "mailbox", "app_id",
    "ip_address", "start_time", "end_time", "severity", "reason", "score", "observed", "expected",
)  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One piece of evidence, with the staged row it is."""

    role: str
    source_table: str
    event_id: UUID
    event_time: datetime | None
    source_file: str
    seen_seq: int
    event: str


@dataclass(frozen=True)
class Hit:
    """What a hunt found: its identity, its columns, and the events that prove it."""

    finding_id: UUID
    row: Mapping[str, Any]
    events: tuple[Event, ...]
    evidence_count: int


@dataclass(frozen=True)
class Hunted:
    """One detection hunted over one interval; `state` is done, failed or no_data.

    Of tenants `left_out` nothing is known: what was stored of them stands. Of a series: `points`
    to store, None where the stored ones are kept; `counts` and, as `counted`, the intervals that
    they replace with a digest of each; `basis`, what scores followed from.
    """

    hunt: Hunt
    interval: Interval
    seq: int
    state: str
    hits: tuple[Hit, ...] = ()
    note: str = ""
    error: str = ""
    seconds: float = 0.0
    fingerprint: str = ""
    points: pa.Table | None = None
    counts: pa.Table | None = None
    counted: Mapping[Interval, str] = field(default_factory=dict)
    basis: str = ""
    left_out: frozenset[str] = frozenset()


@dataclass
class Changes:
    """How many findings a store made new, changed and so on."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    returned: int = 0

    def add(self, other: Changes) -> None:
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True)
class RunStamp:
    """A run, as it marks what it writes, with the only time that its steps know.

    Attributes:
        id: names the run in every row that it writes.
        at: the run's time, in UTC; nothing below asks a clock.
        origin: nightly or backfill.
        late_arrival: how long intervals stay provisional after their end.
        due: when a nightly run was scheduled, if that is not `at`.
    """

    id: UUID
    at: datetime
    origin: str = "nightly"
    late_arrival: timedelta = timedelta(days=7)
    due: datetime | None = None


def identify(detection: Detection, values: Sequence[Any], tenant: str = "") -> UUID:
    """The finding's id: UUIDv5 of the detection's id and the identity values as JSON.

    Args:
        detection: what found it.
        values: of the identity columns, in their order.
        tenant: whose finding it is, where none of the values says so.
    """
    named = {"tenant": tenant, "values": list(values)} if tenant else list(values)
    return uuid5(UUID(detection.id), plain_values.canonical(named))
