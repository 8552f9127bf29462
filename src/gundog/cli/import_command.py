"""The command that makes detections of KQL queries."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gundog.cli import common, waiting
from gundog.core import safe_text
from gundog.core.errors import InputError
from gundog.core.wording import count

_SHOWN = 20

if TYPE_CHECKING:
    from gundog.kql_import.importing import Imported, Plan
    from gundog.run.run import Project


def _check_group(group: str, plain: str) -> None:
    """Raises InputError for a name that no file of a staged table has."""
    if group != plain:
        shown = safe_text.for_terminal(group)
        raise InputError(f"import: --group {shown}: is not a name: write one such as {plain}")


def import_queries(arguments: argparse.Namespace) -> int:
    from gundog.core.child import Child

    if bool(arguments.files) == arguments.regroup:
        raise InputError("import: name FILEs to import, or give --regroup alone")
    if arguments.rewrite and (arguments.update or arguments.regroup):
        raise InputError("import: --rewrite adds detections: leave out --update and --regroup")
    # What is imported is read by the process that has read the project; it starts meanwhile.
    with Child("gundog.detections.content") as helper:
        helper.start()
        from gundog.kql_import import translator

        translator.require()
        from gundog.detections import content_folder
        from gundog.kql_import import importing, reading

        if arguments.group:
            _check_group(arguments.group, reading.stem(arguments.group))

        loaded = common.load(arguments, "lake", helper=helper)
        settings = loaded.settings
        folders = content_folder.folders(settings.content, settings.root)
        project = importing.Project(settings, loaded.content, folders, helper)
        request = importing.Request(
            arguments.files,
            arguments.group,
            arguments.id == "new",
            arguments.update,
            arguments.rewrite,
        )
        made = importing.regrouped if arguments.regroup else importing.plan
        with waiting.bar(arguments, "translating") as went:
            files = waiting.counted(arguments.files, len(arguments.files), went, "file")
            plan = made(replace(request, paths=files), project)
        if any(entry.skeleton for entry in plan.imported):
            from gundog.testing import series_trial

            plan = replace(plan, imported=series_trial.proved(plan.imported, project))
    for refused in plan.refused:
        common.complain(refused)
    _say(_reads(plan, loaded))
    if arguments.dry_run and plan.imported:
        _try(plan, loaded, folders)
    for imported in plan.imported:
        _tell(imported, arguments, set(settings.lake))
    if plan.refused:
        of = len(plan.refused) + len(plan.imported)
        common.complain(f"{len(plan.refused)} of {count(of, 'query')} not imported")
        return 1 if plan.imported else 2
    return 0


def _reads(plan: Plan, project: Project) -> list[str]:
    """What the import adds to the reading of the first night, before anything is written."""
    from gundog.kql_import import cost

    now = datetime.now(UTC)
    volumes = cost.volumes(plan.imported, project.settings, project.environ, now)
    return [str(volume) for volume in volumes]


def _try(plan: Plan, project: Project, folders: Sequence[Path]) -> None:
    """Prints what the detections would have found in the newest staged days."""
    from gundog.cli import finding_list
    from gundog.run import context as run_context
    from gundog.testing import import_trial

    now = datetime.now(UTC)
    trial = import_trial.tried(plan.imported, project, folders, now, run_context.silent)
    by_name = Counter(row["detection_name"] for row in trial.findings)
    _say([f"tried over {trial.span}, in a warehouse that is thrown away:"])
    _say([f"  {name}: {count(number, 'finding')}" for name, number in by_name.most_common()])
    if not trial.findings:
        _say(["  nothing would have been found"])
    else:
        finding_list.findings_table(common.console(), trial.findings[:_SHOWN])
    _say([*(f"  {note}" for note in trial.notes), *(f"  PROBLEM {p}" for p in trial.problems)])


def _say(lines: list[str]) -> None:
    from gundog.core import safe_text

    for line in lines:
        sys.stdout.write(safe_text.for_terminal(line) + "\n")


def _tell(imported: Imported, arguments: argparse.Namespace, lake: set[str]) -> None:
    """Writes a detection's files, unless it is only planned, and says what is to be known."""
    from gundog.cli import run_commands
    from gundog.kql_import import importing

    lines = []
    if arguments.plan or arguments.dry_run:
        lines += [f"would write {name}" for name in imported.files]
        lines += [f"would remove {name}" for name in imported.removed]
    else:
        paths = importing.write(imported, arguments.project)
        lines += [f"wrote {run_commands.relative(path)}" for path in paths]
        lines += [f"removed {name}: nothing reads it any more" for name in imported.removed]
    if not arguments.regroup:
        lines += [f"  {remark}" for remark in (*imported.remarks, *imported.unused)]
    lines += [
        f"  it does not run: gundog.yaml has no lake.{source}"
        for source in imported.sources
        if source not in lake
    ]
    _say(lines)
