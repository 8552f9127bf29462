"""The lake: which files lie in which hours, and a local copy of one, on any store.

A lake path is a template such as ``tenantId=*/y=%Y/m=%m/d=%d/h=%H/*.parquet``. Listing renders its
leading segments for every day asked for, asks the store once for each such folder, and keeps the
names that match the whole template. Nothing outside those days is looked at. The newest files alone
are found by opening folders from the newest on. A Google store lists no folders: there all below
the first star is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from pyarrow import fs

from gundog.core.times import Interval
from gundog.lake import delta, file_version, object_store
from gundog.lake.file_version import FileVersion
from gundog.lake.layout import (
    Layout,
    covered_time,
    fields_of,
    finest_field,
    moments,
    name_pattern,
    parse_layout,
    render,
    rendered_depth,
    shown_place,
)
from gundog.lake.path import DELTA, LakePath, split_uri

__all__ = ["FileVersion", "LakePath", "list_files"]


def list_files(
    source: str,
    paths: Sequence[LakePath],
    span: Interval | Mapping[str, Interval] | None,
    root: Path,
    environ: Mapping[str, str],
) -> list[FileVersion]:
    """The files of a source whose time overlaps `span`, and those without one, sorted by path.

    Args:
        source: the source table.
        paths: its lake paths; a file that several of them match counts for the first.
        span: the times asked for, in one interval or one by `partition_by`; None lists everything.
        root: the project folder, which relative lake paths start from.
        environ: where stores' endpoints and credentials come from.

    Raises:
        StoreError: when a store cannot be listed. A folder that does not exist holds no files.
    """
    files_by_place: dict[tuple[str, str | None, str], FileVersion] = {}
    for index, path in enumerate(paths):
        wanted = span[path.partition_by] if isinstance(span, Mapping) else span
        scheme = split_uri(path.template)[0]
        for file in list_path(source, index, path, wanted, root, environ):
            files_by_place.setdefault((scheme, path.endpoint, file.location), file)
    return sorted(files_by_place.values(), key=lambda file: file.path)


def list_path(
    source: str,
    index: int,
    path: LakePath,
    span: Interval | None,
    root: Path,
    environ: Mapping[str, str],
    *,
    is_hasty: bool = False,
) -> Iterator[FileVersion]:
    if path.format == DELTA:
        yield from delta.list_table(source, index, path, span, root, environ)
        return
    layout = parse_layout(path, root)
    pattern, grain = name_pattern(layout.segments), finest_field(fields_of(layout.segments))
    for location, info in _listed(object_store.filesystem(path, environ, is_hasty), layout, span):
        below = location[len(layout.base.rstrip("/")) + 1 :]
        match = pattern.fullmatch(below)
        if info.type != fs.FileType.File or not match:
            continue
        try:
            covers = covered_time(match, grain)
        except ValueError:
            continue  # a date that no calendar has
        if covers is None or span is None or covers.overlaps(span):
            yield file_version.version_of(
                source, index, path, shown_place(layout, location), info, covers
            )


def _listed(store: Any, layout: Layout, span: Interval | None) -> Iterator[tuple[str, Any]]:
    """Everything in the folders that can hold files of the span, as the store names it."""
    depth = rendered_depth(layout.segments)
    times = moments(span, finest_field(fields_of(layout.segments[:depth])))
    if times is None:
        depth, times = rendered_depth(layout.segments, dated=False), [datetime.max]
    patterns = {tuple(render(part, at) for part in layout.segments[:depth]) for at in times}
    if not object_store.lists_folders(store):
        depth = next((i for i, part in enumerate(layout.segments[:depth]) if "*" in part), depth)
        patterns = {pattern[:depth] for pattern in patterns}
    subfolders: dict[str, list[str]] = {}
    folders = sorted(
        {folder for pattern in patterns for folder in _expand(store, layout, pattern, subfolders)}
    )
    list_folder = partial(
        object_store.shown_entries, store, layout, recursive=len(layout.segments) - depth > 1
    )
    for entries in object_store.list_folders(list_folder, folders, in_threads=not layout.is_local):
        yield from entries


def _expand(
    store: Any, layout: Layout, pattern: Iterable[str], subfolders: dict[str, list[str]]
) -> list[str]:
    """The folders that a rendered pattern stands for; stars are looked up once, in `subfolders`."""
    folders = [layout.base.rstrip("/")]
    for segment in pattern:
        if "*" not in segment:
            folders = [f"{folder}/{segment}" for folder in folders]
            continue
        shape = name_pattern([segment.replace("%", "%%")])
        for folder in folders:
            if folder not in subfolders:
                entries = object_store.shown_entries(store, layout, folder, recursive=False)
                subfolders[folder] = [
                    location for location, info in entries if info.type == fs.FileType.Directory
                ]
        folders = [
            location
            for folder in folders
            for location in subfolders[folder]
            if shape.fullmatch(location.rpartition("/")[2])
        ]
    return folders
