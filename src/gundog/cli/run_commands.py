"""hunt and backfill: the commands that run a night."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gundog.core import arrow
from gundog.core.errors import InputError
from gundog.core.times import parse_duration, parse_range
from gundog.core.wording import count

if TYPE_CHECKING:
    from gundog.core.child import Child
    from gundog.run.run import Outcome, Project, Request
from gundog.cli import common


def hunt(arguments: argparse.Namespace) -> int:
    if bool(arguments.start) != bool(arguments.end):
        raise InputError("--from and --to go together: give both, or neither for the last interval")
    return _run(arguments, "hunt", "nightly")


def backfill(arguments: argparse.Namespace) -> int:
    return _run(arguments, "backfill", "backfill")


def _run(arguments: argparse.Namespace, command: str, origin: str) -> int:
    from gundog.core.child import Child

    asked = parse_range(arguments.start, arguments.end) if arguments.start else None
    wait = waiting_time(arguments.wait)
    with Child("gundog.detections.content") as helper:
        is_plan = getattr(arguments, "plan", False)
        project = common.load(
            arguments, "lake", *(() if is_plan else common.SENDING), helper=helper
        )
        from gundog.run import run

        arrow.leave_out_pandas()
        request = run.Request(
            command=command,
            range=asked,
            detections=tuple(arguments.detection),
            again=getattr(arguments, "again", False),
            wait=wait,
            origin=origin,
            yes=getattr(arguments, "yes", False),
            notify=arguments.notify or ("none" if command == "backfill" else None),
            trust_clock=arguments.trust_clock,
        )
        if is_plan:
            return _plan(project, request)
        return _watched(project, request, helper, arguments.quiet)


def _plan(project: Project, request: Request) -> int:
    from gundog.run import run

    for line in run.plan(project, request, datetime.now(UTC)):
        sys.stdout.write(line + "\n")
    return 0


def _watched(project: Project, request: Request, helper: Child, quiet: bool) -> int:
    """Runs and shows how it goes; the exit status."""
    from uuid import uuid4

    from gundog.cli import progress
    from gundog.run import run

    with progress.watching(quiet) as watch:
        outcome = run.run(
            project, request, datetime.now(UTC), uuid4(), watch.say,
            went=watch.went, stop=watch.stop, helper=helper,
        )  # fmt: skip
    _summary(project, outcome)
    return common.INTERRUPTED if outcome.stopped else outcome.exit_status


def waiting_time(text: str) -> Any:
    from datetime import timedelta

    return timedelta() if text in ("0", "0s") else parse_duration(text)


def _summary(project: Project, outcome: Outcome) -> None:
    """What a run leaves on the screen: its findings, then one line that sums it up."""
    from gundog.cli import finding_list
    from gundog.findings import reader

    console = common.console()
    with reader.published(project.settings.findings) as con:
        rows = reader.select_findings(con, run_id=str(outcome.run_id))
        if rows:
            finding_list.findings_table(console, rows)
            console.print()
    changes = outcome.changes
    console.print(
        f"{count(outcome.hunted, 'interval')} hunted, {outcome.done} hunted before and unchanged;"
        f" findings: {changes.new} new, {changes.changed} changed, {changes.unchanged} unchanged,"
        f" {changes.withdrawn} withdrawn, {changes.returned} returned"
    )
    for note in outcome.notes:
        console.print(finding_list.hanging(note))
    for problem in outcome.problems:
        console.print(finding_list.hanging(f"PROBLEM  {problem}"))
    console.print(f"findings are in {relative(project.settings.findings)}")


def relative(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
