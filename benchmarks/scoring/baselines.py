"""What others do with hourly counts, each as a function of zero-filled counts and scored hours.

All take counts (series, hours), the cell of each hour (hours,) and how many are scored, and return
(series, scored), higher being odder.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy import stats

from gundog.hunting.scoring import kql

DAY, WEEK = 24, 168

Method = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def kusto(counts: np.ndarray, _: np.ndarray, scored: int) -> np.ndarray:
    """Kusto's series_decompose_anomalies over history and scored hours together."""
    found = kql.series_decompose_anomalies(counts, 1.5, -1, "linefit").score
    return np.maximum(found, 0)[:, -scored:]


def kusto_14_days(counts: np.ndarray, _: np.ndarray, scored: int) -> np.ndarray:
    """The same over the last 14 days of history, as published."""
    return kusto(counts[:, -scored - 14 * DAY :], _, scored)


def msticpy(counts: np.ndarray, _: np.ndarray, scored: int) -> np.ndarray:
    """MSTICPy's way: z-score of the remainder of an STL of period 24."""
    from statsmodels.tsa.seasonal import STL

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rest = np.array([STL(row, period=DAY, seasonal=7).fit().resid for row in counts])
    spread = rest.std(axis=1, keepdims=True)
    return ((rest - rest.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1))[
        :, -scored:
    ]


def z_score(counts: np.ndarray, _: np.ndarray, scored: int) -> np.ndarray:
    """Standard deviations above the history's mean."""
    past = counts[:, :-scored]
    spread = np.maximum(past.std(axis=1, keepdims=True), 0.1)
    return (counts[:, -scored:] - past.mean(axis=1, keepdims=True)) / spread


def mad(counts: np.ndarray, _: np.ndarray, scored: int) -> np.ndarray:
    """Median absolute deviations above the history's median."""
    past = counts[:, :-scored]
    middle = np.median(past, axis=1, keepdims=True)
    spread = 1.4826 * np.median(np.abs(past - middle), axis=1, keepdims=True)
    return (counts[:, -scored:] - middle) / np.maximum(spread, 0.5)


def hour_z(counts: np.ndarray, cells: np.ndarray, scored: int) -> np.ndarray:
    """Standard deviations above the mean of the same hour on weekdays or weekends."""
    past, found = counts[:, :-scored], np.zeros((len(counts), scored))
    for place in range(scored):
        same = past[:, cells[:-scored] == cells[place - scored]]
        spread = np.maximum(same.std(axis=1), 0.5)
        found[:, place] = (counts[:, place - scored] - same.mean(axis=1)) / spread
    return found


def window_average(counts: np.ndarray, _: np.ndarray, scored: int) -> np.ndarray:
    """Negative binomial tail around statsforecast's SeasonalWindowAverage(168)."""
    from statsforecast.models import SeasonalWindowAverage

    past = counts[:, :-scored]
    weeks = past.shape[1] // WEEK
    model = SeasonalWindowAverage(season_length=WEEK, window_size=weeks)
    mean = np.array([model.forecast(row, h=scored)["mean"] for row in past])
    fitted = np.array([model.forecast(row, h=WEEK)["mean"] for row in past])
    return _tail(counts[:, -scored:], mean, past[:, -weeks * WEEK :], np.tile(fitted, (1, weeks)))


def croston(counts: np.ndarray, _: np.ndarray, scored: int) -> np.ndarray:
    """Negative binomial tail around statsforecast's CrostonSBA."""
    from statsforecast.models import CrostonSBA

    past = counts[:, :-scored]
    level = np.array([CrostonSBA().forecast(row, h=1)["mean"] for row in past])
    return _tail(counts[:, -scored:], np.tile(level, (1, scored)), past, level)


def _tail(y: np.ndarray, mean: np.ndarray, past: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """-log10 of the tail, with one dispersion a series by moments."""
    more = ((past - fitted) ** 2 - fitted).sum(axis=1)
    size = (np.broadcast_to(fitted, past.shape) ** 2).sum(axis=1) / np.maximum(more, 1e-9)
    size, mean = np.clip(size, 0.05, 1e6)[:, None], np.maximum(mean, 0.01)
    found: np.ndarray = -stats.nbinom.logsf(y - 1, size, size / (size + mean)) / np.log(10)
    return np.minimum(found, 1e4)


METHODS: dict[str, Method] = {
    "Kusto 28 d": kusto,
    "Kusto 14 d": kusto_14_days,
    "MSTICPy STL": msticpy,
    "z-score": z_score,
    "MAD": mad,
    "hour x daytype z": hour_z,
    "SeasonalWindowAverage + NB": window_average,
    "CrostonSBA + NB": croston,
}
