"""The four steps over intervals: stage, hunt, publish, notify. Every command that hunts is this."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

import gundog
from gundog import (
    channels,
    content,
    exceptions,
    findings,
    lake,
    ledger,
    notify,
    pace,
    publish,
    purging,
    query,
    retention,
    sending,
    series,
    settings,
    stage,
    suppression,
    triage,
    warehouse,
)
from gundog.content import Content, Hunt, Stage
from gundog.errors import ContentError, GundogError, InputError, Problem, StoreError
from gundog.findings import Author, Changes, Hunted
from gundog.interval import Interval, ceil, check_on_grid, format_time, hull, split
from gundog.lake import FileVersion
from gundog.ledger import Clock
from gundog.purging import Purged, Whom
from gundog.reading import Limits, Task
from gundog.sending import Sent
from gundog.settings import Settings

LARGE_BYTES = 50_000_000_000
_ANNOUNCED_BYTES = 1_000_000_000
_SLACK = timedelta(hours=1)
# A hunt that takes longer reads far too much, and would keep the night from ending.
_HUNT_LIMIT_S = 3600.0
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Project:
    """A project folder read: its settings and its content."""

    settings: Settings
    content: Content
    environ: Mapping[str, str] = field(repr=False)
    exceptions: tuple[exceptions.Entry, ...] = ()


@dataclass(frozen=True)
class Request:
    """What a run is asked for; without `within` it is the nightly run."""

    command: str
    within: Interval | None = None
    detections: tuple[str, ...] = ()
    again: bool = False
    wait: timedelta = timedelta()
    origin: str = "nightly"
    notify: str | None = None
    # A backfill that must read more than `LARGE_BYTES` for the first time wants it said.
    yes: bool = False
    # When a nightly run was scheduled, if not now: a late one hunts the night it was meant for.
    due: datetime | None = None


@dataclass
class Health:
    """Something that needs a person: `key` is the same for the same trouble on later runs."""

    key: str
    title: str
    text: str


@dataclass
class Outcome:
    """How a run went."""

    run_id: UUID
    started: datetime
    within: Interval | None = None
    files: int = 0
    bytes: int = 0
    rows: int = 0
    hunted: int = 0
    done: int = 0
    changes: Changes = field(default_factory=Changes)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    stage_seconds: float = 0.0
    stopped: bool = False

    @property
    def exit_status(self) -> int:
        return 1 if self.problems else 0

    def trouble(self, key: str, title: str, text: str) -> None:
        """Names something that failed or had no data; the run exits 1."""
        self.problems.append(f"{title}: {text}")
        self.health.append(Health(key, title, text))


Say = Callable[[str], None]
# Runs one named part of a run and gives back what it returns: a seam for whoever wants to see,
# time or retry the parts, as the Prefect flows do.
Step = Callable[[str, Callable[[], Any]], Any]


def _directly(name: str, part: Callable[[], Any]) -> Any:
    """Runs a part as it is."""
    del name
    return part()


def _silent(line: str) -> None:
    """Says nothing."""
    del line


def _unseen(done: int, total: int) -> None:
    """Tells nobody how far it is."""
    del done, total


def _never() -> bool:
    """Nobody asks to stop."""
    return False


def load_project(root: Path, environ: Mapping[str, str]) -> Project:
    """A project folder's settings and content.

    Raises:
        ContentError: when gundog.yaml or exceptions.yaml is wrong; broken detections are problems
            of the content.
    """
    loaded = settings.load(root, environ)
    problems = [
        Problem(settings.FILE, f"notify.{channel.name}.url", what)
        for channel in loaded.notify
        if (what := channels.url_problem(channel.url))
    ]
    if problems:
        raise ContentError(problems)
    excepted = exceptions.load(loaded.root)
    where = content.folders(loaded.content, loaded.root)
    found = content.load(where, loaded.overrides, loaded.root)
    names = [(one.id, one.stem) for one in found.detections]
    # A detection that does not load may be the one that an exception names.
    if not found.problems and (unknown := exceptions.check_names(excepted, names)):
        raise ContentError(unknown)
    return Project(loaded, found, environ, excepted)


@dataclass
class _Run:
    """What the steps of one run share."""

    project: Project
    request: Request
    clock: Clock
    author: Author
    hunts: tuple[Hunt, ...]
    outcome: Outcome
    say: Say
    step: Step = _directly
    went: Callable[[int, int], None] = _unseen
    stop: Callable[[], bool] = _never
    files: dict[str, list[FileVersion]] = field(default_factory=dict)
    waiting: dict[str, list[Task]] = field(default_factory=dict)
    unlisted: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)
    attempted: set[tuple[str, Interval]] = field(default_factory=set)
    left: set[tuple[str, Interval]] = field(default_factory=set)


def run(
    project: Project,
    request: Request,
    now: datetime,
    run_id: UUID,
    say: Say = _silent,
    step: Step = _directly,
    went: Callable[[int, int], None] = _unseen,
    stop: Callable[[], bool] = _never,
) -> Outcome:
    """Stages, hunts, stores and publishes what the request covers, oldest first.

    Args:
        project: settings and content.
        request: which intervals, of which detections.
        now: the time of the run, in UTC; nothing below asks a clock.
        run_id: names the run in every row that it writes.
        say: gets one line of progress at a time.
        step: runs each named part: list, stage, one hunt per detection and day, publish, notify.
        went: is told how many days are done, and of how many.
        stop: asked before each day; True ends the run there, with all it did stored and published.

    Raises:
        InputError: when the request is wrong; nothing was done.
        LockError: when another run holds the warehouse.
        StoreError: when the lake cannot be listed; nothing was stored.
    """
    outcome = Outcome(run_id, now)
    hunts = _with_lake(project, _selected(project.content, request), outcome)
    for problem in project.content.problems:
        outcome.trouble(f"content:{problem}", "content", str(problem))
    author = Author(run_id, now, request.origin)
    clock = Clock(now, project.settings.late_arrival, request.due)
    state = _Run(project, request, clock, author, hunts, outcome, say, step, went, stop)
    _check_range(state)
    with warehouse.lock(project.settings.warehouse, request.wait, now):
        _steps(state)
    return outcome


def _selected(loaded: Content, request: Request) -> tuple[Hunt, ...]:
    named = [loaded.hunt(name) for name in request.detections]
    return tuple(hunt for hunt in named or loaded.hunts if hunt.detection.runs)


def without_lake(project: Project) -> dict[str, str]:
    """Why a hunt cannot run, by its stem: gundog.yaml has no path for a source that it reads."""
    idle = {}
    for hunt in project.content.hunts:
        lacking = [source for source in hunt.sources if source not in project.settings.lake]
        if lacking:
            names = " and ".join(f"lake.{source}" for source in lacking)
            idle[hunt.detection.stem] = f"gundog.yaml has no {names}"
    return idle


def _with_lake(project: Project, hunts: Sequence[Hunt], outcome: Outcome) -> tuple[Hunt, ...]:
    """The hunts whose sources gundog.yaml has a path for; the others are said not to run."""
    idle = without_lake(project)
    stems = [hunt.detection.stem for hunt in hunts]
    outcome.notes += [f"{stem}: not run: {idle[stem]}" for stem in stems if stem in idle]
    return tuple(hunt for hunt in hunts if hunt.detection.stem not in idle)


def _check_range(state: _Run) -> None:
    within = state.request.within
    if not within:
        return
    for hunt in state.hunts:
        check_on_grid(within.start, hunt.detection.frequency, f"{hunt.detection.stem}: --from")
        check_on_grid(within.end, hunt.detection.frequency, f"{hunt.detection.stem}: --to")
    if within.start >= state.clock.now:
        raise InputError(f"{within} has not happened yet: give days that are over")
    state.say(f"{state.request.command} {within}")


def _held(state: _Run) -> warehouse.Held:
    options = state.project.settings
    return warehouse.Held(
        options.warehouse, memory_limit=options.memory_limit, threads=options.threads
    )


def _steps(state: _Run) -> None:
    # What a killed run was reading; no other run is at work.
    shutil.rmtree(state.project.settings.warehouse.with_suffix(".tmp"), ignore_errors=True)
    with _held(state) as held:
        wanted = _begin(held.con(), state)
        within = state.request.within or hull(i for one in wanted.values() for i in one)
        state.outcome.within = within
        state.step("list lake", partial(_list_lake, state, wanted))
        _await(held.con(), state)
        _announce(held.con(), state)
        for _ in range(3):  # files of a later day may touch an earlier one: hunt that again
            if not _hunt_all(held, state, wanted) or state.outcome.stopped:
                break
        _finish(held.con(), state)


def _begin(con: duckdb.DuckDBPyConnection, state: _Run) -> dict[str, list[Interval]]:
    """Writes down that the run began; returns the intervals to look at, by detection id."""
    publish.write_detections(con, state.project.content.hunts)
    notify.start(con, state.project.settings.notify, state.author.at)
    _start(con, state)
    return _wanted(con, state)


def _await(con: duckdb.DuckDBPyConnection, state: _Run) -> None:
    """Finds out which of the listed files wait to be staged."""
    state.waiting = {
        source: stage.pending(con, files, _stages_of(state.hunts, source))
        for source, files in state.files.items()
    }


def _announce(con: duckdb.DuckDBPyConnection, state: _Run) -> None:
    """Says what a large staging will read; a very large one of a backfill wants a yes.

    Raises:
        InputError: when it was not given; nothing was done.
    """
    tasks = [task for some in state.waiting.values() for task in some]
    size = sum(task.file.size for task in tasks)
    much = f"{len(tasks):,} files, {size / 1e9:,.1f} GB"
    if size > LARGE_BYTES and state.request.command == "backfill" and not state.request.yes:
        con.execute("delete from runs where run_id = ?", [str(state.author.run_id)])
        raise InputError(f"this would read {much}: say --yes to begin, or --plan to see more")
    if size > _ANNOUNCED_BYTES:
        state.say(f"to stage in all: {much}, {pace.known(con).words(size, {})}")


def _start(con: duckdb.DuckDBPyConnection, state: _Run) -> None:
    within = state.request.within
    # A run that a scheduler tries again keeps its id.
    con.execute("delete from runs where run_id = ?", [str(state.author.run_id)])
    warehouse.insert(
        con,
        "runs",
        [
            {
                "run_id": str(state.author.run_id),
                "command": state.request.command,
                "origin": state.request.origin,
                "version": gundog.__version__,
                "started_at": state.author.at,
                "range_start": within.start if within else None,
                "range_end": within.end if within else None,
            }
        ],
    )


def _wanted(con: duckdb.DuckDBPyConnection, state: _Run) -> dict[str, list[Interval]]:
    """The intervals to look at, by detection id."""
    return {
        hunt.detection.id: ledger.candidates(con, hunt, state.clock, state.request.within)
        for hunt in state.hunts
    }


def reading(hunt: Hunt, span: Interval, late: timedelta, partition_by: str) -> Interval:
    """The partitions whose files can hold rows that the hunt reads for `span`."""
    if partition_by == "event":
        return span.widen(hunt.detection.reach + _DAY, _DAY)
    return span.widen(hunt.detection.reach + _SLACK, late)


def _list_lake(state: _Run, wanted: Mapping[str, Sequence[Interval]]) -> None:
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
            state.files[source] = _list_source(state, source, _known(parts))
        except StoreError as error:  # its hunts fail, the others go on
            state.unlisted[source] = str(error)
            day = f"{state.author.at:%Y-%m-%d}"
            state.outcome.trouble(f"lake:{source}:{day}", source, str(error))


def _list_source(state: _Run, source: str, spans: Mapping[str, Interval]) -> list[FileVersion]:
    options = state.project.settings
    paths, environ = options.lake[source], state.project.environ
    files = lake.list_files(source, paths, spans, options.root, environ)
    if not files:
        text = lake.explain_no_match(source, paths, options.root, environ)
        state.outcome.trouble(f"lake:{source}:{state.author.at:%Y-%m-%d}", source, text)
    return files


def _known(spans: Mapping[str, Interval | None]) -> dict[str, Interval]:
    return {kind: span for kind, span in spans.items() if span}


def _hunt_all(held: warehouse.Held, state: _Run, wanted: Mapping[str, Sequence[Interval]]) -> int:
    """Goes through the days oldest first; returns how many intervals were hunted."""
    count = 0
    days = _by_day(state.hunts, wanted)
    known = _states(held.con(), state, wanted)
    for turn, (day, intervals) in enumerate(days.items()):
        state.went(turn, len(days))
        if state.stop():
            state.outcome.stopped = True
            state.outcome.notes.append(
                f"stopped before {day:%Y-%m-%d}: run the same command again to go on"
            )
            break
        if _stage(held.con(), state, day, intervals):
            known = {}
        mine = _by_hunt(intervals)
        due = _due(held.con(), state, known or _states(held.con(), state, mine), mine)
        if not due:
            continue
        held.let_go()  # hunts read the file through a connection that cannot write
        hunted = _hunt_day(state, due)
        _store(held.con(), state, hunted)
        count += len(hunted)
        state.say(f"{format_time(day)[:10]}  {_day_line(hunted)}")
    return count


_Known = Mapping[tuple[str, Interval], str]


def _states(
    con: duckdb.DuckDBPyConnection, state: _Run, intervals: Mapping[str, Sequence[Interval]]
) -> _Known:
    """The state of each interval, by detection id and interval."""
    return {
        (hunt.detection.id, interval): known
        for hunt in state.hunts
        for interval, known in ledger.states(
            con, hunt, intervals.get(hunt.detection.id, ()), state.clock
        ).items()
    }


def _by_hunt(intervals: Iterable[tuple[Hunt, Interval]]) -> dict[str, list[Interval]]:
    by_hunt = defaultdict[str, list[Interval]](list)
    for hunt, interval in intervals:
        by_hunt[hunt.detection.id].append(interval)
    return {key: sorted(mine) for key, mine in by_hunt.items()}


def _by_day(
    hunts: Sequence[Hunt], wanted: Mapping[str, Sequence[Interval]]
) -> dict[datetime, list[tuple[Hunt, Interval]]]:
    days = defaultdict[datetime, list[tuple[Hunt, Interval]]](list)
    for hunt in hunts:
        for interval in wanted[hunt.detection.id]:
            days[ceil(interval.end, _DAY) - _DAY].append((hunt, interval))
    return dict(sorted(days.items()))


def _stage(
    con: duckdb.DuckDBPyConnection,
    state: _Run,
    day: datetime,
    intervals: Sequence[tuple[Hunt, Interval]],
) -> bool:
    """Stages what waits of the files that the day's hunts can read; False where nothing does."""
    tasks = []
    for source, waiting in state.waiting.items():
        spans = _hulls(intervals, source)
        tasks += [
            task
            for task in waiting
            if any(_needed(task.file, hunt, span, state) for hunt, span in spans)
        ]
    if tasks:
        state.step(f"stage {day:%Y-%m-%d}", partial(_stage_tasks, con, state, tasks))
    return bool(tasks)


