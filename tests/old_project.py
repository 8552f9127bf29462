"""A project as gundog 0.1.0 left it, before the SQL of its stage changed.

What was in its warehouse is `project_0_1_0.sql`: tables and rows as 0.1.0 wrote them over this very
lake, in four nights. People had triaged a finding and excepted another. One of its files has left
the lake since, and a day came that nobody hunted yet.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import duckdb

from gundog.core.times import parse_time
from gundog.staging import stage
from tests import kit
from tests.kit import DAY, event, write_file

HERE = Path(__file__).parent
FIRST = parse_time("2026-03-01")
HUNTED = ("2026-03-05", "2026-03-08")
LEFT = "2026-03-05"
EXCEPTIONS = """\
- detection: pair
  match: {account_name: [b]}
  expires: 2026-12-31
  reason: known
  owner: kim
"""
SAID = {
    "at": "2026-03-08T09:00:00.000000Z",
    "actor": "kim",
    "host": "soc1",
    "status": "resolved",
    "status_id": 4,
    "verdict": "true_positive",
    "verdict_id": 2,
    "note": "it was theft",
}


def write_lake(root: Path, days: int = 8) -> None:
    """The lake: a quiet row and a count each day, three pairs, the first open in a file that left.

    Pairs of a (from the 5th to the 6th), b (7th, excepted) and c (8th); files have fixed times.
    """
    for turn in range(days):
        write_day(root, f"{FIRST + turn * DAY:%Y-%m-%d}", turn)
    write_file(root, "2026-03-05", [event("2026-03-05T23:00", "open", "a", 1)], "a")
    write_file(root, "2026-03-06", [event("2026-03-06T01:00", "close", "a", 2)], "a")
    write_file(root, "2026-03-07", pair("2026-03-07", "b", 3), "b")
    write_file(root, "2026-03-08", pair("2026-03-08", "c", 5), "c")
    for path in (root / "lake").rglob("*.parquet"):
        os.utime(path, (1, 1))


def write_day(root: Path, day: str, number: int = 90) -> None:
    """What each day holds: two quiet rows and a count."""
    rows = [event(f"{day}T00:30", "other", "q", -1 - number),
            event(f"{day}T23:30", "other", "q", -99),
            event(f"{day}T12:30", "count", "a", 300 + number, 5)]  # fmt: skip
    write_file(root, day, rows, "quiet")


def pair(day: str, who: str, number: int) -> list[dict[str, Any]]:
    """An open and its close an hour later."""
    return [
        event(f"{day}T10:00", "open", who, number),
        event(f"{day}T11:00", "close", who, number + 1),
    ]


def make(root: Path, url: str) -> Path:
    """Writes the project, with a channel that sends each finding to an address.

    The lake is as 0.1.0 saw it; `change` makes of it what the next night meets.
    """
    kit.make_project(root, series=True)
    write_lake(root)
    configure(root, url)
    kit.write_text(root / "exceptions.yaml", EXCEPTIONS)
    (root / ".gundog").mkdir()
    con = duckdb.connect(str(root / ".gundog/warehouse.duckdb"))
    con.execute("set timezone = 'UTC'")
    con.execute((HERE / "project_0_1_0.sql").read_text(encoding="utf-8"))
    for path in (root / "lake").rglob("*.parquet"):
        # How large a file is depends on who wrote it: the rest is as it was.
        con.execute(
            "update source_files set size_bytes = ?, mtime_ns = ? where file_id = ?",
            [path.stat().st_size, path.stat().st_mtime_ns,
             stage.file_id("Things", str(path.relative_to(root)))],
        )  # fmt: skip
    told = con.execute("select finding_id::varchar from findings where title like 'a %'").fetchall()
    con.close()
    line = {"finding_id": told[0][0], **SAID}
    kit.write_text(root / ".gundog/triage.jsonl", json.dumps(line) + "\n")
    return root


def configure(root: Path, url: str) -> None:
    """Writes gundog.yaml with its one channel."""
    channel = {"name": "soc", "url": url, "minSeverity": "low", "mode": "each"}
    kit.write_text(root / "gundog.yaml", kit.CONFIG + f"notify: [{json.dumps(channel)}]\n")


def change_sql(root: Path) -> None:
    """The SQL of the stage as another version of its content has it."""
    path = root / "sql/stage/happenings.sql"
    path.write_text(path.read_text().replace("lower(Kind)", "trim(lower(Kind))"))


def lose_files(root: Path) -> None:
    """The files of a day leave the lake."""
    for path in (root / f"lake/date={LEFT}").iterdir():
        path.unlink()
