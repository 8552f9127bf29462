"""acknowledged.yaml: holes, drifts and rejected files that are known, why, and who says so.

An entry speaks of one source, or staged table, and one span of time. What is wrong there is not
longer a problem for `status` and for runs; outside of the span it still is. An entry hides no
finding and keeps nothing from being hunted: when the files come after all, they are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from gundog.core import appending
from gundog.core.errors import ContentError, InputError, Problem
from gundog.core.fields import Fields, brief, read_list, unknown
from gundog.core.times import DAY, Interval, format_time, is_plain_date, parse_range, parse_time

FILE = "acknowledged.yaml"
HOLE, DRIFT, REJECTED = "hole", "drift", "file"
KINDS = (HOLE, DRIFT, REJECTED)
KEYS = frozenset("source tenant from to kind reason owner".split())
_HEAD = """\
# Known problems with the data: gundog status and runs no longer report them as problems.
# kind: hole (no files or no events), drift (records that changed) or file (rejected ones). A plain
# date as to is included. Without tenant it is about every tenant. gundog acknowledge adds entries.
"""


@dataclass(frozen=True)
class Entry:
    """One thing that is known to be wrong with the data.

    Attributes:
        kind: hole, drift or file.
        source: the source table; for a drift also a staged table.
        span: the time it is about, in UTC.
        tenant: the tenant it is about; None for the source as a whole and every tenant.
    """

    kind: str
    source: str
    span: Interval
    reason: str
    owner: str = ""
    tenant: str | None = None

    @property
    def shown(self) -> str:
        """The entry in a few words."""
        tenant = f" of {self.tenant!r}" if self.tenant is not None else ""
        by = f" by {self.owner}" if self.owner else ""
        return f"{self.kind}: {self.source}{tenant} {days(self.span)}: {self.reason}{by}"

    def covers(self, kind: str, source: str, span: Interval, tenant: str | None = None) -> bool:
        """True when it is about all of this; a tenant's entry is about no other tenant."""
        return (
            (self.kind, self.source) == (kind, source)
            and self.tenant in (None, tenant)
            and self.span.start <= span.start
            and span.end <= self.span.end
        )


def days(span: Interval) -> str:
    """A span as people write it in the file: its first and last day, or exact times.

    >>> days(parse_range("2026-09-11", "2026-10-20"))
    'from 2026-09-11 to 2026-10-20'
    >>> days(parse_range("2026-09-11", "2026-09-11"))
    'on 2026-09-11'
    """
    start, end = ends(span)
    return f"on {start}" if start == end else f"from {start} to {end}"


def ends(span: Interval) -> tuple[str, str]:
    """From and to as written: whole days as dates, the last one included, or exact times."""
    start, end = format_time(span.start), format_time(span.end)
    midnight = "T00:00:00Z"
    if start.endswith(midnight) and end.endswith(midnight):
        return start.removesuffix(midnight), format_time(span.end - DAY).removesuffix(midnight)
    return start, end


def covering(
    entries: Iterable[Entry], kind: str, source: str, span: Interval, tenant: str | None = None
) -> Entry | None:
    """The first entry that is about all of this; None when there is none.

    Args:
        entries: those of acknowledged.yaml.
        kind: hole, drift or file.
        source: the source table, or for a drift the staged table.
        span: the time that the problem is about.
        tenant: whose problem it is; None when it is the whole source's.
    """
    return next((entry for entry in entries if entry.covers(kind, source, span, tenant)), None)


def load(root: Path) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    """The entries of a project's acknowledged.yaml, and what is wrong with it.

    A bad entry is named, and the others hold; of a file that cannot be read none does.
    """
    problems: list[Problem] = []
    path = root / FILE
    if not path.exists() and not path.is_symlink():
        return (), ()
    entries = _read(read_list(path, FILE, problems), problems)
    return entries, tuple(problems)


