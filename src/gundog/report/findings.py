"""The findings of the page, worst first."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import duckdb
from markupsafe import Markup

from gundog.core import app_names, safe_text
from gundog.core.severity import SEVERITIES
from gundog.findings import event_rows
from gundog.report import charts, evidence, risk, series
from gundog.report.asked import ENTITY_COLUMNS, Entity
from gundog.report.evidence import shown_time
from gundog.report.model import Finding, Findings, Named, Table
from gundog.report.scope import Scope, rows

# So many findings are shown whole, so many more as a line; what is beyond is counted.
WHOLE, LINES = 200, 1800
# Above so many findings each shows fewer events.
MANY = 50
EVENTS, FEW_EVENTS = 20, 5
_TITLE, _DETAILS = 400, 12


def anchor(finding_id: Any) -> str:
    """The anchor of a finding: messages link to it."""
    return f"finding-{finding_id}"


def of(con: duckdb.DuckDBPyConnection, scope: Scope, anchors: Collection[str]) -> Findings:
    """The findings of the scope.

    Args:
        con: findings.duckdb, with the table `chosen`.
        scope: what the report is about.
        anchors: of the entities that the page has a part on.
    """
    chosen = rows(
        con,
        f"""select f.*, d.stem, n.finding_id is not null as is_new, count(*) over () as total
            from findings as f
            left join detections as d using (detection_id)
            left join ({NEW}) as n using (finding_id)
            where f.finding_id in (from chosen) and {_which(scope)}
            order by list_position($worst, f.severity), is_new desc, f.risk_score desc nulls last,
                f.start_time desc, f.finding_id
            limit {WHOLE + LINES}""",
        {"worst": list(reversed(SEVERITIES)), "since": scope.since},
    )
    total = chosen[0]["total"] if chosen else 0
    whole, lines = chosen[:WHOLE], chosen[WHOLE:]
    most = EVENTS if len(whole) <= MANY else FEW_EVENTS
    return Findings(
        total=total,
        whole=tuple(_whole(con, scope, whole, anchors, most)),
        lines=tuple(_line(row) for row in lines),
        uncounted=total - len(chosen),
        evidence_rows=most,
    )


# Findings that are new, or here again, since a moment; all of them when there is none.
NEW = """select distinct finding_id from finding_changes
    where "change" in ('new', 'returned') and ($since is null or changed_at > $since)"""


def _which(scope: Scope) -> str:
    """Which of the chosen findings wait for a person, or are to be seen whatever became of them."""
    asked = scope.asked
    if asked.entity:
        return "f.suppressed_by is null"
    if asked.month:
        return "f.suppressed_by is null and d.status = 'stable'"
    if asked.detection:
        return "f.suppressed_by is null and f.triage_status in ('new', 'in_progress')"
    return "f.finding_id in (select finding_id from open_findings)"


def _line(row: Mapping[str, Any]) -> Finding:
    return Finding(
        finding_id=str(row["finding_id"]),
        anchor=anchor(row["finding_id"]),
        severity=row["severity"] if row["severity"] in SEVERITIES else "informational",
        title=safe_text.cut(row["title"] or row["detection_name"] or "", _TITLE),
        reason=safe_text.cut(row["reason"] or "", _TITLE),
        tenant=row["tenant"] or "",
        detection=row["stem"] or str(row["detection_id"]),
        start=row["start_time"],
        end=row["end_time"],
        state=row["interval_state"] or "",
        is_new=row["is_new"],
        triage=", ".join(filter(None, [row["triage_status"], row["verdict"]])),
    )


def _whole(
    con: duckdb.DuckDBPyConnection,
    scope: Scope,
    some: Sequence[Mapping[str, Any]],
    anchors: Collection[str],
    most: int,
) -> Iterator[Finding]:
    ids = [str(row["finding_id"]) for row in some]
    about = {str(detection["detection_id"]): detection for detection in scope.detections}
    shows = scope.asked.evidence
    events = evidence.first_events(con, ids, most) if shows else {}
    contexts = evidence.contexts(con, ids) if shows else {}
    told = evidence.first_seen(con, some) if shows else {}
    times = evidence.times(con, ids)
    points = series.points(con, some)
    for row in some:
        key = str(row["finding_id"])
        details = json.loads(row["details"] or "{}")
        picture, words = _picture(row, points.get(key, ()), times.get(key, ()))
        detection = about.get(str(row["detection_id"]), {})
        yield _with(
            _line(row),
            names=tuple(_names(row, anchors)),
            facts=tuple(_facts(row)),
            chart=picture,
            chart_words=words,
            tables=(
                *([told[key]] if key in told else []),
                *_tables(row, details),
                *([contexts[key]] if key in contexts else []),
            ),
            details=tuple(_other_details(row, details, events.get(key, ()))) if shows else (),
            evidence=evidence.shown(row, events.get(key, ())) if shows else None,
            steps=tuple(detection.get("triage") or ()),
            harmless=tuple(detection.get("false_positives") or ()),
            unseen=tuple(detection.get("blind_spots") or ()),
        )


def _with(finding: Finding, **values: Any) -> Finding:
    return Finding(**{**vars(finding), **values})


def _names(row: Mapping[str, Any], anchors: Collection[str]) -> Iterator[Named]:
    for kind, column in ENTITY_COLUMNS.items():
        name = row[column]
        if not name:
            continue
        place = risk.anchor(Entity(kind, name, row["tenant"] or ""))
        shown = (
            "the whole tenant"
            if name == "*"
            else safe_text.cut(str(app_names.shown(column, name)), _TITLE)
        )
        yield Named(kind, shown, place if place in anchors else "")


def _facts(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    start, end = shown_time(row["start_time"]), shown_time(row["end_time"])
    yield "When (UTC)", start if start == end else f"{start} to {end}"
    yield "Detection", f"{row['detection_name']} ({row['stem'] or 'no longer there'})"
    if row["observed"] is not None and row["expected"] is not None:
        yield "Counted", f"{row['observed']:,.0f}; {row['expected']:,.1f} expected"
    attack = [*(row["tactics"] or ()), *(row["techniques"] or ())]
    if attack:
        yield "ATT&CK", ", ".join(attack)
    if row["interval_state"] == "provisional":
        yield "State", "provisional: late files may still change it"
    if row["is_late"]:
        yield "Late", "some of its evidence arrived after the interval was first hunted"
    if row["suppressed_count"]:
        yield "Repeats", f"{row['suppressed_count']} more like it that were not sent"
    yield "Triage", ", ".join(filter(None, [row["triage_status"], row["verdict"]])) or "new"


# ---- pictures and tables ----


def _picture(
    row: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
    times: Sequence[Mapping[str, Any]],
) -> tuple[Markup | None, str]:
    """The finding's picture and what it shows in words; both empty where there is none."""
    if row["kind"] != "series":
        return evidence.axis(times, row["end_time"])
    if not points:
        return None, ""
    flagged = [point for point in points if point["flagged"]]
    words = (
        f"Hours from {shown_time(points[0]['hour'])} (UTC): bars are counted, the line is expected,"
        f" the dashed line is where an hour alone would be flagged;"
        f" {len(flagged)} of {len(points)} hours are part of the finding"
    )
    return charts.hours(points, words), words


