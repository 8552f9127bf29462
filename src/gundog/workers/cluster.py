"""The run's side of a cluster: who reads which batch, and what is done when somebody does not.

Each worker has at most two batches: one that it reads and one that it begins when it has read that.
A batch stays with its worker. When the worker is gone it goes to another one; when it has cost two
workers, it is read by the run, where its file can be found and named. Whatever happens to the
cluster, the run goes on without it.
"""

from __future__ import annotations

import asyncio
import pickle
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from gundog.staging import apart
from gundog.staging.batch import Read
from gundog.staging.others import Asked, Given
from gundog.workers import remote, task
from gundog.workers.client import Answered, Connection, LostError, Sent, Waits
from gundog.workers.config import Workers
from gundog.workers.task import Answer

BATCH_BYTES = 64 * 2**20
_IN_FLIGHT = 2
# Small days are staged together until there is work for so many batches at once.
_STEP_BATCHES = 16
# A batch that has cost so many workers is read by the run.
_MOST_LOST = 2
# So many batches are brought here at a time; the run holds no more of them in memory.
_FETCHED = 2
_MOST_BACK = 256 * 2**20
# Workers that came are noticed after so many seconds, those that went when they are waited for.
_LOOK_S = 5.0
_HERE = "its files are read here instead"


@dataclass
class _Batch:
    """A batch and how far it is; `worker` is who has it, without one it waits for somebody."""

    asked: Asked
    order: bytes = b""
    worker: str = ""
    sent: Sent | None = None
    fetched: futures.Future[Answered] | None = None
    ends: float = 0.0
    lost: int = 0
    is_for_run: bool = False


