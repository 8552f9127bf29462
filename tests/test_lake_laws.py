"""One lake in several formats gives the same rows, findings and evidence, whatever happens to it.

Events come late, twice, in files that grow, in files that are compacted; nothing but the names of
files differs.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from gundog.lake.path import LakePath
from tests import kit
from tests.draws import law
from tests.lab import NOON, STAGE, Lab
from tests.test_json_lines import _SCHEMA, PACKINGS, enveloped, plain, row, text

pytestmark = pytest.mark.usefixtures("all_cores")

deltalake = pytest.importorskip("deltalake")

Row = Mapping[str, Any]
DAY = timedelta(days=1)


def a_row(number: int) -> dict[str, Any]:
    """The event of that number, the same wherever it is delivered."""
    return row(
        number,
        Timestamp=NOON + timedelta(hours=number % 40, microseconds=number),
        RawEventData=json.dumps({"Who": f"w{number % 3}", "n": number, "text": 'ü "x"\n'}),
        Score=number / 3,
        Flag=number % 2 == 0,
        TenantId=[None, "t-1"][number % 2],
    )


# ---- formats ----


def lines(rows: Sequence[Row], table: str) -> bytes:
    """Flat rows, which name no table."""
    del table
    return text([plain(some) for some in rows])


def envelopes(rows: Sequence[Row], table: str) -> bytes:
    """Rows as the Streaming API writes them."""
    return text([enveloped(some, table) for some in rows])


def mixed(rows: Sequence[Row], table: str) -> bytes:
    """Rows of another table between them, some in wrappers."""
    other = enveloped({"Timestamp": "2026-01-01"}, "Other")
    return text(
        [
            {"records": [other, enveloped(some, table)]} if place % 3 else enveloped(some, table)
            for place, some in enumerate(rows)
        ]
    )


FORMATS: dict[str, tuple[str, Callable[[Sequence[Row], str], bytes]]] = {
    "plain": ("json", lines),
    "gz": ("json.gz", lambda rows, table: gzip.compress(lines(rows, table), mtime=0)),
    "zst": (
        "json.zst",
        lambda rows, table: PACKINGS["a.ndjson.zst"](envelopes(rows, table)),
    ),
    "enveloped": ("json", envelopes),
    "mixed": ("json", mixed),
}


class Lake:
    """A lab whose lake is kept in one format."""

    def __init__(self, root: Path, kind: str) -> None:
        self.kind, self.lab = kind, Lab(root, {"mail": STAGE})
        self.ending, self.pack = FORMATS.get(kind, ("parquet", lines))
        self.lab.path = LakePath(f"lake/date=%Y-%m-%d/*.{self.ending}")
        if kind == "delta":
            self.lab.path = LakePath("lake", partition_by="event", said_format="delta")
        self.files: dict[str, list[Row]] = {}

    def add(self, place: str, rows: Sequence[Row]) -> None:
        """Adds rows to a file, which may be new."""
        self.files.setdefault(place, []).extend(rows)
        if self.kind == "delta":
            some = pa.Table.from_pylist([dict(item) for item in rows], _SCHEMA)
            deltalake.write_deltalake(str(self.lab.root / "lake"), some, mode="append")
        else:
            self._write(place)

    def compact(self) -> None:
        """Puts the rows of all files into one new file, in place of them."""
        if self.kind == "delta":
            deltalake.DeltaTable(str(self.lab.root / "lake")).optimize.compact()
            return
        for place in self.files:
            self._path(place).unlink()
        rows = [some for kept in self.files.values() for some in kept]
        place = f"date=2026-03-09/merged{len(rows)}-{len(self.files)}"
        self.files = {place: rows}
        self._write(place)

    def _path(self, place: str) -> Path:
        return self.lab.root / f"lake/{place}.{self.ending}"

    def _write(self, place: str) -> None:
        path, rows = self._path(place), self.files[place]
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.kind == "parquet":
            pq.write_table(pa.Table.from_pylist([dict(some) for some in rows], _SCHEMA), path)
        else:
            path.write_bytes(self.pack(rows, "Cloud"))

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows that count, but for their files."""
        table = self.lab.stages[0].table
        return self.lab.rows(
            f"select * exclude (file_id, is_copy) from {table} where not is_copy order by all"
        )


