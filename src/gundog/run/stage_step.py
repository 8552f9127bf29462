"""The first step of a run: which files of the lake it may need, and staging those that wait."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from gundog.run import estimate, target_faults, upgrade
from gundog.run.context import Context
from gundog.run.outcome import About, Outcome
from gundog.run.parts import stage_part
from gundog.run.upgrade import Lost
from gundog.staging import apart, stage
from gundog.staging.batch import FileOutcome, Limits, Task
from gundog.staging.rescue import Patience
from gundog.staging.results import Staged

LARGE_BYTES = 50_000_000_000
ANNOUNCED_BYTES = 1_000_000_000
_SLACK = timedelta(hours=1)


@dataclass(frozen=True)
class Listing:
    """What the lake holds of what a run may need.

    Attributes:
        files: of each source that could be listed.
        unlisted: why the others could not, by source.
    """

    files: Mapping[str, Sequence[FileVersion]] = field(default_factory=dict)
    unlisted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Staging:
    """How far staging is, and what hunts will miss.

    Attributes:
        waiting: the files that are still to stage, by source.
        unlisted: why a source could not be listed, or read any more, by source.
        blind: what stages could not read, by stage: the time of the files (None for all) and why.
        lost: files that only an earlier version of a stage's SQL has read, and the lake no longer
            has.
        patience: how much more time each stage has for files that it cannot read.
    """

    waiting: Mapping[str, Sequence[Task]]
    unlisted: Mapping[str, str] = field(default_factory=dict)
    blind: Mapping[str, Sequence[tuple[Interval | None, str]]] = field(default_factory=dict)
    lost: tuple[Lost, ...] = ()
    patience: Patience = field(default_factory=Patience)

    @property
    def tasks(self) -> list[Task]:
        """All files that wait, source by source."""
        return [task for tasks in self.waiting.values() for task in tasks]


def find_waiting(con: duckdb.DuckDBPyConnection, context: Context, listing: Listing) -> Staging:
    """Which of the listed files wait to be staged, and which left the lake before they were."""
    hunts = context.hunts
    waiting = {
        source: stage.pending(con, files, stages_of(hunts, source))
        for source, files in listing.files.items()
    }
    ids = {
        source: {stage.file_id(source, file.path) for file in files}
        for source, files in listing.files.items()
    }
    lost = upgrade.lost(con, [item for hunt in hunts for item in hunt.needed], ids)
    limit = apart.limit_of(context.project.settings.hunt_limit)
    patience = Patience(limit.total_seconds())
    return Staging(waiting, listing.unlisted, lost=lost, patience=patience)


def announce(
    con: duckdb.DuckDBPyConnection,
    context: Context,
    staging: Staging,
    wanted: Mapping[str, Sequence[Interval]],
    outcome: Outcome,
) -> None:
    """Says what a large staging will read, and what is read or hunted again because it changed.

    A very large staging of a backfill wants a yes.

    Raises:
        InputError: when it was not given; nothing was done.
    """
    tasks = staging.tasks
    for line in upgrade.announced(con, context.hunts, tasks, wanted):
        context.say(line)
    gone = {
        file
        for hunt in context.hunts
        if (span := hull(wanted[hunt.detection.id]))
        for file in upgrade.reached(staging.lost, hunt.needed, span.widen(hunt.detection.reach))
    }
    outcome.notes += upgrade.notes(gone)
    size = _size(tasks)
    volume = f"{count(len(tasks), 'file')}, {size / 1e9:,.1f} GB"
    if size > LARGE_BYTES and context.request.command == "backfill" and not context.request.yes:
        con.execute("delete from runs where run_id = ?", [str(context.stamp.id)])
        raise InputError(f"this would read {volume}: add --yes to start, or --plan to see more")
    if size > ANNOUNCED_BYTES:
        time_needed = estimate.measured(con).words(size, {})
        context.say(f"to stage in all: {volume}, {time_needed}")


def partitions(hunt: Hunt, span: Interval, late: timedelta, partition_by: str) -> Interval:
    """The partitions whose files can hold rows that the hunt reads for `span`."""
    if partition_by == "event":
        return span.widen(hunt.detection.reach + DAY, DAY)
    return span.widen(hunt.detection.reach + _SLACK, late)


def list_lake(
    context: Context, wanted: Mapping[str, Sequence[Interval]], outcome: Outcome
) -> Listing:
    """Lists every source that a hunt reads, once, over all that the run may need of it."""
    files, unlisted = dict[str, list[FileVersion]](), dict[str, str]()
    for source, needs in sorted(_needs(context.hunts, wanted).items()):
        try:
            files[source] = _list_source(context, source, needs, outcome)
        except StoreError as error:  # its hunts fail, the others go on
            unlisted[source] = str(error)
            day = f"{context.stamp.at:%Y-%m-%d}"
            outcome.trouble(f"lake:{source}:{day}", source, str(error))
    return Listing(files, unlisted)


def _needs(
    hunts: Sequence[Hunt], wanted: Mapping[str, Sequence[Interval]]
) -> dict[str, list[tuple[Hunt, Interval]]]:
    """By source, the hunts that read it, with the span of the intervals that each looks at."""
    needs = defaultdict[str, list[tuple[Hunt, Interval]]](list)
    for hunt in hunts:
        if span := hull(wanted[hunt.detection.id]):
            for source in hunt.sources:
                needs[source].append((hunt, span))
    return needs


def _list_source(
    context: Context, source: str, needs: Sequence[tuple[Hunt, Interval]], outcome: Outcome
) -> list[FileVersion]:
    options, environ = context.project.settings, context.project.environ
    paths, late = options.lake[source], context.stamp.late_arrival
    spans = {
        kind: span
        for kind in ("ingest", "event")
        if (span := hull(partitions(hunt, span, late, kind) for hunt, span in needs))
    }
    files = listing.list_files(source, paths, spans, options.root, environ)
    if not files:
        text = latest.explain_no_match(source, paths, options.root, environ)
        about = About(acknowledged.HOLE, source, hull(span for _, span in needs))
        outcome.trouble(f"lake:{source}:{context.stamp.at:%Y-%m-%d}", source, text, about)
    return files


_Days = Sequence[tuple[datetime, Sequence[tuple[Hunt, Interval]]]]


def stage_day(
    con: duckdb.DuckDBPyConnection,
    context: Context,
    staging: Staging,
    days: _Days,
    outcome: Outcome,
    *,
    ahead: bool,
) -> Staging | None:
    """Stages what waits of the files that the first day's hunts can read; None where nothing does.

    What the days after it need is staged with it, up to a batch, or to one for each of many
    workers: small steps cost more than they read. With `ahead` also where the first day needs
    nothing.
    """
    late = context.stamp.late_arrival
    tasks = _waiting_for(staging, days[0][1], late)
    if not tasks and not ahead:
        return None
    most = context.others.step_bytes or stage.BATCH_BYTES
    for _, intervals in days[1:]:
        more = tasks | _waiting_for(staging, intervals, late)
        if _size(more.values()) > most:
            break
        tasks = more
    if not tasks:
        return None
    work = partial(_stage_tasks, con, context, staging, list(tasks.values()), outcome)
    return context.run_part(stage_part(days[0][0]), work)


def _waiting_for(
    staging: Staging, intervals: Sequence[tuple[Hunt, Interval]], late: timedelta
) -> dict[int, Task]:
    """The waiting files that hunts of these intervals can read, by file_id."""
    tasks = dict[int, Task]()
    for source, waiting in staging.waiting.items():
        spans = _hulls(intervals, source)
        read = {
            kind: {partitions(hunt, span, late, kind) for hunt, span in spans}
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


def _stage_tasks(
    con: duckdb.DuckDBPyConnection,
    context: Context,
    staging: Staging,
    tasks: Sequence[Task],
    outcome: Outcome,
) -> Staging:
    """Stages the files, and names what went wrong with them."""
    options, content = context.project.settings, context.project.content
    context.say(f"staging {count(len(tasks), 'file')}, {_size(tasks) / 1e6:,.1f} MB")
    began = time.perf_counter()
    reader = apart.reader(context.child, apart.limit_of(options.hunt_limit))
    staged = stage.run(
        con,
        tasks,
        content.sources,
        options.lake,
        context.project.environ,
        context.stamp.at,
        reading_limits(options),
        reader,
        staging.patience,
        context.others,
    )
    after = _after(staging, tasks, staged)
    _name_blind(context, staging, after, outcome)
    outcome.stage_seconds += time.perf_counter() - began
    outcome.files += staged.files
    outcome.bytes += staged.bytes
    _name_failures(context, staged, outcome)
    for problem in context.others.problems():
        key = f"workers:{context.stamp.at:%Y-%m-%d}:{problem}"
        outcome.trouble(key, target_faults.WORKERS, problem)
    return after


def _after(staging: Staging, tasks: Sequence[Task], staged: Staged) -> Staging:
    """How far staging is now; files that their store did not give wait on, if it gives others."""
    not_given = {path for path, _ in staged.of(FileOutcome.STORE_GONE)}
    tried = {task.file_id for task in tasks if task.file.path not in not_given}
    blind = {name: list(spans) for name, spans in staging.blind.items()}
    for name, spans in staged.blind.items():
        blind.setdefault(name, []).extend(spans)
    for name, why in staged.patience.left_out.items():
        if (None, why) not in blind.setdefault(name, []):
            blind[name].append((None, why))
    waiting = {
        source: [task for task in files if task.file_id not in tried]
        for source, files in staging.waiting.items()
        if source not in staged.gone
    }
    unlisted = {**staging.unlisted, **staged.gone}
    return replace(
        staging, waiting=waiting, unlisted=unlisted, blind=blind, patience=staged.patience
    )


def _name_blind(context: Context, before: Staging, after: Staging, outcome: Outcome) -> None:
    """Names the stages that are left out from now on; hunts that read what is missing fail."""
    stages = {item.name: item for hunt in context.hunts for item in hunt.stages}
    for name, why in after.patience.left_out.items():
        if name not in before.patience.left_out:
            day = f"{context.stamp.at:%Y-%m-%d}"
            outcome.trouble(f"stage:{name}:{day}", stages[name].path, why)


def _name_failures(context: Context, staged: Staged, outcome: Outcome) -> None:
    """Names the files that were not stored, or stored as rejected."""
    today = floor(context.stamp.at, DAY)
    for result in staged.results:
        if result.outcome in (FileOutcome.REJECTED, FileOutcome.CHANGED):
            file, error = result.task.file, result.error
            span = file.covers or Interval(today, today + DAY)
            about = About(acknowledged.REJECTED, file.source, span)
            outcome.trouble(f"file:{file.path}:{error}", file.path, f"rejected: {error}", about)
    day = f"{today:%Y-%m-%d}"
    for source, error in staged.gone.items():  # its hunts fail, the others go on
        outcome.trouble(f"lake:{source}:{day}", source, error)
    for path, error in staged.of(FileOutcome.STORE_GONE):
        if error not in staged.gone.values():
            outcome.trouble(f"unread:{path}:{day}", path, f"not read: {error}")
    for path, error in staged.of(FileOutcome.UNREAD):
        outcome.trouble(f"unread:{path}:{error}", path, f"not read: {error}")


def blind(staging: Staging, hunt: Hunt, interval: Interval) -> str:
    """Why a hunt's staged tables lack what this run should have read for the interval."""
    return "; ".join(
        dict.fromkeys(
            f"{item.path}: {why}"
            for item in hunt.stages
            for span, why in staging.blind.get(item.name, ())
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
    return [
        (pairs[0][0], span)
        for pairs in by_hunt.values()
        if (span := hull(interval for _, interval in pairs))
    ]


def _needed(file: FileVersion, read: Collection[Interval]) -> bool:
    if file.covers is None:
        return bool(read)
    return any(file.covers.overlaps(span) for span in read)


def stages_of(hunts: Sequence[Hunt], source: str) -> list[StagedTable]:
    """The stages of a source that these hunts read, each once."""
    stages = {item.name: item for hunt in hunts for item in hunt.stages if item.source == source}
    return list(stages.values())
