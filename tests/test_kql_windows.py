"""Queries with bins rewritten to true windows: what they find, and what is left alone."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.cli import main
from gundog.kql_import import windows
from tests import kit, kql_kit

PAIR = """
    let w = 1h;
    let exports = DeviceProcessEvents | where Timestamp > ago(1d);
    exports
    | where FileName == "a.exe"
    | summarize by DeviceName, Key = bin(Timestamp, w)
    | join (
        exports | where FileName == "b.exe" | summarize by DeviceName, Key = bin(Timestamp, w)
    ) on DeviceName, Key
    | extend Host = DeviceName
"""
BURST = """
    DeviceProcessEvents
    | where Timestamp > ago(1d)
    | where FileName in ("a.exe", "b.exe")
    | summarize n = count(), names = dcount(ProcessCommandLine)
        by Host = tolower(DeviceName), bin(Timestamp, 1h)
    | where n >= 3
    | project Host, Timestamp, n
"""
BINNED = "summarize by d = DeviceName, k = bin(Timestamp, 1h)"
START = datetime(2026, 2, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def events(seed: int, many: int) -> list[dict[str, Any]]:
    """Starts of two programs on two hosts, some minutes apart, around midnight too."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    return [
        {
            "Timestamp": START + timedelta(minutes=draw.randrange(-90, 300)),
            "ReportId": number,
            "DeviceName": draw.choice(("pc1", "PC2")),
            "FileName": draw.choice(("a.exe", "b.exe", "c.exe")),
            "ProcessCommandLine": str(draw.randrange(3)),
        }
        for number in range(many)
    ]


def window(kql: str) -> str:
    made = windows.rewritten(kql)
    assert made is not None
    return made.kql


@pytest.mark.slow
def test_windows_find_what_is_near_whatever_the_clock_says(tmp_path: Path) -> None:
    """Pairs and bursts of random events are those of plain loops; each of them ends in the day."""
    loaded = kql_kit.load(tmp_path, {"pair": window(PAIR), "burst": window(BURST)})
    pairs = bursts = 0
    for seed in range(4):
        rows = events(seed, 24)
        found = kql_kit.hits(loaded, "pair", {"DeviceProcessEvents": rows})
        times = sorted((h.row["Host"], h.row["Key"], h.row["Key1"]) for h in found)
        assert times == sorted(
            {
                (a["DeviceName"], a["Timestamp"], b["Timestamp"])
                for a in rows
                for b in rows
                if a["FileName"] == "a.exe"
                and b["FileName"] == "b.exe"
                and a["DeviceName"] == b["DeviceName"]
                and abs(a["Timestamp"] - b["Timestamp"]) <= HOUR
                and max(a["Timestamp"], b["Timestamp"]) >= START
                and min(a["Timestamp"], b["Timestamp"]) >= START - HOUR
            }
        )
        pairs += len(times)
        found = kql_kit.hits(loaded, "burst", {"DeviceProcessEvents": rows})
        shown = {hit.row["Host"]: (hit.row["Timestamp"], hit.row["n"]) for hit in found}
        assert shown == dict(_bursts(rows))
        bursts += len(shown)

    assert pairs > 5
    assert bursts > 4


def _bursts(rows: list[dict[str, Any]]) -> list[tuple[str, tuple[datetime, int]]]:
    """The first hour of each host that ends with an event and has three; one is of the day."""
    made = []
    for host in ("pc1", "pc2"):
        times = sorted(
            row["Timestamp"]
            for row in rows
            if row["DeviceName"].lower() == host
            and row["FileName"] != "c.exe"
            and row["Timestamp"] >= START - HOUR
        )
        full = [
            (end, inside)
            for end in times
            if len(inside := [t for t in times if end - HOUR <= t <= end]) >= 3
        ]
        if full and max(t for _, inside in full for t in inside) >= START:
            made.append((host, (full[0][0], len(full[0][1]))))
    return made


@pytest.mark.parametrize(
    "kql",
    [
        "DeviceProcessEvents | where Timestamp > ago(1d)",
        "DeviceProcessEvents | summarize count() by DeviceName",
        "DeviceProcessEvents | summarize count() by bin(Timestamp, 1h)",  # no key to compare
        "DeviceProcessEvents | summarize count() by DeviceName, bin(ProcessId, 10)",
        "DeviceEvents | summarize count() by DeviceName, tolower(FileName), bin(Timestamp, 1h)",
        "DeviceProcessEvents | summarize count() by DeviceName, bin(Timestamp, ProcessId * 1h)",
        f"DeviceProcessEvents | {BINNED} | join kind=leftanti (DeviceEvents | {BINNED}) on d, k",
        "",
    ],
)
def test_other_queries_are_left_alone(kql: str) -> None:
    """Rewritten is only what keeps its meaning."""
    assert windows.rewritten(kql) is None


def test_import_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The query as it is, and beside it the one with windows: derived, loaded and checked."""
    kit.write_text(
        tmp_path / "gundog.yaml",
        "content: [.]\nlake: {DeviceProcessEvents: x/%Y-%m-%d.parquet}\n",
    )
    kql_kit.write_source(tmp_path, "DeviceProcessEvents")
    kit.write_text(tmp_path / "burst.kql", BURST)
    arguments = ["import", str(tmp_path / "burst.kql"), "--project", str(tmp_path), "--rewrite"]
    assert main.main(arguments) == 0
    said = capsys.readouterr().out
    assert "burst_window.yaml" in said

    loaded = kit.load_content(tmp_path)
    plain, better = loaded.hunt("burst").detection, loaded.hunt("burst_window").detection
    assert better.id != plain.id
    assert [related["id"] for related in better.related] == [plain.id]
    assert better.lookback == plain.lookback + HOUR
    assert main.main(["check", "--project", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main.main([*arguments, "--update"]) == 2
    assert "leave out --update" in capsys.readouterr().err
