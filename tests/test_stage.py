"""What staging makes of files as they come: odd columns, broken bytes, changes, batches."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from gundog.lake import columns
from gundog.lake.path import LakePath
from gundog.staging import binding, reading, stage
from gundog.staging.batch import Batch, Failed, FileOutcome, Limits, Read
from tests.lab import NOON, SOURCE, STAGE, Lab, good

pytestmark = pytest.mark.usefixtures("all_cores")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab with the one staged table `mail`."""
    made = Lab(tmp_path, {"mail": STAGE})
    yield made
    made.opened.close()


def write_bytes(table: pa.Table, path: Path, **options: Any) -> bytes:
    """What pyarrow writes for a table."""
    pq.write_table(table, path, **options)
    content = path.read_bytes()
    path.unlink()
    return content


TIMES = {
    "us with zone": pa.array([NOON], pa.timestamp("us", "UTC")),
    "ms with zone": pa.array([NOON], pa.timestamp("ms", "UTC")),
    "ns with zone": pa.array([NOON], pa.timestamp("ns", "UTC")),
    "another zone": pa.array([NOON], pa.timestamp("us", "America/New_York")),
    "naive us": pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us")),
    "naive ns": pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")),
    "text with Z": pa.array(["2026-03-09T12:00:00.0000000Z"]),
    "text without zone": pa.array(["2026-03-09 12:00:00"]),
    "text with offset": pa.array(["2026-03-09T14:00:00+02:00"]),
}


def test_every_kind_of_time_is_the_same_instant(lab: Lab) -> None:
    """A time counts in UTC however its file writes it; without a zone it is read as UTC."""
    for number, times in enumerate(TIMES.values()):
        lab.put(good(number, Timestamp=times), f"{number}")
    lab.stage()

    read = dict(lab.rows("select id, event_time from mail"))
    assert {name: read.get(number) for number, name in enumerate(TIMES)} == dict.fromkeys(
        TIMES, NOON
    )


def test_int96_times_are_read(lab: Lab, tmp_path: Path) -> None:
    """Spark's old 96-bit times are times."""
    naive = pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns"))
    table = good(1, Timestamp=naive)
    lab.put(write_bytes(table, tmp_path / "x", use_deprecated_int96_timestamps=True))
    lab.stage()

    assert lab.rows("select event_time from mail") == [(NOON,)]


TIMELESS = {
    "epoch integer": pa.array([1_772_971_200_000]),
    "list": pa.array([[NOON]]),
    "struct": pa.array([{"t": 1}]),
    "bytes": pa.array([b"2026-03-09"]),
    "boolean": pa.array([True]),
    "words": pa.array(["soon"]),
    "null": pa.nulls(1, pa.timestamp("us")),
}


def test_files_without_a_time_that_can_be_told_are_rejected(lab: Lab) -> None:
    """No guess is made of a number, a list or words; the message names the column."""
    for name, times in TIMELESS.items():
        lab.put(good(1, Timestamp=times), name)
    lab.put(good(2), "fine")

    done = lab.stage()

    assert lab.states() == {**dict.fromkeys(TIMELESS, "rejected"), "fine": "staged"}
    assert len(done.rejected) == len(TIMELESS)
    assert all("usable Timestamp" in error for _, error in done.rejected)
    assert lab.rows("select id from mail") == [(2,)]


RAW = {
    "text": (pa.array(['{"Who": "ana"}']), ""),
    "large text": (pa.array(['{"Who": "ana"}'], pa.large_string()), ""),
    "dictionary": (pa.array(['{"Who": "ana"}']).dictionary_encode(), ""),
    "bytes": (pa.array([b'{"Who": "ana"}']), "RawEventData (BLOB)"),
    "struct": (pa.array([{"Who": "ana"}]), "RawEventData (STRUCT(Who VARCHAR))"),
    "map": (
        pa.array([[("Who", "ana")]], pa.map_(pa.string(), pa.string())),
        "RawEventData (MAP(VARCHAR, VARCHAR))",
    ),
}


def test_json_may_come_as_text_bytes_or_nested(lab: Lab) -> None:
    """The stage SQL sees JSON text whatever the exporter made of it; what was cast is noted."""
    for name, (values, _) in RAW.items():
        lab.put(good(1, RawEventData=values), name)
    lab.stage()

    seen = cast_columns(lab, "who")
    assert seen == {name: ("ana", [remark] if remark else []) for name, (_, remark) in RAW.items()}