def _stage_tasks(con: duckdb.DuckDBPyConnection, state: _Run, tasks: Sequence[Task]) -> None:
    options = state.project.settings
    size = sum(task.file.size for task in tasks)
    state.say(f"staging {len(tasks)} files, {size / 1e6:,.1f} MB")
    began = time.perf_counter()
    done = stage.run(
        con, tasks, state.project.content.sources, options.lake, state.project.environ,
        state.author.at, reading_limits(options),
    )  # fmt: skip
    outcome = state.outcome
    outcome.stage_seconds += time.perf_counter() - began
    outcome.files += done.files
    outcome.bytes += done.bytes
    for path, error in done.rejected:
        outcome.trouble(f"file:{path}:{error}", path, f"rejected: {error}")
    day = f"{state.author.at:%Y-%m-%d}"
    for source, error in done.dead.items():  # its hunts fail, the others go on
        state.unlisted[source] = error
        outcome.trouble(f"lake:{source}:{day}", source, error)
    for path, error in done.unread:
        if error not in done.dead.values():
            outcome.trouble(f"unread:{path}:{day}", path, f"not read: {error}")
    unread = {path for path, _ in done.unread}
    tried = {task.file_id for task in tasks if task.file.path not in unread}
    state.waiting = {
        source: [task for task in waiting if task.file_id not in tried]
        for source, waiting in state.waiting.items()
        if source not in done.dead
    }


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


