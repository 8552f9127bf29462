"""The first step of a run: which files of the lake it may need, and staging those that wait."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import duckdb

from gundog.core.errors import InputError, StoreError
from gundog.core.times import DAY, Interval, floor, hull
from gundog.core.wording import count
from gundog.detections.hunt import Hunt
from gundog.detections.staged import StagedTable
from gundog.health import acknowledged
from gundog.lake import latest, listing
from gundog.lake.file_version import FileVersion
from gundog.project.settings import Settings
from gundog.run import estimate, upgrade
from gundog.run.context import About, Course
from gundog.staging import apart, stage
from gundog.staging.reading import Limits, Task

LARGE_BYTES = 50_000_000_000
ANNOUNCED_BYTES = 1_000_000_000
_SLACK = timedelta(hours=1)


def find_waiting(con: duckdb.DuckDBPyConnection, state: Course) -> None:
    """Finds out which of the listed files wait to be staged, and which left before they were."""
    state.waiting = {
        source: stage.pending(con, files, stages_of(state.hunts, source))
        for source, files in state.files.items()
    }
    listed = {
        source: {stage.file_id(source, file.path) for file in files}
        for source, files in state.files.items()
    }
    stages = [one for hunt in state.hunts for one in hunt.stages]
    state.lost = upgrade.lost(con, stages, listed)


def announce(
    con: duckdb.DuckDBPyConnection, state: Course, wanted: Mapping[str, Sequence[Interval]]
) -> None:
    """Says what a large staging will read, and what is read or hunted again because it changed.

    A very large staging of a backfill wants a yes.

    Raises:
        InputError: when it was not given; nothing was done.
    """
    tasks = [task for some in state.waiting.values() for task in some]
    for line in upgrade.announced(con, state.hunts, tasks, wanted):
        state.say(line)
    gone = {
        one
        for hunt in state.hunts
        if (span := hull(wanted[hunt.detection.id]))
        for one in upgrade.reached(state.lost, hunt.stages, span.widen(hunt.detection.reach))
    }
    state.outcome.notes += upgrade.notes(gone)
    size = _size(tasks)
    much = f"{count(len(tasks), 'file')}, {size / 1e9:,.1f} GB"
    if size > LARGE_BYTES and state.request.command == "backfill" and not state.request.yes:
        con.execute("delete from runs where run_id = ?", [str(state.author.run_id)])
        raise InputError(f"this would read {much}: add --yes to start, or --plan to see more")
    if size > ANNOUNCED_BYTES:
        state.say(f"to stage in all: {much}, {estimate.known(con).words(size, {})}")


def reading(hunt: Hunt, span: Interval, late: timedelta, partition_by: str) -> Interval:
    """The partitions whose files can hold rows that the hunt reads for `span`."""
    if partition_by == "event":
        return span.widen(hunt.detection.reach + DAY, DAY)
    return span.widen(hunt.detection.reach + _SLACK, late)


def list_lake(state: Course, wanted: Mapping[str, Sequence[Interval]]) -> None:
    """Lists every source that a hunt reads, once, over all that the run may need of it."""
    spans = defaultdict[str, list[tuple[Hunt, Interval]]](list)
    for hunt in state.hunts:
        span = hull(wanted[hunt.detection.id])
        for source in hunt.sources if span else ():
            assert span is not None  # noqa: S101 - the loop is empty otherwise
            spans[source].append((hunt, span))
    late = state.clock.late_arrival
    for source, needs in sorted(spans.items()):
        parts = {
            kind: hull(reading(hunt, one, late, kind) for hunt, one in needs)
            for kind in ("ingest", "event")
        }
        try:
            asked = hull(one for _, one in needs)
            state.files[source] = _list_source(state, source, _known(parts), asked)
        except StoreError as error:  # its hunts fail, the others go on
            state.unlisted[source] = str(error)
            day = f"{state.author.at:%Y-%m-%d}"
            state.outcome.trouble(f"lake:{source}:{day}", source, str(error))


def _list_source(
    state: Course, source: str, spans: Mapping[str, Interval], asked: Interval | None
) -> list[FileVersion]:
    options = state.project.settings
    paths, environ = options.lake[source], state.project.environ
    files = listing.list_files(source, paths, spans, options.root, environ)
    if not files:
        text = latest.explain_no_match(source, paths, options.root, environ)
        about = About(acknowledged.HOLE, source, asked)
        state.outcome.trouble(f"lake:{source}:{state.author.at:%Y-%m-%d}", source, text, about)
    return files


def _known(spans: Mapping[str, Interval | None]) -> dict[str, Interval]:
    return {kind: span for kind, span in spans.items() if span}


_Days = Sequence[tuple[datetime, Sequence[tuple[Hunt, Interval]]]]


def stage_day(con: duckdb.DuckDBPyConnection, state: Course, days: _Days, *, ahead: bool) -> bool:
    """Stages what waits of the files that the first day's hunts can read; False where nothing does.

    What the days after it need is staged with it, up to a batch: small steps cost more than they
    read. With `ahead` also where the first day needs nothing.
    """
    tasks = _waiting_for(state, days[0][1])
    if not tasks and not ahead:
        return False
    for _, intervals in days[1:]:
        more = tasks | _waiting_for(state, intervals)
        if _size(more.values()) > stage.BATCH_BYTES:
            break
        tasks = more
    if not tasks:
        return False
    work = partial(_stage_tasks, con, state, list(tasks.values()))
    state.step(f"stage {days[0][0]:%Y-%m-%d}", work)
    return True


def _waiting_for(state: Course, intervals: Sequence[tuple[Hunt, Interval]]) -> dict[int, Task]:
    """The waiting files that hunts of these intervals can read, by file_id."""
    late = state.clock.late_arrival
    tasks = dict[int, Task]()
    for source, waiting in state.waiting.items():
        spans = _hulls(intervals, source)
        read = {
            kind: {reading(hunt, span, late, kind) for hunt, span in spans}
            for kind in ("ingest", "event")
        }
        tasks |= {
            task.file_id: task
            for task in waiting
            if _needed(task.file, read[task.file.partition_by])
        }
    return tasks


def _size(tasks: Iterable[Task]) -> int:
    return sum(task.file.size for task in tasks)


def _stage_tasks(con: duckdb.DuckDBPyConnection, state: Course, tasks: Sequence[Task]) -> None:
    options = state.project.settings
    size = _size(tasks)
    state.say(f"staging {count(len(tasks), 'file')}, {size / 1e6:,.1f} MB")
    began = time.perf_counter()
    done = stage.run(
        con, tasks, state.project.content.sources, options.lake, state.project.environ,
        state.author.at, reading_limits(options),
        apart.reader(state.child, apart.limit_of(options.hunt_limit)), state.patience,
    )  # fmt: skip
    _tell_blind(state, done)
    outcome, today = state.outcome, floor(state.author.at, DAY)
    outcome.stage_seconds += time.perf_counter() - began
    outcome.files += done.files
    outcome.bytes += done.bytes
    of = {task.file.path: task.file for task in tasks}
    for path, error in done.rejected:
        about = None
        if path in of:
            span = of[path].covers or Interval(today, today + DAY)
            about = About(acknowledged.REJECTED, of[path].source, span)
        outcome.trouble(f"file:{path}:{error}", path, f"rejected: {error}", about)
    day = f"{today:%Y-%m-%d}"
    for source, error in done.dead.items():  # its hunts fail, the others go on
        state.unlisted[source] = error
        outcome.trouble(f"lake:{source}:{day}", source, error)
    for path, error in done.unread:
        if error not in done.dead.values():
            outcome.trouble(f"unread:{path}:{day}", path, f"not read: {error}")
    for path, error in done.log.unread:
        outcome.trouble(f"unread:{path}:{error}", path, f"not read: {error}")
    unread = {path for path, _ in done.unread}
    tried = {task.file_id for task in tasks if task.file.path not in unread}
    state.waiting = {
        source: [task for task in waiting if task.file_id not in tried]
        for source, waiting in state.waiting.items()
        if source not in done.dead
    }


def _tell_blind(state: Course, done: stage.Staged) -> None:
    """Names the stages that are left out from now on; hunts that read what is missing fail."""
    stages = {one.name: one for hunt in state.hunts for one in hunt.stages}
    for name, spans in done.blind.items():
        state.blind.setdefault(name, []).extend(spans)
    for name, why in state.patience.left_out.items():
        known = state.blind.setdefault(name, [])
        if (None, why) not in known:
            known.append((None, why))
            day = f"{state.author.at:%Y-%m-%d}"
            state.outcome.trouble(f"stage:{name}:{day}", stages[name].path, why)


def blind(state: Course, hunt: Hunt, interval: Interval) -> str:
    """Why a hunt's staged tables lack what this run should have read for the interval."""
    return "; ".join(
        dict.fromkeys(
            f"{one.path}: {why}"
            for one in hunt.stages
            for span, why in state.blind.get(one.name, ())
            if span is None or span.overlaps(interval)
        )
    )


def reading_limits(options: Settings) -> Limits:
    """What reading lake files may use; copies and spills lie beside the warehouse."""
    folder = options.warehouse.with_suffix(".tmp")
    return Limits(options.memory_limit, options.threads, folder)


def _hulls(intervals: Iterable[tuple[Hunt, Interval]], source: str) -> list[tuple[Hunt, Interval]]:
    """Per hunt that reads the source, the span of its intervals of the day."""
    by_hunt = defaultdict[str, list[tuple[Hunt, Interval]]](list)
    for hunt, interval in intervals:
        if source in hunt.sources:
            by_hunt[hunt.detection.id].append((hunt, interval))
    found = []
    for pairs in by_hunt.values():
        span = hull(interval for _, interval in pairs)
        if span:
            found.append((pairs[0][0], span))
    return found


def _needed(file: FileVersion, read: Collection[Interval]) -> bool:
    if file.covers is None:
        return bool(read)
    return any(file.covers.overlaps(one) for one in read)


def stages_of(hunts: Sequence[Hunt], source: str) -> list[StagedTable]:
    """The stages of a source that these hunts read, each once."""
    stages = {one.name: one for hunt in hunts for one in hunt.stages if one.source == source}
    return list(stages.values())
