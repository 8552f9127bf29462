"""Hourly counts per series turned into points, scores, and one finding per series and night.

Counts are taken from staged rows once per interval and kept, so that a night's cost does not grow
with the history it trains on. An hour that was not observed is missing, never zero.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gundog import content, findings, published, query
from gundog.content import Hunt
from gundog.findings import Hit
from gundog.interval import Interval, hull, split

HOUR = timedelta(hours=1)
OUTAGE_ROWS = 20
THROTTLED_HOURS = 24
TOTAL = "*"
_CONTRIBUTORS = ("app_id", "ip_address", "access_type")
_STATES = np.array(["observed", "no_data", "outage", "throttled"])
_OBSERVED, _NO_DATA, _OUTAGE, _THROTTLED = range(4)


@dataclass(frozen=True)
class Counts:
    """Counts of every series on one hourly axis.

    `values` is (n_series, n_hours), zero where nothing was counted; `states` has the same shape
    and says which hours were observed at all. `keys` are the values of the `by` columns.
    """

    start: datetime
    keys: tuple[tuple[str, ...], ...]
    values: np.ndarray
    states: np.ndarray

    @property
    def observed(self) -> np.ndarray:
        """Values with NaN where an hour was not observed."""
        return np.where(self.states == _OBSERVED, self.values, np.nan)


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
    counted = _uncounted(con, hunt, interval, training)
    fresh = [_count(con, hunt, span, staged_from) for span in _merged(counted)]
    kept = _kept(con, hunt, training, counted)
    rows = pa.concat_tables([kept, *fresh])
    if settings.method == "kql":
        hits, note = _as_kusto(con, hunt, interval, staged_from, rows)
        return Scored(hits, None, pa.concat_tables(fresh), counted, note)
    counts = _arrange(con, hunt, training, rows)
    scored_hours = interval.length // HOUR
    points, nights, note = _score(hunt, counts, scored_hours)
    hits = tuple(_hits(con, hunt, interval, nights))
    table = _points_table(hunt, interval, points)
    return Scored(hits, table, pa.concat_tables(fresh), counted, note)


def _as_kusto(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    interval: Interval,
    staged_from: datetime,
    rows: pa.Table,
) -> tuple[tuple[Hit, ...], str]:
    """Findings of a series of method kql, and how much of its axis holds no data."""
    settings = hunt.detection.series
    assert settings is not None  # noqa: S101 - checked by the caller, for the type checker
    axis = published.axis(settings, interval.end)
    inside = pc.and_(
        pc.greater_equal(rows["hour"], pa.scalar(axis.start, rows["hour"].type)),
        pc.less(rows["hour"], pa.scalar(axis.end, rows["hour"].type)),
    )
    counts = _arrange(con, hunt, axis, rows.filter(inside))
    flagged = published.flag(settings, counts.keys, counts.values, axis.start)
    unseen = int((_hour_states(con, hunt.sources, axis) != _OBSERVED).sum())
    note = f"{unseen} of {axis.length // HOUR} hours hold no data; Kusto takes them for 0"
    hits = published.hits(con, hunt, interval, staged_from, flagged)
    return hits, note if unseen else ""


def _uncounted(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, training: Interval
) -> tuple[Interval, ...]:
    """Grid intervals of the training span whose rows changed since they were counted, if ever."""
    detection = hunt.detection
    names = [stage.name for stage in hunt.stages]
    stale = con.execute(
        """select s.interval_start, s.interval_end,
                  exists (select 1 from stage_changes as c
                          where c.stage in (select unnest(?::varchar[])) and c.seq > s.seq
                          and c.max_time >= s.interval_start and c.min_time < s.interval_end)
           from series_spans as s
           where s.detection_id = ? and s.detection_hash = ?
           and s.interval_end > ? and s.interval_start < ?""",
        [names, detection.id, hunt.hash, training.start, training.end],
    ).fetchall()
    fresh = {Interval(start, end) for start, end, changed in stale if not changed}
    grid = split(Interval(_grid_start(interval, training.start, detection.frequency), interval.end),
                 detection.frequency)  # fmt: skip
    return tuple(one for one in grid if one not in fresh or one.overlaps(interval))


def _grid_start(interval: Interval, at: datetime, frequency: timedelta) -> datetime:
    """The grid point at or before `at`, counted back from the interval."""
    steps = -((at - interval.start) // frequency)
    return interval.start - steps * frequency


def _merged(spans: Sequence[Interval]) -> list[Interval]:
    """Adjacent spans as one, so that a first night counts its history in one query."""
    merged: list[Interval] = []
    for span in spans:
        if merged and merged[-1].end == span.start:
            merged[-1] = Interval(merged[-1].start, span.end)
        else:
            merged.append(span)
    return merged


_COUNTS_SCHEMA = pa.schema(
    [
        ("detection_id", pa.string()),
        ("detection_hash", pa.string()),
        ("series_key", pa.string()),
        ("by_values", pa.string()),
        ("hour", pa.timestamp("us", tz="UTC")),
        ("observed", pa.float64()),
        ("measures", pa.string()),
        ("throttled", pa.bool_()),
    ]
)


def _count(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, span: Interval, staged_from: datetime
) -> pa.Table:
    """The hunt's hourly rows for a span, in the shape they are kept in."""
    detection, settings = hunt.detection, hunt.detection.series
    assert settings is not None  # noqa: S101 - checked by the caller, for the type checker
    params = content.bind_params(detection.params, span.start, span.end, staged_from)
    rows = query.arrow(con, hunt.sql, params)
    rows = rows.filter((pc.field("hour") >= span.start) & (pc.field("hour") < span.end))
    n = rows.num_rows
    throttled = _flags(rows)
    by = [rows[name].to_pylist() for name in settings.by]
    keys = [json.dumps([_text(one) for one in values]) for values in zip(*by, strict=True)]
    others = [name for name in rows.column_names if name not in (*settings.by, "hour", "throttled")]
    measures = zip(*(rows[name].to_pylist() for name in others), strict=True)
    texts = [findings.canonical(dict(zip(others, one, strict=True))) for one in measures]
    return pa.table(
        [
            pa.array([detection.id] * n, pa.string()),
            pa.array([hunt.hash] * n, pa.string()),
            pa.array([series_key(json.loads(key)) for key in keys], pa.string()),
            pa.array(keys, pa.string()),
            rows["hour"].cast(_COUNTS_SCHEMA.field("hour").type),
            rows[settings.measure].cast(pa.float64()),
            pa.array(texts, pa.string()),
            throttled,
        ],
        schema=_COUNTS_SCHEMA,
    )


