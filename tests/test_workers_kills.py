"""Killed workers and schedulers, cut networks and files that kill: equal tables, and no wait."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from gundog.staging import stage
from gundog.staging.results import Staged
from tests import cluster, kit
from tests.cluster import HUNG_S, Cluster
from tests.lab import STAGE, Lab, good
from tests.test_apart import NEVER
from tests.test_workers import assert_same, fill, readers, twin

pytestmark = [pytest.mark.slow, pytest.mark.stress]
# Files of two rows each, one a batch: enough for a kill to fall between them.
FILES = 24


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file makes a batch."""
    monkeypatch.setattr(stage, "BATCH_FILES", 1)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """What the run alone reads."""
    made = Lab(tmp_path_factory.mktemp("here"), {"mail": STAGE})
    for turn in range(FILES):
        made.put(good(turn, 100 + turn), f"f{turn:02}")
    return made


@pytest.fixture(scope="module")
def done_here(here: Lab) -> Staged:
    """What it says of that, once it is read."""
    return here.stage()


class AfterTaken:
    """Does something in another thread as soon as the run has taken rows of so many files."""

    def __init__(self, others: object, files: int, deed: Callable[[], None]) -> None:
        self._others, self._files, self._deed = others, files, deed
        self.is_done = False
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        ends = time.monotonic() + HUNG_S
        while time.monotonic() < ends and not self.is_done:
            if getattr(self._others, "taken", 0) >= self._files:
                self._deed()
                self.is_done = True
            time.sleep(0.01)


def test_worker_killed_while_it_reads(tmp_path: Path, here: Lab, done_here: Staged) -> None:
    """What it had goes to the other one, and nobody needs to know."""
    there = twin(here, tmp_path / "there")

    with cluster.started(tmp_path / "c", 2) as made, readers(made) as others:
        killed = AfterTaken(others, 3, made.workers[0].kill)
        done = there.stage(others=others)

    assert killed.is_done
    assert_same(here, done_here, there, done)
    assert others.taken == FILES
    assert others.problems() == []


def test_all_workers_killed(tmp_path: Path, here: Lab, done_here: Staged) -> None:
    """The run waits a while for new ones, and goes on without."""
    there = twin(here, tmp_path / "there")

    with cluster.started(tmp_path / "c", 2) as made, readers(made, lonely=1) as others:

        def kill() -> None:
            for worker in made.workers:
                worker.kill()

        AfterTaken(others, 3, kill)
        done = there.stage(others=others)
        (problem,) = others.problems()

    assert_same(here, done_here, there, done)
    assert 3 <= others.taken < FILES
    assert "has had no worker for 1 s" in problem


def test_workers_that_come_later_are_used(tmp_path: Path, here: Lab, done_here: Staged) -> None:
    """A cluster that grows, or one whose only worker is replaced."""
    there = twin(here, tmp_path / "there")

    with cluster.started(tmp_path / "c", 1) as made, readers(made) as others:

        def replace() -> None:
            made.workers[0].kill()
            made.start(1)

        AfterTaken(others, 3, replace)
        done = there.stage(others=others)

    assert_same(here, done_here, there, done)
    assert others.taken == FILES


def test_scheduler_killed(tmp_path: Path, here: Lab, done_here: Staged) -> None:
    """The rest is read by the run, and the cluster is named."""
    there = twin(here, tmp_path / "there")

    with cluster.started(tmp_path / "c", 2) as made, readers(made, answer=3) as others:
        AfterTaken(others, 3, made.scheduler.kill)
        done = there.stage(others=others)
        (problem,) = others.problems()

    assert_same(here, done_here, there, done)
    assert 3 <= others.taken < FILES
    assert "its scheduler does not answer any more" in problem


def test_network_that_is_cut_without_a_word(tmp_path: Path, here: Lab, done_here: Staged) -> None:
    """Connections stay open and nothing comes any more: that is noticed, too."""
    there = twin(here, tmp_path / "there")

    with (
        cluster.started(tmp_path / "c", 2) as made,
        wire(made.address) as cut,
        readers(cut.address, answer=3, close=2) as others,
    ):
        AfterTaken(others, 3, cut.cut)
        done = there.stage(others=others)
        (problem,) = others.problems()

    assert_same(here, done_here, there, done)
    assert 3 <= others.taken < FILES
    assert "its scheduler does not answer any more" in problem


