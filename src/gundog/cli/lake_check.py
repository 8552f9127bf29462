"""What a newcomer's lake looks like to gundog: found or not, readable or not, columns or not."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console

from gundog.cli import finding_list, lake_suggestions, time_samples, waiting
from gundog.core.errors import StoreError
from gundog.core.wording import count
from gundog.detections.staged import Source
from gundog.lake import columns, fetch, latest
from gundog.lake.file_version import FileVersion
from gundog.lake.path import (
    AZURE_DATA_EXPLORER,
    LOG_ANALYTICS,
    PLAIN,
    STREAMING_API,
    LakePath,
)
from gundog.run.run import Project
from gundog.staging import binding, reading
from gundog.staging.batch import Batch, Limits, Read, Task

_SHOWN = 10
# Dozens of sources ship; of those that a lake does not have, so many are named.
_NAMED = 3
# Of files without a row, which exporters write in quiet hours, so many are passed over.
_MOST_EMPTY = 5
_CIRCULAR = ": run `gundog check --lake`"


def check(project: Project, console: Console, arguments: argparse.Namespace) -> int:
    """Lists every source of gundog.yaml and opens its newest file; 0, or 1 with problems."""
    bad = 0
    if idle := _without_path(project):
        console.print(finding_list.safe(idle))
    sources = sorted(
        item for item in project.content.sources.items() if item[0] in project.settings.lake
    )
    for name, source in waiting.each(sources, arguments, "reading", "source"):
        try:
            said, fine = _describe(project, source)
        except StoreError as error:
            said, fine = [f"lake.{name}: {str(error).removesuffix(_CIRCULAR)}"], False
        bad += not fine
        for line in said:
            console.print(finding_list.safe(line), soft_wrap=True)
    return 1 if bad else 0


def _without_path(project: Project) -> str:
    """A line about the sources that gundog.yaml does not name, those that hunts read first."""
    read = {source for hunt in project.content.hunts for source in hunt.sources}
    idle = project.content.sources.keys() - project.settings.lake.keys()
    names = sorted(idle, key=lambda name: (name not in read, name))
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    them = "it" if len(names) == 1 else "them"
    return f"{', '.join(names[:_NAMED])}{more}: no path in gundog.yaml; hunts on {them} cannot run"


def _describe(project: Project, source: Source) -> tuple[list[str], bool]:
    """Lines about one source, and whether it can be hunted."""
    paths, root = project.settings.lake[source.name], project.settings.root
    files, has_all = latest.newest_files(source.name, paths, root, project.environ)
    if not files:
        why = latest.explain_no_match(source.name, paths, root, project.environ)
        return why.splitlines(), False
    size = sum(file.size for file in files) / 1e6
    lines = [f"{source.name}: {_counted(len(files), has_all)}, {size:,.1f} MB"]
    for file in files[:_MOST_EMPTY]:
        read, held, error = _read(project, source, file)
        if error:
            return [*lines, f"  {file.path}: {error}"], False
        if read.hours:
            said, fine = _describe_file(project, source, file, read, held)
            return [*lines, *said], fine
        lines.append(f"  has no rows: {file.path}")
    return [*lines, "  its columns are not known yet: wait for a file with rows"], True


def _counted(files: int, is_all: bool) -> str:
    if files == 1:
        return "1 file" if is_all else "the newest file"
    return count(files, "file") if is_all else f"the newest {count(files, 'file')}"


def _read(
    project: Project, source: Source, file: FileVersion
) -> tuple[Read, Mapping[str, Any], str]:
    """What one file gave, its columns with their types, and why it cannot be read."""
    settings, paths = project.settings, project.settings.lake[source.name]
    aliases = dict(paths[file.lake_path].columns)
    needed = binding.needed(source, (), aliases, paths[file.lake_path].exporter)
    with tempfile.TemporaryDirectory(prefix="gundog-") as scratch:
        limits = Limits(settings.memory_limit, 1, Path(scratch))
        task, place = Task(file, 0, ()), ""
        try:
            with fetch.local_copy(file, paths, limits.folder, project.environ, needed) as local:
                place = str(local)
                read = reading.read_files(_batch(task, local, source, paths, limits))
                return read, _held(read, local), ""
        except reading.FAILURES as error:
            reason = str(error).splitlines()[0].replace(place or file.path, file.path)
            return Read((task,), binding.Remarks()), {}, reason


def _batch(
    task: Task, local: Path, source: Source, paths: Sequence[LakePath], limits: Limits
) -> Batch:
    path = paths[task.file.lake_path]
    files = ((task, local),)
    return Batch(
        files,
        source,
        dict(path.columns),
        limits,
        path.format,
        path.exporter,
        path.time_format,
    )


def _held(read: Read, local: Path) -> dict[str, Any]:
    """The file's own columns with their Arrow types; those of JSON are text."""
    if own := read.own_remarks.get(read.tasks[0].file_id):
        return dict.fromkeys(own.held, pa.string())
    schema = columns.schema(local)
    return dict(zip(schema.names, schema.types, strict=True))


