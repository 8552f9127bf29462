"""The lake: which files lie in which hours, and a local copy of one, on any store.

A lake path is a template such as ``tenantId=*/y=%Y/m=%m/d=%d/h=%H/*.parquet``. Listing renders its
leading segments for every day asked for, asks the store once for each such folder, and keeps the
names that match the whole template. Nothing outside those days is looked at. The newest files alone
are found by opening folders from the newest on. A Google store lists no folders: there all below
the first star is looked at.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import pyarrow as pa
from pyarrow import fs

from gundog.errors import StoreError
from gundog.fields import unknown
from gundog.interval import Interval
from gundog.layout import (
    Layout,
    as_bytes,
    covered_time,
    fields_of,
    finest_field,
    known_time,
    moments,
    name_pattern,
    parse_layout,
    readable,
    render,
    rendered_depth,
    shown_place,
)
from gundog.refusals import store_error
from gundog.settings import SCHEMES, LakePath, split_uri

__all__ = [
    "FileVersion", "LakePath", "explain_no_match", "filesystem", "list_files", "newest_files",
]  # fmt: skip

# pyarrow's own are 1 s, 3 s and 3 attempts, which a slow listing or one throttled minute outlasts.
# Six attempts back off about 15 s in all: a dead store still fails soon.
CONNECT_TIMEOUT_S = 10
REQUEST_TIMEOUT_S = 60
ATTEMPTS = 6
# For somebody who waits at a terminal, with two attempts.
_HASTY_TIMEOUT_S = 10
_PARALLEL_LISTINGS = 8
# The search for the newest files ends after so many, or after so many folders of files; a disk
# answers sooner than a store.
ENOUGH_FILES = 200
ENOUGH_FOLDERS = 40
_DISK_FACTOR = 100
_SHOWN_ENTRIES = 5
_TENANT = re.compile(r"(?:^|/)tenantid=([^/]+)/", re.IGNORECASE)
_Failure = (OSError, pa.ArrowException)


@dataclass(frozen=True)
class FileVersion:
    """One file as it was when it was listed; a change of size or time makes it another version.

    Attributes:
        path: as people read it and findings name it: with its scheme on a store, relative to the
            project folder where the lake path is.
        mtime_ns: when the store says it was last written, in nanoseconds since 1970.
        covers: the time its path names, as long as the path's finest field; None without fields.
        tenant: what a `tenantId=` folder in its path says, in any case of letters.
        lake_path: which of the source's lake paths it was found by.
        location: what pyarrow opens; the same as `path` when empty.
    """

    source: str
    path: str
    size: int
    mtime_ns: int
    covers: Interval | None
    tenant: str | None = None
    lake_path: int = 0
    partition_by: str = "ingest"
    location: str = field(default="", repr=False, compare=False)


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
        StoreError: when a store cannot be listed. A folder that is not there holds no files.
    """
    found: dict[tuple[str, str | None, str], FileVersion] = {}
    for index, path in enumerate(paths):
        wanted = span[path.partition_by] if isinstance(span, Mapping) else span
        scheme = split_uri(path.template)[0]
        for file in _list_path(source, index, path, wanted, root, environ):
            found.setdefault((scheme, path.endpoint, file.location), file)
    return sorted(found.values(), key=lambda file: file.path)


def _list_path(
    source: str,
    index: int,
    path: LakePath,
    span: Interval | None,
    root: Path,
    environ: Mapping[str, str],
    *,
    is_hasty: bool = False,
) -> Iterator[FileVersion]:
    layout = parse_layout(path, root)
    pattern, grain = name_pattern(layout.segments), finest_field(fields_of(layout.segments))
    for location, info in _listed(filesystem(path, environ, is_hasty), layout, span):
        below = location[len(layout.base.rstrip("/")) + 1 :]
        match = pattern.fullmatch(below)
        if info.type != fs.FileType.File or not match:
            continue
        try:
            covers = covered_time(match, grain)
        except ValueError:
            continue  # a date that no calendar has
        if covers is None or span is None or covers.overlaps(span):
            yield _version(source, index, path, shown_place(layout, location), info, covers)


def _version(
    source: str, index: int, path: LakePath, shown: str, info: Any, covers: Interval | None
) -> FileVersion:
    tenant = _TENANT.search(shown)
    return FileVersion(
        source=source,
        path=shown,
        size=info.size,
        mtime_ns=info.mtime_ns or 0,
        covers=covers,
        tenant=unquote(tenant[1]) if tenant else None,
        lake_path=index,
        partition_by=path.partition_by,
        location=_location(info),
    )


