"""Tests of cli.init_from: a container is looked at, and the gundog.yaml that is written works."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from gundog.cli import main
from tests.test_survey import HOUR

MOMENT = "2026-03-09T12:30:00Z"
CLOUD = {"Timestamp": MOMENT, "ActionType": "x", "Application": "y", "AccountObjectId": "z",
         "RawEventData": {"Id": "1"}}  # fmt: skip


def put(root: Path, name: str, *rows: Any) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def enveloped(table: str, row: Any) -> Any:
    return {"tenantId": "6f", "category": f"AdvancedHunting-{table}", "properties": row}


def init(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, list[str], str]:
    """Exit status and lines of `gundog init --from`, and what it complains of."""
    status = main.main(["init", str(tmp_path / "project"), "--from", str(tmp_path / "lake"), *more])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err


def lake(tmp_path: Path) -> dict[str, Any]:
    """The lake that was written, paths below the container."""
    text = (tmp_path / "project/gundog.yaml").read_text()
    read = yaml.safe_load(text.replace(f"{tmp_path}/lake/", ""))["lake"]
    assert isinstance(read, dict)
    return read


def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """Exit status of `gundog check --lake` on what was written."""
    status = main.main(["check", "--lake", "--project", str(tmp_path / "project")])
    capsys.readouterr()
    return status


def test_container_in_defenders_layout_works_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each table by its container; those that no hunt reads are comments."""
    for table in ("CloudAppEvents", "DeviceProcessEvents", "CampaignInfo"):
        folder = f"lake/insights-logs-advancedhunting-{table.lower()}"
        put(tmp_path, f"{folder}/{HOUR.format(12)}", enveloped(table, CLOUD))
    (tmp_path / "lake/azure-webjobs-hosts").mkdir()

    status, lines, err = init(tmp_path, capsys)

    assert (status, err) == (0, "")
    hours = "tenantId=*/y=%Y/m=%m/d=%d/h=%H/m=00/PT1H.json"
    start = "insights-logs-advancedhunting-"
    assert lake(tmp_path) == {
        "CloudAppEvents": f"{start}cloudappevents/{hours}",
        "DeviceProcessEvents": f"{start}deviceprocessevents/{hours}",
    }
    assert "# CampaignInfo:" in (tmp_path / "project/gundog.yaml").read_text()
    assert lines[1].startswith("CloudAppEvents: ")
    kind = "JSON lines in the envelope of Defender's Streaming API"
    assert lines[1].endswith(f": {kind}, newest event 2026-03-09 12:30 UTC")
    assert lines[3] == (
        f"not used: {tmp_path}/lake: a folder not named after a table: azure-webjobs-hosts"
    )
    assert check(tmp_path, capsys) == 0


def test_tables_are_found_by_what_rows_say_and_by_their_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exporter, the names and the times that the files need."""
    put(
        tmp_path, "lake/hub/2026/03/09/a.json",
        {"records": [enveloped("CloudAppEvents", CLOUD), enveloped("Unknown", CLOUD)]},
        enveloped("DeviceProcessEvents", CLOUD),
    )  # fmt: skip
    at = datetime(2026, 3, 9, 12, tzinfo=UTC)
    put(
        tmp_path, "lake/export/2026/03/09/a.parquet",
        {"TimeGenerated [UTC]": f"{at:%d.%m.%Y %H:%M:%S}".replace("09.03", "30.03"),
         "ProcessCommandLine_s": "cmd", "InitiatingProcessFileName_s": "b", "FileName_s": "c",
         "DeviceName_s": "host", "ProcessIntegrityLevel_s": "", "ProcessTokenElevation_s": ""},
    )  # fmt: skip

    status, _, err = init(tmp_path, capsys)

    assert (status, err) == (0, "")
    assert lake(tmp_path) == {
        "CloudAppEvents": "hub/%Y/%m/%d/*.json",
        "DeviceProcessEvents": [
            {"path": "export/%Y/%m/%d/*.parquet", "exporter": "log-analytics",
             "timeFormat": "%d.%m.%Y %H:%M:%S"},
            "hub/%Y/%m/%d/*.json",
        ],
    }  # fmt: skip
    assert check(tmp_path, capsys) == 0


NO_TABLES = {
    "colours/a.json": (
        {"colour": "red", "size": 1}, "columns are those of no source table: colour",
    ),
    "others/a.json": (
        enveloped("Others", CLOUD), "rows of AdvancedHunting-Others, which gundog has no",
    ),
    "odd/\x1b[2Ja.json": ({"shade": "\x1b[2J"}, "no source table: shade"),
    "texts/a.csv": ({}, "csv files, which gundog does not read"),
}  # fmt: skip


def test_container_without_a_table_says_what_it_saw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And writes nothing; names are text, whatever is in them."""
    for name, (row, _) in NO_TABLES.items():
        put(tmp_path, f"lake/{name}", row)

    status, lines, err = init(tmp_path, capsys)

    assert status == 2
    for name, (_, said) in NO_TABLES.items():
        assert [line for line in lines if said in line], name
    assert "\x1b" not in "".join(lines)
    assert "no table was found" in err
    assert not (tmp_path / "project").exists()


def test_file_whose_name_says_nothing_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As some consumers of Event Hubs write them."""
    put(tmp_path, "lake/CloudAppEvents/2026/03/09/part-1", enveloped("CloudAppEvents", CLOUD))

    assert init(tmp_path, capsys)[0] == 0
    assert lake(tmp_path) == {
        "CloudAppEvents": {"path": "CloudAppEvents/%Y/%m/%d/*", "format": "json"}
    }


def test_project_that_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is looked at."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/gundog.yaml").write_text("lake: {}\n")

    status, _, err = init(tmp_path, capsys)

    assert status == 2
    assert "already exists" in err
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["gundog.yaml"]


def test_place_that_does_not_exist_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, and exit status 2 or 1."""
    status, lines, err = init(tmp_path, capsys)

    assert status != 0
    assert lines == []
    assert err.count("\n") == 1
    assert "does not exist" in err