def _flags(rows: pa.Table) -> pa.Array:
    """The reserved column `throttled`; false where the hunt returns none."""
    if "throttled" not in rows.column_names:
        return pa.array([False] * rows.num_rows, pa.bool_())
    return rows["throttled"].combine_chunks().cast(pa.bool_())


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def series_key(values: Iterable[str]) -> str:
    """How a series is named: its `by` values joined by a slash, which none of them keeps.

    >>> series_key(["", "ana@example.com"]), series_key(["a/b", "5%"])
    ('/ana@example.com', 'a%2Fb/5%25')
    """
    return "/".join(value.replace("%", "%25").replace("/", "%2F") for value in values)


def _kept(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, training: Interval, counted: Sequence[Interval]
) -> pa.Table:
    """Counts that were taken before and still hold."""
    spans = [[span.start, span.end] for span in _merged(counted)]
    rows = con.sql(
        """with renewed as (
               select span[1] as low, span[2] as high
               from (select unnest(?::timestamptz[][]) as span))
           select detection_id::varchar as detection_id, detection_hash, series_key,
                  by_values::varchar as by_values, hour, observed, measures::varchar as measures,
                  throttled
           from series_counts as c
           where detection_id = ? and detection_hash = ? and hour >= ? and hour < ?
           and not exists (select 1 from renewed where c.hour >= low and c.hour < high)""",
        params=[spans, hunt.detection.id, hunt.hash, training.start, training.end],
    ).to_arrow_table()
    return rows.cast(_COUNTS_SCHEMA)


