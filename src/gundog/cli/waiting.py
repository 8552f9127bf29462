"""A bar with an estimate, for commands that a person may wait for.

It is on standard error, only on a terminal, not with --quiet, and only once the wait has lasted.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from gundog.core import safe_text, waiting
from gundog.core.waiting import Went

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")
# A bar that comes and goes at once only flickers.
PATIENCE_S = 2.0


def is_shown(quiet: bool) -> bool:
    """Whether a person looks at standard error and wants to see how far it is."""
    return not quiet and sys.stderr.isatty()


@contextmanager
def bar(arguments: argparse.Namespace, words: str) -> Iterator[Went]:
    """Shows how far something is while the block lasts; without numbers only that it goes on.

    Args:
        arguments: those of the command, with `quiet`.
        words: what is done, such as `reading sources`.
    """
    if not is_shown(getattr(arguments, "quiet", False)):
        yield waiting.unseen
        return
    shown = made()
    task = shown.add_task(safe_text.for_terminal(words), total=None, unit="")
    with _later(shown.start, shown.stop):
        yield updater(shown, task)


@contextmanager
def _later(start: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """Starts something if the block lasts, and stops it when the block ends."""
    lock, ended = threading.Lock(), False

    def begin() -> None:
        with lock:
            if not ended:
                start()

    timer = threading.Timer(PATIENCE_S, begin)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            ended = True
        stop()


def each(items: Sequence[T], arguments: argparse.Namespace, words: str, unit: str) -> Iterator[T]:
    """The items one by one, with a bar that counts those that are done."""
    with bar(arguments, words) as went:
        went(0, len(items), unit)
        for number, item in enumerate(items, start=1):
            yield item
            went(number, len(items), unit)


def counted(items: Iterable[T], total: int, went: Went, unit: str) -> Iterator[T]:
    """The items, each told to a bar when the next one is asked for."""
    for number, item in enumerate(items, start=1):
        yield item
        went(number, max(total, number), unit)


def made() -> Progress:
    """A bar, not shown yet, whose tasks have a field `unit`."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}", markup=False), TimeElapsedColumn(),
        TimeRemainingColumn(), console=Console(stderr=True), transient=True,
        # What is printed goes above the bar; a pipe or file gets it as it is.
        redirect_stdout=sys.stdout.isatty(),
    )  # fmt: skip


def updater(shown: Progress, task: TaskID) -> Went:
    """Tells a bar how far it is; with another unit it begins again."""
    last = ""

    def went(done: int, total: int, unit: str = "day", /) -> None:
        nonlocal last
        if last not in ("", unit):
            shown.reset(task)
        last = unit
        shown.update(task, completed=done, total=total, unit=f"{unit}s")

    return went
