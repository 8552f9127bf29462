"""One detection's YAML, read and checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from gundog.core import severity
from gundog.core.errors import InputError, Problem
from gundog.core.fields import (
    MOST,
    YEAR,
    Fields,
    brief,
    brief_name,
    plain_key,
    read_yaml,
    unknown,
)
from gundog.core.times import DAY, HOUR, Interval, format_duration, parse_time
from gundog.detections import detection, seasonal_models
from gundog.detections.detection import Detection, EntityMapping, Example, Series, Suppression
from gundog.warehouse import quoting

TACTIC_ALIASES = {"DefenseEvasion": "Stealth"}


# Sentinel's and Sigma's own names for what has another name here.
CONVERTED = {
    "queryFrequency": "frequency",
    "queryPeriod": "lookback",
    "level": "severity",
    "falsepositives": "falsePositives",
}


IGNORED = frozenset({"version", "author", "date", "modified", "tags", "query", "owner"})


KEYS = frozenset(
    "id name kind status severity riskScore description tactics relevantTechniques falsePositives"
    " blindSpots triage references related requiredDataConnectors sql params frequency lookback"
    " identity entityMappings title suppression series examples optionalTables".split()
)


KQL_KEYS = ("until", "trend", "seasonality", "join")


FORECAST_KEYS = ("model", "timeZone", "alertBudget", "minCount", "newness")


def load(path: Path, shown: str, problems: list[Problem], override: Any = None) -> Detection | None:
    """The detection a YAML file holds, or None with what is wrong added to `problems`.

    Args:
        path: the YAML file.
        shown: the path as people know it, for messages.
        problems: grows by every problem found.
        override: what `overrides` in gundog.yaml says of this detection, if anything.
    """
    own_problems: list[Problem] = []
    data = _convert(read_yaml(path, shown, own_problems), override, own_problems)
    detection = None
    if data:
        keys = KEYS | IGNORED | {"enabled"}
        # gundog.yaml may have a password in the wrong place, and so has what it overrides.
        detection = read(
            Fields(data, shown, own_problems, allowed=keys, secret=bool(override)), path, shown
        )
        own_problems += [Problem(shown, *problem) for problem in _cross_problems(detection)]
    problems += own_problems
    return None if own_problems else detection


def _convert(data: dict[str, Any], override: Any, problems: list[Problem]) -> dict[str, Any]:
    """The data under our own names, with what gundog.yaml overrides laid over it."""
    renamed = {CONVERTED.get(key, key): value for key, value in data.items()}
    for key, value in (override or {}).items():
        own = renamed.get(key)
        if not isinstance(own, dict) or not isinstance(value, dict):
            renamed[key] = value
            continue
        renamed[key] = {**own, **value}
        if key == "params":
            problems += map(partial(_unknown_param, own), value.keys() - own.keys())
    if override and isinstance(renamed.get("series"), dict):
        renamed["series"] = _with_one_limit(renamed["series"], override.get("series") or {})
    return renamed


def _unknown_param(params: Mapping[Any, Any], name: Any) -> Problem:
    key = plain_key(f"overrides.params.{name}")
    return Problem("gundog.yaml", key, unknown(name, params, "parameter", secret=True))


def _with_one_limit(series: Mapping[Any, Any], override: Mapping[Any, Any]) -> dict[Any, Any]:
    """A series without its own threshold or budget where gundog.yaml gives the other one."""
    if "threshold" in override:
        replaced = "alertBudget"
    else:
        replaced = "threshold" if "alertBudget" in override else ""
    return {key: value for key, value in series.items() if key != replaced}


def read(fields: Fields, path: Path, shown: str) -> Detection:
    """The detection that fields hold; its problems are those of the fields."""
    kind = fields.choice("kind", detection.KINDS, "match")
    frequency = fields.duration("frequency", DAY, least=detection.SHORTEST)
    return Detection(
        id=_uuid(fields),
        stem=path.stem,
        path=path,
        shown=shown,
        name=fields.text("name"),
        kind=kind,
        status=fields.choice("status", severity.STATUSES),
        severity=fields.choice("severity", severity.SEVERITIES),
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
        query=_query(fields),
        optional=fields.texts("optionalTables"),
    )


def _query(fields: Fields) -> str:
    """The KQL as it is: it may be longer than texts that people read."""
    query = fields.data.get("query")
    return query if isinstance(query, str) else ""


def _uuid(fields: Fields) -> str:
    text = fields.text("id")
    try:
        return str(UUID(text)) if text else ""
    except ValueError:
        fields.problem("id", f"is {brief(text)}: write a UUID that was never used before")
        return text


def _tactics(fields: Fields) -> tuple[str, ...]:
    named = tuple(TACTIC_ALIASES.get(name, name) for name in fields.texts("tactics"))
    for tactic in named:
        if tactic not in detection.TACTICS:
            fields.problem(
                "tactics", f"{brief_name(tactic)}: {unknown(tactic, detection.TACTICS, 'tactic')}"
            )
    return named


def _techniques(fields: Fields) -> tuple[str, ...]:
    named = fields.texts("relevantTechniques")
    for technique in named:
        if not re.fullmatch(r"T\d{4}(\.\d{3})?", technique):
            fields.problem(
                "relevantTechniques",
                f"{brief(technique)} is not a technique: write T1114 or T1114.002",
            )
    return named


def _params(fields: Fields) -> dict[str, Any]:
    """Parameters by name; a text that reads as a duration is one."""
    params: dict[str, Any] = {}
    for name, value in fields.mapping("params").items():
        key = f"params.{brief_name(name)}"
        if not isinstance(name, str) or not quoting.is_word(name):
            fields.problem(key, "is not a SQL parameter name: use letters A to Z, digits and _")
        elif len(name) > quoting.LONGEST:
            fields.problem(key, f"is a name of {len(name)} characters: use {quoting.LONGEST}")
        params[str(name)] = detection.param(fields, key, value)
    return params


def _entities(fields: Fields) -> tuple[EntityMapping, ...]:
    mappings = []
    for position, item in enumerate(fields.items("entityMappings")):
        name = f"entityMappings.{position}"
        inner = fields.inner(name, ("entityType", "fieldMappings"), item)
        columns = []
        for place, pair in enumerate(inner.items("fieldMappings")):
            mapping = inner.inner(f"fieldMappings.{place}", ("identifier", "columnName"), pair)
            columns.append((mapping.text("identifier"), mapping.text("columnName")))
        mappings.append(EntityMapping(inner.text("entityType"), tuple(columns)))
    return tuple(mappings)


def _suppression(fields: Fields) -> Suppression | None:
    if fields.data.get("suppression") is None:
        return None
    inner = fields.inner("suppression", ("groupBy", "duration", "most"))
    group_by = inner.texts("groupBy", ...)
    most = inner.number("most")
    if most is not None and (most < 1 or most % 1):
        inner.problem("most", f"is {most:g}: write how many findings are sent, 1 or more")
        return None
    duration = inner.duration("duration")
    return Suppression(group_by, duration, int(most) if most else None) if group_by else None


def _series(fields: Fields) -> Series:
    inner = fields.inner("series", detection.SERIES_KEYS, fields.data.get("series") or {})
    if "alertBudget" in inner.data and "threshold" in inner.data:
        inner.problem(
            "threshold", "cannot be used with alertBudget: keep one, the other follows from it"
        )
    zone = inner.text("timeZone", "UTC")
    _check_zone(inner, zone)
    method = inner.choice("method", detection.METHODS, "forecast")
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
        trend=inner.choice("trend", detection.TRENDS, "avg"),
        seasonality=inner.integer("seasonality", -1, -1, 100_000),
        join=inner.text("join", ... if method == "kql" else ""),
        model=seasonal_models.read(inner) if method == "forecast" else None,
        newness=inner.texts("newness"),
    )


def _check_method(fields: Fields, method: str) -> None:
    """Problems with keys that only the other method knows."""
    other, keys = ("forecast", FORECAST_KEYS) if method == "kql" else ("kql", KQL_KEYS)
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
        findings = _mappings(inner, "findings", inner.items("findings"))
        events = {
            str(table): _mappings(inner, f"events.{brief_name(table)}", rows)
            for table, rows in inner.mapping("events").items()
        }
        if (
            sum(map(detection.times, (row for rows in events.values() for row in rows)))
            > detection.MOST_REPEATED
        ):
            inner.problem(
                "events", f"are more than {detection.MOST_REPEATED:,}: repeat them less often"
            )
        if interval:
            read.append(Example(inner.text("name"), interval, events, findings))
    return tuple(read)


def _mappings(fields: Fields, key: str, rows: Any) -> tuple[Mapping[str, Any], ...]:
    """A list of events or findings; what stands in it otherwise is a problem."""
    if not isinstance(rows or [], list):
        fields.problem(key, "is not a list: write a list of keys and values")
        return ()
    for row in rows or ():
        if not isinstance(row, dict):
            fields.problem(key, f"holds {brief(row)}: write keys and values")
            return ()
        if row.get("repeat"):
            detection.check_repeat(fields.inner(f"{key}.repeat", ("every", "times"), row["repeat"]))
    return tuple(rows or ())


def _example_interval(fields: Fields) -> Interval | None:
    ends = fields.items("interval")
    try:
        start, end = (parse_time(end) for end in ends)
        interval = Interval(start, end)
    except (ValueError, AttributeError, InputError):
        fields.problem("interval", f"is {brief(ends)}: write [start, end], two times in UTC")
        return None
    if interval.length > MOST:
        fields.problem("interval", f"is longer than {MOST // YEAR} years: write a shorter one")
        return None
    return interval


def _cross_problems(detection: Detection) -> Iterator[tuple[str, str]]:
    """What only shows when several keys are read together: the key, and what is wrong."""
    if detection.kind == "match":
        yield from _lookback_problems(detection)
    # What was just imported has none yet: a person writes them before it becomes stable.
    is_new = detection.query and detection.status == "experimental"
    if is_new and detection.kind == "match" and not detection.examples:
        return
    if not any(example.findings for example in detection.examples):
        yield "examples", "none of them fires: write one with findings"
    if all(example.findings for example in detection.examples):
        yield "examples", "all of them fire: write one with findings: []"
    if detection.series:
        yield from _series_problems(detection, detection.series)


def _lookback_problems(detection: Detection) -> Iterator[tuple[str, str]]:
    lookback = detection.lookback
    for name, value in detection.params.items():
        if isinstance(value, timedelta) and value > lookback:
            least = format_duration(value)
            short = f"is {format_duration(lookback)}, shorter than params.{name}"
            yield "lookback", f"{short}: make it at least {least}"


def _series_problems(detection: Detection, series: Series) -> Iterator[tuple[str, str]]:
    if detection.frequency % HOUR:
        yield "frequency", "of a series must be whole hours"
    if series.training % HOUR:
        yield "series.training", "must be whole hours"
    if series.method != "kql":
        return
    if detection.frequency % DAY:
        yield "frequency", "of method kql must be whole days, which its series begins with"
    if not detection.identity:
        yield "identity", "is missing: name the columns that make a row of join one finding"
