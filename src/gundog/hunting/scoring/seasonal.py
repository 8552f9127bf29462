"""What an hour of the week holds, as a model of statsforecast says where a detection names one.

The default, SeasonalWindowAverage over all weeks, is `baseline`'s own sum: equal to the bit, and
without the seconds that importing statsforecast takes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from gundog.core.errors import GundogError
from gundog.detections import seasonal_models
from gundog.detections.seasonal_models import SeasonalModel
from gundog.hunting.scoring import baseline, chunks
from gundog.hunting.scoring.baseline import WEEK_H, Calendar, Floats

# Starting processes costs more than fitting fewer series than this.
_WORTH_PROCESSES = 32


class ModelError(GundogError):
    """A seasonal model that no series can be fitted with."""


@dataclass(frozen=True)
class Seasons:
    """What a model forecasts of each hour of the week, (weeks + 1, series, 168).

    Row w is week w as the weeks before it foretell it, the last row the week that is scored. NaN
    where the model gave nothing; `failed` is (series,), True where it gave nothing of the last.
    """

    means: Floats
    failed: np.ndarray


def of(seasons: Seasons | None, rows: slice) -> Floats | None:
    """What is told of some series; None where the default holds."""
    return seasons.means[:, rows] if seasons else None


def seasons(history: Floats, when: Calendar, model: SeasonalModel, jobs: int = 1) -> Seasons:
    """Forecasts of each week of the history from the weeks before it, and of the scored week.

    Whatever a model can learn from stays the same as for the default: polluted weeks are scaled
    down, and hours that were not observed hold what the default expects of them.

    Args:
        history: counts (series, hours), NaN where not observed.
        when: the calendar.
        model: what forecasts.
        jobs: processes that share the series, where these are many.

    Raises:
        ModelError: when the model fails for each of the series; the text is statsforecast's.
    """
    learned = np.concatenate(
        [
            _learned(history[low : low + chunks.SERIES], when)
            for low in range(0, len(history), chunks.SERIES)
        ]
    )
    means = np.full((when.weeks + 1, len(history), WEEK_H), np.nan)
    made = seasonal_models.make(model)
    for week in range(1, when.weeks + 1):
        means[week] = _forecast(learned[:, : week * WEEK_H], made, jobs)
    failed = ~np.isfinite(means[-1]).all(axis=1)
    if failed.all():
        raise ModelError(f"series.model: {next(iter(model))}: {_why(made, learned[0])}")
    return Seasons(means, failed)


def _learned(history: Floats, when: Calendar) -> Floats:
    placed = baseline.grid(history, when)
    normal, guarded = baseline.usual(placed, when)
    return np.where(np.isfinite(placed), guarded, normal.history)


def _forecast(past: Floats, made: Any, jobs: int) -> Floats:
    """The next 168 hours of each series, NaN where the model fails, (series, 168)."""
    import pandas as pd
    from statsforecast import StatsForecast
    from statsforecast.models import NaNModel

    series, hours = past.shape
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(series), hours),
            "ds": np.tile(np.arange(hours), series),
            "y": past.ravel(),
        }
    )
    many = series >= _WORTH_PROCESSES
    library = StatsForecast([made], freq=1, n_jobs=jobs if many else 1, fallback_model=NaNModel())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a model that does not converge says so by the series
        answer: Any = library.forecast(df=frame, h=WEEK_H)  # pandas, for a frame of pandas
    means: Floats = answer.iloc[:, -1].to_numpy(dtype=float).reshape(series, WEEK_H)
    return np.maximum(means, 0)


def _why(made: Any, past: Floats) -> str:
    """What the model says when nothing stands in for it."""
    try:
        made.forecast(past, h=WEEK_H)
    except Exception as error:
        return str(error).strip() or repr(error)
    return "gives no number for these hours: choose another model or other arguments"