def _arrange(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, training: Interval, rows: pa.Table
) -> Counts:
    """Rows on a dense axis, with the tenant's own series, and which hours were observed."""
    hours = training.length // HOUR
    # The first interval that was counted may begin before the training span does.
    rows = rows.filter(pc.field("hour") >= training.start)
    encoded = rows["by_values"].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=lambda i: names[i])
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    index = rank[encoded.indices.to_numpy(zero_copy_only=False)] if names else np.array([], int)
    seconds = rows["hour"].cast(pa.int64()).to_numpy() // 1_000_000
    column = (seconds - int(training.start.timestamp())) // 3600
    values = np.zeros((len(names), hours))
    np.add.at(values, (index, column), rows["observed"].fill_null(0).to_numpy())
    marks = np.zeros((len(names), hours), dtype=bool)
    flags = rows["throttled"].fill_null(False).to_numpy(zero_copy_only=False)
    np.logical_or.at(marks, (index, column), flags)
    common = _hour_states(con, hunt.sources, training)
    states = np.where(_after(marks), _THROTTLED, _OBSERVED)
    states = np.where(common[None, :] != _OBSERVED, common[None, :], states)
    keys = tuple(tuple(json.loads(names[i])) for i in order)
    counts = Counts(training.start, keys, values, states)
    settings = hunt.detection.series
    return counts if settings and settings.method == "kql" else _with_totals(counts, common)


def _after(marks: np.ndarray) -> np.ndarray:
    """True in the 24 hours after a mark: recording was cut off there."""
    hidden = np.zeros_like(marks)
    for lag in range(1, min(THROTTLED_HOURS, marks.shape[1] - 1) + 1):
        hidden[:, lag:] |= marks[:, :-lag]
    return hidden


def _with_totals(counts: Counts, common: np.ndarray) -> Counts:
    """The same with one series per tenant added, the sum of its own; none for a single column."""
    if not counts.keys or len(counts.keys[0]) < 2:
        return counts
    # A mailbox that somebody named like the tenant's own series has none of its own.
    own = np.array([not is_total(key) for key in counts.keys])
    tenants = sorted({key[0] for key in counts.keys})
    keys = tuple((tenant, *[TOTAL] * (len(counts.keys[0]) - 1)) for tenant in tenants)
    owner = np.array([key[0] for key in counts.keys])
    sums = np.array([counts.values[owner == tenant].sum(axis=0) for tenant in tenants])
    states = np.repeat(common[None, :], len(tenants), axis=0)
    return Counts(
        counts.start,
        tuple(key for key in counts.keys if not is_total(key)) + keys,
        np.vstack([counts.values[own], sums]),
        np.vstack([counts.states[own], states]),
    )


def is_total(key: Sequence[str]) -> bool:
    """True for a tenant's own series."""
    return len(key) > 1 and all(one == TOTAL for one in key[1:])


