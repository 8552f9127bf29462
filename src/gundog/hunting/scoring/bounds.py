"""The smallest count of a single hour that would be flagged."""

from __future__ import annotations

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
        needed: the surprise of three hours from which each channel is flagged, (hours, channels).
    """

    mu: Floats
    a: Floats
    b: Floats
    due: Floats
    needed: Floats

    def crosses(self, y: Floats, some: Ints) -> Bools:
        """Whether the hours at `some` places would be flagged if they counted `y`."""
        mu, due, needed = self.mu[some], self.due[some], self.needed[some]
        passed = surprise.alone_passes(y, mu, due)
        crossed: Bools = np.any(passed, axis=-1)
        three = due[crossed, 0]
        more = (y - mu)[crossed]
        threes = surprise.surprise(
            three + more, three, self.a[some][crossed], self.b[some][crossed]
        )
        crossed[crossed] = (passed[crossed] & (threes[:, None] >= needed[crossed])).any(axis=-1)
        return crossed


def needed(scorer: Scorer, threshold: float) -> Floats:
    """The least surprise of three hours with which each channel reaches the threshold alone.

    (groups, channels), to the last bit; inf where none does. Scores only rise with surprise, so
    the floats are halved in their own order, which for positive ones is that of their bits.
    """
    groups, channels = scorer.scale.middle.shape
    low = np.zeros((groups, channels), dtype=np.int64)
    high = np.full_like(low, np.float64(np.inf).view(np.int64))
    each = np.arange(groups)
    while (low < high).any():
        middle = low + (high - low) // 2
        reached = np.stack(
            [_reaches(scorer, threshold, middle.view(np.float64), each, channel)
             for channel in range(channels)], axis=-1)  # fmt: skip
        high = np.where(reached, middle, high)
        low = np.where(reached, low, np.minimum(middle + 1, high))
    return high.view(np.float64)


def _reaches(scorer: Scorer, threshold: float, threes: Floats, group: Ints, channel: int) -> Bools:
    """Whether the surprise of three hours is enough for each group, by one channel alone."""
    windows = np.full(threes.shape, -np.inf)
    windows[:, channel] = surprise.channels_alone(threes[:, channel])[:, channel]
    enough: Bools = scorer.score(scorer.value(windows, group), group) >= threshold
    return enough


def upper(hours: Hours) -> Floats:
    """The smallest whole counts that are flagged, (hours,); inf where none is."""
    low, high = _bracket(hours)
    left = np.flatnonzero(_between(low, high))
    while len(left):
        middle = np.floor((low[left] + high[left]) / 2)
        crossed = hours.crosses(middle, left)
        high[left] = np.where(crossed, middle, high[left])
        low[left] = np.where(crossed, low[left], middle)
        left = left[_between(low[left], high[left])]
    return np.where(high < _MOST, high, np.inf)


def _bracket(hours: Hours) -> tuple[Floats, Floats]:
    """Counts that do not cross and counts that do, from a guess on in steps that double."""
    least = np.ceil(surprise.fewest(hours.mu, hours.due))
    high = np.maximum(least, np.ceil(_guess(hours)))
    low = least - 1
    is_above = hours.crosses(high, np.arange(len(high)))
    low[~is_above] = high[~is_above]
    down, up, step = np.flatnonzero(is_above & (high > least)), np.flatnonzero(~is_above), 1.0
    while len(down):
        lower = np.maximum(high[down] - step, least[down])
        crossed = hours.crosses(lower, down)
        high[down[crossed]], low[down[~crossed]] = lower[crossed], lower[~crossed]
        down, step = down[crossed & (lower > least[down])], 2 * step
    step = 1.0
    while len(up):
        higher = low[up] + step
        crossed = hours.crosses(higher, up)
        high[up], low[up[~crossed]] = higher, higher[~crossed]
        up, step = up[~crossed & (higher < _MOST)], 2 * step
    return low, high


def _guess(hours: Hours) -> Floats:
    """About the counts from which hours are flagged, by any channel, (hours,)."""
    three = hours.due[:, 0]
    counts = []
    for channel in range(hours.due.shape[1]):
        more = surprise.count_of(hours.needed[:, channel], three, hours.a, hours.b) - three
        passes = surprise.fewest(hours.mu, hours.due[:, channel : channel + 1])
        counts.append(np.maximum(hours.mu + more, passes))
    guess: Floats = np.minimum.reduce(counts)
    return np.where(guess < _MOST, guess, 0.0)


def _between(low: Floats, high: Floats) -> Bools:
    """Whether a whole number lies between that a float can hold."""
    middle = np.floor((low + high) / 2)
    return (low < middle) & (middle < high)
