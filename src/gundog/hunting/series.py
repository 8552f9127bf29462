"""Hourly counts per series turned into points, scores, and one finding per series and night."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from gundog.core.times import HOUR, Interval
from gundog.detections import series_keys
from gundog.detections.hunt import Hunt
from gundog.findings.model import Hit
from gundog.hunting import counts, forecast, hour_states, kusto, series_findings, tenancy
from gundog.hunting.counts import Counted, Counts
from gundog.hunting.hour_states import OBSERVED, HourStates
from gundog.hunting.series_findings import Night


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


Emptied = Callable[[duckdb.DuckDBPyConnection], duckdb.DuckDBPyConnection]


def _as_it_is(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    return con


def score(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    interval: Interval,
    staged_from: datetime,
    *,
    again: bool = False,
    apart: Callable[[], AbstractContextManager[None]] = nullcontext,
    emptied: Emptied = _as_it_is,
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
        apart: surrounds arranging and scoring, which no limit on a query's memory should cut.
        emptied: gives a connection like the one given that keeps little in memory of what was
            read; the one given is not used any more.
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
        return _as_kusto(con, hunt, interval, staged_from, counted, left_out)
    basis = _basis(con, hunt, interval, training, counted, left_out)
    kept = None if again else _kept(con, hunt, interval, basis.digest)
    points = None
    if kept:
        nights, note = kept
    else:
        with apart():
            con = emptied(con)
            arranged = counts.arrange(con, hunt, training, counted, basis.states, left_out)
            con = emptied(con)
            threads = _threads(con)
            nights, points, note = _judge(hunt, interval, arranged, basis, left_out, threads)
            del arranged
    hits = tuple(series_findings.hits(con, hunt, interval, nights))
    return Scored(hits, points, counted, basis.digest, note)


def _judge(
    hunt: Hunt,
    interval: Interval,
    arranged: Counts,
    basis: _Basis,
    left_out: Collection[str],
    threads: int,
) -> tuple[list[Night], pa.Table, str]:
    """The flagged nights, the points, and a note; what scoring needs in between is let go."""
    judged = forecast.score(hunt, interval, arranged, basis.attacks, threads)
    told = {group.tenant: group.note for group in judged if group.note}
    note = _notes(told, {group.tenant for group in judged}, left_out)
    return forecast.nights(judged), forecast.points_table(hunt, interval, judged), note


def _threads(con: duckdb.DuckDBPyConnection) -> int:
    """What queries may use, scoring may."""
    threads: int = con.execute("select current_setting('threads')").fetchall()[0][0]
    return threads


@dataclass(frozen=True)
class _Basis:
    """What scores follow from beside the counts; `digest` is a hash of it all."""

    states: HourStates
    attacks: Sequence[tuple[str, Interval]]
    digest: str


def _basis(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    interval: Interval,
    training: Interval,
    counted: Counted,
    left_out: Collection[str],
) -> _Basis:
    attacks = _confirmed(con, hunt, interval)
    states = hour_states.hour_states(con, hunt.stages, training)
    digests = counts.digests(con, hunt, training, counted)
    named = [(str(span), digest) for span, digest in digests]
    named += sorted((key, str(span)) for key, span in attacks)
    named += [(name, "left out") for name in sorted(left_out)]
    digest = hashlib.sha256(repr(named).encode() + states.tobytes()).hexdigest()[:16]
    return _Basis(states, attacks, digest)


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
) -> Scored:
    """Findings of a series of method kql; the note says how much of its axis holds no data."""
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
    return Scored(hits, None, counted, "", _notes(told, tenants, left_out))


def _notes(
    told: Mapping[str | None, str], tenants: Collection[str | None], left_out: Collection[str]
) -> str:
    """What is said of each tenant; its name is left out where the lake has no other tenant."""
    if len({*tenants, *left_out}) < 2:
        return next(iter(told.values()), "")
    named = sorted((tenancy.named(name or ""), said) for name, said in told.items())
    return "; ".join(f"{name}: {said}" for name, said in named)


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
