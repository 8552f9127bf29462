"""A query that scores a series with itself, begun again as a series detection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.cli import main
from gundog.kql_import import series_skeleton
from gundog.kql_import.series_skeleton import Skeleton
from tests import kit, kql_kit

SCORED = """
    let since = 14d;
    DeviceProcessEvents
    | where Timestamp > ago(since) and FileName =~ "rclone.exe"
    | where ProcessCommandLine has_any ("copy", "sync")
    | make-series Starts = count() default = 0 on Timestamp from startofday(ago(since)) to now()
        step 1h by DeviceName
    | extend (flag, score, baseline) = series_decompose_anomalies(Starts, 3)
    | mv-expand Starts to typeof(long), flag to typeof(int)
    | where flag > 0
"""
CONFIG = """
content: [.]
lake: {DeviceProcessEvents: "lake/%Y-%m-%d.parquet"}
freshness: 26h
"""
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
NIGHT = datetime(2026, 2, 4, tzinfo=UTC)


def skeleton(kql: str) -> Skeleton | None:
    return series_skeleton.of(kql_kit.query(kql, "copied"), kql_kit.sources())


def project(root: Path, kql: str) -> list[str]:
    """A project with the query as a file, and the arguments that import it."""
    kit.write_text(root / "gundog.yaml", CONFIG)
    kql_kit.write_source(root, "DeviceProcessEvents")
    kit.write_text(root / "copied.kql", kql)
    return ["import", str(root / "copied.kql"), "--project", str(root), "--rewrite"]


def lake(root: Path) -> None:
    """A month in which two hosts copy something every hour, and one copies a lot in one night."""
    (root / "lake").mkdir()
    for day in range(32):
        start = FIRST + timedelta(days=day)
        times = [(start + timedelta(hours=hour, minutes=5), host) for hour in range(24)
                 for host in ("pc1", "pc2")]  # fmt: skip
        if start == NIGHT:
            times += [(start + timedelta(hours=2, seconds=9 * n), "pc2") for n in range(300)]
        rows = [
            {"Timestamp": time, "ReportId": 1000 * day + n, "DeviceName": host, "DeviceId": host,
             "FileName": "RCLONE.exe", "ProcessCommandLine": "rclone copy \\\\x y:"}
            for n, (time, host) in enumerate(times)
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), root / "lake" / f"{start:%Y-%m-%d}.parquet")


@pytest.mark.slow
def test_a_hunt_finds_a_planted_burst(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Imported, checked, tested, and hunted over a lake: one night, the host, and all hosts."""
    arguments = project(tmp_path, SCORED)
    lake(tmp_path)
    assert main.main(arguments) == 0
    assert "wrote " in (said := capsys.readouterr().out)
    assert "copied_series.yaml\n" in said
    made = kit.load_content(tmp_path).hunt("copied_series").detection
    assert made.series
    assert (made.series.measure, made.series.by) == ("Starts", ("tenant", "DeviceName"))
    assert [item["id"] for item in made.related] != [made.id]
    assert main.main(["check", "--project", str(tmp_path)]) == 0
    assert main.main(["test", "copied_series", "--project", str(tmp_path)]) == 0
    hunted = ["backfill", "--from", "2026-02-04", "--to", "2026-02-05", "--yes", "--project"]
    assert main.main([*hunted, str(tmp_path), "--detection", "copied_series"]) == 0
    capsys.readouterr()

    titles = kit.table(tmp_path, "select title from findings order by 1")
    hours = kit.table(
        tmp_path, "select series_key, hour from series_points where flagged order by 1"
    )
    assert titles == [
        ("301 Starts of pc2; 1 expected",),
        ("302 Starts of the whole tenant; 2 expected",),
    ]
    assert hours == [("/*", NIGHT + timedelta(hours=2)), ("/pc2", NIGHT + timedelta(hours=2))]


@pytest.mark.slow
def test_what_the_example_cannot_show_is_left_to_a_person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No event passes a filter that is not read: nothing is loaded that was not seen to fire."""
    arguments = project(tmp_path, SCORED.replace('FileName =~ "rclone.exe"', "ProcessId > 4"))
    assert main.main(arguments) == 0
    assert "copied_series.yaml.todo" in capsys.readouterr().out
    assert (tmp_path / "sql/copied_series.sql").exists()
    assert main.main(["check", "--project", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        (
            "by DeviceName",
            "by Host = tolower(DeviceName), FileName",
            ("tenant", "Host", "FileName"),
        ),
        (  # the tenant is gone where the step before has dropped it
            "| make-series",
            "| project Timestamp, DeviceName | make-series",
            ("DeviceName",),
        ),
        ("ago(since) and FileName", "ago(since) | where FileName", ("tenant", "DeviceName")),
        ("count() default = 0", "dcount(FileName)", ("tenant", "DeviceName")),
        ("step 1h by DeviceName", "step 1h", ("tenant",)),
        ("| make-series", "| project Timestamp | make-series", ("scope",)),
        (  # a series with a name, read by the statement behind it
            "by DeviceName\n",
            "by DeviceName;\n    Named\n",
            ("tenant", "DeviceName"),
        ),
    ],
)
def test_keys_and_filters_are_kept(before: str, after: str, keys: tuple[str, ...]) -> None:
    """Only the conditions on the time go: the interval bounds it."""
    assert before in SCORED
    kql = SCORED.replace(before, after)
    if "Named" in after:
        kql = kql.replace("    DeviceProcessEvents", "    let Named = DeviceProcessEvents")
    elif keys == ("scope",):
        kql = kql.replace("step 1h by DeviceName", "step 1h")
    made = skeleton(kql)

    assert made
    assert made.keys == keys
    assert "rclone.exe" in made.query.query
    assert "ago" not in made.query.query.partition(";")[2]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("series_decompose_anomalies(Starts, 3)", "series_outliers(Starts)"),
        ("DeviceProcessEvents\n", "union DeviceProcessEvents, DeviceEvents\n"),
        ("Starts = count() default = 0", "Starts = count(), Most = max(ProcessId)"),
        ("Timestamp > ago(since)", "(Timestamp > ago(since) or ProcessId == 1)"),
    ],
)
def test_other_queries_are_left_alone(before: str, after: str) -> None:
    """One that is not scored, of two sources, with two measures, or that chooses by the clock."""
    assert before in SCORED
    assert skeleton(SCORED.replace(before, after)) is None
