"""Detections: YAML files read into frozen dataclasses, with every problem of a file at once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from gundog import quoting
from gundog.errors import InputError, Problem
from gundog.fields import (
    MOST,
    YEAR,
    Fields,
    bounds,
    brief,
    brief_name,
    plain_key,
    read_yaml,
    unknown,
)
from gundog.interval import Interval, format_duration, parse_duration, parse_time

SEVERITIES = ("informational", "low", "medium", "high", "critical")
STATUSES = ("experimental", "test", "stable", "deprecated")
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
_TACTIC_ALIASES = {"DefenseEvasion": "Stealth"}
# Sentinel's and Sigma's own names for what has another name here.
_CONVERTED = {
    "queryFrequency": "frequency",
    "queryPeriod": "lookback",
    "level": "severity",
    "falsepositives": "falsePositives",
}
_IGNORED = frozenset({"version", "author", "date", "modified", "tags", "query", "owner"})
_KEYS = frozenset(
    "id name kind status severity riskScore description tactics relevantTechniques falsePositives"
    " blindSpots triage references related requiredDataConnectors sql params frequency lookback"
    " identity entityMappings title suppression series examples".split()
)
SERIES_KEYS = frozenset(
    "measure by training method timeZone alertBudget threshold minCount"
    " until trend seasonality join".split()
)
_KQL_KEYS = ("until", "trend", "seasonality", "join")
_FORECAST_KEYS = ("timeZone", "alertBudget", "minCount")
# A night of shorter intervals is more hunts than anybody reads.
SHORTEST = timedelta(minutes=5)
_WHOLE = 2**63
_MOST_TIMES = 100_000
_MOST_REPEATED = 500_000
OVERRIDES = frozenset("enabled status severity params series suppression".split())


@dataclass(frozen=True)
class Suppression:
    """Findings with equal `group_by` columns soon after one that was sent are not sent."""

    group_by: tuple[str, ...]
    duration: timedelta


@dataclass(frozen=True)
class Series:
    """How hourly counts are scored: which measure, per which columns, against how much history.

    With method `kql` the hours of [end - training, end - until), both cut to midnight, go through
    Kusto's series_decompose_anomalies with this threshold, trend and seasonality, and `join` names
    the SELECT that makes findings of the hours that it flags.
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
    """What to look for, how bad it is, and how to triage it."""

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

    @property
    def runs(self) -> bool:
        return self.enabled and self.status != "deprecated"

    @property
    def reach(self) -> timedelta:
        """How far before an interval it reads: lookback, or training if longer."""
        return max(self.lookback, self.series.training) if self.series else self.lookback


def load(path: Path, shown: str, problems: list[Problem], override: Any = None) -> Detection | None:
    """The detection a YAML file holds, or None with what is wrong added to `problems`.

    Args:
        path: the YAML file.
        shown: the path as people know it, for messages.
        problems: grows by every problem found.
        override: what `overrides` in gundog.yaml says of this detection, if anything.
    """
    found: list[Problem] = []
    data = _convert(read_yaml(path, shown, found), override, found)
    detection = None
    if data:
        known = _KEYS | _IGNORED | {"enabled"}
        # gundog.yaml may have a password in the wrong place, and so has what it overrides.
        detection = _read(
            Fields(data, shown, found, known=known, secret=bool(override)), path, shown
        )
        _cross_check(detection, found)
    problems += found
    return None if found else detection


def claimed_id(path: Path) -> str:
    """The id that a detection's file gives, also one that is wrong otherwise; '' without one."""
    text = read_yaml(path, "", []).get("id")
    try:
        return str(UUID(text)) if isinstance(text, str) else ""
    except ValueError:
        return ""


