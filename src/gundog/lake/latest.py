"""The newest files of a lake path, and what is there when none match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pyarrow import fs

from gundog.core.times import Interval
from gundog.lake import file_version, listing, object_store
from gundog.lake.file_version import FileVersion
from gundog.lake.layout import (
    Layout,
    as_bytes,
    covered_time,
    fields_of,
    finest_field,
    known_time,
    name_pattern,
    parse_layout,
    readable,
    shown_place,
)
from gundog.lake.object_store import Failure
from gundog.lake.path import DELTA, LakePath, split_uri
from gundog.lake.refusals import store_error

# The search for the newest files ends after so many, or after so many folders of files; a disk
# answers sooner than a store.
ENOUGH_FILES = 200


ENOUGH_FOLDERS = 40


_DISK_FACTOR = 100


_SHOWN_ENTRIES = 5


def newest_files(
    source: str, paths: Sequence[LakePath], root: Path, environ: Mapping[str, str]
) -> tuple[list[FileVersion], bool]:
    """The newest files of a source, newest first, and whether the source has no others.

    Opens folders from the newest on, by the times that their names tell, until it has seen enough.
    Of a lake with many years it asks no more than of one with a week, and it soon gives up a store
    that does not answer. On a Google store, which lists no folders, it looks at every file.

    Raises:
        StoreError: when a store cannot be listed. A folder that does not exist holds no files.
    """
    files_by_place: dict[tuple[str, str | None, str], FileVersion] = {}
    has_all = True
    for index, path in enumerate(paths):
        scheme = split_uri(path.template)[0]
        files, is_all = _newest_of_path(source, index, path, root, environ)
        has_all = has_all and is_all
        for file in files:
            files_by_place.setdefault((scheme, path.endpoint, file.location), file)
    return sorted(files_by_place.values(), key=_age, reverse=True), has_all


def _age(file: FileVersion) -> tuple[float, int, str]:
    return (file.covers.end.timestamp() if file.covers else 0.0, file.mtime_ns, file.path)


def _newest_of_path(
    source: str, index: int, path: LakePath, root: Path, environ: Mapping[str, str]
) -> tuple[list[FileVersion], bool]:
    if path.format == DELTA:
        return list(listing.list_path(source, index, path, None, root, environ)), True
    layout, store = parse_layout(path, root), object_store.filesystem(path, environ, is_hasty=True)
    if not object_store.lists_folders(store):
        return list(
            listing.list_path(source, index, path, None, root, environ, is_hasty=True)
        ), True
    start = _past_plain_names(layout, layout.base.rstrip("/"), 0)
    # Folders that wait to be opened, with their depths, by the latest time that they can hold:
    # those of one time are of one depth.
    waiting = {datetime.max.replace(tzinfo=UTC): [start]}
    files, opened, more = list[FileVersion](), 0, _DISK_FACTOR if layout.is_local else 1
    while waiting:
        if len(files) >= ENOUGH_FILES * more or opened >= ENOUGH_FOLDERS * more:
            return files, False
        end = max(waiting)
        batch = waiting.pop(end)
        opened += sum(depth == len(layout.segments) - 1 for _, depth in batch)
        for info, location, depth, covers in _opened(store, layout, batch):
            if depth == len(layout.segments):
                shown = shown_place(layout, location)
                files.append(file_version.version_of(source, index, path, shown, info, covers))
            else:
                folders = waiting.setdefault(min(end, covers.end) if covers else end, [])
                folders.append(_past_plain_names(layout, location, depth))
    return files, True


def _past_plain_names(layout: Layout, folder: str, depth: int) -> tuple[str, int]:
    """The folder that is reached without listing any, and its depth."""
    for segment in layout.segments[depth:-1]:
        if set("%*") & set(segment):
            break
        folder, depth = f"{folder}/{segment}", depth + 1
    return folder, depth


def _opened(
    store: Any, layout: Layout, folders: Sequence[tuple[str, int]]
) -> Iterator[tuple[Any, str, int, Interval | None]]:
    """What folders hold that fits the template: entry, place, depth and the time it names."""
    start, last = len(layout.base.rstrip("/")) + 1, len(layout.segments)
    list_folder = partial(object_store.shown_entries, store, layout, recursive=False)
    listings = object_store.list_folders(
        list_folder, [folder for folder, _ in folders], in_threads=not layout.is_local
    )
    for (_, above), entries in zip(folders, listings, strict=True):
        depth = above + 1
        pattern, fields = name_pattern(layout.segments[:depth]), fields_of(layout.segments[:depth])
        grain, is_file = finest_field(fields), depth == last
        wanted = fs.FileType.File if is_file else fs.FileType.Directory
        for location, info in entries:
            match = pattern.fullmatch(location[start:])
            if not match or info.type != wanted:
                continue
            try:
                covers = covered_time(match, grain) if is_file else known_time(match, fields)
            except ValueError:
                continue  # a date that no calendar has
            yield info, location, depth, covers


def explain_no_match(
    source: str, paths: Sequence[LakePath], root: Path, environ: Mapping[str, str]
) -> str:
    """Why no file of a source was found, one line for each lake path: what is there instead.

    Follows each path as far as it exists and shows a few entries of the last folder.

    Raises:
        StoreError: when a store cannot be listed.
    """
    return "\n".join(_explain(source, path, root, environ) for path in paths)


def _explain(source: str, path: LakePath, root: Path, environ: Mapping[str, str]) -> str:
    if path.format == DELTA:
        return f"lake.{source}: {path.template}: the table has no file of the time asked for"
    layout, store = parse_layout(path, root), object_store.filesystem(path, environ)
    start = f"lake.{source}: {path.template}"
    folder, shown = layout.base, layout.shown.rstrip("/") or layout.base
    if not _exists(store, folder, shown):
        return f"{start}: {shown} does not exist: correct the path in gundog.yaml"
    for left, segment in zip(range(len(layout.segments))[::-1], layout.segments, strict=True):
        name = segment
        if set("%*") & set(segment) or not _exists(store, f"{folder}/{segment}", shown):
            entries = _entries(store, folder, shown)
            alike = filter(name_pattern([segment]).fullmatch, entries)
            names = sorted(name for name in alike if entries[name] == bool(left))
            if not names:
                return f"{start}: {shown} {_holds(entries)}, nothing like {segment}"
            name = names[-1]
        folder = f"{folder.rstrip('/')}/{name}"
        shown = shown_place(layout, folder)
    return f"{start}: {shown} matches, but no file of the time asked for does"


def _exists(store: Any, location: str, shown: str) -> bool:
    try:
        return bool(store.get_file_info(as_bytes(location)).type != fs.FileType.NotFound)
    except Failure as error:
        raise store_error(shown, "cannot be looked at", error) from error


def _entries(store: Any, folder: str, shown: str) -> dict[str, bool]:
    """The names in a folder, and whether each is a folder itself."""
    if not object_store.lists_folders(store):
        below = len(folder.rstrip("/")) + 1
        places = [
            place[below:]
            for place, _ in object_store.entries_of(store, folder, shown, recursive=True)
        ]
        return {name.partition("/")[0]: "/" in name for name in places}
    return {
        location.rpartition("/")[2]: info.type == fs.FileType.Directory
        for location, info in object_store.entries_of(store, folder, shown, recursive=False)
    }


def _holds(entries: Mapping[str, bool]) -> str:
    if not entries:
        return "is empty"
    names = sorted(entries)[:_SHOWN_ENTRIES]
    text = ", ".join(readable(name) + "/" * entries[name] for name in names)
    more = len(entries) - len(names)
    return f"holds {text}" + (f" and {more} more" if more else "")