class Cluster:
    """Those who read for one run; nothing is asked of them before there is something to read.

    Attributes:
        taken: how many files' rows came from workers.
        most_back: the most bytes that came back for a batch.
        came_back: the bytes that came back for all.

    Args:
        config: where it is.
        limit: how long a batch of `apart.BATCH_BYTES` may take.
        waits: how long anything else may.
    """

    def __init__(self, config: Workers, limit: timedelta, waits: Waits | None = None) -> None:
        self._config, self._limit, self._waits = config, limit, waits or Waits()
        self._run = uuid4().hex[:8]
        self._sent = 0
        self.taken = self.most_back = self.came_back = 0
        self._connection: Connection | None = None
        self._workers = frozenset[str]()
        self._lonely_since: float | None = None
        self._seen_at = 0.0
        self._unfit = set[str]()
        self._is_lost = False
        self._window = deque[_Batch]()
        self._problems = dict[str, list[str]]()
        self._named = set[str]()

    @property
    def batch_bytes(self) -> int | None:
        return None if self._is_lost else BATCH_BYTES

    @property
    def step_bytes(self) -> int | None:
        return None if self._is_lost else _STEP_BATCHES * BATCH_BYTES

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._abandon()
        if self._connection:
            self._connection.close()
            self._connection = None
            self._is_lost = True

    def problems(self) -> list[str]:
        """What went wrong with the cluster since this was asked before, each trouble once."""
        shown = []
        for why, workers in self._problems.items():
            if why not in self._named:
                more = f" and {len(workers) - 1} more" if len(workers) > 1 else ""
                who = f"worker {workers[0]}{more}: " if workers else ""
                shown.append(f"{self._config.shown}: {who}{why}")
        self._named.update(self._problems)
        self._problems.clear()
        return shown

    @contextmanager
    def read(self, asked: Iterable[Asked]) -> Iterator[Iterator[tuple[Asked, Given | None]]]:
        """See `gundog.staging.others.Others`."""
        answers = self._answers(iter(asked))
        try:
            yield answers
        finally:
            answers.close()
            self._abandon()

    def could_be_read(self, given: Given) -> None:
        """See `gundog.staging.others.Others`."""
        if given.error:
            why = f"could not bring a file near that this run could ({given.error})"
            self._refuse(given.worker, why)
        else:  # it may be that one file only
            self._name(f"could not read a file that this run could ({given.failed})", given.worker)

    # ---- batches ----

    def _answers(self, asked: Iterator[Asked]) -> Generator[tuple[Asked, Given | None], None, None]:
        while True:
            self._fill(asked)
            if not self._window:
                return
            batch = self._window[0]
            with tempfile.TemporaryDirectory(dir=batch.asked.limits.folder) as folder:
                given = self._await(batch, Path(folder))
                self._window.popleft()
                if batch.sent:
                    batch.sent.release()
                yield batch.asked, given

    def _fill(self, asked: Iterator[Asked]) -> None:
        """Takes as many batches as workers have room for, and one at least."""
        self._connect_once()
        if self._connection and time.monotonic() - self._seen_at > _LOOK_S:
            self._see_who_is_there(self._connection)
        while not self._window or (not self._is_lost and self._free()):
            if (item := next(asked, None)) is None:
                return
            batch = _Batch(item)
            self._window.append(batch)
            if not self._is_lost and self._may_travel(item):
                seconds = apart.seconds_for(self._limit, item.tasks)
                most = min(item.limits.memory // 8, _MOST_BACK)
                batch.order = task.order(item, seconds, most)
                self._hand_out()
            else:
                batch.is_for_run = True

    def _may_travel(self, asked: Asked) -> bool:
        if all(stage.name in asked.left_out for stage in asked.tasks[0].stages):
            return False
        if why := task.travels(asked.paths):
            self._name(f"{asked.source.name} is read here: {why}")
        return not why

    def _free(self, *, for_more: bool = True) -> str | None:
        """A worker with the fewest batches that has room for one more; None where none has.

        Batches that are read and wait to be stored take room for more of them, but not for one that
        is given to its second worker: they may wait for just that one.
        """
        busy = [batch.worker for batch in self._window if batch.sent]
        if not for_more:
            busy = [item.worker for item in self._window if item.sent and not item.sent.was_read]
        fit = sorted(self._workers - self._unfit, key=lambda worker: (busy.count(worker), worker))
        return fit[0] if fit and busy.count(fit[0]) < _IN_FLIGHT else None

    def _hand_out(self) -> None:
        """Gives the batches that wait to workers with room, in order."""
        for batch in self._window:
            worker = self._free(for_more=False)
            if self._is_lost or not worker or not self._connection:
                return
            if batch.sent or batch.is_for_run:
                continue
            self._sent += 1
            key = f"gundog-read-{self._run}-{self._sent}"
            seconds = apart.seconds_for(self._limit, batch.asked.tasks)
            batch.worker, batch.fetched = worker, None
            batch.ends = time.monotonic() + _IN_FLIGHT * seconds + self._waits.slack
            try:
                batch.sent = self._connection.send(worker, key, task.versions(), batch.order)
            except LostError as error:
                self._lose(str(error))

    def _drop(self, batches: Sequence[_Batch]) -> None:
        """From workers that will not read them; others may."""
        for batch in batches:
            if batch.fetched:
                batch.fetched.cancel()
        sent = [batch.sent for batch in batches if batch.sent]
        if sent and self._connection:
            self._connection.forget(sent)
        for batch in batches:
            batch.sent, batch.worker, batch.fetched = None, "", None

    def _await(self, batch: _Batch, folder: Path) -> Given | None:
        """What a worker gives for the oldest batch; None when the run has to read it."""
        # What it gives may have waited for its turn, and still has to travel.
        batch.ends = max(batch.ends, time.monotonic() + self._waits.slack)
        while not self._is_lost and not batch.is_for_run:
            self._begin_to_fetch()
            try:
                if batch.fetched is None:
                    time.sleep(self._waits.poll)
                    raise TimeoutError  # noqa: TRY301 - it waits for a worker
                kind, text, payload = batch.fetched.result(self._waits.poll)
            except (TimeoutError, futures.CancelledError, asyncio.CancelledError):
                was_dropped = batch.fetched is not None and batch.fetched.done()
                self._look_after(batch, was_dropped=was_dropped)
            except Exception as error:
                lines = str(error).strip().splitlines() or [""]
                batch.lost += 1
                self._fail(batch, f"cannot read ({type(error).__name__}: {lines[0][:300]})")
            else:
                if kind == remote.READ:
                    self.most_back = max(self.most_back, len(payload))
                    self.came_back += len(payload)
                    given = _given(batch, payload, folder)
                    self.taken += sum(
                        len(part.tasks) for part in given.parts if isinstance(part, Read)
                    )
                    return given
                self._fail(batch, text)
        return None

    def _begin_to_fetch(self) -> None:
        for batch in list(self._window)[:_FETCHED]:
            if batch.sent and batch.fetched is None and self._connection:
                batch.fetched = self._connection.fetch(batch.sent)

    # ---- troubles ----

    def _connect_once(self) -> None:
        if self._connection or self._is_lost:
            return
        try:
            self._connection = Connection(self._config, self._waits)
        except LostError as error:
            self._lose(str(error))
        else:
            self._see_who_is_there(self._connection)

    def _see_who_is_there(self, connection: Connection) -> None:
        """Looks for workers; without any for too long, or without a scheduler, all is lost."""
        if self._is_lost:
            return
        try:
            self._workers = connection.workers()
        except LostError as error:
            self._lose(str(error))
            return
        self._seen_at = time.monotonic()
        if self._workers:
            self._lonely_since = None
            if self._workers <= self._unfit:
                self._lose("")  # why each cannot be used is named
            return
        self._lonely_since = self._lonely_since or self._seen_at
        if self._seen_at - self._lonely_since > self._waits.lonely:
            self._lose(f"has had no worker for {self._waits.lonely:.0f} s: start some")

    def _look_after(self, oldest: _Batch, *, was_dropped: bool) -> None:
        """Finds batches whose worker is gone or too slow, and gives them to others."""
        assert self._connection  # noqa: S101 - nothing waits without one
        self._see_who_is_there(self._connection)
        if self._is_lost:
            return
        if was_dropped:  # by a scheduler that forgot it
            self._drop([oldest])
        for worker in sorted({batch.worker for batch in self._window if batch.sent}):
            if worker not in self._workers:
                self._bury(worker)
        if oldest.sent and time.monotonic() > oldest.ends:
            self._too_slow(oldest)
        self._hand_out()

    def _bury(self, worker: str) -> None:
        """A worker is gone: what it was reading may be why, what waited for it is not."""
        batches = [batch for batch in self._window if batch.sent and batch.worker == worker]
        unread = (batch for batch in batches if batch.sent and not batch.sent.was_read)
        reading = next(unread, None)
        self._drop(batches)
        if reading:
            reading.lost += 1
            if reading.lost >= _MOST_LOST:
                reading.is_for_run = True
                files = task.files_of(reading.asked.tasks)
                self._name(f"{files}: {reading.lost} workers ended while they read: {_HERE}")

    def _too_slow(self, batch: _Batch) -> None:
        batch.lost += 1
        self._fail(batch, "does not give what it should have read long ago: see its log")

    def _fail(self, batch: _Batch, why: str) -> None:
        """The worker of a batch is not asked again; the batch goes to another, or to the run."""
        worker = batch.worker
        self._drop([batch])
        batch.is_for_run = batch.lost >= _MOST_LOST
        self._refuse(worker, why)

    def _refuse(self, worker: str, why: str) -> None:
        """A worker is not asked any more, whatever it has goes to others."""
        self._unfit.add(worker)
        self._name(why, worker)
        self._drop([batch for batch in self._window if batch.sent and batch.worker == worker])
        if self._workers and self._workers <= self._unfit:
            self._lose("")
        self._hand_out()

    def _lose(self, why: str) -> None:
        """The run goes on alone."""
        self._is_lost = True
        self._drop([batch for batch in self._window if batch.sent])
        if why:
            self._name(f"{why}; {_HERE}")

    def _name(self, why: str, worker: str = "") -> None:
        workers = self._problems.setdefault(why, [])
        if worker and worker not in workers:
            workers.append(worker)

    def _abandon(self) -> None:
        """Frees the cluster of what nobody waits for any more."""
        batches = [batch for batch in self._window if batch.sent]
        self._window.clear()
        if batches and self._connection:
            self._drop(batches)


def _given(batch: _Batch, payload: bytes, folder: Path) -> Given:
    answer: Answer = pickle.loads(payload)  # noqa: S301 - a worker's, which the run trusts
    if answer.error:
        return Given(batch.asked.tasks, batch.worker, answer.error)
    parts = task.parts(answer, batch.asked.tasks, folder)
    return Given(parts, batch.worker, failed=answer.failed)
