"""What a report costs: seconds and bytes of pages of 200 and of 10,000 findings.

    python -m benchmarks.report

Every finding has a command line or records as evidence, every fifth is a series with its hours.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from gundog.findings import publish, reader
from gundog.report import page
from gundog.report.asked import Asked
from gundog.report.night import Night
from gundog.warehouse import database, tables

NOW = datetime(2026, 11, 1, 4, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DETECTION = UUID(int=1)
EVENTS = 20
SIZES = (200, 10_000)


def main() -> None:
    """Prints a line for each size."""
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            path = published(Path(folder) / "findings.duckdb", size)
            began, cpu = time.perf_counter(), time.process_time()
            with reader.published(path) as con:
                html = page.html(page.gather(con, Asked(), Night(NOW)))
            took, used = time.perf_counter() - began, time.process_time() - cpu
        seconds = f"{took:.2f} s ({used:.2f} s of CPU)"
        print(f"{size:>6,} findings: {seconds}, {len(html.encode()) / 1e6:.2f} MB")  # noqa: T201


def published(path: Path, size: int) -> Path:
    """A published file with so many open findings, each with its evidence."""
    with database.connect(threads=2) as con:
        for table in tables.TABLES:
            con.execute(next(tables.create(table)))
        _fill(con, "detections", [_detection()])
        _fill(con, "findings", list(_findings(size)))
        _fill(con, "evidence", list(_evidence(size)))
        _fill(con, "series_points", list(_points(size)))
        publish.publish(con, path, now=NOW, late_arrival=7 * DAY)
    return path


def _fill(con: Any, table: str, rows: list[dict[str, Any]]) -> None:
    con.register("rows_in", pa.Table.from_pylist(rows))
    con.execute(f"insert into {table} by name select * from rows_in")
    con.unregister("rows_in")


def _detection() -> dict[str, Any]:
    prose = ["Look who did it, and whether they were asked to, before anything else is done."] * 4
    return {
        "detection_id": str(DETECTION), "stem": "found", "name": "Found", "status": "stable",
        "detection_hash": "h", "triage": prose, "false_positives": prose, "blind_spots": prose,
    }  # fmt: skip


def _findings(size: int) -> Iterator[dict[str, Any]]:
    for n in range(size):
        start, is_series = NOW - (n % 700) * HOUR, n % 5 == 0
        hours = [
            {"hour": f"{start + k * HOUR:%Y-%m-%dT%H}:00:00Z", "observed": 90.0, "expected": 4.0,
             "upper": 20.0, "score": 9.0, "window_h": 0} for k in range(4)
        ]  # fmt: skip
        details = {"series_key": f"/box{n}", "hours": hours} if is_series else {"gap": "28m"}
        yield {
            "finding_id": str(UUID(int=n << 64 | 5)), "detection_id": str(DETECTION),
            "detection_name": "Found", "kind": "series" if is_series else "match",
            "title": f"admin{n} exported a mailbox on exch{n} and removed the request after 28m",
            "reason": "removed soon after the export; account or host had not exported before",
            "severity": ("high", "medium", "low")[n % 3], "risk_score": 60,
            "tactics": ["Collection"], "techniques": ["T1114.002"], "tenant": "",
            "account_name": f"admin{n % 900}", "host_name": f"exch{n % 300}",
            "start_time": start, "end_time": start + HOUR, "interval_start": start,
            "interval_end": start + DAY, "details": json.dumps(details), "entities": "[]",
            "evidence_count": 60, "is_late": False, "triage_status": "new",
        }  # fmt: skip


def _evidence(size: int) -> Iterator[dict[str, Any]]:
    for n in range(size):
        for k in range(EVENTS):
            event = {
                "actor": f"admin{n % 900}", "access_type": "Bind", "items": k, "folder": "\\Inbox",
                "client_info": "Client=OWA;Action=ViaProxy", "ip_address": f"192.0.2.{k % 3}",
                "session_id": f"5a3e0000-{k % 3}", "application_name": "Microsoft Exchange Online",
            }  # fmt: skip
            if n % 2 and k < 2:
                event = {"command_line": "powershell.exe -NoProfile -Command " + "x" * 120}
            yield {
                "finding_id": str(UUID(int=n << 64 | 5)), "ordinal": k, "role": f"role{k % 2}",
                "source_table": "CloudAppEvents", "event_time": NOW - (n % 700) * HOUR + k * HOUR,
                "event_id": str(UUID(int=n << 64 | k << 8)), "event": json.dumps(event),
                "source_file": f"lake/date=2026-10-{n % 30 + 1:02}/part-{k % 2}.parquet",
            }  # fmt: skip


def _points(size: int) -> Iterator[dict[str, Any]]:
    for n in range(0, size, 5):
        for k in range(-24, 24):
            yield {
                "detection_id": str(DETECTION), "series_key": f"/box{n}",
                "hour": NOW - (n % 700) * HOUR + k * HOUR, "observed": float(k % 9),
                "expected": 4.0, "upper": 20.0, "score": 1.0, "flagged": 0 <= k < 4,
                "data_state": "observed",
            }  # fmt: skip


if __name__ == "__main__":
    main()
