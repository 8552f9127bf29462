"""The four steps over intervals: stage, hunt, publish, notify. Every command that hunts is this."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

from gundog.core import places
from gundog.core.child import Child
from gundog.core.times import Interval, hull
from gundog.core.wording import count
from gundog.detections import stage_sql
from gundog.detections.hunt import Content, Hunt
from gundog.findings import exceptions, publish, purging, retention, suppression, triage, words
from gundog.findings.model import Author
from gundog.findings.purging import Purged, Whom
from gundog.health import watch
from gundog.notify import outbox, sending
from gundog.notify.sending import Sent
from gundog.project.project import Project, load_project, without_lake
from gundog.run import (
    drift_faults,
    drifts,
    estimate,
    hunt_step,
    ledger,
    range_check,
    run_rows,
    stage_step,
    timekeeping,
    upgrade,
)
from gundog.run.context import (
    Course,
    Outcome,
    Request,
    Say,
    Step,
    directly,
    hold,
    never,
    silent,
    unseen,
)
from gundog.run.ledger import Clock
from gundog.staging import apart
from gundog.warehouse import database, opening

__all__ = [
    "Outcome",
    "Project",
    "Request",
    "Step",
    "coverage_gaps",
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
    went: Callable[[int, int], None] = unseen,
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
        step: runs each named part: list, stage, one hunt per detection and day, publish, notify.
        went: is told how many days are done, and of how many.
        stop: asked before each day; True ends the run there, with all it did stored and published.
        helper: the process for SQL that others wrote, if there is one; it ends with the run.

    Raises:
        InputError: when the request is wrong; nothing was done.
        LockError: when another run holds the warehouse.
        StoreError: when the lake cannot be listed; nothing was stored.
    """
    outcome = Outcome(run_id, now, acknowledged=project.acknowledged)
    hunts = _with_lake(project, _selected(project.content, request), outcome)
    hunts = range_check.on_grid(hunts, request.within, outcome)
    for problem in (*project.content.problems, *project.problems):
        outcome.trouble(f"content:{problem}", "content", str(problem))
    author = Author(run_id, now, request.origin)
    clock = Clock(now, project.settings.late_arrival, request.due)
    state = Course(project, request, clock, author, hunts, outcome, say, step, went, stop)
    state.patience.limit = apart.limit_of(project.settings.hunt_limit).total_seconds()
    state.child = helper or state.child
    range_check.check_range(state)
    with places.private(), _held(project, request.wait, now):
        _steps(state)
    return outcome


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


def _selected(loaded: Content, request: Request) -> tuple[Hunt, ...]:
    named = [loaded.hunt(name) for name in request.detections]
    return tuple(hunt for hunt in named or loaded.hunts if hunt.detection.runs)


def _with_lake(project: Project, hunts: Sequence[Hunt], outcome: Outcome) -> tuple[Hunt, ...]:
    """The hunts whose sources gundog.yaml has a path for; the others are said not to run."""
    idle = without_lake(project)
    stems = [hunt.detection.stem for hunt in hunts]
    outcome.notes += [f"{stem}: not run: {idle[stem]}" for stem in stems if stem in idle]
    return tuple(hunt for hunt in hunts if hunt.detection.stem not in idle)


def _steps(state: Course) -> None:
    # What a killed run was reading; no other run is at work.
    shutil.rmtree(state.project.settings.warehouse.with_suffix(".tmp"), ignore_errors=True)
    with state.child, hold(state) as held:
        if _is_behind(held.con(), state):
            return
        wanted = _begin(held.con(), state)
        within = state.request.within or hull(i for one in wanted.values() for i in one)
        state.outcome.within = within
        state.step("list lake", partial(stage_step.list_lake, state, wanted))
        stage_step.find_waiting(held.con(), state)
        stage_step.announce(held.con(), state, wanted)
        for _ in range(3):  # files of a later day may touch an earlier one: hunt that again
            if not hunt_step.hunt_days(held, state, wanted) or state.outcome.stopped:
                break
        _finish(held.con(), state)


