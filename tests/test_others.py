"""What is taken of batches that others read ahead: never more than the run would have read."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from gundog.staging import apart, stage
from gundog.staging.batch import LACKING, Failed, FileOutcome
from gundog.staging.others import Asked, Given, Nobody
from gundog.staging.rescue import Patience
from gundog.workers import remote, task
from tests.lab import STAGE, Lab, good
from tests.test_workers import Alone, assert_same, fill, outcomes, twin

pytestmark = pytest.mark.usefixtures("all_cores")

MOST = 10_000_000
FAILS = STAGE.replace("Id as id", "case when Id = 0 then RawEventData::bigint else Id end as id")


class Ahead(Nobody):
    """Reads all batches as a worker does, before the run stores the first one."""

    step_bytes = batch_bytes = 2**30

    def __init__(self, folder: Path, most_bytes: int = MOST) -> None:
        self._folder, self._most = folder, most_bytes
        self.answers = list[task.Answer]()
        self.refused = list[str]()

    @contextmanager
    def read(self, asked: Iterable[Asked]) -> Iterator[Iterator[tuple[Asked, Given | None]]]:
        yield iter([(batch, self._given(batch)) for batch in list(asked)])

    def could_be_read(self, given: Given) -> None:
        self.refused.append(given.error or given.failed)

    def _given(self, asked: Asked) -> Given:
        kind, text, payload = remote.read(task.versions(), task.order(asked, 60.0, self._most))
        assert (kind, text) == (remote.READ, "")
        answer = pickle.loads(payload)  # noqa: S301 - our own
        folder = self._folder / str(len(self.answers))
        folder.mkdir(parents=True)
        self.answers.append(answer)
        if answer.error:
            return Given(asked.tasks, "somebody", answer.error)
        return Given(task.parts(answer, asked.tasks, folder), failed=answer.failed)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three files make a batch."""
    monkeypatch.setattr(stage, "BATCH_FILES", 3)


@pytest.fixture(scope="module", autouse=True)
def child_ends() -> Iterator[None]:
    """A worker's own process would take the one that reads with it."""
    yield
    remote._child.stop()


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """Four good files, staged by the run alone."""
    lab = Lab(tmp_path_factory.mktemp("four"), {"mail": STAGE})
    for number in range(4):
        lab.put(good(number), f"f{number}")
    done = lab.stage()
    with lab.opened:
        yield lab, done


@pytest.mark.slow
@pytest.mark.parametrize("most_bytes", [20_000, MOST, 1])
def test_batches_read_ahead_leave_the_same_tables(tmp_path: Path, most_bytes: int) -> None:
    """Good and bad files, few rows and many; also when hardly any may come back."""
    here = Lab(tmp_path / "here", {"mail": STAGE})
    fill(here)
    there = twin(here, tmp_path / "there")
    ahead = Ahead(tmp_path / "rows", most_bytes)

    done = there.stage(others=ahead)

    assert_same(here, here.stage(), there, done)
    sizes = [sum(map(len, rows.values())) for answer in ahead.answers for rows in answer.rows]
    assert sum(sizes) <= most_bytes * len(ahead.answers)
    assert bool(sizes) == (most_bytes > 1)
    assert ahead.refused == []


@pytest.mark.slow
def test_stage_that_was_left_out_meanwhile_gives_nothing(tmp_path: Path) -> None:
    """What was read ahead for it would not have been read by the run alone."""
    here = Lab(tmp_path / "here", {"mail": STAGE, "fails": FAILS})
    for number in (1, 2, 3, 4, 0, 5, 6, 7):  # the one that fails stands in the middle
        here.put(good(number), f"f{number or 4.5}")
    there = twin(here, tmp_path / "there")

    done_here = here.stage(patience=Patience(0.0))
    done = there.stage(patience=Patience(0.0), others=Ahead(tmp_path / "rows"))

    assert_same(here, done_here, there, done)
    outs = [outcome for _, outcome, _ in outcomes(there, done)]
    assert FileOutcome.LEFT_OUT in outs
    assert there.rows("select count(*) from mail") == [(8,)]