def _convert(data: dict[str, Any], override: Any, problems: list[Problem]) -> dict[str, Any]:
    """The data under our own names, with what gundog.yaml overrides laid over it."""
    renamed = {_CONVERTED.get(key, key): value for key, value in data.items()}
    if not override:
        return renamed
    for key, value in override.items():
        old = renamed.get(key)
        renamed[key] = (
            {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        )
        if key == "params" and isinstance(old, dict) and isinstance(value, dict):
            for name in value.keys() - old.keys():
                problems.append(
                    Problem(
                        "gundog.yaml",
                        plain_key(f"overrides.params.{name}"),
                        unknown(name, old, "parameter", secret=True),
                    )
                )
    series = renamed.get("series")
    if isinstance(series, dict) and "threshold" in (override.get("series") or {}):
        series.pop("alertBudget", None)
    elif isinstance(series, dict) and "alertBudget" in (override.get("series") or {}):
        series.pop("threshold", None)
    return renamed


def _read(fields: Fields, path: Path, shown: str) -> Detection:
    kind = fields.choice("kind", KINDS, "match")
    frequency = fields.duration("frequency", timedelta(days=1), least=SHORTEST)
    return Detection(
        id=_uuid(fields),
        stem=path.stem,
        path=path,
        shown=shown,
        name=fields.text("name"),
        kind=kind,
        status=fields.choice("status", STATUSES),
        severity=fields.choice("severity", SEVERITIES),
        risk_score=fields.integer("riskScore", None, 0, 100),
        description=fields.text("description"),
        tactics=_tactics(fields),
        techniques=_techniques(fields),
        false_positives=fields.texts("falsePositives", ...),
        blind_spots=fields.texts("blindSpots", ...),
        triage=fields.texts("triage", ...),
        references=fields.texts("references"),
        related=tuple(fields.items("related")),
        sql=fields.text("sql"),
        params=_params(fields),
        frequency=frequency,
        lookback=fields.duration("lookback", timedelta()),
        identity=fields.texts("identity", ... if kind == "match" else ()),
        entities=_entities(fields),
        title=fields.text("title"),
        suppression=_suppression(fields),
        series=_series(fields) if kind == "series" else None,
        examples=_examples(fields),
        enabled=fields.flag("enabled", True),
    )


def _uuid(fields: Fields) -> str:
    text = fields.text("id")
    try:
        return str(UUID(text)) if text else ""
    except ValueError:
        fields.problem("id", f"is {brief(text)}: write a UUID that was never used before")
        return text


def _tactics(fields: Fields) -> tuple[str, ...]:
    named = tuple(_TACTIC_ALIASES.get(one, one) for one in fields.texts("tactics"))
    for one in named:
        if one not in TACTICS:
            fields.problem("tactics", f"{brief_name(one)}: {unknown(one, TACTICS, 'tactic')}")
    return named


def _techniques(fields: Fields) -> tuple[str, ...]:
    named = fields.texts("relevantTechniques")
    for one in named:
        if not re.fullmatch(r"T\d{4}(\.\d{3})?", one):
            fields.problem(
                "relevantTechniques", f"{brief(one)} is no technique: write T1114 or T1114.002"
            )
    return named


def _params(fields: Fields) -> dict[str, Any]:
    """Parameters by name; a text that reads as a duration is one."""
    params: dict[str, Any] = {}
    for name, value in fields.mapping("params").items():
        key = f"params.{brief_name(name)}"
        if not isinstance(name, str) or not quoting.is_word(name):
            fields.problem(key, "is no SQL parameter name: use letters A to Z, digits and _")
        elif len(name) > quoting.LONGEST:
            fields.problem(key, f"is a name of {len(name)} characters: use {quoting.LONGEST}")
        params[str(name)] = _param(fields, key, value)
    return params


def _param(fields: Fields, key: str, value: Any) -> Any:
    if not _is_param(value):
        what = f"is {fields.said(value)}: write a number, a text, a duration or a list of them"
        fields.problem(key, what)
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


def _entities(fields: Fields) -> tuple[EntityMapping, ...]:
    mappings = []
    for position, item in enumerate(fields.items("entityMappings")):
        name = f"entityMappings.{position}"
        inner = fields.inner(name, ("entityType", "fieldMappings"), item)
        columns = []
        for place, pair in enumerate(inner.items("fieldMappings")):
            one = inner.inner(f"fieldMappings.{place}", ("identifier", "columnName"), pair)
            columns.append((one.text("identifier"), one.text("columnName")))
        mappings.append(EntityMapping(inner.text("entityType"), tuple(columns)))
    return tuple(mappings)


def _suppression(fields: Fields) -> Suppression | None:
    if fields.data.get("suppression") is None:
        return None
    inner = fields.inner("suppression", ("groupBy", "duration"))
    group_by = inner.texts("groupBy", ...)
    return Suppression(group_by, inner.duration("duration")) if group_by else None


def _series(fields: Fields) -> Series:
    inner = fields.inner("series", SERIES_KEYS, fields.data.get("series") or {})
    if "alertBudget" in inner.data and "threshold" in inner.data:
        inner.problem("threshold", "stands beside alertBudget: keep one, the other follows from it")
    zone = inner.text("timeZone", "UTC")
    _check_zone(inner, zone)
    method = inner.choice("method", METHODS, "forecast")
    _check_method(inner, method)
    return Series(
        measure=inner.text("measure"),
        by=inner.texts("by", ...),
        training=inner.duration("training", timedelta(days=28)),
        method=method,
        time_zone=zone,
        alert_budget=inner.number("alertBudget"),
        threshold=inner.number("threshold"),
        min_count=inner.number("minCount"),
        until=inner.duration("until", timedelta()),
        trend=inner.choice("trend", TRENDS, "avg"),
        seasonality=inner.integer("seasonality", -1, -1, 100_000),
        join=inner.text("join", ... if method == "kql" else ""),
    )


def _check_method(fields: Fields, method: str) -> None:
    """Problems with keys that only the other method knows."""
    other, keys = ("forecast", _FORECAST_KEYS) if method == "kql" else ("kql", _KQL_KEYS)
    for key in keys:
        if key in fields.data:
            fields.problem(key, f"is for method {other}: remove it, or change the method")


def _check_zone(fields: Fields, zone: str) -> None:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        fields.problem(
            "timeZone", f"is {fields.said(zone)}: write an IANA name such as Europe/Berlin or UTC"
        )


def _examples(fields: Fields) -> tuple[Example, ...]:
    read = []
    for position, item in enumerate(fields.items("examples")):
        inner = fields.inner(
            f"examples.{position}", ("name", "interval", "events", "findings"), item
        )
        interval = _example_interval(inner)
        if inner.data.get("findings") is None:
            inner.problem("findings", "is missing: write [] when nothing must be found")
        found = _mappings(inner, "findings", inner.items("findings"))
        events = {
            str(table): _mappings(inner, f"events.{brief_name(table)}", rows)
            for table, rows in inner.mapping("events").items()
        }
        if sum(map(_times, (row for rows in events.values() for row in rows))) > _MOST_REPEATED:
            inner.problem("events", f"are more than {_MOST_REPEATED:,}: repeat them less often")
        if interval:
            read.append(Example(inner.text("name"), interval, events, found))
    return tuple(read)


def _mappings(fields: Fields, key: str, rows: Any) -> tuple[Mapping[str, Any], ...]:
    """A list of events or findings; what stands in it otherwise is a problem."""
    if not isinstance(rows or [], list):
        fields.problem(key, "is no list: write a list of keys and values")
        return ()
    for row in rows or ():
        if not isinstance(row, dict):
            fields.problem(key, f"holds {brief(row)}: write keys and values")
            return ()
        if row.get("repeat"):
            _check_repeat(fields.inner(f"{key}.repeat", ("every", "times"), row["repeat"]))
    return tuple(rows or ())


def _check_repeat(fields: Fields) -> None:
    every, times = fields.duration("every"), fields.integer("times", ..., 1, _MOST_TIMES)
    if isinstance(times, int) and 1 <= times <= _MOST_TIMES and every * times > MOST:
        what = f"spans {format_duration(every * times)}: {bounds(timedelta(), MOST)}"
        fields.problem("times", what)


def _times(event: Mapping[str, Any]) -> int:
    """How many events one event of an example stands for."""
    repeat = event.get("repeat")
    times = repeat.get("times") if isinstance(repeat, dict) else 1
    return times if isinstance(times, int) else 1


def _example_interval(fields: Fields) -> Interval | None:
    ends = fields.items("interval")
    try:
        start, end = (parse_time(one) for one in ends)
        interval = Interval(start, end)
    except (ValueError, AttributeError, InputError):
        fields.problem("interval", f"is {brief(ends)}: write [start, end], two times in UTC")
        return None
    if interval.length > MOST:
        fields.problem("interval", f"is longer than {MOST // YEAR} years: write a shorter one")
        return None
    return interval


def _cross_check(detection: Detection, problems: list[Problem]) -> None:
    """Problems that only show when several keys are read together."""

    def problem(key: str, what: str) -> None:
        problems.append(Problem(detection.shown, key, what))

    for name, value in detection.params.items():
        if (
            isinstance(value, timedelta)
            and value > detection.lookback
            and detection.kind == "match"
        ):
            problem(
                "lookback",
                f"is {format_duration(detection.lookback)}, shorter than params.{name}:"
                f" make it at least {format_duration(value)}",
            )
    if not any(example.findings for example in detection.examples):
        problem("examples", "none of them fires: write one with findings")
    if all(example.findings for example in detection.examples):
        problem("examples", "all of them fire: write one with findings: []")
    if detection.series and detection.frequency % timedelta(hours=1):
        problem("frequency", "of a series must be whole hours")
    if detection.series and detection.series.training % timedelta(hours=1):
        problem("series.training", "must be whole hours")
    if detection.series and detection.series.method == "kql":
        if detection.frequency % timedelta(days=1):
            problem("frequency", "of method kql must be whole days, which its series begins with")
        if not detection.identity:
            problem("identity", "is missing: name the columns that make a row of join one finding")


def find(detections: tuple[Detection, ...], name: str) -> Detection:
    """The detection whose id or file stem is `name`.

    Raises:
        InputError: when there is none, with the nearest name.
    """
    for detection in detections:
        if name in (detection.id, detection.stem):
            return detection
    raise InputError(
        f"--detection {name}: {unknown(name, [one.stem for one in detections], 'detection')}"
    )


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


def with_override(detection: Detection, **changes: Any) -> Detection:
    """The detection with some fields replaced."""
    return replace(detection, **changes)
