"""Detections: YAML files read into frozen dataclasses, with every problem of a file at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from gundog.core.errors import InputError
from gundog.core.fields import (
    MOST,
    Fields,
    bounds,
    brief_name,
    read_yaml,
    unknown,
)
from gundog.core.times import Interval, format_duration, parse_duration, parse_time
from gundog.detections.seasonal_models import SeasonalModel

KINDS = ("match", "series")
METHODS = ("forecast", "kql")
TRENDS = ("avg", "linefit", "none")
# Sentinel's spellings and those of ATT&CK v19, which split Defense Evasion in two.
TACTICS = (
    "Reconnaissance", "ResourceDevelopment", "InitialAccess", "Execution", "Persistence",
    "PrivilegeEscalation", "Stealth", "ImpairDefenses", "CredentialAccess", "Discovery",
    "LateralMovement", "Collection", "CommandAndControl", "Exfiltration", "Impact",
    "PreAttack", "InhibitResponseFunction", "ImpairProcessControl",
)  # fmt: skip
SERIES_KEYS = frozenset(
    "measure by training method model timeZone alertBudget threshold minCount newness"
    " until trend seasonality join".split()
)
# A night of shorter intervals is more hunts than anybody reads.
SHORTEST = timedelta(minutes=5)
_WHOLE = 2**63
_MOST_TIMES = 100_000
MOST_REPEATED = 500_000
OVERRIDES = frozenset("enabled status severity params series suppression".split())


@dataclass(frozen=True)
class Suppression:
    """Findings with equal `group_by` columns soon after one that was sent are not sent.

    Of an interval and tenant `most` are sent, those of the highest score; None for all.
    """

    group_by: tuple[str, ...]
    duration: timedelta
    most: int | None = None


@dataclass(frozen=True)
class Series:
    """How hourly counts are scored: which measure, per which columns, against how much history.

    With method `kql` the hours of [end - training, end - until), both cut to midnight, go through
    Kusto's series_decompose_anomalies with this threshold, trend and seasonality, and `join` names
    the SELECT that makes findings of the hours that it flags. `model` is None for the default.
    `newness` are columns that say how much of an hour's measure came from something that was new to
    the series, each of one kind.
    """

    measure: str
    by: tuple[str, ...]
    training: timedelta
    method: str = "forecast"
    time_zone: str = "UTC"
    alert_budget: float | None = None
    threshold: float | None = None
    min_count: float | None = None
    until: timedelta = timedelta()
    trend: str = "avg"
    seasonality: int = -1
    join: str = ""
    model: SeasonalModel | None = None
    newness: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """All of it, without what came later where that has its default: a hash holds it."""
        later = ("model", "newness")
        return {key: value for key, value in vars(self).items() if value or key not in later}


@dataclass(frozen=True)
class Example:
    """Source events in, findings out: a test that lives inside its detection."""

    name: str
    interval: Interval
    events: Mapping[str, tuple[Mapping[str, Any], ...]]
    findings: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class EntityMapping:
    """Which columns of a finding name one entity: its kind, and column by identifier."""

    entity_type: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Detection:
    """What to look for, how bad it is, and how to triage it.

    `query` is the KQL that its SQL was translated from, if it was. `optional` are staged tables
    that only add to its findings: how long they are staged does not count for `$staged_from`.
    """

    id: str
    stem: str
    path: Path
    shown: str
    name: str
    kind: str
    status: str
    severity: str
    risk_score: int | None
    description: str
    tactics: tuple[str, ...]
    techniques: tuple[str, ...]
    false_positives: tuple[str, ...]
    blind_spots: tuple[str, ...]
    triage: tuple[str, ...]
    references: tuple[str, ...]
    related: tuple[Mapping[str, str], ...]
    sql: str
    params: Mapping[str, Any]
    frequency: timedelta
    lookback: timedelta
    identity: tuple[str, ...]
    entities: tuple[EntityMapping, ...]
    title: str
    suppression: Suppression | None
    series: Series | None
    examples: tuple[Example, ...]
    enabled: bool = True
    query: str = ""
    optional: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        return self.enabled and self.status != "deprecated"

    @property
    def reach(self) -> timedelta:
        """How far before an interval it reads: lookback, or training if longer."""
        return max(self.lookback, self.series.training) if self.series else self.lookback


def claimed_id(path: Path) -> str:
    """The id that a detection's file gives, also one that is wrong otherwise; '' without one."""
    text = read_yaml(path, "", []).get("id")
    try:
        return str(UUID(text)) if isinstance(text, str) else ""
    except ValueError:
        return ""


def param(fields: Fields, key: str, value: Any) -> Any:
    if not _is_param(value):
        reason = f"is {fields.said(value)}: write a number, a text, a duration or a list of them"
        fields.problem(key, reason)
        return value
    if not isinstance(value, str):
        return value
    try:
        span = parse_duration(value)
    except InputError:
        return value
    if span > MOST:
        fields.problem(key, f"is {brief_name(value)}: {bounds(timedelta(), MOST)}")
    return span


def _is_param(value: Any) -> bool:
    """True for what SQL takes as a value; numbers are 64 bits wide there."""
    if isinstance(value, list):
        return all(map(_is_param, value))
    if isinstance(value, int):
        return -_WHOLE <= value < _WHOLE
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (str, date))


def check_repeat(fields: Fields) -> None:
    every, times = fields.duration("every"), fields.integer("times", ..., 1, _MOST_TIMES)
    if isinstance(times, int) and 1 <= times <= _MOST_TIMES and every * times > MOST:
        reason = f"spans {format_duration(every * times)}: {bounds(timedelta(), MOST)}"
        fields.problem("times", reason)


def times(event: Mapping[str, Any]) -> int:
    """How many events one event of an example stands for."""
    repeat = event.get("repeat")
    times = repeat.get("times") if isinstance(repeat, dict) else 1
    return times if isinstance(times, int) else 1


def find(detections: tuple[Detection, ...], name: str) -> Detection:
    """The detection whose id or file stem is `name`.

    Raises:
        InputError: when there is none, with the nearest name.
    """
    for detection in detections:
        if name in (detection.id, detection.stem):
            return detection
    stems = [detection.stem for detection in detections]
    raise InputError(f"--detection {name}: {unknown(name, stems, 'detection')}")


def repeated(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The events that one event of an example stands for: itself, or its `repeat` of them."""
    plain = {key: value for key, value in event.items() if key != "repeat"}
    repeat = event.get("repeat")
    if not repeat:
        return [plain]
    every = parse_duration(repeat["every"])
    times = [
        key for key, value in plain.items() if key == "Timestamp" or isinstance(value, datetime)
    ]
    return [
        {
            key: parse_time(value) + every * turn if key in times else value
            for key, value in plain.items()
        }
        for turn in range(int(repeat["times"]))
    ]