def cast_columns(lab: Lab, column: str) -> dict[str, tuple[Any, list[str]]]:
    """A column's value, and the columns that were cast, by the name of each file of one row."""
    rows = lab.rows(
        f"""select parse_filename(path, true), {column}, cast_columns
            from {lab.stages[0].table} inner join source_files using (file_id)"""
    )
    assert len(rows) == len(lab.states())
    return {name: (value, cast) for name, value, cast in rows}


def test_json_column_of_duckdb_is_text(lab: Lab) -> None:
    """A column with parquet's JSON type is not an oddity."""
    path = lab.put(b"")
    duckdb.sql(
        f"""copy (select timestamptz '2026-03-09 12:00:00+00' as "Timestamp", 1::bigint as "Id",
                  '{{"Who": "ana"}}'::json as "RawEventData", 0.5::double as "Score",
                  true as "Flag") to '{path}' (format parquet)"""
    )
    lab.stage()

    assert lab.rows("select who from mail") == [("ana",)]
    assert lab.rows("select cast_columns from source_files") == [([],)]


def test_bytes_that_are_no_text_and_json_that_is_none_spoil_only_their_rows(lab: Lab) -> None:
    """A row with broken bytes or JSON is kept, without what cannot be read of it."""
    raw = pa.array([b'{"Who": "ana"}', b"\xff\xfe", b"{broken", None])
    lab.put(good(1, 2, 3, 4, RawEventData=raw))
    lab.stage()

    assert lab.rows("select id, who from mail order by id") == [
        (1, "ana"), (2, None), (3, None), (4, None),
    ]  # fmt: skip


RETYPED = {
    "integer": (pa.array([2], pa.int32()), 2.0),
    "decimal": (pa.array([Decimal("2.5")]), 2.5),
    "text": (pa.array(["2.5"]), 2.5),
    "words": (pa.array(["much"]), None),
    "list": (pa.array([[2.5]]), None),
    "struct": (pa.array([{"v": 2.5}]), None),
    "bytes": (pa.array([b"2.5"]), None),
    "time": (pa.array([NOON]), None),
    "null": (pa.nulls(1), None),
}


def test_retyped_columns_are_cast_or_null_and_named(lab: Lab) -> None:
    """A column of another type gives its value where there is one, and is noted."""
    for name, (values, _) in RETYPED.items():
        lab.put(good(1, Score=values), name)
    lab.stage()

    seen = {
        name: (score, [remark.split()[0] for remark in cast])
        for name, (score, cast) in cast_columns(lab, "score").items()
    }
    assert seen == {name: (score, ["Score"]) for name, (_, score) in RETYPED.items()}


def test_narrower_integers_are_no_oddity(lab: Lab) -> None:
    """A 32-bit column for a 64-bit one loses nothing and is not worth a remark."""
    lab.put(good(1, Id=pa.array([7], pa.int32())))
    lab.stage()

    assert lab.rows("select id, cast_columns from mail, source_files") == [(7, [])]


def test_missing_columns_are_null_and_named_and_extra_ones_ignored(lab: Lab) -> None:
    """Columns that are not there read as null; case does not matter; more columns do no harm."""
    table = good(1).drop_columns(["Score", "Flag"]).append_column("New", pa.array([1]))
    lab.put(table.rename_columns(["timestamp", "ID", "raweventdata", "New"]))
    lab.stage()

    assert lab.rows("select id, who, score, flag from mail") == [(1, "ana", None, None)]
    assert lab.rows("select missing_columns from source_files") == [(["Score", "Flag"],)]


def test_alias_names_the_files_own_column(lab: Lab) -> None:
    """`columns:` under lake says what a file calls a column; files with the real name still go."""
    lab.path = LakePath(lab.path.template, columns={"Timestamp": "TimeGenerated"})
    renamed = good(1).rename_columns({"Timestamp": "TimeGenerated"})
    lab.put(renamed, "a")
    lab.put(good(2), "b")
    lab.stage()

    assert lab.rows("select id from mail order by id") == [(1,), (2,)]


