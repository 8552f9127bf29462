"""Hourly counts per series turned into points, scores, and one finding per series and night."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from gundog import contributors, counts, findings, published
from gundog.content import Hunt
from gundog.contributors import Excess
from gundog.counts import HOUR, OBSERVED, STATES, TOTAL, Counted, Counts, is_total, series_key
from gundog.findings import Hit
from gundog.interval import Interval, hull

if TYPE_CHECKING:
    from gundog.scoring import Scores


@dataclass(frozen=True)
class Scored:
    """What hunting a series over one interval gives."""

    hits: tuple[Hit, ...]
    points: pa.Table | None
    counts: pa.Table
    counted: tuple[Interval, ...]
    note: str


def hunt(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, staged_from: datetime
) -> Scored:
    """Counts what was not counted yet, scores the interval's hours, and gathers what is flagged.

    Args:
        con: a connection to the warehouse that sees the staged views.
        hunt: a detection of kind series.
        interval: the scored span, whole hours.
        staged_from: what `$staged_from` is.

    Raises:
        QueryError: when the SQL fails.
    """
    settings = hunt.detection.series
    if settings is None:
        raise ValueError(f"{hunt.detection.stem} is no series")
    training = Interval(interval.start - settings.training, interval.end)
    counted = counts.count(con, hunt, interval, training, staged_from)
    if settings.method == "kql":
        hits, note = _as_kusto(con, hunt, interval, staged_from, counted)
        return Scored(hits, None, counted.rows, counted.intervals, note)
    judged = _score(con, hunt, interval, counts.arrange(con, hunt, training, counted))
    nights = [night for one in judged for night in _nights(one)]
    hits = tuple(_hits(con, hunt, interval, nights))
    points = _points_table(hunt, interval, judged)
    note = next((one.note for one in judged if one.note), "")
    return Scored(hits, points, counted.rows, counted.intervals, note)


def _as_kusto(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    interval: Interval,
    staged_from: datetime,
    counted: Counted,
) -> tuple[tuple[Hit, ...], str]:
    """Findings of a series of method kql, and how much of its axis holds no data."""
    settings = hunt.detection.series
    assert settings is not None  # noqa: S101 - checked by the caller, for the type checker
    axis = published.axis(settings, interval.end)
    series = counts.arrange(con, hunt, axis, counted)
    flagged = published.flag(settings, series.keys, series.values, axis.start)
    unseen = int((counts.hour_states(con, hunt.sources, axis) != OBSERVED).sum())
    note = f"{unseen} of {axis.length // HOUR} hours hold no data; Kusto takes them for 0"
    hits = published.hits(con, hunt, interval, staged_from, flagged)
    return hits, note if unseen else ""


@dataclass(frozen=True)
class _Judged:
    """Series scored together: what each scored hour counted, and how it stands.

    `observed`, `states` and `flagged` are (n_series, scored); `start` is the first scored hour.
    """

    start: datetime
    keys: tuple[tuple[str, ...], ...]
    observed: np.ndarray
    states: np.ndarray
    flagged: np.ndarray
    scores: Scores
    note: str


@dataclass(frozen=True)
class _Night:
    """A flagged night of a series: the hours that triggered, and their figures.

    `window_hours` are those whose counts made them trigger; `expected` is what they should hold.
    """

    key: tuple[str, ...]
    start: datetime
    hours: tuple[datetime, ...]
    window_hours: tuple[datetime, ...]
    expected: float
    score: float
    figures: tuple[dict[str, float], ...]
    n_train: int


def _score(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, series: Counts
) -> list[_Judged]:
    """Scores mailboxes against each other's history, and each tenant's own series alone."""
    attacks = _confirmed(con, hunt, interval)
    own, totals = counts.with_totals(series)
    judged = [_score_group(hunt, interval, own, attacks, pool=True)] if own.keys else []
    if totals:
        judged.append(_score_group(hunt, interval, totals, attacks, pool=False))
    return judged


def _confirmed(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval
) -> list[tuple[str, Interval]]:
    """Nights before the interval that people called attacks, by series key: they teach nothing."""
    found = con.execute(
        """select details ->> '$.series_key', interval_start, interval_end from findings
           where detection_id = ? and interval_end <= ?
           and finding_id in (select finding_id from triage group by finding_id
                              having last(verdict order by "at") = 'true_positive')""",
        [hunt.detection.id, interval.start],
    ).fetchall()
    return [(key, Interval(start, end)) for key, start, end in found if key]


def _score_group(
    hunt: Hunt,
    interval: Interval,
    series: Counts,
    attacks: Sequence[tuple[str, Interval]],
    *,
    pool: bool,
) -> _Judged:
    from gundog import scoring  # statsforecast takes seconds to import

    settings = hunt.detection.series
    assert settings is not None  # noqa: S101 - checked by the caller, for the type checker
    observed, scored = counts.observed(series), interval.length // HOUR
    _forget(observed, series, attacks)
    # More than one false finding a night per thousand series is no budget anybody can work with.
    budget = None
    if pool and settings.alert_budget:
        budget = min(settings.alert_budget, len(series.keys) / 1000)
    found = scoring.score(
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
        found.flagged & (np.nan_to_num(recent) >= (settings.min_count or 0)),
        found,
        _said(found) if pool else "",
    )


def _forget(observed: np.ndarray, series: Counts, attacks: Sequence[tuple[str, Interval]]) -> None:
    """Takes the hours of confirmed attacks out of the history."""
    place = {series_key(key): row for row, key in enumerate(series.keys)} if attacks else {}
    for key, span in attacks:
        if key in place:
            low, high = ((one - series.start) // HOUR for one in (span.start, span.end))
            observed[place[key], max(low, 0) : max(high, 0)] = np.nan


def _said(found: Scores) -> str:
    """The threshold, what to expect of it, and who is too new to be judged."""
    said = [f"threshold {found.threshold:.2f}, {found.expected_false:.2g} false findings expected"]
    learning = int(found.learning.sum())
    if learning:
        said.append(f"learning: {learning} of {len(found.learning)} series have under 14 days")
    return "; ".join(said)


def _nights(judged: _Judged) -> Iterator[_Night]:
    """One entry per series and 24 scored hours that hold a flagged one."""
    for row in np.flatnonzero(judged.flagged.any(axis=1)).tolist():
        for night, low in enumerate(range(0, judged.flagged.shape[1], 24)):
            places = np.flatnonzero(judged.flagged[row, low : low + 24]) + low
            if len(places):
                yield _night(judged, row, night, places.tolist())


def _night(judged: _Judged, row: int, night: int, places: Sequence[int]) -> _Night:
    observed, found = judged.observed[row], judged.scores
    window_h = found.window_h[row].tolist()
    reach = {
        back
        for place in places
        for back in range(max(place - window_h[place] + 1, 0), place + 1)
        if observed[back] > 0
    }
    figures = tuple(
        {
            "observed": float(observed[place]),
            "expected": round(float(found.expected[row, place]), 3),
            "upper": round(float(found.upper[row, place]), 3),
            "score": round(float(found.score[row, place]), 3),
            "window_h": window_h[place],
        }
        for place in places
    )
    return _Night(
        judged.keys[row],
        judged.start + night * 24 * HOUR,
        tuple(judged.start + place * HOUR for place in places),
        tuple(judged.start + place * HOUR for place in sorted(reach)),
        float(found.expected[row, sorted(reach or places)].sum()),
        round(float(found.night_score[row, night]), 3),
        figures,
        int(found.n_train[row]),
    )


def _hits(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, nights: Sequence[_Night]
) -> Iterable[Hit]:
    known = [
        Excess(night.key, night.window_hours or night.hours, night.expected) for night in nights
    ]
    settings = hunt.detection.series
    assert settings is not None  # noqa: S101 - checked by the caller, for the type checker
    history = Interval(interval.start - settings.training, interval.start)
    reasons = contributors.explain(con, hunt, history, known) if nights else []
    for night, parts in zip(nights, reasons, strict=True):
        span = hull(Interval(hour, hour + HOUR) for hour in night.window_hours or night.hours)
        events, evidence_count = _evidence(con, hunt, night)
        observed = sum(one["observed"] for one in night.figures)
        expected = sum(one["expected"] for one in night.figures)
        row: dict[str, Any] = {
            **_columns(hunt, night.key),
            **{name: shares[0]["value"] for name, shares in parts.items() if shares},
            **{f"top_{name}": shares for name, shares in parts.items() if shares},
            "start_time": span.start if span else night.start,
            "end_time": span.end if span else interval.end,
            "score": night.score,
            "observed": observed,
            "expected": round(expected, 3),
            "series_key": series_key(night.key),
            "n_train": night.n_train,
            "hours": [
                {"hour": hour, **figures}
                for hour, figures in zip(night.hours, night.figures, strict=True)
            ],
        }
        row["reason"] = _reason(hunt, night, observed, expected)
        yield Hit(
            findings.identify(hunt.detection, [series_key(night.key), night.start]),
            row,
            events,
            evidence_count,
        )


def _columns(hunt: Hunt, key: Sequence[str]) -> dict[str, str]:
    settings = hunt.detection.series
    return dict(zip(settings.by, key, strict=True)) if settings else {}


def _reason(hunt: Hunt, night: _Night, observed: float, expected: float) -> str:
    settings = hunt.detection.series
    measure = settings.measure if settings else "events"
    who = "the whole tenant" if is_total(night.key) else night.key[-1]
    count = len(night.hours)
    hours = "hour" if count == 1 else "hours"
    return (
        f"{observed:,.0f} {measure} of {who} in {count} {hours}"
        f" where its history says {expected:,.1f}"
    )


def _evidence_filter(hunt: Hunt, night: _Night) -> tuple[str, list[Any]]:
    """The condition that selects a night's staged rows, and its values."""
    parts, values = ["event_time >= ? and event_time < ?"], list[Any]()
    span = hull(Interval(hour, hour + HOUR) for hour in night.window_hours or night.hours)
    values += [span.start, span.end] if span else [night.start, night.start]
    parts.append("date_trunc('hour', event_time) in (select unnest(?::timestamptz[]))")
    values.append(list(night.window_hours or night.hours))
    for name, value in _columns(hunt, night.key).items():
        if value != TOTAL or not is_total(night.key):
            parts.append(f"coalesce(\"{name}\"::varchar, '') = ?")
            values.append(value)
    return " and ".join(parts), values


