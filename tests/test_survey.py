"""Tests of lake.survey: the tables of a container, found by opening few of its folders."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest

from gundog.core.errors import StoreError
from gundog.lake import listing, survey
from gundog.lake.path import LakePath
from gundog.lake.survey import Survey
from tests.faults import start_s3

BUCKETS = itertools.count()
TABLES = ["CloudAppEvents", "DeviceProcessEvents", "EmailEvents"]
HOUR = "tenantId=6f/y=2026/m=03/d=09/h={}/m=00/PT1H.json"


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}\n")


def look(root: Path) -> Survey:
    return survey.look(LakePath(str(root)), TABLES, {})


def paths(root: Path, looked: Survey) -> dict[str, str]:
    """Templates by table, below the root."""
    start = f"{root}/"
    return {dataset.table: dataset.path.template.removeprefix(start) for dataset in looked.datasets}


LAYOUTS = {
    "Defender": {
        f"insights-logs-advancedhunting-{name.lower()}/{HOUR.format(hour)}": name
        for name in TABLES for hour in ("11", "12")
    },
    "Log Analytics": {
        "am-cloudappevents/WorkspaceResourceId=/subscriptions/s/resourcegroups/r/providers/p/"
        f"workspaces/w/y=2026/m=03/d=09/h=12/m={minute}/a.json": "CloudAppEvents"
        for minute in ("00", "05")
    },
    "days of parquet": {
        f"exports/siem/{name}/{day}/part-{n}.c000.snappy.parquet": name
        for name in TABLES for day in ("2026/03/08", "2026/03/09") for n in (0, 1)
    },
    "flat": {f"EmailEvents/events-2026-03-0{day}.json.gz": "EmailEvents" for day in (8, 9)},
    "unnamed": {f"lake/dt=2026030{day}/{n}.parquet": "" for day in (8, 9) for n in "ab"},
    "a container of one table": {HOUR.format(hour): "" for hour in (10, 11)},
}  # fmt: skip


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_template_of_a_layout_reaches_all_of_its_files(tmp_path: Path, layout: str) -> None:
    """Each table's, and no other's."""
    files = LAYOUTS[layout]
    put(tmp_path, *files)

    looked = look(tmp_path)

    assert looked.others == ()
    assert looked.has_all
    reached = {
        (file.path.removeprefix(f"{tmp_path}/"), dataset.table)
        for dataset in looked.datasets
        for file in listing.list_files("", [dataset.path], None, Path("/"), {})
    }
    assert reached == set(files.items())


def test_known_layouts_have_their_fields_and_times(tmp_path: Path) -> None:
    """So that a night lists its own folders only."""
    for layout in ("Defender", "Log Analytics"):
        put(tmp_path / layout, *LAYOUTS[layout])

    hours = "tenantId=*/y=%Y/m=%m/d=%d/h=%H/m=00/PT1H.json"
    assert paths(tmp_path / "Defender", look(tmp_path / "Defender")) == {
        name: f"insights-logs-advancedhunting-{name.lower()}/{hours}" for name in TABLES
    }
    (dataset,) = look(tmp_path / "Log Analytics").datasets
    assert dataset.path.template.endswith("/workspaces/w/y=%Y/m=%m/d=%d/h=%H/m=*/*.json")
    assert dataset.path.partition_by == "event"


def test_of_thousands_of_tables_only_those_of_ours_are_opened(tmp_path: Path) -> None:
    """And only their newest folders; the others are said in one line."""
    for number in range(3000):
        (tmp_path / f"SomeTable{number:04}").mkdir()
    put(tmp_path, *(f"CloudAppEvents/2026/{month:02}/01/a.json" for month in range(1, 13)))

    looked = look(tmp_path)

    assert paths(tmp_path, looked) == {"CloudAppEvents": "CloudAppEvents/%Y/%m/%d/*.json"}
    assert looked.folders < 10
    (line,) = looked.others
    assert line == (
        f"{tmp_path}: 3,000 folders not named after a table:"
        " SomeTable0000, SomeTable0001, SomeTable0002, …"
    )


def test_search_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many folders, and so deep."""
    put(tmp_path / "wide", *(f"f{number:03}/g/h" for number in range(40)))
    monkeypatch.setattr(survey, "MOST_LISTINGS", 10)
    looked = look(tmp_path / "wide")
    assert (looked.folders, looked.has_all) == (10, False)

    put(tmp_path / "deep", "a/b/c/d/e/f.json")
    looked = look(tmp_path / "deep")
    assert looked.datasets == ()
    assert looked.others == (f"{tmp_path}/deep/a/b/c/d: a folder deeper down, not opened",)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["CloudAppEvents/2026/03/09/00.avro"], "avro files, which gundog does not read"),
        (["CloudAppEvents/a.csv"], "csv files, which gundog does not read"),
        (["CloudAppEvents/metadata/v1.json", "CloudAppEvents/data/a.parquet"], "an Iceberg table"),
        (["CloudAppEvents/2026/_SUCCESS"], "no files"),
    ],
)
def test_what_is_not_read_is_said(tmp_path: Path, files: list[str], said: str) -> None:
    """With its folder."""
    put(tmp_path, *files)

    looked = look(tmp_path)

    assert looked.datasets == ()
    (line,) = looked.others
    assert line.startswith(f"{tmp_path}/CloudAppEvents: {said}")


def test_delta_tables_are_found(tmp_path: Path) -> None:
    """By their log, whatever else lies beside it."""
    put(tmp_path, "lake/CloudAppEvents/_delta_log/0.json", "lake/CloudAppEvents/dt=1/a.parquet")

    (dataset,) = look(tmp_path).datasets

    assert (dataset.table, dataset.path.format) == ("CloudAppEvents", "delta")
    assert dataset.path.template == f"{tmp_path}/lake/CloudAppEvents"


def test_newest_folder_may_be_empty(tmp_path: Path) -> None:
    """The one before it tells."""
    put(tmp_path, "CloudAppEvents/2026/03/08/a.json")
    (tmp_path / "CloudAppEvents/2026/03/09").mkdir()

    assert paths(tmp_path, look(tmp_path)) == {"CloudAppEvents": "CloudAppEvents/%Y/%m/%d/*.json"}


def test_place_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """A slip of the pen differs from an empty container."""
    with pytest.raises(StoreError, match="does not exist: correct the URL"):
        look(tmp_path / "nowhere")


def test_bucket_is_looked_at(tmp_path: Path) -> None:
    """Through the same endpoint and keys as ever."""
    server, bucket = start_s3(), f"survey-{next(BUCKETS)}"
    server.bucket(bucket)
    for name in LAYOUTS["days of parquet"]:
        server.client.put_object(Bucket=bucket, Key=name, Body=b"{}")
    environ: Mapping[str, str] = {**server.environ, "AWS_EC2_METADATA_DISABLED": "true"}

    looked = survey.look(LakePath(f"s3://{bucket}"), TABLES, environ)

    start = f"s3://{bucket}/exports/siem"
    assert {dataset.table: dataset.path.template for dataset in looked.datasets} == {
        name: f"{start}/{name}/%Y/%m/%d/*.parquet" for name in TABLES
    }
