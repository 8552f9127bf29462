"""Kusto's series functions: arrays in, arrays out, every argument under Kusto's own name.

`x` is one series (1-D; the results are 1-D) or one series a row (2-D; the results have one row for
each). A null is NaN or None; infinities count as nulls. Kusto takes nulls in `series_outliers` and
`series_fill_linear` only; here the other functions learn from the points that are known. All follow
Microsoft's documentation; "ours" marks what Kusto leaves undocumented.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gundog.hunting.scoring import kql_arrays, kql_periods
from gundog.hunting.scoring.kql_arrays import Array, Ints

TRENDS = ("avg", "linefit", "none")
OUTLIER_KINDS = ("ctukey", "tukey")
# Solved from four scores that Kusto printed in full; the documented formula comes to 2.7143.
_DECILE_FACTOR = 2.772605605507915


class Anomalies(NamedTuple):
    """What `series_decompose_anomalies` gives; each has the shape of x."""

    anomalies: Ints
    score: Array
    baseline: Array


class Decomposition(NamedTuple):
    """What `series_decompose` gives; each has the shape of x."""

    baseline: Array
    seasonal: Array
    trend: Array
    residual: Array


class LineFit(NamedTuple):
    """What `series_fit_line` gives: a number per series, and the line in the shape of x."""

    rsquare: Array
    slope: Array
    variance: Array
    rvariance: Array
    interception: Array
    line_fit: Array


def series_decompose_anomalies(
    x: ArrayLike,
    threshold: float = 1.5,
    seasonality: int = -1,
    trend: str = "avg",
    test_points: int = 0,
    ad_method: str = "ctukey",
    seasonality_threshold: float = 0.6,
) -> Anomalies:
    """Flags +1, 0 or -1, outlier scores, and the baseline that the scores are measured from.

    The score is `series_outliers` of what `series_decompose` leaves over, and a flag is its sign
    where it lies strictly beyond the threshold.

    Args:
        x: one series, or one a row; nulls get score 0 and flag 0.
        threshold: Tukey's k, not negative; a score equal to it raises no flag (ours).
        seasonality: -1 detects a period, 0 has none, a positive number is the period in points.
        trend: 'avg', 'linefit' or 'none'.
        test_points: how many last points stay out of what seasonal and trend are learned from.
            Their residuals still count in the percentiles (ours).
        ad_method: 'ctukey' (10th and 90th percentile) or 'tukey' (25th and 75th).
        seasonality_threshold: the least score a detected period needs.

    Raises:
        ValueError: an argument has a value that Kusto does not know.

    >>> series_decompose_anomalies([3, 4, 3, 5, 4, 60, 4, 3, 5, 4, 3, 4]).anomalies
    array([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    """
    if not threshold >= 0:
        raise ValueError(f"threshold must be 0 or more, not {threshold!r}")
    rows = kql_arrays.as_rows(x)
    parts = _decompose(rows, seasonality, trend, test_points, seasonality_threshold)
    # Noise is judged against the series itself: what is left of a flat one is nothing but noise.
    score = _outlier_scores(parts.residual, kql_arrays.noise_of(rows), ad_method, 10.0, 90.0)
    flags = np.where(np.abs(score) > threshold, np.sign(score), 0.0).astype(np.int64)
    return Anomalies(
        kql_arrays.like(x, flags), kql_arrays.like(x, score), kql_arrays.like(x, parts.baseline)
    )


def series_decompose(
    x: ArrayLike,
    seasonality: int = -1,
    trend: str = "avg",
    test_points: int = 0,
    seasonality_threshold: float = 0.6,
) -> Decomposition:
    """Baseline (seasonal + trend), seasonal, trend, and the residual x - baseline.

    The seasonal part is taken from x itself and keeps its level; the trend is taken from what
    remains, so that it is about 0 for a seasonal series. A series without a known point outside
    the test points has no baseline: NaN, except 0 with neither seasonality nor trend (ours).

    Args:
        x: one series, or one a row; nulls are left out of the learning (ours).
        seasonality: see `series_decompose_anomalies`. With an explicit period, a phase without a
            point to learn from takes the median of all points (ours).
        trend: 'avg' is the mean, 'linefit' the least-squares line, 'none' is 0.
        test_points: how many last points are predicted without being learned from. If they are
            the whole series, nothing is learned (ours).
        seasonality_threshold: a detected period counts from this score on, equality included
            (ours).

    Raises:
        ValueError: an argument has a value that Kusto does not know.

    >>> series_decompose([1, 2, 3, 4], seasonality=0, trend="linefit").residual
    array([0., 0., 0., 0.])
    """
    parts = _decompose(
        kql_arrays.as_rows(x), seasonality, trend, test_points, seasonality_threshold
    )
    return Decomposition(*(kql_arrays.like(x, part) for part in parts))


def series_outliers(
    x: ArrayLike,
    kind: str = "ctukey",
    ignore_val: float | None = None,
    min_percentile: float = 10.0,
    max_percentile: float = 90.0,
) -> Array:
    """How far each point lies outside two percentiles, in units of the distance between them.

    A score is ``F * (x - P) / (P_max - P_min)`` with P the percentile that x lies beyond, and 0
    between them. F makes 1.5 mean what it means for quartiles when x is normal. For 10 and 90 it
    is the value Kusto uses, good to the last digit; for 'tukey' it is 1; for other percentiles
    ``1.5 * (z_max - z_min) / (4 * z_75 - z_max)``, z of the normal distribution, which may differ
    from Kusto's by 2 % (ours). Percentiles are interpolated linearly.

    When the two percentiles are equal but for float noise, no point of the series has a score:
    all are 0 (ours; Kusto's author says such a range cannot be used).

    Args:
        x: one series, or one a row; nulls are left out and get score 0.
        kind: 'ctukey', or 'tukey' for quartiles whatever the percentiles say.
        ignore_val: a value that counts as null.
        min_percentile: from 2 to 98.
        max_percentile: from 2 to 98, above min_percentile.

    Source:
        series_outliers() in the Kusto docs; the formula as its author gives it on Stack Overflow,
        question 75264555.

    Raises:
        ValueError: an argument has a value that Kusto does not know.

    >>> series_outliers([1, 2, 3, 4, 50], kind="tukey")
    array([-0.5,  0. ,  0. ,  0. , 23. ])
    """
    rows = kql_arrays.as_rows(x)
    if ignore_val is not None:
        rows = np.where(rows == ignore_val, np.nan, rows)
    score = _outlier_scores(rows, kql_arrays.noise_of(rows), kind, min_percentile, max_percentile)
    return kql_arrays.like(x, score)


def series_fit_line(x: ArrayLike) -> LineFit:
    """The least-squares line of x over 1, 2, 3, … and how well it fits.

    Both variances divide by the number of known points less one, as Kusto's do. One point has a
    level line; a series that does not vary has rsquare 1; one without points is NaN (all ours).

    Args:
        x: one series, or one a row; nulls are left out (ours), the line covers them.

    >>> fit = series_fit_line([1.0, 3.0, 5.0])
    >>> float(fit.slope), float(fit.interception)
    (2.0, -1.0)
    """
    rows = kql_arrays.as_rows(x)
    slope, interception, line = kql_arrays.line_of(rows, rows.shape[1])
    variance = kql_arrays.variance_of(rows - kql_arrays.mean_of(rows))
    rvariance = kql_arrays.variance_of(rows - line)
    flat = variance <= kql_arrays.noise_of(rows) ** 2
    rsquare = 1.0 - np.divide(rvariance, variance, out=np.zeros_like(variance), where=~flat)
    parts = (rsquare, slope, variance, rvariance, interception, line)
    return LineFit(*(kql_arrays.like(x, part) for part in parts))


def series_seasonal(
    x: ArrayLike, period: int = -1, test_points: int = 0, threshold: float = 0.7
) -> Array:
    """The median of the points of each phase, repeated over the whole series.

    Args:
        x: one series, or one a row; nulls are left out (ours).
        period: in points; -1 detects it; any other number below 1 gives zeros.
        test_points: how many last points are predicted without being learned from.
        threshold: the least score a detected period needs; without one the result is zeros.

    >>> series_seasonal([1, 3, 5, 1, 3, 5, 2, 4, 6], period=3)
    array([1., 3., 5., 1., 3., 5., 1., 3., 5.])
    """
    rows = kql_arrays.as_rows(x)
    learned = _learned(rows, test_points)
    periods = _periods(learned, period, threshold)
    return kql_arrays.like(x, _seasonal(learned, periods, rows.shape[1]))


def series_fill_linear(x: ArrayLike) -> Array:
    """x with nulls replaced: on the line between their neighbours, at the ends by the nearest.

    A series of nothing but nulls becomes zeros.

    >>> series_fill_linear([None, 4.0, None, 6.0])
    array([4., 4., 5., 6.])
    """
    return kql_arrays.like(x, kql_arrays.fill_linear(kql_arrays.as_rows(x)))


def _learned(rows: Array, test_points: int) -> Array:
    if test_points < 0:
        raise ValueError(f"test_points must be 0 or more, not {test_points!r}")
    return rows[:, : max(rows.shape[1] - test_points, 0)]


def _decompose(
    rows: Array, seasonality: int, trend: str, test_points: int, seasonality_threshold: float
) -> Decomposition:
    if seasonality < -1 or seasonality != int(seasonality):
        raise ValueError(f"seasonality must be -1, 0 or a whole number, not {seasonality!r}")
    learned = _learned(rows, test_points)
    periods = _periods(learned, seasonality, seasonality_threshold)
    seasonal = _seasonal(learned, periods, rows.shape[1])
    level = _level(learned - seasonal[:, : learned.shape[1]], trend, rows.shape[1])
    baseline = seasonal + level
    return Decomposition(baseline, seasonal, level, rows - baseline)


def _periods(learned: Array, period: int, threshold: float) -> Ints:
    """The period of each row, in points; below 1 for none."""
    if period != -1:
        return np.full(len(learned), period, dtype=np.int64)
    filled = kql_arrays.fill_linear(learned)
    best = kql_periods.detect(filled, kql_periods.SHORTEST_PERIOD, filled.shape[1] / 2, 1)
    return np.where(best.scores >= threshold, best.periods, 0.0)[:, 0].astype(np.int64)


def _seasonal(learned: Array, periods: Ints, length: int) -> Array:
    seasonal = np.zeros((len(learned), length))
    for period in np.unique(periods[periods > 0]):
        chosen = periods == period
        # From the length of the series on, every point is a phase of its own.
        phases = min(int(period), max(length, 1))
        medians = _phase_medians(learned[chosen], phases)
        seasonal[chosen] = medians[:, np.arange(length) % phases]
    return seasonal


def _phase_medians(learned: Array, period: int) -> Array:
    count, length = learned.shape
    cycles = -(-length // period)
    padded = np.full((count, cycles * period), np.nan)
    padded[:, :length] = learned
    medians = _quantile(padded.reshape(count, cycles, period).swapaxes(1, 2), 0.5)
    return np.where(np.isnan(medians), _quantile(learned, 0.5)[:, None], medians)


def _level(learned: Array, trend: str, length: int) -> Array:
    if trend == "none":
        return np.zeros((len(learned), length))
    if trend == "avg":
        return np.repeat(kql_arrays.mean_of(learned), length, axis=1)
    if trend == "linefit":
        return kql_arrays.line_of(learned, length)[2]
    raise ValueError(f"trend must be one of {', '.join(TRENDS)}, not {trend!r}")


def _outlier_scores(
    rows: Array, noise: Array, kind: str, min_percentile: float, max_percentile: float
) -> Array:
    if kind not in OUTLIER_KINDS:
        raise ValueError(f"kind must be one of {', '.join(OUTLIER_KINDS)}, not {kind!r}")
    if not 2 <= min_percentile < max_percentile <= 98:
        wrong = f"{min_percentile!r} and {max_percentile!r}"
        raise ValueError(f"percentiles must rise and lie in [2, 98], not {wrong}")
    least, most = (25.0, 75.0) if kind == "tukey" else (min_percentile, max_percentile)
    low, high = (_quantile(rows, percent / 100)[:, None] for percent in (least, most))
    beyond = np.maximum(rows - high, 0.0) + np.minimum(rows - low, 0.0)
    usable = ~np.isnan(rows) & (high - low > noise[:, None])
    score = np.divide(beyond, high - low, out=np.zeros_like(rows), where=usable)
    return np.asarray(_factor(least, most) * score)


def _factor(least: float, most: float) -> float:
    if (least, most) == (10.0, 90.0):
        return _DECILE_FACTOR
    z_min, z_75, z_max = (NormalDist().inv_cdf(share / 100) for share in (least, 75.0, most))
    return 1.5 * (z_max - z_min) / (4 * z_75 - z_max)


def _quantile(x: Array, share: float) -> Array:
    """Linearly interpolated along the last axis, over known values only; NaN without any."""
    if x.shape[-1] == 0:
        return np.full(x.shape[:-1], np.nan)
    # NaN sorts last, so a row's known values are its first ones.
    ordered = np.sort(x, axis=-1)
    last = np.maximum(np.count_nonzero(~np.isnan(x), axis=-1) - 1, 0)[..., None]
    below = np.floor(share * last).astype(np.int64)
    low = np.take_along_axis(ordered, below, axis=-1)
    high = np.take_along_axis(ordered, np.minimum(below + 1, last), axis=-1)
    quantile: Array = low + (high - low) * (share * last - below)
    return quantile[..., 0]
