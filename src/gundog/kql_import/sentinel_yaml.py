"""The keys of Sentinel's hunting queries and analytics rules as a `KqlQuery`.

What a key holds is never an error here: the query is what is imported, and what else cannot be kept
is told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from gundog.core.errors import InputError
from gundog.core.fields import brief
from gundog.core.severity import SEVERITIES
from gundog.core.times import parse_duration
from gundog.detections.detection import SHORTEST, TACTICS
from gundog.kql_import.query import Entities, KqlQuery

_TECHNIQUE = re.compile(r"T\d{4}(?:\.\d{3})?")
# The detection runs by the interval, so that these say nothing here.
_SILENT = frozenset(
    "id name description query severity tactics relevantTechniques entityMappings tags metadata"
    " kind requiredDataConnectors queryFrequency queryPeriod version author license status".split()
)
_KNOWN_TACTICS = frozenset({*TACTICS, "DefenseEvasion"})


def read(data: Mapping[str, Any], blank: KqlQuery) -> KqlQuery:
    """The query of a mapping, with what `blank` says where it says nothing."""
    unused: list[str] = []
    trigger = _trigger(data)
    overridden = data.get("alertDetailsOverride")
    override: Mapping[str, Any] = overridden if isinstance(overridden, dict) else {}
    accepted = {*_SILENT, "triggerOperator", "triggerThreshold", "alertDetailsOverride"}
    unused += [f"{key} is not kept" for key in data if key not in accepted]
    return replace(
        blank,
        id=_id(data, blank.id, unused),
        name=_line(data.get("name")) or blank.name,
        description=_text(data.get("description")),
        query=str(data["query"]),
        severity=_severity(data, unused),
        tactics=_listed(data, "tactics", lambda word: word in _KNOWN_TACTICS, unused),
        techniques=_listed(
            data, "relevantTechniques", lambda word: bool(_TECHNIQUE.fullmatch(word)), unused
        ),
        entities=_entities(data.get("entityMappings")),
        connectors=_connectors(data.get("requiredDataConnectors")),
        frequency=_duration(data, "queryFrequency", unused),
        period=_duration(data, "queryPeriod", unused),
        title=_title(override.get("alertDisplayNameFormat")),
        references=_references(data),
        origin=_origin(data),
        unused=(*trigger, *unused),
    )


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return re.sub(r"^'|'$", "", text.strip()).strip().replace("\0", "")[:5_000]


def _line(value: Any) -> str:
    return " ".join(_text(value).split())[:300]


def _id(data: Mapping[str, Any], default: str, unused: list[str]) -> str:
    value = data.get("id")
    try:
        return str(UUID(value)) if isinstance(value, str) else default
    except ValueError:
        unused.append(f"id {brief(value)} is not a UUID: another was made of the file's name")
        return default


def _severity(data: Mapping[str, Any], unused: list[str]) -> str:
    said = _line(data.get("severity")).lower()
    if said and said not in SEVERITIES:
        unused.append(f"severity {brief(said)} is unknown: medium was taken")
    return said if said in SEVERITIES else "medium"


def _listed(data: Mapping[str, Any], key: str, accepted: Any, unused: list[str]) -> tuple[str, ...]:
    value = data.get(key)
    words = [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
    plain = [word.replace(" ", "").strip() for word in words]
    unused += [
        f"{key} {brief(word)} is unknown and left out" for word in plain if not accepted(word)
    ]
    return tuple(dict.fromkeys(word for word in plain if accepted(word)))


def _entities(value: Any) -> Entities:
    mappings = []
    for mapping in value if isinstance(value, list) else ():
        if not isinstance(mapping, dict) or not isinstance(mapping.get("entityType"), str):
            continue
        pairs = mapping.get("fieldMappings")
        columns = tuple(
            (pair["identifier"], pair["columnName"])
            for pair in (pairs if isinstance(pairs, list) else ())
            if isinstance(pair, dict)
            and isinstance(pair.get("identifier"), str)
            and isinstance(pair.get("columnName"), str)
        )
        if columns:
            mappings.append((mapping["entityType"], columns))
    return tuple(mappings)


def _connectors(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    named = []
    for connector in value if isinstance(value, list) else ():
        if isinstance(connector, dict) and isinstance(connector.get("connectorId"), str):
            kinds = connector.get("dataTypes")
            tables = tuple(map(str, kinds)) if isinstance(kinds, list) else ()
            named.append((connector["connectorId"], tables))
    return tuple(named)


def _duration(data: Mapping[str, Any], key: str, unused: list[str]) -> timedelta | None:
    """A duration as Sentinel writes it: 1d, 5h, PT1H."""
    value = data.get(key)
    if value is None:
        return None
    span = span_of(str(value))
    if span is None or span < SHORTEST:
        unused.append(f"{key} {brief(value)} is not a duration of at least 5 minutes: left out")
        return None
    return span


def span_of(text: str) -> timedelta | None:
    """A span in Sentinel's or ISO's spelling; None for anything else.

    >>> span_of("14d"), span_of("PT90M"), span_of("soon")
    (datetime.timedelta(days=14), datetime.timedelta(seconds=5400), None)
    """
    try:
        return parse_duration(text.strip())
    except InputError:
        return None


def _trigger(data: Mapping[str, Any]) -> list[str]:
    """What the rule's threshold asks for beyond a finding for each row."""
    operator, threshold = data.get("triggerOperator"), data.get("triggerThreshold")
    if operator is None and threshold is None:
        return []
    if str(operator).lower() in ("gt", "greaterthan") and threshold == 0:
        return []
    told = f"triggerOperator {brief(operator)} with triggerThreshold {brief(threshold)}"
    return [f"{told} counts rows: here each row is a finding"]


def _title(value: Any) -> str:
    """Sentinel's {{Column}} as gundog's {Column}."""
    text = _line(value)
    plain = re.sub(r"\{\{\s*(\w+)\s*\}\}", "\1\\1\2", text)
    plain = plain.replace("{", "").replace("}", "")
    return plain.replace("\1", "{").replace("\2", "}")


def _references(data: Mapping[str, Any]) -> tuple[str, ...]:
    said = _text(data.get("description"))
    addresses = re.findall(r"https?://[^\s<>()\"'`\]]+", said)
    return tuple(dict.fromkeys(address.rstrip(".,;") for address in addresses))[:20]


def _origin(data: Mapping[str, Any]) -> str:
    metadata = data.get("metadata")
    author = data.get("author")
    if isinstance(metadata, dict) and isinstance(metadata.get("author"), dict):
        author = author or metadata["author"].get("name")
    parts = [("author", author), ("version", data.get("version")), ("licence", data.get("license"))]
    return ", ".join(f"{word} {_line(str(value))}" for word, value in parts if value)