def _hour_states(
    con: duckdb.DuckDBPyConnection, sources: Sequence[str], span: Interval
) -> np.ndarray:
    """Per hour of the span: observed, no_data (no file covers it) or outage; shape (n_hours,)."""
    states = np.full(span.length // HOUR, _OBSERVED)
    for source in sources:
        counts = _source_counts(con, source, span)
        covered = _covered(con, source, span)
        usual = _usual(counts, covered)
        states[(counts == 0) & (usual >= OUTAGE_ROWS) & (states == _OBSERVED)] = _OUTAGE
        states[~covered & (counts == 0)] = _NO_DATA
    return states


def _source_counts(con: duckdb.DuckDBPyConnection, source: str, span: Interval) -> np.ndarray:
    found = con.execute(
        """select date_diff('hour', ?::timestamptz, hour) as place, sum(rows)::bigint
           from source_hours where source_table = ? and hour >= ? and hour < ? group by place""",
        [span.start, source, span.start, span.end],
    ).fetchall()
    counts = np.zeros(span.length // HOUR, dtype=np.int64)
    for place, rows in found:
        counts[place] = rows
    return counts


def _covered(con: duckdb.DuckDBPyConnection, source: str, span: Interval) -> np.ndarray:
    """True where a file's path stands for the hour."""
    found = con.execute(
        """select distinct covers_start, covers_end from source_files
           where source_table = ? and state = 'staged' and covers_end > ? and covers_start < ?""",
        [source, span.start, span.end],
    ).fetchall()
    covered = np.zeros(span.length // HOUR, dtype=bool)
    for start, end in found:
        low = max((start - span.start) // HOUR, 0)
        covered[low : max(-((span.start - end) // HOUR), 0)] = True
    return covered


def _usual(counts: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Per hour, the median of the same hour of the week in the weeks before it; 0 before any."""
    usual = np.zeros(len(counts))
    known = np.where(covered | (counts > 0), counts, np.nan)
    for place in range(168, len(counts)):
        weeks = known[place % 168 : place : 168]
        weeks = weeks[~np.isnan(weeks)]
        usual[place] = np.median(weeks) if len(weeks) else 0
    return usual


@dataclass(frozen=True)
class _Point:
    """Scored hours of one series, arrays of shape (scored,)."""

    key: tuple[str, ...]
    observed: np.ndarray
    states: np.ndarray
    expected: np.ndarray
    upper: np.ndarray
    score: np.ndarray
    flagged: np.ndarray


@dataclass(frozen=True)
class _Night:
    """A flagged night of a series: the hours that triggered, and their figures."""

    key: tuple[str, ...]
    start: datetime
    hours: tuple[datetime, ...]
    window_hours: tuple[datetime, ...]
    score: float
    figures: tuple[dict[str, float], ...]
    n_train: int


def _score(hunt: Hunt, counts: Counts, scored: int) -> tuple[list[_Point], list[_Night], str]:
    """Scores mailboxes against each other's history, and each tenant's own series alone."""
    if not counts.keys:
        return [], [], ""
    total = np.array([is_total(key) for key in counts.keys])
    points, nights, notes = [], [], []
    for member, pool in ((~total, True), (total, False)):
        rows = np.flatnonzero(member)
        if not len(rows):
            continue
        group_points, group_nights, note = _score_group(hunt, counts, rows, scored, pool)
        points += group_points
        nights += group_nights
        notes.append(note)
    return points, nights, next((note for note in notes if note), "")


def _score_group(
    hunt: Hunt, counts: Counts, rows: np.ndarray, scored: int, pool: bool
) -> tuple[list[_Point], list[_Night], str]:
    from gundog import scoring  # statsforecast takes seconds to import

    settings = hunt.detection.series
    assert settings is not None  # noqa: S101 - checked by the caller, for the type checker
    observed = counts.observed[rows]
    # More than one false finding a night per thousand series is no budget anybody can work with.
    budget = (
        min(settings.alert_budget, len(rows) / 1000) if pool and settings.alert_budget else None
    )
    found = scoring.score(
        observed,
        counts.start,
        scored,
        budget=budget,
        threshold=settings.threshold,
        pool=pool,
        time_zone=settings.time_zone,
    )
    first = counts.start + (observed.shape[1] - scored) * HOUR
    points, nights = [], []
    for place, row in enumerate(rows):
        flagged = found.flagged[place] & _enough(observed[place, -scored:], settings.min_count)
        point = _Point(
            counts.keys[row],
            observed[place, -scored:],
            counts.states[row, -scored:],
            found.expected[place],
            found.upper[place],
            found.score[place],
            flagged,
        )
        points.append(point)
        nights += _nights(point, found.window_h[place], found.night_score[place], first,
                          int(found.n_train[place]))  # fmt: skip
    learning = int(found.learning.sum())
    said = [f"threshold {found.threshold:.2f}, {found.expected_false:.2g} false findings expected"]
    if learning:
        said.append(f"learning: {learning} of {len(rows)} series have under 14 days")
    return points, nights, "; ".join(said) if pool else ""


def _enough(observed: np.ndarray, least: float | None) -> np.ndarray:
    enough: np.ndarray = np.nan_to_num(observed) >= (least or 0)
    return enough


def _nights(
    point: _Point, window_h: np.ndarray, night_score: np.ndarray, first: datetime, n_train: int
) -> list[_Night]:
    """One entry per 24 scored hours that hold a flagged one."""
    nights = []
    for night, low in enumerate(range(0, len(point.flagged), 24)):
        places = [int(p) for p in np.flatnonzero(point.flagged[low : low + 24]) + low]
        if not places:
            continue
        reach = {
            back
            for place in places
            for back in range(max(place - int(window_h[place]) + 1, 0), place + 1)
            if point.observed[back] > 0
        }
        figures = tuple(
            {
                "observed": float(point.observed[place]),
                "expected": round(float(point.expected[place]), 3),
                "upper": round(float(point.upper[place]), 3),
                "score": round(float(point.score[place]), 3),
                "window_h": int(window_h[place]),
            }
            for place in places
        )
        nights.append(
            _Night(
                point.key,
                first + low * HOUR,
                tuple(first + place * HOUR for place in places),
                tuple(first + place * HOUR for place in sorted(reach)),
                round(float(night_score[night]), 3),
                figures,
                n_train,
            )
        )
    return nights


def _hits(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, nights: Sequence[_Night]
) -> Iterable[Hit]:
    for night in nights:
        span = hull(Interval(hour, hour + HOUR) for hour in night.window_hours or night.hours)
        events, evidence_count = _evidence(con, hunt, night)
        observed = sum(one["observed"] for one in night.figures)
        expected = sum(one["expected"] for one in night.figures)
        row: dict[str, Any] = {
            **_columns(hunt, night.key),
            **_top(con, hunt, night),
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


def _top(con: duckdb.DuckDBPyConnection, hunt: Hunt, night: _Night) -> dict[str, Any]:
    """The commonest client app, address and access type in the hours that triggered."""
    stage = hunt.stages[0]
    have = [name for name, _ in stage.columns if name in _CONTRIBUTORS]
    where, values = _evidence_filter(hunt, night)
    top: dict[str, Any] = {}
    for name in have:
        rows = con.execute(
            f"""select "{name}", count(*) as n from {stage.name} where {where}
                group by 1 order by n desc, 1 limit 3""",
            values,
        ).fetchall()
        if rows:
            top[name] = rows[0][0]
            top[f"top_{name}"] = [{"value": value, "records": n} for value, n in rows]
    return top


def _points_table(hunt: Hunt, interval: Interval, points: Sequence[_Point]) -> pa.Table:
    """Scored hours as rows of `series_points`."""
    n = interval.length // HOUR
    hours = [interval.start + place * HOUR for place in range(n)]

    def flat(name: str) -> pa.Array:
        arrays = [getattr(point, name) for point in points]
        joined = np.concatenate(arrays) if arrays else np.array([])
        return pa.array(joined, from_pandas=joined.dtype.kind == "f")

    keys = [series_key(point.key) for point in points]
    states = np.concatenate([p.states for p in points]) if points else np.array([], int)
    return pa.table(
        {
            "detection_id": pa.array([hunt.detection.id] * (n * len(points)), pa.string()),
            "series_key": pa.array(np.repeat(np.array(keys, dtype=object), n), pa.string()),
            "hour": pa.array(hours * len(points), pa.timestamp("us", tz="UTC")),
            "observed": flat("observed").cast(pa.float64()),
            "expected": flat("expected").cast(pa.float64()),
            "upper": flat("upper").cast(pa.float64()),
            "score": flat("score").cast(pa.float64()),
            "flagged": flat("flagged").cast(pa.bool_()),
            "data_state": pa.array(_STATES[states].tolist(), pa.string()),
            "interval_start": pa.array(
                [interval.start] * (n * len(points)), pa.timestamp("us", tz="UTC")
            ),
            "interval_end": pa.array(
                [interval.end] * (n * len(points)), pa.timestamp("us", tz="UTC")
            ),
        }
    )