def _needed(file: FileVersion, hunt: Hunt, span: Interval, state: _Run) -> bool:
    if file.covers is None:
        return True
    return file.covers.overlaps(reading(hunt, span, state.clock.late_arrival, file.partition_by))


def _stages_of(hunts: Sequence[Hunt], source: str) -> list[Stage]:
    stages = {one.name: one for hunt in hunts for one in hunt.stages if one.source == source}
    return list(stages.values())


@dataclass(frozen=True)
class _Due:
    """An interval to hunt, with what only the writable warehouse can tell of it."""

    hunt: Hunt
    interval: Interval
    seq: int
    no_data: str
    staged_from: datetime
    fingerprint: str
    unlisted: str


def _due(
    con: duckdb.DuckDBPyConnection,
    state: _Run,
    known: _Known,
    intervals: Mapping[str, Sequence[Interval]],
) -> list[_Due]:
    seq = warehouse.current_seq(con)
    found = []
    for hunt in state.hunts:
        for interval in intervals.get(hunt.detection.id, ()):
            at = known[hunt.detection.id, interval]
            tried = (hunt.detection.id, interval) in state.attempted
            if not _to_hunt(state, at, tried):
                _leave(state, hunt, interval, tried)
                continue
            gone = ledger.expired(con, hunt, interval)
            state.attempted.add((hunt.detection.id, interval))
            if gone and at in (ledger.DONE, ledger.STALE):  # what it found then, holds
                if not tried:
                    state.outcome.notes.append(
                        f"{hunt.detection.stem} {interval}: kept as it is: {gone}"
                    )
                _leave(state, hunt, interval, tried)
                continue
            found.append(
                _Due(
                    hunt,
                    interval,
                    seq,
                    gone or ledger.no_data(con, hunt, interval, state.project.settings.freshness),
                    ledger.staged_from(con, hunt),
                    ledger.fingerprint(con, hunt, interval),
                    "; ".join(state.unlisted[s] for s in hunt.sources if s in state.unlisted),
                )
            )
    if found:
        for one in {item.name: item for hunt in state.hunts for item in hunt.stages}.values():
            content.create_stage(con, one)
    return found


