"""The last steps of a run: words brought up to date, findings published, messages sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from gundog.findings import exceptions, publish, retention, suppression, triage, words
from gundog.health import watch
from gundog.notify import outbox, sending
from gundog.notify.sending import Sent
from gundog.run import (
    canary_watch,
    drift_faults,
    drifts,
    ledger,
    looked_at,
    parts,
    report_step,
    run_rows,
    target_step,
    timekeeping,
)
from gundog.run.context import Context
from gundog.run.due import Key
from gundog.run.outcome import Outcome
from gundog.run.timekeeping import Judged
from gundog.warehouse import database


def finish(
    con: duckdb.DuckDBPyConnection, context: Context, hunted: frozenset[Key], outcome: Outcome
) -> None:
    """Re-states prose, closes the run, publishes, and sends what is unsent.

    Args:
        con: the warehouse, writable.
        context: what was asked.
        hunted: the intervals that were due.
        outcome: how the run went so far.
    """
    options, content, stamp = context.project.settings, context.project.content, context.stamp
    judged = _keep_time(con, context, outcome)
    words.restate(con, content.detections)
    entries = context.project.exceptions.in_force(suppression.last_entries(con))
    suppression.apply(con, content.detections, entries, options.canaries)
    if not judged.doubt:
        _watch(con, context, outcome)
        _watch_canaries(con, context, outcome)
    _queue(con, context, judged, run_rows.coverage(context.hunts, hunted, outcome), outcome)
    triage.copy_in(con, triage.read(triage.beside(options.findings))[0])
    if not judged.doubt:
        retention.apply(con, content, options.retention, stamp.late_arrival, stamp.at)
    looked_at.record(con, content.hunts)
    gaps = ledger.coverage_gaps(con, content.hunts, stamp)
    if judged.doubt and judged.seen:  # the time up to a clock that is ahead is not a gap
        gaps = [row for row in gaps if row["interval_start"] < judged.seen]
    run_rows.close(con, context, judged, outcome)
    context.run_part(parts.PUBLISH, partial(_publish, con, context, gaps, outcome))
    is_written = report_step.after_run(context, outcome)  # before messages that link to it
    if failed := target_step.after_publish(context, outcome):
        _queue_health(con, context, judged, outcome)
    is_sent = options.notify and send(con, context, judged, outcome) != Sent()
    if is_sent or failed or not is_written:
        run_rows.close(con, context, judged, outcome)
        _name_logs(publish.publish_sent(con, options.findings), outcome)
        if target_step.after_messages(context, failed, outcome):
            run_rows.close(con, context, judged, outcome)  # so that status knows of it
            _name_logs(publish.publish_sent(con, options.findings), outcome)
    if options.heartbeat and not outcome.problems:
        error = sending.heartbeat(options.heartbeat)
        if error:
            outcome.problems.append(error)


def report_clock(
    con: duckdb.DuckDBPyConnection, context: Context, judged: Judged, outcome: Outcome
) -> None:
    """Says that the clock is long before what was seen; then nothing else is done."""
    outcome.trouble(judged.key, "clock", judged.doubt)
    _queue_health(con, context, judged, outcome)
    send(con, context, judged, outcome)
    report_step.after_failure(context.project, context.stamp.at, judged.doubt)


def send(
    con: duckdb.DuckDBPyConnection, context: Context, judged: Judged, outcome: Outcome
) -> Sent:
    """Sends what is unsent to every channel."""
    channels, doubted = context.project.settings.notify, bool(judged.doubt)
    page = report_step.Attachment(context.project, context.stamp.at)
    work = partial(sending.send, con, channels, context.stamp.at, doubted=doubted, page=page.html)
    sent = context.run_part(parts.NOTIFY, work)
    outcome.problems += page.problems
    outcome.problems += sent.errors
    return sent


def _keep_time(con: duckdb.DuckDBPyConnection, context: Context, outcome: Outcome) -> Judged:
    """What the clock is worth by all that was read; mends what a wrong one left."""
    options, now = context.project.settings, context.stamp.at
    judged = timekeeping.judge(con, now, trusted=context.request.trust_clock)
    if not judged.doubt:
        timekeeping.mend(con, now, outbox.NEWS_AGE)
    elif context.request.range is None:
        outcome.trouble(judged.key, "clock", judged.doubt)
    elif retention.is_due(con, options.retention, now):  # a range needs no clock
        outcome.notes.append(f"clock: {judged.doubt}")
    return judged


def _watch(con: duckdb.DuckDBPyConnection, context: Context, outcome: Outcome) -> None:
    """Names the records that changed; what is acknowledged of them is a note."""
    if not outcome.range:
        return
    options, stamp = context.project.settings, context.stamp
    for noticed in drifts.watch(
        con,
        context.project.content,
        options.lake,
        outcome.range,
        options.freshness,
        stamp.at,
        stamp.id,
    ):
        faults, covered = watch.unknown(drift_faults.faults(noticed.drift), outcome.acknowledged)
        outcome.note_known(entry for entry, count in covered.items() if count)
        for trouble in watch.together(faults)[:1]:
            outcome.trouble(noticed.message, "records", trouble.text)


def _watch_canaries(con: duckdb.DuckDBPyConnection, context: Context, outcome: Outcome) -> None:
    """Names the canaries that did not come; a range says nothing of the present."""
    if context.request.range is not None:
        return
    project = context.project
    looked = canary_watch.look(con, project.content, project.settings.canaries)
    canary_watch.record(con, looked, context.stamp.id, context.stamp.at)
    for seen in looked:
        if seen.lost:
            outcome.trouble(seen.key, canary_watch.TITLE, seen.text)
        else:
            outcome.notes.append(seen.note)


def _queue(
    con: duckdb.DuckDBPyConnection,
    context: Context,
    judged: Judged,
    coverage: str,
    outcome: Outcome,
) -> None:
    """Queues messages about findings and about health."""
    request, stamp = context.request, context.stamp
    report = context.project.settings.report
    rows = database.rows(con, "select * from exceptions order by expires, exception_id")
    outbox.queue_findings(
        con,
        context.project.settings.notify,
        stamp.id,
        stamp.at,
        request.notify,
        history=outcome.range if request.command == "backfill" else None,
        coverage=coverage,
        notes=[] if judged.doubt else exceptions.attention(rows, stamp.at, news=True),
        report=report.link if report else "",
    )
    _queue_health(con, context, judged, outcome)


def _queue_health(
    con: duckdb.DuckDBPyConnection, context: Context, judged: Judged, outcome: Outcome
) -> None:
    """Under a clock that is not trusted only that is reported: its days may be wrong."""
    stamp, channels = context.stamp, context.project.settings.notify
    items = [
        (health.key, health.title, health.text)
        for health in outcome.health
        if not judged.doubt or health.key == judged.key
    ]
    outbox.queue_health(con, channels, stamp.id, stamp.at, items)


def _publish(
    con: duckdb.DuckDBPyConnection,
    context: Context,
    gaps: Sequence[dict[str, Any]],
    outcome: Outcome,
) -> None:
    target, stamp = context.project.settings.findings, context.stamp
    logs = publish.publish(con, target, now=stamp.at, late_arrival=stamp.late_arrival, due=gaps)
    _name_logs(logs, outcome)


def _name_logs(logs: Iterable[Path], outcome: Outcome) -> None:
    outcome.notes += [
        f"{log.name} was removed: another program had opened {log.stem} for writing and left it;"
        " what it wrote is in no later file: open it read only"
        for log in logs
    ]
