"""What a newcomer's lake looks like to gundog: found or not, readable or not, columns or not."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
from rich.console import Console

from gundog import binding, copies, lake, reading, report
from gundog.content import Source
from gundog.errors import StoreError
from gundog.reading import Limits, Task
from gundog.run import Project


def check(project: Project, console: Console) -> int:
    """Lists every source of gundog.yaml and opens its newest file; 0, or 1 with problems."""
    bad = 0
    for name, source in sorted(project.content.sources.items()):
        if name not in project.settings.lake:
            console.print(report.safe(f"{name}: no path in gundog.yaml; hunts on it cannot run"))
            continue
        try:
            said, fine = _describe(project, source)
        except StoreError as error:
            said, fine = [str(error)], False
        bad += not fine
        for line in said:
            console.print(report.safe(line))
    return 1 if bad else 0


def _age(file: lake.FileVersion) -> tuple[float, int, str]:
    return (file.covers.end.timestamp() if file.covers else 0.0, file.mtime_ns, file.path)


def _describe(project: Project, source: Source) -> tuple[list[str], bool]:
    """Lines about one source, and whether it can be hunted."""
    paths, root = project.settings.lake[source.name], project.settings.root
    files = lake.list_files(source.name, paths, None, root, project.environ)
    if not files:
        why = lake.explain_no_match(source.name, paths, root, project.environ)
        return why.splitlines(), False
    newest = max(files, key=_age)
    lines = [f"{source.name}: {len(files):,} files, {sum(f.size for f in files) / 1e6:,.1f} MB"]
    task = Task(newest, 0, ())
    aliases = dict(paths[newest.lake_path].columns)
    columns = binding.needed(source, (), aliases)
    with tempfile.TemporaryDirectory(prefix="gundog-") as scratch:
        limits = Limits(project.settings.memory_limit, 1, Path(scratch))
        try:
            with copies.local_copy(newest, paths, limits.folder, project.environ, columns) as local:
                read = reading.read_batch([(task, local)], source, aliases, limits)
        except (duckdb.Error, pa.ArrowException) as error:
            return [*lines, f"  {newest.path}: {str(error).splitlines()[0]}"], False
    lines.append(f"  newest file: {newest.path}")
    hours = [row for row in read.hours.to_pylist() if row["hour"]] if read.hours else []
    if not hours:
        aliases_hint = "name its alias under lake, columns: {Timestamp: …}"
        return [*lines, f"  not one row has a usable Timestamp: {aliases_hint}"], False
    lines.append(f"  newest event: {report.short_time(max(row['max_time'] for row in hours))} UTC")
    if read.remarks.missing:
        lines.append(f"  lacks (read as null): {', '.join(read.remarks.missing)}")
    if read.remarks.cast:
        lines.append(f"  other type (cast): {', '.join(read.remarks.cast)}")
    return lines, True
