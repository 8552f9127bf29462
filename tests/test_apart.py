"""Staging in a child process: the same rows, and SQL that never ends stops nothing else."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gundog.core.child import Child
from gundog.core.pipe import Pipe
from gundog.core.times import parse_range
from gundog.run import run
from gundog.staging import apart, reading
from gundog.staging.batch import LACKING, LATE, Batch, Failed, Limits, Read, Task
from tests import kit
from tests.kit import NOW, hunt, table
from tests.lab import STAGE, Lab, good
from tests.test_child import alive
from tests.test_single_hunt import ENDLESS, be_late, children, make, states

LONG = timedelta(minutes=10)
# Computed again for every row: no constant that loading would meet.
HUGE = "length(repeat('x', 3000000000 + Id))"
NEVER = ENDLESS.replace("where", "where a.range > Id - 1000000 and")
DAYS = ("2026-03-07", "2026-03-09")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path, {"mail": STAGE})
    made.tmp.mkdir()
    return made


@pytest.fixture
def helper() -> Iterator[Child]:
    with Child() as made:
        yield made


def batch(lab: Lab, sql: str | None = None) -> Batch:
    """All files of the lab, to be read by its stage or by one with other SQL."""
    if sql:
        lab.write_stages({"mail": sql})
    tasks = [Task(file, turn, tuple(lab.stages)) for turn, file in enumerate(lab.listed())]
    files = tuple((task, lab.root / task.file.path) for task in tasks)
    return Batch(files, lab.source, {}, Limits(500_000_000, 1, lab.tmp))


@pytest.mark.parametrize("rows", [3, 60_000])
def test_the_child_reads_what_is_read_here(lab: Lab, helper: Child, rows: int) -> None:
    """Few rows come through the pipe, many on disk."""
    lab.put(good(*range(rows)))
    asked = batch(lab)

    here, there = reading.read(asked), apart.reader(helper, LONG)(asked)

    assert isinstance(here, Read)
    assert isinstance(there, Read)
    assert (there.rows["mail"].on_disk is None) == (rows == 3)
    key = [("id", "ascending")]
    assert there.rows["mail"].open().read_all().sort_by(key) == (
        here.rows["mail"].open().read_all().sort_by(key)
    )
    assert there.rows["mail"].counted == here.rows["mail"].counted
    assert there.hours == here.hours
    assert (there.tasks, there.remarks) == (here.tasks, here.remarks)


def test_sql_that_never_ends_is_late(lab: Lab, helper: Child) -> None:
    """Its process is killed, and the next batch is read by another."""
    lab.put(good(1))
    honest = batch(lab)
    failed = apart.reader(helper, timedelta(seconds=0.1))(
        batch(lab, STAGE.replace("Id as id", f"{NEVER} as id"))
    )

    assert isinstance(failed, Failed)
    assert failed.kind == LATE
    assert failed.error.startswith("took longer than allowed (1s): ")
    assert isinstance(apart.reader(helper, LONG)(honest), Read)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's data")
def test_sql_that_outgrows_memory_lacks_it(lab: Lab, helper: Child) -> None:
    """What no memory limit of DuckDB counts."""
    lab.put(good(1))
    failed = apart.reader(helper, LONG)(batch(lab, STAGE.replace("Id as id", f"{HUGE} as id")))

    assert isinstance(failed, Failed)
    assert failed.kind == LACKING


def test_a_large_file_may_take_longer(lab: Lab, helper: Child) -> None:
    """In proportion to what it holds."""
    asked: list[float] = []

    class Noting(Child):
        def call(self, *_: Any, seconds: float | None = None, **__: Any) -> Any:
            asked.append(seconds or 0)

    lab.put(good(1))
    small = batch(lab)
    ((task, near),) = small.files
    size = 10 * apart.BATCH_BYTES
    large = Batch(((Task(_sized(task.file, size), 1, task.stages), near),), small.source, {},
                  small.limits)  # fmt: skip
    for one in (small, large):
        apart.reader(Noting(), LONG)(one)

    assert asked == [600, 6000]


def _sized(file: Any, size: int) -> Any:
    from dataclasses import replace

    return replace(file, size=size)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("repeat('x', 68000000 + Id::int % 2)", "makes a row of"),
        ("unnest(range(3000000 + Id % 2))::varchar", "makes more than 4 GB of rows"),
    ],
)
def test_rows_that_nobody_has_room_for_are_refused(
    lab: Lab, expression: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one huge value nor rows without end reach the run's own process or fill the disk."""
    monkeypatch.setattr(reading, "_SPILL", 8 if "row of" in words else 0.0001)
    lab.put(good(1))

    failed = reading.read(batch(lab, STAGE.replace("RawEventData as raw", f"{expression} as raw")))

    assert isinstance(failed, Failed)
    assert failed.kind == LACKING
    assert words.replace("4 GB", "0 GB") in failed.error


