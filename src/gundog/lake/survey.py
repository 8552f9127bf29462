"""What a container holds: sets of files that look like event tables, and where they lie.

Folders are opened one after the other, those that are named after tables first. Of thousands of
folders only these are opened, and of dated ones only the newest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyarrow import fs

from gundog.core.errors import StoreError
from gundog.lake import object_store, template_guess
from gundog.lake.layout import as_bytes
from gundog.lake.path import DELTA, JSON, LakePath, split_uri
from gundog.lake.refusals import store_error

# So many folders are opened at most, so deep, before and below a table's own.
MOST_LISTINGS = 300
_DEEPEST, _DEEPEST_BELOW = 4, 16
# Newest folders may be empty; so many are tried at one place.
_MOST_TRIED = 3
_DELTA_LOG = "_delta_log"
_ICEBERG = {"metadata", "data"}


@dataclass(frozen=True)
class Dataset:
    """Files that one lake path reaches.

    Attributes:
        path: where they lie.
        table: the table that a folder is named after; empty where only the files can tell.
        shown: the folder, as people name it.
    """

    path: LakePath
    table: str
    shown: str


@dataclass(frozen=True)
class Survey:
    """What was seen.

    Attributes:
        datasets: sets of files, those named after a table first.
        others: places with files that gundog does not read, or folders of no table, with the
            reason.
        folders: how many folders were opened.
        has_all: False when there are more folders than were opened.
    """

    datasets: tuple[Dataset, ...]
    others: tuple[str, ...]
    folders: int
    has_all: bool


@dataclass
class _Walk:
    """A walk through one store: its limits, and what it has seen so far."""

    store: Any
    start: str
    path: LakePath
    tables: Collection[str]
    left: int = field(default_factory=lambda: MOST_LISTINGS)
    has_all: bool = True
    datasets: list[Dataset] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def entries(self, place: str) -> list[tuple[str, bool]]:
        """Names in a folder, and whether each is a folder; nothing once the limit is reached."""
        if not self.left:
            self.has_all = False
            return []
        self.left -= 1
        selector = fs.FileSelector(as_bytes(place), allow_not_found=True)
        try:
            infos = self.store.get_file_info(selector)
        except object_store.Failure as error:
            raise store_error(self.url(place), "cannot be listed", error) from error
        return sorted(
            (object_store.location_of(info).rpartition("/")[2], info.type == fs.FileType.Directory)
            for info in infos
        )

    def url(self, place: str) -> str:
        """A place as gundog.yaml names it."""
        scheme, authority, _ = split_uri(self.path.template)
        if not scheme:
            return place
        container, _, rest = place.partition("/")
        if scheme == "abfss":
            account = authority.partition("@")[2] or authority
            container = f"{container}@{account}" if container else account
        return f"{scheme}://{container}/{rest}" if rest else f"{scheme}://{container}"


def look(path: LakePath, tables: Collection[str], environ: Mapping[str, str]) -> Survey:
    """What lies below a place.

    Args:
        path: a bucket, a container, a folder of one, or a folder on a disk; of Azure also an
            account without a container, `abfss://ACCOUNT.dfs.core.windows.net`.
        tables: the names of source tables.
        environ: where the store's credentials come from.

    Raises:
        StoreError: when the store cannot be reached or listed, or the place does not exist.
    """
    scheme, authority, rest = split_uri(path.template)
    if scheme == "abfss" and "@" not in authority:
        reached = LakePath(f"abfss://@{authority}/", endpoint=path.endpoint, region=path.region)
        start = rest.strip("/")
    else:
        reached = path
        start = f"{authority.partition('@')[0]}/{rest}".strip("/") if scheme else path.template
    store = object_store.filesystem(reached, environ, is_hasty=True)
    walk = _Walk(store, start.rstrip("/") or start, path, tables)
    if walk.start and not _exists(walk):
        raise StoreError(f"{path.template}: does not exist: correct the URL")
    _search(walk)
    walk.datasets.sort(key=lambda dataset: not dataset.table)
    opened = MOST_LISTINGS - walk.left
    return Survey(tuple(walk.datasets), tuple(walk.others), opened, walk.has_all)


def _exists(walk: _Walk) -> bool:
    try:
        return bool(walk.store.get_file_info(as_bytes(walk.start)).type != fs.FileType.NotFound)
    except object_store.Failure as error:
        raise store_error(walk.path.template, "cannot be looked at", error) from error


def _search(walk: _Walk) -> None:
    """Opens folders, level by level, until each is a table's or there are none."""
    name = walk.start.rpartition("/")[2]
    if table := template_guess.table_of(name, walk.tables):
        _follow(walk, walk.start, table)
        return
    level = [walk.start]
    for depth in range(_DEEPEST):
        below = list[str]()
        for place in level:
            below += _open(walk, place)
        if not below:
            return
        level = below
        if depth == _DEEPEST - 1:
            walk.others.append(f"{walk.url(level[0])}: {_many(level)} deeper down, not opened")