def _evidence(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, night: _Night
) -> tuple[tuple[findings.Event, ...], int]:
    """The records of the hours that triggered: up to the limit, and how many there are."""
    where, values = _evidence_filter(hunt, night)
    stage = hunt.stages[0]
    ids = con.execute(
        f"""select event_id from {stage.name} where {where}
            order by event_time, event_id""",
        values,
    ).fetchall()
    refs = [
        {"role": "record", "source_table": stage.source, "event_id": row[0]}
        for row in ids[: findings.EVIDENCE_LIMIT]
    ]
    span = hull(Interval(hour, hour + HOUR) for hour in night.window_hours or night.hours)
    found = findings.lookup(con, hunt.stages[:1], span, refs) if span else {}
    return tuple(found.values()), len(ids)


def _points_table(hunt: Hunt, interval: Interval, judged: Sequence[_Judged]) -> pa.Table:
    """Scored hours as rows of `series_points`, series by series."""
    scored = interval.length // HOUR
    keys = [series_key(key) for one in judged for key in one.keys]
    n = len(keys) * scored
    hours = np.arange(scored) * 3_600_000_000 + int(interval.start.timestamp()) * 1_000_000
    time = pa.timestamp("us", tz="UTC")

    def flat(arrays: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(one.ravel() for one in arrays)])

    def numbers(name: str) -> pa.Array:
        return pa.array(flat(getattr(one.scores, name) for one in judged), from_pandas=True)

    return pa.table(
        {
            "detection_id": _coded(np.zeros(n), [hunt.detection.id]),
            "series_key": _coded(np.repeat(np.arange(len(keys)), scored), keys),
            "hour": pa.array(np.tile(hours, len(keys)), pa.int64()).cast(time),
            "observed": pa.array(flat(one.observed for one in judged), from_pandas=True),
            "expected": numbers("expected"),
            "upper": numbers("upper"),
            "score": numbers("score"),
            "flagged": pa.array(flat(one.flagged for one in judged).astype(bool)),
            "data_state": _coded(flat(one.states for one in judged), STATES),
            "interval_start": pa.repeat(pa.scalar(interval.start, time), n),
            "interval_end": pa.repeat(pa.scalar(interval.end, time), n),
        }
    )


def _coded(places: np.ndarray, words: Sequence[str]) -> pa.DictionaryArray:
    """Texts that are few among rows that are many."""
    return pa.DictionaryArray.from_arrays(
        pa.array(places.astype(np.int32)), pa.array(words, pa.string())
    )
