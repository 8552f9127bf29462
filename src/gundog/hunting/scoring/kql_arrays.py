"""Arrays of series, as Kusto's series functions take and give them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


Ints = NDArray[np.int64]


Numbers = TypeVar("Numbers", bound=NDArray[Any])


# Float noise of a few thousand sums: spreads below this share of the largest value count as zero.
_DUST = 1e-12


SCORE_DIGITS = 9


def as_rows(x: ArrayLike) -> Array:
    rows = np.array(x, dtype=np.float64)
    if rows.ndim not in (1, 2):
        raise ValueError(f"x must be one series or one series a row, not {rows.ndim}-D")
    rows[~np.isfinite(rows)] = np.nan
    return np.atleast_2d(rows)


def like(x: ArrayLike, result: Numbers) -> Numbers:
    """The result of the only row if x was one series, else of all rows."""
    return result[0] if np.ndim(x) == 1 else result


def mean_of(x: Array) -> Array:
    """The mean of each row's known points, as a column; NaN without any."""
    is_point = ~np.isnan(x)
    count = is_point.sum(axis=1, keepdims=True)
    total = np.where(is_point, x, 0.0).sum(axis=1, keepdims=True)
    mean: Array = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def variance_of(deviations: Array) -> Array:
    is_point = ~np.isnan(deviations)
    squares = np.where(is_point, deviations, 0.0) ** 2
    variance: Array = squares.sum(axis=1) / np.maximum(is_point.sum(axis=1) - 1, 1)
    variance[~is_point.any(axis=1)] = np.nan
    return variance


def line_of(learned: Array, length: int) -> tuple[Array, Array, Array]:
    """Slope and interception of each row, and its line over `length` points from 1 on."""
    points = np.arange(1.0, length + 1)
    mean = mean_of(learned)
    times = np.where(np.isnan(learned), np.nan, points[: learned.shape[1]])
    middle = mean_of(times)
    across = np.nan_to_num(times - middle)
    square = (across**2).sum(axis=1, keepdims=True)
    rise = (across * np.nan_to_num(learned - mean)).sum(axis=1, keepdims=True)
    slope = np.divide(rise, square, out=np.zeros_like(rise), where=square > 0)
    slope = np.where(np.isnan(mean), np.nan, slope)
    return slope[:, 0], (mean - slope * middle)[:, 0], mean + slope * (points - middle)


def fill_linear(rows: Array) -> Array:
    filled = rows.copy()
    is_point = ~np.isnan(rows)
    points = np.arange(rows.shape[1])
    for row in np.flatnonzero(~is_point.all(axis=1)):
        at = is_point[row]
        filled[row] = np.interp(points, points[at], rows[row, at]) if at.any() else 0.0
    return filled


def noise_of(rows: Array) -> Array:
    """The largest number per row that may still be a rounding error of its values."""
    largest: Array = np.nan_to_num(np.abs(rows)).max(axis=1, initial=0.0)
    return _DUST * largest
