"""`make hunt`: hunts the last eight days of the samples and shows what was planted there."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.text import Text

from gundog.cli import finding_list
from gundog.core.errors import GundogError, StoreError
from gundog.core.times import DAY, Interval, format_time, hull
from gundog.findings import reader
from gundog.lake import listing
from gundog.run import run
from gundog.samples import cases

DAYS = 8
COUNTED = " open findings in "  # of the line below the findings
_QUIET = """
    select case when f.suppressed_by is not null then 'suppressed'
                else 'of detections in status ' || d.status end as why, count(*)
    from findings as f inner join detections as d using (detection_id)
    where f.end_time >= ? and f.finding_id not in (select finding_id from open_findings)
    group by why order by why"""
_ENTITIES = ("host_name", "account_name", "mailbox")


def main(root: Path = Path()) -> int:
    """Hunts, prints the findings with the story behind each, and says what to try next."""
    console = finding_list.console()
    try:
        project = run.load_project(root, os.environ)
        days = last_days(project, DAYS)
        console.print(f"hunting {DAYS} days of samples, {format_time(days.start)[:10]} to "
                      f"{format_time(days.end - DAY)[:10]}")  # fmt: skip
        began = time.perf_counter()
        request = run.Request("hunt", days, notify="none")
        outcome = run.run(project, request, datetime.now(UTC), uuid4())
    except GundogError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    _tell(console, project, outcome, time.perf_counter() - began)
    return outcome.exit_status


def last_days(project: run.Project, days: int) -> Interval:
    """The newest `days` days that the lake has files for.

    Raises:
        StoreError: when it has none.
    """
    options = project.settings
    files = [
        file.covers
        for source, paths in options.lake.items()
        for file in listing.list_files(source, paths, None, options.root, project.environ)
        if file.covers
    ]
    span = hull(files)
    if not span:
        raise StoreError("parquet_samples/ is empty: write it again with gundog samples")
    end = span.end.replace(hour=0, minute=0)
    if end < span.end:
        end += DAY
    return Interval(end - timedelta(days=days), end)


def _tell(console: Console, project: run.Project, outcome: run.Outcome, seconds: float) -> None:
    with reader.published(project.settings.findings) as con:
        hunted = outcome.range
        assert hunted is not None  # noqa: S101 - it was given
        rows = reader.select_findings(con, since=hunted.start)
        stems = dict(con.execute("select detection_id::varchar, stem from detections").fetchall())
        quiet = con.execute(_QUIET, [hunted.start]).fetchall()
    stories = {str(row["finding_id"]): _story(stems, row) for row in rows}
    console.print()
    finding_list.findings_table(console, rows, stories)
    console.print()
    changes = outcome.changes
    console.print(
        f"{len(rows)}{COUNTED}{outcome.hunted + outcome.done} intervals;"
        f" this run: {outcome.hunted} hunted, {changes.new} findings new,"
        f" {changes.changed} changed, {outcome.files} files read, {seconds:.1f} s"
    )
    if quiet:
        kept = ", ".join(f"{count} {why}" for why, count in quiet)
        console.print(f"also stored, not in the list: {kept} (gundog findings --all)")
    for problem in outcome.problems:
        console.print(finding_list.hanging(f"PROBLEM  {problem}"))
    _next(console, project, rows)


def _story(stems: Mapping[str, str], row: Mapping[str, Any]) -> str:
    """What was planted where this finding came from."""
    details = json.loads(row["details"] or "{}")
    entities = {row[name] or details.get(name) for name in _ENTITIES} | {details.get("actor")}
    entities.discard(None)
    day = row["interval_start"].date()
    case = cases.find(stems[str(row["detection_id"])], day, entities)
    return case.story if case else ""


def _next(console: Console, project: run.Project, rows: list[dict[str, Any]]) -> None:
    example = str(rows[0]["finding_id"])[:8] if rows else "FINDING"
    console.print()
    console.print(f"Everything is in {_shown(project.settings.findings)}. Try next:")
    for command, about in (
        (f"gundog show {example}", "one finding in full: evidence, why, what to do"),
        ("gundog report", "all of it as one HTML page"),
        ("gundog findings --severity high", "the list, filtered"),
        ('gundog sql "from risk_by_entity"', "query with SQL"),
        ("gundog status", "what was hunted, and what each source last sent"),
        ("cat parquet_samples/README.md", "every planted case, the silent ones too"),
    ):
        line = f"  .venv/bin/{command}" if command.startswith("gundog") else f"  {command}"
        console.print(Text.assemble((f"{line:<56}", "bold"), (about, "dim")))


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


if __name__ == "__main__":
    sys.exit(main())
