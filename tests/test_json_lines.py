"""Tests of staging.json_lines: JSON lines give the rows that the same events give as parquet."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from gundog.lake.path import LakePath
from gundog.run import run, status
from gundog.staging import reading, stage
from gundog.staging.batch import Batch, Failed, Limits, Read, Task
from tests import draws, kit
from tests.lab import NOON, STAGE, Lab

Row = Mapping[str, Any]
_SCHEMA = pa.schema(
    [
        ("Timestamp", pa.timestamp("us", "UTC")),
        ("Id", pa.int64()),
        ("RawEventData", pa.string()),
        ("Score", pa.float64()),
        ("Flag", pa.bool_()),
        ("TenantId", pa.string()),
    ]
)
_ZSTD = pa.Codec("zstd")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab that reads JSON lines."""
    return json_lab(tmp_path)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    yield from kept_lab(tmp_path_factory)


@pytest.fixture
def reads(kept: Lab) -> Lab:
    """A lab for `read`, which stages nothing."""
    kept.path = LakePath(kept.path.template)
    return kept


def kept_lab(factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One for many files, each in place of the one before it: nothing is staged."""
    made = json_lab(factory.mktemp("kept"))
    yield made
    made.opened.close()


def json_lab(root: Path, name: str = "*.json", **options: Any) -> Lab:
    """A lab whose files are JSON lines."""
    lab = Lab(root, {"mail": STAGE})
    lab.path = LakePath(f"lake/date=%Y-%m-%d/{name}", **options)
    return lab


def row(number: int, **values: Any) -> dict[str, Any]:
    """An event as parquet holds it."""
    return {
        "Timestamp": NOON + timedelta(seconds=number, microseconds=123456), "Id": number,
        "RawEventData": '{"Who": "ana", "n": 1.50}', "Score": 0.5, "Flag": True, "TenantId": None,
    } | values  # fmt: skip


def plain(some: Row) -> dict[str, Any]:
    """An event as JSON holds it."""
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in some.items()
    }


def enveloped(some: Row, table: str = "Cloud") -> dict[str, Any]:
    """An event as the Streaming API writes it."""
    return {
        "time": "2026-03-09T12:00:09Z", "tenantId": some.get("TenantId") or "",
        "operationName": "Publish", "category": f"AdvancedHunting-{table}",
        "properties": plain(some),
    }  # fmt: skip


def text(objects: Sequence[Any], newline: str = "\n") -> bytes:
    """JSON lines."""
    return "".join(json.dumps(item) + newline for item in objects).encode()


def put(lab: Lab, content: bytes, name: str = "a.json", day: str = "2026-03-09") -> Path:
    """A file in the lab's lake."""
    path = lab.root / f"lake/date={day}/{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def staged(lab: Lab) -> list[tuple[Any, ...]]:
    """All staged rows, and what is counted of them, but for file names."""
    ids = dict(lab.rows("select file_id, parse_filename(path, true) from source_files"))
    kept = lab.rows("select * exclude (file_id), file_id from staged_mail order by all")
    counted = lab.rows("select * exclude (file_id), file_id from source_hours order by all")
    stages = lab.rows("select * exclude (file_id), file_id from file_stages order by all")
    return [(*rest, ids[key].split(".")[0]) for *rest, key in (*kept, *counted, *stages)]


def view(lab: Lab) -> None:
    """Makes `staged_mail` stand for the staged rows."""
    lab.con.execute(f"create or replace temp view staged_mail as from {lab.stages[0].table}")


def result(lab: Lab) -> list[tuple[Any, ...]]:
    """Stages the lab's lake and gives all rows."""
    assert lab.stage().rejected == []
    view(lab)
    return staged(lab)


def as_parquet(root: Path, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """What the same rows give as parquet."""
    lab = Lab(root, {"mail": STAGE})
    lab.put(pa.Table.from_pylist([dict(some) for some in rows], _SCHEMA))
    try:
        return result(lab)
    finally:
        lab.opened.close()


def read(lab: Lab, content: bytes, name: str = "a.json") -> Read | Failed:
    """What reading one file gives."""
    lab.tmp.mkdir(exist_ok=True)
    path = put(lab, content, name)
    (file,) = [file for file in lab.listed() if file.path.endswith(name)]
    task = Task(file, 7, tuple(lab.stages))
    limits = Limits(500_000_000, 1, lab.tmp)
    return reading.read(
        Batch(((task, path),), lab.source, {}, limits, lab.path.format, lab.path.exporter)
    )


def rows_of(outcome: Read | Failed) -> list[dict[str, Any]]:
    """The rows that a read gave its stage."""
    assert isinstance(outcome, Read), outcome
    rows: list[dict[str, Any]] = outcome.rows["mail"].open().read_all().to_pylist()
    return sorted(rows, key=lambda some: (some["id"] is None, some["id"]))


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "a.json": lambda content: content,
    "a.json.gz": gzip.compress,
    "a.ndjson.zst": lambda content: bytes(_ZSTD.compress(content, asbytes=True)),
}
SHAPES: dict[str, Callable[[Sequence[Row]], bytes]] = {
    "plain": lambda rows: text([plain(some) for some in rows]),
    "log analytics": lambda rows: text(
        [plain(some) | {"TimeGenerated": "2026-01-01", "Type": "Cloud_CL"} for some in rows]
    ),
    "envelope": lambda rows: text([enveloped(some) for some in rows]),
    "mixed": lambda rows: text(
        [
            item
            for some in rows
            for item in (enveloped(some), enveloped({"Timestamp": "2026-01-01"}, "Other"))
        ]
    ),
    "crlf and blank lines": lambda rows: text([plain(some) for some in rows], "\r\n\r\n"),
    "byte order mark": lambda rows: b"\xef\xbb\xbf" + text([plain(some) for some in rows]),
    "no newline at the end": lambda rows: text([plain(some) for some in rows])[:-1],
}

FIRST = "the first is line 2 (blank lines not counted)"
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_ROWS = st.lists(
    st.builds(
        row,
        st.integers(0, 5000),
        Id=st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        RawEventData=st.one_of(st.none(), _TEXTS, st.dictionaries(_TEXTS, _TEXTS).map(json.dumps)),
        Score=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
        Flag=st.one_of(st.none(), st.booleans()),
        TenantId=st.one_of(st.none(), st.sampled_from(["", "t-1", "t-2"])),
    ),
    min_size=1,
    max_size=12,
)


@given(rows=_ROWS, shape=st.sampled_from(sorted(SHAPES)), packing=st.sampled_from(sorted(PACKINGS)))
@draws.law(30, quick=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_equal_those_of_parquet(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], shape: str, packing: str
) -> None:
    """Whatever the values, who wrote them and how they are packed."""
    root = tmp_path_factory.mktemp("law")
    lab = json_lab(root / "json", "*.*", said_format="json")
    put(lab, PACKINGS[packing](SHAPES[shape](rows)), packing)

    got = result(lab)
    lab.opened.close()

    assert got == as_parquet(root / "parquet", rows)


def rows_of_shape(shape: str) -> list[dict[str, Any]]:
    """Rows that no other shape has."""
    return [row(1000 * sorted(SHAPES).index(shape) + number) for number in range(40)]


@pytest.fixture(scope="module")
def of_parquet(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """What a parquet file for each shape gives, the name of its file at the end."""
    lab = Lab(tmp_path_factory.mktemp("parquet"), {"mail": STAGE})
    for shape in SHAPES:
        name = shape.replace(" ", "-")
        lab.put(pa.Table.from_pylist(rows_of_shape(shape), _SCHEMA), name)
    try:
        return result(lab)
    finally:
        lab.opened.close()


# Those whose bytes are written again, or begin or end in their own way; packed in `make test` too.
_ENDS = ("byte order mark", "mixed", "no newline at the end")
_MIDDLES = tuple(sorted({*SHAPES} - {*_ENDS}))


@pytest.mark.parametrize(
    ("packing", "shapes"),
    [
        ("a.json", tuple(sorted(SHAPES))),
        ("a.json.gz", _ENDS),
        ("a.ndjson.zst", _ENDS),
        pytest.param("a.json.gz", _MIDDLES, marks=pytest.mark.slow),
        pytest.param("a.ndjson.zst", _MIDDLES, marks=pytest.mark.slow),
    ],
)
def test_every_shape_and_packing(
    tmp_path: Path,
    of_parquet: list[tuple[Any, ...]],
    packing: str,
    shapes: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file of each shape gives the rows of parquet, found by the names of its files alone."""
    monkeypatch.setattr(stage, "BATCH_FILES", 1)  # no shape is read with the help of another
    lab = json_lab(tmp_path, "*" + packing[1:])
    for shape in shapes:
        packed = PACKINGS[packing](SHAPES[shape](rows_of_shape(shape)))
        put(lab, packed, shape.replace(" ", "-") + packing[1:])

    got = result(lab)

    names = {shape.replace(" ", "-") for shape in shapes}
    assert len(got) > 40 * len(shapes)
    assert sorted(got, key=repr) == sorted((r for r in of_parquet if r[-1] in names), key=repr)


BROKEN = (
    b"no JSON", b'{"Id": 7', b"[1, 2]", b"7", b'"text"', b"null", b'{"Id": "\xff"}', b"\x00",
    b'{"Id": 1} {"Id": 2}', b'{"Id": "\\ud800"}',
)  # fmt: skip


@pytest.mark.parametrize(
    "shapes",
    [("plain", "envelope"), pytest.param(("envelope", "plain"), marks=pytest.mark.slow)],
)
def test_broken_line_is_a_rejected_row_with_its_reason(lab: Lab, shapes: tuple[str, str]) -> None:
    """The lines before and after it are read, whatever it holds; the shapes take turns."""
    for place, broken in enumerate(BROKEN):
        shape = shapes[place % 2]
        content = SHAPES[shape]([row(1)]) + broken + b"\n" + SHAPES[shape]([row(2)])
        put(lab, content, f"{place:02}.json")

    lab.stage()

    view(lab)
    rows = lab.rows("select file_id, id, reject_reason from staged_mail order by all")
    files = lab.rows("select file_id, state, rows, rejected_rows, error from source_files")
    said = ("staged", 3, 1, f"1 line is not a JSON object, {FIRST}")
    assert [told for _, *told in files] == [[*said]] * len(BROKEN)
    assert rows == [
        (key, *values)
        for key in sorted(key for key, *_ in files)
        for values in ((1, None), (2, None), (None, "no Timestamp"))
    ]


@pytest.mark.parametrize("shape", ["plain", "envelope"])
def test_envelope_without_properties_is_a_rejected_row(lab: Lab, shape: str) -> None:
    """So is an empty object."""
    lines = [enveloped(row(1)), {"category": "AdvancedHunting-Cloud"}, {"properties": "text"}, {}]
    put(lab, text(lines))

    lab.stage()

    assert lab.rows("select rows, rejected_rows from source_files") == [(4, 3)]


def test_line_cut_off_at_the_end_waits_for_the_next_version(lab: Lab) -> None:
    """It is not a rejected row, and is read when it is whole."""
    whole = text([plain(row(number)) for number in range(3)])
    last = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for end in (last + 1, len(whole) - 2):
        put(lab, whole[:end])
        lab.stage()
        view(lab)
        assert lab.rows("select id, reject_reason from staged_mail order by id") == [
            (0, None), (1, None)
        ]  # fmt: skip
        ((rejected, error),) = lab.rows("select rejected_rows, error from source_files")
        assert rejected == 0
        assert error == f"the last line is cut off after {end - last} bytes and waits for the rest"

    put(lab, whole[:-1])
    lab.stage()
    view(lab)
    assert lab.rows("select id, reject_reason from staged_mail order by id") == [
        (0, None), (1, None), (2, None)
    ]  # fmt: skip
    assert lab.rows("select error from source_files") == [(None,)]


@pytest.mark.parametrize("packing", ["a.json.gz", "a.ndjson.zst"])
def test_cut_packed_file_is_named(tmp_path: Path, packing: str) -> None:
    """Wherever it is cut, not one of its rows counts: a part of it would look like all."""
    lab = json_lab(tmp_path, "*" + packing[1:])
    rows = [plain(row(number, RawEventData=str(number) * 50)) for number in range(500)]
    content, cuts = PACKINGS[packing](text(rows)), (1, 3, 9, 200)
    for cut in cuts:
        put(lab, content[: max(5, len(content) - cut)], f"{cut}{packing[1:]}")

    rejected = dict(lab.stage().rejected)

    assert {Path(path).name for path in rejected} == {f"{cut}{packing[1:]}" for cut in cuts}
    assert all("is cut off" in error for error in rejected.values()), rejected
    assert lab.rows("select state, rows from source_files") == [("rejected", 0)] * len(cuts)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"Obj\x01\x04\x14avro.codec", "is Avro, which gundog does not read"),
        (b"PAR1 and more", "is parquet, not JSON"),
        (b' [\n{"Id": 1},\n{"Id": 2}\n]\n', "is a JSON array: write one object on each line"),
        (b'[{"Id": 1}, {"Id": 2}]\n', "is a JSON array: write one object on each line"),
        (b'{\n"Id": 1\n}\n', "has no line that is a JSON object: write one object on each line"),
        (gzip.compress(b"Obj\x01\x04", mtime=0), "is Avro"),
        (gzip.compress(b"{}\n", mtime=0) + b"junk", "is not whole gzip data"),
    ],
)
def test_other_formats_are_named(reads: Lab, content: bytes, why: str) -> None:
    """With what to do."""
    failed = read(reads, content)

    assert isinstance(failed, Failed)
    assert failed.error.startswith(why)


def test_rows_in_a_wrapper_are_rows(reads: Lab) -> None:
    """As diagnostic settings and Event Hubs consumers write them, among lines of other kinds."""
    several = {"records": [enveloped(row(1)), enveloped(row(2), "Other"), 7, enveloped(row(3))]}
    lines = [several, enveloped(row(4)), {"records": []}, {"records": [enveloped(row(5))]}]

    outcome = read(reads, text(lines) + b"broken\n")

    assert [some["id"] for some in rows_of(outcome)] == [1, 3, 4, 5, None, None]
    assert isinstance(outcome, Read)
    assert outcome.remarks_on(outcome.tasks[0]).other_rows == 1
    flat = {"records": [plain(row(6, RawEventData='a,"b"\n\\x01\x01', Score=1.5))]}
    (some,) = rows_of(read(reads, text([flat]), "b.json"))
    assert (some["id"], some["raw"], some["score"]) == (6, 'a,"b"\n\\x01\x01', 1.5)


def test_other_things_named_records_are_left_alone(reads: Lab) -> None:
    """An object with more keys, or with something else in it, is the row itself."""
    lines = [plain(row(1)) | {"records": [plain(row(2))]}, {"records": {"Id": 3}}, plain(row(4))]

    assert [some["id"] for some in rows_of(read(reads, text(lines)))] == [1, 4, None]


def test_odd_values_stay_as_they_are(reads: Lab) -> None:
    """Deep nesting, repeated keys, a zero byte, numbers beyond range."""
    deep = "[" * 10_000 + "]" * 10_000
    lines = [
        '{"Timestamp": "2026-03-09T12:00:00.1234567Z", "Id": 1, "RawEventData": DEEP}',
        '{"Timestamp": "2026-03-09T12:00:00Z", "Id": 2, "Id": 3, "RawEventData": {"b":1,"a":[2]}}',
        '{"Timestamp": "2026-03-09T12:00:00Z", "Id": 4, "RawEventData": "\\u0000"}',
        '{"Timestamp": "2026-03-09T12:00:00Z", "Id": 1e300, "Score": 1e400, "Flag": "maybe"}',
    ]
    got = rows_of(read(reads, "\n".join(lines).replace("DEEP", deep).encode()))

    assert [(some["id"], some["raw"], some["score"], some["flag"]) for some in got] == [
        (1, deep, None, None), (2, '{"b":1,"a":[2]}', None, None), (4, "\x00", None, None),
        (None, None, float("inf"), None),
    ]  # fmt: skip
    assert [some["reject_reason"] for some in got] == [None] * 4


def test_names_are_matched_as_in_parquet(lab: Lab) -> None:
    """In any case, through aliases, the exact spelling first; the rest is missing or besides."""
    lab.path = LakePath(lab.path.template, columns={"Timestamp": "When", "Score": "Points"})
    lines = [{"when": "2026-03-09T12:00:00Z", "ID": 1}] * 3 + [{"Points": 2.5, "Other": 1}]
    put(lab, text(lines))
    put(lab, text([{"When": "2026-03-09T12:00:00Z", "Id": 7, "id": 8, "Flag": True}]), "b.json")

    assert lab.stage().rejected == []

    view(lab)
    assert lab.rows("select id, score, flag from staged_mail order by all") == [
        (1, None, None), (1, None, None), (1, None, None), (7, None, True), (None, 2.5, None)
    ]  # fmt: skip
    assert lab.rows("select missing_columns, cast_columns from source_files order by path") == [
        (["RawEventData", "Flag"], []), (["RawEventData", "Score"], [])
    ]  # fmt: skip


def test_names_that_may_both_be_meant_reject_the_file(reads: Lab) -> None:
    """As in parquet."""
    failed = read(reads, text([{"Timestamp": "2026-03-09", "ID": 1, "id": 2}]))

    assert isinstance(failed, Failed)
    assert "2 columns for Id of Cloud: ID and id" in failed.error


def test_file_of_several_tables_gives_each_source_its_rows(reads: Lab) -> None:
    """By the category of an envelope, or the type of a flat row."""
    lines = [enveloped(row(1)), enveloped(row(2), "Other"), enveloped(row(3), "cloud")]
    flat = [
        plain(row(number)) | {"TimeGenerated": "2026-03-09", "Type": name}
        for number, name in enumerate(["Cloud", "Other", "Cloud_CL", "CloudAppEvents", ""])
    ]

    assert [some["id"] for some in rows_of(read(reads, text(lines)))] == [1, 3]
    outcome = read(reads, text(flat), "b.json")
    assert [some["id"] for some in rows_of(outcome)] == [0, 2, 4]
    assert isinstance(outcome, Read)
    remarks = outcome.remarks_on(outcome.tasks[0])
    assert (remarks.exporter, remarks.other_rows) == ("log-analytics", 2)


def test_exporter_can_be_said(reads: Lab) -> None:
    """Then the names of keys decide nothing."""
    flat = [{"TimeGenerated": "2026-03-09T12:00:00Z", "Type": "Other", "Id": 1}]
    assert rows_of(read(reads, text(flat))) == []

    reads.path = LakePath(
        reads.path.template, exporter="plain", columns={"Timestamp": "TimeGenerated"}
    )
    assert [some["id"] for some in rows_of(read(reads, text(flat)))] == [1]

    reads.path = LakePath(reads.path.template, exporter="streaming-api")
    assert [some["reject_reason"] for some in rows_of(read(reads, text(flat)))] == ["no Timestamp"]


def test_log_analytics_time_and_the_tenant_of_an_envelope_are_read(reads: Lab) -> None:
    """Where a row has no Timestamp of its own, or no TenantId."""
    flat = [{"TimeGenerated": "2026-03-09T12:00:00Z", "Type": "Cloud", "Id": 1}]
    own = enveloped(row(2, TenantId="own")) | {"tenantId": "outer"}
    outer = enveloped(row(3)) | {"tenantId": "outer"}

    (some,) = rows_of(read(reads, text(flat)))
    assert some["event_time"] == NOON
    rows = rows_of(read(reads, text([own, outer]), "b.json"))
    assert [some["tenant"] for some in rows] == ["own", "outer"]


def test_empty_file_has_no_rows(reads: Lab) -> None:
    """A blob that was made and not written yet."""
    for place, content in enumerate((b"", b"\n\n", gzip.compress(b"", mtime=0))):
        assert rows_of(read(reads, content, f"{place}.json")) == []


def test_file_that_grows_while_it_is_read_counts_as_listed(lab: Lab) -> None:
    """What came after the listing is read by the next run; a shorter file is another one."""
    path = put(lab, text([plain(row(1)), plain(row(2))]))
    files = lab.listed()
    with path.open("ab") as more:
        more.write(text([plain(row(3))]))

    assert lab.stage(files).rejected == []
    view(lab)
    assert lab.rows("select id from staged_mail order by id") == [(1,), (2,)]
    assert lab.stage().files == 1
    assert lab.rows("select id from staged_mail order by id") == [(1,), (2,), (3,)]

    path.write_bytes(text([plain(row(number)) for number in range(9)]))
    files = lab.listed()
    path.write_bytes(b"{}\n")
    ((_, why),) = lab.stage(files).rejected
    assert "changed since it was listed" in why


def test_one_bad_file_costs_no_other_its_rows(lab: Lab) -> None:
    """Files are read together, and apart where one of them fails."""
    for number in range(4):
        put(lab, text([plain(row(number))]), f"{number}.json")
    put(lab, b"Obj\x01", "avro.json")

    ((path, error),) = lab.stage().rejected

    assert path.endswith("avro.json")
    assert "is Avro" in error
    view(lab)
    assert lab.rows("select id from staged_mail order by id") == [(0,), (1,), (2,), (3,)]


def findings_of(root: Path) -> list[tuple[Any, ...]]:
    """Findings with their evidence and what is known of files, but for their names."""
    hidden = "exclude (run_id, created_at, updated_at, detection_hash)"
    return [
        *kit.table(root, f"select * {hidden} from findings order by finding_id"),
        *kit.table(root, "select * exclude (source_file) from evidence order by all"),
        *kit.table(root, "select rows, rejected_rows, state from source_files order by path"),
    ]  # fmt: skip


@pytest.mark.slow
def test_findings_equal_those_of_parquet(tmp_path: Path) -> None:
    """A whole run over enveloped lines, packed and plain, read in a process of its own."""
    days = {
        "2026-03-07": [kit.event("2026-03-07T05:00:00Z", "open", number=1)],
        "2026-03-08": [
            kit.event("2026-03-08T01:00:00Z", "close", number=2),
            kit.event("2026-03-08T02:00:00Z", "open", "b", number=3),
            kit.event("2026-03-08T03:00:00Z", "close", "b", number=4, n=-1),
        ],
    }
    roots = {kind: kit.make_project(tmp_path / kind) for kind in ("parquet", "json")}
    config = kit.CONFIG.replace("*.parquet}", "*.json.gz}")
    kit.write_text(roots["json"] / "gundog.yaml", config)
    for day, rows in days.items():
        kit.write_file(roots["parquet"], day, rows, tenant="t")
        content = text([enveloped(some, "Things") | {"tenantId": "t"} for some in rows])
        path = kit.write_text(roots["json"] / f"lake/date={day}/a.json.gz", "")
        path.write_bytes(gzip.compress(content))

    for root in roots.values():
        kit.hunt(root, ("2026-03-08", "2026-03-09"))

    assert len(kit.table(roots["json"], "from findings")) == 1
    assert findings_of(roots["json"]) == findings_of(roots["parquet"])


@pytest.mark.parametrize("first", draws.spread(["parquet", "json"]))
def test_day_that_is_reached_by_parquet_and_by_json_counts_once(tmp_path: Path, first: str) -> None:
    """Whoever leaves a conversion job has both for a while, in either order of arrival."""
    root = kit.make_project(tmp_path)
    paths = ["lake/date=%Y-%m-%d/*.parquet", "blobs/date=%Y-%m-%d/PT1H.json"]
    config = kit.CONFIG.replace(f"{{Things: {paths[0]}}}", json.dumps({"Things": paths}))
    kit.write_text(root / "gundog.yaml", config)
    rows = [
        kit.event("2026-03-08T02:00:00.123456Z", "open", number=3),
        kit.event("2026-03-08T03:00:00Z", "close", number=4),
    ]
    kinds = {
        "parquet": lambda: kit.write_file(root, "2026-03-08", rows),
        "json": lambda: kit.write_text(
            root / "blobs/date=2026-03-08/PT1H.json",
            text([enveloped(some, "Things") for some in rows]).decode(),
        ),
    }
    for kind in sorted(kinds, key=lambda name: name != first):
        kinds[kind]()
        kit.hunt(root, ("2026-03-08", "2026-03-09"))

    assert kit.table(root, "select evidence_count from findings") == [(2,)]
    # That its evidence now names the smaller path is a change, but not a finding of its own.
    changes = kit.table(root, "select change from finding_changes where change <> 'changed'")
    assert changes == [("new",)]
    assert kit.table(root, "select count(*) from source_files where state = 'staged'") == [(2,)]


def test_status_says_which_line_was_not_read(tmp_path: Path) -> None:
    """Beside how many rows were rejected."""
    root = kit.make_project(tmp_path)
    kit.write_text(root / "gundog.yaml", kit.CONFIG.replace("*.parquet}", "*.json}"))
    line = text([enveloped(kit.event("2026-03-08T02:00:00Z", "open"), "Things")]).decode()
    kit.write_text(root / "lake/date=2026-03-08/a.json", f"{line}broken\n{line}")
    kit.hunt(root, ("2026-03-08", "2026-03-09"))

    with duckdb.connect(str(root / ".gundog/findings.duckdb"), read_only=True) as con:
        project = run.load_project(root, {})
        (remark,) = status.read(con, status.known(project), kit.NOW).remarks

    assert remark.text == f"1 row rejected; 1 line is not a JSON object, {FIRST}"
