"""Scores hourly counts of many series: how rarely is a clean night of such a series so high.

What is usual comes from `baseline`; an hour above it has a surprise, -log10 of its negative
binomial tail. Surprises are summed over windows, made alike across series, and calibrated on the
pool's own nights (`calibration`). Scored hours never enter what they are judged by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from scipy.special import betainc

from gundog import baseline, calibration
from gundog.baseline import DAY, PRIOR_A, PRIOR_B, WEEK, Bools, Calendar, Floats, Ints, Spread
from gundog.calibration import Judge, Tail

LEARNING_DAYS = 14
ALONE_THRESHOLD = 4.0
MIN_POOL = 30

_CHUNK = 512
_WINDOWS_H = np.array([3, 3, 24])
_LIFT, _EXCESS, _TOUCH = 1.5, 5.0, 1.2
_FAINT = 250.0
_WARM_UP_DAYS, _SHORT_WARM_UP_DAYS = 7, 3
_MIN_THRESHOLD = 0.001
_MOST = 1e200


@dataclass(frozen=True)
class Scores:
    """What each scored hour was expected to be and how far it stands out.

    The first four are (n_series, scored); a score is NaN where the hour was not observed.

    Attributes:
        expected: count.
        upper: smallest whole count with which this hour alone, the hours around it being as
            expected, would be flagged. Like `expected` it depends on history only.
        score: how the hour's windows stand on the scale of `night_score`.
        flagged: observed, not learning, and a score of at least the threshold.
        window_h: length of the window that triggered, hours, (n_series, scored); 0 if none did.
        night_score: -log10 of how rarely a clean night of such a series is so high,
            (n_series, ceil(scored / 24)); NaN when no hour of the night was observed.
        n_train: observed history hours, (n_series,).
        learning: under 14 days from the first observed hour to the first scored hour, (n_series,).
        threshold: the score from which hours are flagged.
        expected_false: clean series that are flagged in a night of 24 hours, on average.
    """

    expected: Floats
    upper: Floats
    score: Floats
    flagged: Bools
    window_h: Ints
    night_score: Floats
    n_train: Ints
    learning: Bools
    threshold: float
    expected_false: float


@dataclass(frozen=True)
class _Fit:
    """What the first pass learns of each series; `nights` are usable for calibration."""

    rate: Floats
    own: Spread
    nights: Bools


@dataclass(frozen=True)
class _Spans:
    """Windows of surprise of each series, -inf where the guard is not passed.

    `peaks` and `guarded` are (series, nights, channels), the maxima of history's nights before
    and after the guard, NaN where not usable. `windows` is (series, scored, channels), and `due`
    what is expected over each channel's window, of the same shape.
    """

    peaks: Floats
    guarded: Floats
    windows: Floats
    expected: Floats
    due: Floats


@dataclass(frozen=True)
class _Stand:
    """How each scored hour stands, (series, scored), observed or not."""

    score: Floats
    window_h: Ints
    upper: Floats


def score(
    counts: np.ndarray,
    start: datetime,
    scored: int,
    *,
    budget: float | None = None,
    threshold: float | None = None,
    pool: bool = True,
    time_zone: str = "UTC",
) -> Scores:
    """Scores the last hours of each series against its history and the pool's clean nights.

    Args:
        counts: events an hour, (n_series, n_hours), NaN where an hour was not observed. Hours of
            a night confirmed as an attack belong out of the history: set them NaN too.
        start: the first hour, with a time zone.
        scored: how many last hours are judged, 1 to n_hours.
        budget: false findings to expect a night over all series; the threshold follows from it.
            Without a pool it cannot be measured and the threshold is 4.
        threshold: score from which an hour is flagged.
        pool: whether the series are alike enough to learn from each other. A pool needs 30
            series with 14 days of history.
        time_zone: whose hours of the week the season follows.

    Returns:
        Scores, in the order of the series. With neither budget nor threshold, the budget is
        min(1, n_series / 1000), and without a pool the threshold is 4.

    Raises:
        ValueError: both budget and threshold are given or one is not above 0, a shape or
            `scored` does not fit, `start` has no time zone, or a count is negative or infinite.

    >>> from datetime import UTC
    >>> hours = np.tile([0.0] * 8 + [40.0] * 8 + [0.0] * 8, 29)
    >>> hours[-20] = 40
    >>> found = score(hours[None], datetime(2026, 1, 5, tzinfo=UTC), 24)
    >>> np.flatnonzero(found.flagged[0]).tolist()
    [4]
    """
    _check(counts, start, scored, budget, threshold)
    history = counts.shape[1] - scored
    when = baseline.calendar(start, history, scored, time_zone)
    n_train, age_h = _history(counts[:, :history])
    learning = age_h < LEARNING_DAYS * DAY
    fit = _fit(counts[:, :history], when, learning)
    nights = fit.nights.sum(axis=1)
    pooled = pool and int(np.count_nonzero(nights)) >= MIN_POOL
    group = calibration.groups(fit.rate, nights if pooled else None)
    spread = _shrunk(fit, group, pooled)
    spans = _spans(counts, when, spread, fit.nights)
    judge, clean = _judge(spans, group) if pooled else (Judge(calibration.alone(), ()), None)
    if budget is None and threshold is None:
        budget = min(1.0, len(counts) / 1000)
    at, expected_false = _threshold(clean, budget, threshold, int((~learning).sum()))
    found = _stand(spans, spread, judge, group, at)
    unobserved = np.isnan(counts[:, history:])
    scores = np.where(unobserved, np.nan, found.score)
    flagged = ~unobserved & ~learning[:, None] & (found.score >= at)
    return Scores(
        expected=spans.expected,
        upper=found.upper,
        score=scores,
        flagged=flagged,
        window_h=np.where(flagged, found.window_h, 0),
        night_score=_night_scores(scores),
        n_train=n_train,
        learning=learning,
        threshold=at,
        expected_false=expected_false,
    )


def _check(
    counts: Floats,
    start: datetime,
    scored: int,
    budget: float | None,
    threshold: float | None,
) -> None:
    if budget is not None and threshold is not None:
        raise ValueError("budget and threshold exclude each other: give one of them")
    for name, value in (("budget", budget), ("threshold", threshold)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name} {value!r} is not above 0: give a positive number")
    if counts.ndim != 2 or not 1 <= scored <= counts.shape[1]:
        raise ValueError(f"scored {scored!r} does not fit counts of shape {counts.shape}")
    if start.tzinfo is None:
        raise ValueError(f"start {start!r} has no time zone: give a time in UTC")
    if len(counts) and (np.nanmin(counts, initial=0) < 0 or np.nanmax(counts, initial=0) == np.inf):
        raise ValueError("counts hold a negative or infinite number: use NaN for not observed")


def _history(history: Floats) -> tuple[Ints, Ints]:
    """Observed hours of each series, and hours since the first of them."""
    seen = ~np.isnan(history)
    padded = np.concatenate([seen, np.ones((len(seen), 1), dtype=bool)], axis=1)
    return seen.sum(axis=1), history.shape[1] - padded.argmax(axis=1)


def _chunks(n_series: int) -> Iterator[slice]:
    return (slice(low, low + _CHUNK) for low in range(0, n_series, _CHUNK))


def _fit(history: Floats, when: Calendar, learning: Bools) -> _Fit:
    series, weeks = len(history), when.weeks
    rate, nights = np.zeros(series), np.zeros((series, weeks * 7), dtype=bool)
    own = Spread(*(np.zeros((weeks + 1, series)) for _ in range(3)))
    warm_up = _WARM_UP_DAYS if history.shape[1] > 2 * WEEK else _SHORT_WARM_UP_DAYS
    for rows in _chunks(series):
        placed = baseline.grid(history[rows], when)
        normal, guarded = baseline.usual(placed, when)
        rate[rows] = normal.rate
        mine = baseline.spread(placed, guarded, normal, when)
        own.a[:, rows], own.b[:, rows], own.busy[:, rows] = mine.a, mine.b, mine.busy
        nights[rows] = _usable(placed, warm_up) & ~learning[rows, None]
    return _Fit(rate, own, nights)


def _usable(placed: Floats, warm_up: int) -> Bools:
    """Which nights of the history can say how high a clean night is, (series, nights).

    Those observed for the most part, once enough days before them were.
    """
    seen = np.isfinite(placed)
    first = np.where(seen.any(axis=1), seen.argmax(axis=1), placed.shape[1])
    nights = np.arange(placed.shape[1] // DAY)
    mostly = seen.reshape(len(placed), -1, DAY).sum(axis=-1) >= DAY // 2
    usable: Bools = mostly & (nights * DAY >= first[:, None] + warm_up * DAY)
    return usable


def _shrunk(fit: _Fit, group: Ints, pooled: bool) -> Spread:
    """Each series' spread drawn to its group's, or to the usual one without a pool."""
    own, member = fit.own, fit.nights.any(axis=1)
    a: Floats | float = PRIOR_A
    b: Floats | float = PRIOR_B
    if pooled:
        a = calibration.shared(own.a, own.busy * member, group)
        b = calibration.shared(own.b, own.busy * member, group)
    return Spread(
        baseline.shrink(own.a, a, own.busy), baseline.shrink(own.b, b, own.busy), own.busy
    )


def _spans(counts: Floats, when: Calendar, spread: Spread, nights: Bools) -> _Spans:
    series, scored, channels = len(counts), len(when.scored), len(_WINDOWS_H)
    peaks, guarded = (np.full((*nights.shape, channels), np.nan) for _ in range(2))
    windows, due = (np.zeros((series, scored, channels)) for _ in range(2))
    expected = np.zeros((series, scored))
    for rows in _chunks(series):
        placed = baseline.grid(counts[rows, :-scored], when)
        normal, _ = baseline.usual(placed, when)
        y = np.concatenate([placed, counts[rows, -scored:]], axis=1)
        mu = np.concatenate([normal.history, normal.scored], axis=1)
        sums = _channels(_surprise(y, mu, *_by_hour(spread, rows, scored)))
        passed = np.where(_passes(y, mu), sums, -np.inf)
        for whole, part in ((peaks, sums), (guarded, passed)):
            nightly = part[:, :-scored].reshape(len(y), -1, DAY, channels).max(axis=2)
            whole[rows] = np.where(nights[rows, :, None], nightly, np.nan)
        windows[rows], expected[rows] = passed[:, -scored:], normal.scored
        due[rows] = _over_windows(mu)[:, -scored:]
    return _Spans(peaks, guarded, windows, expected, due)


def _by_hour(spread: Spread, rows: slice, scored: int) -> tuple[Floats, Floats]:
    """a and b of every hour: history's from the other weeks, the scored hours' from all."""
    repeats = [WEEK] * (len(spread.a) - 1) + [scored]
    return (
        np.repeat(spread.a[:, rows].T, repeats, axis=1),
        np.repeat(spread.b[:, rows].T, repeats, axis=1),
    )


def _surprise(y: Floats, mu: Floats, a: Floats, b: Floats) -> Floats:
    """-log10 of the chance of `y` or more when `mu` is expected, 0 where y is not above it.

    Negative binomial with variance `mu + a * mu + b * mu ** 2`. Where its tail is too faint for
    a float, Chernoff's bound takes over, which like the tail only rises with y.
    """
    found = np.zeros_like(mu)
    high = (y > mu) & (y > 0)
    y, mu = y[high], mu[high]
    size = 1 / (a[high] / mu + b[high])
    chance = betainc(y, size, mu / (size + mu))
    surprise = -np.log10(np.maximum(chance, 10**-_FAINT))
    faint = chance < 10**-_FAINT
    y, mu, size = y[faint], mu[faint], size[faint]
    bound = y * np.log(y / (size + y) * (size + mu) / mu) - size * np.log((size + y) / (size + mu))
    surprise[faint] = np.maximum(bound / np.log(10), _FAINT)
    found[high] = surprise
    return found


def _channels(surprise: Floats) -> Floats:
    """Trailing sums of surprise: 3 h as it is, 3 h and 24 h damped, on a last axis.

    Damped, one huge hour cannot carry a window and several odd hours can.
    """
    damped = _damp(surprise)
    three = _trailing(damped, 3)
    return np.stack([_trailing(surprise, 3), three, _to_day(three)], axis=-1)


def _damp(surprise: Floats) -> Floats:
    return np.where(surprise > 1, 1 + np.log(np.maximum(surprise, 1)), surprise)


def _over_windows(hourly: Floats) -> Floats:
    """Trailing sums over each channel's window, on a last axis."""
    three = _trailing(hourly, 3)
    return np.stack([three, three, _to_day(three)], axis=-1)


