"""Tests of staging.reading: batches go to readers elsewhere, and their outcomes come back."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gundog.staging import reading
from gundog.staging.batch import BROKEN, Batch, Failed, Limits, Read, Task
from tests.lab import STAGE, Lab, good

T = TypeVar("T")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab whose warehouse is closed: reading needs none."""
    made = Lab(tmp_path, {"mail": STAGE, "more": STAGE.replace("Id as id", "Id + 1 as id")})
    made.tmp.mkdir()
    made.opened.close()
    return made


def batch(lab: Lab) -> Batch:
    """All files of the lab, for all its stages."""
    tasks = [Task(file, turn, tuple(lab.stages)) for turn, file in enumerate(lab.listed())]
    files = tuple((task, lab.root / task.file.path) for task in tasks)
    return Batch(files, lab.source, {"Score": "Points"}, Limits(500_000_000, 1, lab.tmp))


def through_pickle(value: T) -> T:
    """A value as it comes out of another process."""
    copy: T = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own
    return copy


def contents(read: Read | Failed) -> dict[str, Any]:
    """Everything that a read says, rows as they would be stored."""
    assert isinstance(read, Read)
    key = [("id", "ascending")]
    rows = {name: part.open().read_all().sort_by(key) for name, part in read.rows.items()}
    counted = {name: part.counted for name, part in read.rows.items()}
    rest = (read.tasks, read.remarks, read.hours, read.outcome, read.error, read.unread)
    return {"rows": rows, "counted": counted, "rest": rest}


@pytest.mark.parametrize("rows", [3, 60_000])
def test_batch_and_what_it_gives_can_be_pickled(lab: Lab, rows: int) -> None:
    """Few rows travel in the outcome, many wait on disk; neither changes on the way."""
    lab.put(good(*range(rows)), "a")
    lab.put(good(*range(rows, rows + 5)), "b")
    asked = batch(lab)

    sent = through_pickle(asked)
    read = reading.read(sent)
    came_back = through_pickle(read)

    assert sent == asked
    assert contents(came_back) == contents(read)
    assert contents(read) == contents(reading.read(asked))
    assert isinstance(read, Read)
    assert {part.on_disk is None for part in read.rows.values()} == {rows == 3}
    assert {part.open().read_all().num_rows for part in read.rows.values()} == {rows + 5}


def test_failure_can_be_pickled(lab: Lab) -> None:
    """It is data, whatever error it was."""
    lab.put(b"PAR1 this is not a parquet file PAR1")

    failed = reading.read(batch(lab))

    assert isinstance(failed, Failed)
    assert (failed.kind, through_pickle(failed)) == (BROKEN, failed)