def _many(places: Collection[str]) -> str:
    return "a folder" if len(places) == 1 else f"{len(places):,} folders"


def _open(walk: _Walk, place: str) -> list[str]:
    """Notes the tables in a folder; the folders in it that may hold tables further down."""
    entries = walk.entries(place)
    folders = [name for name, is_folder in entries if is_folder]
    if _DELTA_LOG in folders:
        _note_delta(walk, place, "")
        return []
    usual = [name for name in folders if not name.startswith((".", "_"))]
    named = {name: template_guess.table_of(name, walk.tables) for name in usual}
    for name, table in named.items():
        if table:
            _follow(walk, _joined(place, name), table)
    rest = [name for name, table in named.items() if not table]
    if any(named.values()):
        if rest:
            shown = ", ".join(rest[:3]) + (", …" if len(rest) > 3 else "")
            walk.others.append(f"{walk.url(place)}: {_many(rest)} not named after a table: {shown}")
        return []
    if any(map(template_guess.is_inner, rest)) or any(not is_folder for _, is_folder in entries):
        _follow(walk, place, "", entries)
        return []
    return [_joined(place, name) for name in rest]


def _joined(place: str, name: str) -> str:
    return f"{place.rstrip('/')}/{name}" if place else name


def _note_delta(walk: _Walk, place: str, table: str) -> None:
    lake_path = LakePath(
        walk.url(place),
        partition_by="event",
        endpoint=walk.path.endpoint,
        region=walk.path.region,
        said_format=DELTA,
    )
    name = place.rpartition("/")[2]
    table = table or template_guess.table_of(name, walk.tables)
    walk.datasets.append(Dataset(lake_path, table, walk.url(place)))


def _follow(
    walk: _Walk, place: str, table: str, entries: list[tuple[str, bool]] | None = None
) -> None:
    """Notes the files below a table's folder, by its newest folders."""
    for kind, segments, names in _newest(walk, place, [], frozenset(), entries):
        if kind == DELTA:
            _note_delta(walk, names, table)
            return
        if kind:
            walk.others.append(f"{walk.url(place)}: {kind}")
            return
        ending = template_guess.ending_of(names)
        if ending.lower() in (".avro", ".csv", ".orc"):
            walk.others.append(f"{walk.url(place)}: {ending[1:]} files, which gundog does not read")
            return
        template = "/".join((walk.url(place).replace("%", "%%"), *segments, names))
        late = "workspaceresourceid=" in template.lower()
        walk.datasets.append(
            Dataset(
                LakePath(
                    template,
                    partition_by="event" if late else "ingest",
                    endpoint=walk.path.endpoint,
                    region=walk.path.region,
                    said_format=JSON if ending.lower() == ".txt" else "",
                ),
                table,
                walk.url(place),
            )
        )
        return
    walk.others.append(f"{walk.url(place)}: no files")


def _newest(
    walk: _Walk,
    place: str,
    segments: list[str],
    earlier: frozenset[str],
    entries: list[tuple[str, bool]] | None = None,
) -> Iterator[tuple[str, list[str], str]]:
    """What lies in the newest folder with files: a reason or format, the segments, the names.

    Of a Delta table its folder in place of the names.
    """
    entries = walk.entries(place) if entries is None else entries
    folders = [name for name, is_folder in entries if is_folder]
    if _DELTA_LOG in folders:
        yield DELTA, segments, place
        return
    if set(folders) >= _ICEBERG:
        yield "an Iceberg table, which gundog does not read", segments, ""
        return
    names = template_guess.files([name for name, is_folder in entries if not is_folder], earlier)
    if names:
        yield "", segments, names
        return
    usual = [name for name in folders if not name.startswith((".", "_"))]
    if len(segments) == _DEEPEST_BELOW:
        return
    for name in usual[::-1][:_MOST_TRIED]:
        segment = template_guess.folder(usual, name, earlier)
        deeper = [*segments, segment.text]
        yield from _newest(walk, _joined(place, name), deeper, earlier | segment.fields)
