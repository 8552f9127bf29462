"""The files of an imported detection: its YAML, its SELECT and its staged tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import yaml

from gundog.core.errors import InputError
from gundog.core.times import format_duration, parse_duration
from gundog.kql_import import hunt_sql, translator
from gundog.kql_import.query import KqlQuery
from gundog.kql_import.translating import Translation, digest

_ENTITIES = {
    "host_name": ("Host", "HostName"),
    "account_name": ("Account", "Name"),
    "mailbox": ("Mailbox", "MailboxPrimaryAddress"),
    "ip_address": ("IP", "Address"),
    "app_id": ("CloudApplication", "AppId"),
}
_TODO = {
    "falsePositives": "TODO: who does this for good reasons.",
    "triage": "TODO: what to look at first, and what to do when it is true.",
}


def files(
    query: KqlQuery,
    stem: str,
    translation: Translation,
    stages: Mapping[str, str],
    derived: str = "",
) -> dict[str, str]:
    """The texts of a detection's own files, by their path in a content folder.

    Args:
        query: as it was read, with the id that the detection gets.
        stem: the detection's name.
        translation: its SQL.
        stages: the staged table that it reads of each source.
        derived: the id of the query that it comes from, where it has another one.
    """
    return {
        f"detections/{stem}.yaml": _yaml(query, stem, translation, stages, derived),
        f"sql/{stem}.sql": translation.sql(stages),
    }


def _yaml(
    query: KqlQuery, stem: str, translation: Translation, tables: Iterable[str], derived: str
) -> str:
    entities = hunt_sql.entities(translation.types)
    keys: dict[str, Any] = {
        "id": query.id,
        "name": query.name or stem,
        "kind": "match",
        "status": "experimental",
        "severity": query.severity,
        "description": query.description or "TODO: what it looks for, and why.",
        "tactics": list(query.tactics),
        "relevantTechniques": list(query.techniques),
        "falsePositives": [_TODO["falsePositives"]],
        "blindSpots": [*map(str, translation.remarks), *query.unused]
        or ["TODO: what it cannot see."],
        "triage": [_TODO["triage"]],
        "references": list(query.references),
        "related": [{"id": derived, "type": "derived"}] if derived else [],
        "requiredDataConnectors": _connectors(query, tables),
        "sql": f"{stem}.sql",
        "frequency": format_duration(translation.frequency),
        "lookback": format_duration(translation.lookback) if translation.lookback else None,
        "identity": ["finding_key", "ordinal"],
        "entityMappings": _mappings(query, translation, entities),
        "title": _title(query, translation, entities),
        "suppression": _suppression(translation),
    }
    kept = {key: value for key, value in keys.items() if value not in (None, [])}
    made_with = f"KQL {digest(query.query)}, duckdb-kql {translator.VERSION}"
    head = [
        f"# Imported from {line(query.file)}: {made_with}.",
        *([f"# {line(query.origin)}."] if query.origin else []),
        "# The SQL is made of the query. After a change: gundog import --update.",
    ]
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100)
    return "\n".join([*head, text + block(query.query)])


def block(kql: str) -> str:
    """The key `query` with the KQL as it is, as YAML."""
    text = kql.rstrip() + "\n"
    if re.search(r"[^\t\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]|\u2028|\u2029|\ufeff|\x85", text):
        return yaml.safe_dump({"query": text}, allow_unicode=False, width=10_000)
    lines = (f"  {line}" if line else "" for line in text.split("\n")[:-1])
    return "query: |2\n" + "\n".join(lines) + "\n"


def line(text: str) -> str:
    """A text for a comment: one line of letters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:200]


def _connectors(query: KqlQuery, tables: Iterable[str]) -> list[dict[str, Any]]:
    named = query.connectors or (("MicrosoftThreatProtection", tuple(sorted(tables))),)
    return [{"connectorId": name, "dataTypes": list(kinds)} for name, kinds in named]


def _mappings(
    query: KqlQuery, translation: Translation, entities: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The source's entity mappings to columns that the result has, else those found by name."""
    mappings = []
    for kind, columns in query.entities:
        kept = [
            {"identifier": identifier, "columnName": hunt_sql.named(column)}
            for identifier, column in columns
            if column in translation.types
        ]
        if kept:
            mappings.append({"entityType": kind, "fieldMappings": kept})
    return mappings or [
        {
            "entityType": _ENTITIES[name][0],
            "fieldMappings": [{"identifier": _ENTITIES[name][1], "columnName": name}],
        }
        for name in entities
        if name in _ENTITIES
    ]


def _title(query: KqlQuery, translation: Translation, entities: Mapping[str, str]) -> str:
    fields = re.findall(r"\{(\w+)\}", query.title)
    if query.title and all(name in translation.types for name in fields):
        return re.sub(r"\{(\w+)\}", lambda m: f"{{{hunt_sql.named(m[1])}}}", query.title)
    plain = re.sub(r"[{}]", "", query.name) or "Hunt"
    where = " on {host_name}" if "host_name" in entities else ""
    return plain[:150] + where + (" by {account_name}" if "account_name" in entities else "")


def _suppression(translation: Translation) -> dict[str, Any] | None:
    """What counts over several nights is told once in that time."""
    if translation.keys is None or not translation.lookback:
        return None
    reach = translation.lookback + translation.frequency
    return {"groupBy": ["group_key"], "duration": format_duration(reach)}


def updated(text: str, query: KqlQuery, translation: Translation) -> str:
    """An existing detection's YAML with the new query, and nothing else that a person wrote.

    `lookback` grows where the new query reads farther back than it says.
    """
    node: Any = yaml.compose(text, yaml.SafeLoader)
    lines = text.splitlines(keepends=True)
    edits = []
    has_query = has_lookback = False
    for key, value in node.value:
        if key.value == "query":
            has_query = True
            edits.append((key.start_mark.line, _end(value), block(query.query)))
        elif key.value in ("lookback", "queryPeriod"):
            has_lookback = True
            line = f"{key.value}: {format_duration(translation.lookback)}\n"
            if translation.lookback > _duration(value.value):
                edits.append((key.start_mark.line, _end(value), line))
    for start, end, new in sorted(edits, reverse=True):
        lines[start:end] = [new]
    whole = "".join(lines)
    whole += "" if whole.endswith("\n") else "\n"
    if translation.lookback and not has_lookback:
        whole += f"lookback: {format_duration(translation.lookback)}\n"
    whole += "" if has_query else block(query.query)
    mark = rf"KQL {digest(query.query)}, duckdb-kql {translator.VERSION}"
    return re.sub(r"KQL [0-9a-f]{16}, duckdb-kql [\w.]+\w", mark, whole, count=1)


def _end(value: Any) -> int:
    """The line behind a value."""
    mark = value.end_mark
    return int(mark.line if mark.column == 0 else mark.line + 1)


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except InputError:
        return timedelta()