def _leave(state: _Run, hunt: Hunt, interval: Interval, tried: bool) -> None:
    """Counts an interval that was done before this run, once however often it is looked at."""
    if not tried:
        state.left.add((hunt.detection.id, interval))
        state.outcome.done = len(state.left)


def _to_hunt(state: _Run, known: str, tried: bool) -> bool:
    if tried:  # a later pass of the same run: only what its own staging made stale
        return known == ledger.STALE
    return state.request.again or known in ledger.DUE


def _hunt_day(state: _Run, due: Sequence[_Due]) -> list[Hunted]:
    options = state.project.settings
    hunted = [_not_hunted(one) for one in due if one.no_data or one.unlisted]
    rest = [one for one in due if not one.no_data and not one.unlisted]
    if not rest:
        return hunted
    with query.sandbox(
        options.warehouse,
        memory_limit=options.memory_limit,
        threads=options.threads,
        temp_directory=options.warehouse.with_suffix(".tmp"),
        timeout_s=_HUNT_LIMIT_S,
    ) as con:
        hunted += [
            _guarded(one, partial(state.step, _hunt_name(one), partial(_hunt_one, con, one)))
            for one in rest
        ]
    return hunted


def _hunt_name(due: _Due) -> str:
    return f"hunt {due.hunt.detection.stem} {format_time(due.interval.start).split('T00:00')[0]}"


