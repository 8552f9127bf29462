"""The nightly flow: hunts the night before its scheduled time, and what is due before that."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

from prefect import State, flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.tasks import exponential_backoff

from gundog.core.child import Child
from gundog.core.safe_text import for_markdown, for_terminal
from gundog.core.times import DAY, last_complete, parse_duration
from gundog.core.wording import count
from gundog.findings import reader
from gundog.run import run

SHOWN = 100  # findings in the artifact; the table has them all


@task(
    name="part", task_run_name="{name}", cache_policy=NO_CACHE, timeout_seconds=4 * 3600
)  # fmt: skip
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


def scheduled() -> datetime:
    """The time the run was scheduled for: late, retried and caught-up runs keep their night."""
    return datetime.fromtimestamp(flow_run.scheduled_start_time.timestamp(), UTC)


def run_name() -> str:
    """Says the night."""
    return f"nightly {last_complete(scheduled(), DAY).start:%Y-%m-%d}"


def ended(loaded: run.Project, outcome: run.Outcome) -> State[None]:
    """Shows what the run left; Failed with the name of what failed or had no data."""
    with reader.published(loaded.settings.findings) as con:
        rows = reader.select_findings(con, run_id=str(outcome.run_id))
    changes = outcome.changes
    message = (
        f"{count(outcome.hunted, 'interval')}, {count(changes.new, 'new finding')},"
        f" {changes.changed} changed"
    )
    problems = [for_terminal(problem) for problem in outcome.problems]
    lines = [message, *(f"PROBLEM {problem}" for problem in problems), *outcome.notes]
    create_markdown_artifact(findings(rows), key="findings", description=f"{len(rows)} to look at")
    create_markdown_artifact(
        "\n".join(f"- {for_markdown(line)}" for line in lines), key="summary", description=message
    )
    if problems:
        return Failed(message=f"{'; '.join(problems)} ({message})")
    return Completed(message=message)


def findings(rows: Sequence[dict[str, Any]]) -> str:
    """Findings as a table in Markdown; text from events means nothing but itself there."""
    table = ["| id | when (UTC) | severity | what |", "| --- | --- | --- | --- |"]
    for row in rows[:SHOWN]:
        when = f"{row['start_time'].astimezone(UTC):%Y-%m-%d %H:%M}"
        cells = [str(row["finding_id"])[:8], when, row["severity"], for_markdown(row["title"], 200)]
        table.append(f"| {' | '.join(cells)} |")
    return "\n".join(table) if rows else "none"


@flow(name="gundog-nightly", flow_run_name=run_name)
def nightly(
    project: str = ".",
    detections: list[str] | None = None,
    notify: Literal["each", "digest", "none"] | None = None,
    wait: str = "6h",
) -> State[None]:
    """Hunts the last complete interval and what is missing, stale or failed before it.

    Args:
        project: the folder that holds gundog.yaml.
        detections: ids or file stems; all when empty.
        notify: how to send findings; as each channel says when empty.
        wait: how long to wait for another run to end, such as a backfill.
    """
    log = get_run_logger()
    request = run.Request(
        "hunt",
        detections=tuple(detections or ()),
        wait=parse_duration(wait),
        notify=notify,
        due=scheduled(),
    )
    run_id = UUID(flow_run.id) if flow_run.id else uuid4()

    def say(line: str) -> None:
        log.info(for_terminal(line))

    with Child() as helper:
        loaded = run.load_project(Path(project), os.environ, helper=helper)
        outcome = run.run(loaded, request, datetime.now(UTC), run_id, say, step, helper=helper)
    return ended(loaded, outcome)


if __name__ == "__main__":
    nightly()
