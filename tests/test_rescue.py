"""Batches that fail in part: what can be read is stored, the rest is named and read later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.staging import reading, rescue
from gundog.staging.batch import BROKEN, LACKING, LATE, Batch, Failed, FileOutcome, Read, Reader
from gundog.staging.rescue import Patience
from gundog.staging.results import Staged
from tests import draws
from tests.lab import NOON, STAGE, Lab, good

STAGES = {"ash": STAGE, "birch": STAGE.replace("Id as id", "Id + 1 as id"), "cedar": STAGE}
FILES = ("a", "b", "c")
KINDS = (BROKEN, LACKING, LATE)
Bad = Mapping[tuple[str, str], str]
TABLES = (
    "source_files", "file_stages", "stage_hours", "source_hours", "ash", "birch", "cedar",
)  # fmt: skip


def failing(bad: Bad) -> Reader:
    """A reader for which some stages fail on some files, and whatever is read with them."""

    def read(batch: Batch) -> Read | Failed:
        pairs = [
            (stage.name, Path(task.file.path).stem)
            for task, _ in batch.files
            for stage in task.stages
        ]
        kinds = {bad[pair] for pair in pairs if pair in bad}
        for kind in reversed(KINDS):
            if kind in kinds:
                return Failed(f"{kind} on purpose", kind)
        return reading.read(batch)

    return read


@contextmanager
def lab_of(files: tuple[str, ...] = FILES) -> Iterator[Lab]:
    with TemporaryDirectory() as folder:
        lab = Lab(Path(folder), STAGES)
        fill(lab, files)
        yield lab
        lab.opened.close()


def fill(lab: Lab, files: tuple[str, ...], shift: int = 0) -> None:
    """A row in each file, two hours apart."""
    for place, name in enumerate(files):
        at = NOON + timedelta(hours=2 * place + shift)
        lab.put(good(10 * place + shift, at=at), name)


def tables(lab: Lab) -> dict[str, list[str]]:
    """Everything that is stored, without the folder, file times and the numbers of steps."""
    kept = {}
    for name in TABLES:
        left = "exclude (path, mtime_ns, seen_seq)" if name == "source_files" else ""
        kept[name] = sorted(map(str, lab.rows(f"select * {left} from {name}")))
    return kept


def read_pairs(lab: Lab) -> set[tuple[str, str]]:
    """Which stage read which file."""
    return set(
        lab.rows("select stage, parse_filename(path, true) from file_stages join source_files"
                 " using (file_id)")
    )  # fmt: skip


def judged(done: Staged) -> list[tuple[str, str]]:
    """Which stage has an outcome for which file, as often as it has one."""
    return sorted(
        (stage.name, Path(result.task.file.path).stem)
        for result in done.results
        for stage in result.task.stages
    )


ALL = {(stage, file) for stage in STAGES for file in FILES}
# The third has the SQL of the first: names keep them apart.
bads = st.dictionaries(st.sampled_from(sorted(ALL)), st.sampled_from([LACKING, LATE]))


@draws.law(12, quick=2)
@given(bad=bads, is_change=st.booleans())
def test_what_can_be_read_is_stored_and_the_rest_by_the_next_run(
    bad: dict[tuple[str, str], str], is_change: bool
) -> None:
    """Whichever stage fails on whichever file, new or changed; nothing is different then."""
    with lab_of() as lab, lab_of() as other:
        if is_change:
            lab.stage()
            fill(lab, FILES, 1)
            fill(other, FILES, 1)
        done = lab.stage(reader=failing(bad))
        # A file that no stage can read stays as it was before.
        lost = {file for file in FILES if all((stage, file) in bad for stage in STAGES)}
        kept = {(s, f) for s in STAGES for f in lost} if is_change else set()

        assert read_pairs(lab) == ALL - set(bad) | kept
        assert judged(done) == sorted(ALL)
        assert {Path(one).stem for one, _ in done.of(FileOutcome.UNREAD)} == {
            file for _, file in bad
        }
        assert not done.rejected
        assert set(done.blind) == {s for s in STAGES if all((s, f) in bad for f in FILES)}
        shifted = 1 if is_change else 0
        for stage in STAGES:
            hours = {row[0] for row in lab.rows(f"select hour(event_time) from {stage}")}
            assert hours == {
                12 + 2 * place + (shifted if file not in lost else 0)
                for place, file in enumerate(FILES)
                if (stage, file) in read_pairs(lab)
            }

        lab.stage()
        other.stage()
        assert tables(lab) == tables(other)


def test_stage_that_fails_on_a_file_that_others_read_is_named_and_the_file_is_not_rejected() -> (
    None
):
    """An error of one stage's SQL is not the file's fault; a file that nobody reads is rejected."""
    bad = {("birch", "b"): BROKEN} | {(stage, "c"): BROKEN for stage in (*STAGES, rescue.EVERY_ROW)}
    with lab_of() as lab:
        done = lab.stage(reader=failing(bad))

        assert lab.states() == {"a": "staged", "b": "staged", "c": "rejected"}
        assert judged(done) == sorted(ALL)
        ((path, error),) = done.of(FileOutcome.UNREAD)
        assert path.endswith("b.parquet")
        assert error.endswith("sql/stage/birch.sql: broken on purpose")
        assert [Path(path).stem for path, _ in done.rejected] == ["c"]
        assert read_pairs(lab) == ALL - {("birch", "b")}
        assert (done.files, lab.stage().files) == (3, 1)


@pytest.mark.parametrize(("good_file", "tried"), [("", ["a", "b"]), ("b", ["a", "b", "c", "d"])])
def test_stage_that_is_late_twice_running_is_left_out(good_file: str, tried: list[str]) -> None:
    """Of twenty files two cost the limit; one that it reads gives it new patience."""
    files = tuple("abcdef")
    bad = {("birch", file): LATE for file in files if file != good_file}
    with lab_of(files) as lab:
        done = lab.stage(reader=failing(bad), patience=Patience(limit=60))
        again = lab.stage(reader=failing(bad), patience=done.patience)

        late = [one for one in tried if one != good_file]
        assert [Path(path).stem for path, _ in done.of(FileOutcome.UNREAD)] == late
        assert list(done.patience.left_out) == ["birch"]
        assert judged(done) == sorted((stage, file) for stage in STAGES for file in files)
        assert {Path(path).stem for path, _ in done.of(FileOutcome.LEFT_OUT)} == {
            file for file in files if file not in tried
        }
        assert "late on purpose" in done.patience.left_out["birch"]
        assert {pair for pair in read_pairs(lab) if pair[0] != "birch"} == {
            (stage, file) for stage in ("ash", "cedar") for file in files
        }
        assert again.of(FileOutcome.UNREAD) == []
        lab.stage()
        assert len(read_pairs(lab)) == 3 * len(files)


def test_memory_that_lacks_does_not_leave_a_stage_out_at_once() -> None:
    """Files that are too large for memory are told soon: smaller ones after them are read."""
    bad = {(stage, file): LACKING for stage in STAGES for file in "ab"}
    patience = Patience(limit=60)
    with lab_of() as lab:
        done = lab.stage(reader=failing(bad), patience=patience)

        assert not done.patience.left_out
        assert lab.states() == {"c": "staged"}
        assert {Path(path).stem for path, _ in done.of(FileOutcome.UNREAD)} == {"a", "b"}


FAILING = {
    "a cast": STAGE.replace("Id as id", "RawEventData::integer as id"),
    "a time without end": STAGE.replace(
        "    Timestamp as event_time", "    'infinity'::timestamptz as event_time"
    ),
}


@pytest.mark.parametrize("sql", FAILING.values(), ids=FAILING.keys())
def test_stage_that_comes_later_and_fails_leaves_what_others_read(tmp_path: Path, sql: str) -> None:
    """SQL that every file breaks rejects none: rows, hours and state stay as they were."""
    lab = Lab(tmp_path, {"mail": STAGE})
    lab.put(good(1), "a")
    lab.put(good(2), "b")
    lab.stage()
    before = lab.rows("select * exclude (seen_seq) from source_files order by path")
    lab.write_stages({"evil": sql})

    done = lab.stage()

    assert done.rejected == []
    assert len(done.of(FileOutcome.UNREAD)) == 2
    assert all("sql/stage/evil.sql: " in error for _, error in done.of(FileOutcome.UNREAD))
    assert lab.rows("select id from mail order by id") == [(1,), (2,)]
    assert lab.rows("select * exclude (seen_seq) from source_files order by path") == before
    lab.opened.close()


def test_file_that_no_stage_can_use_is_no_bad_file(tmp_path: Path) -> None:
    """Each stage is named with its own error, and mended SQL reads the file."""
    lab = Lab(tmp_path, {f"evil{n}": sql for n, sql in enumerate(FAILING.values())})
    lab.put(good(1))

    done = lab.stage()

    assert done.rejected == []
    assert ["INT32" in error for _, error in done.of(FileOutcome.UNREAD)] == [True, False]
    lab.write_stages({"evil0": STAGE, "evil1": STAGE})
    lab.stage()
    assert lab.rows("select id from evil0 union all select id from evil1") == [(1,), (1,)]
    lab.opened.close()