def _describe_file(
    project: Project, source: Source, file: FileVersion, read: Read, held: Mapping[str, Any]
) -> tuple[list[str], bool]:
    remarks = read.remarks_on(read.tasks[0])
    lines = [f"  newest file: {file.path}", *_json_lines(remarks)]
    newest = _newest_event(read)
    if newest:
        lines.append(f"  newest event: {newest}")
    paths = project.settings.lake[source.name]
    path = paths[file.lake_path]
    lines += _alias_problems(source, path.columns, held)
    lines += _column_lines(project, source, read)
    better, formats = _better(project, source, file, read, held)
    if better != path:
        lines += _said_better(source, paths, file.lake_path, better, path)
    if len(formats) > 1:
        lines.append(f"  the times seen also fit timeFormat: '{formats[1]}': choose")
    if not newest:
        has_time = binding.TIME in better.columns or better.exporter != path.exporter or formats
        hint = "" if has_time else ": name its column under lake, columns: {Timestamp: …}"
        lines.append(f"  no row has a usable Timestamp{hint}")
    return lines, bool(newest)


def _newest_event(read: Read) -> str:
    """The time of a file's newest event; empty where no row has one."""
    rows = read.hours.to_pylist() if read.hours else []
    times = [row["max_time"] for row in rows if row["hour"]]
    return f"{finding_list.short_time(max(times))} UTC" if times else ""


def _better(
    project: Project, source: Source, file: FileVersion, read: Read, held: Mapping[str, Any]
) -> tuple[LakePath, tuple[str, ...]]:
    """The file's lake path with what its names and times need, and all formats that fit them."""
    path = project.settings.lake[source.name][file.lake_path]
    remarks = read.remarks_on(read.tasks[0])
    others = {name: held[name] for name in remarks.extra if name in held}
    if remarks.exporter in ("", PLAIN):
        path = lake_suggestions.better(path, remarks.missing, others)
    else:
        named = lake_suggestions.suggest(remarks.missing, others)
        path = replace(path, columns={**path.columns, **named})
    if _newest_event(read):
        return path, ()
    return _with_times(project, source, file, path, remarks.missing, others)


def looked_at(project: Project, source: Source) -> tuple[LakePath, str]:
    """The one path of a source with what its newest file needs, and what was seen of the file.

    Raises:
        StoreError: when the store cannot be listed or read.
    """
    paths = project.settings.lake[source.name]
    files, _ = latest.newest_files(source.name, paths, project.settings.root, project.environ)
    for file in files[:_MOST_EMPTY]:
        read, held, error = _read(project, source, file)
        if error:
            return paths[0], f"{file.path} cannot be read: {error}"
        if read.hours:
            path, formats = _better(project, source, file, read, held)
            exporter = read.remarks_on(read.tasks[0]).exporter
            kind = f"{_EXPORTERS[exporter]}, " if exporter else ""
            if len(formats) > 1:
                return path, f"{kind}times read by {formats[0]!r}, or is it {formats[1]!r}?"
            if newest := _newest_event(read):
                return path, f"{kind}newest event {newest}"
            if formats:
                return path, f"{kind}times read by {formats[0]!r}"
            needs = "" if path != paths[0] else ", no usable time: name its column under columns:"
            return path, f"{kind}newest file {file.path}{needs}"
    return paths[0], "no row yet" if files else "no file"