def _guarded(due: _Due, part: Callable[[], Any]) -> Hunted:
    """What a hunt's step gives; a step that ends in an error of its own is that hunt's failure."""
    try:
        hunted: Hunted = part()
    except Exception as error:  # a time limit around one hunt must never stop the others
        if warehouse.is_interrupt(error):
            raise KeyboardInterrupt from error
        text = f"{type(error).__name__}: {error}"
        return Hunted(due.hunt, due.interval, due.seq, ledger.FAILED, error=text)
    return hunted


def _not_hunted(due: _Due) -> Hunted:
    """An interval without data, or one of a source whose store could not be listed."""
    if due.unlisted:
        return Hunted(due.hunt, due.interval, due.seq, ledger.FAILED, error=due.unlisted)
    return Hunted(due.hunt, due.interval, due.seq, ledger.NO_DATA, error=due.no_data)


def _hunt_one(con: duckdb.DuckDBPyConnection, due: _Due) -> Hunted:
    """One detection over one interval; whatever goes wrong stays its own."""
    began = time.perf_counter()
    note = ledger.learning(due.hunt, due.interval, due.staged_from)
    kept: dict[str, Any] = {"note": note, "fingerprint": due.fingerprint}
    try:
        if due.hunt.detection.kind == "series":
            scored = series.hunt(con, due.hunt, due.interval, due.staged_from)
            kept |= {"points": scored.points, "counts": scored.counts}
            kept |= {"counted": scored.counted, "hits": scored.hits, "note": scored.note}
        else:
            kept["hits"] = findings.match(con, due.hunt, due.interval, due.staged_from)
        state, error = ledger.DONE, ""
    except (GundogError, duckdb.Error) as failure:
        state, error = ledger.FAILED, str(failure)
    except Exception as failure:  # one detection must never stop the others
        if warehouse.is_interrupt(failure):
            raise KeyboardInterrupt from failure
        state, error = ledger.FAILED, f"{type(failure).__name__}: {failure}"
    seconds = round(time.perf_counter() - began, 3)
    return Hunted(
        due.hunt, due.interval, due.seq, state, error=error, seconds=seconds,
        **(kept if not error else {}),
    )  # fmt: skip


