"""Rows that do not come: of a table while its source has others, of a tenant while others have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from math import sqrt
from statistics import median

from gundog.health.drift_series import (
    GONE,
    HISTORY,
    SILENT,
    SIZEABLE,
    WINDOW,
    Drift,
    May,
    Rows,
    Series,
    Table,
    added,
)

# Of what is usual, a share that counts as nothing.
_NOTHING = 0.005
# A day on which others are less busy than this is a holiday.
_BUSY = 0.6
# Beside days without rows of its own, a day must be so much busier to be another kind of day.
_BUSIER = 1.2
_SOME = 0.01
_IDLE = 2
# So many rows are usual where one day is enough; else so many must be missing on so many days.
_USUAL_TONIGHT, _LEAST_TONIGHT = 100.0, 20.0
_MISSING = {GONE: ((2, 30.0), (3, 6.0)), SILENT: ((4, 6.0),)}
# Where there are always rows, a day without is told whatever others do; of so many days.
_ALWAYS, _ALWAYS_DAYS = 4, 21
# Of the tenants that are large enough to tell how busy a day is, the one that is asked.
_QUIETEST = 0.1


def _is_between_years(day: int) -> bool:
    """True from 24 December to 1 January, when many small offices are closed."""
    moment = date(1970, 1, 1) + timedelta(days=day)
    return (moment.month, moment.day) >= (12, 24) or (moment.month, moment.day) == (1, 1)


@dataclass(frozen=True)
class _Expected:
    """Rows that a day should have had, at the least and usually.

    With `is_sure` a day without them needs no other day to be told.
    """

    day: int
    least: float
    typical: float
    is_sure: bool


@dataclass(frozen=True)
class _Missing(Series):
    """Rows that came, where none is a drift."""

    came: Rows

    def notice(self, day: int, may: May) -> Drift | None:
        if day > self.table.whole_until:
            return None
        recent = max((self.came.get(day - back, 0) for back in range(1, WINDOW + 1)), default=0)
        # A quick way out: what comes every day, and what was not there for a week.
        if not recent or self.came.get(day, 0) * 20 > recent:
            return None
        missing = list(self._missing(day, may))
        if not missing or missing[0].day != day:
            return None
        least = sum(expected.least for expected in missing)
        days = len(missing)
        is_enough = missing[0].is_sure or any(
            days >= some and least >= rows for some, rows in _MISSING[self.kind]
        )
        return self._told(missing) if is_enough else None

    def _told(self, missing: Sequence[_Expected]) -> Drift:
        bad = sum(self.came.get(expected.day, 0) for expected in missing)
        whole = sum(expected.typical for expected in missing)
        return self.told(missing[-1].day, missing[0].day, bad, whole, whole / len(missing))

    def _missing(self, day: int, may: May) -> Iterator[_Expected]:
        """Days on which rows were to come and none did, newest first, up to one that had some."""
        for past in range(day, day - WINDOW, -1):
            if not may(past):
                continue
            expected = self._always(past, may) or self._like_others(past, may)
            if self.came.get(past, 0) > (_NOTHING * expected.least if expected else 0):
                return
            if expected:
                yield expected

    def _always(self, day: int, may: May) -> _Expected | None:
        """What is expected where not even a weekend is without rows."""
        if self.busy(day) < _SOME:
            return None
        past = {
            earlier: self.came.get(earlier, 0)
            for earlier in range(day - HISTORY, day)
            if may(earlier)
        }
        least = min(past.values(), default=0)
        typical = median(
            [rows for earlier, rows in past.items() if (day - earlier) % 7 == 0] or [0]
        )
        is_known = len(past) >= _ALWAYS_DAYS and least >= _ALWAYS and typical >= _USUAL_TONIGHT
        if not is_known and (len(past) < WINDOW or least < _LEAST_TONIGHT):
            return None
        return _Expected(day, least, typical, is_sure=True)

    def _like_others(self, day: int, may: May) -> _Expected | None:
        """What the same days of the week had; None where a day without rows is normal."""
        busy = self.busy(day)
        if busy < _BUSY or _is_between_years(day):
            return None
        days = [
            earlier
            for earlier in range(day - HISTORY, day, 7)
            if may(earlier) and self._has_begun(earlier) and self.busy(earlier) >= _BUSY
        ]
        same = sorted(self.came.get(earlier, 0) for earlier in days if not self._is_closed(earlier))
        if not same or median(same) < _USUAL_TONIGHT:
            same = sorted(self.came.get(earlier, 0) for earlier in days)
        elif len(same) > 2:
            same = same[1:]  # it may have been a holiday of which others knew nothing
        if len(same) < 2 or not same[0] or self.is_like_idle(day, median(same), may):
            return None
        least, typical = same[0] * busy, median(same) * busy
        return _Expected(day, least, typical, typical >= _USUAL_TONIGHT and least >= _LEAST_TONIGHT)

    def _is_closed(self, day: int) -> bool:
        """True on days of a longer rest, such as the one between the years."""
        return not any(self.came.get(near) for near in (day, day - 1)) or not any(
            self.came.get(near) for near in (day, day + 1)
        )

    def _has_begun(self, day: int) -> bool:
        return any(self.came.get(earlier) for earlier in range(day - HISTORY, day + 1))

    def busy(self, day: int) -> float:
        """How busy others were, against the same day of the week; 1 is as usual or more."""
        raise NotImplementedError

    def is_like_idle(self, day: int, typical: float, may: May) -> bool:
        """True when days as busy as this one have no rows every week."""
        raise NotImplementedError

    def is_bad(self, drift: Drift, day: int) -> bool:  # noqa: ARG002
        return self.busy(day) > 0

    def good_since(self, drift: Drift, day: int) -> int | None:
        return day if self.came.get(day, 0) > _NOTHING * drift.usual else None


@dataclass(frozen=True)
class Gone(_Missing):
    """A tenant's rows in a staged table, beside the source's other rows of the tenant."""

    given: Rows

    def _others(self, day: int) -> int:
        return max(self.given.get(day, 0) - self.came.get(day, 0), 0)

    def busy(self, day: int) -> float:
        others = self._others(day)
        past = [earlier for earlier in range(day - HISTORY, day, 7) if not self.is_unknown(earlier)]
        usual = median(map(self._others, past)) if past else 0
        if not usual:  # the table is all that the source has of the tenant
            return float(self.given.get(day, 0) > 0)
        return min(1.0, others / usual)

    def is_like_idle(self, day: int, typical: float, may: May) -> bool:
        few = _IDLE if typical >= _USUAL_TONIGHT else 0
        idle = [
            self._others(earlier) / self._busiest(earlier)
            for earlier in range(day - HISTORY, self._newest_before(day))
            if may(earlier)
            and self._has_begun(earlier)
            and max(self.came.get(earlier, 0), self.came.get(earlier - 7, 0)) <= few
        ]
        most = _BUSIER * max(idle, default=0.0) * self._busiest(day)
        return bool(idle) and self._others(day) <= most + 2 * sqrt(most)

    def _newest_before(self, day: int) -> int:
        past = range(day - 1, day - HISTORY, -1)
        return next((earlier for earlier in past if self.came.get(earlier)), day)

    def _busiest(self, day: int) -> int:
        """The others' rows on the busiest of the 14 days up to that one; at least 1."""
        return max(1, *(self._others(day - back) for back in range(2 * WINDOW)))