def _tables(row: Mapping[str, Any], details: Mapping[str, Any]) -> Iterator[Table]:
    """The hours that made a series finding, and who or what made the excess."""
    hours = details.get("hours") or []
    if row["kind"] == "series" and _are(hours, {"hour", "observed", "expected", "upper", "score"}):
        yield Table(
            "Hours of the finding",
            ("hour (UTC)", "counted", "expected", "flagged from", "score"),
            tuple(
                (
                    hour["hour"][:16].replace("T", " "), _round(hour["observed"]),
                    _round(hour["expected"], 1), _round(hour["upper"]), _round(hour["score"], 1),
                )
                for hour in hours
            ),
            frozenset({1, 2, 3, 4}),
        )  # fmt: skip
    shares = {
        name: value for name, value in details.items() if _are(value, {"value", "records", "share"})
    }
    if shares:
        yield Table(
            "What made the excess" if row["kind"] == "series" else "What made the records",
            ("of", "value", "records", "share"),
            tuple(
                (
                    name.removeprefix("top_").replace("_", " "),
                    event_rows.cell(part["value"]) + (" (new)" if part.get("is_new") else ""),
                    f"{part['records']:,}", f"{part['share']:.0%}",
                )
                for name, some in shares.items()
                for part in some[:3]
            ),
            frozenset({2, 3}),
        )  # fmt: skip


def _are(value: Any, keys: set[str]) -> bool:
    """True for a list of objects that have all these keys, and at least item object."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and keys <= item.keys() for item in value)
    )


def _round(value: Any, digits: int = 0) -> str:
    return f"{value:,.{digits}f}" if isinstance(value, int | float) else ""


def _other_details(
    row: Mapping[str, Any], details: Mapping[str, Any], events: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """What else the hunt returned, without what a picture, a table or the evidence shows."""
    number, lines = 0, [event["event"].get("command_line") for event in events]
    for name, value in details.items():
        is_shown = name == "hours" and row["kind"] == "series"
        is_shown = is_shown or _are(value, {"value", "records", "share"})
        if is_shown or value in (None, [], "", {}, *lines):
            continue
        number += 1
        if number > _DETAILS:
            return
        yield name, safe_text.cut(event_rows.in_words(value), event_rows.VALUE)


def worst(findings: Findings) -> Finding | None:
    """The finding to begin with: the worst new finding, else the worst."""
    some = [finding for finding in findings.whole if finding.is_new] or findings.whole
    return some[0] if some else None
