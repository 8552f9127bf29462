"""A column is found by the file's own names, however DuckDB calls it, and never another one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from gundog.lake import columns, partial
from gundog.lake.columns import DoubledColumnError
from gundog.staging.batch import FileOutcome
from tests import draws
from tests.lab import NOON, STAGE, Lab, good


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, {"mail": STAGE})
    with made.opened:
        yield made


def named(names: Sequence[str], texts: Sequence[str]) -> pa.Table:
    """The lab's columns without RawEventData, and columns of text under these names."""
    base = good(1).drop_columns(["RawEventData"])
    arrays = [pa.array([text]) for text in texts]
    return pa.Table.from_arrays([*arrays, *base.columns], names=[*names, *base.column_names])


def spelled(word: str) -> st.SearchStrategy[str]:
    """The word with its letters in any case."""
    flags = st.lists(st.booleans(), min_size=len(word), max_size=len(word))
    return flags.map(
        lambda up: "".join(c.upper() if u else c.lower() for c, u in zip(word, up, strict=True))
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"Obj\x01\x04\x14avro.codec", "is Avro, which gundog does not read"),
        (b'{"Id": 1}\n', "is JSON, not parquet: write format: json"),
        (b'\xef\xbb\xbf [{"Id": 1}]', "is JSON, not parquet"),
        (b"Id,Time\n", "not a parquet file|magic bytes|too small|smaller"),
    ],
)
def test_other_formats_are_named(lab: Lab, content: bytes, why: str) -> None:
    """A star in a path matches them as well."""
    path = lab.put(content)

    with pytest.raises(pa.ArrowException, match=why):
        columns.footer(path)
    with pytest.raises(pa.ArrowException, match=why), pa.OSFile(str(path)) as remote:
        partial.copy(remote, path.with_suffix(".copy"), {"id"})


NAMES = st.lists(
    st.sampled_from(["RawEventData", "raweventdata", "RAWEVENTDATA", "RawEventData_1"])
    | st.sampled_from(["AuditData", "auditdata", "auditdata_1", "file_index", "FILENAME", ""])
    | spelled("raweventdata")
    | st.text(max_size=3),
    max_size=5,
)


def meant(names: Sequence[str], aliases: dict[str, str]) -> int | str | None:
    """Which place is meant for RawEventData: by counting, without folding names in a table."""
    for wanted in (aliases.get("RawEventData"), "RawEventData"):
        exact = [n for n, name in enumerate(names) if name == wanted]
        alike = [n for n, name in enumerate(names) if wanted and name.lower() == wanted.lower()]
        if len(exact) == 1:
            return exact[0]
        if len(exact) > 1 or len(alike) > 1:
            return "doubled"
        if alike:
            return alike[0]
    return None


@draws.law(30, quick=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=NAMES, alias=st.sampled_from([None, "AuditData", "auditdata", "RawEventData"]))
@example(names=["raweventdata", "RawEventData"], alias=None)
@example(names=["RAWEVENTDATA", "raweventdata"], alias=None)
@example(names=["x", "rawEventData"], alias="AuditData")
def test_the_exact_name_wins_else_the_only_one(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], alias: str | None
) -> None:
    """Judged by what is staged of a real file, several of a schema in one batch."""
    aliases = {"RawEventData": alias} if alias else {}
    lab = Lab(tmp_path_factory.mktemp("lab"), {"mail": STAGE})
    lab.path = type(lab.path)(lab.path.template, columns=aliases)
    for file in ("a", "b"):
        lab.put(named(names, [f"{file}{n}" for n in range(len(names))]), file)
    with lab.opened:
        done = lab.stage()
        rows = lab.rows("select raw from mail order by 1")

    place = meant(names, aliases)
    if place == "doubled":
        assert len(done.rejected) == 2
        assert "columns for RawEventData of Cloud" in done.rejected[0][1]
    else:
        assert done.rejected == []
        # the lab's id is one of two files' same event: hunts see it once, the table twice
        assert {raw for (raw,) in rows} <= {None if place is None else f"{f}{place}" for f in "ab"}
        assert rows


def test_columns_of_times_that_differ_in_case_shift_nothing(lab: Lab) -> None:
    """A shipper's own `timestamp` before `Timestamp` does not move events."""
    late = pa.array([NOON.replace(hour=17)], pa.timestamp("us", "UTC"))
    table = good(1)
    lab.put(pa.Table.from_arrays([late, *table.columns], names=["timestamp", *table.column_names]))
    lab.stage()

    assert lab.rows("select event_time from mail") == [(NOON,)]