@dataclass(frozen=True)
class Silent(_Missing):
    """A tenant's rows in a source, beside what it has of other tenants."""

    peers: Peers

    def busy(self, day: int) -> float:
        return self.peers.busy(day)

    def is_like_idle(self, day: int, typical: float, may: May) -> bool:  # noqa: ARG002
        return False


@dataclass(frozen=True)
class Peers:
    """The tenants of a source together."""

    table: Table
    _known: dict[int, float] = field(default_factory=dict)

    @cached_property
    def _total(self) -> Rows:
        return added(self.table.given.values())

    def busy(self, day: int) -> float:
        """How busy the quieter ones of the sizeable tenants are, against the same weekday; up to 1.

        A holiday of one country shows in it. Tenants without rows are left out.
        """
        if day not in self._known:
            self._known[day] = self._busy(day)
        return self._known[day]

    def _busy(self, day: int) -> float:
        past = [
            earlier for earlier in range(day - HISTORY, day, 7) if earlier not in self.table.unknown
        ]
        if not past:
            return 0.0
        shares = list[float]()
        for rows in self.table.given.values():
            usual = median(rows.get(earlier, 0) for earlier in past)
            if usual >= SIZEABLE and rows.get(day, 0) > _NOTHING * usual:
                shares.append(rows[day] / usual)
        if not shares:
            usual = median(self._total.get(earlier, 0) for earlier in past)
            total = self._total.get(day, 0)
            shares = [total / usual if usual else float(total > 0)]
        return min(1.0, sorted(shares)[int(_QUIETEST * len(shares))])