def _trailing(hourly: Floats, hours: int) -> Floats:
    total = hourly.copy()
    for back in range(1, hours):
        total[:, back:] += hourly[:, :-back]
    return total


def _to_day(three: Floats) -> Floats:
    """Sums over 24 hours from sums over 3, without the rounding of running sums."""
    for width in (3, 6, 12):
        wider = three.copy()
        wider[:, width:] += three[:, :-width]
        three = wider
    return three


def _passes(y: Floats, mu: Floats) -> Bools:
    """Whether each hour and its windows hold enough events more than expected to matter."""
    seen = np.isfinite(y)
    had, due = _over_windows(np.where(seen, y, 0.0)), _over_windows(np.where(seen, mu, 0.0))
    lifted = (had >= _LIFT * due) & (had - due >= _EXCESS)
    touched = (y >= _TOUCH * mu) & (y > 0)
    return lifted & touched[..., None]


def _judge(spans: _Spans, group: Ints) -> tuple[Judge, Tail]:
    """What scores are read from, and the tail of the pool's own nights on that scale."""
    plain = Judge(calibration.scale(spans.peaks, group), ())
    nights = plain.value(spans.guarded, group)
    tails = tuple(calibration.tail(nights[group == one]) for one in range(group.max() + 1))
    judge = replace(plain, tails=tails)
    return judge, calibration.tail(np.where(np.isnan(nights), np.nan, judge.score(nights, group)))


