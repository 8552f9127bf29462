"""What a run writes of itself into the table `runs`, and says of itself in a digest."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import timedelta

import duckdb

import gundog
from gundog.core import plain_values
from gundog.core.times import DAY
from gundog.core.wording import count
from gundog.detections.hunt import Hunt
from gundog.run.context import Context
from gundog.run.due import Key
from gundog.run.outcome import Outcome
from gundog.run.timekeeping import Judged
from gundog.warehouse import database


def begin(con: duckdb.DuckDBPyConnection, context: Context) -> None:
    """Writes down what the run was asked for, in the place of an earlier try of the same run."""
    request, stamp = context.request, context.stamp
    # A run that a scheduler tries again keeps its id.
    con.execute("delete from runs where run_id = ?", [str(stamp.id)])
    database.insert(
        con,
        "runs",
        [
            {
                "run_id": str(stamp.id),
                "command": request.command,
                "origin": request.origin,
                "version": gundog.__version__,
                "started_at": stamp.at,
                "range_start": request.range.start if request.range else None,
                "range_end": request.range.end if request.range else None,
                "asked_range": request.range is not None,
            }
        ],
    )


def close(
    con: duckdb.DuckDBPyConnection, context: Context, judged: Judged, outcome: Outcome
) -> None:
    """Writes down how the run went so far."""
    summary = {
        "files": outcome.files,
        "bytes": outcome.bytes,
        "stage_seconds": round(outcome.stage_seconds, 3),
        "intervals": outcome.hunted,
        "findings": vars(outcome.changes),
    }
    con.execute(
        """update runs set finished_at = ?, exit_status = ?, problems = ?, summary = ?,
           range_start = ?, range_end = ?, clock_doubt = nullif(?, ''), clock_proven = ?
           where run_id = ?""",
        [
            context.stamp.at + timedelta(seconds=time.perf_counter() - context.began),
            outcome.exit_status,
            outcome.problems,
            plain_values.canonical(summary),
            outcome.range.start if outcome.range else None,
            outcome.range.end if outcome.range else None,
            judged.doubt,
            judged.proven,
            str(context.stamp.id),
        ],
    )


def coverage(hunts: Sequence[Hunt], hunted: Collection[Key], outcome: Outcome) -> str:
    """What was hunted and whether all was well, in a few words; empty when nothing was hunted."""
    detections = len({detection for detection, _ in hunted})
    if not detections:
        return ""
    times = len({interval.end for _, interval in hunted})
    daily = all(hunt.detection.frequency == DAY for hunt in hunts)
    spans = count(times, "day" if daily else "interval")
    bad = len(outcome.problems)
    summary = count(bad, "problem") if bad else "sources fresh"
    return f"{count(detections, 'detection')} x {spans} hunted; {summary}"
