"""Method forecast: hours of series scored against their own history, as nights and points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gundog.core.times import HOUR, HOUR_US, Interval, epoch_us
from gundog.detections.hunt import Hunt
from gundog.detections.series_keys import series_key
from gundog.hunting import counts, series_findings
from gundog.hunting.counts import Counts
from gundog.hunting.hour_states import STATES
from gundog.hunting.series_findings import Night

if TYPE_CHECKING:
    from gundog.hunting.scoring.hour_scores import Scores
    from gundog.hunting.scoring.newness import Newness


@dataclass(frozen=True)
class Judged:
    """Series of a tenant scored together: what each scored hour counted, and how it stands.

    `observed`, `states` and `flagged` are (n_series, scored); `start` is the first scored hour.
    `new` is what came from something new, of each kind in `kinds`, on an axis that begins at
    `axis`.
    """

    start: datetime
    keys: tuple[tuple[str, ...], ...]
    observed: np.ndarray
    states: np.ndarray
    flagged: np.ndarray
    scores: Scores
    note: str
    tenant: str | None
    axis: datetime
    kinds: tuple[str, ...] = ()
    new: Newness | None = None


def score(
    hunt: Hunt,
    interval: Interval,
    series: Counts,
    attacks: Sequence[tuple[str, Interval]],
    threads: int = 1,
) -> list[Judged]:
    """Scores each tenant's mailboxes against each other's history, and its own series alone.

    Args:
        hunt: a detection of kind series and method forecast.
        interval: the scored span, whole hours.
        series: counts of the training span and of the interval.
        attacks: confirmed attacks by series key; they teach nothing.
        threads: how many cores it may use.

    Raises:
        ModelError: when the model that `series.model` names fails for every series.
    """
    judged = []
    for tenant, mine in counts.by_tenant(hunt, series):
        own, totals = counts.with_totals(mine)
        if own.keys:
            judged.append(_score_group(hunt, interval, own, attacks, tenant, threads, pool=True))
        if totals:
            judged.append(
                _score_group(hunt, interval, totals, attacks, tenant, threads, pool=False)
            )
    return judged


def _score_group(
    hunt: Hunt,
    interval: Interval,
    series: Counts,
    attacks: Sequence[tuple[str, Interval]],
    tenant: str | None,
    threads: int,
    *,
    pool: bool,
) -> Judged:
    from gundog.hunting.scoring import hour_scores  # scipy takes a while to import

    settings = hunt.detection.series
    assert settings is not None  # noqa: S101 - checked by the caller, for the type checker
    observed, scored = counts.observed(series), interval.length // HOUR
    _forget(observed, series, attacks)
    # More than one false finding a night per thousand series is not a budget anybody can work with.
    budget = None
    if pool and settings.alert_budget:
        budget = min(settings.alert_budget, len(series.keys) / 1000)
    scores = hour_scores.score(
        observed,
        series.start,
        scored,
        budget=budget,
        threshold=settings.threshold,
        pool=pool,
        time_zone=settings.time_zone,
        model=settings.model,
        jobs=threads,
        new=series.new if pool else None,
    )
    recent = observed[:, -scored:]
    return Judged(
        interval.start,
        series.keys,
        recent,
        series.states[:, -scored:],
        scores.flagged & (np.nan_to_num(recent) >= (settings.min_count or 0)),
        scores,
        _said(hunt, scores) if pool else "",
        tenant,
        series.start,
        settings.newness,
        series.new if pool else None,
    )


def _forget(observed: np.ndarray, series: Counts, attacks: Sequence[tuple[str, Interval]]) -> None:
    """Takes the hours of confirmed attacks out of the history."""
    place = {series_key(key): row for row, key in enumerate(series.keys)} if attacks else {}
    for key, span in attacks:
        if key in place:
            low, high = ((moment - series.start) // HOUR for moment in (span.start, span.end))
            observed[place[key], max(low, 0) : max(high, 0)] = np.nan


def _said(hunt: Hunt, scores: Scores) -> str:
    """The threshold, what to expect of it, and who is too new to be judged."""
    said = [
        f"threshold {scores.threshold:.2f}, {scores.expected_false:.2g} false findings expected"
    ]
    learning = int(scores.learning.sum())
    if learning:
        said.append(f"learning: {learning} of {len(scores.learning)} series have under 14 days")
    if scores.unfitted:
        settings = hunt.detection.series
        name = ", ".join(settings.model or ()) if settings else ""
        many = f"{scores.unfitted} of {len(scores.learning)} series"
        said.append(f"{name} failed for {many}, which have the default model")
    return "; ".join(said)


def nights(judged: Sequence[Judged]) -> list[Night]:
    """One entry per series and 24 scored hours that hold a flagged one."""
    return [night for group in judged for night in _nights(group)]


def _nights(group: Judged) -> Iterator[Night]:
    scores = group.scores
    for row in np.flatnonzero(group.flagged.any(axis=1)).tolist():
        for turn, low in enumerate(range(0, group.flagged.shape[1], 24)):
            places = np.flatnonzero(group.flagged[row, low : low + 24]) + low
            if len(places):
                night = series_findings.of(
                    group.keys[row],
                    group.start,
                    {place: int(scores.window_h[row, place]) for place in places.tolist()},
                    partial(_figures, group, row),
                    group.observed[row],
                    scores.expected[row],
                    score=round(float(scores.night_score[row, turn]), 3),
                    n_train=int(scores.n_train[row]),
                )
                yield replace(night, new=_new(group, row, night.window_hours))


def _new(group: Judged, row: int, hours: Sequence[datetime]) -> dict[str, float]:
    """How much of what a series counted in some hours came from something new, by kind."""
    if group.new is None:
        return {}
    places = [(hour - group.axis) // HOUR for hour in hours]
    mine = (group.new.rows == row) & np.isin(group.new.hours, places)
    amounts = group.new.amounts[mine].sum(axis=0).tolist()
    return {kind: amount for kind, amount in zip(group.kinds, amounts, strict=True) if amount}


def _figures(group: Judged, row: int, place: int) -> dict[str, float]:
    scores = group.scores
    return series_findings.figures(
        group.observed[row, place],
        scores.expected[row, place],
        scores.upper[row, place],
        scores.score[row, place],
    )


def points_table(hunt: Hunt, interval: Interval, judged: Sequence[Judged]) -> pa.Table:
    """Scored hours as rows of `series_points`, series by series."""
    scored = interval.length // HOUR
    keys = [series_key(key) for group in judged for key in group.keys]
    n = len(keys) * scored
    hours = np.arange(scored) * HOUR_US + epoch_us(interval.start)
    time = pa.timestamp("us", tz="UTC")

    def flat(arrays: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(array.ravel() for array in arrays)])

    def numbers(name: str) -> pa.Array:
        return pa.array(flat(getattr(group.scores, name) for group in judged), from_pandas=True)

    return pa.table(
        {
            "detection_id": _coded(np.zeros(n), [hunt.detection.id]),
            "series_key": _coded(np.repeat(np.arange(len(keys)), scored), keys),
            "hour": pa.array(np.tile(hours, len(keys)), pa.int64()).cast(time),
            "observed": pa.array(flat(group.observed for group in judged), from_pandas=True),
            "expected": numbers("expected"),
            "upper": numbers("upper"),
            "score": numbers("score"),
            "flagged": pa.array(flat(group.flagged for group in judged).astype(bool)),
            "data_state": _coded(flat(group.states for group in judged), STATES),
            "interval_start": pa.repeat(pa.scalar(interval.start, time), n),
            "interval_end": pa.repeat(pa.scalar(interval.end, time), n),
        }
    )


def _coded(places: np.ndarray, words: Sequence[str]) -> pa.DictionaryArray:
    """Texts that are few among rows that are many."""
    return pa.DictionaryArray.from_arrays(
        pa.array(places.astype(np.int32)), pa.array(words, pa.string())
    )
