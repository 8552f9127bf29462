"""Files on a store: only what is needed travels, and faults on the way change no table."""

from __future__ import annotations

import io
import itertools
import pickle
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gundog.core.errors import StoreError
from gundog.core.times import parse_range
from gundog.lake import fetch, partial
from gundog.lake.file_version import FileVersion
from gundog.lake.path import LakePath
from gundog.run import run
from gundog.staging import reading, stage
from gundog.staging.batch import Batch, Failed, FileOutcome, Read
from tests import draws, kit
from tests.faults import Faults, Proxy, Server, start_s3
from tests.lab import Lab, good
from tests.test_laws import content

BUCKETS = itertools.count()
NARROW = """\
select
    file_id,
    md5(Id::varchar)::uuid as event_id,
    Timestamp as event_time,
    null::varchar as reject_reason,
    '' as tenant,
    Id as id,
    length(RawEventData) as long
from Cloud
where RawEventData is not null
"""


@pytest.fixture
def s3() -> Server:
    server = start_s3()
    server.requests.clear()
    return server


@pytest.fixture
def lab(tmp_path: Path, s3: Server) -> Iterator[Lab]:
    """A lab whose lake is a bucket of its own."""
    made = Lab(tmp_path, {"narrow": NARROW})
    use_bucket(made, s3)
    yield made
    made.opened.close()


def use_bucket(lab: Lab, s3: Server) -> str:
    name = f"lab{next(BUCKETS)}"
    s3.client.create_bucket(Bucket=name)
    lab.path = LakePath(f"s3://{name}/date=%Y-%m-%d/*.parquet")
    lab.environ = s3.environ
    return name


def put(s3: Server, lab: Lab, table: pa.Table | bytes, name: str = "a", **options: Any) -> str:
    """Puts a file into the lab's bucket; returns its path as the server sees it."""
    content = table if isinstance(table, bytes) else to_bytes(table, **options)
    bucket = lab.path.template.split("/")[2]
    key = f"date=2026-03-09/{name}.parquet"
    s3.client.put_object(Bucket=bucket, Key=key, Body=content)
    return f"/{bucket}/{key}".replace("=", "%3D")