Step = tuple[str, str, tuple[int, ...]]
_PLACES = [f"date=2026-03-{day:02}/{name}" for day in (9, 10) for name in "ab"]
_STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.sampled_from(_PLACES),
            st.lists(st.integers(0, 30), min_size=1, max_size=6).map(tuple),
        ),
        st.tuples(st.just("compact"), st.just(""), st.just(())),
        st.tuples(st.just("stage"), st.just(""), st.just(())),
    ),
    max_size=8,
)
# A file that grows after it was read, a late one, one that comes again, and all of it merged.
PLANTED: list[Step] = [
    ("add", _PLACES[0], (1, 2, 3)), ("stage", "", ()), ("add", _PLACES[0], (4, 30)),
    ("add", _PLACES[3], (2, 5)), ("stage", "", ()), ("compact", "", ()), ("stage", "", ()),
    ("add", _PLACES[1], (1, 6)),
]  # fmt: skip


# Of the JSON formats one that is read on from where it ended, and one that cannot be.
_PLANTED_KINDS = ("plain", "gz", "zst", "enveloped", "mixed")


def run(root: Path, kind: str, steps: Sequence[Step]) -> list[tuple[Any, ...]]:
    """What is staged of a lake to which these things happened."""
    lake = Lake(root / kind, kind)
    for step, place, numbers in [("add", _PLACES[0], (0,)), *steps, ("stage", "", ())]:
        if step == "add":
            lake.add(place, [a_row(number) for number in numbers])
        elif step == "compact":
            lake.compact()
        else:
            assert lake.lab.stage().rejected == []
    rows = lake.rows()
    lake.lab.opened.close()
    return rows


@pytest.mark.slow
@given(steps=_STEPS, kinds=st.sampled_from([("plain", "gz"), ("enveloped", "zst"), ("mixed",)]))
@example(steps=PLANTED, kinds=_PLANTED_KINDS)
@law(12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_are_the_same_in_every_format(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[Step], kinds: Sequence[str]
) -> None:
    """With late files, appends, compactions and redelivery; each event counts once."""
    root = tmp_path_factory.mktemp("lakes")
    expected = run(root, "parquet", steps)

    numbers = {number for _, _, some in steps for number in some} | {0}
    assert len(expected) == len(numbers)
    for kind in (*kinds, "delta"):
        assert run(root, kind, steps) == expected, kind


# ---- whole runs ----

THINGS = pa.schema(
    [("Timestamp", pa.timestamp("us", "UTC")), ("Id", pa.int64()), ("Kind", pa.string()),
     ("Who", pa.string()), ("N", pa.int64())]
)  # fmt: skip


def hunted(root: Path, kind: str, nights: Sequence[Sequence[Row]]) -> dict[str, Any]:
    """What nights publish of a lake to which these rows come, but for the names of files."""
    kit.make_project(root)
    ending, pack = FORMATS.get(kind, ("parquet", lines))
    entry = f"{{Things: lake/date=%Y-%m-%d/*.{ending}}}"
    if kind == "delta":
        entry = "{Things: {path: lake, format: delta}}"
    paths = "{Things: lake/date=%Y-%m-%d/*.parquet}"
    kit.write_text(root / "gundog.yaml", kit.CONFIG.replace(paths, entry))
    for night, rows in enumerate(nights):
        some = pa.Table.from_pylist([dict(item) for item in rows], THINGS)
        path = kit.write_text(root / f"lake/date=2026-03-08/{night}.{ending}", "")
        if kind == "delta":
            path.unlink()
            deltalake.write_deltalake(str(root / "lake"), some, mode="append")
        elif kind == "parquet":
            pq.write_table(some, path)
        else:
            path.write_bytes(pack(rows, "Things"))
        kit.hunt(root, ("2026-03-08", "2026-03-09"))
    hidden = "run_id, created_at, updated_at, detection_hash"
    return {
        "findings": kit.table(
            root, f"select * exclude ({hidden}) from findings order by finding_id"
        ),
        "evidence": kit.table(root, "select * exclude (source_file) from evidence order by all"),
        "changes": kit.table(
            root, "select finding_id, change, reason from finding_changes order by all"
        ),
    }


NIGHTS = [
    [kit.event("2026-03-08T01:00:00.123456Z", "open", number=1),
     kit.event("2026-03-08T02:00:00Z", "other", "b", number=2, n=-1)],
    [kit.event("2026-03-08T03:00:00Z", "close", number=3),
     kit.event("2026-03-08T01:00:00.123456Z", "open", number=1)],
]  # fmt: skip


@pytest.mark.slow  # quick: test_findings_equal_those_of_parquet of test_json_lines
@pytest.mark.parametrize("kind", ["mixed", "plain", "gz", "zst", "enveloped", "delta"])
def test_findings_and_evidence_are_the_same_in_every_format(tmp_path: Path, kind: str) -> None:
    """The second night brings the late half of a pair, and the first half again."""
    expected = hunted(tmp_path / "parquet", "parquet", NIGHTS)

    assert len(expected["findings"]) == 1
    assert hunted(tmp_path / kind, kind, NIGHTS) == expected
