"""Kusto's series functions as hunt SQL calls them: a name, points and arguments to JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gundog.hunting.kusto_outputs import OUTPUTS
from gundog.hunting.scoring import kql, kql_arrays, kql_periods

# Rounding errors differ from machine to machine and must not decide who a row is.
_DIGITS = 9


def compute(name: str, points: Sequence[float | None], arguments: str) -> str:
    """The outputs of a series function as a JSON object, by their names in `OUTPUTS`.

    Args:
        name: the function's, as Kusto has it.
        points: the series; None for a null.
        arguments: what follows the series in the call, as a JSON list.

    Raises:
        ValueError: an argument has a value that Kusto does not know.
    """
    series = np.array([math.nan if point is None else point for point in points], dtype=float)
    results = _FUNCTIONS[name](series, *json.loads(arguments))
    return json.dumps(dict(zip(OUTPUTS[name], map(_plain, results), strict=True)))


def _plain(value: Any) -> Any:
    if np.ndim(value):
        return [_plain(item) for item in value]
    number = float(value)
    if not math.isfinite(number):
        return None
    rounded = round(number, _DIGITS)
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _outliers(series: kql_arrays.Array, *arguments: Any) -> tuple[Any, ...]:
    return (kql.series_outliers(series, *arguments),)


def _seasonal(series: kql_arrays.Array, *arguments: Any) -> tuple[Any, ...]:
    return (kql.series_seasonal(series, *arguments),)


def _fill(series: kql_arrays.Array) -> tuple[Any, ...]:
    return (kql.series_fill_linear(series),)


def _stats(series: kql_arrays.Array) -> tuple[Any, ...]:
    """Of the known points; nulls when there is none. The variance divides by n - 1, or is 0."""
    finite = series[np.isfinite(series)]
    if not finite.size:
        return (math.nan,) * 7
    spread = float(np.var(finite, ddof=1)) if finite.size > 1 else 0.0
    low, high = int(np.nanargmin(series)), int(np.nanargmax(series))
    return series[low], low, series[high], high, finite.mean(), math.sqrt(spread), spread


_FUNCTIONS: Mapping[str, Callable[..., Sequence[Any]]] = {
    "series_decompose_anomalies": kql.series_decompose_anomalies,
    "series_decompose": kql.series_decompose,
    "series_outliers": _outliers,
    "series_fit_line": kql.series_fit_line,
    "series_seasonal": _seasonal,
    "series_fill_linear": _fill,
    "series_periods_detect": kql_periods.series_periods_detect,
    "series_stats": _stats,
}
