"""The command that makes detections of KQL queries."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from gundog.cli import common
from gundog.core.wording import count

if TYPE_CHECKING:
    from gundog.kql_import.importing import Imported


def import_queries(arguments: argparse.Namespace) -> int:
    from gundog.kql_import import translator

    translator.require()
    from gundog.detections import content_folder
    from gundog.kql_import import importing

    project = common.load(arguments, "lake")
    settings = project.settings
    plan = importing.plan(
        arguments.files,
        settings,
        project.content,
        content_folder.folders(settings.content, settings.root),
        new_id=arguments.id == "new",
        update=arguments.update,
    )
    for refused in plan.refused:
        common.complain(refused)
    for imported in plan.imported:
        _tell(imported, arguments, set(settings.lake))
    if plan.refused:
        of = len(plan.refused) + len(plan.imported)
        common.complain(f"{len(plan.refused)} of {count(of, 'query')} not imported")
        return 1 if plan.imported else 2
    return 0


def _tell(imported: Imported, arguments: argparse.Namespace, lake: set[str]) -> None:
    """Writes a detection's files, unless it is only planned, and says what is to be known."""
    from gundog.cli import run_commands
    from gundog.core import safe_text
    from gundog.kql_import import importing

    lines = []
    if arguments.plan:
        lines += [f"would write {name}" for name in imported.files]
    else:
        paths = importing.write(imported, arguments.project)
        lines += [f"wrote {run_commands.relative(path)}" for path in paths]
    lines += [f"  {remark}" for remark in (*imported.remarks, *imported.unused)]
    lines += [
        f"  it does not run: gundog.yaml has no lake.{source}"
        for source in imported.sources
        if source not in lake
    ]
    for line in lines:
        sys.stdout.write(safe_text.for_terminal(line) + "\n")