def newest_files(
    source: str, paths: Sequence[LakePath], root: Path, environ: Mapping[str, str]
) -> tuple[list[FileVersion], bool]:
    """The newest files of a source, newest first, and whether the source has no others.

    Opens folders from the newest on, by the times that their names tell, until it has seen enough.
    Of a lake with many years it asks no more than of one with a week, and it soon gives up a store
    that does not answer. On a Google store, which lists no folders, it looks at every file.

    Raises:
        StoreError: when a store cannot be listed. A folder that is not there holds no files.
    """
    found: dict[tuple[str, str | None, str], FileVersion] = {}
    has_all = True
    for index, path in enumerate(paths):
        scheme = split_uri(path.template)[0]
        files, is_all = _newest_of_path(source, index, path, root, environ)
        has_all = has_all and is_all
        for file in files:
            found.setdefault((scheme, path.endpoint, file.location), file)
    return sorted(found.values(), key=_age, reverse=True), has_all


def _age(file: FileVersion) -> tuple[float, int, str]:
    return (file.covers.end.timestamp() if file.covers else 0.0, file.mtime_ns, file.path)


def _newest_of_path(
    source: str, index: int, path: LakePath, root: Path, environ: Mapping[str, str]
) -> tuple[list[FileVersion], bool]:
    layout, store = parse_layout(path, root), filesystem(path, environ, is_hasty=True)
    if not _lists_folders(store):
        return list(_list_path(source, index, path, None, root, environ, is_hasty=True)), True
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
                files.append(_version(source, index, path, shown, info, covers))
            else:
                found = waiting.setdefault(min(end, covers.end) if covers else end, [])
                found.append(_past_plain_names(layout, location, depth))
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
    one = partial(_list_shown, store, layout, recursive=False)
    listings = _map(one, [folder for folder, _ in folders], in_threads=not layout.is_local)
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


def filesystem(path: LakePath, environ: Mapping[str, str], is_hasty: bool = False) -> Any:
    """The pyarrow filesystem that holds a lake path; nothing is asked of the store yet.

    `endpoint:` wins over AWS_ENDPOINT_URL. What `environ` does not say, the store's own client
    looks for where it always does: configuration files, then the machine's identity. With
    `is_hasty` it gives up a store that does not answer within seconds instead of a minute.

    Raises:
        StoreError: when the scheme is unknown or the store refuses its options.
    """
    scheme, authority, _ = split_uri(path.template)
    get = environ.get
    try:
        if scheme in ("", "file"):
            return fs.LocalFileSystem()
        if scheme == "s3":
            endpoint = path.endpoint or get("AWS_ENDPOINT_URL_S3") or get("AWS_ENDPOINT_URL")
            region = path.region or get("AWS_REGION") or get("AWS_DEFAULT_REGION")
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            keys = (None,) * 3 if path.anonymous else tuple(get(name) or None for name in names)
            patience = (_HASTY_TIMEOUT_S, 2) if is_hasty else (REQUEST_TIMEOUT_S, ATTEMPTS)
            return _s3(endpoint, region, path.anonymous, patience, *keys)
        if scheme == "gs":
            timeout_s = _HASTY_TIMEOUT_S if is_hasty else REQUEST_TIMEOUT_S
            return _gcs(path.endpoint, path.anonymous, timeout_s)
        if scheme == "abfss":
            key = get("AZURE_STORAGE_ACCOUNT_KEY") or get("AZURE_STORAGE_KEY")
            return _azure(authority, path.endpoint, path.anonymous, key)
    except (*_Failure, ValueError) as error:
        raise store_error(path.template, "cannot be reached", error) from error
    raise StoreError(f"{path.template}: {unknown(scheme, SCHEMES, 'scheme')}")


@lru_cache
def _s3(
    endpoint: str | None,
    region: str | None,
    anonymous: bool,
    patience: tuple[int, int],
    access_key: str | None,
    secret_key: str | None,
    session_token: str | None,
) -> Any:
    scheme, host = _split_endpoint(endpoint)
    timeout_s, attempts = patience
    return fs.S3FileSystem(
        access_key=access_key,
        secret_key=secret_key,
        session_token=session_token,
        anonymous=anonymous,
        # A server of one's own ignores the region, but without one the client asks the network.
        region=region or ("us-east-1" if endpoint else None),
        scheme=scheme,
        endpoint_override=host,
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=timeout_s,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
    )


@lru_cache
def _gcs(endpoint: str | None, anonymous: bool, timeout_s: int) -> Any:
    scheme, host = _split_endpoint(endpoint)
    return fs.GcsFileSystem(
        anonymous=anonymous,
        scheme=scheme,
        endpoint_override=host,
        retry_time_limit=timedelta(seconds=timeout_s),
    )


@lru_cache
def _azure(authority: str, endpoint: str | None, anonymous: bool, key: str | None) -> Any:
    scheme, host = _split_endpoint(endpoint)
    try:
        base64.b64decode(key or "", validate=True)
    except ValueError as error:  # Azure's own client would end the process
        raise ValueError("the account key is no Base64 text") from error
    if anonymous:
        # Only the URI form knows anonymous access.
        query = {"credential_kind": "anonymous"}
        if host:
            query |= {"blob_storage_authority": host, "dfs_storage_authority": host}
            query |= {"enable_tls": str(scheme == "https").lower()}
        found, _ = fs.FileSystem.from_uri(f"abfss://{authority}/?{urlencode(query)}")
        return found
    options = {"account_name": authority.partition("@")[2].partition(".")[0], "account_key": key}
    if host:
        options |= {"blob_storage_authority": host, "dfs_storage_authority": host}
        options |= {"blob_storage_scheme": scheme, "dfs_storage_scheme": scheme}
    return fs.AzureFileSystem(**options)


