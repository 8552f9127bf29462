"""A worker's side: it brings the files of a batch near and reads them, as a run does.

It reaches the lake as who it is itself, by its own environment. Stage SQL runs in a process of its
own, which sees nothing of that environment, may be killed, and takes the worker with it never. One
batch is read at a time, whatever number of threads a worker has: the limit of memory is for one.
"""

from __future__ import annotations

import os
import pickle
import signal
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gundog.core.child import Child
from gundog.core.errors import StoreError
from gundog.lake.path import split_uri
from gundog.staging import apart, near
from gundog.staging.batch import BROKEN, Failed, Limits, Read, Rows, Task
from gundog.staging.near import Lake
from gundog.workers import task as travelling
from gundog.workers.task import Answer, Order, Versions

# What the first of the three that a worker returns says: it is of other versions, or has read.
UNFIT, READ = "unfit", "read"
_LOOK_S = 0.5
# The process that reads batches changes hands under this lock.
_one_at_a_time = threading.Lock()
_child = Child("gundog.staging.reading")


class _UnwantedError(Exception):
    """The run does not want it any more, or it took too long."""


class _Work:
    """One batch that this worker reads, for as long as its run wants it.

    Dask cannot end a thread. So another one looks whether the scheduler still wants the task, and
    ends the process that reads when it does not: the run gave it up, or is gone.
    """

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._key = worker.get_current_task() if worker else ""
        self._is_reading = False
        self._is_over = threading.Event()
        self.is_unwanted = False

    def __enter__(self) -> _Work:
        if self._worker:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Waits until no other batch is read here, and no longer than that."""
        if not _one_at_a_time.acquire(timeout=seconds):
            raise _UnwantedError
        try:
            self._is_reading = True
            yield
        finally:
            self._is_reading = False
            _one_at_a_time.release()

    def check(self) -> None:
        """Raises when nobody wants it any more."""
        if self.is_unwanted:
            raise _UnwantedError

    def _watch(self) -> None:
        while not self._is_over.wait(_LOOK_S):
            task = self._worker.state.tasks.get(self._key)
            self.is_unwanted = task is None or task.state == "cancelled"
            if self.is_unwanted and self._is_reading and (pid := _child.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def read(versions: Versions, order: bytes) -> tuple[str, str, bytes]:
    """UNFIT and a sentence; or READ, an empty text and an `Answer` as bytes.

    Args:
        versions: of the run; with others nothing is read, nor is `order` even opened.
        order: an `Order` as bytes.
    """
    if text := travelling.difference(versions, travelling.versions()):
        return UNFIT, text, b""
    asked: Order = pickle.loads(order)  # noqa: S301 - the run's, which may run any code here
    try:
        with _Work(_worker()) as work:
            answer = _answer(work, asked)
    except _UnwantedError:
        answer = Answer(order=tuple(task.file_id for task in asked.tasks))
    return READ, "", pickle.dumps(answer, protocol=5)


def _answer(work: _Work, order: Order) -> Answer:
    with (
        tempfile.TemporaryDirectory(prefix="gundog-", dir=_folder()) as folder,
        ExitStack() as opened,
    ):
        limits = Limits(_memory(order.memory), _threads(order.memory), Path(folder))
        lake = Lake(order.paths, dict(os.environ), limits)
        groups = defaultdict[tuple[str, int], list[tuple[Task, Path]]](list)
        for task, path, schema in near.bring(order.tasks, order.source, lake, opened):
            work.check()
            if isinstance(path, StoreError):
                return Answer(error=_reason(task, path))
            if isinstance(path, Path):
                groups[schema, task.file.lake_path].append((task, path))
        with work.turn(order.seconds):
            return _read_groups(work, order, list(groups.values()), lake)


def _read_groups(
    work: _Work, order: Order, groups: Sequence[Sequence[tuple[Task, Path]]], lake: Lake
) -> Answer:
    """Reads files of one schema at a time; what does not go well is left to the run."""
    ends = time.monotonic() + order.seconds
    reads, streams, room = list[Read](), list[dict[str, bytes]](), order.most_bytes
    failed = ""
    for group in groups:
        for outcome in _read_group(work, order, group, lake, ends):
            if isinstance(outcome, Failed):
                failed = failed or outcome.error
                continue
            if any(near.changed(outcome.tasks, lake)):
                continue
            packed = _packed(outcome, room)
            if packed is None:
                continue
            room -= sum(map(len, packed.values()))
            reads.append(_light(outcome))
            streams.append(packed)
    in_order = [task.file_id for group in groups for task, _ in group]
    others = [task.file_id for task in order.tasks if task.file_id not in set(in_order)]
    return Answer(tuple(reads), tuple(streams), (*others, *in_order), failed=failed)


def _read_group(
    work: _Work, order: Order, group: Sequence[tuple[Task, Path]], lake: Lake, ends: float
) -> Iterator[Read | Failed]:
    """What is read of files of one schema; file by file when they are not read together."""
    outcome = _attempt(work, order, group, lake, ends)
    if isinstance(outcome, Failed) and outcome.kind == BROKEN and len(group) > 1:
        for pair in group:
            yield _attempt(work, order, [pair], lake, ends)
    else:
        yield outcome


def _attempt(
    work: _Work, order: Order, group: Sequence[tuple[Task, Path]], lake: Lake, ends: float
) -> Read | Failed:
    seconds = ends - time.monotonic()
    work.check()
    if seconds <= 0:
        raise _UnwantedError
    batch = near.shared(order.source, group[0][0], lake)
    return apart.read_within(_child, replace(batch, files=tuple(group)), seconds)


def _packed(outcome: Read, most_bytes: int) -> dict[str, bytes] | None:
    """Its rows as streams by stage; None when they are larger than what may come back."""
    streams = dict[str, bytes]()
    for name, rows in outcome.rows.items():
        stream = travelling.packed(rows, most_bytes)
        if stream is None:
            return None
        most_bytes -= len(stream)
        streams[name] = stream
    return streams


def _light(outcome: Read) -> Read:
    """Without its rows, which are packed."""
    rows = {name: Rows(rows.schema, (), None, rows.counted) for name, rows in outcome.rows.items()}
    return replace(outcome, rows=rows)


def _reason(task: Task, error: StoreError) -> str:
    """Without the file's name, so that one trouble with many files has one text."""
    text = (str(error).strip() or repr(error)).splitlines()[0]
    text = text.removeprefix(f"{task.file.path}: ")
    return text.replace(split_uri(task.file.path)[2], "FILE")[:500]


def _worker() -> Any:
    """The Dask worker that this is; None elsewhere."""
    from distributed import get_worker

    with suppress(ValueError):
        return get_worker()
    return None


def _folder() -> str | None:
    """The worker's own folder, which its nanny empties after it was killed."""
    return getattr(_worker(), "local_directory", None)


def _memory(asked: int) -> int:
    """What DuckDB may use: what the run would, or the worker's own limit where that is less."""
    own = getattr(getattr(_worker(), "memory_manager", None), "memory_limit", None)
    return min(asked, own) if own else asked


def _threads(memory: int) -> int:
    """DuckDB's threads are those that the worker was given."""
    own = getattr(getattr(_worker(), "state", None), "nthreads", 1)
    return max(1, min(own, memory // 500_000_000))