def _judge(con: duckdb.DuckDBPyConnection, state: Course) -> None:
    state.judged = timekeeping.judge(con, state.clock.now, trusted=state.request.trust_clock)


def _is_behind(con: duckdb.DuckDBPyConnection, state: Course) -> bool:
    """Says that the clock is long before what was seen; then nothing else is done."""
    _judge(con, state)
    if state.judged.behind:
        state.outcome.trouble(state.judged.key, "clock", state.judged.doubt)
        _queue_health(con, state)
        _send(con, state)
    return state.judged.behind


def _begin(con: duckdb.DuckDBPyConnection, state: Course) -> dict[str, list[Interval]]:
    """Writes down that the run began; returns the intervals to look at, by detection id."""
    for one in {item.name: item for hunt in state.hunts for item in hunt.stages}.values():
        stage_sql.create_stage(con, one)  # hunts find their tables there, also where no file is
    publish.write_detections(con, state.project.content.hunts)
    outbox.start(con, state.project.settings.notify, state.author.at)
    run_rows.begin(con, state)
    return _wanted(con, state)


def _wanted(con: duckdb.DuckDBPyConnection, state: Course) -> dict[str, list[Interval]]:
    """The intervals to look at, by detection id."""
    return {
        hunt.detection.id: ledger.candidates(con, hunt, state.clock, state.request.within)
        for hunt in state.hunts
    }


def _finish(con: duckdb.DuckDBPyConnection, state: Course) -> None:
    """Re-states prose, closes the run, publishes, and sends what is unsent."""
    options = state.project.settings
    _keep_time(con, state)
    words.restate(con, state.project.content.detections)
    entries = state.project.exceptions.in_force(suppression.last_entries(con))
    suppression.apply(con, state.project.content.detections, entries)
    if not state.judged.doubt:
        _watch(con, state)
    _queue(con, state)
    triage.copy_in(con, triage.read(triage.beside(options.findings))[0])
    if not state.judged.doubt:
        retention.apply(
            con, state.project.content, options.retention, options.late_arrival, state.clock.now
        )
    gaps = coverage_gaps(con, state.project.content.hunts, state.clock)
    if state.judged.doubt:  # the time up to a clock that is ahead is not a gap
        gaps = [one for one in gaps if one["interval_start"] < state.judged.seen]
    run_rows.close(con, state)
    state.step("publish", partial(_publish, con, state, gaps))
    if options.notify and _send(con, state) != Sent():
        run_rows.close(con, state)
        _say_left(state, publish.publish_sent(con, options.findings))
    if options.heartbeat and not state.outcome.problems:
        error = sending.heartbeat(options.heartbeat)
        if error:
            state.outcome.problems.append(error)


def _send(con: duckdb.DuckDBPyConnection, state: Course) -> Sent:
    channels, doubted = state.project.settings.notify, bool(state.judged.doubt)
    send = partial(sending.send, con, channels, state.author.at, doubted=doubted)
    sent: Sent = state.step("notify", send)
    state.outcome.problems += sent.errors
    return sent


def _keep_time(con: duckdb.DuckDBPyConnection, state: Course) -> None:
    """Judges the clock by all that was read, and mends what a wrong one left."""
    _judge(con, state)
    judged, options, now = state.judged, state.project.settings, state.clock.now
    if not judged.doubt:
        timekeeping.mend(con, now, outbox.NEWS_AGE)
    elif state.request.within is None:
        state.outcome.trouble(judged.key, "clock", judged.doubt)
    elif retention.is_due(con, options.retention, now):  # a range needs no clock
        state.outcome.notes.append(f"clock: {judged.doubt}")


def _watch(con: duckdb.DuckDBPyConnection, state: Course) -> None:
    """Names the records that changed; what is acknowledged of them is a note."""
    within, outcome = state.outcome.within, state.outcome
    if not within:
        return
    options = state.project.settings
    for one in drifts.watch(
        con, state.project.content, options.lake, within, options.freshness,
        state.author.at, state.author.run_id,
    ):  # fmt: skip
        left, covered = watch.unknown(drift_faults.faults(one.drift), outcome.acknowledged)
        outcome.note_known(entry for entry, count in covered.items() if count)
        for trouble in watch.together(left)[:1]:
            outcome.trouble(one.message, "records", trouble.text)


