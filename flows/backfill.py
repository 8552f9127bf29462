"""The backfill flow: hunts a range of past days, oldest first, and resumes by itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import parts
from httpx import HTTPError
from prefect import State, flow
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from gundog.core.times import Interval, parse_duration, parse_range
from gundog.core.wording import count
from gundog.run import run
from gundog.run.parts import T


def progress(days: Interval) -> run.Step:
    """Runs the parts and shows how far through the range the run is, in steps of 1 % or more."""
    artifact: Any = create_progress_artifact(0.0, key="backfill", description=str(days))
    reached = 0.0

    def shown(part: run.Part, work: Callable[[], run.PartResult[T]]) -> run.PartResult[T]:
        nonlocal reached
        done = 100.0 if part.kind == run.Kind.PUBLISH else reached
        if part.kind == run.Kind.STAGE and part.day:
            done = 100 * ((part.day - days.start) / days.length)
        if done >= reached + 1:
            reached = done
            with suppress(HTTPError):  # a server that is down must not end the run
                update_progress_artifact(artifact, done)
        return parts.step(part, work)

    return shown


@flow(name="gundog-backfill", flow_run_name="backfill {start} to {end}")
def backfill(
    start: str,
    end: str,
    project: str = ".",
    detections: list[str] | None = None,
    again: bool = False,
    notify: Literal["none", "digest", "each"] = "none",
    wait: str = "6h",
) -> State[None]:
    """Hunts what is missing, stale or failed in a range.

    Args:
        start: first day or time, UTC.
        end: last day (included) or a time (excluded), UTC.
        project: the folder that holds gundog.yaml.
        detections: ids or file stems; all when empty.
        again: hunt again what is already done.
        notify: how to send what is found.
        wait: how long to wait for another run to end.
    """
    days = parse_range(start, end)
    request = run.Request(
        "backfill",
        days,
        tuple(detections or ()),
        again=again,
        wait=parse_duration(wait),
        origin="backfill",
        notify=notify,
    )
    _, outcome = parts.hunt(project, request, progress(days))
    changes = outcome.changes
    return parts.ended(
        outcome,
        f"{count(outcome.hunted, 'interval')}, {outcome.done} hunted before and unchanged,"
        f" {count(changes.new, 'new finding')}, {changes.changed} changed,"
        f" {changes.withdrawn} withdrawn",
    )
