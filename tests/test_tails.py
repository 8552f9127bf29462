"""Tests of staging.tails: what is added to a file is read alone, and nothing else changes."""

from __future__ import annotations

import gzip
import itertools
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from gundog.lake import json_text
from gundog.lake.path import LakePath
from gundog.staging import read_ends, reading, tails
from gundog.staging.batch import Batch, Failed, FileOutcome, Read
from tests import draws, elsewhere, kit
from tests.faults import Proxy, start_s3
from tests.forks import Fork
from tests.lab import STAGE, Lab
from tests.test_json_lines import enveloped, json_lab, plain, put, row, text

BUCKETS = itertools.count()
_INTERNAL = ("source_hours", "stage_hours", "day_counts", "file_stages", "counted_files")


class Watched:
    """A reader that notes how many bytes of each batch it was asked to read."""

    def __init__(self) -> None:
        self.bytes = 0
        self.tails = list[bool]()

    def __call__(self, batch: Batch) -> Read | Failed:
        for task, _ in batch.files:
            self.bytes += task.file.size - (task.tail.end if task.tail else 0)
            self.tails.append(bool(task.tail))
        return reading.read(batch)


def everything(lab: Lab) -> dict[str, list[tuple[Any, ...]]]:
    """All that the warehouse knows of its files, but for when it was read."""
    hidden = "exclude (created_at, seen_seq, mtime_ns)"
    got = {"files": lab.rows(f"select * {hidden} from source_files order by file_id")}
    for table in _INTERNAL:
        got[table] = lab.rows(f"from {table} order by all")
    for stage in lab.stages:
        got[stage.name] = lab.rows(f"from {stage.table} order by all")
    ends = "select * exclude (mtime_ns) from read_ends order by file_id"
    return got | {"ends": lab.rows(ends)}


def read_whole(root: Path, content: bytes, name: str = "a.json") -> dict[str, Any]:
    """What the warehouse knows when the file is read once."""
    lab = two_stages(root)
    put(lab, content, name)
    lab.stage()
    got = everything(lab)
    lab.opened.close()
    return got


STAGES = {"mail": STAGE, "more": STAGE.replace("from Cloud", "from Cloud where Flag")}


def two_stages(root: Path) -> Lab:
    """A lab with two stages of its source."""
    lab = Lab(root, STAGES)
    lab.path = LakePath("lake/date=%Y-%m-%d/*.json")
    return lab


