"""Titles and texts of findings, from the detection's templates."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

import gundog
from gundog.core import app_names, plain_values
from gundog.core.severity import SEVERITIES
from gundog.detections import checks
from gundog.detections.detection import Detection
from gundog.warehouse import database, quoting


def present(detection: Detection, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a finding says of itself to people: words of the detection, columns of the row."""
    severity = row.get("severity")
    entities = [
        {
            "type": entity.entity_type,
            **{name: plain_values.plain(row.get(column)) for name, column in entity.columns},
        }
        for entity in detection.entities
        if any(row.get(column) for _, column in entity.columns)
    ]
    return {
        "detection_name": detection.name,
        "kind": detection.kind,
        "title": title(detection, row),
        "reason": row.get("reason") or detection.name,
        "severity": severity if severity in SEVERITIES else detection.severity,
        "risk_score": detection.risk_score,
        "tactics": list(detection.tactics),
        "techniques": list(detection.techniques),
        "entities": plain_values.canonical(entities),
    }


def title(detection: Detection, row: Mapping[str, Any]) -> str:
    """The detection's title with the row's values in place of {column}."""
    text = detection.title or detection.name
    named = [re.escape("{" + name + "}") for name in checks.template_fields(text)]

    def shown(place: re.Match[str]) -> str:
        name = place[0][1:-1]
        value = app_names.shown(name, row.get(name))
        return "the whole tenant" if detection.series and value == "*" else _in_words(value)

    # In one pass: a value that looks like {column} is text of an event, not a template.
    return re.sub("|".join(named), shown, text) if named else text


def _in_words(value: Any) -> str:
    """A value inside a sentence.

    >>> _in_words(538.0), _in_words(221.81), _in_words(None)
    ('538', '221.8', '?')
    """
    value = plain_values.plain(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    return "?" if value in (None, "") else str(value)


def restate(con: duckdb.DuckDBPyConnection, detections: Iterable[Detection]) -> None:
    """Writes the prose of stored findings again where their detection's words changed.

    Title, severity, tactics and so on follow the detection as it stands; rows are not hunted
    again for that.
    """
    for detection in detections:
        digest = words_digest(detection)
        stored = database.rows(
            con,
            "select * from findings where detection_id = ? and words_digest is distinct from ?",
            [detection.id, digest],
        )
        for row in stored:
            words = present(detection, json.loads(row["row"])) | {"words_digest": digest}
            changed = {name: value for name, value in words.items() if row[name] != value}
            names = ", ".join(f"{quoting.name(name)} = ?" for name in changed)
            con.execute(
                f"update findings set {names} where finding_id = ?",
                [*changed.values(), row["finding_id"]],
            )


def words_digest(detection: Detection) -> str:
    """A hash of all that `present` takes from a detection, and of the gundog that does it."""
    words = (
        gundog.__version__, app_names.AS_OF, detection.name, detection.kind, detection.title,
        detection.severity,
        detection.risk_score, detection.tactics, detection.techniques, detection.entities,
    )  # fmt: skip
    return hashlib.sha256(repr(words).encode()).hexdigest()[:16]
