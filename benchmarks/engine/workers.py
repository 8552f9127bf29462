"""Reading with the workers of a Dask cluster: `python -m benchmarks.engine.workers LAKE [MB]`.

Writes the lake where it is not there, stages one day of mail records and process events in-process,
with one worker and with two, each of one thread, and prints a line for each. The cluster is started
here, on this machine: its processes and the run share the cores, which the figures must be read by.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks.engine import generator
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
from gundog.staging.others import Asked, Given, Nobody
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


def warm_up(
    hunt: Hunt, loaded: Content, paths: list[LakePath], files: list[FileVersion], address: str
) -> None:
    """Lets each worker read a file, so that it has loaded what it needs."""
    most = stage.BATCH_FILES
    stage.BATCH_FILES = 1
    with tempfile.TemporaryDirectory() as folder, Cluster(Workers(address), _LIMIT) as others:
        scratch = Path(folder)
        with database.writable(scratch / "w.duckdb", memory_limit=10**9, threads=1) as con:
            tasks = stage.pending(con, files, hunt.stages)
            limits = Limits(4_000_000_000, 1, scratch / "tmp")
            lake = {hunt.sources[0]: paths}
            stage.run(con, tasks, loaded.sources, lake, {}, _AT, limits, others=others)
    stage.BATCH_FILES = most


def receive(others: Cluster, asked: Iterable[Asked]) -> None:
    """Takes what workers read and stores nothing: reading by itself."""
    with others.read(iter(asked)) as answers:
        for item, given in answers:
            if given is None or any(isinstance(part, Task) for part in given.parts):
                raise RuntimeError(f"{item.source.name}: a worker did not read a batch")


def measure(lake: Path, source: str, workers: int, *, stores: bool = True) -> dict[str, Any]:
    """Stages one day, or only receives it; wall and CPU seconds, and what came back."""
    loaded = content.load([content_folder.builtin()])
    hunt = loaded.hunt(HUNTS[source])
    paths = [LakePath(f"{lake}/{source}/{HOURLY}")]
    with tempfile.TemporaryDirectory() as folder, Child() as child:
        scratch = Path(folder)
        files = list_files(source, paths, _TODAY, scratch, {})
        limits = Limits(4_000_000_000, 1, scratch / "tmp")

        def work(others: Timed | Nobody) -> dict[str, Any]:
            with (
                database.writable(
                    scratch / "warehouse.duckdb", memory_limit=limits.memory, threads=1
                ) as con,
                others,
            ):
                tasks = stage.pending(con, files, hunt.stages)
                began, used = time.perf_counter(), time.process_time()
                if stores or isinstance(others, Nobody):
                    stage.run(
                        con, tasks, loaded.sources, {source: paths}, {}, _AT, limits,
                        apart.reader(child, _LIMIT), others=others,
                    )  # fmt: skip
                else:
                    limits.folder.mkdir(exist_ok=True)
                    batches = stage.batches(tasks, others.batch_bytes or stage.BATCH_BYTES)
                    receive(
                        others,
                        (
                            Asked(tuple(batch), loaded.sources[source], paths, limits, frozenset())
                            for batch in batches
                        ),
                    )
                wall, parent = time.perf_counter() - began, time.process_time() - used
                reading = others.ended - others.began if isinstance(others, Timed) else None
                back = others.came_back if isinstance(others, Timed) else 0
            size = sum(file.size for file in files)
            read = cpu([psutil.Process(child.pid)]) if child.pid else 0.0
            return {
                "source": source, "workers": workers, "stores": stores, "MB": size / 1e6, "wall s": wall,
                "reading s": reading, "CPU run s": parent, "CPU reading s": read,
                "back per lake byte": back / size,
            }  # fmt: skip

        if not workers:
            return work(Nobody())
        with cluster(workers) as (address, processes):
            others = Timed(Workers(address), _LIMIT)
            while len(others.joined()) < workers:
                time.sleep(0.5)
            warm_up(hunt, loaded, paths, files[: 2 * workers], address)
            before = cpu(processes)
            figures = work(others)
            return {**figures, "CPU reading s": cpu(processes) - before}


def main(lake: Path, megabytes: int = 300, *only: str) -> None:
    """Prints one line of figures for each source and number of workers; of some sources only."""
    if not lake.exists():
        generator.write(lake, generator.sized(1, megabytes))
    for source in only or sorted(HUNTS):
        for workers, stores in ((0, True), (1, True), (2, True), (1, False), (2, False)):
            figures = measure(lake, source, workers, stores=stores)
            shown = {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}
            sys.stdout.write(json.dumps(shown) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]), *sys.argv[3:])