def test_tenant_comes_from_the_column_else_from_the_path(lab: Lab) -> None:
    """In one batch, each file has the tenant of its own folder; a column wins over the folder."""
    lab.path = LakePath("lake/tenantId=*/date=%Y-%m-%d/*.parquet")
    for number, tenant in enumerate(["one", "it's"]):
        path = lab.root / f"lake/tenantId={tenant}/date=2026-03-09/a.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(good(number), path)
    own = lab.root / "lake/tenantId=one/date=2026-03-09/b.parquet"
    pq.write_table(good(2, TenantId=pa.array(["mine"])), own)
    lab.stage()

    assert lab.rows("select id, tenant from mail order by id") == [
        (0, "one"), (1, "it's"), (2, "mine"),
    ]  # fmt: skip


def test_clock_faults_are_no_times(lab: Lab) -> None:
    """A row of 1601 or 9999 is set aside with its reason; its neighbours count."""
    years = (1601, 1, 1899, 9999, 1970, 2300)
    for number, year in enumerate(years):
        odd = NOON.replace(year=year, tzinfo=None)
        times = pa.array([odd, NOON.replace(tzinfo=None)], pa.timestamp("us"))
        lab.put(good(number, 100 + number, Timestamp=times), f"{year}")
    lab.stage()

    reasons = dict(lab.rows(f"select id, reject_reason from {lab.stages[0].table}"))
    assert reasons == {
        **dict.fromkeys(range(len(years)), "no Timestamp"),
        **{100 + number: None for number in range(len(years))},
    }
    counted = lab.rows("select rows, rejected_rows, min_time, max_time from source_files")
    assert counted == [(2, 1, NOON, NOON)] * len(years)


def damaged(path: Path) -> bytes:
    """A file whose footer is whole and whose pages are not."""
    table = good(*range(5000), RawEventData=pa.array([f'{{"Who": "{n}"}}' for n in range(5000)]))
    content = bytearray(write_bytes(table, path))
    middle = slice(len(content) // 4, len(content) // 2)
    content[middle] = bytes(len(content[middle]))
    return bytes(content)


class _OpenKms(encryption.KmsClient):
    """Keeps keys by doing nothing to them."""

    def wrap_key(self, key_bytes: bytes, *_: str) -> bytes:
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, *_: str) -> bytes:
        return base64.b64decode(wrapped_key)


def encrypted(path: Path, *, plaintext_footer: bool) -> bytes:
    factory = encryption.CryptoFactory(lambda _: _OpenKms())
    config = encryption.EncryptionConfiguration(
        footer_key="foot", column_keys={"col": ["Id", "RawEventData"]},
        plaintext_footer=plaintext_footer,
    )  # fmt: skip
    keys = factory.file_encryption_properties(encryption.KmsConnectionConfig(), config)
    return write_bytes(good(1), path, encryption_properties=keys)


BROKEN = {
    "truncated": lambda path: write_bytes(good(1), path)[:-20],
    "half": lambda path: write_bytes(good(*range(1000)), path)[:2000],
    "zero bytes": lambda _: b"",
    "short": lambda _: b"PAR1",
    "not parquet": lambda _: b"Timestamp,Id\n2026-03-09,1\n",
    "marks only": lambda _: b"PAR1" + b"\xff" * 100 + (50).to_bytes(4, "little") + b"PAR1",
    "footer too long": lambda _: b"PAR1" + b"x" * 20 + (9999).to_bytes(4, "little") + b"PAR1",
    "bad page": damaged,
    "encrypted": lambda path: encrypted(path, plaintext_footer=False),
    "encrypted columns": lambda path: encrypted(path, plaintext_footer=True),
}


def test_broken_files_are_set_aside_alone_and_tried_again_when_they_change(
    lab: Lab, tmp_path: Path
) -> None:
    """Every kind of broken file is named once, hurts no other, and is read when it is repaired."""
    paths = {name: lab.put(make(tmp_path / "x"), name) for name, make in BROKEN.items()}
    lab.put(good(7), "fine")

    first, second = lab.stage(), lab.stage()
    states = lab.states()
    errors = {name: lab.error(name) for name in BROKEN}
    for number, path in enumerate(paths.values(), 8):
        pq.write_table(good(number), path)
    third = lab.stage()

    assert sorted(path for path, _ in first.rejected) == sorted(
        str(path.relative_to(lab.root)) for path in paths.values()
    )
    assert states == {**dict.fromkeys(BROKEN, "rejected"), "fine": "staged"}
    assert all(error and "\n" not in error for error in errors.values())
    assert (second.files, third.files) == (0, len(BROKEN))
    assert set(lab.states().values()) == {"staged"}
    ids = [(number,) for number in range(7, 8 + len(BROKEN))]
    assert lab.rows("select id from mail order by id") == ids


