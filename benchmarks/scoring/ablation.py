"""What each part of the score gives: the same samples without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from gundog.hunting.scoring import baseline, calibration, surprise


def _without_channel(channel: int) -> Any:
    whole = surprise.channels

    def channels(hourly: np.ndarray) -> np.ndarray:
        sums = whole(hourly)
        sums[..., channel] = -np.inf
        return sums

    return channels


def _unguarded(y: np.ndarray, _: np.ndarray) -> np.ndarray:
    return np.repeat((y > 0)[..., None], len(surprise.WINDOWS_H), axis=-1)


def _hourly(y: np.ndarray, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.nan_to_num(y), np.where(np.isfinite(y), mu, baseline.MIN_EXPECTED)


def _nightly(nights: np.ndarray, counted: np.ndarray | None = None) -> calibration.Clean:
    return replace(_clean(nights, counted), weeks=calibration.tail(nights), a_week=1.0)


_clean = calibration.clean

# A part's name, the module it lives in, and what stands in its place.
PARTS: dict[str, tuple[Any, str, Any]] = {
    "level": (baseline, "_levels", lambda y, *_: np.ones((len(y), y.shape[1] // 24 + 1))),
    "guard of polluted weeks": (baseline, "_guard", lambda counts, *_: counts),
    "hour of the week (SeasonalWindowAverage)": (baseline, "_PHASE_HOURS", 1e6),
    "hour of the day": (baseline, "_CELL_HOURS", 1e6),
    "variance drawn to the group's": (baseline, "_SERIES_PRIOR", 1e-6),
    "leaving the week out": (baseline, "_without_each", lambda total, weekly: total + 0 * weekly),
    "rate groups": (calibration, "_MIN_NIGHTS", 10**9),
    "three hours as one": (surprise, "threes", _hourly),
    "3 h window": (surprise, "channels", _without_channel(0)),
    "24 h window": (surprise, "channels", _without_channel(1)),
    "damping of the 24 h window": (surprise, "damp", lambda hourly: hourly),
    "lift guard": (surprise, "passes", _unguarded),
    "weeks in place of nights": (calibration, "clean", _nightly),
    "own scale of the tail": (calibration.Scorer, "score", lambda _, value, *__: value),
}


@contextmanager
def without(part: str) -> Iterator[None]:
    """Within it `gundog.hunting.scoring.hour_scores` works without the part."""
    place, name, instead = PARTS[part]
    kept = getattr(place, name)
    setattr(place, name, instead)
    try:
        yield
    finally:
        setattr(place, name, kept)
