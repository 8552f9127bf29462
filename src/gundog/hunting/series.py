"""Hourly counts per series turned into points, scores, and one finding per series and night."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa

from gundog.core.times import HOUR, HOUR_US, Interval, epoch_us
from gundog.detections import series_keys
from gundog.detections.hunt import Hunt
from gundog.detections.series_keys import series_key
from gundog.findings.model import Hit
from gundog.hunting import counts, hour_states, kusto, series_findings, tenancy
from gundog.hunting.counts import Counted, Counts
from gundog.hunting.hour_states import OBSERVED, STATES, HourStates
from gundog.hunting.series_findings import Night

if TYPE_CHECKING:
    from gundog.hunting.scoring.hour_scores import Scores


@dataclass(frozen=True)
class Scored:
    """What hunting a series over one interval gives.

    `points` is None where the stored ones are kept; `basis` is a hash of what scores followed from.
    """

    hits: tuple[Hit, ...]
    points: pa.Table | None
    counted: Counted
    basis: str
    note: str


def hunt(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    interval: Interval,
    staged_from: datetime,
    *,
    again: bool = False,
    apart: Callable[[], AbstractContextManager[None]] = nullcontext,
    left_out: Collection[str] = (),
) -> Scored:
    """Counts what was not counted yet, scores the interval's hours, and gathers what is flagged.

    An interval that was scored from the very same counts keeps its scores; only what proves its
    findings is gathered again.

    Args:
        con: a connection to the warehouse that sees the staged views.
        hunt: a detection of kind series.
        interval: the scored span, whole hours.
        staged_from: what `$staged_from` is.
        again: scores although nothing changed.
        apart: surrounds scoring, which no limit on a query's memory should cut.
        left_out: tenants of whom nothing is known of the interval; they are not scored.

    Raises:
        QueryError: when the SQL fails.
    """
    settings = hunt.detection.series
    if settings is None:
        raise ValueError(f"{hunt.detection.stem} is not a series")
    training = Interval(interval.start - settings.training, interval.end)
    counted = counts.count(con, hunt, interval, training, staged_from)
    if settings.method == "kql":
        hits, note = _as_kusto(con, hunt, interval, staged_from, counted, left_out)
        return Scored(hits, None, counted, "", note)
    attacks = _confirmed(con, hunt, interval)
    states = hour_states.hour_states(con, hunt.stages, training)
    digests = counts.digests(con, hunt, training, counted)
    basis = _basis(digests, states, attacks, left_out)
    kept = None if again else _kept(con, hunt, interval, basis)
    if kept:
        nights, note = kept
        points = None
    else:
        arranged = counts.arrange(con, hunt, training, counted, states, left_out)
        with apart():
            judged = _score(hunt, interval, arranged, attacks)
        nights = [night for group in judged for night in _nights(group)]
        told = {group.tenant: group.note for group in judged if group.note}
        note = _notes(told, {group.tenant for group in judged}, left_out)
        points = _points_table(hunt, interval, judged)
    return Scored(
        tuple(series_findings.hits(con, hunt, interval, nights)), points, counted, basis, note
    )


def _basis(
    digests: Sequence[tuple[Interval, str]],
    states: HourStates,
    attacks: Sequence[tuple[str, Interval]],
    left_out: Collection[str],
) -> str:
    """A hash of all that scores follow from: counts, what is known of each hour, and attacks."""
    named = [(str(span), digest) for span, digest in digests]
    named += sorted((key, str(span)) for key, span in attacks)
    named += [(name, "left out") for name in sorted(left_out)]
    digest = hashlib.sha256(repr(named).encode() + states.tobytes())
    return digest.hexdigest()[:16]


def _kept(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, basis: str
) -> tuple[list[Night], str] | None:
    """The flagged nights and the note of an interval that was scored from the same; else None."""
    intervals = con.execute(
        """select note from run_intervals where detection_id = ? and detection_hash = ?
           and interval_start = ? and interval_end = ? and state = 'done' and basis = ?""",
        [hunt.detection.id, hunt.hash, interval.start, interval.end, basis],
    ).fetchall()
    nights = series_findings.kept(con, hunt, interval) if intervals else None
    return None if nights is None else (nights, intervals[0][0] or "")


def _as_kusto(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    interval: Interval,
    staged_from: datetime,
    counted: Counted,
    left_out: Collection[str],
) -> tuple[tuple[Hit, ...], str]:
    """Findings of a series of method kql, and how much of its axis holds no data."""
    settings = hunt.detection.series
    assert settings is not None  # noqa: S101 - checked by the caller, for the type checker
    axis = kusto.axis(settings, interval.end)
    states = hour_states.hour_states(con, hunt.stages, axis)
    series = counts.arrange(con, hunt, axis, counted, states, left_out)
    flagged = kusto.flag(settings, series.keys, series.values, axis.start)
    tenants = {series_keys.tenant_of(hunt, key) for key in series.keys} or {None}
    unseen = {name: int((states.of(name) != OBSERVED).sum()) for name in tenants}
    told = {
        name: f"{many} of {axis.length // HOUR} hours have no data; Kusto counts them as 0"
        for name, many in unseen.items()
        if many
    }
    hits = kusto.hits(con, hunt, interval, staged_from, flagged, left_out)
    return hits, _notes(told, tenants, left_out)


def _notes(
    told: Mapping[str | None, str], tenants: Collection[str | None], left_out: Collection[str]
) -> str:
    """What is said of each tenant; its name is left out where the lake has no other tenant."""
    if len({*tenants, *left_out}) < 2:
        return next(iter(told.values()), "")
    named = sorted((tenancy.named(name or ""), said) for name, said in told.items())
    return "; ".join(f"{name}: {said}" for name, said in named)


@dataclass(frozen=True)
class _Judged:
    """Series of a tenant scored together: what each scored hour counted, and how it stands.

    `observed`, `states` and `flagged` are (n_series, scored); `start` is the first scored hour.
    """

    start: datetime
    keys: tuple[tuple[str, ...], ...]
    observed: np.ndarray
    states: np.ndarray
    flagged: np.ndarray
    scores: Scores
    note: str
    tenant: str | None


def _score(
    hunt: Hunt, interval: Interval, series: Counts, attacks: Sequence[tuple[str, Interval]]
) -> list[_Judged]:
    """Scores a tenant's mailboxes against each other's history, and its own series alone."""
    judged = []
    for tenant, mine in counts.by_tenant(hunt, series):
        own, totals = counts.with_totals(mine)
        if own.keys:
            judged.append(_score_group(hunt, interval, own, attacks, tenant, pool=True))
        if totals:
            judged.append(_score_group(hunt, interval, totals, attacks, tenant, pool=False))
    return judged


def _confirmed(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval
) -> list[tuple[str, Interval]]:
    """Nights before the interval that people called attacks, by series key: they teach nothing."""
    attacks = con.execute(
        """select details ->> '$.series_key', interval_start, interval_end from findings
           where detection_id = ? and interval_end <= ?
           and finding_id in (select finding_id from triage group by finding_id
                              having last(verdict order by said_at) = 'true_positive')""",
        [hunt.detection.id, interval.start],
    ).fetchall()
    return [(key, Interval(start, end)) for key, start, end in attacks if key]


def _score_group(
    hunt: Hunt,
    interval: Interval,
    series: Counts,
    attacks: Sequence[tuple[str, Interval]],
    tenant: str | None,
    *,
    pool: bool,
) -> _Judged:
    from gundog.hunting.scoring import hour_scores  # statsforecast takes seconds to import

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
    )
    recent = observed[:, -scored:]
    return _Judged(
        interval.start,
        series.keys,
        recent,
        series.states[:, -scored:],
        scores.flagged & (np.nan_to_num(recent) >= (settings.min_count or 0)),
        scores,
        _said(scores) if pool else "",
        tenant,
    )


def _forget(observed: np.ndarray, series: Counts, attacks: Sequence[tuple[str, Interval]]) -> None:
    """Takes the hours of confirmed attacks out of the history."""
    place = {series_key(key): row for row, key in enumerate(series.keys)} if attacks else {}
    for key, span in attacks:
        if key in place:
            low, high = ((moment - series.start) // HOUR for moment in (span.start, span.end))
            observed[place[key], max(low, 0) : max(high, 0)] = np.nan


def _said(scores: Scores) -> str:
    """The threshold, what to expect of it, and who is too new to be judged."""
    said = [
        f"threshold {scores.threshold:.2f}, {scores.expected_false:.2g} false findings expected"
    ]
    learning = int(scores.learning.sum())
    if learning:
        said.append(f"learning: {learning} of {len(scores.learning)} series have under 14 days")
    return "; ".join(said)


def _nights(judged: _Judged) -> Iterator[Night]:
    """One entry per series and 24 scored hours that hold a flagged one."""
    scores = judged.scores
    for row in np.flatnonzero(judged.flagged.any(axis=1)).tolist():
        for turn, low in enumerate(range(0, judged.flagged.shape[1], 24)):
            places = np.flatnonzero(judged.flagged[row, low : low + 24]) + low
            if len(places):
                yield series_findings.of(
                    judged.keys[row],
                    judged.start,
                    {place: int(scores.window_h[row, place]) for place in places.tolist()},
                    partial(_figures, judged, row),
                    judged.observed[row],
                    scores.expected[row],
                    score=round(float(scores.night_score[row, turn]), 3),
                    n_train=int(scores.n_train[row]),
                )


def _figures(judged: _Judged, row: int, place: int) -> dict[str, float]:
    scores = judged.scores
    return series_findings.figures(
        judged.observed[row, place],
        scores.expected[row, place],
        scores.upper[row, place],
        scores.score[row, place],
    )


def _points_table(hunt: Hunt, interval: Interval, judged: Sequence[_Judged]) -> pa.Table:
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
