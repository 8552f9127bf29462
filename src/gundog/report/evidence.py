"""The events behind findings: the first of them, where they came from, and when they were."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
from markupsafe import Markup

from gundog.core import safe_text
from gundog.core.times import format_time
from gundog.core.wording import count
from gundog.findings import event_rows, finding_contexts
from gundog.report import charts
from gundog.report.model import Evidence, Table
from gundog.report.scope import rows

LINE = 1000
_TIMES = 200
_CONTEXTS = 6
# Keys of staged rows that say from where and with what somebody came.
_CONTEXT_KEYS = {
    "ip_address": "address", "network": "network", "country": "country", "app_id": "app",
    "client_info": "client", "user_agent": "user agent", "session_id": "session",
}  # fmt: skip

_ByFinding = Mapping[str, Sequence[Mapping[str, Any]]]


def first_events(con: duckdb.DuckDBPyConnection, ids: Sequence[str], most: int) -> _ByFinding:
    """The first `most` events of each finding, in their order, their JSON read."""
    return _by_finding(
        rows(
            con,
            """select * from evidence where finding_id in (select unnest($ids)::uuid)
               qualify row_number() over (partition by finding_id order by ordinal) <= $most
               order by finding_id, ordinal""",
            {"ids": list(ids), "most": most},
        )
    )


def times(con: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> _ByFinding:
    """When the first 200 events of each finding were, and what they are to it."""
    return _by_finding(
        rows(
            con,
            """select finding_id, event_time, role from evidence
               where finding_id in (select unnest($ids)::uuid) and event_time is not null
               qualify row_number() over (
                   partition by finding_id order by event_time, ordinal
               ) <= $most
               order by finding_id, event_time, ordinal""",
            {"ids": list(ids), "most": _TIMES},
        )
    )


def contexts(con: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> Mapping[str, Table]:
    """From where and with what the events of each finding came, the most frequent first.

    Only findings whose events say more than a host have one.
    """
    columns = ", ".join(f"event ->> '$.{key}' as {key}" for key in _CONTEXT_KEYS)
    counted = _by_finding(
        rows(
            con,
            f"""select finding_id, {columns}, count(*) as events,
                       min(event_time) as first, max(event_time) as last
                from evidence where finding_id in (select unnest($ids)::uuid)
                group by all
                having coalesce(ip_address, session_id, app_id, user_agent) is not null
                order by finding_id, events desc, first""",
            {"ids": list(ids)},
        )
    )
    return {key: _context_table(some) for key, some in counted.items()}


def _context_table(some: Sequence[Mapping[str, Any]]) -> Table:
    keys = [key for key in _CONTEXT_KEYS if any(row[key] for row in some)]
    more = len(some) - _CONTEXTS
    caption = "Where the events came from" + (f" (and {more} more)" if more > 0 else "")
    cells = tuple(
        (
            *(event_rows.cell(row[key]) for key in keys),
            f"{row['events']:,}", shown_time(row["first"]), shown_time(row["last"]),
        )
        for row in some[:_CONTEXTS]
    )  # fmt: skip
    names = (*(_CONTEXT_KEYS[key] for key in keys), "events", "first event", "last event")
    return Table(caption, names, cells, frozenset({len(keys)}))


def first_seen(
    con: duckdb.DuckDBPyConnection, some: Sequence[Mapping[str, Any]]
) -> Mapping[str, Table]:
    """Who is different: the contexts of each finding, and since when they are known, new first.

    Args:
        con: findings.duckdb, of this version or an older one.
        some: rows of `findings`.
    """
    counts = {str(row["finding_id"]): row["evidence_count"] for row in some}
    by_finding = finding_contexts.of(con, list(counts))
    return {key: _first_table(rows, counts[key]) for key, rows in by_finding.items() if rows}


def _first_table(contexts: Sequence[Mapping[str, Any]], evidence_count: int | None) -> Table:
    rest = finding_contexts.left_out(contexts)
    cells = tuple(
        (
            finding_contexts.label(row), finding_contexts.value(row), f"{row['records']:,}",
            f"{row['items']:,}", finding_contexts.share(row, evidence_count),
            *(_since(row[name]) for name in ("first_for_mailbox", "first_for_tenant")),
        )
        for row in contexts
    )  # fmt: skip
    names = ("of", "value", "records", "items", "share", "mailbox: first seen",
             "tenant: first seen")  # fmt: skip
    caption = "Who read it" + (f" (and {rest} more)" if rest else "")
    return Table(caption, names, cells, frozenset({2, 3, 4}))


def _since(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "never before"


def _by_finding(selected: Sequence[dict[str, Any]]) -> _ByFinding:
    grouped = defaultdict[str, list[Mapping[str, Any]]](list)
    for row in selected:
        if "event" in row:
            row["event"] = read_event(row["event"])
        grouped[str(row["finding_id"])].append(row)
    return grouped


def read_event(event: str | None) -> dict[str, Any]:
    """The staged row that an event is."""
    value = json.loads(event or "{}")
    return value if isinstance(value, dict) else {"event": value}


def shown_time(moment: datetime | None) -> str:
    """A moment to the second, in UTC; empty when there is none."""
    if moment is None:
        return ""
    return format_time(moment.replace(microsecond=0))[:-1].replace("T", " ")


def axis(some: Sequence[Mapping[str, Any]], end: datetime) -> tuple[Markup | None, str]:
    """The events of a finding on a line in time, and the same in words.

    Args:
        some: when and what, in order of time.
        end: when its last event was.
    """
    events = [(event["event_time"], event["role"] or "event") for event in some]
    if len(events) == _TIMES:
        events.append((end, events[-1][1]))
    if len(events) < 2 or events[0][0] == events[-1][0]:
        return None, ""
    (first, opening), (last, closing) = events[0], events[-1]
    words = (
        f"{opening} at {shown_time(first)}, {closing} at {shown_time(last)},"
        f" {charts.gap(last - first)} between; {count(len(events), 'event')}"
    )
    return charts.axis(events, words), words


def shown(row: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Evidence:
    """The evidence part of event finding.

    Args:
        row: of `findings`.
        events: the first of its evidence.
    """
    lines = [event for event in events if event["event"].get("command_line")]
    records = [event for event in events if not event["event"].get("command_line")]
    shared, names = event_rows.split(records) if records else ("", [])
    total = row["evidence_count"] or 0
    sql = f"select * from evidence where finding_id = '{row['finding_id']}' order by ordinal"
    files = dict.fromkeys(event["source_file"] for event in events if event["source_file"])
    return Evidence(
        count=total,
        shown=len(events),
        commands=tuple(_command(event) for event in lines),
        shared=shared,
        records=_record_table(records, names) if records else None,
        files=tuple(files)[:3],
        sql=f'gundog sql "{sql}"' if total > len(events) else "",
    )


def _command(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    event = row["event"]
    reads = event.get("normalised") if event.get("steps") else ""
    return (
        shown_time(row["event_time"]),
        row["role"] or "",
        safe_text.cut(_text(event["command_line"]), LINE),
        safe_text.cut(_text(reads), LINE),
    )


def _record_table(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Table:
    cells = tuple(
        (
            shown_time(row["event_time"]),
            *(event_rows.cell({"role": row["role"], **row["event"]}.get(name)) for name in names),
        )
        for row in records
    )
    return Table("Events", ("time (UTC)", *names), cells)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
