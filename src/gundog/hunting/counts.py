"""Hourly counts of series: taken from staged rows once per interval, kept, and put on one axis.

A night's cost does not grow with the history it trains on, and memory grows with series times
hours alone. An hour that was not observed is missing, never zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gundog.core.times import HOUR, HOUR_US, Interval, epoch_us, split
from gundog.detections import checks, series_keys
from gundog.detections.hunt import Hunt
from gundog.hunting import hour_states, new_counts, on_disk
from gundog.hunting.hour_states import HourStates
from gundog.hunting.scoring.newness import Newness, joined
from gundog.warehouse import query

# A first night counts weeks; what its SQL returns for so long a span is in memory at a time.
_SPAN = timedelta(days=2)
_ROWS_AT_A_TIME = 122_880


@dataclass(frozen=True)
class Counts:
    """Counts of every series on one hourly axis.

    Attributes:
        start: the first hour.
        keys: the values of the `by` columns of each series, in the order of their series keys.
        values: (n_series, n_hours), zero where nothing was counted.
        states: (n_series, n_hours), which of `STATES` each hour is.
        new: what of the counts came from something new; None where the hunt does not say.
    """

    start: datetime
    keys: tuple[tuple[str, ...], ...]
    values: np.ndarray
    states: np.ndarray
    new: Newness | None = None


@dataclass(frozen=True)
class Counted:
    """What was counted: its rows, and the intervals that it replaces with a digest of each."""

    rows: pa.Table
    spans: Mapping[Interval, str]


SCHEMA = pa.schema(
    [
        ("detection_id", pa.dictionary(pa.int8(), pa.string())),
        ("detection_hash", pa.dictionary(pa.int8(), pa.string())),
        ("series_key", pa.dictionary(pa.int32(), pa.string())),
        ("hour", pa.timestamp("us", tz="UTC")),
        ("observed", pa.float64()),
        ("throttled", pa.bool_()),
        ("new", pa.list_(pa.float64())),
    ]
)


def count(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    interval: Interval,
    training: Interval,
    staged_from: datetime,
) -> Counted:
    """Counts the interval, and what of its training span was never counted or changed since.

    Args:
        con: a connection to the warehouse that sees the staged views.
        hunt: a detection of kind series.
        interval: the scored span, whole hours.
        training: what comes before it, and it.
        staged_from: what `$staged_from` is.

    Raises:
        QueryError: when the SQL fails.
    """
    wanted = _uncounted(con, hunt, interval, training)
    merged = _merged(wanted)
    rows: list[pa.Table] = []
    spans: dict[Interval, str] = {}
    for span in merged:
        counted = _rows(con, hunt, span, staged_from)
        inside = (part for part in wanted if part.overlaps(span))
        spans |= {part: _digest(con, counted, part) for part in inside}
        rows.append(on_disk.moved(con, counted) if len(merged) > 1 else counted)
    return Counted(pa.concat_tables(rows), spans)


def _digest(con: duckdb.DuckDBPyConnection, rows: pa.Table, span: Interval) -> str:
    """The same for the same counts of a span, in whatever order they come."""
    mine = rows.filter((pc.field("hour") >= span.start) & (pc.field("hour") < span.end))
    columns = ["series_key", "hour", "observed", "throttled"]
    # Hunts that say nothing of it keep the digests that they have.
    columns += ["new"] if mine["new"].null_count < mine.num_rows else []
    each = con.from_arrow(mine.select(columns))
    figures = each.aggregate(f"count(*), sum(hash({', '.join(columns)}))").fetchall()
    return " ".join(str(figure) for figure in figures[0])


def digests(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, training: Interval, counted: Counted
) -> list[tuple[Interval, str]]:
    """A digest of the counts of each interval that reaches into the training span, in order.

    Args:
        con: as for `count`.
        hunt: the detection.
        training: as for `count`.
        counted: what stands for its intervals in place of what was kept.
    """
    kept = con.execute(
        """select interval_start, interval_end, digest from series_spans
           where detection_id = ? and detection_hash = ?
           and interval_end > ? and interval_start < ?""",
        [hunt.detection.id, hunt.hash, training.start, training.end],
    ).fetchall()
    by_interval = {Interval(start, end): digest for start, end, digest in kept} | {**counted.spans}
    return sorted(by_interval.items())


def _uncounted(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, training: Interval
) -> tuple[Interval, ...]:
    """Grid intervals of the training span whose rows changed since they were counted, if ever.

    What is new depends on everything before it.
    """
    detection = hunt.detection
    names = [stage.name for stage in hunt.stages]
    stale = con.execute(
        """select s.interval_start, s.interval_end,
                  exists (select 1 from stage_changes as c
                          where c.stage in (select unnest($names::varchar[])) and c.seq > s.seq
                          and ($learned or c.max_time >= s.interval_start)
                          and c.min_time < s.interval_end)
           from series_spans as s
           where s.detection_id = $detection and s.detection_hash = $hash
           and s.interval_end > $start and s.interval_start < $end""",
        {
            "names": names,
            "learned": bool(hunt.learned),
            "detection": detection.id,
            "hash": hunt.hash,
            "start": training.start,
            "end": training.end,
        },
    ).fetchall()
    fresh = {Interval(start, end) for start, end, changed in stale if not changed}
    grid = split(Interval(_grid_start(interval, training.start, detection.frequency), interval.end),
                 detection.frequency)  # fmt: skip
    return tuple(part for part in grid if part not in fresh or part.overlaps(interval))


def _grid_start(interval: Interval, at: datetime, frequency: timedelta) -> datetime:
    """The grid point at or before `at`, counted back from the interval."""
    steps = -((at - interval.start) // frequency)
    return interval.start - steps * frequency


def _merged(spans: Sequence[Interval]) -> list[Interval]:
    """Adjacent spans as one, up to two days, so that a first night takes few queries."""
    merged: list[Interval] = []
    for span in spans:
        if merged and merged[-1].end == span.start and merged[-1].length < _SPAN:
            merged[-1] = Interval(merged[-1].start, span.end)
        else:
            merged.append(span)
    return merged


def _rows(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, span: Interval, staged_from: datetime
) -> pa.Table:
    """The hunt's hourly rows for a span, in the shape they are kept in."""
    detection, settings = hunt.detection, hunt.detection.series
    assert settings is not None  # noqa: S101 - checked by the caller, for the type checker
    params = checks.bind_params(detection.params, span.start, span.end, staged_from)
    rows = query.arrow(con, hunt.sql, params)
    rows = rows.filter((pc.field("hour") >= span.start) & (pc.field("hour") < span.end))
    n = rows.num_rows
    return pa.table(
        [
            _same(detection.id, n),
            _same(hunt.hash, n),
            _keys([rows[name] for name in settings.by]),
            rows["hour"].cast(SCHEMA.field("hour").type),
            rows[settings.measure].cast(pa.float64()),
            _flags(rows),
            new_counts.column(rows, settings.newness, SCHEMA.field("new").type),
        ],
        schema=SCHEMA,
    ).combine_chunks()  # each chunk costs a look at all series


