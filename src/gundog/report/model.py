"""The values that a page is made of. Texts in them are as events and people wrote them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from gundog.report.asked import Entity


@dataclass(frozen=True)
class Cell:
    """One day of one detection: a state of `trust.STATES`, and how many findings it made."""

    day: datetime
    state: str
    findings: int


@dataclass(frozen=True)
class GridRow:
    """The days of one detection; `idle` says why it does not run."""

    detection: str
    status: str
    cells: tuple[Cell, ...]
    idle: str = ""


@dataclass(frozen=True)
class Fresh:
    """How new a source, or a tenant's own series, is; `age` is None when nothing was seen."""

    name: str
    newest: datetime | None
    age: timedelta | None
    files: int = 0
    rows: int = 0
    rejected_rows: int = 0


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: its kind in a word, and a sentence."""

    kind: str
    text: str


@dataclass(frozen=True)
class Looked:
    """What a detection had to look at of a tenant in its newest interval; None is not known."""

    detection: str
    tenant: str
    until: datetime
    rows: int
    mailboxes: int | None = None
    scored: int | None = None
    learning: int | None = None
    throttled: int | None = None
    silent: int | None = None

    @property
    def is_partial(self) -> bool:
        """Whether there is anything that could not be looked at, or was not there."""
        return not self.rows or any((self.learning, self.throttled, self.silent))


@dataclass(frozen=True)
class Silence:
    """What silence rests on; `partial` detections could not look at everything."""

    rows: tuple[Looked, ...]
    left_out: int
    partial: int

    @property
    def detections(self) -> int:
        """How many detections the rows are of."""
        return len({row.detection for row in self.rows})

    @property
    def has_tenants(self) -> bool:
        """Whether any row is of a tenant with a name."""
        return any(row.tenant for row in self.rows)


@dataclass(frozen=True)
class Trust:
    """Whether the nights can be trusted."""

    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    acknowledged: tuple[str, ...]
    days: tuple[datetime, ...]
    grid: tuple[GridRow, ...]
    sources: tuple[Fresh, ...]
    tenants: tuple[Fresh, ...]
    silence: Silence
    left_out: int = 0


@dataclass(frozen=True)
class Risky:
    """An entity with its risk over 7 and 30 days; `line` is drawn from the days of the 30."""

    entity: Entity
    anchor: str
    risk_7d: int
    risk_30d: int
    findings: int
    line: Markup


@dataclass(frozen=True)
class Named:
    """One entity of a finding; `anchor` is empty where the page has no part on it."""

    kind: str
    name: str
    anchor: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of texts under headings, with a caption; numbers of `right` columns are aligned."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Evidence:
    """The first events of a finding: command lines, and records as rows of what differs."""

    count: int
    shown: int
    commands: tuple[tuple[str, str, str, str], ...]  # when, role, line, what it reads as
    shared: str
    records: Table | None
    files: tuple[str, ...]
    sql: str


@dataclass(frozen=True)
class Finding:
    """One finding with all that the page shows of it."""

    finding_id: str
    anchor: str
    severity: str
    title: str
    reason: str
    tenant: str
    detection: str
    start: datetime
    end: datetime
    state: str
    is_new: bool
    triage: str
    names: tuple[Named, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    chart: Markup | None = None
    chart_words: str = ""
    tables: tuple[Table, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    evidence: Evidence | None = None
    steps: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Findings, worst first: some whole, some as a line, and how many are only counted."""

    total: int
    whole: tuple[Finding, ...]
    lines: tuple[Finding, ...]
    uncounted: int
    evidence_rows: int


@dataclass(frozen=True)
class Happening:
    """One line of an entity's time line: a finding that begins, or an event of its evidence."""

    at: datetime
    what: str
    severity: str = ""
    anchor: str = ""
    source: str = ""


@dataclass(frozen=True)
class TimeLine:
    """All that is known of one entity, in order of time."""

    entity: Entity
    anchor: str
    findings: int
    events: int
    happenings: tuple[Happening, ...]
    left_out: int


@dataclass(frozen=True)
class Change:
    """What a run changed: new, changed, withdrawn or returned."""

    change: str
    at: datetime
    severity: str
    title: str
    reason: str
    anchor: str


@dataclass(frozen=True)
class Changes:
    """What changed, what is hidden and by what, and exceptions that need somebody."""

    counts: tuple[tuple[str, int], ...]
    some: tuple[Change, ...]
    left_out: int
    hidden: tuple[tuple[str, int], ...]
    expiring: tuple[str, ...]


@dataclass(frozen=True)
class Loud:
    """How many findings a detection makes in a week, and what people said of them."""

    detection: str
    status: str
    weeks: tuple[int, ...]
    line: Markup
    verdicts: tuple[tuple[str, int], ...]
    false_share: float | None


@dataclass(frozen=True)
class Loudness:
    """All detections, and those that were silent."""

    weeks: tuple[datetime, ...]
    rows: tuple[Loud, ...]
    silent: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Month:
    """A month in numbers, for a customer."""

    name: str
    nights: int
    hunted: int
    gaps: tuple[str, ...]
    findings: int
    by_severity: tuple[tuple[str, int], ...]
    verdicts: tuple[tuple[str, int], ...]
    judged: int
    median: timedelta | None


@dataclass(frozen=True)
class About:
    """What made the page: the newest run, versions and hashes."""

    run: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    hashes: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Page:
    """Everything on the page."""

    title: str
    scope: tuple[str, ...]
    made: datetime
    sentence: str
    is_complete: bool
    since: str
    complete: str
    complete_why: str
    who: tuple[Risky, ...]
    worst: Finding | None
    trust: Trust
    risky: tuple[Risky, ...]
    more_risky: int
    findings: Findings
    lines: tuple[TimeLine, ...]
    changes: Changes
    loudness: Loudness
    about: About
    month: Month | None = None
    evidence: bool = True