def test_footer_of_a_large_file_tells_the_hours_of_the_right_column(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a nested column's path reads like the name."""
    monkeypatch.setattr("gundog.staging.reading._LARGE", 0)
    late = pa.array([NOON.replace(hour=17)], pa.timestamp("us", "UTC"))
    nested = pa.StructArray.from_arrays([late], ["time"])
    lab.path = type(lab.path)(lab.path.template, columns={"Timestamp": "event.time"})
    table = good(1).rename_columns(["event.time", "Id", "RawEventData", "Score", "Flag"])
    names = ["event", "EVENT.TIME", *table.column_names]
    lab.put(pa.Table.from_arrays([nested, late, *table.columns], names=names))
    lab.stage()

    assert lab.rows("select hour from source_hours") == [(NOON,)]
    assert lab.rows("select min_time from source_files") == [(NOON,)]


def test_column_with_a_name_of_duckdbs_own_changes_no_file(lab: Lab) -> None:
    """Rows keep the file that they came from, whatever a column of it says."""
    for first, name in enumerate(["file_index", "FILE_INDEX", "file_row_number", "filename"]):
        ids = range(3 * first, 3 * first + 3)
        for number in ids:
            lab.put(good(number, **{name: pa.array([7])}), f"f{number}")
        assert lab.stage().rejected == [], name

        found = lab.rows("select id, parse_filename(path, true) from source_files"
                         f" join {lab.stages[0].table} using (file_id) order by 1")  # fmt: skip
        assert found[-3:] == [(number, f"f{number}") for number in ids], name


ODD = ['a"b', "a\nb", "a\x00b", "", " ", "x" * 100_000, "İ", "\u212aind", "rowid", "a.b", "'"]


@pytest.mark.slow
def test_odd_names_beside_are_only_extra(lab: Lab) -> None:
    """And an alias reaches them."""
    for place, name in enumerate(ODD):
        template = f"lake/date=%Y-%m-%d/{place}.parquet"
        lab.path = type(lab.path)(template, columns={"RawEventData": name})
        lab.put(named([name], [f"odd {place}"]), str(place))

        assert lab.stage().rejected == [], name[:9]
        read = lab.rows(f"select raw from {lab.stages[0].table}")
        assert sorted(read) == sorted((f"odd {n}",) for n in range(place + 1)), name[:9]


@pytest.mark.slow
def test_ten_thousand_columns_are_read(lab: Lab) -> None:
    """Also where every one has another in capitals."""
    names = [f"{letter}{n}" for n in range(5_000) for letter in "aA"]
    lab.put(good(1, **dict.fromkeys(names, pa.array([1]))))

    assert lab.stage().rejected == []
    assert lab.rows("select id from mail") == [(1,)]


def not_utf8(table: pa.Table, path: Path, name: bytes) -> bytes:
    """The file with the first letter of a column's name made a byte that is not UTF-8."""
    pq.write_table(table, path, store_schema=False)
    return path.read_bytes().replace(name, b"\xff" + name[1:])


def test_name_that_is_not_utf8_rejects_the_file_alone(lab: Lab, tmp_path: Path) -> None:
    """One flipped byte, in a column that is read, not read, or nested."""
    nested = pa.array([{"Inner": 1}])
    table = good(1, Extra=pa.array(["q"]), Nested=nested)
    names = ["Extra", "Inner", "Nested", "Score"]
    for name in names:
        lab.put(not_utf8(table, tmp_path / "x", name.encode()), name)
    lab.put(good(7), "fine")
    told = dict(lab.stage().rejected)

    assert sorted(told) == [f"lake/date=2026-03-09/{name}.parquet" for name in names]
    for error in told.values():
        assert "\\xff" in error
        assert "is not UTF-8" in error
    assert lab.rows("select id from mail") == [(7,)]


def test_two_columns_of_a_name_are_named(tmp_path: Path) -> None:
    """Neither is taken by chance."""
    with pytest.raises(DoubledColumnError, match="2 columns for FileName of P: FILENAME and filen"):
        columns.find(["filename", "FILENAME"], "P", "FileName", {})


@pytest.mark.parametrize("seed", draws.spread(range(8), 8))
def test_damaged_files_stop_nothing(lab: Lab, tmp_path: Path, seed: int) -> None:
    """Bytes flipped, cut or repeated anywhere, footers above all: named or read, never raised."""
    draw = random.Random(seed)  # noqa: S311 - bytes to flip
    pq.write_table(good(*range(50), Nested=pa.array([{"a": [1]}] * 50)), tmp_path / "x")
    whole = (tmp_path / "x").read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for number in range(20):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            content[draw.randrange(footer if draw.random() < 0.8 else 0, len(content))] = (
                draw.randrange(256)
            )
        lab.put(bytes(content), f"bad{number:02}")
    lab.put(good(1_000_000), "fine")
    done = lab.stage()

    assert done.files == 21
    assert done.of(FileOutcome.STORE_GONE) == []
    assert 0 < len(done.rejected) < 21
    assert lab.rows("select count(*) from mail where id = 1000000") == [(1,)]