def to_bytes(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


@cache
def wide(rows: int, others: int = 8) -> pa.Table:
    """A table of text that does not compress, of which the stage needs one column in `others`."""
    letters = np.random.default_rng(5).integers(97, 123, (rows, 100), dtype=np.uint8)
    texts = pa.array([row.tobytes().decode() for row in letters])
    table = good(*range(rows), RawEventData=texts)
    for number in range(others):
        column = texts.take(pa.array(np.roll(np.arange(rows), number + 1)))
        table = table.append_column(f"Other.{number}", column)
        nested = pa.StructArray.from_arrays([column, column], ["a", "b.c"])
        table = table.append_column(f"Nested{number}", nested) if number == 0 else table
    return table


def needed_bytes(content: bytes, columns: set[str]) -> int:
    """The compressed bytes of these top-level columns' chunks."""
    metadata = pq.read_metadata(io.BytesIO(content))
    return sum(
        metadata.row_group(group).column(leaf).total_compressed_size
        for group in range(metadata.num_row_groups)
        for leaf in range(metadata.num_columns)
        if metadata.row_group(group).column(leaf).path_in_schema in columns
    )


def test_batch_for_a_reader_holds_no_credential(lab: Lab, s3: Server) -> None:
    """A file is near when it is read, so that whoever reads it needs no key of its store."""
    put(s3, lab, good(1, 2))
    secrets = {"AWS_ACCESS_KEY_ID": "AKMADEUPFORATEST", "AWS_SECRET_ACCESS_KEY": "quite-a-secret"}
    lab.environ = {**s3.environ, **secrets}  # the server takes any
    batches: list[bytes] = []

    def spy(batch: Batch) -> Read | Failed:
        batches.append(pickle.dumps(batch))
        return reading.read(batch)

    lab.stage(reader=spy)

    assert len(batches) == 1
    assert [name for name, value in secrets.items() if value.encode() in batches[0]] == []


@pytest.mark.parametrize("row_group_size", draws.spread([3_000, 40_000]))
def test_only_needed_columns_travel(lab: Lab, s3: Server, row_group_size: int) -> None:
    """Of a file of 10 MB and more, at most 1.3 times the needed column chunks leave the store."""
    table = wide(15_000)
    whole = to_bytes(table, row_group_size=row_group_size)
    path = put(s3, lab, whole)
    with Proxy(s3) as proxy:
        lab.environ = proxy.environ
        done = lab.stage()
    needed = needed_bytes(whole, {"Timestamp", "Id", "RawEventData"})

    assert len(whole) > 10_000_000
    assert (done.files, done.rejected) == (1, [])
    assert needed <= sum(proxy.sent.values()) <= 1.3 * needed
    assert proxy.sent[path] > 0
    assert lab.rows("select count(*), sum(id), sum(long) from narrow") == [
        (15_000, 15_000 * 14_999 // 2, 1_500_000)
    ]


def test_sparse_copy_has_the_columns_at_their_places(tmp_path: Path) -> None:
    """Every needed column reads as in the whole file, dots and nesting in names included."""
    table = wide(2_000, others=3)
    whole = to_bytes(table, row_group_size=500)
    names = ["Other.1", "Nested0", "Timestamp"]
    target = tmp_path / "part.parquet"
    partial.copy(pa.BufferReader(whole), target, {name.lower() for name in names})

    assert target.stat().st_size == len(whole)
    assert pq.read_table(target, columns=names) == table.select(names)
    assert target.read_bytes().count(0) > len(whole) // 3


@pytest.mark.parametrize("seed", draws.spread(range(6), 3))
def test_sparse_copy_reads_as_the_whole_file(tmp_path: Path, seed: int) -> None:
    """Whatever the types, row groups and compression, needed columns are the same by DuckDB."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    n = rng.randrange(1, 4000)
    kinds: dict[str, pa.Array] = {
        "i": pa.array(range(n)),
        "s": pa.array([rng.choice(["a", "bb", None]) for _ in range(n)]),
        "list": pa.array([[1, None] * rng.randrange(3) for _ in range(n)]),
        "struct": pa.array([{"x": k, "y": {"z": [str(k)]}} for k in range(n)]),
        "map": pa.array([[("k", k)] for k in range(n)], pa.map_(pa.string(), pa.int64())),
        "d": pa.array(["x"] * n).dictionary_encode(),
        "b": pa.array([True, None] * n).slice(0, n),
    }
    columns = {name: kinds[name] for name in rng.sample(sorted(kinds), len(kinds))}
    table = pa.table(columns)
    whole, part = tmp_path / "whole.parquet", tmp_path / "part.parquet"
    options: dict[str, Any] = {
        "row_group_size": rng.choice([100, 1000, 5000]),
        "compression": rng.choice(["snappy", "zstd", "none"]),
        "use_dictionary": rng.choice([True, False]),
        "write_page_index": rng.choice([True, False]),
        "data_page_version": rng.choice(["1.0", "2.0"]),
    }
    pq.write_table(table, whole, **options)
    names = rng.sample(sorted(kinds), 3)
    with pa.OSFile(str(whole)) as remote:
        partial.copy(remote, part, set(names))
    chosen = ", ".join(f'"{name}"' for name in names)
    read = [duckdb.sql(f"select {chosen} from '{path}'").fetchall() for path in (whole, part)]

    assert read[0] == read[1]


def test_file_with_bloom_filters_is_read(lab: Lab, s3: Server, tmp_path: Path) -> None:
    """Indexes and filters behind the column chunks come along, for a reader that looks at them."""
    table = wide(4_000, others=1)
    path = tmp_path / "x.parquet"
    duckdb.from_arrow(table).write_parquet(str(path), row_group_size=1_000)
    put(s3, lab, path.read_bytes())
    lab.write_stages({"narrow": NARROW.replace("where", "where Id = 777 and")})
    done = lab.stage()

    assert (done.files, done.rejected) == (1, [])
    assert lab.rows("select id from narrow") == [(777,)]


def test_sql_that_touches_what_it_does_not_name_falls_back_to_the_whole_file(
    lab: Lab, s3: Server
) -> None:
    """When a stage reads columns that its text does not tell, the file is fetched whole."""
    put(s3, lab, wide(3_000))
    sql = NARROW.replace("from Cloud\n", "from (select distinct * from Cloud)\n")
    lab.write_stages({"narrow": sql})
    done = lab.stage()

    assert (done.files, done.rejected) == (1, [])
    assert lab.rows("select count(*) from narrow") == [(3_000,)]


def test_alias_columns_travel(lab: Lab, s3: Server) -> None:
    """A column under the file's own name is fetched under that name."""
    table = wide(3_000).rename_columns({"RawEventData": "AuditData"})
    put(s3, lab, table)
    lab.path = LakePath(lab.path.template, columns={"RawEventData": "AuditData"})
    with Proxy(s3) as proxy:
        lab.environ = proxy.environ
        lab.stage()

    assert 300_000 < sum(proxy.sent.values()) < 900_000
    assert lab.rows("select sum(long) from narrow") == [(300_000,)]


BROKEN = {
    "truncated": lambda whole: whole[:-30],
    "not parquet": lambda whole: b"a" * len(whole),
    "footer lies": lambda whole: whole[:-8] + (2**31).to_bytes(4, "little") + b"PAR1",
    "footer is noise": lambda whole: whole[:-200] + b"\xee" * 192 + whole[-8:],
    "encrypted": lambda whole: whole[:-4] + b"PARE",
    "bad pages": lambda whole: (
        whole[:1000] + bytes(len(whole) // 2) + whole[len(whole) // 2 + 1000 :]
    ),
}


@pytest.mark.parametrize("name", draws.spread(BROKEN, 3))
def test_broken_file_on_a_store_is_set_aside_alone(lab: Lab, s3: Server, name: str) -> None:
    """A file that its store gives and that is broken is the file's fault, not the store's."""
    whole = to_bytes(wide(5_000))
    put(s3, lab, BROKEN[name](whole), "bad")
    put(s3, lab, whole, "fine")
    done = lab.stage()

    assert lab.states() == {"bad": "rejected", "fine": "staged"}
    assert done.of(FileOutcome.STORE_GONE) == []
    assert lab.rows("select count(*) from narrow") == [(5_000,)]


def test_object_replaced_since_it_was_listed_waits_for_the_next_run(lab: Lab, s3: Server) -> None:
    """Of the same size but another time, or of another size: not read, and read next time."""
    first, second = wide(3_000), wide(3_000).slice(0, 2_900)
    put(s3, lab, first)
    files = lab.listed()
    put(s3, lab, second)
    done = lab.stage(files)
    lab.stage()

    assert "changed since it was listed" in done.rejected[0][1]
    assert lab.rows("select count(*) from narrow") == [(2_900,)]


def test_object_that_went_since_it_was_listed_stops_nothing(lab: Lab, s3: Server) -> None:
    """A large and a small file that are gone are named; the rest of the day is read."""
    for name, table in (("big", wide(3_000)), ("small", good(1)), ("fine", good(2))):
        put(s3, lab, table, name)
    files = lab.listed()
    bucket = lab.path.template.split("/")[2]
    for name in ("big", "small"):
        s3.client.delete_object(Bucket=bucket, Key=f"date=2026-03-09/{name}.parquet")
    done = lab.stage(files)

    assert sorted(reason.split("/")[-1].split(":")[0] for _, reason in done.rejected) == [
        "big.parquet", "small.parquet",
    ]  # fmt: skip
    assert all("was removed after it was listed" in reason for _, reason in done.rejected)
    assert done.of(FileOutcome.STORE_GONE) == []
    assert lab.rows("select id from narrow") == [(2,)]
    assert lab.stage().rejected == []


def test_small_files_are_fetched_side_by_side(lab: Lab, s3: Server) -> None:
    """Twenty small files over a slow line take a few round trips each, several at a time."""
    for number in range(20):
        put(s3, lab, good(number), f"{number:02}")
    with Proxy(s3, Faults(latency_s=0.01)) as proxy:
        lab.environ = proxy.environ
        done = lab.stage()

    assert (done.files, done.rejected) == (20, [])
    assert proxy.requests <= 1 + 2 * 20
    assert lab.rows("select count(*) from narrow") == [(20,)]


FAULTS = {
    "busy": Faults(busy=100),
    "cut": Faults(cut=100),
    "dropped": Faults(dropped=100),
    "all": Faults(busy=33, cut=33, dropped=33, latency_s=0.005),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_one_request_in_ten_may_fail(
    lab: Lab, s3: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """503s, bodies that break off and dropped connections leave the right tables."""
    monkeypatch.setattr(fetch, "SPARSE_BYTES", 200_000)
    for number in range(20):
        table = wide(400, others=4) if number % 4 == 0 else good(number)
        put(s3, lab, table, f"{number:02}")
    with Proxy(s3, FAULTS[name]) as proxy:
        lab.environ = proxy.environ
        done = lab.stage()

    assert proxy.spoiled.total() > 1
    assert (done.files, done.rejected, done.of(FileOutcome.STORE_GONE)) == (20, [], [])
    table = lab.stages[0].table
    assert lab.rows(f"select count(*), sum(id) from {table}") == [
        (15 + 5 * 400, 190 - 40 + 5 * 400 * 399 // 2)
    ]


@pytest.mark.slow
def test_store_that_dies_leaves_its_files_for_the_next_run(
    lab: Lab, s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read stays; the rest is not held against the files; it ends after a few tries."""
    monkeypatch.setattr(stage, "BATCH_FILES", 4)
    monkeypatch.setattr("gundog.lake.object_store.ATTEMPTS", 2)
    for number in range(12):
        put(s3, lab, good(number), f"{number:02}")
    with Proxy(s3, Faults(dead_after=12)) as proxy:
        lab.environ = proxy.environ
        done = lab.stage()
    lab.environ = s3.environ
    second = lab.stage()

    assert done.rejected == []
    assert list(done.gone) == ["Cloud"]
    assert len({result.task.file_id for result in done.results}) == len(done.results) == 12
    assert 0 < done.files < 12
    assert done.files + second.files == 12
    assert lab.rows("select count(*) from narrow") == [(12,)]


def remote_project(root: Path, s3: Server) -> Path:
    """The small project with its lake in a bucket, the bucket filled with four days."""
    kit.make_project(root)
    kit.fill_days(root, "2026-03-06", 4)
    rows = [kit.event("2026-03-08T10:00", "open", number=101),
            kit.event("2026-03-08T11:00", "close", number=102)]  # fmt: skip
    kit.write_file(root, "2026-03-08", rows)
    bucket = f"project{next(BUCKETS)}"
    s3.client.create_bucket(Bucket=bucket)
    for path in sorted((root / "lake").rglob("*.parquet")):
        key = str(path.relative_to(root / "lake"))
        s3.client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    text = kit.CONFIG.replace("lake/date", f"s3://{bucket}/date")
    kit.write_text(root / "gundog.yaml", text)
    return root


def hunt(root: Path, environ: dict[str, str]) -> run.Outcome:
    project = run.load_project(root, environ)
    request = run.Request("hunt", parse_range("2026-03-07", "2026-03-09"))
    return run.run(project, request, kit.NOW, kit.uuid4())


@pytest.mark.slow  # test_dead_store_fails_its_hunts_in_one_line_and_heals hunts on one too
def test_run_on_a_store_finds_what_a_run_on_a_disk_finds(tmp_path: Path, s3: Server) -> None:
    """Where the lake lies changes nothing but the paths."""
    remote = remote_project(tmp_path / "remote", s3)
    local = tmp_path / "local"
    kit.make_project(local)
    (local / "lake").symlink_to(remote / "lake")
    hunt(remote, s3.environ)
    hunt(local, {})

    found = [content(root, ("findings", "run_intervals")) for root in (remote, local)]
    for tables in found:
        tables["run_intervals"] = [row[:5] for row in tables["run_intervals"]]

    assert found[0]["findings"] == found[1]["findings"] != []


@pytest.mark.slow
def test_dead_store_fails_its_hunts_in_one_line_and_heals(
    tmp_path: Path, s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store gone before or in mid-run: exit 1, one line, and the next run makes it good."""
    root = remote_project(tmp_path, s3)
    monkeypatch.setattr("gundog.lake.object_store.ATTEMPTS", 2)
    for dead_after in (0, 5):
        with Proxy(s3, Faults(dead_after=dead_after)) as proxy:
            outcome = hunt(root, proxy.environ)

        assert outcome.exit_status == 1
        first = outcome.problems[0]
        assert "cannot be" in first
        assert "\n" not in first
        assert kit.table(root, "select distinct state from run_intervals") == [("failed",)]
        assert kit.table(root, "select count(*) from findings") == [(0,)]

    healed = hunt(root, s3.environ)

    assert (healed.exit_status, healed.hunted, healed.changes.new) == (0, 3, 1)


def test_store_that_is_not_there_is_one_clear_line(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that nobody answers names the store and what to check."""
    file = FileVersion("Cloud", "s3://b/date=2026-03-09/a.parquet", 5, 0, None,
                       location="b/date=2026-03-09/a.parquet")  # fmt: skip
    path = LakePath("s3://b/date=%Y-%m-%d/*.parquet", endpoint="http://127.0.0.1:9", anonymous=True)
    monkeypatch.setattr("gundog.lake.object_store.ATTEMPTS", 1)
    copy = fetch.local_copy(file, [path], lab.root, {})

    with pytest.raises(StoreError, match=r"a.parquet: cannot be read: .*check endpoint:"):
        copy.__enter__()
