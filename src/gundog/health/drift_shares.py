"""The share of rows that are bad: set aside, or without a key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from gundog.health.drift_series import HISTORY, SIZEABLE, WINDOW, Drift, May, Rows, Series

# Of the rows that used to be good so many must be bad: "half of the rows" with room for noise.
_RISE = 0.35
_DEVIATIONS = 4.0
_MOST_DISPERSION = 10.0
# So much more than on the worst day before.
_WORSE = 0.1
# So many bad rows speak the same night; fewer on two or three days.
_BAD_TONIGHT = 60
_BAD_DAYS, _BAD_ROWS = 3, 8
_BAD_TWO_DAYS = 30
_HISTORY_DAYS, _HISTORY_ROWS = 3, 10
# Without a better history: nearly all rows, of so many.
_ALL, _ALL_TONIGHT, _ALL_ROWS = 0.9, 200, 50
# So many rows, or a few over a week, show that it is over.
_GOOD_ROWS, _GOOD_ROWS_A_WEEK = 20, 5


@dataclass(frozen=True)
class Share(Series):
    """Bad rows among those that came."""

    seen: Rows
    bad: Rows
    key: str = ""

    @property
    def key_name(self) -> str:
        return self.key

    def notice(self, day: int, may: May) -> Drift | None:
        if not self.bad.get(day):
            return None
        window = list[int]()
        for earlier in range(day, day - WINDOW, -1):
            if not self.seen.get(earlier) or not may(earlier):
                continue
            window.append(earlier)
            drift = self._worse(window, may)
            if drift:
                return drift
        return self._never_good(day, may)

    def _worse(self, window: Sequence[int], may: May) -> Drift | None:
        """The drift that a window tells, newest day first, by the days before it."""
        seen, bad, bad_days = self._in(window)
        if bad < _RISE * seen or not _is_enough(len(window), bad, bad_days):
            return None
        past = [
            (self.seen[earlier], self.bad.get(earlier, 0))
            for earlier in range(window[-1] - HISTORY, window[-1])
            if self.seen.get(earlier) and may(earlier)
        ]
        rows = sum(n for n, _ in past)
        if len(past) < _HISTORY_DAYS or rows < _HISTORY_ROWS:
            return None
        large = [(k - 2 * sqrt(k)) / n for n, k in past if n >= SIZEABLE]
        worst = max(large, default=0.0)
        usual = (sum(k for _, k in past) + 0.5) / (rows + 1)
        spread = sqrt(seen * usual * (1 - usual) * _dispersion(past, usual) + 1)
        is_far = bad - seen * usual >= _DEVIATIONS * spread
        limit = max(usual + _RISE * (1 - usual), worst + _WORSE)
        if bad < limit * seen or not is_far:
            return None
        since = min(earlier for earlier in window if self.bad.get(earlier))
        return self.told(since, window[0], bad, seen, usual)

    def _never_good(self, day: int, may: May) -> Drift | None:
        """Nearly all rows there are, are bad: there was no better time to compare with."""
        if self.bad[day] < _ALL * self.seen[day]:
            return None
        past = range(day - HISTORY + 1, day + 1)
        days = [earlier for earlier in past if self.seen.get(earlier) and may(earlier)]
        seen, bad, bad_days = self._in(days)
        is_enough = bad >= _ALL_TONIGHT or (bad >= _ALL_ROWS and bad_days >= _BAD_DAYS)
        if not is_enough or bad < _ALL * seen:
            return None
        return self.told(
            min(earlier for earlier in days if self.bad.get(earlier)), day, bad, seen, 0.0
        )

    def _in(self, days: Iterable[int]) -> tuple[int, int, int]:
        """Rows, bad rows, and days with bad rows."""
        seen = bad = bad_days = 0
        for day in days:
            seen += self.seen[day]
            bad += self.bad.get(day, 0)
            bad_days += day in self.bad
        return seen, bad, bad_days

    def _limit(self, drift: Drift) -> float:
        return drift.usual + _RISE / 2 * (1 - drift.usual)

    def is_bad(self, drift: Drift, day: int) -> bool:
        return self.bad.get(day, 0) > self._limit(drift) * self.seen.get(day, 0)

    def good_since(self, drift: Drift, day: int) -> int | None:
        if not self.seen.get(day) or self.is_bad(drift, day):
            return None
        seen = bad = 0
        first = day
        for earlier in range(day, max(day - WINDOW, drift.since), -1):
            if self.is_unknown(earlier) or not self.seen.get(earlier):
                continue
            if self.is_bad(drift, earlier):
                break
            seen, bad, first = seen + self.seen[earlier], bad + self.bad.get(earlier, 0), earlier
            if seen >= _GOOD_ROWS:
                return first
        return first if seen >= _GOOD_ROWS_A_WEEK and day - first >= WINDOW - 3 else None


def _is_enough(days: int, bad: int, bad_days: int) -> bool:
    if days == 1:
        return bad >= _BAD_TONIGHT
    several = bad_days >= _BAD_DAYS and bad >= _BAD_ROWS
    return several or (bad_days >= 2 and bad >= _BAD_TWO_DAYS) or bad >= _BAD_TONIGHT


def _dispersion(past: Sequence[tuple[int, int]], usual: float) -> float:
    """How much more a share swings from day to day than rows by chance would let it, 1 to 10."""
    swings = sum((k - n * usual) ** 2 / (n * usual * (1 - usual)) for n, k in past)
    return min(max(1.0, swings / (len(past) - 1)), _MOST_DISPERSION)
