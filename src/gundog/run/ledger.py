"""What was hunted and what is due: computed from the ledger, never remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from gundog.core.times import (
    EPOCH,
    MICROSECOND,
    Interval,
    ceil,
    epoch_us,
    floor,
    format_time,
    last_complete,
    split,
)
from gundog.detections import seen
from gundog.detections.hunt import Hunt
from gundog.detections.staged import StagedTable
from gundog.findings.model import RunStamp

MISSING, STALE, FAILED, NO_DATA, DONE = "missing", "stale", "failed", "no_data", "done"
DUE = (MISSING, STALE, FAILED, NO_DATA)
_FAR = datetime(9999, 1, 1, tzinfo=UTC)
# Longer than any lake reaches back.
_EVER = timedelta(days=100 * 365)
_Ints = npt.NDArray[np.int64]


def candidates(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, stamp: RunStamp, asked: Interval | None
) -> list[Interval]:
    """The intervals a run looks at, oldest first.

    Those inside the asked range that have ended; without a range the last complete one, and those
    that end up to `late_arrival` before it, but none older than the first that was ever hunted: a
    new or changed detection starts with the last complete interval only.
    """
    frequency = hunt.detection.frequency
    last = last_complete(stamp.due or stamp.at, frequency)
    if asked:
        return [interval for interval in split(asked, frequency) if interval.end <= stamp.at]
    oldest = max(floor(last.end - stamp.late_arrival, frequency), _first(con, hunt) or last.start)
    return list(split(Interval(min(oldest, last.start), last.end), frequency))


def _first(con: duckdb.DuckDBPyConnection, hunt: Hunt) -> datetime | None:
    rows = con.execute(
        """select min(interval_start) from run_intervals
           where detection_id = ? and detection_hash = ?""",
        [hunt.detection.id, hunt.hash],
    ).fetchall()
    first: datetime | None = rows[0][0]
    return first


def states(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, intervals: Sequence[Interval], stamp: RunStamp
) -> dict[Interval, str]:
    """The state of each interval: missing, stale, failed, no_data or done."""
    if not intervals:
        return {}
    wanted = set(intervals)
    rows = con.execute(
        """select interval_start, interval_end, state, seq from run_intervals
           where detection_id = ? and detection_hash = ?
           and interval_end > ? and interval_start < ?""",
        [hunt.detection.id, hunt.hash, intervals[0].start, intervals[-1].end],
    ).fetchall()
    hunted = {Interval(start, end): (state, seq) for start, end, state, seq in rows}
    done = [
        interval for interval, (state, _) in hunted.items() if state == DONE and interval in wanted
    ]
    start = _array(epoch_us(interval.start) for interval in done)
    end = _array(epoch_us(interval.end) for interval in done)
    seq = _array(hunted[interval][1] for interval in done)
    stale = set[Interval]()
    if done:
        first = start.min() - _open_reach(hunt) // MICROSECOND
        changes = _changes(con, _read_by(hunt), int(seq.min()), int(first), int(end.max()))
        reached = _reached(hunt, changes, start, end, seq, stamp)
        stale = {interval for interval, is_stale in zip(done, reached, strict=True) if is_stale}
    return {
        interval: STALE if interval in stale else hunted.get(interval, (MISSING, 0))[0]
        for interval in intervals
    }


def gaps(
    con: duckdb.DuckDBPyConnection, hunts: Sequence[Hunt], stamp: RunStamp
) -> Iterator[tuple[Hunt, Interval, str]]:
    """The intervals from the first to the last hunted that are missing or stale, oldest first.

    The same as asking `states` for each of them; this does not grow with the years by much.
    """
    rows = con.execute(
        """with hunts as (
               select unnest(?::uuid[]) as detection_id, unnest(?::varchar[]) as detection_hash,
                      generate_subscripts(?::varchar[], 1) as hunt
           )

           select hunt, epoch_us(interval_start) as first, epoch_us(interval_end) as last,
                  coalesce(seq, 0) as seq, state = ? as done
           from run_intervals inner join hunts using (detection_id, detection_hash)
           order by first""",
        [[hunt.detection.id for hunt in hunts], *([hunt.hash for hunt in hunts],) * 2, DONE],
    ).fetchnumpy()
    names = sorted({name for hunt in hunts for name in _read_by(hunt)})
    changes = _changes(con, names)
    for number, hunt in enumerate(hunts, 1):
        mine = {name: column[rows["hunt"] == number] for name, column in rows.items()}
        if len(mine["first"]):
            read = [names.index(name) for name in _read_by(hunt)]
            yield from _gaps(hunt, mine, changes.of(read), stamp)


def coverage_gaps(
    con: duckdb.DuckDBPyConnection, hunts: Sequence[Hunt], stamp: RunStamp
) -> list[dict[str, Any]]:
    """Ledger rows of intervals that are missing between hunted ones, or stale."""
    return [
        {
            "detection_id": hunt.detection.id,
            "detection_hash": hunt.hash,
            "interval_start": interval.start,
            "interval_end": interval.end,
            "state": state,
        }
        for hunt, interval, state in gaps(con, hunts, stamp)
    ]


def _gaps(
    hunt: Hunt, rows: Mapping[str, npt.NDArray[Any]], changes: _Changes, stamp: RunStamp
) -> Iterator[tuple[Hunt, Interval, str]]:
    start, end = rows["first"], rows["last"]
    length = hunt.detection.frequency // MICROSECOND
    grid = np.arange(start[0], end.max(), length)
    fits = (end - start == length) & np.isin(start, grid)
    done = fits & rows["done"]
    reached = _reached(hunt, changes, start[done], end[done], rows["seq"][done], stamp)
    states = dict.fromkeys(np.setdiff1d(grid, start[fits]).tolist(), MISSING)
    states |= dict.fromkeys(start[done][reached].tolist(), STALE)
    for at, state in sorted(states.items()):
        first = EPOCH + at * MICROSECOND
        yield hunt, Interval(first, first + hunt.detection.frequency), state


def _reached(
    hunt: Hunt, changes: _Changes, start: _Ints, end: _Ints, seq: _Ints, stamp: RunStamp
) -> npt.NDArray[np.bool_]:
    """Whether intervals, each hunted at a step, read what changed after it; times in us.

    The training span of a series, and all that contexts were learned from, count only while the
    interval is provisional.
    """
    detection = hunt.detection
    is_open = end + stamp.late_arrival // MICROSECOND > epoch_us(stamp.at)
    reach = _open_reach(hunt) // MICROSECOND
    back = np.where(is_open, reach, detection.lookback // MICROSECOND)
    return changes.reach(start - back, end, seq)


def _open_reach(hunt: Hunt) -> timedelta:
    """How far before its start an interval that is still provisional looks."""
    return _EVER if hunt.learned else hunt.detection.reach


def _read_by(hunt: Hunt) -> tuple[str, ...]:
    """Where the changes lie that reach a hunt: its stages, and the sources that series count in."""
    stages = tuple(stage.name for stage in hunt.stages)
    return stages + (tuple(hunt.sources) if hunt.detection.series else ())


@dataclass(frozen=True)
class _Changes:
    """First and last of the rows that a step staged or removed, in us, ordered by the first.

    `place` is that of the stage or source in the names that were asked for.
    """

    first: _Ints
    last: _Ints
    seq: _Ints
    place: _Ints

    def of(self, places: Sequence[int]) -> _Changes:
        """Those of some of the names."""
        mine = np.isin(self.place, places)
        return _Changes(self.first[mine], self.last[mine], self.seq[mine], self.place[mine])

    def reach(self, start: _Ints, end: _Ints, seqs: _Ints) -> npt.NDArray[np.bool_]:
        """For each span and step, whether a row in the span was staged or removed after it.

        The newest step near a span rules most of them out, all at once.
        """
        longest = (self.last - self.first).max(initial=0)
        low = np.searchsorted(self.first, start - longest)
        high = np.searchsorted(self.first, end)
        newest = np.maximum.reduceat(np.append(self.seq, 0), np.ravel((low, high), order="F"))
        is_reached: npt.NDArray[np.bool_] = (low < high) & (newest[::2] > seqs)
        for at in np.flatnonzero(is_reached):
            near = slice(low[at], high[at])
            is_reached[at] = ((self.seq[near] > seqs[at]) & (self.last[near] >= start[at])).any()
        return is_reached


def _changes(
    con: duckdb.DuckDBPyConnection,
    names: Sequence[str],
    seq: int = 0,
    first: int | None = None,
    last: int | None = None,
) -> _Changes:
    """The changes after a step of rows in [first, last), in us, of these stages and sources."""
    columns = con.execute(
        """select epoch_us(min_time) as first, epoch_us(max_time) as last, seq,
                  list_position($names::varchar[], stage) - 1 as place
           from stage_changes
           where seq > $seq and list_contains($names::varchar[], stage)
           and ($first is null or max_time >= make_timestamptz($first::bigint))
           and ($last is null or min_time < make_timestamptz($last::bigint))
           order by first""",
        {"seq": seq, "names": list(names), "first": first, "last": last},
    ).fetchnumpy()
    return _Changes(columns["first"], columns["last"], columns["seq"], columns["place"])


def _array(numbers: Iterable[int]) -> _Ints:
    return np.fromiter(numbers, dtype=np.int64)


def no_data(
    con: duckdb.DuckDBPyConnection,
    stages: Sequence[StagedTable],
    interval: Interval,
    freshness: timedelta,
) -> str:
    """Why one of their sources cannot answer for the interval, in one sentence; empty when all can.

    Judged from the interval's end, never from the clock, so that a backfill says what the night
    said; and by the files that the stages have read as they are now.
    """
    for source in sorted({stage.source for stage in stages}):
        read = seen.by(stages, source)
        files, newest = con.execute(
            f"""select
                   (select count(*) from source_files where source_table = $source
                    and state = 'staged' and covers_start < $end and covers_end > $start
                    and {read}),
                   (select max(hour) from source_hours where source_table = $source
                    and hour < $end and hour > $old - interval 1 hour and {read})""",
            {
                "source": source,
                "start": interval.start,
                "end": interval.end,
                "old": interval.end - freshness,
            },
        ).fetchall()[0]
        if not files:
            return f"{source}: no file covers any part of {interval}"
        if newest is None:
            since = format_time(interval.end - freshness)
            return f"{source}: no event since {since} although files cover {interval}"
    return ""


def was_hunted(con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval) -> bool:
    """True when the interval was hunted by the detection as it was before, and never since."""
    rows = con.execute(
        """select bool_and(detection_hash <> ?) from run_intervals
           where detection_id = ? and interval_start = ? and interval_end = ? and state = ?""",
        [hunt.hash, hunt.detection.id, interval.start, interval.end, DONE],
    ).fetchall()
    return bool(rows[0][0])


def expired(con: duckdb.DuckDBPyConnection, sources: Sequence[str], span: Interval) -> str:
    """Why the sources' rows in the span are not all there any more, in one sentence; else empty.

    Retention removed them, and no file that the lake still lists brought them again.
    """
    gone, source = con.execute(
        """select count(*), min(source_table) from source_files
           where state = 'expired' and list_contains(?::varchar[], source_table)
           and max_time >= ? and min_time < ?""",
        [list(sources), span.start, span.end],
    ).fetchall()[0]
    if not gone:
        return ""
    return (
        f"{source}: the rows of {gone} files it reads were removed by retention and left the lake"
    )


def staged_from(con: duckdb.DuckDBPyConnection, stages: Sequence[StagedTable]) -> datetime:
    """The time from which all of these staged tables hold what the lake holds."""
    starts = []
    for stage in stages:
        rows = con.execute(
            """select min(covers_start) from source_files as f
               inner join file_stages as s using (file_id)
               where s.stage = ? and s.stage_hash = ? and f.state = 'staged'""",
            [stage.name, stage.hash],
        ).fetchall()
        starts.append(rows[0][0] or _FAR)
    return max(starts, default=_FAR)


def learning(hunt: Hunt, interval: Interval, start: datetime) -> str:
    """What to say when a hunt that needs history has less than its lookback; else empty."""
    if not hunt.needs_history or start <= interval.start - hunt.detection.lookback:
        return ""
    if start == _FAR:
        return "learning: nothing is staged yet"
    ready = ceil(start + hunt.detection.lookback, hunt.detection.frequency)
    return f"learning until {format_time(ready)}"


def fingerprint(con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval) -> str:
    """A hash of the file versions whose rows lie in what the interval reads."""
    rows = con.execute(
        """select distinct f.path, f.size_bytes, f.mtime_ns
           from stage_hours as h inner join source_files as f using (file_id)
           where list_contains(?::varchar[], h.stage) and h.max_time >= ? and h.min_time < ?
           order by all""",
        [
            [stage.name for stage in hunt.stages],
            interval.start - hunt.detection.lookback,
            interval.end,
        ],
    ).fetchall()
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