def _store(con: duckdb.DuckDBPyConnection, state: _Run, finished: Sequence[Hunted]) -> None:
    outcome = state.outcome
    for one in finished:
        try:
            changes = findings.store(con, one, state.author)
        except (duckdb.Error, ArithmeticError, TypeError, ValueError) as failure:
            # Rows that do not fit the findings table are their own hunt's failure.
            error = f"{type(failure).__name__}: {failure}"
            one = Hunted(one.hunt, one.interval, one.seq, ledger.FAILED, error=error)
            changes = findings.store(con, one, state.author)
        outcome.changes.add(changes)
        outcome.hunted += 1
        stem = one.hunt.detection.stem
        key = f"{one.state}:{one.hunt.detection.id}:{format_time(one.interval.start)}"
        if one.state == ledger.FAILED:
            outcome.trouble(key, f"{stem} {one.interval}", f"failed: {one.error}")
        elif one.state == ledger.NO_DATA:
            outcome.trouble(key, f"{stem} {one.interval}", f"no data: {one.error}")
        elif one.note:
            outcome.notes.append(f"{stem} {one.interval}: {one.note}")


def _day_line(hunted: Sequence[Hunted]) -> str:
    hits = sum(len(one.hits) for one in hunted)
    bad = [one.hunt.detection.stem for one in hunted if one.state != ledger.DONE]
    text = f"{_many(len(hunted), 'hunt')}, {_many(hits, 'finding')}"
    return text + (f", not done: {', '.join(sorted(set(bad)))}" if bad else "")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _finish(con: duckdb.DuckDBPyConnection, state: _Run) -> None:
    """Re-states prose, closes the run, publishes, and sends what is unsent."""
    options = state.project.settings
    findings.restate(con, state.project.content.detections)
    suppression.apply(con, state.project.content.detections, state.project.exceptions)
    _queue(con, state)
    triage.copy_in(con, triage.read(triage.beside(options.findings))[0])
    retention.apply(
        con, state.project.content, options.retention, options.late_arrival, state.clock.now
    )
    gaps = coverage_gaps(con, state.project.content.hunts, state.clock)
    _close(con, state)
    state.step("publish", partial(_publish, con, state, gaps))
    if options.notify:
        sent = state.step("notify", partial(sending.send, con, options.notify, state.author.at))
        for error in sent.errors:
            state.outcome.problems.append(error)
        if sent != Sent():
            _close(con, state)
            _publish(con, state, gaps)
    if options.heartbeat and not state.outcome.problems:
        error = sending.heartbeat(options.heartbeat)
        if error:
            state.outcome.problems.append(error)


def _queue(con: duckdb.DuckDBPyConnection, state: _Run) -> None:
    told, author, outcome = state.project.settings.notify, state.author, state.outcome
    known = warehouse.rows(con, "select * from exceptions order by expires, exception_id")
    backfill = state.request.command == "backfill"
    notify.queue_findings(
        con, told, author.run_id, author.at, state.request.notify,
        history=outcome.within if backfill else None, coverage=_coverage(state),
        notes=exceptions.attention(known, author.at, news=True),
    )  # fmt: skip
    items = [(one.key, one.title, one.text) for one in outcome.health]
    notify.queue_health(con, told, author.run_id, author.at, items)


def _coverage(state: _Run) -> str:
    """What was hunted and whether all was well, in a few words; empty when nothing was hunted."""
    hunted = len({key for key, _ in state.attempted})
    if not hunted:
        return ""
    times = len({interval.end for _, interval in state.attempted})
    daily = all(hunt.detection.frequency == _DAY for hunt in state.hunts)
    unit = ("day" if daily else "interval") + ("s" if times > 1 else "")
    bad = len(state.outcome.problems)
    state_of_things = f"{bad} problem{'s' if bad > 1 else ''}" if bad else "sources fresh"
    detections = f"{hunted} detection{'s' if hunted > 1 else ''}"
    return f"{detections} x {times} {unit} hunted; {state_of_things}"


