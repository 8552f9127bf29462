"""One version of one lake file, as a listing shows it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from gundog.core.times import Interval
from gundog.lake import object_store
from gundog.lake.path import LakePath

_TENANT = re.compile(r"(?:^|/)tenantid=([^/]+)/", re.IGNORECASE)


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
        partition: values that its table keeps beside its rows, by column; of Delta tables only.
        reading: what gundog.yaml says of how it is read.
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
    partition: tuple[tuple[str, str | None], ...] = ()
    reading: str = field(default="", repr=False, compare=False)
    location: str = field(default="", repr=False, compare=False)


def version_of(
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
        reading=path.reading,
        location=object_store.location_of(info),
    )
