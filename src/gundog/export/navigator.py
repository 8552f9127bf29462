"""An ATT&CK Navigator layer: which techniques are hunted, and which were found.

The format is version 4.5 of https://github.com/mitre-attack/attack-navigator, layers/spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from gundog.core.times import format_time
from gundog.core.wording import count
from gundog.detections.detection import Detection
from gundog.export import attack_ids
from gundog.findings import views
from gundog.warehouse import database

_LAYER, _NAVIGATOR = "4.5", "5.1.0"
_COVERED, _FOUND_FEW, _FOUND_MANY = "#d6e6f4", "#ffe08a", "#d94801"


@dataclass(frozen=True)
class Finds:
    """The findings of one technique: how many of each detection, and when the newest ended."""

    by_detection: Mapping[str, int] = field(default_factory=dict)
    newest: datetime | None = None

    @property
    def number(self) -> int:
        return sum(self.by_detection.values())


def finds(con: duckdb.DuckDBPyConnection, since: datetime | None = None) -> dict[str, Finds]:
    """What was found of each technique: findings that are not suppressed or called harmless."""
    rows = database.rows(
        con,
        f"""select technique, detection_name, count(*) as number, max(end_time) as newest
            from (select unnest(techniques) as technique, * from findings)
            where ($since is null or end_time >= $since) and suppressed_by is null
            and coalesce(verdict, '') not in ({views.HARMLESS})
            group by all order by all""",
        {"since": since},
    )
    gathered: dict[str, Finds] = {}
    for row in rows:
        before = gathered.get(row["technique"], Finds())
        newest = max(filter(None, (before.newest, row["newest"])))
        numbers = {**before.by_detection, row["detection_name"]: row["number"]}
        gathered[row["technique"]] = Finds(numbers, newest)
    return gathered


def layer(
    detections: Iterable[Detection], finds: Mapping[str, Finds], since: datetime | None = None
) -> dict[str, Any]:
    """A layer of every technique that a detection which runs covers, or that was found.

    Args:
        detections: the detections that are loaded.
        finds: what was found of each technique.
        since: from when on findings are counted; None for all.
    """
    covered: dict[str, list[str]] = {}
    for detection in detections:
        for technique in detection.techniques if detection.runs else ():
            covered.setdefault(technique, []).append(f"{detection.name} ({detection.status})")
    techniques = [
        _entry(technique, covered.get(technique, []), finds.get(technique, Finds()))
        for technique in sorted({*covered, *finds})
    ]
    most = max((entry["score"] for entry in techniques), default=0)
    ids = attack_ids.read()
    return {
        "name": "gundog",
        "versions": {
            "attack": ids.version.partition(".")[0],
            "navigator": _NAVIGATOR,
            "layer": _LAYER,
        },
        "domain": "enterprise-attack",
        "description": _description(len(covered), techniques, since),
        "sorting": 3,
        "hideDisabled": False,
        "techniques": techniques,
        "gradient": {
            "colors": [_COVERED, _FOUND_FEW, _FOUND_MANY],
            "minValue": 0,
            "maxValue": max(most, 1),
        },
        "legendItems": [
            {"label": "hunted, nothing found", "color": _COVERED},
            {"label": "found", "color": _FOUND_FEW},
            {"label": "found most often", "color": _FOUND_MANY},
        ],
        "metadata": [{"name": "ATT&CK ids", "value": f"{ids.version}, {ids.date}"}],
        "showTacticRowBackground": False,
        "selectTechniquesAcrossTactics": True,
        "selectSubtechniquesWithParent": False,
    }


def _description(covered: int, techniques: Sequence[Mapping[str, Any]], since: Any) -> str:
    seen = sum(entry["score"] > 0 for entry in techniques)
    when = f" since {format_time(since)}" if since else ""
    return f"{count(covered, 'technique')} hunted, {seen:,} found{when}. The score is findings."


def _entry(technique: str, covering: Sequence[str], finds: Finds) -> dict[str, Any]:
    """One technique; the Navigator colours it by its score, the number of its findings."""
    lines = [f"hunted by {name}" for name in covering] or ["no detection that runs names it"]
    lines += [
        f"{count(number, 'finding')} of {name}" for name, number in finds.by_detection.items()
    ]
    metadata = [{"name": "detections", "value": str(len(covering))}]
    if finds.newest:
        metadata.append({"name": "newest finding", "value": format_time(finds.newest)})
    return {
        "techniqueID": technique,
        "score": finds.number,
        "comment": "\n".join(lines),
        "enabled": True,
        "metadata": metadata,
        "showSubtechniques": "." not in technique,
    }