def _close(con: duckdb.DuckDBPyConnection, state: _Run) -> None:
    outcome = state.outcome
    summary = {
        "files": outcome.files,
        "bytes": outcome.bytes,
        "stage_seconds": round(outcome.stage_seconds, 3),
        "intervals": outcome.hunted,
        "findings": vars(outcome.changes),
    }
    con.execute(
        """update runs set finished_at = ?, exit_status = ?, problems = ?, summary = ?,
           range_start = ?, range_end = ? where run_id = ?""",
        [
            state.author.at + timedelta(seconds=time.perf_counter() - state.began),
            outcome.exit_status,
            outcome.problems,
            findings.canonical(summary),
            outcome.within.start if outcome.within else None,
            outcome.within.end if outcome.within else None,
            str(state.author.run_id),
        ],
    )


def _publish(con: duckdb.DuckDBPyConnection, state: _Run, gaps: Sequence[dict[str, Any]]) -> None:
    options = state.project.settings
    publish.publish(
        con,
        options.findings,
        now=state.clock.now,
        late_arrival=options.late_arrival,
        due=gaps,
    )


def coverage_gaps(
    con: duckdb.DuckDBPyConnection, hunts: Sequence[Hunt], clock: Clock
) -> list[dict[str, Any]]:
    """Ledger rows of intervals that are missing between hunted ones, or stale."""
    rows = []
    for hunt in hunts:
        span = ledger.covered(con, hunt)
        if not span:
            continue
        intervals = list(split(span, hunt.detection.frequency))
        for interval, known in ledger.states(con, hunt, intervals, clock).items():
            if known in (ledger.MISSING, ledger.STALE):
                rows.append(
                    {
                        "detection_id": hunt.detection.id,
                        "detection_hash": hunt.hash,
                        "interval_start": interval.start,
                        "interval_end": interval.end,
                        "state": known,
                    }
                )
    return rows


def purge(project: Project, whom: Whom, wait: timedelta, now: datetime) -> Purged:
    """Removes what is known of a mailbox or account, and publishes without it.

    Raises:
        LockError: when a run holds the warehouse.
    """
    options = project.settings
    clock = Clock(now, options.late_arrival)
    with warehouse.lock(options.warehouse, wait, now):
        with warehouse.writable(
            options.warehouse, memory_limit=options.memory_limit, threads=options.threads
        ) as con:
            done = purging.purge(con, whom, triage.beside(options.findings))
            publish.publish(
                con, options.findings, now=now, late_arrival=options.late_arrival,
                due=coverage_gaps(con, project.content.hunts, clock),
            )  # fmt: skip
        purging.compact(options.warehouse)
    return done


def plan(project: Project, request: Request, now: datetime) -> list[str]:
    """What a run would do, in lines for people; does nothing.

    Raises:
        InputError: when the request is wrong.
        StoreError: when the lake cannot be listed.
    """
    outcome = Outcome(UUID(int=0), now)
    hunts = _with_lake(project, _selected(project.content, request), outcome)
    clock = Clock(now, project.settings.late_arrival, request.due)
    state = _Run(
        project, request, clock, Author(UUID(int=0), now, request.origin), hunts,
        outcome, _silent,
    )  # fmt: skip
    _check_range(state)
    with warehouse.lock(project.settings.warehouse, request.wait, now), _held(state) as held:
        con = held.con()
        wanted = _wanted(con, state)
        _list_lake(state, wanted)
        lines, total, count = list[str](), 0, dict[str, int]()
        for hunt in hunts:
            known = ledger.states(con, hunt, wanted[hunt.detection.id], clock)
            due = [one for one, found in known.items() if request.again or found in ledger.DUE]
            count[hunt.detection.id] = len(due)
            lines.append(f"{hunt.detection.stem}: {len(due)} of {len(known)} intervals to hunt")
        for source, files in sorted(state.files.items()):
            tasks = stage.pending(con, files, _stages_of(hunts, source))
            size = sum(task.file.size for task in tasks)
            total += size
            lines.append(f"{source}: {len(tasks)} files to stage, {size / 1e6:,.1f} MB")
        lines.append(f"expected: {pace.known(con).words(total, count)}")
    return lines + state.outcome.problems
