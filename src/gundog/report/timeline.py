"""One entity: all its findings and their events in order of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import duckdb

from gundog.core import safe_text
from gundog.findings import event_rows
from gundog.report.asked import ENTITY_COLUMNS, Entity
from gundog.report.evidence import read_event, shown_time
from gundog.report.findings import anchor
from gundog.report.model import Happening, Risky, TimeLine
from gundog.report.risk import anchor as entity_anchor
from gundog.report.scope import Scope, rows

# How many entities have a time line, and how long one is; longer where one entity is asked for.
ENTITIES, EVENTS, EVENTS_OF_ONE = 10, 40, 500
_FINDINGS = 100
# Records in a row that are alike become one line when there are more.
_ALIKE = 3
_WORDS, _VALUES = 240, 5
# Keys of staged rows that name a row and say nothing of what happened.
_NAMES = ("_id", "_sid", "_key", "_time", "_created", "_raw", "_seq")


def of(
    con: duckdb.DuckDBPyConnection, scope: Scope, risky: Sequence[Risky]
) -> tuple[TimeLine, ...]:
    """The time lines of the riskiest entities, or of the one that is asked for."""
    asked = scope.asked.entity
    if asked:
        return (_line(con, scope, asked, EVENTS_OF_ONE),)
    return tuple(_line(con, scope, entry.entity, EVENTS) for entry in risky[:ENTITIES])


def _line(con: duckdb.DuckDBPyConnection, scope: Scope, entity: Entity, most: int) -> TimeLine:
    # An entity that a person asks for has no tenant: `chosen` holds those of the tenants asked for.
    values = {"name": entity.name, "tenant": entity.tenant or None, "from": None}
    mine = f"""select * from findings where finding_id in (from chosen)
        and lower({ENTITY_COLUMNS[entity.kind]}) = lower($name)
        and ($tenant is null or tenant = $tenant) and ($from is null or end_time > $from)"""
    own = rows(
        con,
        f"select * from ({mine}) order by start_time desc, finding_id limit {_FINDINGS}",
        values,
    )
    [(findings, events)] = con.execute(
        f"select count(*), coalesce(sum(evidence_count), 0)::bigint from ({mine})", values
    ).fetchall()
    proof = _events(con, own, most) if scope.asked.evidence else []
    happenings = sorted(
        [*_of_findings(own), *_of_events(proof)], key=lambda happening: happening.at
    )
    said = events if scope.asked.evidence else 0
    return TimeLine(
        entity=entity,
        anchor=entity_anchor(entity),
        findings=findings,
        events=events,
        happenings=tuple(sorted(happenings, key=lambda happening: happening.at)),
        left_out=max(findings - len(own), 0) + max(said - len(proof), 0),
    )


def _events(
    con: duckdb.DuckDBPyConnection, findings: Sequence[Mapping[str, Any]], most: int
) -> Sequence[Mapping[str, Any]]:
    """Events of the findings, the same number of each first, each event once."""
    return rows(
        con,
        f"""with numbered as (
                select *, row_number() over (partition by finding_id order by ordinal) as place
                from evidence
                where finding_id in (select unnest($ids)::uuid) and event_time is not null
                qualify row_number() over (
                    partition by source_table, event_id, event_time order by finding_id, ordinal
                ) = 1
            )

            select * from numbered order by place, event_time, event_id limit {most}""",
        {"ids": [str(row["finding_id"]) for row in findings]},
    )


def _of_findings(some: Sequence[Mapping[str, Any]]) -> Iterator[Happening]:
    for row in some:
        hidden = " (hidden)" if row["suppressed_by"] else ""
        verdict = f" ({row['verdict'].replace('_', ' ')})" if row["verdict"] else ""
        yield Happening(
            row["start_time"],
            safe_text.cut(row["title"] or row["detection_name"] or "", _WORDS) + hidden + verdict,
            row["severity"],
            anchor(row["finding_id"]),
        )


def _of_events(proof: Sequence[Mapping[str, Any]]) -> Iterator[Happening]:
    """A line for each command, and one for records in a row that are alike."""
    events = [{**row, "event": read_event(row["event"])} for row in proof]
    in_time = sorted(events, key=lambda row: (row["event_time"], str(row["event_id"])))
    for (finding_id, role), group in groupby(in_time, key=_kind):
        rows_of_kind = list(group)
        if finding_id and len(rows_of_kind) > _ALIKE:
            yield _of_many(role, rows_of_kind)
        else:
            yield from (_of_event(row) for row in rows_of_kind)


def _kind(row: Mapping[str, Any]) -> tuple[str, str]:
    """What records in a row are alike by; a command is like no other."""
    is_command = bool(row["event"].get("command_line"))
    return ("" if is_command else str(row["finding_id"])), row["role"] or ""


def _of_many(role: str, some: Sequence[Mapping[str, Any]]) -> Happening:
    first, last = some[0], some[-1]
    shared = {
        key: value
        for key, value in first["event"].items()
        if all(row["event"].get(key) == value for row in some)
    }
    words = f"{len(some)} x {role or 'event'} until {shown_time(last['event_time'])}"
    common = _words(shared)
    return Happening(
        first["event_time"],
        f"{words}: {common}" if common else words,
        source=first["source_table"] or "",
    )


def _of_event(row: Mapping[str, Any]) -> Happening:
    words = _words(row["event"])
    return Happening(
        row["event_time"],
        f"{row['role']}: {words}" if row["role"] else words,
        source=row["source_table"] or "",
    )


def _words(event: Mapping[str, Any]) -> str:
    """An event in short: its command line, or the first values that say something."""
    line = event.get("command_line")
    if isinstance(line, str) and line:
        return safe_text.cut(line, _WORDS)
    telling = {
        key: event_rows.cell(value)
        for key, value in event.items()
        if value not in (None, "", [], {}, False) and key != "tenant" and not key.endswith(_NAMES)
    }
    some = list(telling.items())[:_VALUES]
    return safe_text.cut(", ".join(f"{key} {value}" for key, value in some), _WORDS)
