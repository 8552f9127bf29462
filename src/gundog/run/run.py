"""The four steps over intervals: stage, hunt, publish, notify. Every command that hunts is this."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import duckdb

from gundog.core import places
from gundog.core.child import Child
from gundog.core.errors import InputError
from gundog.core.times import Interval, hull
from gundog.core.waiting import Went, unseen
from gundog.core.wording import count
from gundog.detections import stage_sql
from gundog.detections.hunt import Content, Hunt
from gundog.findings import publish, purging, triage
from gundog.findings.model import RunStamp
from gundog.findings.purging import Purged, Whom
from gundog.notify import outbox
from gundog.project.project import Project, load_project, without_lake
from gundog.run import (
    estimate,
    finish_step,
    hunt_step,
    ledger,
    parts,
    range_check,
    report_step,
    run_rows,
    stage_step,
    target_step,
    timekeeping,
    upgrade,
)
from gundog.run.context import Context, Request, Say, never, silent
from gundog.run.outcome import Outcome
from gundog.run.parts import Kind, Part, PartResult, Step, directly
from gundog.staging import apart
from gundog.staging.others import Nobody, Others
from gundog.warehouse import database, opening
from gundog.workers.cluster import Cluster

__all__ = [
    "Kind",
    "Outcome",
    "Part",
    "PartResult",
    "Project",
    "Request",
    "Step",
    "load_project",
    "plan",
    "purge",
    "run",
    "without_lake",
]


def run(
    project: Project,
    request: Request,
    now: datetime,
    run_id: UUID,
    say: Say = silent,
    step: Step = directly,
    went: Went = unseen,
    stop: Callable[[], bool] = never,
    helper: Child | None = None,
) -> Outcome:
    """Stages, hunts, stores and publishes what the request covers, oldest first.

    Args:
        project: settings and content.
        request: which intervals, of which detections.
        now: the time of the run, in UTC; nothing below asks a clock.
        run_id: names the run in every row that it writes.
        say: gets one line of progress at a time.
        step: runs each part: list, stage, one hunt per detection and interval, publish, notify.
        went: is told how many days are done, or files published, and of how many.
        stop: asked before each day; True ends the run there, with all it did stored and published.
        helper: the process for SQL that others wrote, if there is one; it ends with the run.

    Raises:
        InputError: when the request is wrong; nothing was done.
        LockError: when another run holds the warehouse.
        StoreError: when the lake cannot be listed; nothing was stored.
    """
    stamp = _stamp(project, request, now, run_id)
    outcome = Outcome(stamp, project.acknowledged)
    hunts = _hunts(project, request, outcome)
    for problem in (*project.content.problems, *project.problems):
        outcome.trouble(f"content:{problem}", "content", str(problem))
    child = helper or Child()
    others = _others(project)
    context = Context(project, request, stamp, hunts, say, step, went, stop, child, others)
    range_check.check_range(context)
    with places.private(), _held(project, request.wait, now):
        try:
            _steps(context, outcome)
        except InputError:
            raise  # nothing was done
        except Exception as error:
            report_step.after_failure(project, now, str(error))
            raise
    return outcome


def _others(project: Project) -> Others:
    """Those who read beside this process; Dask is loaded when they are first asked."""
    options = project.settings
    if not options.workers:
        return Nobody()
    return Cluster(options.workers, apart.limit_of(options.hunt_limit))


def _stamp(project: Project, request: Request, now: datetime, run_id: UUID) -> RunStamp:
    return RunStamp(run_id, now, request.origin, project.settings.late_arrival, request.due)


@contextmanager
def _held(project: Project, wait: timedelta, now: datetime) -> Iterator[None]:
    """The project's own files for one run; what a first run that failed left is not a warehouse."""
    options = project.settings
    places.check_files((options.findings, opening.log_of(options.findings)))
    places.check_folder(options.warehouse.with_suffix(".tmp"))
    with database.lock(options.warehouse, wait, now):
        if not options.findings.exists():
            database.drop_stub(options.warehouse)
        yield


def _hunts(project: Project, request: Request, outcome: Outcome) -> tuple[Hunt, ...]:
    """The hunts that the request is about and that can run; the others are named."""
    hunts = _with_lake(project, _selected(project.content, request), outcome)
    return range_check.on_grid(hunts, request.range, outcome)


def _selected(loaded: Content, request: Request) -> tuple[Hunt, ...]:
    named = [loaded.hunt(name) for name in request.detections]
    return tuple(hunt for hunt in named or loaded.hunts if hunt.detection.runs)


def _with_lake(project: Project, hunts: Sequence[Hunt], outcome: Outcome) -> tuple[Hunt, ...]:
    """The hunts whose sources gundog.yaml has a path for; the others are said not to run."""
    idle = without_lake(project)
    stems = [hunt.detection.stem for hunt in hunts]
    outcome.notes += [f"{stem}: not run: {idle[stem]}" for stem in stems if stem in idle]
    return tuple(hunt for hunt in hunts if hunt.detection.stem not in idle)


