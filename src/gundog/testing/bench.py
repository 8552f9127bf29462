"""The bench on which mutations are tried: rows laid out, moved, hunted, and findings told apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import duckdb

from gundog.core import child, plain_values
from gundog.core.errors import InputError
from gundog.core.times import DAY, Interval, floor, format_time, parse_time
from gundog.detections.detection import Detection, Example
from gundog.detections.hunt import Content, Hunt
from gundog.findings.model import Hit
from gundog.hunting import match, series
from gundog.testing import examples
from gundog.testing.examples import Rows

_FINER = re.compile(r"[.,]\d{6}(\d+)")
# How a hunt's SQL writes a moment into a text.
_MOMENT, _WRITTEN = "%Y-%m-%d %H:%M UTC", re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")


@dataclass(frozen=True)
class Trial:
    """A hunt on an open bench, and the example that is mutated."""

    con: duckdb.DuckDBPyConnection
    loaded: Content
    hunt: Hunt
    example: Example
    rows: Rows

    @property
    def detection(self) -> Detection:
        return self.hunt.detection

    @property
    def frequency(self) -> timedelta:
        return self.detection.frequency

    @cached_property
    def untouched(self) -> Found:
        """What the example finds as it is: every mutation is compared with it."""
        return found_with_events(self, self.rows)


@dataclass(frozen=True)
class Found:
    """Hits, and the row that stands for each event by event id; no rows for a series."""

    hits: tuple[Hit, ...]
    events: Mapping[str, str]


def lay(trial: Trial, rows: Rows, covers: Interval, files: int | None = 1) -> None:
    """Stages rows: dealt out to so many files, or without a number each to a file of its own."""
    file_ids = {
        name: [place % files + 1 if files else place + 1 for place in range(len(mine))]
        for name, mine in rows.items()
    }
    examples.fill(trial.con, trial.loaded, trial.hunt, rows, covers, file_ids)


def hunt(trial: Trial, interval: Interval, staged_from: datetime) -> tuple[Hit, ...]:
    """What one interval finds in the rows that were laid last."""
    if trial.detection.series:
        return series.score(
            trial.con, trial.hunt, interval, staged_from, apart=child.unlimited
        ).hits
    return match.match(trial.con, trial.hunt, interval, staged_from)


def first_day(rows: Rows, default: datetime) -> datetime:
    """Midnight before the first event."""
    return floor(min(times_of(rows), default=default), DAY)


def times_of(rows: Rows) -> list[datetime]:
    """The times of all rows that have a usable one."""
    moments = (moment(row.get("Timestamp")) for mine in rows.values() for row in mine)
    return [at for at in moments if at]


def moment(value: Any) -> datetime | None:
    """A time as a datetime; None when it is none."""
    try:
        return parse_time(value) if value else None
    except InputError:
        return None


def found(
    trial: Trial, rows: Rows, by: timedelta = timedelta(), files: int | None = 1
) -> tuple[Hit, ...]:
    """What the example's interval, moved by so much, finds in these rows."""
    interval = Interval(trial.example.interval.start + by, trial.example.interval.end + by)
    first = first_day(rows, interval.start)
    lay(trial, rows, Interval(min(first, interval.start), interval.end), files)
    return hunt(trial, interval, first)


def found_with_events(trial: Trial, rows: Rows, by: timedelta = timedelta()) -> Found:
    """What `found` gives, and which row is which event; rows are laid each in a file of its own."""
    if trial.detection.series:  # its findings name no events
        return Found(found(trial, rows, by), {})
    return Found(found(trial, rows, by, files=None), events_of(trial))


def shifted(trial: Trial, rows: Rows, by: timedelta) -> Rows:
    """Rows with all their times moved."""
    moved = {}
    for name, mine in rows.items():
        kinds = dict(trial.loaded.sources[name].columns)
        times = {column for column, kind in kinds.items() if kind.startswith("TIMESTAMP")}
        moved[name] = [
            {key: _move(value, by) if key in times else value for key, value in row.items()}
            for row in mine
        ]
    return moved


def _move(value: Any, by: timedelta) -> Any:
    """A time moved, with the digits kept that a datetime has no room for."""
    at = moment(value)
    if at is None:
        return value
    finer = _FINER.search(value) if isinstance(value, str) else None
    if not finer:
        return at + by
    return f"{at + by:%Y-%m-%dT%H:%M:%S.%f}{finer[1]}Z"


def columns(trial: Trial, hit: Hit, events: Mapping[str, str]) -> dict[str, Any]:
    """A hit's columns, without hashes of what a move changes.

    The keys of a hunt imported from KQL are hashes of its events, or of the interval and of columns
    that are in the row as well.
    """
    row = dict(hit.row)
    if not trial.detection.query or "finding_key" not in row:
        return row
    key = row.pop("finding_key")
    if row.pop("group_key", None) is None:
        places = (f"{event.role} {events.get(str(event.event_id))}" for event in hit.events)
        row["finding_key"] = sorted(places) or key
    return row


def told(value: Any, by: timedelta, events: Mapping[str, str]) -> Any:
    """A value without what a move may change: times moved back, event ids as row numbers."""
    if isinstance(value, datetime):
        return format_time(value - by)
    if isinstance(value, (UUID, str)) and str(value) in events:
        return events[str(value)]
    if isinstance(value, str):
        return _WRITTEN.sub(lambda text: _taken_back(text[0], by), value)
    if isinstance(value, Mapping):
        return {key: told(item, by, events) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [told(item, by, events) for item in value]
    return round(value, 6) if isinstance(value, float) else plain_values.plain(value)


def _taken_back(text: str, by: timedelta) -> str:
    return (datetime.strptime(text, _MOMENT) - by).strftime(_MOMENT)


def identities(
    trial: Trial, hits: Sequence[Hit], by: timedelta, events: Mapping[str, str]
) -> Counter[str]:
    """How often each finding is there, whatever time it was moved to."""
    names = trial.detection.identity
    return Counter(
        plain_values.canonical([told(row.get(name), by, events) for name in names])
        for row in (columns(trial, hit, events) for hit in hits)
    )


def events_of(trial: Trial) -> dict[str, str]:
    """The row that stands for each event, by event id; rows were laid each in a file of its own."""
    numbers: dict[str, str] = {}
    for stage in trial.hunt.stages:
        rows = trial.con.execute(f"select event_id, min(file_id) from {stage.table} group by 1")
        numbers |= {str(key): f"{stage.source} {number - 1}" for key, number in rows.fetchall()}
    return numbers


def differ(expected: Counter[str], actual: Counter[str]) -> str:
    """What is missing and what is too much, in one sentence; empty when nothing is."""
    lost, more = expected - actual, actual - expected
    parts = [f"lost {key}" for key in lost.elements()] + [f"more {key}" for key in more.elements()]
    return "; ".join(parts[:4])
