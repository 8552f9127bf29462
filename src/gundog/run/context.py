"""What is asked of a run, how it goes, and what its steps share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from gundog.core.child import Child
from gundog.core.times import Interval
from gundog.detections.hunt import Hunt
from gundog.findings.model import Author, Changes
from gundog.health.acknowledged import Entry, covering
from gundog.lake.file_version import FileVersion
from gundog.project.project import Project
from gundog.run.ledger import Clock
from gundog.run.timekeeping import Judged
from gundog.run.upgrade import Lost
from gundog.staging.reading import Task
from gundog.staging.rescue import Patience
from gundog.warehouse import database


@dataclass(frozen=True)
class Request:
    """What a run is asked for; without `within` it is the nightly run."""

    command: str
    within: Interval | None = None
    detections: tuple[str, ...] = ()
    again: bool = False
    wait: timedelta = timedelta()
    origin: str = "nightly"
    notify: str | None = None
    # A backfill that must read more than `intake.LARGE_BYTES` for the first time wants it said.
    yes: bool = False
    # When a nightly run was scheduled, if not now: a late one hunts the night it was meant for.
    due: datetime | None = None
    # A person says that the clock is right, however far it is from what was seen last.
    trust_clock: bool = False


@dataclass
class Health:
    """Something that needs a person: `key` is the same for the same trouble on later runs."""

    key: str
    title: str
    text: str


@dataclass(frozen=True)
class About:
    """What a trouble is about, where it is one that can be acknowledged: see `acknowledged`."""

    kind: str
    source: str
    span: Interval | None
    tenant: str | None = None

    def entry(self, entries: Iterable[Entry]) -> Entry | None:
        """The entry that says that it is known; None when nobody says so."""
        if not self.span:
            return None
        return covering(entries, self.kind, self.source, self.span, self.tenant)


@dataclass
class Outcome:
    """How a run went."""

    run_id: UUID
    started: datetime
    within: Interval | None = None
    files: int = 0
    bytes: int = 0
    rows: int = 0
    hunted: int = 0
    done: int = 0
    changes: Changes = field(default_factory=Changes)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    # Known problems with the data, which are no longer reported.
    acknowledged: tuple[Entry, ...] = ()
    stage_seconds: float = 0.0
    stopped: bool = False

    @property
    def exit_status(self) -> int:
        return 1 if self.problems else 0

    def trouble(self, key: str, title: str, text: str, about: About | None = None) -> None:
        """Names something that failed or had no data; the run exits 1."""
        entry = about.entry(self.acknowledged) if about else None
        if entry:
            self.note_known([entry])
            return
        self.problems.append(f"{title}: {text}")
        self.health.append(Health(key, title, text))

    def note_known(self, entries: Iterable[Entry]) -> None:
        """Notes what is known to be wrong, each entry once."""
        for entry in entries:
            note = f"acknowledged: {entry.shown}"
            if note not in self.notes:
                self.notes.append(note)


Say = Callable[[str], None]
# Runs one named part of a run and gives back what it returns: a seam for whoever wants to see,
# time or retry the parts, as the Prefect flows do.
Step = Callable[[str, Callable[[], Any]], Any]


def directly(name: str, part: Callable[[], Any]) -> Any:
    """Runs a part as it is."""
    del name
    return part()


def silent(line: str) -> None:
    """Says nothing."""
    del line


def unseen(done: int, total: int) -> None:
    """Tells nobody how far it is."""
    del done, total


def never() -> bool:
    """Nobody asks to stop."""
    return False


@dataclass
class Course:
    """What the steps of one run share."""

    project: Project
    request: Request
    clock: Clock
    author: Author
    hunts: tuple[Hunt, ...]
    outcome: Outcome
    say: Say
    step: Step = directly
    went: Callable[[int, int], None] = unseen
    stop: Callable[[], bool] = never
    files: dict[str, list[FileVersion]] = field(default_factory=dict)
    waiting: dict[str, list[Task]] = field(default_factory=dict)
    unlisted: dict[str, str] = field(default_factory=dict)
    # What only an earlier SQL has read, and the lake has no more.
    lost: tuple[Lost, ...] = ()
    began: float = field(default_factory=time.perf_counter)
    attempted: set[tuple[str, Interval]] = field(default_factory=set)
    left: set[tuple[str, Interval]] = field(default_factory=set)
    # Where SQL that others wrote runs; no process until there is something to hunt.
    child: Child = field(default_factory=Child)
    # Which stages are left out for what they could not read, and what they did not read: why.
    patience: Patience = field(default_factory=Patience)
    blind: dict[str, list[tuple[Interval | None, str]]] = field(default_factory=dict)
    # Intervals in a row that reached huntLimit, by detection id.
    late: dict[str, int] = field(default_factory=dict)
    judged: Judged = field(default_factory=Judged)


def hold(state: Course) -> database.Held:
    """The run's warehouse, to be opened as its settings say."""
    options = state.project.settings
    return database.Held(
        options.warehouse, memory_limit=options.memory_limit, threads=options.threads
    )
