"""Tests of staging.older_reads: a changed file is due for every stage that has not read it so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from gundog.detections.staged import StagedTable
from gundog.staging import reading, stage
from gundog.staging.batch import Limits
from tests.draws import law
from tests.lab import AT, STAGE, Lab, good
from tests.test_json_lines import plain, put, row, text
from tests.test_tails import Watched, everything, two_stages


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, {"mail": STAGE, "more": STAGE})
    with made.opened:
        yield made


def read(lab: Lab, stages: Sequence[StagedTable], reader: Any = reading.read) -> int:
    """Stages the lab's lake for these stages alone, as `--detection` does; how many files."""
    tasks = stage.pending(lab.con, lab.listed(), stages)
    limits = Limits(1_000_000_000, 2, lab.tmp)
    paths = {"Cloud": [lab.path]}
    return stage.run(lab.con, tasks, lab.content.sources, paths, {}, AT, limits, reader).files


def ids(lab: Lab, some: StagedTable) -> list[int]:
    return [number for (number,) in lab.rows(f"select id from {some.table} order by id")]


def test_changed_file_stays_due_for_the_stages_that_did_not_read_it(lab: Lab) -> None:
    """Read for one detection, then for all: no stage keeps rows of the version that is gone."""
    mail, more = lab.stages
    lab.put(good(1, 2))
    lab.put(good(9), "other")
    assert read(lab, [mail, more]) == 2
    lab.put(good(3, 4, 5))

    assert read(lab, [mail]) == 1
    assert (ids(lab, mail), ids(lab, more)) == ([3, 4, 5, 9], [1, 2, 9])
    assert read(lab, [mail]) == 0

    assert read(lab, [mail, more]) == 1
    assert (ids(lab, mail), ids(lab, more)) == ([3, 4, 5, 9], [3, 4, 5, 9])
    assert read(lab, [mail, more]) == 0
    assert lab.rows("from older_reads") == []


def test_file_that_breaks_stays_due_too(lab: Lab) -> None:
    """It is rejected for the stage that came to it, and leaves the other's rows until then."""
    mail, more = lab.stages
    path = lab.put(good(1))
    read(lab, [mail, more])
    path.write_bytes(b"gone bad")

    assert read(lab, [mail]) == 1
    assert ids(lab, more) == [1]
    assert read(lab, [more]) == 1
    assert ids(lab, more) == []
    assert read(lab, [mail, more]) == 0


@pytest.mark.slow
def test_growing_file_is_read_whole_by_a_stage_that_missed_a_version(tmp_path: Path) -> None:
    """What it lacks lies before the place where the other's reading ended."""
    lab, watched = two_stages(tmp_path), Watched()
    lines = [plain(row(number)) for number in range(5)]
    mail, more = lab.stages
    put(lab, text(lines[:1]))
    read(lab, [mail, more], watched)
    put(lab, text(lines[:2]))
    read(lab, [mail], watched)
    put(lab, text(lines[:4]))

    read(lab, [mail, more], watched)

    assert watched.tails == [False, True, False]
    assert ids(lab, mail) == ids(lab, more) == [0, 1, 2, 3]
    put(lab, text(lines))
    read(lab, [mail, more], watched)
    assert watched.tails[3:] == [True]
    assert ids(lab, mail) == ids(lab, more) == [0, 1, 2, 3, 4]
    lab.opened.close()


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["grow", "change", "same"]),
        st.sampled_from([(0,), (1,), (0, 1)]),
    ),
    max_size=6,
)


@given(steps=_STEPS)
@example(steps=[("same", (0, 1)), ("grow", (0,)), ("grow", (1,)), ("change", (0,))])
@law(16, quick=1, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_read_for_some_a_run_for_all_gives_what_one_reading_gives(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, tuple[int, ...]]]
) -> None:
    """Rows, counts, marks of copies, remarks, what is published of files."""
    root = tmp_path_factory.mktemp("older")
    lab, lines, first = two_stages(root / "steps"), [plain(row(0))], 0
    for kind, wanted in [*steps, ("same", (0, 1))]:
        if kind == "grow":
            lines.append(plain(row(len(lines), Flag=len(lines) % 2 == 0)))
        if kind == "change":
            first += 1
            lines[0] = plain(row(first * 100))
        put(lab, text(lines))
        read(lab, [lab.stages[place] for place in wanted])
    got = everything(lab)
    lab.opened.close()

    whole = two_stages(root / "whole")
    put(whole, text(lines))
    read(whole, whole.stages)
    assert got == everything(whole)
    whole.opened.close()


def test_rejected_file_is_read_again_when_gundog_yaml_is_corrected(lab: Lab) -> None:
    """By every stage, also when some are first; a good file is not."""
    mail, more = lab.stages
    lab.put(good(1).rename_columns(["When", *good(1).column_names[1:]]), "other")
    lab.put(good(9))
    assert len(lab.stage().rejected) == 1
    assert read(lab, [mail, more]) == 0
    lab.path = replace(lab.path, columns={"Timestamp": "Time"})
    assert read(lab, [mail, more]) == 1
    assert ids(lab, mail) == [9]

    lab.path = replace(lab.path, columns={"Timestamp": "When"})
    assert read(lab, [mail]) == 1
    assert (ids(lab, mail), ids(lab, more)) == ([1, 9], [9])

    assert read(lab, [mail, more]) == 1
    assert (ids(lab, mail), ids(lab, more)) == ([1, 9], [1, 9])
    lab.path = replace(lab.path, columns={})
    assert read(lab, [mail, more]) == 0
