"""Kusto's series_periods_detect and series_periods_validate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gundog.hunting.scoring import kql_arrays
from gundog.hunting.scoring.kql_arrays import Array

SHORTEST_PERIOD = 4


class Periods(NamedTuple):
    """Periods in points, best first, and their scores in [0, 1]; 0 where there is none."""

    periods: Array
    scores: Array


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
    filled = kql_arrays.fill_linear(kql_arrays.as_rows(x))
    periods = detect(filled, min_period, max_period, num_periods)
    return Periods(*(kql_arrays.like(x, part) for part in periods))


def series_periods_validate(x: ArrayLike, *periods: float) -> Periods:
    """The given periods and the score of each; 0 for one that is not a period of the series.

    A period is rounded to whole points; it is one if `series_periods_detect` could find it, were
    there no better ones (both ours).

    >>> series_periods_validate([0, 2, 5, 2] * 6, 4, 5).scores.round(2)
    array([0.91, 0.  ])
    """
    scores = _period_scores(kql_arrays.fill_linear(kql_arrays.as_rows(x)))
    lags = np.rint(np.asarray(periods, dtype=np.float64)).astype(np.int64)
    inside = (lags >= 0) & (lags < scores.shape[1])
    validated = np.zeros((len(scores), len(lags)))
    validated[:, inside] = scores[:, lags[inside]]
    given = np.tile(np.asarray(periods, dtype=np.float64), (len(scores), 1))
    return Periods(kql_arrays.like(x, given), kql_arrays.like(x, validated))


def detect(filled: Array, min_period: float, max_period: float, num_periods: int) -> Periods:
    scores = _period_scores(filled)
    lags = np.arange(scores.shape[1])
    scores[:, (lags < min_period) | (lags > max_period)] = 0.0
    periods, best_scores = np.zeros((2, len(filled), num_periods))
    for rank in range(num_periods if scores.size else 0):
        best = scores.argmax(axis=1)
        best_scores[:, rank] = scores[np.arange(len(scores)), best]
        periods[:, rank] = np.where(best_scores[:, rank] > 0, best, 0)
        scores[lags % np.maximum(best, 1)[:, None] == 0] = 0.0
    return Periods(periods, best_scores)


def _period_scores(filled: Array) -> Array:
    """The score of each lag that is a local maximum from 4 to half the series; else 0."""
    length = filled.shape[1]
    scores = np.zeros_like(filled)
    lags = np.arange(SHORTEST_PERIOD, length // 2 + 1)
    # Rounding lets lags tie that differ by noise alone, whatever the order of the sums.
    similar = np.round(_autocorrelation(filled), kql_arrays.SCORE_DIGITS)
    here = similar[:, lags]
    peak = (here > similar[:, lags - 1]) & (here >= similar[:, lags + 1])
    scores[:, lags] = np.where(peak, np.clip(here, 0.0, 1.0), 0.0)
    return scores


def _autocorrelation(filled: Array) -> Array:
    """Mean of the biased and the unbiased one, at lags 0 to length - 1; 0 without variation."""
    length = filled.shape[1]
    if length == 0:
        return np.zeros_like(filled)
    spectrum = np.fft.rfft(filled - kql_arrays.line_of(filled, length)[2])
    spectrum[:, SHORTEST_PERIOD * np.arange(spectrum.shape[1]) > length] = 0.0
    smooth = np.fft.irfft(spectrum, length)
    products = np.fft.irfft(np.abs(np.fft.rfft(smooth, 2 * length)) ** 2, 2 * length)[:, :length]
    energy = (smooth**2).sum(axis=1, keepdims=True)
    varies = energy > length * kql_arrays.noise_of(filled)[:, None] ** 2
    share = np.divide(products, energy, out=np.zeros_like(filled), where=varies)
    return np.asarray(share * (1 + length / (length - np.arange(length))) / 2)