def _read(items: Sequence[Any], problems: list[Problem]) -> tuple[Entry, ...]:
    places: dict[Entry, int] = {}
    entries = []
    for place, item in enumerate(items):
        before = len(problems)
        entry = read_entry(Fields(item, FILE, problems, str(place), KEYS, bounded=False))
        if entry is None or len(problems) > before:
            continue
        about = replace(entry, reason="", owner="")
        if about in places:
            problem = f"is about the same as {places[about]}: keep one"
            problems.append(Problem(FILE, str(place), problem))
            continue
        places[about] = place
        entries.append(entry)
    return tuple(entries)


def read_entry(fields: Fields) -> Entry | None:
    """The entry that fields hold; None if its span is wrong, which is noted as a problem."""
    kind, source = fields.choice("kind", KINDS, HOLE), fields.text("source")
    tenant = fields.text("tenant") if fields.data.get("tenant") is not None else None
    reason, owner = fields.text("reason"), fields.text("owner", "")
    span = _span(fields)
    return Entry(kind, source, span, reason, owner, tenant) if span else None


def _span(fields: Fields) -> Interval | None:
    start, end = (_written(fields, key) for key in ("from", "to"))
    if not start or not end:
        return None
    for key, text in (("from", start), ("to", end)):
        try:
            parse_time(text)
        except InputError as error:
            fields.problem(key, str(error))
            return None
    try:
        return parse_range(start, end)
    except InputError:
        fields.problem("to", f"{end} is before from: give a later one")
        return None


def _written(fields: Fields, key: str) -> str:
    """The text of a day or time; YAML makes dates of some."""
    value = fields.data.get(key)
    if isinstance(value, (str, date)) and str(value).strip():
        return str(value).strip()
    held = "is missing" if value is None else f"is {brief(value)}"
    fields.problem(key, f"{held}: write a day or a time in UTC, such as 2026-10-31")
    return ""


def check_names(
    entries: Iterable[Entry], sources: Collection[str], stages: Collection[str]
) -> tuple[Problem, ...]:
    """Problems with entries that name no source table, or for a drift no staged table either."""
    problems = []
    for entry in entries:
        names = [*sources, *stages] if entry.kind == DRIFT else list(sources)
        if entry.source not in names:
            kind = "source or staged table" if entry.kind == DRIFT else "source table"
            problem = unknown(entry.source, names, kind)
            problems.append(Problem(FILE, f"source {entry.source}", problem))
    return tuple(problems)


# ---- adding ----


def as_yaml(entry: Entry) -> str:
    """The entry as people write it, one item of a list."""
    start, end = (
        date.fromisoformat(written) if is_plain_date(written) else written
        for written in ends(entry.span)
    )
    data: dict[str, Any] = {"source": entry.source}
    if entry.tenant is not None:
        data["tenant"] = entry.tenant
    data |= {"from": start, "to": end, "kind": entry.kind, "reason": entry.reason}
    if entry.owner:
        data["owner"] = entry.owner
    return yaml.safe_dump([data], sort_keys=False, allow_unicode=False, width=10**6)


def append(root: Path, entry: Entry, lock: Path, first_line: str = "") -> str:
    """Adds an entry to acknowledged.yaml; returns the lines that were added.

    The file as it was stays to the byte, comments too.

    Args:
        root: the project folder.
        entry: what to add.
        lock: a file that keeps two additions apart.
        first_line: a comment at the top of a file that is new.

    Raises:
        ContentError: when the file has problems already.
        InputError: when an entry says so already, or it is not a list that can be added to.
        StoreError: when it cannot be written; the file stays as it was.
    """
    with appending.locked(lock):
        entries, problems = load(root)
        if problems:
            raise ContentError(problems)
        same = covering(entries, entry.kind, entry.source, entry.span, entry.tenant)
        if same:
            raise InputError(f"{FILE}: already has this entry: {same.shown}")

        def holds(path: Path) -> bool:
            wrong: list[Problem] = []
            return _read(read_list(path, FILE, wrong), wrong) == (*entries, entry) and not wrong

        return appending.append(root / FILE, first_line + _HEAD, as_yaml(entry), holds)
