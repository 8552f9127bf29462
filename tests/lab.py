"""A small place to stage files in: one source, its stages, a lake folder and a warehouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gundog.detections.staged import Source, StagedTable
from gundog.lake import listing
from gundog.lake.file_version import FileVersion
from gundog.lake.path import LakePath
from gundog.project import settings
from gundog.staging import reading, stage
from gundog.staging.batch import Limits, Reader
from gundog.staging.others import Others
from gundog.staging.rescue import Patience
from gundog.staging.results import Staged
from gundog.warehouse import database
from tests.kit import load_content, write_text

AT = datetime(2026, 3, 10, 4, tzinfo=UTC)
NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
SOURCE = """\
create table Cloud (
    Timestamp TIMESTAMPTZ, Id BIGINT, RawEventData VARCHAR, Score DOUBLE, Flag BOOLEAN,
    TenantId VARCHAR
)
"""
STAGE = """\
select
    file_id,
    md5(coalesce(Id::varchar, ''))::uuid as event_id,
    Timestamp as event_time,
    case when Timestamp is null then 'no Timestamp' end as reject_reason,
    coalesce(TenantId, '') as tenant,
    Id as id,
    RawEventData as raw,
    try(json_extract_string(RawEventData, '$.Who')) as who,
    Score as score,
    Flag as flag
from Cloud
"""


_MEMORY = 1_000_000_000


def _threads() -> int:
    """What a run with so much memory would use here."""
    return settings.threads_for(_MEMORY, settings._cores())


class Lab:
    """A lake folder, one source with its stages, and a warehouse."""

    def __init__(self, root: Path, stages: Mapping[str, str], source: str = SOURCE) -> None:
        self.root = root
        self.path = LakePath("lake/date=%Y-%m-%d/*.parquet")
        self.environ: Mapping[str, str] = {}
        self.tmp = root / "tmp"
        self.write_stages(stages, source)
        self.opened = ExitStack()
        self.con = self.opened.enter_context(
            database.writable(root / "warehouse.duckdb", memory_limit=_MEMORY, threads=_threads())
        )

    def write_stages(self, stages: Mapping[str, str], source: str = SOURCE) -> None:
        write_text(self.root / "sql/sources/Cloud.sql", source)
        for name, sql in stages.items():
            write_text(self.root / f"sql/stage/{name}.sql", sql)
        self.content = load_content(self.root)

    @property
    def source(self) -> Source:
        return self.content.sources["Cloud"]

    @property
    def stages(self) -> list[StagedTable]:
        return list(self.content.stages.values())

    def put(self, rows: pa.Table | bytes, name: str = "a", day: str = "2026-03-09") -> Path:
        path = self.root / f"lake/date={day}/{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(rows, bytes):
            path.write_bytes(rows)
        else:
            pq.write_table(rows, path)
        return path

    def listed(self) -> list[FileVersion]:
        return listing.list_files("Cloud", [self.path], None, self.root, self.environ)

    def stage(
        self,
        files: Sequence[FileVersion] | None = None,
        reader: Reader = reading.read,
        patience: Patience | None = None,
        others: Others | None = None,
    ) -> Staged:
        """Lists the lake unless given files, and stages what is pending."""
        found = self.listed() if files is None else files
        return stage.run(
            self.con, stage.pending(self.con, found, self.stages), self.content.sources,
            {"Cloud": [self.path]}, self.environ, AT, Limits(_MEMORY, _threads(), self.tmp),
            reader, patience, others,
        )  # fmt: skip

    def rows(self, sql: str, params: Any = None) -> list[tuple[Any, ...]]:
        return self.con.execute(sql, params or []).fetchall()

    def states(self) -> dict[str, str]:
        """State by file name."""
        return dict(self.rows("select parse_filename(path, true), state from source_files"))

    def error(self, name: str) -> str:
        found = self.rows("select error from source_files where path like ?", [f"%/{name}.parquet"])
        return str(found[0][0])


def good(*ids: int, at: datetime = NOON, **columns: Any) -> pa.Table:
    """A table as the source promises it."""
    n = len(ids)
    values = {
        "Timestamp": pa.array([at] * n, pa.timestamp("us", "UTC")),
        "Id": pa.array(ids, pa.int64()),
        "RawEventData": pa.array(['{"Who": "ana"}'] * n),
        "Score": pa.array([0.5] * n),
        "Flag": pa.array([True] * n),
    }
    return pa.table({**values, **columns})
