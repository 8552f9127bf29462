"""`make bench`: ratios inside one run, alternated, medians of CPU seconds."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow

from benchmarks.engine import generator
from benchmarks.engine.tasks import HUNTS


def task(name: str, lake: Path, what: str) -> dict[str, Any]:
    """One measured task in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engine.tasks", name, str(lake), what]
    done = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def ratios(lake: Path, rounds: int) -> list[str]:
    """Stage and hunt against merely decoding, per source."""
    lines = ["| work | decode, CPU s | stage + hunt, CPU s | ratio | peak MB |",
             "|---|---|---|---|---|"]  # fmt: skip
    for source, hunt in HUNTS.items():
        pairs = [(task("decode", lake, source), task("engine", lake, source))
                 for _ in range(rounds)]  # fmt: skip
        low = statistics.median(one["cpu"] for one, _ in pairs)
        high = statistics.median(two["cpu"] for _, two in pairs)
        ratio = statistics.median(two["cpu"] / one["cpu"] for one, two in pairs)
        peak = max(two["rss_mb"] for _, two in pairs)
        lines.append(f"| {hunt} | {low:.2f} | {high:.2f} | {ratio:.2f} | {peak:.0f} |")
    return lines


def memory(lake: Path) -> list[str]:
    """Peak memory of a whole night, scoring included, by memory limit."""
    lines = ["| memoryLimit | peak MB | CPU s | problems |", "|---|---|---|---|"]
    for limit in ("600MB", "1GB", "4GB"):
        found = task("whole", lake, limit)
        problems = len(found["result"])
        lines.append(f"| {limit} | {found['rss_mb']:.0f} | {found['cpu']:.1f} | {problems} |")
    return lines


def main() -> None:
    """Generates the lake where it is not, measures, and prints the tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.engine")
    parser.add_argument("--lake", type=Path, default=Path(".bench/lake"))
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    lake = given.lake.absolute()
    generator.write(lake, given.days, given.megabytes)
    size = sum(path.stat().st_size for path in lake.rglob("*.parquet")) / 1e6
    head = (f"{size:,.0f} MB, {given.days} days; {os.cpu_count()} cores, {platform.machine()},"
            f" Python {platform.python_version()}, duckdb {duckdb.__version__},"
            f" pyarrow {pyarrow.__version__}")  # fmt: skip
    sys.stdout.write("\n".join([head, "", *ratios(lake, given.rounds), "", *memory(lake), ""]))


if __name__ == "__main__":
    main()
