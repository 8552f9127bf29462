"""The smallest count of a single hour that would be flagged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gundog.hunting.scoring import surprise
from gundog.hunting.scoring.baseline import Bools, Floats, Ints
from gundog.hunting.scoring.calibration import Scorer

_MOST = 1e200


@dataclass(frozen=True)
class Hours:
    """Single hours, all hours around them being as expected.

    Attributes:
        mu: what is expected of each, (hours,).
        a, b: the variance of three hours' count, (hours,).
        due: expected over each channel's window, (hours, channels).
        group: the rate group of its series, (hours,).
    """

    mu: Floats
    a: Floats
    b: Floats
    due: Floats
    group: Ints

    def scores(self, scorer: Scorer, y: Floats, some: Ints) -> Floats:
        """The scores of the hours at `some` places if they counted `y`."""
        windows = surprise.alone(y, self.mu[some], self.a[some], self.b[some], self.due[some])
        return scorer.score(scorer.value(windows, self.group[some]), self.group[some])


def upper(hours: Hours, scorer: Scorer, threshold: float) -> Floats:
    """The smallest whole counts that reach the threshold, (hours,); inf where none does."""

    def crosses(y: Floats, some: Ints) -> Bools:
        is_above: Bools = hours.scores(scorer, y, some) >= threshold
        return is_above

    low, high = _doubled(hours, crosses)
    left = np.flatnonzero(_between(low, high))
    while len(left):
        middle = np.floor((low[left] + high[left]) / 2)
        crossed = crosses(middle, left)
        high[left] = np.where(crossed, middle, high[left])
        low[left] = np.where(crossed, low[left], middle)
        left = left[_between(low[left], high[left])]
    return np.where(high < _MOST, high, np.inf)


def _doubled(hours: Hours, crosses: Callable[[Floats, Ints], Bools]) -> tuple[Floats, Floats]:
    """Counts that do not cross and counts that do, the excess of one twice that of the other."""
    high = np.ceil(surprise.fewest(hours.mu, hours.due))
    low = high - 1
    left = np.arange(len(high))
    while len(left := left[~crosses(high[left], left) & (high[left] < _MOST)]):
        low[left] = high[left]
        high[left] = np.ceil(hours.mu[left] + 2 * (high[left] - hours.mu[left]))
    return low, high


def _between(low: Floats, high: Floats) -> Bools:
    """Whether a whole number lies between that a float can hold."""
    middle = np.floor((low + high) / 2)
    return (low < middle) & (middle < high)
