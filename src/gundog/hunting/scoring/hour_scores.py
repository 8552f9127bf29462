"""Scores hourly counts of many series: how rarely is a clean night of such a series so high.

What is usual comes from `baseline`; three hours above it have a surprise, -log10 of their negative
binomial tail. It is taken as it is and summed over a day, made alike across series, and calibrated
on the pool's own nights (`calibration`). Scored hours never enter what they are judged by.

    counts -> baseline: what each hour is expected to be, and how much it scatters
           -> surprise: windows of 3 hours and of a day, one channel each
           -> scale of the group of series with a like rate: both channels alike
           -> newness: an excess from something new to its series stands higher
           -> tail of the group's clean nights: how rarely such a night is so high = the score
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from gundog.detections.seasonal_models import SeasonalModel
from gundog.hunting.scoring import (
    baseline,
    bounds,
    calibration,
    chunks,
    newness,
    seasonal,
    surprise,
)
from gundog.hunting.scoring import windows as windows_of
from gundog.hunting.scoring.baseline import (
    DAY_H,
    PRIOR_A,
    PRIOR_B,
    WEEK_H,
    Baseline,
    Bools,
    Calendar,
    Floats,
    Ints,
    Spread,
)
from gundog.hunting.scoring.bounds import Hours
from gundog.hunting.scoring.calibration import Clean, Scorer
from gundog.hunting.scoring.newness import Newness, Rarities
from gundog.hunting.scoring.seasonal import Seasons
from gundog.hunting.scoring.surprise import WINDOWS_H
from gundog.hunting.scoring.windows import Windows

LEARNING_DAYS = 14
ALONE_THRESHOLD = 4.0
MIN_POOL = 30

_WARM_UP_DAYS, _SHORT_WARM_UP_DAYS = 7, 3
_MIN_THRESHOLD = 0.001


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
        unfitted: series for which the model that was named gives nothing; they have the default.
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
    unfitted: int = 0


@dataclass(frozen=True)
class _Fit:
    """What the first pass learns of each series; `nights` are usable for calibration.

    `own` is the variance of three hours' count.
    """

    rate: Floats
    own: Spread
    nights: Bools


@dataclass(frozen=True)
class _ScoredHours:
    """How each scored hour stands out, (series, scored), observed or not."""

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
    model: SeasonalModel | None = None,
    jobs: int = 1,
    new: Newness | None = None,
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
        model: what says how much an hour of the week holds; None for the mean over weeks.
        jobs: how many cores it may use.
        new: what of the counts came from something new to its series; without a pool it says
            nothing.

    Returns:
        Scores, in the order of the series. With neither budget nor threshold, the budget is
        min(1, n_series / 1000), and without a pool the threshold is 4.

    Raises:
        ValueError: both budget and threshold are given or one is not above 0, a shape or
            `scored` does not fit, `start` has no time zone, or a count is negative or infinite.
        ModelError: when the model fails for every series.

    >>> from datetime import UTC
    >>> hours = np.tile([0.0] * 8 + [40.0] * 8 + [0.0] * 8, 29)
    >>> hours[-20] = 40
    >>> scores = score(hours[None], datetime(2026, 1, 5, tzinfo=UTC), 24)
    >>> np.flatnonzero(scores.flagged[0]).tolist()
    [4]
    """
    _check(counts, start, scored, budget, threshold)
    history = counts.shape[1] - scored
    when = baseline.calendar(start, history, scored, time_zone)
    n_train, age_h = _observed_hours(counts[:, :history])
    learning = age_h < LEARNING_DAYS * DAY_H
    season = seasonal.seasons(counts[:, :history], when, model, jobs) if model else None
    fit = _fit(counts[:, :history], when, learning, season, jobs)
    nights = fit.nights.sum(axis=1)
    pooled = pool and int(np.count_nonzero(nights)) >= MIN_POOL
    group = calibration.groups(fit.rate, nights if pooled else None)
    spread = _shrunk(fit, group, pooled)
    rare = newness.rarities(new, when) if new and pooled else newness.none()
    windows = windows_of.windows(counts, when, spread, fit.nights, season, jobs, rare)
    rarity = rare.weighed(windows.excess)
    scorer, clean = Scorer(calibration.alone(), ()), None
    if pooled:
        scorer, clean = _scorer(windows, group, rare, rarity)
    if budget is None and threshold is None:
        budget = min(1.0, len(counts) / 1000)
    at, expected_false = _threshold_of(clean, budget, threshold, int((~learning).sum()))
    of_scored = rare.of_scored(rarity, when, len(counts))
    hours = _score_hours(windows, spread, scorer, group, at, of_scored, jobs)
    unobserved = np.isnan(counts[:, history:])
    scores = np.where(unobserved, np.nan, hours.score)
    flagged = ~unobserved & ~learning[:, None] & (hours.score >= at)
    return Scores(
        expected=windows.expected,
        upper=hours.upper,
        score=scores,
        flagged=flagged,
        window_h=np.where(flagged, hours.window_h, 0),
        night_score=_night_scores(scores),
        n_train=n_train,
        learning=learning,
        threshold=at,
        expected_false=expected_false,
        unfitted=int(season.failed.sum()) if season else 0,
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


def _observed_hours(history: Floats) -> tuple[Ints, Ints]:
    """Observed hours of each series, and hours since the first of them."""
    seen = ~np.isnan(history)
    padded = np.concatenate([seen, np.ones((len(seen), 1), dtype=bool)], axis=1)
    return seen.sum(axis=1), history.shape[1] - padded.argmax(axis=1)


def _fit(
    history: Floats, when: Calendar, learning: Bools, season: Seasons | None, jobs: int
) -> _Fit:
    series, weeks = len(history), when.weeks
    rate, nights = np.zeros(series), np.zeros((series, weeks * 7), dtype=bool)
    own = Spread(*(np.zeros((weeks + 1, series)) for _ in range(3)))
    warm_up = _WARM_UP_DAYS if history.shape[1] > 2 * WEEK_H else _SHORT_WARM_UP_DAYS

    def learn(rows: slice) -> None:
        placed = baseline.grid(history[rows], when)
        normal, guarded = baseline.usual(placed, when, seasonal.of(season, rows))
        rate[rows] = normal.rate
        mine = baseline.spread(*_in_threes(placed, guarded, normal), when)
        own.a[:, rows], own.b[:, rows], own.busy[:, rows] = mine.a, mine.b, mine.busy
        nights[rows] = _usable(placed, warm_up) & ~learning[rows, None]

    chunks.each(learn, series, jobs)
    return _Fit(rate, own, nights)


def _in_threes(
    placed: Floats, learned: Floats, normal: Baseline
) -> tuple[Floats, Floats, Baseline]:
    """History as `baseline.spread` takes it, each hour with the two before it."""
    seen = np.isfinite(placed)
    had, due = surprise.threes(np.where(seen, learned, np.nan), normal.history)
    any_seen = surprise.over_3(seen.astype(float)) > 0
    return np.where(any_seen, had, np.nan), had, Baseline(due, normal.scored, 3 * normal.rate)


def _usable(placed: Floats, warm_up: int) -> Bools:
    """Which nights of the history can say how high a clean night is, (series, nights).

    Those observed for the most part, once enough days before them were.
    """
    seen = np.isfinite(placed)
    first = np.where(seen.any(axis=1), seen.argmax(axis=1), placed.shape[1])
    nights = np.arange(placed.shape[1] // DAY_H)
    mostly = seen.reshape(len(placed), -1, DAY_H).sum(axis=-1) >= DAY_H // 2
    usable: Bools = mostly & (nights * DAY_H >= first[:, None] + warm_up * DAY_H)
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


def _scorer(windows: Windows, group: Ints, rare: Rarities, rarity: Floats) -> tuple[Scorer, Clean]:
    """What scores are read from, and the tail of the pool's own nights on that scale."""
    plain = Scorer(calibration.scale(windows.plain, group), ())
    counted = plain.value(windows.nights, group)
    values = newness.raised(plain.value(windows.new, group[rare.rows]), rarity)
    night = rare.places // DAY_H
    past = night < counted.shape[1]
    nights = counted.copy()
    # A night that is not usable is NaN and stays so.
    np.maximum.at(nights, (rare.rows[past], night[past]), values[past])
    each = [group == number for number in range(group.max() + 1)]
    tails = tuple(calibration.clean(nights[mine], counted[mine]) for mine in each)
    scorer = replace(plain, tails=tails)
    scores = np.where(np.isnan(nights), np.nan, scorer.score(nights, group))
    row, night = np.nonzero(nights > counted)
    before = scores.copy()
    before[row, night] = scorer.score(counted[row, night], group[row])
    return scorer, calibration.clean(scores, before)


def _threshold_of(
    clean: Clean | None, budget: float | None, threshold: float | None, n_series: int
) -> tuple[float, float]:
    """The threshold, and how many clean series reach it in a night."""
    if clean is None:
        at = ALONE_THRESHOLD if threshold is None else threshold
        return at, n_series * 10.0**-at
    if threshold is None:
        assert budget is not None  # noqa: S101 - one of them is given, for the type checker
        threshold = max(clean.value_at(-np.log10(budget / n_series)), _MIN_THRESHOLD)
    return threshold, n_series * 10.0 ** -float(clean.rarity(np.array([threshold]))[0])


def _score_hours(
    windows: Windows,
    spread: Spread,
    scorer: Scorer,
    group: Ints,
    threshold: float,
    rarity: Floats,
    jobs: int,
) -> _ScoredHours:
    score, upper = np.zeros_like(windows.expected), np.zeros_like(windows.expected)
    window_h = np.zeros(upper.shape, dtype=int)
    needed = bounds.needed(scorer, threshold)

    def judge(rows: slice) -> None:
        scored, mine = windows.scored[rows], group[rows]
        value = newness.raised(scorer.value(scored, mine), rarity[rows])
        score[rows] = scorer.score(value, mine)
        window_h[rows] = WINDOWS_H[scorer.scale.standardise(scored, mine).argmax(axis=-1)]
        hours = _single_hours(windows, spread, needed[mine], rows)
        upper[rows] = bounds.upper(hours).reshape(len(mine), -1)

    chunks.each(judge, len(score), jobs)
    return _ScoredHours(score, window_h, upper)


def _single_hours(windows: Windows, spread: Spread, needed: Floats, rows: slice) -> Hours:
    """The scored hours of some series, one after the other."""
    hours = windows.expected.shape[1]
    return Hours(
        windows.expected[rows].ravel(),
        np.repeat(spread.a[-1, rows], hours),
        np.repeat(spread.b[-1, rows], hours),
        windows.due[rows].reshape(-1, len(WINDOWS_H)),
        np.repeat(needed, hours, axis=0),
    )


def _night_scores(score: Floats) -> Floats:
    """The highest score of each 24 hours, NaN where none was observed."""
    series, scored = score.shape
    nights = -(-scored // DAY_H)
    padded = np.full((series, nights * DAY_H), np.nan)
    padded[:, :scored] = score
    highest: Floats = np.fmax.reduce(padded.reshape(series, nights, DAY_H), axis=-1)
    return highest
