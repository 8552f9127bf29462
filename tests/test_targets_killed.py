"""Publishing ended by SIGKILL from outside, at any moment: nothing lost, nothing twice."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gundog.lake.path import LakePath
from gundog.targets import file_store
from gundog.targets.config import PublishTo
from tests import publish_loop
from tests.forks import Fork
from tests.test_targets_parquet import seen, truth, world
from tests.test_targets_postgres import same, server, there

__all__ = ["server"]
KILLS = 10
# The longest that a process goes on before it is killed: more than one turn takes.
LONGEST_S = 0.8
TABLES = ("findings", "evidence", "finding_changes")


@contextmanager
def loop(target: PublishTo, *files: Path) -> Iterator[Fork]:
    """A process that publishes, from when it begins for the first time."""
    process = Fork(publish_loop.by_turns, target, *files)
    try:
        assert process.connection.recv() == "begins"
        yield process
    finally:
        process.kill()
        process.close()


def kill(target: PublishTo, files: list[Path], rows: Callable[[], Any], runs: list[Any]) -> int:
    """Kills publishing again and again; each time one of the runs is there whole.

    Returns:
        How often each run was there.
    """
    draw, whole = random.Random(5), 0  # noqa: S311
    for number in range(KILLS):
        with loop(target, *files[number % 2 :], *files[: number % 2]) as process:
            assert process.wait(draw.uniform(0, LONGEST_S)) is None
            process.kill()
            assert process.wait() == -signal.SIGKILL
        assert rows() in runs, f"after kill {number}"
        whole += 1
    publish_loop.publish(target, files[0])
    return whole


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two runs that share one finding."""
    numbers = (range(1, 60), range(30, 90))
    return [world(tmp_path / f"{n[0]}.duckdb", *n) for n in numbers]


@pytest.mark.slow
@pytest.mark.stress
def test_sigkill_leaves_a_folder_with_one_whole_run(files: list[Path], tmp_path: Path) -> None:
    """Readers of the manifest lose no row and see none twice; nothing is left over in the end."""
    target = PublishTo(str(tmp_path / "shared"), "folder")
    store = file_store.opened(LakePath(target.place), {})
    runs = [truth(path) for path in files]
    publish_loop.publish(target, files[0])

    assert kill(target, files, lambda: seen(store), runs) == KILLS

    assert seen(store) == runs[0]
    on_disk = sum(1 for path in (tmp_path / "shared").rglob("*") if path.is_file())
    assert on_disk == 1 + len(store.sizes(runs[0]))
    assert not list((tmp_path / "shared").rglob(".*.tmp"))


@pytest.mark.slow
@pytest.mark.stress
def test_sigkill_leaves_postgres_with_one_whole_run(files: list[Path], server: str) -> None:
    """The server ends what the killed process had begun."""
    target = PublishTo(server, "db", "killed")
    runs = []
    for path in reversed(files):
        publish_loop.publish(target, path)
        same(target, path)
        runs.append([there(target, name) for name in TABLES])

    assert kill(target, files, lambda: [there(target, name) for name in TABLES], runs) == KILLS

    same(target, files[0])
