"""The same rows as parquet and as JSON lines in the Streaming API's envelope."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.engine.project import DAY, FIRST, HUNTS, THREADS
from gundog.core.times import Interval
from gundog.detections import content, content_folder
from gundog.lake.listing import list_files
from gundog.lake.path import LakePath
from gundog.staging import stage
from gundog.staging.batch import Limits
from gundog.warehouse import database

SOURCES = tuple(HUNTS)
ENDINGS = ("parquet", "json", "json.zst")
_AT = datetime(2026, 12, 1, tzinfo=UTC)
_TODAY = Interval(FIRST, FIRST + DAY)
_COMPRESSIONS = {"json": "uncompressed", "json.zst": "zstd"}


def write(lake: Path) -> None:
    """Writes every parquet file of a lake as JSON lines beside it; those that are there stay."""
    with duckdb.connect(config={"threads": THREADS}) as con:
        con.execute("set timezone = 'UTC'")
        for path in sorted(lake.rglob("*.parquet")):
            for ending, compression in _COMPRESSIONS.items():
                target = path.with_suffix(f".{ending}")
                if not target.exists():
                    _write_file(con, path, target, compression)


def _write_file(con: duckdb.DuckDBPyConnection, path: Path, target: Path, compression: str) -> None:
    source = next(part for part in path.parts if part in SOURCES)
    con.execute(
        f"""copy (select "Timestamp" as time, '6f' as tenantId, 'Publish' as operationName,
                         'AdvancedHunting-{source}' as category, t as properties
                  from read_parquet('{path}', hive_partitioning = false) as t)
            to '{target}' (format json, compression '{compression}', timestampformat
            '%Y-%m-%dT%H:%M:%S.%fZ')"""
    )


def megabytes(lake: Path, source: str) -> dict[str, float]:
    """How large the files of a source are, by ending."""
    return {
        ending: sum(path.stat().st_size for path in (lake / source).rglob(f"part.{ending}")) / 1e6
        for ending in ENDINGS
    }


def text(lake: Path, source: str, timed: Callable[[Callable[[], Any]], Any]) -> Any:
    """Reads every column of the lines of a source as text, and does nothing with it."""
    loaded = content.load([content_folder.builtin()])
    names = [name for name, _ in loaded.sources[source].columns]
    fields = ", ".join(f'"{name}" varchar' for name in names)
    counts = ", ".join(f'count(properties."{name}")' for name in names)
    con = database.connect(threads=THREADS)
    files = [str(path) for path in sorted((lake / source).rglob("part.json"))]
    sql = f"""select {counts} from read_ndjson($files, ignore_errors = true,
              columns = {{'category': 'varchar', 'properties': 'struct({fields})'}})"""
    return timed(lambda: con.execute(sql, {"files": files}).fetchall())


def staged(
    lake: Path, source: str, ending: str, scratch: Path, timed: Callable[[Callable[[], Any]], Any]
) -> Any:
    """Stages one day of a source, and says how many rows came of it."""
    loaded = content.load([content_folder.builtin()])
    stages = loaded.hunt(HUNTS[source]).stages
    paths = [LakePath(f"{lake}/{source}/date=%Y-%m-%d/h=%H/part.{ending}")]
    limits = Limits(1_000_000_000, THREADS, scratch / "tmp")

    def work() -> int:
        files = list_files(source, paths, _TODAY, scratch, {})
        path = scratch / "warehouse.duckdb"
        with database.writable(path, memory_limit=limits.memory, threads=THREADS) as con:
            tasks = stage.pending(con, files, stages)
            stage.run(con, tasks, loaded.sources, {source: paths}, {}, _AT, limits)
            return int(con.execute("select sum(rows) from file_stages").fetchall()[0][0])

    return timed(work)