_LINES = st.lists(
    st.one_of(
        st.builds(
            lambda n, flag, who: text([enveloped(row(n, Id=n, Flag=flag, TenantId=who))]),
            st.integers(0, 9000), st.booleans(), st.sampled_from(["", "t"]),
        ),
        st.sampled_from(
            [
                b"broken\n", b"\n", b"[1]\n", text([enveloped(row(1), "Other")]), text([{}]),
                text([{"category": "", "properties": {"ID": 3, "Timestamp": "2026-03-09"}}]),
                text([{"category": "", "properties": {"Extra": 3}}]),
                text([plain(row(3))]),
            ]
        ),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@given(lines=_LINES, cuts=st.lists(st.integers(0, 4000), min_size=1, max_size=4))
@draws.law(15, quick=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_file_read_as_it_grows_equals_one_read_whole(
    tmp_path_factory: pytest.TempPathFactory, lines: Sequence[bytes], cuts: Sequence[int]
) -> None:
    """Wherever it was cut: rows, counts, marks of copies, remarks, what is published of files."""
    root = tmp_path_factory.mktemp("grows")
    content = text([enveloped(row(0))]) + b"".join(lines)
    lab = two_stages(root / "grown")
    for end in sorted({cut for cut in cuts if cut < len(content)} | {len(content)}):
        put(lab, content[:end])
        lab.stage()
    got = everything(lab)
    lab.opened.close()

    assert got == read_whole(root / "whole", content)


def test_only_what_was_added_is_read(tmp_path: Path) -> None:
    """Each byte once, over many readings; the hours that got no row are not hunted again."""
    lab, watched = two_stages(tmp_path), Watched()
    content = b""
    for turn in range(4):
        content += text([enveloped(row(turn * 3600 + number)) for number in range(50)])
        put(lab, content)
        seq = lab.rows("select coalesce(max(seq), 0) from stage_changes")[0][0]
        lab.stage(reader=watched)
        hours = lab.rows("select hour from stage_changes where seq > ? and stage = 'mail'", [seq])
        assert len(hours) == 1

    assert watched.tails == [False, True, True, True]
    assert watched.bytes == len(content)
    assert lab.rows("select rows from source_files") == [(200,)]


@pytest.mark.parametrize(
    "change", draws.spread(["near the end", "first byte", "shorter", "same size"], every=2)
)
def test_file_that_changed_before_its_end_is_read_whole(tmp_path: Path, change: str) -> None:
    """Rows of the old version do not stay. Only the last 64 KiB before the end are compared."""
    lab, watched = two_stages(tmp_path / "grown"), Watched()
    old = text([enveloped(row(number)) for number in range(100)])
    new = {
        "first byte": b" " + old[1:] + text([enveloped(row(200))]),
        "near the end": old[:-400].replace(b'"Id": 9', b'"Id": 8') + old[-400:] + b"{}\n",
        "shorter": text([enveloped(row(200))]),
        "same size": old.replace(b'"Id": 9', b'"Id": 8'),
    }[change]
    assert len(old) < tails.COMPARED_BYTES
    put(lab, old)
    lab.stage()
    put(lab, new)

    lab.stage(reader=watched)

    assert watched.tails == [False]
    got = everything(lab)
    lab.opened.close()
    assert got == read_whole(tmp_path / "whole", new)


def test_packed_file_is_always_read_whole(tmp_path: Path) -> None:
    """Even where its name does not say so."""
    lab, watched = two_stages(tmp_path), Watched()
    first, second = (gzip.compress(text([enveloped(row(n))])) for n in (1, 2))
    for content in (first, first + second):
        put(lab, content)
        lab.stage(reader=watched)

    assert watched.tails == [False, False]
    assert lab.rows("select rows from source_files") == [(2,)]
    assert lab.rows("from read_ends") == []


@pytest.mark.parametrize(
    "later",
    [
        # A key that is spelled as the column hides the one that was read for it.
        {"Timestamp": "2026-03-09T12:00:00Z", "Id": 5},
        pytest.param(
            {
                "Timestamp": "2026-03-09T12:00:00Z",
                "id": 6,
                "TimeGenerated": "2026",
                "Type": "Other",
            },
            marks=pytest.mark.slow,
        ),
    ],
)
def test_added_line_that_changes_how_others_are_read(tmp_path: Path, later: dict[str, Any]) -> None:
    """Then the file is read whole, in the same run."""
    first = text([{"Timestamp": "2026-03-09T12:00:00Z", "id": 4}])
    lab = two_stages(tmp_path / "grown")
    put(lab, first)
    lab.stage()
    put(lab, first + text([later]))

    assert lab.stage().rejected == []

    got = everything(lab)
    lab.opened.close()
    assert got == read_whole(tmp_path / "whole", first + text([later]))


def test_other_columns_in_gundog_yaml_mean_the_whole_file(tmp_path: Path) -> None:
    """Rows that were read by the old ones do not stay beside new ones."""
    lab = json_lab(tmp_path)
    line = {"Timestamp": "2026-03-09T12:00:00Z", "Id": 1, "Other": 2}
    put(lab, text([line]))
    lab.stage()
    lab.path = LakePath(lab.path.template, columns={"Id": "Other"})
    put(lab, text([line, line]))

    lab.stage()

    assert lab.rows(f"select id from {lab.stages[0].table}") == [(2,), (2,)]


def test_new_stage_reads_a_grown_file_whole(tmp_path: Path) -> None:
    """It has read nothing of it."""
    lab, watched = json_lab(tmp_path), Watched()
    put(lab, text([plain(row(1))]))
    lab.stage()
    lab.write_stages({"more": STAGE})
    put(lab, text([plain(row(1)), plain(row(2))]))

    lab.stage(reader=watched)

    assert watched.tails == [False]
    for stage in lab.stages:
        assert lab.rows(f"select id from {stage.table} order by id") == [(1,), (2,)]


def test_stage_that_fails_on_what_was_added_costs_no_other_its_rows(tmp_path: Path) -> None:
    """It waits for the file; when its SQL reads again, it has all rows once."""
    bad = STAGE.replace("Id as id", "replace(Id::varchar, '7', 'x')::bigint as id")
    lab = Lab(tmp_path, {"mail": STAGE, "more": bad})
    lab.path = LakePath("lake/date=%Y-%m-%d/*.json")
    put(lab, text([plain(row(1))]))
    lab.stage()
    put(lab, text([plain(row(1)), plain(row(7))]))

    staged = lab.stage()

    mail, more = lab.stages
    assert [why for _, why in staged.of(FileOutcome.UNREAD)]
    assert lab.rows(f"select id from {mail.table} order by id") == [(1,), (7,)]
    assert lab.rows(f"select id from {more.table}") == []
    put(lab, text([plain(row(1)), plain(row(8)), plain(row(9))]))
    lab.stage()
    assert lab.rows(f"select id from {mail.table} order by id") == [(1,), (8,), (9,)]
    assert lab.rows(f"select id from {more.table} order by id") == [(1,), (8,), (9,)]


def test_copy_begins_where_it_is_told(tmp_path: Path) -> None:
    """What stands before may be a hole."""
    source, target = tmp_path / "a", tmp_path / "b"
    content = b'{"a": 1}\n{"a": 2}\n{"a"'
    source.write_bytes(b"\x00" * 9 + content[9:])

    copied = json_text.copy(source, target, len(content), 1000, start=9)

    assert copied == json_text.Copied(end=18, waiting=4)
    assert target.read_bytes() == b'{"a": 2}\n'


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[tuple[Lab, Callable[[bytes], None], Proxy]]:
    """A lab whose lake is a bucket, a way to write its one file, and what counts its bytes."""
    server, bucket = start_s3(), f"tails-{next(BUCKETS)}"
    server.bucket(bucket)
    with Proxy(server) as proxy:
        lab = two_stages(tmp_path)
        lab.path = LakePath(f"s3://{bucket}/date=%Y-%m-%d/*.json")
        lab.environ = {**proxy.environ, "AWS_EC2_METADATA_DISABLED": "true"}

        def write(content: bytes) -> None:
            key = "date=2026-03-09/PT1H.json"
            server.client.put_object(Bucket=bucket, Key=key, Body=content)

        yield lab, write, proxy


def ids(lab: Lab) -> list[int]:
    """The ids that the first stage holds."""
    return [number for (number,) in lab.rows(f"select id from {lab.stages[0].table} order by id")]


@pytest.mark.slow
def test_of_a_file_on_a_store_only_what_was_added_is_fetched(
    lake: tuple[Lab, Callable[[bytes], None], Proxy],
) -> None:
    """And the 64 KiB that are compared; where they differ, or keys do, the whole file."""
    lab, write, proxy = lake
    first = text([plain(row(n, RawEventData="x" * 5000)) for n in range(60)])
    added = text([plain(row(n)) for n in range(60, 110)])
    write(first)
    lab.stage()
    proxy.sent.clear()

    write(first + added)
    assert lab.stage().rejected == []
    assert ids(lab) == list(range(110))
    fetched = sum(sent for path, sent in proxy.sent.items() if path.endswith(".json"))
    assert len(added) <= fetched <= len(added) + tails.COMPARED_BYTES + 1000

    write(first.replace(b'"Id": 59,', b'"Id": -9,') + added + added)
    assert lab.stage().rejected == []
    assert ids(lab) == sorted([-9, *range(59), *range(60, 110), *range(60, 110)])

    lower = text([{"Timestamp": "2026-03-09T12:00:00Z", "Id": 1, "flag": True, "FLAG": False}])
    write(first + lower)
    lab.stage()
    write(first + lower + lower)
    assert lab.stage().rejected == []
    assert ids(lab) == sorted([1, 1, *range(60)])


def test_keys_that_change_on_a_store_fetch_the_whole_file(
    lake: tuple[Lab, Callable[[bytes], None], Proxy],
) -> None:
    """A copy that has a hole where the old lines are is not enough."""
    lab, write, _ = lake
    first = text([{"Timestamp": "2026-03-09T12:00:00Z", "id": n} for n in range(3000)])
    write(first)
    lab.stage()

    write(first + text([{"Timestamp": "2026-03-09T12:00:00Z", "Id": 7}]))

    assert lab.stage().rejected == []
    rows = lab.rows(f"select id, count(*) from {lab.stages[0].table} group by all order by id")
    assert rows == [(7, 1), (None, 3000)]


@pytest.mark.slow
def test_reading_that_ends_while_it_is_stored_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, counts and the place where the reading ended are stored at once or not at all."""
    lab = two_stages(tmp_path / "grown")
    content = [text([enveloped(row(n)) for n in range(start, start + 9)]) for start in (0, 9)]
    put(lab, content[0])
    lab.stage()
    before = everything(lab)
    put(lab, content[0] + content[1])
    with monkeypatch.context() as broken:
        broken.setattr(read_ends, "store", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            lab.stage()
    assert everything(lab) == before

    lab.stage()

    got = everything(lab)
    lab.opened.close()
    assert got == read_whole(tmp_path / "whole", content[0] + content[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    ["storing", "reading", "stored"],
)
def test_process_killed_while_a_file_is_read_again_leaves_what_no_kill_leaves(
    tmp_path: Path, moment: str
) -> None:
    """Before, while and after what was added is stored: rows, counts and the end of the reading."""
    content = [text([enveloped(row(n)) for n in range(start, start + 9)]) for start in (0, 9)]
    lab = two_stages(tmp_path / "grown")
    put(lab, content[0])
    lab.stage()
    before = everything(lab)
    put(lab, content[0] + content[1])
    lab.opened.close()

    victim = Fork(elsewhere.stage_json, tmp_path / "grown", STAGES, moment, log=tmp_path / "log")

    assert victim.wait(kit.HUNG_S) == -signal.SIGKILL, (tmp_path / "log").read_text()
    lab, watched = two_stages(tmp_path / "grown"), Watched()
    assert (everything(lab) == before) == (moment != "stored")
    lab.stage(reader=watched)
    assert watched.tails == ([] if moment == "stored" else [True])
    got = everything(lab)
    lab.opened.close()
    assert got == read_whole(tmp_path / "whole", content[0] + content[1])


@pytest.mark.slow
def test_growing_blobs_that_are_hunted_hourly_are_read_at_most_twice(tmp_path: Path) -> None:
    """Each of them grows in its hour and once more in the next."""
    server, bucket, hours = start_s3(), f"tails-{next(BUCKETS)}", 24
    server.bucket(bucket)
    with Proxy(server) as proxy:
        lab = two_stages(tmp_path)
        lab.path = LakePath(f"s3://{bucket}/h=*/PT1H.json")
        lab.environ = {**proxy.environ, "AWS_EC2_METADATA_DISABLED": "true"}
        blobs = dict[int, bytes]()
        for turn in range(hours + 1):
            for hour in {turn - 1, turn} & set(range(hours)):
                rows = [row(hour * 3600 + n, RawEventData="x" * 900) for n in range(90)]
                blobs[hour] = blobs.get(hour, b"") + text([enveloped(some) for some in rows])
                key = f"h={hour:02}/PT1H.json"
                server.client.put_object(Bucket=bucket, Key=key, Body=blobs[hour])
            assert lab.stage().rejected == []
        fetched = sum(sent for path, sent in proxy.sent.items() if path.endswith(".json"))

    assert lab.rows("select count(*), sum(rows) from source_files") == [(hours, hours * 180)]
    assert fetched <= 2 * sum(map(len, blobs.values()))
    lab.opened.close()
