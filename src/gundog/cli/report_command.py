"""gundog report: the morning as one HTML file."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gundog.cli import common, run_commands, waiting
from gundog.core.errors import InputError
from gundog.core.times import parse_time

if TYPE_CHECKING:
    from gundog.project.settings import Settings
    from gundog.report.asked import Asked

FILE = "report.html"


def report(arguments: argparse.Namespace) -> int:
    """Writes the page and says where it is."""
    from gundog.report import writing

    wanted = asked(arguments)
    uses = () if arguments.out else ("report",)
    project = common.load(arguments, *uses)
    from gundog.run import report_step

    target = project.settings.report
    if target and not target.evidence:
        from dataclasses import replace

        wanted = replace(wanted, evidence=False)
    place = _place(arguments, wanted, project.settings)
    with waiting.bar(arguments, "writing the report"):
        html = report_step.made(project, wanted, datetime.now(UTC))
        writing.write(place, html, project.environ)
    sys.stdout.write(f"the report is in {_shown(place)}\n")
    return 0


def asked(arguments: argparse.Namespace) -> Asked:
    """What the arguments ask for.

    Raises:
        InputError: when one is wrong, or two do not go together.
    """
    from gundog.report.asked import Asked, parse_entity, parse_month

    if arguments.since and arguments.month:
        raise InputError("--since and --month do not go together: give one of them")
    return Asked(
        since=parse_time(arguments.since) if arguments.since else None,
        detection=arguments.detection,
        entity=parse_entity(arguments.entity) if arguments.entity else None,
        tenant=arguments.tenant,
        month=parse_month(arguments.month) if arguments.month else None,
    )


def _place(arguments: argparse.Namespace, wanted: Asked, settings: Settings) -> str:
    """Where the page goes: --out, then gundog.yaml, then beside the findings.

    A page on a part of the findings does not take the place of the one that every run writes.
    """
    if arguments.out:
        return str(arguments.out)
    month = f"-{wanted.month.start:%Y-%m}" if wanted.month else ""
    part = "-part" if wanted.detection or wanted.entity or wanted.tenant is not None else ""
    if month or part:
        return str(settings.findings.with_name(f"report{month}{part}.html"))
    return settings.report.place if settings.report else str(settings.findings.with_name(FILE))


def _shown(place: str) -> str:
    return place if "://" in place else run_commands.relative(Path(place).absolute())
