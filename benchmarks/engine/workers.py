"""Reading with the workers of a Dask cluster: `python -m benchmarks.engine.workers LAKE [MB]`.

Writes the lake where it is not there, stages one day of mail records and process events in-process,
with one worker and with two, each of one thread, and prints a line for each, measured in a process
of its own. Then the same where the run only receives what workers read, and stores nothing: reading
by itself. The cluster is started here, on this machine: its processes and the run share the cores,
which the figures must be read by.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from benchmarks.engine import generator
from benchmarks.engine.children import peak_mb
from benchmarks.engine.project import DAY, FIRST, HOURLY, HUNTS
from gundog.core.child import Child
from gundog.core.times import Interval
from gundog.detections import content, content_folder
from gundog.detections.hunt import Content, Hunt
from gundog.lake.file_version import FileVersion
from gundog.lake.listing import list_files
from gundog.lake.path import LakePath
from gundog.staging import apart, stage
from gundog.staging.batch import Limits, Task
from gundog.staging.others import Asked, Given, Nobody, Others
from gundog.warehouse import database
from gundog.workers.cluster import Cluster
from gundog.workers.config import Workers

_AT = datetime(2026, 12, 1, tzinfo=UTC)
_TODAY = Interval(FIRST, FIRST + DAY)
_LIMIT = timedelta(minutes=10)


class Timed(Cluster):
    """Notes when the first batch was asked for and when the last outcome was here."""

    began = ended = 0.0

    def joined(self) -> frozenset[str]:
        """The workers that are there."""
        self._connect_once()
        if self._connection:
            self._see_who_is_there(self._connection)
        return self._workers

    @contextmanager
    def read(self, asked: Iterable[Asked]) -> Iterator[Iterator[tuple[Asked, Given | None]]]:
        self._connect_once()
        self.began = time.perf_counter()
        with super().read(asked) as answers:
            yield self._noted(answers)

    def _noted(
        self, answers: Iterator[tuple[Asked, Given | None]]
    ) -> Iterator[tuple[Asked, Given | None]]:
        for asked, given in answers:
            self.ended = time.perf_counter()
            yield asked, given


@contextmanager
def cluster(number: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    """A scheduler and workers of one thread each; its address and the workers' processes."""
    python = [sys.executable, "-m"]
    quiet = ["--no-dashboard"]
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "scheduler.json"
        log = (Path(folder) / "log").open("wb")
        scheduler = subprocess.Popen(  # noqa: S603 - this Python
            [*python, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
             "--scheduler-file", str(said), *quiet],
            stderr=log,
        )  # fmt: skip
        started = [scheduler]
        try:
            while not said.exists():
                time.sleep(0.1)
            address = json.loads(said.read_text())["address"]
            workers = [
                subprocess.Popen(  # noqa: S603 - this Python
                    [*python, "distributed.cli.dask_worker", address, "--nthreads", "1",
                     "--no-nanny", "--host", "127.0.0.1", "--memory-limit", "0",
                     "--local-directory", folder, *quiet],
                    stderr=log,
                )
                for _ in range(number)
            ]  # fmt: skip
            started += workers
            yield address, [psutil.Process(worker.pid) for worker in workers]
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()
            log.close()


def cpu(processes: Iterable[psutil.Process]) -> float:
    """Seconds of CPU of processes and of those that they started."""
    every = [item for process in processes for item in (process, *process.children(True))]
    return sum(sum(item.cpu_times()[:2]) for item in every)