def test_worker_that_holds_a_batch_and_gives_nothing(
    tmp_path: Path, here: Lab, done_here: Staged
) -> None:
    """It is not waited for longer than reading may take, and not asked again."""
    there = twin(here, tmp_path / "there")

    with (
        cluster.started(tmp_path / "c", 2, hangs_on="f00") as made,
        readers(made, slack=2) as others,
    ):
        others._limit = timedelta(seconds=1)
        done = there.stage(others=others)
        problems = others.problems()

    assert_same(here, done_here, there, done)
    assert "does not give what it should have read long ago" in problems[0]


@pytest.mark.parametrize("nanny", [False, True])
def test_file_that_kills_its_worker(
    tmp_path: Path, here: Lab, done_here: Staged, nanny: bool
) -> None:
    """After two of them it is read by the run, named, and kills no more; the others go on.

    There are four, for the word of a batch before it may be lost with a worker: then that batch is
    taken for the one that killed, and it takes a worker more.
    """
    there = twin(here, tmp_path / "there")

    with (
        cluster.started(tmp_path / "c", 4, nanny=nanny, dies_of="f05") as made,
        readers(made) as others,
    ):
        done = there.stage(others=others)
        (problem,) = others.problems()

    assert_same(here, done_here, there, done)
    assert "lake/date=2026-03-09/f05.parquet: 2 workers ended while they read" in problem
    assert others.taken == FILES - 1


def test_scheduler_that_is_frozen_when_the_run_comes(tmp_path: Path, here: Lab) -> None:
    """It takes connections and says nothing."""
    there = twin(here, tmp_path / "there")

    with cluster.started(tmp_path / "c", 0) as made:
        made.scheduler.freeze()
        with readers(made, connect=2) as others:
            done = there.stage(others=others)
            (problem,) = others.problems()

    assert done.files == FILES
    assert "cannot be reached" in problem


def test_every_fault_at_once_with_bad_files(tmp_path: Path) -> None:
    """Bad files, many rows and a kill: still the same tables."""
    here = Lab(tmp_path / "here", {"mail": STAGE})
    fill(here)
    there = twin(here, tmp_path / "there")

    with cluster.started(tmp_path / "c", 2) as made, readers(made) as others:
        AfterTaken(others, 2, made.workers[1].kill)
        done = there.stage(others=others)

    assert_same(here, here.stage(), there, done)


# ---- Ctrl-C ----


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_run_that_is_ended_frees_the_cluster(tmp_path: Path, kill: signal.Signals) -> None:
    """What workers read for it ends, and what waited is not begun; the next run goes on."""
    root = kit.make_project(tmp_path / "p")
    kit.fill_days(root, "2026-03-07", 3)
    slow = kit.STAGE.replace("N as n", f"N + 0 * {NEVER} as n")
    kit.write_text(root / "sql/stage/happenings.sql", slow)

    with cluster.started(tmp_path / "c", 1) as made:
        kit.write_text(root / "gundog.yaml", f"{kit.CONFIG}workers: {made.address}\n")
        run = subprocess.Popen(
            [sys.executable, "-m", "gundog", "hunt", "--project", str(root), "--from",
             "2026-03-07", "--to", "2026-03-09", "--trust-clock"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        _until(lambda: bool(_reading_children(made)))
        for _ in range(2 if kill == signal.SIGINT else 1):  # the first asks only
            run.send_signal(kill)
            time.sleep(1)
        run.wait(HUNG_S)
        _until(lambda: _reading_children(made) == [])
        _until(lambda: _tasks(made) == 0)
        run.communicate()


def _until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + HUNG_S
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.5)


def _reading_children(made: Cluster) -> list[int]:
    """Processes in which a worker reads."""
    pid = made.workers[0].pid
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return sorted({int(child) for text in (listed, *threads) for child in text.split()})


def _tasks(made: Cluster) -> int:
    """How many tasks the scheduler knows of."""
    from distributed import Client

    with Client(made.address, set_as_default=False, asynchronous=False) as client:
        return int(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))


# ---- a wire that can be cut ----


class Wire:
    """Passes bytes on to a scheduler until it is cut; what is open then stays open."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self._to = (host, int(port))
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._is_cut = threading.Event()
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._is_cut.set()

    def close(self) -> None:
        self._is_cut.set()
        for item in (self._server, *self._sockets):
            item.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                self._sockets.append(near)
                if self._is_cut.is_set():
                    continue
                far = socket.create_connection(self._to)
                self._sockets.append(far)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._is_cut.is_set():
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def wire(address: str) -> Iterator[Wire]:
    made = Wire(address)
    try:
        yield made
    finally:
        made.close()
