"""Tests of lake.delta: a Delta table's snapshot says which files count, and rows are as before."""

from __future__ import annotations

import itertools
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gundog.core.errors import StoreError
from gundog.core.times import Interval
from gundog.lake import listing
from gundog.lake.path import LakePath
from tests import kit
from tests.faults import start_s3
from tests.lab import NOON, STAGE, Lab, good

deltalake = pytest.importorskip("deltalake")
BUCKETS = itertools.count()
DAY = timedelta(days=1)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab whose lake is one Delta table."""
    return delta_lab(tmp_path)


def delta_lab(root: Path, template: str = "table", **options: Any) -> Lab:
    lab = Lab(root, {"mail": STAGE})
    lab.path = LakePath(template, partition_by="event", said_format="delta", **options)
    return lab


def write(lab: Lab, rows: pa.Table, mode: str = "append", **options: Any) -> None:
    """Adds rows to the lab's table."""
    deltalake.write_deltalake(str(lab.root / "table"), rows, mode=mode, **options)


def table(lab: Lab) -> Any:
    """The lab's table."""
    return deltalake.DeltaTable(str(lab.root / "table"))


def ids(lab: Lab) -> list[int]:
    """The ids of rows that count, in order."""
    rows = lab.rows(f"select id from {lab.stages[0].table} where not is_copy order by id")
    return [number for (number,) in rows]


def log(lab: Lab, change: Any) -> None:
    """Changes each action of the newest entry of the table's log."""
    path = max((lab.root / "table/_delta_log").glob("*.json"))
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(change(action)) + "\n" for action in actions))


def test_rows_equal_those_of_the_same_parquet_files(tmp_path: Path) -> None:
    """Whatever was written, in whichever way: the snapshot counts, once."""
    lab = delta_lab(tmp_path / "delta")
    for number in range(3):
        write(lab, good(*range(number * 10, number * 10 + 10)))
    write(lab, good(99))
    other = Lab(tmp_path / "parquet", {"mail": STAGE})
    other.put(good(*range(30), 99))

    assert lab.stage().rejected == []
    other.stage()

    query = "select * exclude (file_id) from {} order by id"
    assert lab.rows(query.format(lab.stages[0].table)) == other.rows(
        query.format(other.stages[0].table)
    )
    assert {state for _, state in lab.states().items()} == {"staged"}
    assert lab.stage().files == 0


def test_files_that_no_longer_count_are_not_read(lab: Lab) -> None:
    """They lie in the folder until somebody vacuums it."""
    write(lab, good(1, 2, 3))
    write(lab, good(4), mode="overwrite")
    write(lab, good(5, 6))
    table(lab).delete("Id = 5")

    lab.stage()

    assert ids(lab) == [4, 6]
    assert len(list((lab.root / "table").glob("*.parquet"))) > 2


def test_compaction_delivers_the_same_events_again(lab: Lab) -> None:
    """Each counts once and keeps its id."""
    for number in range(4):
        write(lab, good(number))
    lab.stage()
    before = lab.rows(f"select event_id, id from {lab.stages[0].table} order by id")
    table(lab).optimize.compact()

    assert lab.stage().files == 1

    kept = f"select event_id, id from {lab.stages[0].table} where not is_copy order by id"
    assert lab.rows(kept) == before


def test_times_of_a_snapshot_choose_its_files(lab: Lab) -> None:
    """A file with rows of the span, or without statistics, is never left out."""
    for day in range(5):
        write(lab, good(day, at=NOON + day * DAY + timedelta(microseconds=999)))
    end = NOON + 2 * DAY + timedelta(microseconds=999)

    def listed(start: datetime, stop: datetime) -> int:
        span = Interval(start, stop)
        return len(listing.list_files("Cloud", [lab.path], span, lab.root, {}))

    assert listed(NOON + DAY, NOON + 3 * DAY) == 2
    assert listed(end, end + timedelta(seconds=1)) == 1
    assert listed(end + timedelta(seconds=1), end + timedelta(seconds=2)) == 0
    log(lab, without_stats)
    assert listed(end + timedelta(seconds=1), end + timedelta(seconds=2)) == 1
    assert len(listing.list_files("Cloud", [lab.path], None, lab.root, {})) == 5


def without_stats(action: dict[str, Any]) -> dict[str, Any]:
    if "add" in action:
        action["add"]["stats"] = None
    return action


def test_columns_that_the_table_keeps_beside_its_files_are_read(lab: Lab) -> None:
    """Partition values are columns, also odd ones; a tenant is the rows' tenant."""
    for tenant, flag in (("a b/ü%", True), ("t2", False)):
        rows = good(1, 2, Flag=pa.array([flag] * 2), TenantId=pa.array([tenant] * 2))
        write(lab, rows, partition_by=["TenantId", "Flag"])

    assert lab.stage().rejected == []

    assert lab.rows(f"select tenant, id, flag from {lab.stages[0].table} order by all") == [
        ("a b/ü%", 1, True), ("a b/ü%", 2, True), ("t2", 1, False), ("t2", 2, False)
    ]  # fmt: skip
    assert lab.rows("select distinct missing_columns from source_files") == [([],)]


