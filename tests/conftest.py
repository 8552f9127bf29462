"""What every test starts from."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from gundog.notify import sending
from gundog.project import settings
from tests import blanks, children, draws, engines, kept_content

if TYPE_CHECKING:
    import duckdb

    from tests.sinks import Sink

draws.register()
_STARTED = time.perf_counter()
_cores = settings._cores


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the run cost, workers and the processes of tests included."""
    wall, cpu = time.perf_counter() - _STARTED, sum(os.times()[:4])
    busy = cpu / wall / (os.cpu_count() or 1)
    terminalreporter.write_line(f"{wall:.0f} s wall, {cpu:.0f} CPU s: {busy:.0%} of the cores busy")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of collected tests stay to the end, so that no garbage is looked for among them.

    Elsewhere it is looked for less often than by default.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A width at which no line breaks because the temporary folder has a long name."""
    monkeypatch.setenv("COLUMNS", "240")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Runs use one thread of DuckDB's: small lakes leave a second one nothing but CPU to spend.

    In a thorough run they use those that they use outside of the tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not draws.is_thorough():
            patch.setattr(settings, "_cores", lambda: 1)
        yield


@pytest.fixture(scope="module")
def all_cores(one_thread: None) -> Iterator[None]:
    """For laws of whole runs and of staging, whatever the order in which threads come to an end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "_cores", _cores)
        yield


@pytest.fixture(scope="session", autouse=True)
def children_are_handed_on() -> Iterator[None]:
    """Helper processes serve one test after the other, and end with the last."""
    children.hand_on()
    yield
    children.start_new()


@pytest.fixture
def new_children() -> Iterator[None]:
    """For a test of the processes themselves: they start and end with it."""
    children.start_new()
    kept_content.read_again()
    yield
    kept_content.keep()
    children.hand_on()


@pytest.fixture(scope="session", autouse=True)
def content_is_kept() -> Iterator[None]:
    """What `load_project` reads of content folders is read once."""
    kept_content.keep()
    yield
    kept_content.read_again()


@pytest.fixture(scope="session", autouse=True)
def blanks_are_copied() -> Iterator[None]:
    """Warehouses and published files start as copies of empty ones."""
    blanks.copy()
    yield
    blanks.make_new()


@pytest.fixture(scope="session", autouse=True)
def engines_are_handed_on() -> Iterator[None]:
    """Runs of tests share DuckDB instances, one after the other."""
    engines.hand_on()
    yield
    engines.make_new()


@pytest.fixture
def new_blanks() -> Iterator[None]:
    """For a test of how empty files are made, or of what stops that."""
    blanks.make_new()
    engines.make_new()
    yield
    engines.hand_on()
    blanks.copy()


@pytest.fixture
def retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that failed is tried again at once; how long a run waits is told in test_outbox."""
    monkeypatch.setattr(sending, "FIRST_RETRY_S", 0.0)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty warehouse in memory, with all its tables."""
    with engines.warehouse() as made:
        yield made


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    """A channel on the loopback that takes every message, whatever proxy the machine has."""
    from tests.sinks import http_sink  # loads a mail server, which few tests need

    monkeypatch.setenv("NO_PROXY", "*")
    with http_sink() as made:
        yield made
