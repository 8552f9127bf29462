"""The nightly flow: hunts the last interval that was complete at the scheduled time."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State

from gundog import run


@task(name="hunt", cache_policy=NO_CACHE)
def hunt(project: str, request: run.Request, now: datetime) -> run.Outcome:
    """Stages, hunts, publishes and notifies; the warehouse's own lock keeps runs apart."""
    log = get_run_logger()
    loaded = run.load_project(Path(project), os.environ)
    return run.run(loaded, request, now, run_id(), log.info)


def run_id() -> UUID:
    """The flow run's id, so that a row of `runs` leads to its Prefect run."""
    return UUID(flow_run.id) if flow_run.id else uuid4()


def scheduled() -> datetime:
    """The time the run was scheduled for, so that a late run hunts the night it was meant for."""
    return flow_run.scheduled_start_time or datetime.now(UTC)


def ended(outcome: run.Outcome) -> State[None]:
    """Completed, or Failed with what failed or had no data."""
    changes = outcome.changes
    message = f"{outcome.hunted} intervals, {changes.new} new findings, {changes.changed} changed"
    if outcome.problems:
        return Failed(message=f"{'; '.join(outcome.problems)} ({message})")
    return Completed(message=message)


@flow(name="gundog-nightly", log_prints=False)
def nightly(project: str = ".", detections: list[str] | None = None) -> State[None]:
    """Hunts the last complete interval and what is missing, stale or failed before it.

    Args:
        project: the folder that holds gundog.yaml.
        detections: ids or file stems; all when empty.
    """
    request = run.Request("hunt", detections=tuple(detections or ()))
    return ended(hunt(project, request, scheduled()))


if __name__ == "__main__":
    nightly()
