"""One measured piece of work in a process of its own: `python -m benchmarks.engine.tasks NAME`."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.engine import lines, nights, peers
from benchmarks.engine.children import peak_mb
from benchmarks.engine.project import DAY, FIRST, HOURLY, HUNTS, THREADS, write_project
from gundog.core.times import Interval
from gundog.detections import checks, content, content_folder
from gundog.findings import model
from gundog.hunting import match
from gundog.lake.listing import list_files
from gundog.lake.path import LakePath
from gundog.run import run
from gundog.staging import binding, stage
from gundog.staging.batch import Limits
from gundog.warehouse import database, query

_AT = datetime(2026, 12, 1, tzinfo=UTC)
_TODAY = Interval(FIRST, FIRST + DAY)


def decode(lake: Path, source: str, scratch: Path) -> Any:
    """Reads the columns that the source's stage needs, of one day, and does nothing with them."""
    del scratch
    loaded = content.load([content_folder.builtin()])
    hunt = loaded.hunt(HUNTS[source])
    wanted = binding.needed(loaded.sources[source], hunt.stages, {})
    con = database.connect(threads=THREADS)
    files = [str(path) for path in sorted((lake / source / "date=2026-03-01").rglob("*.parquet"))]
    held = [row[0] for row in con.execute("describe from read_parquet(?)", [files]).fetchall()]
    sums = ", ".join(f'max("{name}")' if name != "RawEventData" else f'sum(strlen("{name}"))'
                     for name in held if name.lower() in wanted)  # fmt: skip
    return _timed(lambda: con.execute(f"select {sums} from read_parquet(?)", [files]).fetchall())


def engine(lake: Path, source: str, scratch: Path) -> Any:
    """Stages one day of a source and runs the source's hunt over it, scoring left out."""
    loaded = content.load([content_folder.builtin()])
    hunt = loaded.hunt(HUNTS[source])
    paths = [LakePath(f"{lake}/{source}/{HOURLY}")]
    limits = Limits(4_000_000_000, THREADS, scratch / "tmp")
    path = scratch / "warehouse.duckdb"

    def work() -> pa.Table:
        files = list_files(source, paths, _TODAY, scratch, {})
        with database.writable(path, memory_limit=limits.memory, threads=THREADS) as con:
            tasks = stage.pending(con, files, hunt.stages)
            stage.run(con, tasks, loaded.sources, {source: paths}, {}, _AT, limits)
        with query.sandbox(
            path, memory_limit=limits.memory, threads=THREADS, temp_directory=scratch / "tmp"
        ) as con:
            if hunt.detection.series:
                params = checks.bind_params(hunt.detection.params, FIRST, FIRST + DAY, FIRST)
                return query.arrow(con, hunt.sql, params)
            return _pairs(match.match(con, hunt, _TODAY, FIRST))

    found = _timed(work)
    return {**found, **_fingerprint(found["result"])}


def _pairs(hits: tuple[model.Hit, ...]) -> pa.Table:
    names = {"host": "host_name", "account": "account_name", "exported": "start_time",
             "removed": "end_time"}  # fmt: skip
    return pa.table({name: [hit.row[column] for hit in hits] for name, column in names.items()})


def peer(lake: Path, what: str, scratch: Path) -> Any:
    """One engine's form of the core of a hunt: ENGINE/HUNT/FORM."""
    del scratch
    name, hunt, form = what.split("/")
    work, _ = peers.ENGINES[name][hunt]
    peers.start(name)
    found = _timed(lambda: work(lake, form))
    return {**found, **_fingerprint(found["result"])}


def _fingerprint(table: pa.Table) -> dict[str, Any]:
    """How many rows, and a hash of them that neither order nor types of columns change."""
    names = ("hour", "mailbox", "items", "records")
    if "hour" not in table.column_names:
        names = ("host", "account", "exported", "removed")
    columns = [_plain(table[name]) for name in names]
    rows = sorted(zip(*columns, strict=True))
    return {"result": len(rows), "hash": hashlib.sha256(repr(rows).encode()).hexdigest()[:16]}


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Text as text, numbers as integers, times as microseconds (ClickHouse has whole seconds)."""
    if pa.types.is_timestamp(column.type):
        return pc.cast(column.cast(pa.timestamp("us", "UTC")), pa.int64()).to_pylist()
    if column.type == pa.uint32() and pc.max(column).as_py() > 1_000_000_000:
        return [value * 1_000_000 for value in column.to_pylist()]
    return column.to_pylist()


def whole(lake: Path, limit: str, scratch: Path) -> Any:
    """A night over all sources as the command line runs it, with a memory limit."""
    write_project(scratch, lake, limit=limit)
    project = run.load_project(scratch, {})
    request, meter = run.Request("hunt", _TODAY), nights.Meter()
    outcome = meter.run(project, request, FIRST + 2 * DAY, UUID(int=1))
    problems, cpu = outcome.problems, meter.taken()["whole"]
    return {"cpu": cpu, "result": problems, "child_mb": meter.peak_mb}


def line_text(lake: Path, source: str, scratch: Path) -> Any:
    """Reads JSON lines as text."""
    del scratch
    return lines.text(lake, source, _timed)


def lined(lake: Path, source: str, ending: str, scratch: Path) -> Any:
    """Stages a day in one format."""
    return lines.staged(lake, source, ending, scratch, _timed)


def _timed(work: Callable[[], Any]) -> Any:
    """CPU seconds and what came of it; peak memory is the process's."""
    began = time.process_time()
    found = work()
    return {"cpu": time.process_time() - began, "result": found}


TASKS: dict[str, Callable[..., Any]] = {
    "decode": decode,
    "engine": engine,
    "peer": peer,
    "whole": whole,
    "line_text": line_text,
    "lined": lined,
    "nights": nights.nights,
    "lookback": nights.lookback,
    "backfill": nights.backfill,
    "year": nights.year,
    "tenant": nights.tenant,
    "one_pass": nights.one_pass,
    "profile": nights.profile,
}


def main() -> None:
    """Runs the named task and prints what it took as JSON on its last line."""
    name, lake, *what = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as scratch:
        found = TASKS[name](Path(lake).absolute(), *what, Path(scratch))
    found["rss_mb"] = peak_mb(Path("/proc/self/status").read_text())
    sys.stdout.write(json.dumps(found, default=str) + "\n")


if __name__ == "__main__":
    main()
