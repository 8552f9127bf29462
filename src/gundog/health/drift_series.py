"""Rows by tenant and day, and what a drift of them is: the words that the watch speaks in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gundog.core.times import DAY, EPOCH

REJECTED, LACKING, GONE, SILENT = "rejected", "lacking", "gone", "silent"

HISTORY = 28
WINDOW = 7
# So many days of counts before the first one that is judged are enough.
REACH = HISTORY + WINDOW
# So many rows a day are enough to tell a share, or how busy a day is.
SIZEABLE = 50

Rows = Mapping[int, int]
NO_ROWS: Rows = {}
May = Callable[[int], bool]

_NO_END = 10**6


def number(moment: datetime) -> int:
    """The day of a moment, counted from 1970."""
    return (moment - EPOCH) // DAY


def moment(day: int) -> datetime:
    """When a day, counted from 1970, begins.

    >>> number(moment(20_000))
    20000
    """
    return EPOCH + day * DAY


@dataclass(frozen=True)
class Table:
    """Rows by tenant and day of a staged table and its source, or of a source alone.

    Attributes:
        source: the source table.
        stage: the staged table; empty for a source alone.
        given: rows of the source.
        kept: good rows of the staged table.
        rejected: rows that it set aside.
        lacking: good rows without a key, by key.
        unknown: days of which not all files were counted.
        whole_until: the last day that all rows should have come of; later ones may still get some.
    """

    source: str
    stage: str = ""
    given: Mapping[str, Rows] = field(default_factory=dict)
    kept: Mapping[str, Rows] = field(default_factory=dict)
    rejected: Mapping[str, Rows] = field(default_factory=dict)
    lacking: Mapping[str, Mapping[str, Rows]] = field(default_factory=dict)
    unknown: frozenset[int] = frozenset()
    whole_until: int = _NO_END


@dataclass(frozen=True)
class Drift:
    """Records of a tenant that changed, from a day on.

    Attributes:
        kind: rejected, lacking, gone or silent.
        key: the key that rows lack; empty for other kinds.
        since: the first day.
        last: the newest day that it was seen on.
        noticed: the day whose counts were enough to notice it.
        bad: bad rows of the days up to then; for gone and silent, rows that still came.
        seen: all rows of these days; for gone and silent, how many were expected.
        usual: the share of bad rows before; for gone and silent, rows a day.
        is_over: good data came again.
    """

    kind: str
    source: str
    stage: str
    key: str
    tenant: str
    since: int
    last: int
    noticed: int
    bad: int
    seen: int
    usual: float
    is_over: bool = False

    @property
    def series(self) -> tuple[str, str, str, str, str]:
        """What it is a drift of."""
        return self.kind, self.source, self.stage, self.key, self.tenant

    def holds(self, day: int) -> bool:
        """True for its days, and for all that come after them until good data comes again."""
        return self.since <= day and (day <= self.last or not self.is_over)


def added(many: Iterable[Rows]) -> dict[int, int]:
    """The rows of several, day by day."""
    total: dict[int, int] = {}
    for rows in many:
        for day, count in rows.items():
            total[day] = total.get(day, 0) + count
    return total


@dataclass(frozen=True)
class Series:
    """Something that can drift: rows of a tenant in a table, by day."""

    table: Table
    kind: str
    tenant: str

    @property
    def key_name(self) -> str:
        """The key whose lack is counted; empty for other kinds."""
        return ""

    @property
    def name(self) -> tuple[str, ...]:
        """The same as `Drift.series`."""
        return self.kind, self.table.source, self.table.stage, self.key_name, self.tenant

    def is_unknown(self, day: int) -> bool:
        """True when not every file of the day was counted."""
        return day in self.table.unknown

    def notice(self, day: int, may: May) -> Drift | None:
        """The drift that the counts up to a day are enough to notice."""
        raise NotImplementedError

    def is_bad(self, drift: Drift, day: int) -> bool:
        """True when a drift that lasts is seen on this day too."""
        raise NotImplementedError

    def good_since(self, drift: Drift, day: int) -> int | None:
        """The day on which good data came again, seen from a day; None when it did not."""
        raise NotImplementedError

    def told(self, since: int, day: int, bad: float, seen: float, usual: float) -> Drift:
        """A drift of this that began on one day and was noticed on another."""
        return Drift(
            self.kind, self.table.source, self.table.stage, self.key_name, self.tenant,
            since, day, day, round(bad), round(seen), usual,
        )  # fmt: skip
