"""How surprising three hours are, and how much of it comes together over a day.

Counts are judged by three hours as one: a session lasts for hours, and its events are no more
surprising for being spread over them.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc

from gundog.hunting.scoring.baseline import MIN_EXPECTED, Bools, Floats

# Each channel's window: three hours' surprise as it is, and damped over a day.
WINDOWS_H = np.array([3, 24])

_LIFT, _EXCESS, _TOUCH = 1.5, 5.0, 1.2
_FAINT = 250.0


def surprise(y: Floats, mu: Floats, a: Floats, b: Floats) -> Floats:
    """-log10 of the chance of `y` or more when `mu` is expected, 0 where y is not above it.

    Negative binomial with variance `mu + a * mu + b * mu ** 2`. Where its tail is too faint for
    a float, Chernoff's bound takes over, which like the tail only rises with y.

    Args:
        y: counts.
        mu, a, b: above 0, of the same shape.
    """
    surprises = np.zeros_like(mu)
    high = (y > mu) & (y > 0)
    y, mu = y[high], mu[high]
    size = 1 / (a[high] / mu + b[high])
    chance = betainc(y, size, mu / (size + mu))
    rarity = -np.log10(np.maximum(chance, 10**-_FAINT))
    faint = chance < 10**-_FAINT
    y, mu, size = y[faint], mu[faint], size[faint]
    bound = y * np.log(y / (size + y) * (size + mu) / mu) - size * np.log((size + y) / (size + mu))
    rarity[faint] = np.maximum(bound / np.log(10), _FAINT)
    surprises[high] = rarity
    return surprises


def count_of(rarity: Floats, mu: Floats, a: Floats, b: Floats) -> Floats:
    """About the count with such a surprise: good to begin a search with, and nothing else.

    Newton's steps on Chernoff's bound, and one more from the surprise itself, which is a bit
    higher. Arguments as for `surprise`; inf where no count is so rare.
    """
    size, wanted = 1 / (a / mu + b), rarity * np.log(10)
    with np.errstate(all="ignore"):
        y = mu + np.sqrt(2 * mu * (1 + mu / size) * wanted) + wanted
        for _ in range(4):
            slope = np.log(y / mu * (size + mu) / (size + y))
            bound = y * slope - size * np.log((size + y) / (size + mu))
            y = np.maximum(y - (bound - wanted) / slope, mu + 0.01)
        slope = np.log(y / mu * (size + mu) / (size + y))
        near = y - (surprise(y, mu, a, b) * np.log(10) - wanted) / slope
    return np.where(np.isfinite(near), near, np.inf)


def channels(threes: Floats) -> Floats:
    """Surprise of three hours as it is, and damped and summed over 24 hours, on a last axis.

    Damped, one huge hour cannot carry a day and several odd hours can.
    """
    return np.stack([threes, _over_24(over_3(damp(threes)))], axis=-1)


def damp(surprise: Floats) -> Floats:
    return np.where(surprise > 1, 1 + np.log(np.maximum(surprise, 1)), surprise)


def over_windows(hourly: Floats) -> Floats:
    """Trailing sums over each channel's window, on a last axis."""
    three = over_3(hourly)
    return np.stack([three, _over_24(three)], axis=-1)


def over_3(hourly: Floats) -> Floats:
    """Trailing sums over three hours, (series, hours)."""
    total = hourly.copy()
    total[:, 1:] += hourly[:, :-1]
    total[:, 2:] += hourly[:, :-2]
    return total


def threes(y: Floats, mu: Floats) -> tuple[Floats, Floats]:
    """Counts of each hour with the two before it, and what is expected of those observed."""
    seen = np.isfinite(y)
    due = over_3(np.where(seen, mu, 0.0))
    return over_3(np.where(seen, y, 0.0)), np.maximum(due, MIN_EXPECTED)


def _over_24(three: Floats) -> Floats:
    """Sums over 24 hours from sums over 3, without the rounding errors of running sums."""
    for width in (3, 6, 12):
        wider = three.copy()
        wider[:, width:] += three[:, :-width]
        three = wider
    return three


def passes(y: Floats, mu: Floats) -> Bools:
    """Whether each hour's windows, (series, hours, channels), hold enough more to matter."""
    seen = np.isfinite(y)
    had, due = over_windows(np.where(seen, y, 0.0)), over_windows(np.where(seen, mu, 0.0))
    lifted = (had >= _LIFT * due) & (had - due >= _EXCESS)
    touched = (y >= _TOUCH * mu) & (y > 0)
    return lifted & touched[..., None]


def alone_passes(y: Floats, mu: Floats, due: Floats) -> Bools:
    """Whether windows (hours, channels) of single hours hold enough more to matter.

    All other hours are as expected.

    Args:
        y, mu: counts of the hours and what is expected of them, (hours,).
        due: expected over each channel's window, (hours, channels).
    """
    more = y - mu
    lifted = (more[:, None] >= (_LIFT - 1) * due) & (more >= _EXCESS)[:, None]
    passed: Bools = lifted & (y >= _TOUCH * mu)[:, None]
    return passed


def channels_alone(threes: Floats) -> Floats:
    """`channels` of single hours' surprise, (hours, channels), no other hour being odd."""
    return np.stack([threes, damp(threes)], axis=-1)


def fewest(mu: Floats, due: Floats) -> Floats:
    """A count (hours,) that single hours need in any case to pass.

    Arguments are as in `alone_passes`.
    """
    more: Floats = np.maximum(_EXCESS, (_LIFT - 1) * due.min(axis=-1))
    return mu + np.maximum(more, (_TOUCH - 1) * mu)