def _threshold(
    clean: Tail | None, budget: float | None, threshold: float | None, n_series: int
) -> tuple[float, float]:
    """The threshold, and how many clean series reach it in a night."""
    if clean is None:
        at = ALONE_THRESHOLD if threshold is None else threshold
        return at, n_series * 10.0**-at
    if threshold is None:
        assert budget is not None  # noqa: S101 - one of them is given, for the type checker
        threshold = max(clean.value_at(-np.log10(budget / n_series)), _MIN_THRESHOLD)
    return threshold, n_series * 10.0 ** -float(clean.rarity(np.array([threshold]))[0])


def _stand(spans: _Spans, spread: Spread, judge: Judge, group: Ints, threshold: float) -> _Stand:
    score, upper = np.zeros_like(spans.expected), np.zeros_like(spans.expected)
    window_h = np.zeros(upper.shape, dtype=int)
    for rows in _chunks(len(score)):
        windows, mine = spans.windows[rows], group[rows]
        score[rows] = judge.score(judge.value(windows, mine), mine)
        window_h[rows] = _WINDOWS_H[judge.scale.standardise(windows, mine).argmax(axis=-1)]
        hours = upper.shape[1]
        upper[rows] = _upper(
            _Hours(
                spans.expected[rows].ravel(),
                np.repeat(spread.a[-1, rows], hours),
                np.repeat(spread.b[-1, rows], hours),
                spans.due[rows].reshape(-1, len(_WINDOWS_H)),
                np.repeat(mine, hours),
            ),
            judge,
            threshold,
        ).reshape(-1, hours)
    return _Stand(score, window_h, upper)


