"""The backfill flow: hunts a range of past days, oldest first, and resumes by itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

from httpx import HTTPError
from prefect import State, flow, get_run_logger, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.tasks import exponential_backoff

from gundog.core.child import Child
from gundog.core.safe_text import for_markdown, for_terminal
from gundog.core.times import Interval, parse_duration, parse_range, parse_time
from gundog.core.wording import count
from gundog.run import run


@task(name="part", task_run_name="{name}", cache_policy=NO_CACHE, timeout_seconds=4 * 3600)
def on_disk(name: str, work: Callable[[], str]) -> State[None]:
    """One part of the run; Failed when it says what went wrong."""
    error = work()
    return Failed(message=error) if error else Completed(message=f"{name}: done")


over_network = on_disk.with_options(
    name="network part",
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=10),
    retry_jitter_factor=0.5,
)


def step(name: str, part: Callable[[], Any]) -> Any:
    """Runs one part as a task; what it returns stays here, for it may hold a connection."""
    results: list[Any] = []

    def work() -> str:
        results[:] = [part()]
        return getattr(results[0], "error", "")

    the_task = over_network if name.startswith(("list ", "stage ")) else on_disk
    state: State[Any] = the_task(name, work, return_state=True)
    if not results:
        state.result()  # raises what the part raised
    return results[0]


def progress(within: Interval) -> run.Step:
    """Runs the parts and shows how far through the range the run is, in steps of 1 % or more."""
    artifact: Any = create_progress_artifact(0.0, key="backfill", description=str(within))
    reached = 0.0

    def shown(name: str, part: Callable[[], Any]) -> Any:
        nonlocal reached
        what, _, day = name.partition(" ")
        done = 100.0 if what == "publish" else reached
        if what == "stage":
            done = 100 * ((parse_time(day) - within.start) / within.length)
        if done >= reached + 1:
            reached = done
            with suppress(HTTPError):  # a server that is down must not end the run
                update_progress_artifact(artifact, done)
        return step(name, part)

    return shown


def ended(outcome: run.Outcome) -> State[None]:
    """Shows what the run left; Failed with the name of what failed or had no data."""
    changes = outcome.changes
    message = (
        f"{count(outcome.hunted, 'interval')}, {outcome.done} hunted before and unchanged,"
        f" {count(changes.new, 'new finding')}, {changes.changed} changed,"
        f" {changes.withdrawn} withdrawn"
    )
    problems = [for_terminal(problem) for problem in outcome.problems]
    lines = [message, *(f"PROBLEM {problem}" for problem in problems), *outcome.notes]
    create_markdown_artifact(
        "\n".join(f"- {for_markdown(line)}" for line in lines), key="summary", description=message
    )
    if problems:
        return Failed(message=f"{'; '.join(problems)} ({message})")
    return Completed(message=message)


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
    log = get_run_logger()
    within = parse_range(start, end)
    request = run.Request(
        "backfill",
        within,
        tuple(detections or ()),
        again=again,
        wait=parse_duration(wait),
        origin="backfill",
        notify=notify,
    )
    run_id = UUID(flow_run.id) if flow_run.id else uuid4()

    def say(line: str) -> None:
        log.info(for_terminal(line))

    with Child() as helper:
        loaded = run.load_project(Path(project), os.environ, helper=helper)
        outcome = run.run(
            loaded, request, datetime.now(UTC), run_id, say, progress(within), helper=helper
        )
    return ended(outcome)
