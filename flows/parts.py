"""What both flows share: a part of a run as a task of Prefect, and how a run ends.

A flow imports this by its plain name: Prefect and Python both look for it in the flow's folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from prefect import State, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.tasks import exponential_backoff

from gundog.core.child import Child
from gundog.core.safe_text import for_markdown, for_terminal
from gundog.run import run
from gundog.run.parts import T


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


def step(part: run.Part, work: Callable[[], run.PartResult[T]]) -> run.PartResult[T]:
    """Runs one part as a task; what it returns stays here, for it may hold a connection."""
    results: list[run.PartResult[T]] = []

    def whole() -> str:
        results[:] = [work()]
        return results[0].error

    the_task = over_network if part.crosses_network else on_disk
    state: State[Any] = the_task(part.label, whole, return_state=True)
    if not results:
        state.result()  # raises what the part raised
    return results[0]


def hunt(
    project: str, request: run.Request, step: run.Step = step
) -> tuple[run.Project, run.Outcome]:
    """Runs what is asked, under the id of the flow run, with its lines in the flow run's log."""
    log = get_run_logger()
    run_id = UUID(flow_run.id) if flow_run.id else uuid4()

    def say(line: str) -> None:
        log.info(for_terminal(line))

    with Child() as helper:
        loaded = run.load_project(Path(project), os.environ, helper=helper)
        outcome = run.run(loaded, request, datetime.now(UTC), run_id, say, step, helper=helper)
    return loaded, outcome


def ended(outcome: run.Outcome, message: str) -> State[None]:
    """Shows a run's summary; Failed with the name of what failed or had no data."""
    problems = [for_terminal(problem) for problem in outcome.problems]
    lines = [message, *(f"PROBLEM {problem}" for problem in problems), *outcome.notes]
    create_markdown_artifact(
        "\n".join(f"- {for_markdown(line)}" for line in lines), key="summary", description=message
    )
    if problems:
        return Failed(message=f"{'; '.join(problems)} ({message})")
    return Completed(message=message)
