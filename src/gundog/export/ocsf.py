"""Findings as OCSF Detection Findings (class 2004), for tools that read no tables of gundog's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import duckdb

import gundog
from gundog.core.plain_values import plain
from gundog.export import attack_ids, ocsf_parts
from gundog.export.ocsf_parts import Part, Row, ms, without_gaps
from gundog.findings.triage import STATUSES, VERDICTS
from gundog.warehouse import database

# The first one with anomaly_analyses, verdict_id and the other attributes that are used.
VERSION = "1.6.0"
# What adds verdict_id to a Detection Finding.
PROFILES = ("incident",)
_CATEGORY, _CLASS = 2, 2004
_ACTIVITIES = {1: "Create", 2: "Update", 3: "Close"}
_STATUS_NAMES = {1: "New", 2: "In Progress", 3: "Suppressed", 4: "Resolved", 5: "Archived"}
_SUPPRESSED, _CLOSED = 3, (4, 5)
_STATES = {"experimental": (3, "Experimental"), "deprecated": (2, "Suppressed")}
_MATCH, _SERIES = (1, "Rule"), (3, "Statistical")
# Findings whose evidence is read at once.
_BATCH = 500


def events(con: duckdb.DuckDBPyConnection, since: datetime | None = None) -> Iterator[Part]:
    """One event for each finding, oldest first, whatever became of it.

    Args:
        con: the published findings.
        since: leaves out findings that ended before; None for all.
    """
    findings = database.rows(
        con,
        """select f.*, d.stem, d.status as detection_status, d.description, t.note
           from findings as f
           left join detections as d using (detection_id)
           left join (
               select finding_id, arg_max(note, said_at) as note from triage
               where note is not null group by finding_id
           ) as t using (finding_id)
           where $since is null or f.end_time >= $since
           order by f.start_time, f.finding_id""",
        {"since": since},
    )
    for start in range(0, len(findings), _BATCH):
        some = findings[start : start + _BATCH]
        proof = _evidence(con, [str(finding["finding_id"]) for finding in some])
        for finding in some:
            yield event(finding, proof.get(str(finding["finding_id"]), []))


def _evidence(con: duckdb.DuckDBPyConnection, ids: list[str]) -> dict[str, list[Row]]:
    held: dict[str, list[Row]] = {}
    for row in database.rows(
        con,
        """select * from evidence where finding_id in (select unnest($ids::uuid[]))
           order by finding_id, ordinal""",
        {"ids": ids},
    ):
        held.setdefault(str(row["finding_id"]), []).append(row)
    return held


def event(finding: Row, evidence: list[Row]) -> Part:
    """A finding as one OCSF event; its values are those of JSON."""
    activity, status = _activity(finding), _status(finding)
    verdict = finding["verdict"] if finding["verdict"] in VERDICTS else None
    details = ocsf_parts.unpacked(finding["details"])
    made = {
        "activity_id": activity,
        "activity_name": _ACTIVITIES[activity],
        "category_uid": _CATEGORY,
        "category_name": "Findings",
        "class_uid": _CLASS,
        "class_name": "Detection Finding",
        "type_uid": _CLASS * 100 + activity,
        "type_name": f"Detection Finding: {_ACTIVITIES[activity]}",
        "time": ms(finding["updated_at"] or finding["created_at"] or finding["end_time"]),
        "start_time": ms(finding["start_time"]),
        "end_time": ms(finding["end_time"]),
        "message": finding["title"],
        "severity_id": ocsf_parts.SEVERITIES.get(finding["severity"], 0),
        "severity": str(finding["severity"] or "unknown").capitalize(),
        "risk_score": finding["risk_score"],
        "status_id": status,
        "status": _STATUS_NAMES[status],
        "status_detail": finding["suppressed_by"],
        "verdict_id": VERDICTS[verdict] if verdict else None,
        "verdict": verdict.replace("_", " ").title() if verdict else None,
        "comment": finding["note"],
        "is_alert": _is_alert(finding, status),
        "metadata": _metadata(finding),
        "finding_info": _finding_info(finding, evidence),
        "evidences": ocsf_parts.evidences(evidence),
        "anomaly_analyses": ocsf_parts.anomaly_analyses(finding, details),
        "observables": ocsf_parts.observables(finding),
        "resources": ocsf_parts.resources(finding),
        "unmapped": _unmapped(finding, details),
    }
    whole: Part = plain(without_gaps(made))
    return whole


def _activity(finding: Row) -> int:
    if STATUSES.get(finding["triage_status"]) in _CLOSED:
        return 3
    return 2 if finding["updated_at"] != finding["created_at"] else 1


def _status(finding: Row) -> int:
    status = STATUSES.get(finding["triage_status"], 1)
    return _SUPPRESSED if finding["suppressed_by"] and status not in _CLOSED else status


def _is_alert(finding: Row, status: int) -> bool:
    """True for what waits for a person: `open_findings` says the same."""
    return status in (1, 2) and finding["detection_status"] == "stable"


def _metadata(finding: Row) -> Part:
    return without_gaps(
        {
            "version": VERSION,
            "profiles": list(PROFILES),
            "product": {
                "name": "gundog",
                "vendor_name": "gundog",
                "version": gundog.__version__,
            },
            "uid": str(finding["finding_id"]),
            "event_code": finding["stem"],
            "tenant_uid": finding["tenant"] or None,
            "logged_time": ms(finding["created_at"]),
            "modified_time": ms(finding["updated_at"]),
        }
    )


def _finding_info(finding: Row, evidence: list[Row]) -> Part:
    techniques, tactics = finding["techniques"] or [], finding["tactics"] or []
    return without_gaps(
        {
            "uid": str(finding["finding_id"]),
            "title": finding["title"],
            "desc": finding["reason"],
            "analytic": _analytic(finding),
            "attacks": ocsf_parts.attacks(tactics, techniques, attack_ids.read().version),
            "created_time": ms(finding["created_at"]),
            "modified_time": ms(finding["updated_at"]),
            "first_seen_time": ms(finding["start_time"]),
            "last_seen_time": ms(finding["end_time"]),
            "related_events_count": finding["evidence_count"],
            "data_sources": sorted({row["source_table"] for row in evidence}),
        }
    )


def _analytic(finding: Row) -> Part:
    type_id, kind = _SERIES if finding["kind"] == "series" else _MATCH
    state_id, state = _STATES.get(finding["detection_status"], (1, "Active"))
    return without_gaps(
        {
            "uid": str(finding["detection_id"]),
            "name": finding["detection_name"],
            "desc": finding["description"],
            "version": finding["detection_hash"],
            "type_id": type_id,
            "type": kind,
            "state_id": state_id,
            "state": state,
        }
    )


def _unmapped(finding: Row, details: Any) -> Part:
    """What OCSF has no name for; observables point into it."""
    names = "host_name dns_domain account_name account_sid mailbox app_id ip_address"
    figures = "interval_state origin is_late score observed expected suppressed_count"
    kept = {name: finding[name] for name in (*names.split(), *figures.split())}
    entities = ocsf_parts.unpacked(finding["entities"])
    return without_gaps(kept | {"details": details, "entities": entities})
