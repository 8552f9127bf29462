"""Kusto's series functions: arrays in, arrays out, every argument under Kusto's own name.

`x` is one series (1-D; the results are 1-D) or one series a row (2-D; the results have one row for
each). A null is NaN or None; infinities count as nulls. Kusto takes nulls in `series_outliers` and
`series_fill_linear` only; here the other functions learn from the points that are known. All follow
Microsoft's documentation; "ours" marks what Kusto leaves undocumented.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Numbers = TypeVar("Numbers", bound=NDArray[Any])

TRENDS = ("avg", "linefit", "none")
OUTLIER_KINDS = ("ctukey", "tukey")
SHORTEST_PERIOD = 4
# Solved from four scores that Kusto printed in full; the documented formula comes to 2.7143.
_DECILE_FACTOR = 2.772605605507915
# Float noise of a few thousand sums: spreads below this share of the largest value count as zero.
_DUST = 1e-12
_SCORE_DIGITS = 9


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


class Periods(NamedTuple):
    """Periods in points, best first, and their scores in [0, 1]; 0 where there is none."""

    periods: Array
    scores: Array


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
    rows = _as_rows(x)
    parts = _decompose(rows, seasonality, trend, test_points, seasonality_threshold)
    # Noise is judged against the series itself: what is left of a flat one is nothing but noise.
    score = _outlier_scores(parts.residual, _noise(rows), ad_method, 10.0, 90.0)
    flags = np.where(np.abs(score) > threshold, np.sign(score), 0.0).astype(np.int64)
    return Anomalies(_like(x, flags), _like(x, score), _like(x, parts.baseline))


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
    parts = _decompose(_as_rows(x), seasonality, trend, test_points, seasonality_threshold)
    return Decomposition(*(_like(x, part) for part in parts))


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
    rows = _as_rows(x)
    if ignore_val is not None:
        rows = np.where(rows == ignore_val, np.nan, rows)
    score = _outlier_scores(rows, _noise(rows), kind, min_percentile, max_percentile)
    return _like(x, score)


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
    rows = _as_rows(x)
    slope, interception, line = _line(rows, rows.shape[1])
    variance = _variance(rows - _mean(rows))
    rvariance = _variance(rows - line)
    flat = variance <= _noise(rows) ** 2
    rsquare = 1.0 - np.divide(rvariance, variance, out=np.zeros_like(variance), where=~flat)
    parts = (rsquare, slope, variance, rvariance, interception, line)
    return LineFit(*(_like(x, part) for part in parts))


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
    rows = _as_rows(x)
    learned = _learned(rows, test_points)
    periods = _periods(learned, period, threshold)
    return _like(x, _seasonal(learned, periods, rows.shape[1]))


def series_periods_detect(
    x: ArrayLike, min_period: float, max_period: float, num_periods: int
) -> Periods:
    """The best `num_periods` periods between two lengths, best first, and their scores.

    Kusto publishes neither its algorithm nor its score. Ours agrees with every number its
    documentation prints. It takes the line out of the series and everything faster than four
    points, and scores a length by the mean of the biased and the unbiased autocorrelation. Periods
    are the local maxima above 0 from 4 points to half the series; whole multiples of a better one
    are left out, and the shorter one goes first when scores agree to nine digits.

    Args:
        x: one series, or one a row; nulls are filled in linearly first (ours).
        min_period: in points.
        max_period: in points, included.
        num_periods: how many to return for each series.

    Returns:
        Two arrays of `num_periods` a series, filled up with 0.

    >>> series_periods_detect([0, 2, 5, 2] * 6, 0, 50, 2).periods
    array([4., 0.])
    """
    if num_periods < 0:
        raise ValueError(f"num_periods must be 0 or more, not {num_periods!r}")
    filled = _fill_linear(_as_rows(x))
    found = _detect(filled, min_period, max_period, num_periods)
    return Periods(*(_like(x, part) for part in found))


def series_periods_validate(x: ArrayLike, *periods: float) -> Periods:
    """The given periods and the score of each; 0 for one that is not a period of the series.

    A period is rounded to whole points; it is one if `series_periods_detect` could find it, were
    there no better ones (both ours).

    >>> series_periods_validate([0, 2, 5, 2] * 6, 4, 5).scores.round(2)
    array([0.91, 0.  ])
    """
    scores = _period_scores(_fill_linear(_as_rows(x)))
    lags = np.rint(np.asarray(periods, dtype=np.float64)).astype(np.int64)
    inside = (lags >= 0) & (lags < scores.shape[1])
    found = np.zeros((len(scores), len(lags)))
    found[:, inside] = scores[:, lags[inside]]
    given = np.tile(np.asarray(periods, dtype=np.float64), (len(scores), 1))
    return Periods(_like(x, given), _like(x, found))


def series_fill_linear(x: ArrayLike) -> Array:
    """x with nulls replaced: on the line between their neighbours, at the ends by the nearest.

    A series of nothing but nulls becomes zeros.

    >>> series_fill_linear([None, 4.0, None, 6.0])
    array([4., 4., 5., 6.])
    """
    return _like(x, _fill_linear(_as_rows(x)))


def _as_rows(x: ArrayLike) -> Array:
    rows = np.array(x, dtype=np.float64)
    if rows.ndim not in (1, 2):
        raise ValueError(f"x must be one series or one series a row, not {rows.ndim}-D")
    rows[~np.isfinite(rows)] = np.nan
    return np.atleast_2d(rows)


def _like(x: ArrayLike, result: Numbers) -> Numbers:
    """The result of the only row if x was one series, else of all rows."""
    return result[0] if np.ndim(x) == 1 else result


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
    level = _trend(learned - seasonal[:, : learned.shape[1]], trend, rows.shape[1])
    baseline = seasonal + level
    return Decomposition(baseline, seasonal, level, rows - baseline)


def _periods(learned: Array, period: int, threshold: float) -> Ints:
    """The period of each row, in points; below 1 for none."""
    if period != -1:
        return np.full(len(learned), period, dtype=np.int64)
    filled = _fill_linear(learned)
    best = _detect(filled, SHORTEST_PERIOD, filled.shape[1] / 2, 1)
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


def _trend(learned: Array, trend: str, length: int) -> Array:
    if trend == "none":
        return np.zeros((len(learned), length))
    if trend == "avg":
        return np.repeat(_mean(learned), length, axis=1)
    if trend == "linefit":
        return _line(learned, length)[2]
    raise ValueError(f"trend must be one of {', '.join(TRENDS)}, not {trend!r}")


def _mean(x: Array) -> Array:
    """The mean of each row's known points, as a column; NaN without any."""
    known = ~np.isnan(x)
    count = known.sum(axis=1, keepdims=True)
    total = np.where(known, x, 0.0).sum(axis=1, keepdims=True)
    mean: Array = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def _variance(deviations: Array) -> Array:
    known = ~np.isnan(deviations)
    squares = np.where(known, deviations, 0.0) ** 2
    variance: Array = squares.sum(axis=1) / np.maximum(known.sum(axis=1) - 1, 1)
    variance[~known.any(axis=1)] = np.nan
    return variance


