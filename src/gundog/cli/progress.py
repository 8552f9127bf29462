"""How a run shows where it is, and how a person stops it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from gundog.cli import waiting
from gundog.core import safe_text
from gundog.core import waiting as core_waiting
from gundog.core.waiting import Went
from gundog.core.wording import count

_EVERY_S = 30.0


@dataclass
class Watch:
    """What a run tells while it goes, and asks: may it go on."""

    say: Callable[[str], None]
    went: Went
    stopped: threading.Event

    def stop(self) -> bool:
        """True once a person asked to stop."""
        return self.stopped.is_set()


def _line(words: str) -> None:
    sys.stderr.write(safe_text.for_terminal(words) + "\n")
    sys.stderr.flush()


def _line_at_once(words: str) -> None:
    """A line out of a signal's handler, which may have come while a line was being written."""
    with suppress(OSError, ValueError):  # a stream without a file, as in tests, or a closed one
        os.write(sys.stderr.fileno(), (safe_text.for_terminal(words) + "\n").encode())


@contextmanager
def watching(quiet: bool = False) -> Iterator[Watch]:
    """A bar with an estimate on a terminal, plain lines elsewhere; Ctrl-C stops after a day.

    A second Ctrl-C stops at once. With `quiet` nobody is told how far it is.
    """
    stopped = threading.Event()
    with _interruptible(stopped):
        if not waiting.is_shown(quiet):
            yield Watch(_line, core_waiting.unseen if quiet else _in_lines(_line), stopped)
            return
        with waiting.made() as bar:
            task = bar.add_task("", total=None, unit="")
            went = waiting.updater(bar, task)

            def say(words: str) -> None:
                bar.console.print(safe_text.for_terminal(words), markup=False, highlight=False)

            yield Watch(say, went, stopped)


def _in_lines(say: Callable[[str], None]) -> Went:
    """Says how far a long run is, at most twice a minute."""
    began = said = time.monotonic()
    last = "day"

    def went(done: int, total: int, unit: str = "day", /) -> None:
        nonlocal began, said, last
        now = time.monotonic()
        if unit != last:
            began, last = now, unit
        if 0 < done < total and now - said >= _EVERY_S:
            said = now
            left = (now - began) / done * (total - done)
            minutes = count(max(round(left / 60), 1), "minute")
            say(f"{done} of {count(total, unit)}, about {minutes} left")

    return went


@contextmanager
def _interruptible(stopped: threading.Event) -> Iterator[None]:
    """Makes the first Ctrl-C ask the run to end; the second one kills it, which loses nothing.

    No handler of ours could do that always: DuckDB may run for long without asking Python.
    """

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        stopped.set()
        signal.signal(number, signal.SIG_DFL)
        _line_at_once("stopping after this day; Ctrl-C again stops at once")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