def test_stage_that_is_left_out_already_is_not_asked_for(tmp_path: Path) -> None:
    """The others of its source are."""
    here = Lab(tmp_path / "here", {"mail": STAGE, "fails": FAILS})
    for number in range(4):
        here.put(good(number), f"f{number}")
    there = twin(here, tmp_path / "there")
    ahead = Ahead(tmp_path / "rows")
    patience = Patience(1.0, left_out={"fails": "why"})

    done = there.stage(patience=patience, others=ahead)

    assert_same(here, here.stage(patience=patience), there, done)
    assert {name for answer in ahead.answers for rows in answer.rows for name in rows} == {"mail"}


def test_files_that_a_worker_lacks_are_read_by_the_run(tmp_path: Path, four: Alone) -> None:
    """A lake that is not mounted there looks like files that are gone; the run knows better."""
    there = twin(four[0], tmp_path / "there")

    class Elsewhere(Ahead):
        def _given(self, asked: Asked) -> Given:
            moved = [
                replace(item, file=replace(item.file, location=f"{tmp_path}/no{item.file.path}"))
                for item in asked.tasks
            ]
            given = super()._given(replace(asked, tasks=tuple(moved)))
            return replace(given, parts=asked.tasks)

    ahead = Elsewhere(tmp_path / "rows")
    done = there.stage(others=ahead)

    assert_same(*four, there, done)
    assert set(ahead.refused) == {"was removed after it was listed: the next run lists it again"}


def test_worker_with_less_room_than_the_run_is_known(
    tmp_path: Path, four: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch would be read twice, and nobody would know why the night is slow."""
    there = twin(four[0], tmp_path / "there")
    small = Failed("Out of Memory Error: no room", LACKING)
    monkeypatch.setattr(apart, "read_within", lambda *_: small)
    ahead = Ahead(tmp_path / "rows")

    done = there.stage(others=ahead)

    assert_same(*four, there, done)
    assert ahead.refused == [small.error] * 2


def test_file_that_is_really_gone_is_nobodys_fault(tmp_path: Path) -> None:
    """A worker that says so is believed as soon as the run says so, too."""
    here = Lab(tmp_path / "here", {"mail": STAGE})
    for number in range(4):
        here.put(good(number), f"f{number}")
    there = twin(here, tmp_path / "there")
    files_here, files_there = here.listed(), there.listed()
    for lab in (here, there):
        (lab.root / "lake/date=2026-03-09/f1.parquet").unlink()
    ahead = Ahead(tmp_path / "rows")

    done = there.stage(files_there, others=ahead)

    assert_same(here, here.stage(files_here), there, done)
    assert ahead.refused == []
    assert there.states()["f1"] == "rejected"


def test_versions_are_compared_before_anything_is_opened() -> None:
    """What another version wrote may not even be readable."""
    other = (*task.versions()[:-1], ("pyarrow", "1.0"))

    kind, text, payload = remote.read(other, b"no pickle")

    assert (kind, payload) == (remote.UNFIT, b"")
    assert text == (
        f"has pyarrow {pa.__version__} where the run has 1.0: install the same versions on both"
    )


def test_bad_files_do_not_keep_good_ones_from_coming_back(tmp_path: Path) -> None:
    """A batch that fails as a whole is read file by file there."""
    lab = Lab(tmp_path / "lab", {"mail": FAILS})
    for number in range(3):  # the first one fails
        lab.put(good(number), f"f{number}")
    ahead = Ahead(tmp_path / "rows")

    done = lab.stage(others=ahead)

    (answer,) = ahead.answers
    assert [len(read.tasks) for read in answer.reads] == [1, 1]
    assert [outcome for _, outcome, _ in outcomes(lab, done)] == [
        FileOutcome.UNREAD, FileOutcome.READ, FileOutcome.READ,
    ]  # fmt: skip