def _split_endpoint(endpoint: str | None) -> tuple[str, str | None]:
    scheme, host, _ = split_uri(endpoint or "")
    return scheme or "https", host or endpoint or None


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
    layout, store = parse_layout(path, root), filesystem(path, environ)
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
    except _Failure as error:
        raise store_error(shown, "cannot be looked at", error) from error


def _entries(store: Any, folder: str, shown: str) -> dict[str, bool]:
    """The names in a folder, and whether each is a folder itself."""
    if not _lists_folders(store):
        below = len(folder.rstrip("/")) + 1
        found = [place[below:] for place, _ in _list(store, folder, shown, recursive=True)]
        return {name.partition("/")[0]: "/" in name for name in found}
    return {
        location.rpartition("/")[2]: info.type == fs.FileType.Directory
        for location, info in _list(store, folder, shown, recursive=False)
    }


def _holds(entries: Mapping[str, bool]) -> str:
    if not entries:
        return "is empty"
    names = sorted(entries)[:_SHOWN_ENTRIES]
    text = ", ".join(readable(name) + "/" * entries[name] for name in names)
    more = len(entries) - len(names)
    return f"holds {text}" + (f" and {more} more" if more else "")


def _listed(store: Any, layout: Layout, span: Interval | None) -> Iterator[tuple[str, Any]]:
    """Everything in the folders that can hold files of the span, as the store names it."""
    depth = rendered_depth(layout.segments)
    times = moments(span, finest_field(fields_of(layout.segments[:depth])))
    if times is None:
        depth, times = rendered_depth(layout.segments, dated=False), [datetime.max]
    patterns = {tuple(render(part, at) for part in layout.segments[:depth]) for at in times}
    if not _lists_folders(store):
        depth = next((i for i, part in enumerate(layout.segments[:depth]) if "*" in part), depth)
        patterns = {pattern[:depth] for pattern in patterns}
    known: dict[str, list[str]] = {}
    folders = sorted(
        {folder for pattern in patterns for folder in _expand(store, layout, pattern, known)}
    )
    one = partial(_list_shown, store, layout, recursive=len(layout.segments) - depth > 1)
    for entries in _map(one, folders, in_threads=not layout.is_local):
        yield from entries


def _lists_folders(store: Any) -> bool:
    """False for a Google store, of which pyarrow lists files only, those in folders or all below.

    A star in a folder's place is then looked for among all files below the folder before it.
    """
    return bool(store.type_name != "gcs")


def _map(
    listing: Callable[[str], list[tuple[str, Any]]], folders: Sequence[str], in_threads: bool
) -> Iterator[list[tuple[str, Any]]]:
    if not in_threads or len(folders) < 2:
        yield from map(listing, folders)
        return
    with ThreadPoolExecutor(_PARALLEL_LISTINGS) as pool:
        try:
            yield from pool.map(listing, folders)
        finally:
            # After a failure the other folders would only fail one after the other.
            pool.shutdown(wait=False, cancel_futures=True)


def _expand(
    store: Any, layout: Layout, pattern: Iterable[str], known: dict[str, list[str]]
) -> list[str]:
    """The folders that a rendered pattern stands for; `known` keeps what was listed for stars."""
    found = [layout.base.rstrip("/")]
    for segment in pattern:
        if "*" not in segment:
            found = [f"{folder}/{segment}" for folder in found]
            continue
        shape = name_pattern([segment.replace("%", "%%")])
        for folder in found:
            if folder not in known:
                entries = _list_shown(store, layout, folder, recursive=False)
                known[folder] = [
                    location for location, info in entries if info.type == fs.FileType.Directory
                ]
        found = [
            location
            for folder in found
            for location in known[folder]
            if shape.fullmatch(location.rpartition("/")[2])
        ]
    return found


def _list_shown(store: Any, layout: Layout, folder: str, recursive: bool) -> list[tuple[str, Any]]:
    return _list(store, folder or "/", shown_place(layout, folder) or folder, recursive)


def _list(store: Any, folder: str, shown: str, recursive: bool) -> list[tuple[str, Any]]:
    selector = fs.FileSelector(as_bytes(folder), recursive=recursive, allow_not_found=True)
    try:
        return [(_location(info), info) for info in store.get_file_info(selector)]
    except NotADirectoryError:
        return []
    except _Failure as error:
        raise store_error(shown, "cannot be listed", error) from error


def _location(info: Any) -> str:
    try:
        return str(info.path)
    except UnicodeDecodeError as error:
        return error.object.decode("utf-8", "surrogateescape")
