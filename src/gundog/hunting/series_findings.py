"""Flagged nights of series, and the findings that they are."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import duckdb
import numpy as np

from gundog.core.times import HOUR, Interval, hull, parse_time
from gundog.detections.hunt import Hunt
from gundog.detections.series_keys import TOTAL, by_values, is_total, series_key
from gundog.findings import model
from gundog.findings.model import Hit
from gundog.hunting import contributors, match
from gundog.hunting.contributors import Excess
from gundog.warehouse import quoting


@dataclass(frozen=True)
class Night:
    """A flagged night of a series: its hours and their figures.

    `hours` are those that triggered and, with `window_h` 0, those before them that counted at least
    one more than expected and so made them. `window_hours` are the ones of them that counted
    anything: what a finding's words and evidence are of; `expected` is what these should hold, and
    `new` how much of what they hold was of something new, by kind.
    """

    key: tuple[str, ...]
    start: datetime
    hours: tuple[datetime, ...]
    window_hours: tuple[datetime, ...]
    expected: float
    score: float
    figures: tuple[dict[str, float], ...]
    n_train: int
    new: Mapping[str, float] = field(default_factory=dict)


def of(
    key: tuple[str, ...],
    start: datetime,
    windows: Mapping[int, int],
    figures: Callable[[int], dict[str, float]],
    observed: np.ndarray,
    expected: np.ndarray,
    *,
    score: float,
    n_train: int,
) -> Night:
    """A night of a series.

    Args:
        key: the series' `by` values.
        start: the first scored hour of the interval.
        windows: how many hours triggered with each hour that did, itself the last, by its place
            among the scored hours.
        figures: observed, expected, upper and score of the hour at a place.
        observed: (scored,), what the series counted.
        expected: (scored,), what history says.
        score: the night's.
        n_train: observed hours of history.
    """
    reach = {
        back
        for place, window_h in windows.items()
        for back in range(max(place - window_h + 1, 0), place + 1)
        if observed[back] - expected[back] >= 1 or (back in windows and observed[back] > 0)
    }
    places = sorted(reach | windows.keys())
    return Night(
        key,
        start + min(windows) // 24 * 24 * HOUR,
        tuple(start + place * HOUR for place in places),
        tuple(start + place * HOUR for place in sorted(reach)),
        float(expected[sorted(reach or windows)].sum()),
        score,
        tuple({**figures(place), "window_h": windows.get(place, 0)} for place in places),
        n_train,
    )


def figures(observed: float, expected: float, upper: float, score: float) -> dict[str, float]:
    """What a finding says of one hour.

    >>> figures(7, 1.23456, 4, 3.1)
    {'observed': 7.0, 'expected': 1.235, 'upper': 4.0, 'score': 3.1}
    """
    return {
        "observed": float(observed),
        "expected": round(float(expected), 3),
        "upper": round(float(upper), 3),
        "score": round(float(score), 3),
    }


def kept(con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval) -> list[Night] | None:
    """The nights of the interval as its stored findings and points have them.

    None where the points of one were removed, so that the night cannot be told from them.
    """
    findings = con.execute(
        """select details, score from findings where detection_id = ? and detection_hash = ?
           and interval_start = ? and interval_end = ?""",
        [hunt.detection.id, hunt.hash, interval.start, interval.end],
    ).fetchall()
    nights = []
    for details, score in findings:
        row = json.loads(details)
        points = _points(con, hunt, interval, row["series_key"])
        if len(points) != interval.length // HOUR:
            return None
        windows = {
            (parse_time(hour["hour"]) - interval.start) // HOUR: int(hour["window_h"])
            for hour in row["hours"]
            if hour["window_h"]
        }
        night = of(
            by_values(row["series_key"]),
            interval.start,
            windows,
            lambda place, points=points: figures(*points[place]),  # type: ignore[misc]
            points[:, 0],
            points[:, 1],
            score=score,
            n_train=row["n_train"],
        )
        nights.append(replace(night, new=row.get("new", {})))
    return nights


def _points(con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, key: str) -> np.ndarray:
    """Observed, expected, upper and score of each scored hour, (hours, 4); NaN where unobserved."""
    rows = con.execute(
        """select observed, expected, upper, score from series_points
           where detection_id = ? and series_key = ? and hour >= ? and hour < ? order by hour""",
        [hunt.detection.id, key, interval.start, interval.end],
    ).fetchall()
    return np.array(rows, dtype=float).reshape(-1, 4)


def hits(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, nights: Sequence[Night]
) -> Iterator[Hit]:
    """The findings of nights, each with what its excess is made of and the records behind it.

    Args:
        con: a connection to the warehouse that sees the staged views.
        hunt: the series.
        interval: the scored span.
        nights: its flagged nights.
    """
    excesses = [
        Excess(night.key, night.window_hours or night.hours, night.expected) for night in nights
    ]
    settings = hunt.detection.series
    assert settings is not None  # noqa: S101 - checked by the caller, for the type checker
    history = Interval(interval.start - settings.training, interval.start)
    reasons = contributors.explain(con, hunt, history, excesses) if nights else []
    for night, parts in zip(nights, reasons, strict=True):
        span = hull(Interval(hour, hour + HOUR) for hour in night.window_hours or night.hours)
        events, evidence_count = _evidence(con, hunt, night)
        observed = sum(hour["observed"] for hour in night.figures)
        row: dict[str, Any] = {
            **_columns(hunt, night.key),
            **{name: shares[0]["value"] for name, shares in parts.items() if shares},
            **{f"top_{name}": shares for name, shares in parts.items() if shares},
            "start_time": span.start if span else night.start,
            "end_time": span.end if span else interval.end,
            "score": night.score,
            "observed": observed,
            "expected": round(night.expected, 3),
            "series_key": series_key(night.key),
            "n_train": night.n_train,
            "hours": [
                {"hour": hour, **figures}
                for hour, figures in zip(night.hours, night.figures, strict=True)
            ],
        }
        row |= {"new": dict(night.new)} if night.new else {}
        row["reason"] = _reason(hunt, night, observed)
        yield Hit(
            model.identify(hunt.detection, [series_key(night.key), night.start]),
            row,
            events,
            evidence_count,
        )


def _columns(hunt: Hunt, key: Sequence[str]) -> dict[str, str]:
    settings = hunt.detection.series
    return dict(zip(settings.by, key, strict=True)) if settings else {}


def _reason(hunt: Hunt, night: Night, observed: float) -> str:
    settings = hunt.detection.series
    measure = settings.measure if settings else "events"
    who = "the whole tenant" if is_total(night.key) else night.key[-1]
    count = len(night.window_hours or night.hours)
    hours = "hour" if count == 1 else "hours"
    said = f"{observed:,.0f} {measure} of {who} in {count} {hours}; {night.expected:,.1f} expected"
    return "; ".join([said, *_from_new(night.new)])


def _from_new(new: Mapping[str, float]) -> Iterator[str]:
    """How much came from what is new, equal amounts of one kind of newness together."""
    alike = defaultdict[tuple[str, float], list[str]](list)
    for name, amount in new.items():
        kind, _, thing = name.partition("_")
        alike[kind, amount].append(thing.replace("_", " "))
    for (kind, amount), things in alike.items():
        *first, last = things
        listed = f"{', '.join(first)} and {last}" if first else last
        yield f"{amount:,.0f} from a {kind} {listed}".rstrip()


def _evidence_filter(hunt: Hunt, night: Night) -> tuple[str, list[Any]]:
    """The condition that selects a night's staged rows, and its values."""
    parts, values = ["event_time >= ? and event_time < ?"], list[Any]()
    span = hull(Interval(hour, hour + HOUR) for hour in night.window_hours or night.hours)
    values += [span.start, span.end] if span else [night.start, night.start]
    parts.append("date_trunc('hour', event_time) in (select unnest(?::timestamptz[]))")
    values.append(list(night.window_hours or night.hours))
    for name, value in _columns(hunt, night.key).items():
        if value != TOTAL or not is_total(night.key):
            parts.append(f"coalesce({quoting.name(name)}::varchar, '') = ?")
            values.append(value)
    return " and ".join(parts), values


def _evidence(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, night: Night
) -> tuple[tuple[model.Event, ...], int]:
    """The records of the hours that triggered: up to the limit, and how many there are."""
    where, values = _evidence_filter(hunt, night)
    stage = hunt.stages[0]
    ids = con.execute(
        f"""select event_id, tenant from {stage.view} where {where}
            order by event_time, event_id""",
        values,
    ).fetchall()
    refs = [
        {"role": "record", "source_table": stage.source, "event_id": key, "tenant": tenant}
        for key, tenant in ids[: model.EVIDENCE_LIMIT]
    ]
    span = hull(Interval(hour, hour + HOUR) for hour in night.window_hours or night.hours)
    events = match.lookup(con, hunt.stages[:1], span, refs) if span else {}
    return tuple(events.values()), len(ids)