def feature(name: str, **configuration: str) -> Any:
    """A change of a log that asks a feature of readers."""

    def change(action: dict[str, Any]) -> dict[str, Any]:
        if "protocol" in action:
            action["protocol"] = {
                "minReaderVersion": 3, "minWriterVersion": 7,
                "readerFeatures": [name], "writerFeatures": [name],
            }  # fmt: skip
        if "metaData" in action:
            action["metaData"]["configuration"] |= configuration
        return action

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (feature("columnMapping"), "column mapping"),
        (feature("columnMapping", **{"delta.columnMapping.mode": "name"}), "Column mapping"),
        (feature("typeWidening"), "typeWidening"),
        (feature("somethingNew"), "somethingNew"),
    ],
)
def test_table_that_would_be_read_wrongly_is_refused_by_name(
    lab: Lab, change: Any, why: str
) -> None:
    """No row of it is read."""
    write(lab, good(1))
    log(lab, change)

    with pytest.raises(StoreError, match=why) as raised:
        lab.listed()
    assert str(raised.value).startswith("table: ")


def test_deletion_vectors_are_refused_and_their_mere_permission_is_not(lab: Lab) -> None:
    """A file with one has fewer rows than its parquet shows."""
    write(lab, good(1, 2))
    log(lab, feature("deletionVectors", **{"delta.enableDeletionVectors": "true"}))
    assert len(lab.listed()) == 1

    vector = {"storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "offset": 4,
              "sizeInBytes": 40, "cardinality": 1}  # fmt: skip

    def remove_rows(action: dict[str, Any]) -> dict[str, Any]:
        if "add" in action:
            action["add"]["deletionVector"] = vector
        return action

    log(lab, remove_rows)
    with pytest.raises(StoreError, match=r"table: "):
        lab.listed()


@pytest.mark.parametrize(
    "elsewhere", ["../secret.parquet", "a/../../secret.parquet", "%2e%2e/secret.parquet",
                  "/etc/passwd", "file:///etc/passwd", "s3://other/secret.parquet"],
)  # fmt: skip
def test_log_that_names_a_file_elsewhere_is_refused(lab: Lab, elsewhere: str) -> None:
    """Whoever writes the table cannot make gundog read another file."""
    write(lab, good(1))

    def point(action: dict[str, Any]) -> dict[str, Any]:
        if "add" in action:
            action["add"]["path"] = elsewhere
        return action

    log(lab, point)

    with pytest.raises(StoreError, match="outside of the table"):
        lab.listed()


@pytest.mark.parametrize("damage", ["no table", "no log", "broken log"])
def test_table_that_cannot_be_read_is_one_line(lab: Lab, damage: str) -> None:
    """With the path as gundog.yaml has it."""
    if damage != "no table":
        write(lab, good(1))
        for path in (lab.root / "table/_delta_log").glob("*.json"):
            path.write_text("{") if damage == "broken log" else path.unlink()

    with pytest.raises(StoreError, match=r"^table: cannot be read as a Delta table: ") as raised:
        lab.listed()
    assert "\n" not in str(raised.value)


def test_missing_package_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "deltalake", None)

    with pytest.raises(StoreError, match=r"pip install 'gundog\[delta\]'"):
        lab.listed()


def test_table_on_a_store_is_read(tmp_path: Path) -> None:
    """Through the same endpoint and keys; large files in part, as ever."""
    server, bucket = start_s3(), f"delta-{next(BUCKETS)}"
    server.bucket(bucket)
    options = {**server.environ, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
               "AWS_S3_ALLOW_UNSAFE_RENAME": "true"}  # fmt: skip
    lab = delta_lab(tmp_path, f"s3://{bucket}/tables/cloud")
    lab.environ = {**server.environ, "AWS_EC2_METADATA_DISABLED": "true"}
    rows = good(*range(2000), Other=pa.array([f"{n}" * 800 for n in range(2000)]))
    deltalake.write_deltalake(lab.path.template, rows, storage_options=options)

    assert lab.stage().rejected == []

    assert ids(lab) == list(range(2000))
    ((path,),) = lab.rows("select path from source_files")
    assert path.startswith(f"s3://{bucket}/tables/cloud/part-")


@pytest.mark.slow  # its rows are those of parquet: test_lake_laws
def test_run_over_a_table_finds_what_it_finds_in_parquet(tmp_path: Path) -> None:
    """Over nights, with a late row."""
    root = kit.make_project(tmp_path)
    entry = "{Things: {path: lake, format: delta}}"
    paths = "{Things: lake/date=%Y-%m-%d/*.parquet}"
    kit.write_text(root / "gundog.yaml", kit.CONFIG.replace(paths, entry))

    def add(*rows: dict[str, Any]) -> None:
        some = pa.Table.from_pylist(list(rows))
        deltalake.write_deltalake(str(root / "lake"), some, mode="append")

    add(
        kit.event("2026-03-08T01:00:00Z", "open", number=1),
        kit.event("2026-03-09T05:00:00Z", "other", number=9),
    )
    kit.hunt(root, ("2026-03-08", "2026-03-09"))
    assert kit.table(root, "from findings") == []

    add(kit.event("2026-03-08T02:00:00Z", "close", number=2))
    kit.hunt(root, ("2026-03-08", "2026-03-09"))
    assert len(kit.table(root, "from findings")) == 1


def test_checkpoint_is_read_and_a_missing_one_is_named(lab: Lab) -> None:
    """A table of which a part of the log is gone has no known files: not one row is read."""
    for number in range(3):
        write(lab, good(number))
    table(lab).create_checkpoint()
    logs = lab.root / "table/_delta_log"
    for path in sorted(logs.glob("0*.json"))[:-1]:
        path.unlink()
    write(lab, good(3))
    assert len(lab.listed()) == 4

    for path in logs.glob("*.checkpoint.parquet"):
        path.unlink()

    with pytest.raises(StoreError, match=r"^table: cannot be read as a Delta table: ") as raised:
        lab.listed()
    assert "\n" not in str(raised.value)
