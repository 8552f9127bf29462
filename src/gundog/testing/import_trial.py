"""Imported detections hunted over days that are staged already, in a warehouse that is thrown away.

The project's own files are only read: nothing is written, sent or published.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from gundog.core.errors import InputError
from gundog.core.times import DAY, Interval
from gundog.findings import reader
from gundog.kql_import import importing
from gundog.kql_import.importing import Imported
from gundog.project.project import Project
from gundog.run import run
from gundog.run.context import Request, Say
from gundog.warehouse import database

MOST_DAYS = 7


@dataclass(frozen=True)
class Trial:
    """What a trial found.

    Args:
        span: the days that were hunted.
        findings: rows of `findings`, newest first.
        problems: what went wrong.
        notes: what did not run, and why.
    """

    span: Interval
    findings: Sequence[Mapping[str, Any]]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def staged_days(warehouse: Path, sources: Sequence[str]) -> Interval:
    """The newest days with staged rows of the sources, MOST_DAYS at most.

    Raises:
        InputError: when there is none.
    """
    days: list[datetime] = []
    if warehouse.exists():
        with database.connect(warehouse, read_only=True) as con:
            rows = con.execute(
                """select distinct date_trunc('day', hour) as day from source_hours
                   where list_contains(?::varchar[], source_table) and rows > 0
                   order by day desc""",
                [list(sources)],
            ).fetchall()
            days = [day for (day,) in rows]
    if not days:
        names = ", ".join(sources)
        raise InputError(
            f"--try: no day of {names} is staged yet: run `gundog hunt` first,"
            " or `gundog backfill` for older days"
        )
    newest = days[0]
    oldest = min(day for day in days if newest - day < MOST_DAYS * DAY)
    return Interval(oldest, newest + DAY)


def tried(
    imported: Sequence[Imported], project: Project, folders: Sequence[Path], now: datetime, say: Say
) -> Trial:
    """What the detections find in the newest staged days.

    Args:
        imported: what an import would write.
        project: where it would be written to.
        folders: the project's content folders.
        now: the moment of the trial.
        say: is told how the run goes.

    Raises:
        InputError: when no day is staged.
        StoreError: when the lake cannot be listed.
    """
    settings = project.settings
    sources = sorted({name for entry in imported for name in entry.sources} & set(settings.lake))
    span = staged_days(settings.warehouse, sources)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        at = importing.Project(settings, project.content, folders)
        content = importing.loaded(imported, at, folder / "content")
        stems = {entry.stem for entry in imported}
        hunts = tuple(hunt for hunt in content.hunts if hunt.detection.stem in stems)
        trial = Project(
            replace(
                settings, warehouse=folder / "warehouse.duckdb", findings=folder / "found.duckdb",
                notify=(), heartbeat=None, report=None, publish_to=(), canaries=(), workers=None,
                overrides={},
            ),
            replace(content, hunts=hunts, problems=()),
            project.environ,
        )  # fmt: skip
        request = Request("backfill", span, origin="backfill", notify="none", yes=True)
        outcome = run.run(trial, request, now, UUID(int=1), say)
        with reader.published(trial.settings.findings) as con:
            rows = reader.select_findings(con, everything=True)
    return Trial(span, rows, tuple(map(str, outcome.problems)), tuple(outcome.notes))
