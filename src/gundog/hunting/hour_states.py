"""What is known about each hour of a series: observed, outage, throttled or no data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from gundog.core.times import HOUR, Interval
from gundog.detections import seen
from gundog.detections.staged import StagedTable
from gundog.hunting import tenancy

OUTAGE_ROWS = 20


THROTTLED_HOURS = 24


WEEK_H = 168


STATES = ("observed", "no_data", "outage", "throttled")


OBSERVED, _NO_DATA, _OUTAGE, THROTTLED = range(4)


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
        return self.whole.tobytes() + b"".join(
            name.encode() + states.tobytes() for name, states in named
        )


def hour_states(
    con: duckdb.DuckDBPyConnection, stages: Sequence[StagedTable], span: Interval
) -> HourStates:
    """Per hour of the span: observed, no_data (no file covers it) or outage.

    Of files that these stages have read as they are now: no other file says that nothing happened.
    """
    sources = sorted({stage.source for stage in stages})
    told = [_Told.of(con, source, span, seen.by(stages, source)) for source in sources]
    tenants = sorted({name for source_told in told for name in source_told.tenants})
    return HourStates(
        _states(told, None, span), {name: _states(told, name, span) for name in tenants}
    )


def _states(told: Sequence[_Told], tenant: str | None, span: Interval) -> np.ndarray:
    states = np.full(span.length // HOUR, OBSERVED, dtype=np.uint8)
    for source_told in told:
        counts, covered = source_told.rows_of(tenant), source_told.covered(tenant)
        usual = _usual(counts, covered)
        states[(counts == 0) & (usual >= OUTAGE_ROWS) & (states == OBSERVED)] = _OUTAGE
        states[~covered & (counts == 0)] = _NO_DATA
    return states


_Folder = str | None


@dataclass(frozen=True)
class _Told:
    """What a source's files say about a span, both (n_hours,).

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
        wanted = (
            counts for (name, _), counts in self.rows.items() if tenant in (name, None) or not name
        )
        return sum(wanted, start=np.zeros(self.hours, dtype=np.int64))

    def covered(self, tenant: str | None) -> np.ndarray:
        """True where a file stands for the hour.

        Files stand for the tenant that their path names, for those whose rows lie in such files,
        and for everybody where it names none.
        """
        near = {folder for name, folder in self.rows if name == tenant} | {tenant, None}
        wanted = (
            hours for folder, hours in self.covers.items() if tenant is None or folder in near
        )
        covered: np.ndarray = np.logical_or.reduce([np.zeros(self.hours, dtype=bool), *wanted])
        return covered


def _source_rows(
    con: duckdb.DuckDBPyConnection, source: str, span: Interval, read: str
) -> dict[tuple[str | None, _Folder], np.ndarray]:
    counted = con.execute(
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
    for tenant, folder, place, rows in counted:
        mine = counts.setdefault((tenant, folder), np.zeros(span.length // HOUR, dtype=np.int64))
        mine[place] = rows
    return counts


def _covers(
    con: duckdb.DuckDBPyConnection, source: str, span: Interval, read: str
) -> dict[_Folder, np.ndarray]:
    rows = con.execute(
        f"""select distinct {tenancy.FOLDER} as folder, covers_start, covers_end
            from source_files as f
            where source_table = ? and state = 'staged' and covers_end > ? and covers_start < ?
            and {read}""",
        [source, span.start, span.end],
    ).fetchall()
    covered = dict[_Folder, np.ndarray]()
    for folder, start, end in rows:
        mine = covered.setdefault(folder, np.zeros(span.length // HOUR, dtype=bool))
        low = max((start - span.start) // HOUR, 0)
        mine[low : max(-((span.start - end) // HOUR), 0)] = True
    return covered


def _usual(counts: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Per hour, the median of the same hour of the week in the weeks before it; 0 before any."""
    usual = np.zeros(len(counts))
    comparable = np.where(covered | (counts > 0), counts, np.nan)
    for week in range(1, -(-len(counts) // WEEK_H)):
        place = week * WEEK_H
        before = _medians(comparable[:place].reshape(week, WEEK_H))
        usual[place : place + WEEK_H] = before[: len(counts) - place]
    return usual


def _medians(rows: np.ndarray) -> np.ndarray:
    """Per column the median of what is not NaN; 0 where all is.

    >>> _medians(np.array([[1.0, np.nan, 7.0], [4.0, np.nan, np.nan]])).tolist()
    [2.5, 0.0, 7.0]
    """
    ordered = np.sort(rows, axis=0)  # NaN last
    many = (~np.isnan(rows)).sum(axis=0)
    columns = np.arange(rows.shape[1])
    low, high = ordered[np.maximum(many - 1, 0) // 2, columns], ordered[many // 2, columns]
    return np.where(many > 0, (low + high) / 2, 0)
