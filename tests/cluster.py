"""A Dask cluster on loopback for tests: a scheduler and workers, each a process of its own.

Every process ends when its connection to the test does, whatever becomes of the test's process.
What a worker is to do wrong it is told by its arguments: see `misbehave`.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.forks import Fork

# Ends a test that hangs; no claim on how fast anything is.
HUNG_S = 120
_QUIET = {
    "DASK_LOGGING__DISTRIBUTED": "warning",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__GIL__ENABLED": "False",
}


class Process:
    """A scheduler or a worker."""

    def __init__(self, root: Path, environ: Mapping[str, str], *arguments: str) -> None:
        self.log = root / f"{arguments[0]}-{time.monotonic_ns()}.log"
        self.log.touch()
        inherited = {**os.environ, **_QUIET, **environ}
        self._child = Fork(_main, *arguments, log=self.log, environ=inherited)
        self.address = ""

    def wait(self) -> None:
        """Until it serves; its address is known then."""
        try:
            self.address = self._child.connection.recv()
        except EOFError:
            pytest.fail(self.log.read_text())

    def kill(self) -> None:
        """Ends it as the kernel does when memory is short."""
        self._child.kill()

    def freeze(self) -> None:
        """Leaves its connections open and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    @property
    def pid(self) -> int:
        return self._child.pid

    def is_alive(self) -> bool:
        return self._child.is_alive()

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
        self._child.connection.close()
        if self._child.wait(10) is None:
            self.kill()
        self._child.close()


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, root: Path, security: Mapping[str, str] | None = None) -> None:
        self.root, self._security = root, json.dumps(dict(security or {}))
        self.scheduler = Process(root, {}, "scheduler", self._security)
        self.workers = list[Process]()
        self.scheduler.wait()

    @property
    def address(self) -> str:
        return self.scheduler.address

    def start(
        self,
        number: int = 1,
        environ: Mapping[str, str] | None = None,
        nanny: bool = False,
        threads: int = 1,
        **wrong: str,
    ) -> list[Process]:
        """More workers, after they have joined."""
        options = {"nanny": nanny, "threads": threads, "wrong": wrong}
        started = [
            Process(
                self.root, environ or {}, "worker", self._security, self.address,
                json.dumps(options),
            )
            for _ in range(number)
        ]  # fmt: skip
        for worker in started:
            worker.wait()
        self.workers += started
        return started

    def logs(self) -> str:
        """All that its processes have printed."""
        processes = (self.scheduler, *self.workers)
        return "\n".join(process.log.read_text() for process in processes)

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.end()


@contextmanager
def started(root: Path, workers: int = 1, **options: Any) -> Iterator[Cluster]:
    """A cluster for one test."""
    root.mkdir(parents=True, exist_ok=True)
    made = Cluster(root, options.pop("security", None))
    try:
        made.start(workers, **options)
        yield made
    finally:
        made.end()


# ---- what the processes run ----


async def _serve(make: Any, connection: Connection) -> None:
    import asyncio

    async with make() as server:
        connection.send(getattr(server, "address", None) or server.worker_address)
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wait() -> None:
            with suppress(EOFError, OSError):
                connection.recv()
            loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=wait, daemon=True).start()
        await ended.wait()
        os._exit(0)


def _main(connection: Connection, kind: str, security: str, *rest: str) -> None:
    """Serves until the other side of the connection is gone."""
    import asyncio

    import dask
    from distributed import Nanny, Scheduler, Security, Worker
    from distributed.config import initialize_logging

    dask.config.refresh()  # it was read before this process had its environment
    initialize_logging(dask.config.config)

    secured = json.loads(security)
    options: dict[str, Any] = {"host": "127.0.0.1"}
    if secured:
        options |= {
            "security": Security(require_encryption=True, **secured),
            "protocol": "tls://",
        }
    if kind == "scheduler":
        asyncio.run(_serve(lambda: Scheduler(port=0, dashboard=False, **options), connection))
        return
    address, said = rest
    asked = json.loads(said)
    options |= {"nthreads": asked["threads"], "memory_limit": 0}
    misbehave = f"from tests import cluster; cluster.misbehave({asked['wrong']!r})"
    if asked["nanny"]:
        asyncio.run(_serve(lambda: Nanny(address, preload=[misbehave], **options), connection))
    else:
        here: Sequence[str] = [misbehave]
        asyncio.run(
            _serve(lambda: Worker(address, preload=here, dashboard=False, **options), connection)
        )


def misbehave(wrong: Mapping[str, str]) -> None:
    """Makes this worker one of other versions, or one that a file kills or detains.

    Args:
        wrong: `version_of` and a name, `dies_of` or `hangs_on` and a file's name.
    """
    from gundog.staging import near
    from gundog.workers import task

    if name := wrong.get("version_of"):
        other = tuple((key, "0.0.0" if key == name else value) for key, value in task.versions())
        task.versions = lambda: other  # type: ignore[assignment]
    bring = near.bring

    def bring_or_not(batch: Any, *arguments: Any) -> Any:
        names = [Path(item.file.path).stem for item in batch]
        if wrong.get("dies_of") in names:
            os._exit(9)
        if wrong.get("hangs_on") in names:
            time.sleep(HUNG_S)
        return bring(batch, *arguments)

    near.bring = bring_or_not