def _queue(con: duckdb.DuckDBPyConnection, state: Course) -> None:
    told, author, outcome = state.project.settings.notify, state.author, state.outcome
    known = database.rows(con, "select * from exceptions order by expires, exception_id")
    backfill = state.request.command == "backfill"
    outbox.queue_findings(
        con, told, author.run_id, author.at, state.request.notify,
        history=outcome.within if backfill else None, coverage=run_rows.coverage(state),
        notes=[] if state.judged.doubt else exceptions.attention(known, author.at, news=True),
    )  # fmt: skip
    _queue_health(con, state)


def _queue_health(con: duckdb.DuckDBPyConnection, state: Course) -> None:
    """Under a clock that is not believed only that is told: what it says of days may be wrong."""
    author, told = state.author, state.outcome.health
    if state.judged.doubt:
        told = [one for one in told if one.key == state.judged.key]
    items = [(one.key, one.title, one.text) for one in told]
    outbox.queue_health(con, state.project.settings.notify, author.run_id, author.at, items)


def _publish(con: duckdb.DuckDBPyConnection, state: Course, gaps: Sequence[dict[str, Any]]) -> None:
    options = state.project.settings
    left = publish.publish(
        con,
        options.findings,
        now=state.clock.now,
        late_arrival=options.late_arrival,
        due=gaps,
    )
    _say_left(state, left)


def _say_left(state: Course, logs: Sequence[Path]) -> None:
    state.outcome.notes += [
        f"{log.name} was removed: another program had opened {log.stem} for writing and left it;"
        " what it wrote is in no later file: open it read only"
        for log in logs
    ]


def coverage_gaps(
    con: duckdb.DuckDBPyConnection, hunts: Sequence[Hunt], clock: Clock
) -> list[dict[str, Any]]:
    """Ledger rows of intervals that are missing between hunted ones, or stale."""
    return [
        {
            "detection_id": hunt.detection.id,
            "detection_hash": hunt.hash,
            "interval_start": interval.start,
            "interval_end": interval.end,
            "state": known,
        }
        for hunt, interval, known in ledger.gaps(con, hunts, clock)
    ]


def purge(project: Project, whom: Whom, wait: timedelta, now: datetime) -> Purged:
    """Removes what is known of a mailbox or account, and publishes without it.

    Raises:
        LockError: when a run holds the warehouse.
    """
    options = project.settings
    clock = Clock(now, options.late_arrival)
    with places.private(), _held(project, wait, now):
        with database.writable(
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
    hunts = range_check.on_grid(hunts, request.within, outcome)
    clock = Clock(now, project.settings.late_arrival, request.due)
    state = Course(
        project, request, clock, Author(UUID(int=0), now, request.origin), hunts,
        outcome, silent,
    )  # fmt: skip
    range_check.check_range(state)
    with places.private(), _held(project, request.wait, now), hold(state) as held:
        con = held.con()
        wanted = _wanted(con, state)
        stage_step.list_lake(state, wanted)
        stage_step.find_waiting(con, state)
        waiting = [task for some in state.waiting.values() for task in some]
        lines = upgrade.announced(con, hunts, waiting, wanted)
        total, days = 0, dict[str, int]()
        for hunt in hunts:
            known = ledger.states(con, hunt, wanted[hunt.detection.id], clock)
            due = [one for one, found in known.items() if request.again or found in ledger.DUE]
            days[hunt.detection.id] = len(due)
            lines.append(
                f"{hunt.detection.stem}: {len(due)} of {count(len(known), 'interval')} to hunt"
            )
        for source, tasks in sorted(state.waiting.items()):
            size = sum(task.file.size for task in tasks)
            total += size
            lines.append(f"{source}: {count(len(tasks), 'file')} to stage, {size / 1e6:,.1f} MB")
        lines.append(f"expected: {estimate.known(con).words(total, days)}")
    return lines + state.outcome.problems