def _line(learned: Array, length: int) -> tuple[Array, Array, Array]:
    """Slope and interception of each row, and its line over `length` points from 1 on."""
    points = np.arange(1.0, length + 1)
    mean = _mean(learned)
    times = np.where(np.isnan(learned), np.nan, points[: learned.shape[1]])
    middle = _mean(times)
    across = np.nan_to_num(times - middle)
    square = (across**2).sum(axis=1, keepdims=True)
    rise = (across * np.nan_to_num(learned - mean)).sum(axis=1, keepdims=True)
    slope = np.divide(rise, square, out=np.zeros_like(rise), where=square > 0)
    slope = np.where(np.isnan(mean), np.nan, slope)
    return slope[:, 0], (mean - slope * middle)[:, 0], mean + slope * (points - middle)


def _fill_linear(rows: Array) -> Array:
    filled = rows.copy()
    known = ~np.isnan(rows)
    points = np.arange(rows.shape[1])
    for row in np.flatnonzero(~known.all(axis=1)):
        at = known[row]
        filled[row] = np.interp(points, points[at], rows[row, at]) if at.any() else 0.0
    return filled


def _noise(rows: Array) -> Array:
    """The largest number per row that may still be a rounding error of its values."""
    largest: Array = np.nan_to_num(np.abs(rows)).max(axis=1, initial=0.0)
    return _DUST * largest


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


def _detect(filled: Array, min_period: float, max_period: float, num_periods: int) -> Periods:
    scores = _period_scores(filled)
    lags = np.arange(scores.shape[1])
    scores[:, (lags < min_period) | (lags > max_period)] = 0.0
    periods, found = np.zeros((2, len(filled), num_periods))
    for rank in range(num_periods if scores.size else 0):
        best = scores.argmax(axis=1)
        found[:, rank] = scores[np.arange(len(scores)), best]
        periods[:, rank] = np.where(found[:, rank] > 0, best, 0)
        scores[lags % np.maximum(best, 1)[:, None] == 0] = 0.0
    return Periods(periods, found)


def _period_scores(filled: Array) -> Array:
    """The score of each lag that is a local maximum from 4 to half the series; else 0."""
    length = filled.shape[1]
    scores = np.zeros_like(filled)
    lags = np.arange(SHORTEST_PERIOD, length // 2 + 1)
    # Rounding lets lags tie that differ by noise alone, whatever the order of the sums.
    similar = np.round(_autocorrelation(filled), _SCORE_DIGITS)
    here = similar[:, lags]
    peak = (here > similar[:, lags - 1]) & (here >= similar[:, lags + 1])
    scores[:, lags] = np.where(peak, np.clip(here, 0.0, 1.0), 0.0)
    return scores


def _autocorrelation(filled: Array) -> Array:
    """Mean of the biased and the unbiased one, at lags 0 to length - 1; 0 without variation."""
    length = filled.shape[1]
    if length == 0:
        return np.zeros_like(filled)
    spectrum = np.fft.rfft(filled - _line(filled, length)[2])
    spectrum[:, SHORTEST_PERIOD * np.arange(spectrum.shape[1]) > length] = 0.0
    smooth = np.fft.irfft(spectrum, length)
    products = np.fft.irfft(np.abs(np.fft.rfft(smooth, 2 * length)) ** 2, 2 * length)[:, :length]
    energy = (smooth**2).sum(axis=1, keepdims=True)
    varies = energy > length * _noise(filled)[:, None] ** 2
    share = np.divide(products, energy, out=np.zeros_like(filled), where=varies)
    return np.asarray(share * (1 + length / (length - np.arange(length))) / 2)