def _steps(context: Context, outcome: Outcome) -> None:
    """The run: each step returns its result, which the next one takes."""
    # What a killed run was reading; no other run is at work.
    shutil.rmtree(context.project.settings.warehouse.with_suffix(".tmp"), ignore_errors=True)
    trusted = context.request.trust_clock
    with context.child, context.others, context.hold() as held:
        judged = timekeeping.judge(held.con(), context.stamp.at, trusted=trusted)
        if judged.behind:
            finish_step.report_clock(held.con(), context, judged, outcome)
            return
        wanted = _begin(held.con(), context)
        outcome.range = _range(context, wanted)
        listing = context.run_part(
            parts.LIST_LAKE, lambda: stage_step.list_lake(context, wanted, outcome)
        )
        staging = stage_step.find_waiting(held.con(), context, listing)
        stage_step.announce(held.con(), context, staging, wanted, outcome)
        hunted = hunt_step.hunt_days(held, context, staging, wanted, outcome)
        finish_step.finish(held.con(), context, hunted, outcome)


def _range(context: Context, wanted: dict[str, list[Interval]]) -> Interval | None:
    """The time that the run is about."""
    if context.request.range:
        return context.request.range
    return hull(interval for intervals in wanted.values() for interval in intervals)


def _begin(con: duckdb.DuckDBPyConnection, context: Context) -> dict[str, list[Interval]]:
    """Writes down that the run began; returns the intervals to look at, by detection id."""
    stages = {item.name: item for hunt in context.hunts for item in hunt.stages}
    for stage in stages.values():
        stage_sql.create_stage(con, stage)  # hunts find their tables there, also where no file is
    publish.write_detections(con, context.project.content.hunts)
    outbox.start(con, context.project.settings.notify, context.stamp.at)
    run_rows.begin(con, context)
    return _wanted(con, context)


def _wanted(con: duckdb.DuckDBPyConnection, context: Context) -> dict[str, list[Interval]]:
    """The intervals to look at, by detection id."""
    return {
        hunt.detection.id: ledger.candidates(con, hunt, context.stamp, context.request.range)
        for hunt in context.hunts
    }


def purge(
    project: Project, whom: Whom, wait: timedelta, now: datetime, went: Went = unseen
) -> Purged:
    """Removes what is known of a mailbox or account, and publishes without it.

    Args:
        project: whose warehouse it is.
        whom: the mailbox or account.
        wait: how long to wait for a run to end.
        now: the present.
        went: is told which of the four steps is done: rows, published file, warehouse, outlets.

    Raises:
        LockError: when a run holds the warehouse.
        StoreError: when all is removed and only the report or a target still shows it.
    """
    options = project.settings
    stamp = RunStamp(UUID(int=0), now, late_arrival=options.late_arrival)
    with places.private(), _held(project, wait, now):
        with database.writable(
            options.warehouse, memory_limit=options.memory_limit, threads=options.threads
        ) as con:
            done = purging.purge(con, whom, triage.beside(options.findings))
            went(1, 4, "step")
            publish.publish(
                con,
                options.findings,
                now=now,
                late_arrival=options.late_arrival,
                due=ledger.coverage_gaps(con, project.content.hunts, stamp),
            )
        went(2, 4, "step")
        purging.compact(options.warehouse)
        went(3, 4, "step")
        try:
            target_step.after_purge(project, now)
        finally:
            report_step.after_purge(project, now)
        went(4, 4, "step")
    return done


def plan(project: Project, request: Request, now: datetime) -> list[str]:
    """What a run would do, in lines for people; does nothing.

    Raises:
        InputError: when the request is wrong.
        StoreError: when the lake cannot be listed.
    """
    stamp = _stamp(project, request, now, UUID(int=0))
    outcome = Outcome(stamp)
    context = Context(project, request, stamp, _hunts(project, request, outcome))
    range_check.check_range(context)
    with places.private(), _held(project, request.wait, now), context.hold() as held:
        con = held.con()
        wanted = _wanted(con, context)
        listing = stage_step.list_lake(context, wanted, outcome)
        staging = stage_step.find_waiting(con, context, listing)
        lines = upgrade.announced(con, context.hunts, staging.tasks, wanted)
        due = dict[str, int]()
        for hunt in context.hunts:
            states = ledger.states(con, hunt, wanted[hunt.detection.id], stamp).values()
            due[hunt.detection.id] = sum(request.again or state in ledger.DUE for state in states)
            intervals = count(len(states), "interval")
            lines.append(f"{hunt.detection.stem}: {due[hunt.detection.id]} of {intervals} to hunt")
        for source, tasks in sorted(staging.waiting.items()):
            size = sum(task.file.size for task in tasks)
            lines.append(f"{source}: {count(len(tasks), 'file')} to stage, {size / 1e6:,.1f} MB")
        total = sum(task.file.size for task in staging.tasks)
        lines.append(f"expected: {estimate.measured(con).words(total, due)}")
    return lines + outcome.problems
