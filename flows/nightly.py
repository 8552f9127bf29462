"""The nightly flow: hunts the night before its scheduled time, and what is due before that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import parts
from prefect import State, flow
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from gundog.core.safe_text import for_markdown
from gundog.core.times import DAY, last_complete, parse_duration
from gundog.core.wording import count
from gundog.findings import reader
from gundog.run import run

SHOWN = 100  # findings in the artifact; the table has them all


def scheduled() -> datetime:
    """The time the run was scheduled for: late, retried and caught-up runs keep their night."""
    return datetime.fromtimestamp(flow_run.scheduled_start_time.timestamp(), UTC)


def run_name() -> str:
    """Says the night."""
    return f"nightly {last_complete(scheduled(), DAY).start:%Y-%m-%d}"


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
    request = run.Request(
        "hunt",
        detections=tuple(detections or ()),
        wait=parse_duration(wait),
        notify=notify,
        due=scheduled(),
    )
    loaded, outcome = parts.hunt(project, request)
    with reader.published(loaded.settings.findings) as con:
        rows = reader.select_findings(con, run_id=str(outcome.run_id))
    create_markdown_artifact(findings(rows), key="findings", description=f"{len(rows)} to look at")
    changes = outcome.changes
    return parts.ended(
        outcome,
        f"{count(outcome.hunted, 'interval')}, {count(changes.new, 'new finding')},"
        f" {changes.changed} changed",
    )


if __name__ == "__main__":
    nightly()
