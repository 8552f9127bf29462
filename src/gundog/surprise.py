"""How surprising an hour is, and how much of it comes together over a few hours or a day.

Windows are sums of surprise and not of counts, so that no variance of a window is estimated.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc

from gundog.baseline import Bools, Floats

# Each channel's window: 3 h as it is, 24 h damped.
WINDOWS_H = np.array([3, 24])

_LIFT, _EXCESS, _TOUCH = 1.5, 5.0, 1.2
_FAINT = 250.0


def surprise(y: Floats, mu: Floats, a: Floats, b: Floats) -> Floats:
    """-log10 of the chance of `y` or more when `mu` is expected, 0 where y is not above it.

    Negative binomial with variance `mu + a * mu + b * mu ** 2`. Where its tail is too faint for
    a float, Chernoff's bound takes over, which like the tail only rises with y.

    Args:
        y: counts, NaN where not observed.
        mu, a, b: above 0, of the same shape.
    """
    found = np.zeros_like(mu)
    high = (y > mu) & (y > 0)
    y, mu = y[high], mu[high]
    size = 1 / (a[high] / mu + b[high])
    chance = betainc(y, size, mu / (size + mu))
    rarity = -np.log10(np.maximum(chance, 10**-_FAINT))
    faint = chance < 10**-_FAINT
    y, mu, size = y[faint], mu[faint], size[faint]
    bound = y * np.log(y / (size + y) * (size + mu) / mu) - size * np.log((size + y) / (size + mu))
    rarity[faint] = np.maximum(bound / np.log(10), _FAINT)
    found[high] = rarity
    return found


def channels(hourly: Floats) -> Floats:
    """Trailing sums of surprise: 3 h as it is and 24 h damped, on a last axis.

    Damped, one huge hour cannot carry a day and several odd hours can.
    """
    return np.stack([_over_3(hourly), _over_24(_over_3(damp(hourly)))], axis=-1)


def damp(hourly: Floats) -> Floats:
    return np.where(hourly > 1, 1 + np.log(np.maximum(hourly, 1)), hourly)


def over_windows(hourly: Floats) -> Floats:
    """Trailing sums over each channel's window, on a last axis."""
    three = _over_3(hourly)
    return np.stack([three, _over_24(three)], axis=-1)


def _over_3(hourly: Floats) -> Floats:
    total = hourly.copy()
    total[:, 1:] += hourly[:, :-1]
    total[:, 2:] += hourly[:, :-2]
    return total


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


def alone(y: Floats, mu: Floats, a: Floats, b: Floats, due: Floats) -> Floats:
    """The windows (hours, channels) of single hours, all other hours being as expected.

    Args:
        y, mu, a, b: counts of the hours, what is expected of them and their variance, (hours,).
        due: expected over each channel's window, (hours, channels).
    """
    hourly = surprise(y, mu, a, b)
    more = (y - mu)[:, None]
    lifted = (more >= (_LIFT - 1) * due) & (more >= _EXCESS)
    passed = lifted & (y >= _TOUCH * mu)[:, None]
    return np.where(passed, np.stack([hourly, damp(hourly)], axis=-1), -np.inf)


def fewest(mu: Floats, due: Floats) -> Floats:
    """A count (hours,) that single hours need in any case to pass; arguments as in `alone`."""
    more: Floats = np.maximum(_EXCESS, (_LIFT - 1) * due.min(axis=-1))
    return mu + np.maximum(more, (_TOUCH - 1) * mu)
