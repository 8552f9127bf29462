"""What is asked of a run. Its steps read it and never write into it: they return their results."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gundog.core.child import Child
from gundog.core.times import Interval
from gundog.core.waiting import Went, unseen
from gundog.detections.hunt import Hunt
from gundog.findings.model import RunStamp
from gundog.project.project import Project
from gundog.run.parts import Part, PartResult, Step, T, directly
from gundog.staging.others import Nobody, Others
from gundog.warehouse import database


@dataclass(frozen=True)
class Request:
    """What a run is asked for.

    Attributes:
        command: hunt or backfill.
        range: the time to hunt; None for a nightly run.
        detections: ids or file stems; all when empty.
        again: hunt again what is done already.
        wait: how long to wait for another run to end.
        origin: nightly or backfill, as findings say it.
        notify: each, digest or none instead of each channel's own mode.
        yes: agrees to a backfill that stages more than `stage_step.LARGE_BYTES`.
        due: when a nightly run was scheduled, if not now: a late one hunts the night it was meant
            for.
        trust_clock: a person says that the clock is right, however far it is from the last run.
    """

    command: str
    range: Interval | None = None
    detections: tuple[str, ...] = ()
    again: bool = False
    wait: timedelta = timedelta()
    origin: str = "nightly"
    notify: str | None = None
    yes: bool = False
    due: datetime | None = None
    trust_clock: bool = False


Say = Callable[[str], None]


def silent(line: str) -> None:
    """Says nothing."""
    del line


def never() -> bool:
    """Nobody asks to stop."""
    return False


def _no_error(value: object) -> str:
    del value
    return ""


@dataclass(frozen=True)
class Context:
    """One run as it was asked for.

    Attributes:
        project: settings and content.
        request: what is asked.
        stamp: the run's id and time.
        hunts: what it hunts.
        say: gets one line of progress at a time.
        step: runs each part.
        went: is told how many days are done, or files published, and of how many.
        stop: asked before each day.
        child: the process in which SQL runs that others wrote; started when something needs it.
        others: those who read lake files beside this process.
        began: when the run began, in seconds of `time.perf_counter`.
    """

    project: Project
    request: Request
    stamp: RunStamp
    hunts: tuple[Hunt, ...]
    say: Say = silent
    step: Step = directly
    went: Went = unseen
    stop: Callable[[], bool] = never
    child: Child = field(default_factory=Child)
    others: Others = field(default_factory=Nobody)
    began: float = field(default_factory=time.perf_counter)

    def run_part(
        self, part: Part, work: Callable[[], T], error_of: Callable[[T], str] = _no_error
    ) -> T:
        """Runs one part as the caller of the run wants it, and returns what it returned.

        Args:
            part: its name and kind.
            work: the part itself.
            error_of: what failed in it, from what it returned; empty when nothing did.
        """

        def with_error() -> PartResult[T]:
            value = work()
            return PartResult(value, error_of(value))

        return self.step(part, with_error).value

    def hold(self) -> database.Held:
        """The run's warehouse, to be opened as its settings say."""
        options = self.project.settings
        return database.Held(
            options.warehouse, memory_limit=options.memory_limit, threads=options.threads
        )
