"""Hourly counts of series: taken from staged rows once per interval, kept, and put on one axis.

A night's cost does not grow with the history it trains on, and memory grows with series times
hours alone. An hour that was not observed is missing, never zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gundog import content, query, seen, tenancy
from gundog.content import Hunt, Stage
from gundog.interval import Interval, split

HOUR = timedelta(hours=1)
OUTAGE_ROWS = 20
THROTTLED_HOURS = 24
WEEK_H = 168
TOTAL = "*"
STATES = ("observed", "no_data", "outage", "throttled")
OBSERVED, _NO_DATA, _OUTAGE, _THROTTLED = range(4)
# A first night counts weeks; what its SQL returns for so long a span is in memory at a time.
_SPAN = timedelta(days=2)
_ROWS_AT_A_TIME = 122_880
_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Counts:
    """Counts of every series on one hourly axis.

    Attributes:
        start: the first hour.
        keys: the values of the `by` columns of each series, in the order of their series keys.
        values: (n_series, n_hours), zero where nothing was counted.
        states: (n_series, n_hours), which of `STATES` each hour is.
    """

    start: datetime
    keys: tuple[tuple[str, ...], ...]
    values: np.ndarray
    states: np.ndarray


@dataclass(frozen=True)
class Counted:
    """What was counted anew: its rows, and the intervals that it replaces with a digest of each."""

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
    rows: list[pa.Table] = []
    spans: dict[Interval, str] = {}
    for span in _merged(wanted):
        rows.append(_rows(con, hunt, span, staged_from))
        inside = (one for one in wanted if one.overlaps(span))
        spans |= {one: _digest(con, rows[-1], one) for one in inside}
    return Counted(pa.concat_tables(rows), spans)


def _digest(con: duckdb.DuckDBPyConnection, rows: pa.Table, span: Interval) -> str:
    """The same for the same counts of a span, in whatever order they come."""
    mine = rows.filter((pc.field("hour") >= span.start) & (pc.field("hour") < span.end))
    each = con.from_arrow(mine.select(["series_key", "hour", "observed", "throttled"]))
    found = each.aggregate("count(*), sum(hash(series_key, hour, observed, throttled))").fetchall()
    return " ".join(str(one) for one in found[0])


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
    known = {Interval(start, end): digest for start, end, digest in kept} | {**counted.spans}
    return sorted(known.items())


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
    params = content.bind_params(detection.params, span.start, span.end, staged_from)
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
        ],
        schema=SCHEMA,
    )


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
        words.append([_text(one) for one in encoded.dictionary.to_pylist()])
        codes = codes * len(words[-1]) + encoded.indices.to_numpy(zero_copy_only=False)
    found, places = np.unique(codes, return_inverse=True)
    keys = []
    for code in found.tolist():
        values = []
        for mine in reversed(words):
            code, place = divmod(code, len(mine))
            values.append(mine[place])
        keys.append(series_key(reversed(values)))
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


def series_key(values: Iterable[str]) -> str:
    """How a series is named: its `by` values joined by a slash, which none of them keeps.

    >>> series_key(["", "ana@example.com"]), series_key(["a/b", "5%"])
    ('/ana@example.com', 'a%2Fb/5%25')
    """
    return "/".join(escape(value) for value in values)


def escape(value: str) -> str:
    """A `by` value as it stands in a series key."""
    return value.replace("%", "%25").replace("/", "%2F")


def by_values(key: str) -> tuple[str, ...]:
    """The `by` values of a series key.

    >>> by_values("a%2Fb/5%25"), by_values("/")
    (('a/b', '5%'), ('', ''))
    """
    return tuple(one.replace("%2F", "/").replace("%25", "%") for one in key.split("/"))


def is_total(key: Sequence[str]) -> bool:
    """True for a tenant's own series."""
    return len(key) > 1 and all(one == TOTAL for one in key[1:])


def tenant_of(hunt: Hunt, key: Sequence[str]) -> str | None:
    """Whose series it is; None where the detection's `by` columns do not say."""
    settings = hunt.detection.series
    if settings is None or "tenant" not in settings.by:
        return None
    return key[settings.by.index("tenant")]


