"""Runs that end where a test wants it: what `tests.forks.Fork` starts."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from gundog.core.times import parse_range
from gundog.findings import words
from gundog.run import run, run_rows
from gundog.warehouse import database
from tests import kit


def die(*_: Any, **__: Any) -> Any:
    """Ends this process as the kernel does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def command(_: Connection, words: list[str], file_limit: int | None = None) -> None:
    """The command line; no file may grow beyond the limit."""
    from gundog.cli import main

    if file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    sys.exit(main.main(words))


def write(connection: Connection, path: Path, memory: int) -> None:
    """A run that has a warehouse open for writing: it says so, and lets go when it is told."""
    with database.writable(path, memory_limit=memory, threads=1):
        connection.send("open")
        connection.poll(60)


def hunt(
    _: Connection, root: Path, days: tuple[str, str], now: datetime, detections: tuple[str, ...]
) -> None:
    """A run over some days that nobody stops."""
    kit.hunt(root, days, now, detections=detections)


def at_point(_: Connection, root: Path, now: datetime, point: str) -> None:
    """A night that ends as it begins one of its parts, or as it calls a function of ours.

    Args:
        root: the project.
        now: the time of the run.
        point: the label of a part, `stored` or `queued`; of any other the run is told by others.
    """

    def step(part: run.Part, work: Callable[[], Any]) -> Any:
        return die() if part.label == point else work()

    if point == "stored":
        words.restate = die
    elif point == "queued":
        run_rows.close = die
    run.run(run.load_project(root, {}), run.Request("hunt"), now, uuid4(), step=step)


def before_call(
    connection: Connection, root: Path, days: tuple[str, str], wanted: str, module: str, name: str
) -> None:
    """A run that ends within a part, just before it calls a function of ours.

    Args:
        connection: it is told the labels of the parts that have begun and not ended.
        root: the project.
        days: the first and the last day that are hunted.
        wanted: what the labels of these parts begin with.
        module: the module of the function.
        name: the name of the function there, that of its class and a point before it.
    """
    inside: list[str] = []

    def step(part: run.Part, work: Callable[[], Any]) -> Any:
        inside.append(part.label)
        done = work()
        inside.pop()
        return done

    owner: Any = import_module(module)
    *owners, function = name.split(".")
    for part in owners:
        owner = getattr(owner, part)
    real = getattr(owner, function)

    def dying(*arguments: Any, **named: Any) -> Any:
        if " ".join(inside).startswith(wanted):
            connection.send(" ".join(inside))
            die()
        return real(*arguments, **named)

    setattr(owner, function, dying)
    request = run.Request("hunt", parse_range(*days))
    run.run(run.load_project(root, {}), request, kit.NOW, UUID(int=1), step=step)
