"""What a run writes of itself into the table `runs`, and says of itself in a digest."""

from __future__ import annotations

import time
from datetime import timedelta

import duckdb

import gundog
from gundog.core import plain_values
from gundog.core.times import DAY
from gundog.core.wording import count
from gundog.run.context import Course
from gundog.warehouse import database


def begin(con: duckdb.DuckDBPyConnection, state: Course) -> None:
    """Writes down what the run was asked for, in the place of an earlier try of the same run."""
    within = state.request.within
    # A run that a scheduler tries again keeps its id.
    con.execute("delete from runs where run_id = ?", [str(state.author.run_id)])
    database.insert(
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
                "asked_range": within is not None,
            }
        ],
    )


def close(con: duckdb.DuckDBPyConnection, state: Course) -> None:
    """Writes down how the run went so far."""
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
           range_start = ?, range_end = ?, clock_doubt = nullif(?, ''), clock_proven = ?
           where run_id = ?""",
        [
            state.author.at + timedelta(seconds=time.perf_counter() - state.began),
            outcome.exit_status,
            outcome.problems,
            plain_values.canonical(summary),
            outcome.within.start if outcome.within else None,
            outcome.within.end if outcome.within else None,
            state.judged.doubt,
            state.judged.proven,
            str(state.author.run_id),
        ],
    )


def coverage(state: Course) -> str:
    """What was hunted and whether all was well, in a few words; empty when nothing was hunted."""
    hunted = len({key for key, _ in state.attempted})
    if not hunted:
        return ""
    times = len({interval.end for _, interval in state.attempted})
    daily = all(hunt.detection.frequency == DAY for hunt in state.hunts)
    spans = count(times, "day" if daily else "interval")
    bad = len(state.outcome.problems)
    state_of_things = count(bad, "problem") if bad else "sources fresh"
    return f"{count(hunted, 'detection')} x {spans} hunted; {state_of_things}"
