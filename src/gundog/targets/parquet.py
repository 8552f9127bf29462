"""Parquet files in a folder or bucket: one per table and day, and a manifest that names them.

A file is never changed: its name holds the digest of its rows. The manifest is written when all
files that it names are there, so who reads what it names sees one whole run. Then the files that it
does not name are removed, so that nothing that was purged is left.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import pyarrow.parquet as pq

import gundog
from gundog.core.errors import StoreError
from gundog.core.times import format_time
from gundog.core.waiting import Went, unseen
from gundog.targets import sections
from gundog.targets.file_store import FileStore
from gundog.targets.sections import Section

MANIFEST = "_manifest.json"
_FORMAT = 1
# Files that are in memory at once.
_AT_ONCE = 16
_OURS = re.compile(r"(\w+)/(?:\d{4}-\d\d-\d\d|all|none|empty)-[0-9a-f]{16}\.parquet")
# What a local write that was killed leaves.
_LEFT = re.compile(r"\w+/\.[\w-]+\.parquet\.tmp")


@dataclass(frozen=True)
class Done:
    """What publishing to a folder or bucket did: how many files it wrote and removed."""

    written: int
    removed: int


def publish(
    con: duckdb.DuckDBPyConnection,
    store: FileStore,
    project: str,
    now: datetime,
    went: Went = unseen,
) -> Done:
    """Brings a folder or bucket up to date; the manifest is the last thing that is written.

    Args:
        con: the published findings.
        store: the target.
        project: the id of the project, which the manifest names.
        now: the run's time.
        went: is told how many files are written.

    Raises:
        StoreError: when it cannot be written, or belongs to something else; who reads it sees the
            last whole run.
    """
    old = _manifest(store, project)
    wanted = {_path(section): section for section in sections.sections(con)}
    held = store.sizes(sorted({table.name for table in sections.TABLES}))
    sizes = {path: size for path, size in old.items() if held.get(path) == size}
    missing = [path for path in wanted if path not in sizes]
    for start in range(0, len(missing), _AT_ONCE):
        some = missing[start : start + _AT_ONCE]
        data = {path: _parquet(con, wanted[path]) for path in some}
        store.each(lambda path, data=data: store.write(path, data[path]), some)
        sizes |= {path: len(data[path]) for path in some}
        went(start + len(some), len(missing), "file")
    text = json.dumps(_written_down(wanted, sizes, project, now), indent=1)
    store.write(MANIFEST, text.encode())
    left = [path for path in held if path not in wanted and _is_ours(path)]
    store.remove(left)
    return Done(len(missing), len(left))


def _path(section: Section) -> str:
    return f"{section.table}/{section.day}-{section.digest}.parquet"


def _is_ours(path: str) -> bool:
    return bool(_OURS.fullmatch(path) or _LEFT.fullmatch(path))


def _parquet(con: duckdb.DuckDBPyConnection, section: Section) -> bytes:
    out = io.BytesIO()
    pq.write_table(sections.rows(con, section).to_arrow_table(), out, compression="zstd")
    return out.getvalue()


def _manifest(store: FileStore, project: str) -> dict[str, int]:
    """The size of each file that the last manifest names; empty when there is none.

    Raises:
        StoreError: when the manifest is not of this project.
    """
    data = store.read(MANIFEST)
    if data is None:
        return {}
    try:
        manifest = json.loads(data)
        owner, tables = manifest["project"], manifest["tables"]
        files = [file for table in tables.values() for file in table["files"]]
        sizes = {str(file["path"]): int(file["bytes"]) for file in files}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise StoreError(
            f"{store.shown}/{MANIFEST}: is not a manifest of gundog's: name another folder, or"
            " remove it"
        ) from error
    if owner != project:
        raise StoreError(
            f"{store.shown}/{MANIFEST}: another project publishes there ({owner}): give each"
            " project a folder of its own; if it is this one, restored without its"
            " publish-id.txt, remove the manifest"
        )
    return sizes


def _written_down(
    wanted: Mapping[str, Section], sizes: Mapping[str, int], project: str, now: datetime
) -> dict[str, Any]:
    """What the manifest says."""
    files: dict[str, list[dict[str, Any]]] = {table.name: [] for table in sections.TABLES}
    for path, section in wanted.items():
        files[section.table].append(
            {"path": path, "day": section.day, "rows": section.rows, "bytes": sizes[path]}
        )
    return {
        "gundog": gundog.__version__,
        "format": _FORMAT,
        "project": project,
        "published_at": format_time(now),
        "tables": {
            table.name: {
                "comment": table.comment,
                "columns": [vars(column) for column in table.published_columns],
                "files": files[table.name],
            }
            for table in sections.TABLES
        },
    }
