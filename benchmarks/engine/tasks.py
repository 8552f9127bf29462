"""One measured piece of work in a process of its own: `python -m benchmarks.engine.tasks NAME`."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from gundog import binding, content, findings, query, run, stage, warehouse
from gundog.interval import Interval, parse_time
from gundog.lake import list_files
from gundog.reading import Limits
from gundog.settings import LakePath

FIRST = parse_time("2026-03-01")
DAY = timedelta(days=1)
AT = datetime(2026, 12, 1, tzinfo=UTC)
HUNTS = {"DeviceProcessEvents": "mailbox_export_removed", "CloudAppEvents": "mail_items_accessed"}
TEMPLATE = "date=%Y-%m-%d/h=%H/*.parquet"


def decode(lake: Path, source: str, scratch: Path) -> Any:
    """Reads the columns that the source's stage needs, of one day, and does nothing with them."""
    del scratch
    loaded = content.load([content.builtin()])
    hunt = loaded.hunt(HUNTS[source])
    wanted = binding.needed(loaded.sources[source], hunt.stages, {})
    con = warehouse.connect(threads=2)
    files = [str(path) for path in sorted((lake / source / "date=2026-03-01").rglob("*.parquet"))]
    held = [row[0] for row in con.execute("describe from read_parquet(?)", [files]).fetchall()]
    sums = ", ".join(f'max("{name}")' if name != "RawEventData" else f'sum(strlen("{name}"))'
                     for name in held if name.lower() in wanted)  # fmt: skip
    return timed(lambda: con.execute(f"select {sums} from read_parquet(?)", [files]).fetchall())


def engine(lake: Path, source: str, scratch: Path) -> Any:
    """Stages one day of a source and runs the source's hunt over it."""
    loaded = content.load([content.builtin()])
    hunt = loaded.hunt(HUNTS[source])
    day = Interval(FIRST, FIRST + DAY)
    paths = [LakePath(f"{lake}/{source}/{TEMPLATE}")]
    limits = Limits(4_000_000_000, 2, scratch / "tmp")
    path = scratch / "warehouse.duckdb"

    def work() -> Any:
        files = list_files(source, paths, day, scratch, {})
        with warehouse.writable(path, memory_limit=limits.memory, threads=2) as con:
            tasks = stage.pending(con, files, hunt.stages)
            stage.run(con, tasks, loaded.sources, {source: paths}, {}, AT, limits)
        with query.sandbox(
            path, memory_limit=limits.memory, threads=2, temp_directory=scratch / "tmp"
        ) as con:
            if hunt.detection.series:
                params = content.bind_params(hunt.detection.params, day.start, day.end, day.start)
                return query.arrow(con, hunt.sql, params).num_rows
            return len(findings.match(con, hunt, day, day.start))

    return timed(work)


def whole(lake: Path, limit: str, scratch: Path) -> Any:
    """A night over all sources as the command line runs it, with a memory limit."""
    write_project(scratch, lake, limit)
    project = run.load_project(scratch, {})
    request = run.Request("hunt", Interval(FIRST, FIRST + DAY))
    return timed(lambda: run.run(project, request, FIRST + 2 * DAY, uuid4()).problems)


def write_project(root: Path, lake: Path, limit: str) -> None:
    """A project that hunts the generated lake with what ships."""
    lines = [f"  {name}: {lake}/{name}/{TEMPLATE}" for name in HUNTS]
    text = "\n".join(["content: [builtin]", f"memoryLimit: {limit}", "lake:", *lines])
    (root / "gundog.yaml").write_text(text + "\n")


def timed(work: Callable[[], Any]) -> Any:
    """CPU seconds and what came of it; peak memory is the process's."""
    began = time.process_time()
    found = work()
    return {"cpu": time.process_time() - began, "result": found}


def peak_mb() -> float:
    """Peak memory of this process; ru_maxrss would begin with its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Runs the named task and prints what it took as JSON."""
    name, lake, what = sys.argv[1:4]
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        found = {"decode": decode, "engine": engine, "whole": whole}[name](
            Path(lake), what, scratch
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    found["rss_mb"] = peak_mb()
    sys.stdout.write(json.dumps(found, default=str) + "\n")


if __name__ == "__main__":
    main()