def _same(text: str, n: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), pa.array([text]))


def _keys(columns: Sequence[pa.ChunkedArray]) -> pa.DictionaryArray:
    """The series key of each row; each combination of values is put into words once."""
    codes: np.ndarray = np.zeros(len(columns[0]), dtype=np.int64)
    words = []
    for column in columns:
        plain = column.cast(column.type.value_type) if _is_coded(column) else column
        encoded = pc.dictionary_encode(plain, null_encoding="encode").unify_dictionaries()
        encoded = encoded.combine_chunks()
        words.append([_text(value) for value in encoded.dictionary.to_pylist()])
        codes = codes * len(words[-1]) + encoded.indices.to_numpy(zero_copy_only=False)
    distinct, places = np.unique(codes, return_inverse=True)
    keys = []
    for code in distinct.tolist():
        values = []
        for mine in reversed(words):
            code, place = divmod(code, len(mine))
            values.append(mine[place])
        keys.append(series_keys.series_key(reversed(values)))
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(keys, pa.string()))


def _is_coded(column: pa.ChunkedArray) -> bool:
    coded: bool = pa.types.is_dictionary(column.type)
    return coded


def _flags(rows: pa.Table) -> pa.Array:
    """The reserved column `throttled`; false where the hunt returns none."""
    if "throttled" not in rows.column_names:
        return pa.array(np.zeros(rows.num_rows, dtype=bool))
    return rows["throttled"].cast(pa.bool_())


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def arrange(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    span: Interval,
    counted: Counted,
    known_states: HourStates,
    left_out: Collection[str] = (),
) -> Counts:
    """Counts that were kept and those just taken on a dense axis, with what is known of each hour.

    Args:
        con: as for `count`.
        hunt: the detection.
        span: the axis, whole hours.
        counted: what stands for its intervals in place of what was kept.
        known_states: the `hour_states` of its sources over the axis.
        left_out: tenants whose series are none of it.
    """
    names = sorted(
        name
        for name in _names(con, hunt, span, counted)
        if series_keys.tenant_of(hunt, series_keys.by_values(name)) not in left_out
    )
    place = {name: row for row, name in enumerate(names)}
    hours = span.length // HOUR
    values = np.zeros((len(names), hours))
    states = np.empty(values.shape, dtype=np.uint8)
    for row, name in enumerate(names):
        states[row] = known_states.of(series_keys.tenant_of(hunt, series_keys.by_values(name)))
    newness = list[Newness]()
    kinds = len(hunt.detection.series.newness) if hunt.detection.series else 0
    for batch in _batches(con, hunt, span, counted):
        encoded = batch["series_key"].combine_chunks()
        wanted = [place.get(name, -1) for name in encoded.dictionary.to_pylist()]
        rows = np.array(wanted, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
        if left_out and -1 in wanted:
            batch, rows = batch.filter(pa.array(rows >= 0)), rows[rows >= 0]
        since = batch["hour"].cast(pa.int64()).to_numpy() - epoch_us(span.start)
        columns = since // HOUR_US
        observed = batch["observed"].fill_null(0).to_numpy()
        # One index for both axes: numpy adds several times as fast over it.
        np.add.at(values.reshape(-1), rows * hours + columns, observed)
        marks = batch["throttled"].fill_null(False).to_numpy()
        for row, column in zip(rows[marks].tolist(), columns[marks].tolist(), strict=True):
            hidden = states[row, column + 1 : column + 1 + hour_states.THROTTLED_HOURS]
            hidden[hidden == hour_states.OBSERVED] = hour_states.THROTTLED
        if kinds:
            newness.append(new_counts.entries(batch["new"], kinds, rows, columns, values.shape))
    keys = tuple(series_keys.by_values(name) for name in names)
    return Counts(span.start, keys, values, states, joined(newness) if newness else None)


def _kept(hunt: Hunt, span: Interval, counted: Counted) -> tuple[str, dict[str, Any]]:
    """What follows `select` for the counts that were kept and still hold, and its parameters."""
    sql = """from series_counts where detection_id = $detection and detection_hash = $hash
        and hour >= $start and hour < $end"""
    params = {
        "detection": hunt.detection.id,
        "hash": hunt.hash,
        "start": span.start,
        "end": span.end,
    }
    for turn, renewed in enumerate(_merged(list(counted.spans))):
        sql += f" and not (hour >= $start_{turn} and hour < $end_{turn})"
        params |= {f"start_{turn}": renewed.start, f"end_{turn}": renewed.end}
    return sql, params


def _names(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, span: Interval, counted: Counted
) -> set[str]:
    """The keys of all series that have a count on the axis."""
    sql, params = _kept(hunt, span, counted)
    kept = con.sql(f"select distinct series_key {sql}", params=params).to_arrow_table()
    fresh = (batch["series_key"].unique() for batch in _inside(counted.rows, span))
    return {*kept["series_key"].to_pylist(), *(key for some in fresh for key in some.to_pylist())}


def _batches(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, span: Interval, counted: Counted
) -> Iterator[pa.Table]:
    """Rows of the axis a batch at a time, each with its series keys encoded."""
    sql, params = _kept(hunt, span, counted)
    kept = con.sql(
        f"select series_key, hour, observed, throttled, new {sql}", params=params
    ).to_arrow_reader(_ROWS_AT_A_TIME)
    kind = SCHEMA.field("series_key").type
    for batch in kept:
        rows = pa.Table.from_batches([batch])
        yield rows.set_column(0, "series_key", rows["series_key"].dictionary_encode().cast(kind))
    yield from _inside(counted.rows, span)


def _inside(rows: pa.Table, span: Interval) -> Iterator[pa.Table]:
    """Rows span by span; the first interval that was counted may begin before the axis does."""
    hour = pc.field("hour")
    for batch in rows.to_batches():
        inside = pa.Table.from_batches([batch]).filter((hour >= span.start) & (hour < span.end))
        if inside.num_rows:
            yield inside


def by_tenant(hunt: Hunt, counts: Counts) -> Iterator[tuple[str | None, Counts]]:
    """Each tenant's series, which are scored apart: what others do must change nothing of them."""
    places = defaultdict[str | None, list[int]](list)
    for row, key in enumerate(counts.keys):
        places[series_keys.tenant_of(hunt, key)].append(row)
    for tenant, rows in places.items():
        if len(places) == 1:
            yield tenant, counts
            return
        keys = tuple(counts.keys[row] for row in rows)
        new = counts.new and counts.new.of(rows)
        yield tenant, Counts(counts.start, keys, counts.values[rows], counts.states[rows], new)


def with_totals(counts: Counts) -> tuple[Counts, Counts | None]:
    """The series and each tenant's own, the sum of its series; none for a single `by` column.

    Takes `counts` over: its arrays go on in what is returned.
    """
    if not counts.keys or len(counts.keys[0]) < 2:
        return counts, None
    tenants = [key[0] for key in counts.keys]
    first = [row for row in range(len(tenants)) if not row or tenants[row] != tenants[row - 1]]
    totals = Counts(
        counts.start,
        tuple((tenants[row], *[series_keys.TOTAL] * (len(counts.keys[0]) - 1)) for row in first),
        np.add.reduceat(counts.values, first, axis=0),
        # Throttling is one mailbox's; every series shares the rest.
        _shared(counts.states[first]),
    )
    # A mailbox that somebody named like the tenant's own series has none of its own.
    own = np.array([not series_keys.is_total(key) for key in counts.keys])
    if own.all():
        return counts, totals
    keys = tuple(key for key in counts.keys if not series_keys.is_total(key))
    new = counts.new and counts.new.of(np.flatnonzero(own))
    return Counts(counts.start, keys, counts.values[own], counts.states[own], new), totals


def _shared(states: np.ndarray) -> np.ndarray:
    return np.where(states == hour_states.THROTTLED, np.uint8(hour_states.OBSERVED), states)


def observed(counts: Counts) -> np.ndarray:
    """The values with NaN where an hour was not observed; they are changed in their place."""
    values = counts.values
    values[counts.states != hour_states.OBSERVED] = np.nan
    return values