@dataclass(frozen=True)
class _Hours:
    """Hours by themselves, (hours,); `due` is (hours, channels)."""

    mu: Floats
    a: Floats
    b: Floats
    due: Floats
    group: Ints

    def __getitem__(self, some: Ints) -> _Hours:
        return _Hours(self.mu[some], self.a[some], self.b[some], self.due[some], self.group[some])

    def crosses(self, y: Floats, judge: Judge, threshold: float) -> Bools:
        """Whether a count of `y` alone, all else as expected, reaches the threshold."""
        surprise = _surprise(y, self.mu, self.a, self.b)
        damped = _damp(surprise)
        windows = np.stack([surprise, damped, damped], axis=-1)
        more = (y - self.mu)[:, None]
        passes = (more >= (_LIFT - 1) * self.due) & (more >= _EXCESS)
        passes &= (y >= _TOUCH * self.mu)[:, None]
        value = judge.value(np.where(passes, windows, -np.inf), self.group)
        return judge.score(value, self.group) >= threshold


def _upper(hours: _Hours, judge: Judge, threshold: float) -> Floats:
    """The smallest whole count that crosses the threshold: doubling steps, then bisection."""
    least = np.maximum(_EXCESS, (_LIFT - 1) * hours.due.min(axis=-1))
    low = np.floor(hours.mu + least) - 1
    high = np.ceil(hours.mu + np.maximum(least, (_TOUCH - 1) * hours.mu))
    left = np.arange(len(low))
    while len(left := left[~hours[left].crosses(high[left], judge, threshold)]):
        left = left[high[left] < _MOST]
        low[left] = high[left]
        high[left] = np.ceil(hours.mu[left] + 2 * (high[left] - hours.mu[left]))
    left = np.flatnonzero(_between(low, high))
    while len(left):
        middle = np.floor((low[left] + high[left]) / 2)
        crosses = hours[left].crosses(middle, judge, threshold)
        high[left] = np.where(crosses, middle, high[left])
        low[left] = np.where(crosses, low[left], middle)
        left = left[_between(low[left], high[left])]
    return np.where(high < _MOST, high, np.inf)


def _between(low: Floats, high: Floats) -> Bools:
    """Whether a whole number lies between that a float can hold."""
    middle = np.floor((low + high) / 2)
    return (low < middle) & (middle < high)


def _night_scores(score: Floats) -> Floats:
    """The highest score of each 24 hours, NaN where none was observed."""
    series, scored = score.shape
    nights = -(-scored // DAY)
    padded = np.full((series, nights * DAY), np.nan)
    padded[:, :scored] = score
    highest: Floats = np.fmax.reduce(padded.reshape(series, nights, DAY), axis=-1)
    return highest