@dataclass(frozen=True)
class Job:
    """One day of a source to read, and where."""

    loaded: Content
    hunt: Hunt
    paths: list[LakePath]
    files: list[FileVersion]
    scratch: Path

    @property
    def megabytes(self) -> float:
        """How large the files are."""
        return sum(file.size for file in self.files) / 1e6

    @property
    def stored_mb(self) -> float:
        """How large the warehouse is."""
        path = self.scratch / "warehouse.duckdb"
        return path.stat().st_size / 1e6 if path.exists() else 0.0

    @property
    def limits(self) -> Limits:
        """What reading may use."""
        return Limits(4_000_000_000, 1, self.scratch / "tmp")

    def stage(self, others: Others, child: Child) -> None:
        """Reads and stores the day as a run does."""
        with database.writable(
            self.scratch / "warehouse.duckdb", memory_limit=self.limits.memory, threads=1
        ) as con:
            tasks = stage.pending(con, self.files, self.hunt.stages)
            lake = {self.hunt.sources[0]: self.paths}
            stage.run(
                con, tasks, self.loaded.sources, lake, {}, _AT, self.limits,
                apart.reader(child, _LIMIT), others=others,
            )  # fmt: skip

    def receive(self, others: Cluster) -> None:
        """Takes what workers read and stores nothing: reading by itself."""
        self.limits.folder.mkdir(exist_ok=True)
        source = self.loaded.sources[self.hunt.sources[0]]
        with database.writable(
            self.scratch / "empty.duckdb", memory_limit=self.limits.memory, threads=1
        ) as con:
            tasks = stage.pending(con, self.files, self.hunt.stages)
        batches = stage.batches(tasks, others.batch_bytes or stage.BATCH_BYTES)
        asked = (
            Asked(tuple(batch), source, self.paths, self.limits, frozenset()) for batch in batches
        )
        with others.read(asked) as answers:
            for item, given in answers:
                if given is None or any(isinstance(part, Task) for part in given.parts):
                    raise RuntimeError(f"{item.source.name}: a worker did not read a batch")


@contextmanager
def job(lake: Path, source: str) -> Iterator[Job]:
    """The first day of a source, with a folder that goes afterwards."""
    loaded = content.load([content_folder.builtin()])
    paths = [LakePath(f"{lake}/{source}/{HOURLY}")]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        files = list_files(source, paths, _TODAY, scratch, {})
        yield Job(loaded, loaded.hunt(HUNTS[source]), paths, files, scratch)


def warm_up(work: Job, address: str, workers: int) -> None:
    """Lets each worker read two files, so that it has loaded what it needs."""
    most, stage.BATCH_FILES = stage.BATCH_FILES, 1
    with tempfile.TemporaryDirectory() as folder, Cluster(Workers(address), _LIMIT) as others:
        few = Job(work.loaded, work.hunt, work.paths, work.files[: 2 * workers], Path(folder))
        few.receive(others)
    stage.BATCH_FILES = most


def alone(lake: Path, source: str) -> dict[str, Any]:
    """What staging a day takes without workers."""
    with job(lake, source) as work, Child() as child:
        child.call(apart.limit_of, _LIMIT)  # it is started, as workers are
        before = cpu([psutil.Process(child.pid)])
        taken = timed(lambda: work.stage(Nobody(), child))
        reading = cpu([psutil.Process(child.pid)]) - before
        return taken | {
            "MB": work.megabytes, "warehouse MB": work.stored_mb, "CPU reading s": reading,
        }  # fmt: skip


def shared(lake: Path, source: str, workers: int, *, stores: bool) -> dict[str, Any]:
    """What staging a day with workers takes, or only receiving it."""
    with (
        job(lake, source) as work,
        Child() as child,
        cluster(workers) as (address, processes),
        Timed(Workers(address), _LIMIT) as others,
    ):
        while len(others.joined()) < workers:
            time.sleep(0.5)
        warm_up(work, address, workers)
        before = cpu(processes)
        taken = timed(lambda: work.stage(others, child) if stores else work.receive(others))
        return taken | {
            "MB": work.megabytes,
            "warehouse MB": work.stored_mb,
            "reading s": others.ended - others.began,
            "CPU reading s": cpu(processes) - before,
            "back per lake byte": others.came_back / work.megabytes / 1e6,
            "largest back MB": others.most_back / 1e6,
        }


def timed(work: Callable[[], None]) -> dict[str, Any]:
    """Wall and CPU seconds of this process, and its peak memory so far."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return {
        "wall s": time.perf_counter() - began,
        "CPU run s": time.process_time() - used,
        "run peak MB": peak_mb(Path("/proc/self/status").read_text()),
    }


def measure(lake: Path, source: str, workers: int, stores: bool) -> dict[str, Any]:
    """The figures of one way to read a day, by name."""
    taken = shared(lake, source, workers, stores=stores) if workers else alone(lake, source)
    return {"source": source, "workers": workers, "stores": stores} | taken


def main(lake: Path, megabytes: int = 300, *only: str) -> None:
    """Prints one line of figures for each source and way to read; of some sources only."""
    if not lake.exists():
        generator.write(lake, generator.sized(1, megabytes))
    ways = ((0, True), (1, True), (2, True), (1, False), (2, False))
    for source in only or sorted(HUNTS):
        for workers, stores in ways:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
                figures = processes.submit(measure, lake, source, workers, stores).result()
            shown = {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}
            sys.stdout.write(json.dumps(shown) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]), *sys.argv[3:])
