"""Series scored as Kusto scores them: hourly counts to flagged hours to the rows of a join.

A Sentinel query draws its series from midnight to midnight, long before its `now`; here `now` is
the interval's end. What Kusto would not see as missing is not a gap here either: an hour without a
row counts 0.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import duckdb
import numpy as np

from gundog.core.times import DAY, HOUR, Interval, floor
from gundog.detections.detection import Series
from gundog.detections.hunt import Hunt
from gundog.findings.model import Hit
from gundog.hunting import match
from gundog.hunting.scoring import kql

# Identities hold the score, and a baseline may be cut to whole numbers: rounding errors, which
# differ from machine to machine, must decide neither.
_DIGITS = 9


def axis(settings: Series, now: datetime) -> Interval:
    """The hours that are decomposed: startofday(ago(training)) to startofday(ago(until)).

    The end is not part of it, as make-series has it.

    >>> from gundog.core.times import parse_time
    >>> two_weeks = Series("n", (), 14 * DAY, until=DAY)
    >>> str(axis(two_weeks, parse_time("2026-01-20T09:30:00Z")))
    '[2026-01-06T00:00:00Z, 2026-01-19T00:00:00Z)'
    """
    return Interval(floor(now - settings.training, DAY), floor(now - settings.until, DAY))


def flag(
    settings: Series, keys: Sequence[Sequence[str]], values: np.ndarray, start: datetime
) -> list[dict[str, Any]]:
    """The hours that series_decompose_anomalies flags up or down, series by series.

    Args:
        settings: threshold, trend and seasonality are those of the detection.
        keys: the values of the `by` columns, one tuple a series.
        values: counts, shape (n_series, n_hours); a series without any count does not exist.
        start: the first hour.

    Returns:
        One dict per flagged hour: the `by` columns, `hour`, the measure, `anomalies`, `score`
        and `baseline`.
    """
    decomposed = kql.series_decompose_anomalies(
        values, settings.threshold or 1.5, settings.seasonality, settings.trend
    )
    return [
        {
            **dict(zip(settings.by, keys[row], strict=True)),
            "hour": start + int(hour) * HOUR,
            settings.measure: float(values[row, hour]),
            "anomalies": float(decomposed.anomalies[row, hour]),
            "score": round(float(decomposed.score[row, hour]), _DIGITS),
            "baseline": round(float(decomposed.baseline[row, hour]), _DIGITS),
        }
        for row, hour in np.argwhere(decomposed.anomalies)
    ]


def hits(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    interval: Interval,
    staged_from: datetime,
    flagged: Sequence[dict[str, Any]],
    left_out: Collection[str] = (),
) -> tuple[Hit, ...]:
    """What the detection's join makes of the flagged hours, tenant by tenant.

    Raises:
        QueryError: when the SQL fails, or two rows have the same identity.
    """
    if not flagged:  # and DuckDB could not tell the types of an empty list
        return ()
    return match.by_part(
        con, hunt, hunt.join, interval, staged_from, left_out, {"flagged": list(flagged)}
    )
