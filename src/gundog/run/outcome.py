"""How a run went: what it counted, and what failed or had no data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from gundog.core.times import Interval
from gundog.findings.model import Changes, RunStamp
from gundog.health.acknowledged import Entry, covering


@dataclass(frozen=True)
class Health:
    """Something that needs a person: `key` is the same for the same trouble on later runs."""

    key: str
    title: str
    text: str


@dataclass(frozen=True)
class About:
    """What a trouble is about, if it can be acknowledged: see `acknowledged`."""

    kind: str
    source: str
    span: Interval | None
    tenant: str | None = None

    def entry(self, entries: Iterable[Entry]) -> Entry | None:
        """The entry that acknowledges it; None when there is none."""
        if not self.span:
            return None
        return covering(entries, self.kind, self.source, self.span, self.tenant)


@dataclass
class Outcome:
    """How a run went: the only thing that its steps write into.

    Attributes:
        stamp: the run.
        acknowledged: what is known to be wrong with the data, and is not a trouble.
        range: the time that the run was about.
        done: intervals that an earlier run hunted and that are unchanged.
        stopped: somebody asked the run to stop before its last day.
    """

    stamp: RunStamp
    acknowledged: tuple[Entry, ...] = ()
    range: Interval | None = None
    files: int = 0
    bytes: int = 0
    hunted: int = 0
    done: int = 0
    changes: Changes = field(default_factory=Changes)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    stage_seconds: float = 0.0
    stopped: bool = False

    @property
    def run_id(self) -> UUID:
        return self.stamp.id

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
