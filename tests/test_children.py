"""Processes are handed on from test to test only where they serve as a new one would."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import duckdb
import pytest

from gundog.core.child import Child
from gundog.hunting import single_hunt
from tests import children


@pytest.fixture(autouse=True)
def none_idle() -> None:
    """What other tests left idle is gone."""
    children.start_new()
    children.hand_on()


def pid() -> int:
    """The process that serves the next `with Child()`, which leaves it idle."""
    with Child() as helper:
        return int(helper.call(os.getpid))


def has_warehouse() -> bool:
    """What a child is asked: whether the last hunt left a warehouse open."""
    return single_hunt._open.con is not None


def opens(path: Path) -> None:
    single_hunt._connection(single_hunt.Place(path, 500_000_000, 1))


def test_an_idle_process_serves_the_next_test_and_one_at_a_time() -> None:
    """Two at once are two processes; either may serve again."""
    with Child() as one, Child() as other:
        both = {one.call(os.getpid), other.call(os.getpid)}

    assert len(both) == 2
    assert pid() in both


def test_a_process_works_where_the_next_test_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a new one would, which starts in the folder of its parent."""
    first = pid()
    monkeypatch.chdir(tmp_path)
    with Child() as helper:
        assert helper.call(os.getpid) == first
        assert helper.call(os.getcwd) == str(tmp_path)


def test_a_process_is_not_handed_on_to_another_umask_or_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has what it got from its parent when it started."""
    first = pid()
    before = os.umask(0o027)
    try:
        assert pid() != first
    finally:
        os.umask(before)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert pid() != first


def test_a_dead_process_is_not_handed_on() -> None:
    """Whether it died while it was used or while it was idle."""
    first = pid()
    ((_, (idle, *_)),) = children._idle
    idle.kill()
    idle.wait()
    second = pid()
    with Child() as helper:
        helper.start()
        assert helper.pid == second
        os.kill(second, signal.SIGKILL)
        assert helper._process
        helper._process.wait()

    assert second != first
    assert pid() not in (first, second)


def test_a_warehouse_that_was_left_open_is_closed(tmp_path: Path) -> None:
    """The next run opens its own."""
    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(str(path)).close()
    with Child() as helper:
        helper.call(opens, path)
        assert helper.call(has_warehouse)

    with Child() as helper:
        assert not helper.call(has_warehouse)


def test_new_ones_are_asked_for(new_children: None) -> None:
    """A test of the process itself starts it, and it ends with the test."""
    assert pid() != pid()