def arrange(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    span: Interval,
    counted: Counted,
    known: HourStates,
    left_out: Collection[str] = (),
) -> Counts:
    """Counts that were kept and those just taken on a dense axis, with what is known of each hour.

    Args:
        con: as for `count`.
        hunt: the detection.
        span: the axis, whole hours.
        counted: what stands for its intervals in place of what was kept.
        known: the `hour_states` of its sources over the axis.
        left_out: tenants whose series are none of it.
    """
    names = sorted(
        name
        for name in _names(con, hunt, span, counted)
        if tenant_of(hunt, by_values(name)) not in left_out
    )
    place = {name: row for row, name in enumerate(names)}
    hours = span.length // HOUR
    values = np.zeros((len(names), hours))
    states = np.empty(values.shape, dtype=np.uint8)
    for row, name in enumerate(names):
        states[row] = known.of(tenant_of(hunt, by_values(name)))
    for batch in _batches(con, hunt, span, counted):
        encoded = batch["series_key"].combine_chunks()
        wanted = [place.get(name, -1) for name in encoded.dictionary.to_pylist()]
        rows = np.array(wanted, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
        if left_out and -1 in wanted:
            batch, rows = batch.filter(pa.array(rows >= 0)), rows[rows >= 0]
        since = batch["hour"].cast(pa.int64()).to_numpy() - _microseconds(span.start)
        columns = since // _HOUR_US
        observed = batch["observed"].fill_null(0).to_numpy()
        # One index for both axes: numpy adds several times as fast over it.
        np.add.at(values.reshape(-1), rows * hours + columns, observed)
        marks = batch["throttled"].fill_null(False).to_numpy()
        for row, column in zip(rows[marks].tolist(), columns[marks].tolist(), strict=True):
            hidden = states[row, column + 1 : column + 1 + THROTTLED_HOURS]
            hidden[hidden == OBSERVED] = _THROTTLED
    return Counts(span.start, tuple(by_values(name) for name in names), values, states)


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


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
        f"select series_key, hour, observed, throttled {sql}", params=params
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
        places[tenant_of(hunt, key)].append(row)
    for tenant, rows in places.items():
        if len(places) == 1:
            yield tenant, counts
            return
        keys = tuple(counts.keys[row] for row in rows)
        yield tenant, Counts(counts.start, keys, counts.values[rows], counts.states[rows])


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
        tuple((tenants[row], *[TOTAL] * (len(counts.keys[0]) - 1)) for row in first),
        np.add.reduceat(counts.values, first, axis=0),
        # Throttling is one mailbox's; every series shares the rest.
        _shared(counts.states[first]),
    )
    # A mailbox that somebody named like the tenant's own series has none of its own.
    own = np.array([not is_total(key) for key in counts.keys])
    if own.all():
        return counts, totals
    keys = tuple(key for key in counts.keys if not is_total(key))
    return Counts(counts.start, keys, counts.values[own], counts.states[own]), totals


def _shared(states: np.ndarray) -> np.ndarray:
    return np.where(states == _THROTTLED, np.uint8(OBSERVED), states)


def observed(counts: Counts) -> np.ndarray:
    """The values with NaN where an hour was not observed; they are changed in their place."""
    values = counts.values
    values[counts.states != OBSERVED] = np.nan
    return values


@dataclass(frozen=True)
class HourStates:
    """Which of `STATES` each hour of a span is, (n_hours,): for each tenant, and for all as one.

    A tenant whose rows were not counted by tenant has those of all.
    """

    whole: np.ndarray
    by_tenant: Mapping[str, np.ndarray]

    def of(self, tenant: str | None) -> np.ndarray:
        """A tenant's; None stands for nobody's own."""
        return self.whole if tenant is None else self.by_tenant.get(tenant, self.whole)

    def tobytes(self) -> bytes:
        """The same for the same states."""
        named = sorted(self.by_tenant.items())
        return self.whole.tobytes() + b"".join(name.encode() + one.tobytes() for name, one in named)


def hour_states(
    con: duckdb.DuckDBPyConnection, stages: Sequence[Stage], span: Interval
) -> HourStates:
    """Per hour of the span: observed, no_data (no file covers it) or outage.

    Of files that these stages have read as they are now: no other file says that nothing happened.
    """
    sources = sorted({stage.source for stage in stages})
    told = [_Told.of(con, source, span, seen.by(stages, source)) for source in sources]
    tenants = sorted({name for one in told for name in one.tenants})
    return HourStates(
        _states(told, None, span), {name: _states(told, name, span) for name in tenants}
    )