def _said_better(
    source: Source, paths: Sequence[LakePath], index: int, better: LakePath, path: LakePath
) -> list[str]:
    entry = [better if place == index else other for place, other in enumerate(paths)]
    only_times = replace(better, time_format=path.time_format) == path
    why = "its times are written in another way" if only_times else _NAMES
    return [
        f"  {why}; if so, write under lake: in gundog.yaml",
        *(f"  {line}" for line in lake_suggestions.as_yaml(source.name, entry)),
    ]


_NAMES = "it may have them under other names"


def _with_times(
    project: Project,
    source: Source,
    file: FileVersion,
    path: LakePath,
    missing: Sequence[str],
    others: Mapping[str, Any],
) -> tuple[LakePath, tuple[str, ...]]:
    """A lake path with the format of the file's times, and all formats that fit those seen."""
    number = lake_suggestions.numbers_of_time(missing, others)
    if number and binding.TIME not in path.columns:
        path = replace(path, columns={**path.columns, binding.TIME: number})
    settings = project.settings
    paths = [
        path if place == file.lake_path else other
        for place, other in enumerate(settings.lake[source.name])
    ]
    needed = binding.needed(source, (), path.columns, path.exporter)
    with tempfile.TemporaryDirectory(prefix="gundog-") as scratch:
        limits = Limits(settings.memory_limit, 1, Path(scratch))
        try:
            with fetch.local_copy(file, paths, limits.folder, project.environ, needed) as local:
                batch = _batch(Task(file, 0, ()), local, source, paths, limits)
                formats = time_samples.formats(batch)
        except reading.FAILURES:
            return path, ()
    return (replace(path, time_format=formats[0]) if formats else path), formats


_EXPORTERS = {
    STREAMING_API: "JSON lines in the envelope of Defender's Streaming API",
    LOG_ANALYTICS: "JSON lines as Log Analytics exports them",
    AZURE_DATA_EXPLORER: "JSON lines as Azure Data Explorer exports them",
    PLAIN: "JSON lines, one row each",
}


def _json_lines(remarks: binding.Remarks) -> list[str]:
    """What a file of JSON lines was taken for; nothing about parquet."""
    if not remarks.exporter:
        return []
    said = f"  read as: {_EXPORTERS[remarks.exporter]} (exporter: {remarks.exporter})"
    others = f"  holds rows of other tables, not read here: {remarks.other_rows:,}"
    odd = f"  not read: {remarks.lines}"
    return [said, *([others] if remarks.other_rows else []), *([odd] if remarks.lines else [])]


def _alias_problems(
    source: Source, aliases: Mapping[str, str], held: Mapping[str, Any]
) -> list[str]:
    source_names = {name for name, _ in source.columns}
    folded = {name.lower() for name in held}
    lines = [
        f"  columns: {name}: is not a column of {source.name}"
        for name in aliases
        if name not in source_names
    ]
    return lines + [
        f"  columns: {name}: the file has no column {column}"
        for name, column in aliases.items()
        if name in source_names and column.lower() not in folded
    ]


def _column_lines(project: Project, source: Source, read: Read) -> list[str]:
    """Columns that the file lacks, has of another type, or has besides."""
    stages = [stage for stage in project.content.stages.values() if stage.source == source.name]
    used = binding.needed(source, stages, {})
    remarks = read.remarks_on(read.tasks[0])
    lacks = sorted(remarks.missing, key=lambda name: name.lower() not in used)
    hunted = [name for name in lacks if name.lower() in used]
    lists = (
        ("lacks (read as null)", lacks),
        ("of these hunts use", hunted if len(hunted) < len(lacks) else ()),
        ("other type (cast)", remarks.cast),
        ("not known to the source (not read)", remarks.extra),
    )
    return [f"  {label}: {_some(names)}" for label, names in lists if names]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
