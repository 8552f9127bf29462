"""Processes of tests that need what takes a second to import: forked from one that has imported it.

The one that they are forked from opens no database and starts no thread, so that they begin where
`python -m` would be after its imports. A test that ends a process by a signal loses nothing of it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import chdir, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
# Imported once; `__main__` of the tests is not wanted in any of them.
_IMPORTED = (
    "distributed", "gundog.hunting.scoring.hour_scores", "gundog.run.run", "gundog.workers.task",
    "tests.deaths", "tests.elsewhere", "tests.publish_loop",
)  # fmt: skip
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([*_IMPORTED])


class Fork:
    """A function of ours at work in a process of its own."""

    def __init__(
        self, work: Callable[..., None], *arguments: Any, log: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Starts `work(connection, *arguments)`.

        Args:
            work: a function of a module that can be imported.
            arguments: what it is called with, after this side's connection to it.
            log: where it prints to; what the tests print to by default.
            environ: its environment; that of the tests by default.
        """
        self._one_waits = threading.Lock()
        self.connection, theirs = multiprocessing.Pipe()
        inherited = {**os.environ} if environ is None else {**environ}
        self._process = _context.Process(
            target=_begin, args=(work, theirs, arguments, log, inherited)
        )
        with chdir(HERE):  # where the process that forks finds `tests`
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def is_alive(self) -> bool:
        return self.wait(0) is None

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit status, negative for the signal that killed it; None while it goes on."""
        with self._one_waits:  # the status can be read once
            self._process.join(seconds)
            return self._process.exitcode

    def kill(self) -> None:
        """Ends it as the kernel does when memory is short, if it goes on at all."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """Forgets it, once it has ended."""
        self.connection.close()
        self._process.close()


def _begin(
    work: Callable[..., None], connection: Connection, arguments: tuple[Any, ...],
    log: Path | None, environ: dict[str, str],
) -> None:  # fmt: skip
    os.environ.clear()
    os.environ.update(environ)
    if log:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    work(connection, *arguments)