def put_stage(root: Path, expression: str) -> None:
    """A second stage of the same source, with a hunt that reads it; sorts before the honest one."""
    sql = kit.STAGE.replace("N as n", f"{expression} as n")
    kit.write_text(root / "sql/stage/boom.sql", sql)
    kit.write_text(root / "sql/boom.sql", kit.PAIR.replace("from happenings", "from boom"))
    yaml = kit.PAIR_YAML.replace("1111", "3333").replace("pair.sql", "boom.sql")
    kit.write_text(root / "detections/boom.yaml", yaml + kit.HEAD)


def _never_ends(asked: object) -> bool:
    return isinstance(asked, Batch) and any(
        NEVER in stage.sql for task, _ in asked.files for stage in task.stages
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's data")
@pytest.mark.parametrize(("bomb", "word"), [(NEVER, "longer"), (HUGE, "memory")])
def test_a_stage_that_bombs_costs_only_its_own_hunts(
    tmp_path: Path, bomb: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything else is staged, hunted and found; the mended stage reads what it missed.

    That the process of SQL that never ends is killed is asked above.
    """
    be_late(monkeypatch, _never_ends)
    project = make(tmp_path)
    put_stage(project, bomb)

    outcome = hunt(project, DAYS)

    assert outcome.exit_status == 1
    assert outcome.changes.new == 3
    assert any(word in one.lower() for one in outcome.problems)
    named = [one for one in outcome.problems if "sql/stage/boom.sql" in one]
    assert len(named) == len(outcome.problems)
    assert states(project) == {"failed": 3}
    assert table(project, "select count(*) from source_files where state = 'staged'")[0][0] > 5
    left_out = [one for one in named if one.startswith("sql/stage/boom.sql: left out")]
    assert len(left_out) == (1 if word == "longer" else 0)

    put_stage(project, "N")
    again = hunt(project, DAYS)

    assert (again.exit_status, again.hunted, again.changes.new) == (0, 3, 3)


@pytest.mark.slow
@pytest.mark.usefixtures("new_children")
def test_a_child_that_is_killed_fails_a_hunt_alone_and_no_staging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel does where the machine has no memory.

    What it staged is read again, and nothing is lost; its hunt is named, and the next run mends it.
    """
    project, killed = make(tmp_path), dict[str, int]()
    put_stage(project, "N")
    steps: list[str] = []
    wait = Pipe.poll

    def kill_and_wait(self: Pipe, seconds: float | None) -> bool:
        """What the parent does once the child has begun to work."""
        for begin in ("stage", "hunt boom"):
            if steps and steps[-1].startswith(begin) and begin not in killed:
                (killed[begin],) = children()
                os.kill(killed[begin], signal.SIGKILL)
        return wait(self, seconds)

    def step(part: run.Part, work: Callable[[], Any]) -> Any:
        steps.append(part.label)
        return work()

    monkeypatch.setattr(Pipe, "poll", kill_and_wait)
    request = run.Request("hunt", parse_range(*DAYS))
    with Child() as helper:
        loaded = run.load_project(project, {}, helper=helper)
        outcome = run.run(loaded, request, NOW, uuid4(), step=step, helper=helper)

    assert len(set(killed.values())) == 2
    assert not any(map(alive, killed.values()))
    (problem,) = outcome.problems
    assert problem.startswith("boom [2026-03-07")
    assert "ended by signal 9" in problem
    assert outcome.changes.new == 5
    assert states(project) == {"failed": 1, "provisional": 2}

    again = hunt(project, DAYS)

    assert (again.exit_status, again.hunted, again.changes.new) == (0, 1, 1)