def _states(told: Sequence[_Told], tenant: str | None, span: Interval) -> np.ndarray:
    states = np.full(span.length // HOUR, OBSERVED, dtype=np.uint8)
    for one in told:
        counts, covered = one.rows_of(tenant), one.covered(tenant)
        usual = _usual(counts, covered)
        states[(counts == 0) & (usual >= OUTAGE_ROWS) & (states == OBSERVED)] = _OUTAGE
        states[~covered & (counts == 0)] = _NO_DATA
    return states


_Folder = str | None


@dataclass(frozen=True)
class _Told:
    """What a source's files tell of a span, both (n_hours,).

    `rows` by tenant and by the tenant that the files' path names, None where nobody is named;
    `covers`, the hours that the path of a file stands for, by what it names.
    """

    rows: Mapping[tuple[str | None, _Folder], np.ndarray]
    covers: Mapping[_Folder, np.ndarray]
    hours: int

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection, source: str, span: Interval, read: str) -> _Told:
        hours = span.length // HOUR
        rows, covers = _source_rows(con, source, span, read), _covers(con, source, span, read)
        return cls(rows, covers, hours)

    @property
    def tenants(self) -> set[str]:
        return {name for name, _ in self.rows if name is not None}

    def rows_of(self, tenant: str | None) -> np.ndarray:
        wanted = (one for (name, _), one in self.rows.items() if tenant in (name, None) or not name)
        return sum(wanted, start=np.zeros(self.hours, dtype=np.int64))

    def covered(self, tenant: str | None) -> np.ndarray:
        """True where a file stands for the hour.

        Files stand for the tenant that their path names, for those whose rows lie in such files,
        and for everybody where it names none.
        """
        near = {folder for name, folder in self.rows if name == tenant} | {tenant, None}
        wanted = (one for folder, one in self.covers.items() if tenant is None or folder in near)
        found: np.ndarray = np.logical_or.reduce([np.zeros(self.hours, dtype=bool), *wanted])
        return found


def _source_rows(
    con: duckdb.DuckDBPyConnection, source: str, span: Interval, read: str
) -> dict[tuple[str | None, _Folder], np.ndarray]:
    found = con.execute(
        f"""with counted as (
                select file_id, tenant, date_diff('hour', ?::timestamptz, hour) as place, rows
                from source_hours where source_table = ? and hour >= ? and hour < ? and {read}
            )

            select coalesce(h.tenant, {tenancy.FOLDER}) as tenant, {tenancy.FOLDER} as folder,
                   place, sum(h.rows)::bigint
            from counted as h left join source_files as f using (file_id) group by all""",
        [span.start, source, span.start, span.end],
    ).fetchall()
    counts = dict[tuple[str | None, _Folder], np.ndarray]()
    for tenant, folder, place, rows in found:
        mine = counts.setdefault((tenant, folder), np.zeros(span.length // HOUR, dtype=np.int64))
        mine[place] = rows
    return counts


def _covers(
    con: duckdb.DuckDBPyConnection, source: str, span: Interval, read: str
) -> dict[_Folder, np.ndarray]:
    found = con.execute(
        f"""select distinct {tenancy.FOLDER} as folder, covers_start, covers_end
            from source_files as f
            where source_table = ? and state = 'staged' and covers_end > ? and covers_start < ?
            and {read}""",
        [source, span.start, span.end],
    ).fetchall()
    covered = dict[_Folder, np.ndarray]()
    for folder, start, end in found:
        mine = covered.setdefault(folder, np.zeros(span.length // HOUR, dtype=bool))
        low = max((start - span.start) // HOUR, 0)
        mine[low : max(-((span.start - end) // HOUR), 0)] = True
    return covered


def _usual(counts: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Per hour, the median of the same hour of the week in the weeks before it; 0 before any."""
    usual = np.zeros(len(counts))
    known = np.where(covered | (counts > 0), counts, np.nan)
    for week in range(1, -(-len(counts) // WEEK_H)):
        place = week * WEEK_H
        before = _medians(known[:place].reshape(week, WEEK_H))
        usual[place : place + WEEK_H] = before[: len(counts) - place]
    return usual


def _medians(rows: np.ndarray) -> np.ndarray:
    """Per column the median of what is no NaN; 0 where all is.

    >>> _medians(np.array([[1.0, np.nan, 7.0], [4.0, np.nan, np.nan]])).tolist()
    [2.5, 0.0, 7.0]
    """
    ordered = np.sort(rows, axis=0)  # NaN last
    many = (~np.isnan(rows)).sum(axis=0)
    columns = np.arange(rows.shape[1])
    low, high = ordered[np.maximum(many - 1, 0) // 2, columns], ordered[many // 2, columns]
    return np.where(many > 0, (low + high) / 2, 0)