def test_two_bad_files_of_many_are_set_aside_alone(lab: Lab, tmp_path: Path) -> None:
    """A batch that fails is read file by file, and only the bad ones are set aside."""
    files = 6
    for number in range(files):
        lab.put(good(number), f"{number:02}")
    lab.put(BROKEN["truncated"](tmp_path / "x"), "03")
    lab.put(BROKEN["bad page"](tmp_path / "x"), "05")

    done = lab.stage()

    assert done.files == files
    assert sorted(path[-10:] for path, _ in done.rejected) == ["03.parquet", "05.parquet"]
    assert lab.rows("select count(*), count(distinct file_id) from " + lab.stages[0].table) == [
        (files - 2, files - 2)
    ]


@pytest.mark.parametrize("size", [1, 3, 50])
def test_batches_of_any_size_stage_the_same(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """How many files go together changes nothing."""
    monkeypatch.setattr(stage, "BATCH_FILES", size)
    for number in range(4):
        table = good(number, number + 100)
        lab.put(table if number % 3 else table.drop_columns(["Flag"]), f"{number}")

    done = lab.stage()

    assert done.files == 4
    assert lab.rows("select id, flag from mail order by id") == [
        (n, True if n % 100 % 3 else None) for n in [*range(4), *range(100, 104)]
    ]


def test_large_batches_are_cut_by_bytes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more bytes than the limit are read at once, except of one single file."""
    monkeypatch.setattr(stage, "BATCH_BYTES", 3 * lab.put(good(0), "0").stat().st_size)
    for number in range(1, 7):
        lab.put(good(number), f"{number}")
    lab.stage()

    assert lab.rows("select seen_seq, count(*) from source_files group by all order by all") == [
        (1, 3), (2, 3), (3, 1),
    ]  # fmt: skip


def test_many_rows_wait_on_disk_and_come_back_whole(lab: Lab) -> None:
    """Rows above an eighth of the memory limit are spooled; none is lost or changed."""
    n = 20_000
    raw = pa.array([f'{{"Who": "{number:0200}"}}' for number in range(n)])
    lab.put(good(*range(n), RawEventData=raw))
    (task,) = stage.pending(lab.con, lab.listed(), lab.stages)
    folder = lab.root / "spool"
    folder.mkdir()
    limits = Limits(50_000_000, 1, folder)
    local = lab.root / task.file.path
    read = reading.read_batch([(task, local)], lab.source, {}, limits)
    rows = read.rows["mail"]
    assert rows.on_disk is not None
    whole = rows.open().read_all()

    lab.stage()

    assert whole.num_rows == n
    assert lab.rows("select count(*), sum(id), sum(length(who)) from mail") == [
        (n, n * (n - 1) // 2, 200 * n)
    ]
    assert list((lab.root / "tmp").iterdir()) == []


def test_stage_sql_reads_the_files_of_its_batch_and_no_other(lab: Lab) -> None:
    """Where nobody checks it, the connection that reads a batch still lets nothing out."""
    lab.put(good(1))
    (task,) = stage.pending(lab.con, lab.listed(), lab.stages)
    secret, folder = lab.root / "secret.csv", lab.root / "spool"
    secret.write_text("secret\nhush\n")
    folder.mkdir()
    near = [(task, lab.root / task.file.path)]
    limits = Limits(500_000_000, 1, folder)
    for peek in (
        f"from '{secret}'",
        "from duckdb_secrets()",
        "from read_text('/proc/self/environ')",
    ):
        evil = replace(task.stages[0], sql=f"select * from ({peek})")
        batch = [(replace(task, stages=(evil,)), path) for _, path in near]

        with pytest.raises(duckdb.Error, match="disabled"):
            reading.read_batch(batch, lab.source, {}, limits)

    assert reading.read_batch(near, lab.source, {}, limits).rows["mail"].open().read_all().num_rows


def test_file_without_rows_covers_its_time(lab: Lab) -> None:
    """An exporter that writes an empty file says: nothing happened."""
    lab.put(good())
    lab.stage()

    assert lab.rows("select state, rows, covers_start, covers_end from source_files") == [
        ("staged", 0, NOON.replace(hour=0), NOON.replace(day=10, hour=0))
    ]


def test_file_without_a_time_in_its_path_covers_its_events(lab: Lab) -> None:
    """Without path fields a file stands for the time from its first to just after its last row."""
    lab.path = LakePath("lake/*/*.parquet")
    times = pa.array([NOON, NOON.replace(hour=15)], pa.timestamp("us", "UTC"))
    lab.put(good(1, 2, Timestamp=times))
    lab.stage()

    assert lab.rows("select covers_start, covers_end from source_files") == [
        (NOON, NOON.replace(hour=15, microsecond=1))
    ]


def hours(lab: Lab) -> list[tuple[Any, ...]]:
    """Rows of any kind per hour."""
    return lab.rows("select hour, sum(rows) from source_hours group by all order by all")


def test_rows_of_any_kind_are_counted_per_hour(lab: Lab) -> None:
    """Coverage counts what the source sent, not what a stage kept."""
    lab.write_stages({"mail": STAGE.replace("from Cloud", "from Cloud where Id < 0")})
    times = [NOON, NOON, NOON.replace(hour=13, minute=59), NOON.replace(year=1601)]
    lab.put(good(1, 2, 3, 4, Timestamp=pa.array(times, pa.timestamp("us", "UTC"))))
    lab.stage()

    assert hours(lab) == [(NOON, 2), (NOON.replace(hour=13), 1)]
    assert lab.rows("select rows, rejected_rows from source_files") == [(4, 1)]
    assert lab.rows("select rows, rejected_rows from file_stages") == [(0, 0)]


def test_changed_file_is_replaced_whole(lab: Lab) -> None:
    """Rows, hours and counts of the version before go; both versions' hours count as changed."""
    path = lab.put(good(1, 2))
    lab.put(good(9, at=NOON.replace(hour=20)), "other")
    lab.stage()
    pq.write_table(good(3, at=NOON.replace(hour=15)), path)
    os.utime(path, ns=(5, 5))

    done = lab.stage()

    assert done.files == 1
    assert lab.rows("select id from mail order by id") == [(3,), (9,)]
    assert hours(lab) == [(NOON.replace(hour=15), 1), (NOON.replace(hour=20), 1)]
    assert lab.rows("select hour, rows from stage_hours order by hour") == [
        (NOON.replace(hour=15), 1), (NOON.replace(hour=20), 1),
    ]  # fmt: skip
    newest = lab.rows(
        """select hour from stage_changes where stage = 'mail'
           and seq = (select max(seq) from stage_changes) order by hour"""
    )
    assert newest == [(NOON,), (NOON.replace(hour=15),)]
    assert lab.rows("select count(*) from source_files") == [(2,)]


def test_file_that_breaks_takes_its_rows_with_it(lab: Lab) -> None:
    """A changed file that cannot be read any more leaves no rows of what it was."""
    path = lab.put(good(1, 2))
    lab.stage()
    path.write_bytes(b"gone bad")
    done = lab.stage()

    assert len(done.rejected) == 1
    assert lab.rows("select count(*) from mail") == [(0,)]
    assert hours(lab) == []


def test_unchanged_files_are_read_once(lab: Lab) -> None:
    """Listing again stages nothing again; touching a file does."""
    path = lab.put(good(1))
    counts = [lab.stage().files, lab.stage().files]
    os.utime(path, ns=(5, 5))

    assert [*counts, lab.stage().files] == [1, 0, 1]
    assert lab.rows("select count(*) from mail") == [(1,)]


def test_new_stage_sql_reads_again_for_itself_only(lab: Lab) -> None:
    """Another stage over the same source keeps its rows and is not read again."""
    lab.write_stages({"mail": STAGE, "other": STAGE})
    lab.put(good(1))
    lab.stage()
    lab.write_stages({"mail": STAGE.replace("Score as score", "Score + 1 as score")})
    (task,) = stage.pending(lab.con, lab.listed(), lab.stages)

    lab.stage()

    assert [one.name for one in task.stages] == ["mail"]
    assert lab.rows("select m.score, o.score from mail as m, other as o") == [(1.5, 0.5)]
    assert stage.pending(lab.con, lab.listed(), lab.stages) == []


def test_stages_of_one_source_share_one_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two staged tables cost one reading of each file."""
    lab.write_stages({"mail": STAGE, "other": STAGE.replace("Flag as flag", "not Flag as flag")})
    lab.put(good(1))
    reads = []
    read_batch = reading.read_batch
    monkeypatch.setattr(
        reading, "read_batch", lambda *args: reads.append(args) or read_batch(*args)
    )
    lab.stage()

    assert len(reads) == 1
    assert lab.rows("select m.flag, o.flag from mail as m, other as o") == [(True, False)]


ODD_NAMES = [
    "it's", 'double"quote', "br[a]ck*ets?", "{a,b}", "per%20cent", "b c", "ünïcödé 日本", "a\nb",
    "semi;colon", "back\\slash", "$HOME", "-dash", "#hash", "tab\tbed", "a.b.c", "100%",
]  # fmt: skip


def test_odd_file_names_are_read_as_themselves(lab: Lab) -> None:
    """No character in a path is a pattern, a quote or an end of it."""
    for number, name in enumerate(ODD_NAMES):
        lab.put(good(number), name)

    done = lab.stage()

    assert (done.files, done.rejected) == (len(ODD_NAMES), [])
    assert lab.rows("select count(distinct id) from mail") == [(len(ODD_NAMES),)]


def test_file_whose_name_is_no_text_is_read(lab: Lab) -> None:
    """A name with bytes that are not UTF-8 is shown readable."""
    path = lab.put(good(1), "x")
    os.rename(path, os.fsencode(path.parent) + b"/\xff.parquet")  # noqa: PTH104 - bytes
    done = lab.stage()

    assert (done.files, done.rejected) == (1, [])
    assert lab.rows("select path from source_files") == [(r"lake/date=2026-03-09/\xff.parquet",)]


def test_file_that_grew_since_it_was_listed_waits_for_the_next_run(lab: Lab) -> None:
    """A file still being written is named, not half read; the next listing reads it whole."""
    path = lab.put(good(1))
    files = lab.listed()
    pq.write_table(good(1, 2), path)

    done = lab.stage(files)
    after = lab.states(), lab.rows("select count(*) from mail")
    lab.stage()

    ((_, error),) = done.of(FileOutcome.CHANGED)
    assert "changed since it was listed" in error
    assert done.of(FileOutcome.REJECTED) == []
    assert after == ({"a": "rejected"}, [(0,)])
    assert lab.rows("select count(*) from mail") == [(2,)]


def test_file_that_changes_while_it_is_read_waits_for_the_next_run(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of a file that then became another version is not kept."""
    path = lab.put(good(1))
    lab.put(good(5), "b")
    read_batch = reading.read_batch

    def grow(*args: Any) -> Read:
        read = read_batch(*args)
        pq.write_table(good(1, 2, 3), path)
        return read

    monkeypatch.setattr(reading, "read_batch", grow)
    lab.stage()
    assert lab.states() == {"a": "rejected", "b": "staged"}
    monkeypatch.undo()
    lab.stage()

    assert lab.rows("select count(*) from mail") == [(4,)]


def test_file_that_vanished_since_it_was_listed_is_named(lab: Lab) -> None:
    """A file gone between listing and reading is not a reason to stop."""
    path = lab.put(good(1))
    lab.put(good(2), "b")
    files = lab.listed()
    path.unlink()

    done = lab.stage(files)

    assert "was removed after it was listed" in done.of(FileOutcome.CHANGED)[0][1]
    assert lab.rows("select id from mail") == [(2,)]


def test_files_are_stored_in_the_order_in_which_they_are_read(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch after batch, bad files in their place, so that a reader elsewhere changes no table."""
    names = ["c", "a", "e", "b", "d"]
    for number, name in enumerate(names):
        lab.put(b"no parquet" if name == "b" else good(number), name)
    monkeypatch.setattr(stage, "BATCH_FILES", 2)
    read: list[str] = []

    def spy(batch: Batch) -> Read | Failed:
        read.extend(Path(task.file.path).stem for task, _ in batch.files)
        return reading.read(batch)

    done = lab.stage(reader=spy)

    stored = lab.rows("select parse_filename(path, true) from source_files order by seen_seq, path")
    assert [name for (name,) in stored] == sorted(names)
    outcomes = {Path(result.task.file.path).stem: result.outcome for result in done.results}
    assert outcomes == dict.fromkeys("acde", FileOutcome.READ) | {"b": FileOutcome.REJECTED}
    assert lab.states() == {name: outcomes[name].ledger_state for name in names}
    assert read == ["a", "c", "d", "e"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read_is_tried_again(lab: Lab) -> None:
    """What is not a fault of the file is not held against it: the next run tries again."""
    path = lab.put(good(1))
    path.chmod(0)
    first = lab.stage()
    path.chmod(0o600)
    second = lab.stage()

    assert (len(first.of(FileOutcome.STORE_GONE)), first.files, second.files) == (1, 0, 1)


def test_file_that_needs_more_memory_than_there_is_is_tried_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little memory is not the file's fault: it is named, and read once there is more."""
    lab.put(good(1))

    def hungry(*args: Any) -> Read:
        raise duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate")

    monkeypatch.setattr(reading, "read_batch", hungry)
    first = lab.stage()
    monkeypatch.undo()
    second = lab.stage()

    assert "memoryLimit" in first.of(FileOutcome.UNREAD)[0][1]
    assert (first.files, second.files) == (0, 1)


def test_needed_columns_are_those_that_the_sql_can_touch(lab: Lab) -> None:
    """Named anywhere, under the file's own name as well; the time always."""
    sql = """\
select
    file_id, uuid_null as event_id, event_time, reject_reason, tenant
from (
    select
        *, 'x' as reject_reason, Timestamp as event_time, TenantId as tenant,
        md5('')::uuid as uuid_null
    from Cloud where lower(RawEventData) = 'x'
)
"""
    lab.write_stages({"mail": STAGE, "few": sql})
    few = next(one for one in lab.stages if one.name == "few")

    assert binding.needed(lab.source, [few], {"RawEventData": "AuditData"}) == {
        "timestamp", "raweventdata", "auditdata", "tenantid",
    }  # fmt: skip
    assert "score" in binding.needed(lab.source, lab.stages, {})
    assert binding.needed(lab.source, [], {}) == {"timestamp", "tenantid"}


# What a file's column says of three rows; whose they are where no folder says it, and in folder f.
TENANTS = {
    "some": (["a", None, ""], ["a", "", ""], ["a", "f", "f"]),
    "none": ([None, None, None], ["", "", ""], ["f", "f", "f"]),
    "no column": (None, ["", "", ""], ["f", "f", "f"]),
}


@pytest.mark.parametrize("kind", ["VARCHAR", "UUID"])
def test_row_without_a_tenant_has_that_of_its_folder(tmp_path: Path, kind: str) -> None:
    """Row by row: two customers whose exporter leaves the column empty are never one."""
    named = {name: str(uuid5(NAMESPACE_URL, name)) if kind == "UUID" else name for name in "af"}
    source = SOURCE.replace("TenantId VARCHAR", f"TenantId {kind}")
    sql = STAGE.replace("coalesce(TenantId, '')", "coalesce(TenantId::varchar, '')")
    lab = Lab(tmp_path, {"mail": sql}, source)
    for folder in (f"tenantId={named['f']}/", ""):
        for name, (column, _, _) in TENANTS.items():
            held = column and [value and named[value] for value in column]
            extra = {"TenantId": pa.array(held, pa.string())} if held else {}
            path = lab.root / f"lake/{folder}date=2026-03-09/{name}{bool(folder)}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(good(1, 2, 3, **extra), path)
        lab.path = LakePath(f"lake/{'tenantId=*/' if folder else ''}date=%Y-%m-%d/*.parquet")
        lab.stage()

    rows = lab.rows(
        f"""select parse_filename(path, true), list(tenant order by id)
            from {lab.stages[0].table} inner join source_files using (file_id) group by all"""
    )
    assert dict(rows) == {
        f"{name}{has_folder}": [named.get(tenant, tenant) for tenant in tenants[has_folder]]
        for name, (_, *tenants) in TENANTS.items()
        for has_folder in (False, True)
    }


def test_extra_columns_are_told(lab: Lab) -> None:
    """What a file holds besides is known to `check --lake`: it may be a column to alias."""
    held = columns.named((), [("TimeGenerated", "TIMESTAMP"), ("Id", "BIGINT")])
    _, remarks = binding.bind(lab.source, held, {}, [(1, None)])

    assert remarks.extra == ("TimeGenerated",)
    assert "Timestamp" in remarks.missing


def test_json_of_a_struct_is_the_same_json(lab: Lab) -> None:
    """Nested values arrive as JSON text, with their own names and types."""
    value = {"Who": 'a"b', "N": 7, "Nested": {"List": [1, None]}}
    lab.put(good(1, RawEventData=pa.array([value])))
    lab.stage()

    ((raw,),) = lab.rows("select raw from mail")
    assert json.loads(raw) == value
