"""What changed stage SQL and changed detections cost: reported before anything is read.

When stage SQL changes, its files are read again. Rows of files that have left the lake since are
kept as the earlier SQL staged them, and what hunts cannot see of them is named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from gundog.core.times import DAY, MICROSECOND, Interval, format_time, hull
from gundog.detections.hunt import Hunt
from gundog.detections.staged import StagedTable
from gundog.run import estimate
from gundog.staging.batch import Task


@dataclass(frozen=True)
class Lost:
    """A file that only an earlier SQL has read and that the lake lists no more.

    `rows` is how many staged rows it brought then; `span` from its first to after its last.
    """

    stage: str
    source: str
    file_id: int
    rows: int
    span: Interval


def lost(
    con: duckdb.DuckDBPyConnection,
    stages: Iterable[StagedTable],
    listed: Mapping[str, Collection[int]],
) -> tuple[Lost, ...]:
    """The files that these stages cannot read again, of sources that could be listed.

    Args:
        con: the warehouse.
        stages: as they are now.
        listed: the ids of the files that the lake lists, by source.
    """
    files = []
    for stage in {item.name: item for item in stages}.values():
        if stage.source not in listed:
            continue
        there = set(listed[stage.source])
        rows = con.execute(
            """select s.file_id, any_value(s.rows), min(h.min_time), max(h.max_time)
               from file_stages as s
               inner join source_files as f on f.file_id = s.file_id and f.state = 'staged'
               inner join stage_hours as h on h.file_id = s.file_id and h.stage = s.stage
               where s.stage = ? and s.stage_hash <> ? and s.rows > 0
               group by s.file_id order by min(h.min_time)""",
            [stage.name, stage.hash],
        ).fetchall()
        files += [
            Lost(stage.name, stage.source, key, many, _span(first, last))
            for key, many, first, last in rows
            if key not in there
        ]
    return tuple(files)


def _span(first: datetime, last: datetime) -> Interval:
    return Interval(first, last + MICROSECOND)


def reached(
    gone: Iterable[Lost], stages: Iterable[StagedTable], span: Interval
) -> tuple[Lost, ...]:
    """Those of the lost files whose rows these stages would have in the span."""
    names = {stage.name for stage in stages}
    return tuple(file for file in gone if file.stage in names and file.span.overlaps(span))


def told(gone: Sequence[Lost]) -> str:
    """What hunts miss of lost files, in one sentence; empty when there are none."""
    if not gone:
        return ""
    sources = ", ".join(sorted({file.source for file in gone}))
    return (
        f"{sources}: {sum(file.rows for file in gone):,} rows of"
        f" {_files(len({file.file_id for file in gone}))} are not seen:"
        " they were read by an earlier SQL and left the lake"
    )


def notes(gone: Iterable[Lost]) -> list[str]:
    """What the lake has no more, one line per staged table."""
    files = list(gone)
    lines = []
    for name in sorted({file.stage for file in files}):
        mine = [file for file in files if file.stage == name]
        whole = hull(file.span for file in mine)
        assert whole is not None  # noqa: S101 - there is one at least
        lines.append(
            f"{name}: its SQL changed, and {_files(len(mine))} that it was read from left the lake"
            f" ({_days(whole)}): their {sum(file.rows for file in mine):,} rows are kept as they"
            " were staged, and hunts do not see them"
        )
    return lines


def announced(
    con: duckdb.DuckDBPyConnection,
    hunts: Sequence[Hunt],
    tasks: Iterable[Task],
    wanted: Mapping[str, Sequence[Interval]],
) -> list[str]:
    """What is read and hunted again because it changed since the last run, in lines for people.

    Args:
        con: the warehouse, before the run hunts anything.
        hunts: what the run hunts.
        tasks: the files that it will read.
        wanted: the intervals that it looks at, by detection id.
    """
    lines = _reading(con, tasks)
    for hunt in hunts:
        lines += _hunting(con, hunt, wanted.get(hunt.detection.id, ()))
    return lines


def _reading(con: duckdb.DuckDBPyConnection, tasks: Iterable[Task]) -> list[str]:
    """The line about files that were read before, by a SQL that is another now."""
    before = {
        (key, name): digest
        for key, name, digest in con.execute(
            "select file_id, stage, stage_hash from file_stages"
        ).fetchall()
    }
    names, files, size = set[str](), 0, 0
    for task in tasks:
        changed = {
            stage.name
            for stage in task.stages
            if before.get((task.file_id, stage.name), stage.hash) != stage.hash
        }
        if changed:
            names |= changed
            files += 1
            size += task.file.size
    if not files:
        return []
    much = f"{size / 1e6:,.1f} MB, {estimate.measured(con).words(size, {})}"
    said = f"{_files(files)} that {'was' if files == 1 else 'were'} read before"
    return [f"the SQL of {', '.join(sorted(names))} changed: to read again: {said}, {much}"]


def _hunting(con: duckdb.DuckDBPyConnection, hunt: Hunt, wanted: Sequence[Interval]) -> list[str]:
    """The line about a detection of which nothing was hunted since it changed."""
    rows = con.execute(
        """select interval_start, interval_end, bool_or(detection_hash = ?) from run_intervals
           where detection_id = ? group by all order by all""",
        [hunt.hash, hunt.detection.id],
    ).fetchall()
    if not rows or any(is_now for _, _, is_now in rows):
        return []
    again, stem = set(wanted), hunt.detection.stem
    others = [
        interval
        for interval in (Interval(start, end) for start, end, _ in rows)
        if interval not in again
    ]
    whole = hull(others)
    said = f"{stem} changed: {_many(len(again), 'interval')} hunted with the new version"
    if not whole:
        return [said]
    much = estimate.measured(con).words(0, {hunt.detection.id: len(others)})
    last = max(whole.start, whole.end - DAY)
    command = (
        f"gundog backfill --from {whole.start:%Y-%m-%d} --to {last:%Y-%m-%d} --detection {stem}"
    )
    before = _many(len(others), "earlier interval")
    return [f"{said}; what was found in {before} stays: {command} hunts again, {much}"]


def _days(span: Interval) -> str:
    last = span.end - MICROSECOND
    return f"{format_time(span.start)[:10]} to {format_time(last)[:10]}"


def _files(count: int) -> str:
    return _many(count, "file")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
