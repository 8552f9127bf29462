"""The backfill flow: hunts a range of past days, oldest first, and resumes by itself."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State

from gundog import run
from gundog.interval import parse_range


@flow(name="gundog-backfill", log_prints=False)
def backfill(
    start: str,
    end: str,
    project: str = ".",
    detections: list[str] | None = None,
    again: bool = False,
) -> State[None]:
    """Hunts what is missing, stale or failed in a range; sends nothing.

    Args:
        start: first day or time, UTC.
        end: last day (included) or a time (excluded), UTC.
        project: the folder that holds gundog.yaml.
        detections: ids or file stems; all when empty.
        again: also what is done already.
    """
    request = run.Request(
        "backfill",
        parse_range(start, end),
        tuple(detections or ()),
        again=again,
        origin="backfill",
        notify="none",
    )
    loaded = run.load_project(Path(project), os.environ)
    run_id = UUID(flow_run.id) if flow_run.id else uuid4()
    outcome = run.run(loaded, request, datetime.now(UTC), run_id, get_run_logger().info)
    message = f"{outcome.hunted} intervals, {outcome.changes.new} new findings"
    if outcome.problems:
        return Failed(message=f"{'; '.join(outcome.problems)} ({message})")
    return Completed(message=message)
