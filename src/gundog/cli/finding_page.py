"""One finding whole: why it fired, on which events, what to do, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import duckdb
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gundog.cli import around_tables, chart, context_table
from gundog.cli.printing import STYLES, hanging, heading, listing, safe, short_time
from gundog.core import app_names, safe_text
from gundog.core.times import parse_time
from gundog.core.wording import count
from gundog.findings import event_rows, reader
from gundog.findings.around import Around
from gundog.warehouse import database

SHOWN_EVIDENCE = 20
# A command line is shown whole up to this many characters.
LINE = 1000
_ENTITIES = (
    "tenant", "host_name", "account_name", "account_sid", "mailbox", "app_id", "ip_address"
)  # fmt: skip


def show(
    console: Console,
    con: duckdb.DuckDBPyConnection,
    row: Mapping[str, Any],
    late: timedelta,
    surroundings: Around | str | None = None,
) -> None:
    """Prints one finding: its story, why it fired, its evidence, what to do, what was done.

    Args:
        console: where to.
        con: findings.duckdb.
        row: of `findings`.
        late: how long an interval stays provisional.
        surroundings: what is staged around it, why that cannot be read, or None for nothing of it.
    """
    detection = reader.detection_of(con, row)
    head = Text()
    head.append(row["severity"].upper(), style=STYLES.get(row["severity"], "bold"))
    head.append("  ")
    head.append_text(hanging(row["title"]))
    console.print(head)
    console.print(hanging(f"{row['reason']}."))
    context_table.show(console, con, row)
    if surroundings is not None:
        around_tables.show(console, surroundings)
    console.print()
    _facts(console, row, detection)
    _night(console, con, row)
    events = _events(con, row)
    _details(console, row, {event["event"].get("command_line") for event in events})
    _evidence(console, row, events)
    for title, lines in (
        ("What to do", detection.get("triage")),
        ("Known harmless causes", detection.get("false_positives")),
        ("What this hunt cannot see", detection.get("blind_spots")),
        ("Read more", detection.get("refs")),
    ):
        listing(console, title, lines or ())
    _history(console, con, row, late)


# ---- facts and details ----


def _facts(console: Console, row: Mapping[str, Any], detection: Mapping[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _fact_lines(row, detection):
        table.add_row(name, safe(value))
    console.print(table)


def _fact_lines(row: Mapping[str, Any], detection: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "finding", str(row["finding_id"])
    yield "detection", f"{row['detection_name']} ({detection.get('stem', '?')})"
    yield "when (UTC)", f"{short_time(row['start_time'])} to {short_time(row['end_time'])}"
    for name in _ENTITIES:
        if row[name]:
            yield name, app_names.named(row[name]) if name == "app_id" else row[name]
    if row["score"] is not None:
        yield "score", f"{row['score']:.1f}"
    if row["observed"] is not None and row["expected"] is not None:
        yield "observed", f"{row['observed']:,.0f}; {row['expected']:,.1f} expected"
    yield "attack", ", ".join([*(row["tactics"] or ()), *(row["techniques"] or ())])
    span = f"{short_time(row['interval_start'])} to {short_time(row['interval_end'])}"
    yield "interval", f"{span}, {row['interval_state']}"
    if row["is_late"]:
        yield "late", "some of its evidence arrived after the interval was first hunted"
    if row["suppressed_by"]:
        yield "not sent", f"hidden by {row['suppressed_by']}"
    if row["suppressed_count"]:
        yield (
            "repeats",
            f"{row['suppressed_count']} more like it followed soon and were not sent",
        )
    yield "triage", ", ".join(filter(None, [row["triage_status"], row["verdict"]]))


def _details(console: Console, row: Mapping[str, Any], lines: set[str | None]) -> None:
    details = json.loads(row["details"] or "{}")
    kept = {
        name: value
        for name, value in details.items()
        if value not in (None, [], "") and not (isinstance(value, str) and value in lines)
    }
    if not kept:
        return
    heading(console, "Details")
    for name, value in kept.items():
        if name == "hours" and row["kind"] == "series":
            _table_of_hours(console, value)
            continue
        shown = safe_text.cut(event_rows.in_words(value), event_rows.VALUE)
        console.print(Text.assemble((f"  {name}: ", "dim"), hanging(shown)))


def _table_of_hours(console: Console, hours: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("  hour (UTC)", "observed", "expected", "flagged from", "score", "over"):
        table.add_column(name, justify="left" if "hour" in name else "right")
    for hour in hours:
        table.add_row(
            "  " + hour["hour"][:16].replace("T", " "),
            f"{hour['observed']:,.0f}",
            f"{hour['expected']:,.1f}",
            f"{hour['upper']:,.0f}",
            f"{hour['score']:.1f}",
            f"{hour['window_h']} h" if hour["window_h"] else "",
        )
    console.print(table)


def _night(console: Console, con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> None:
    """The interval of a series as a chart."""
    details = json.loads(row["details"] or "{}")
    key, hours = details.get("series_key"), details.get("hours") or ()
    if row["kind"] != "series" or key is None:
        return
    points = database.rows(
        con,
        """select hour, observed, expected, flagged from series_points
           where detection_id = ? and series_key = ? and hour >= ? and hour < ?
           order by hour limit 48""",
        [row["detection_id"], key, row["interval_start"], row["interval_end"]],
    )
    if not points:
        return
    told = {parse_time(hour["hour"]) for hour in hours} if isinstance(hours, list) else set()
    points = [{**point, "flagged": point["flagged"] or point["hour"] in told} for point in points]
    heading(console, "Its hours (UTC): █ counted, ── expected, ▲ part of the finding")
    for line in chart.of_hours(points):
        console.print(line, no_wrap=True, overflow="crop")
    ticks = "".join(
        f"{point['hour']:%H} " if n % 3 == 0 else "   " for n, point in enumerate(points)
    )
    console.print(Text(" " * 10 + ticks, style="dim"), no_wrap=True, overflow="crop")


# ---- evidence ----


def _events(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = database.rows(
        con,
        "select * from evidence where finding_id = ? order by ordinal limit ?",
        [row["finding_id"], SHOWN_EVIDENCE],
    )
    return [{**event, "event": json.loads(event["event"])} for event in rows]


def _evidence(console: Console, row: Mapping[str, Any], events: Sequence[dict[str, Any]]) -> None:
    heading(console, f"Evidence ({count(row['evidence_count'] or 0, 'event')})")
    lines = [event for event in events if event["event"].get("command_line")]
    records = [event for event in events if not event["event"].get("command_line")]
    for file, some in _by_file(lines):
        console.print(Text("  ").append_text(hanging(file)), style="dim")
        for event in some:
            _command(console, event)
    _records(console, records)
    rest = row["evidence_count"] - len(events)
    if rest > 0:
        sql = f"select * from evidence where finding_id = '{row['finding_id']}'"
        console.print(Text(f'  … and {rest} more: gundog sql "{sql}"', style="dim"))


def _by_file(events: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Events in runs of the same file, in their order."""
    runs = groupby(events, key=lambda event: event["source_file"] or "")
    return [(file, list(some)) for file, some in runs]


def _command(console: Console, event: Mapping[str, Any]) -> None:
    head = f"    {short_time(event['event_time'])}  {event['role']}"
    console.print(hanging(head), style="dim")
    line, plain = event["event"]["command_line"], event["event"].get("normalised")
    console.print(Padding(safe(safe_text.cut(line, LINE)), (0, 0, 0, 6)))
    if plain and event["event"].get("steps"):  # it was written so as not to be read
        reads = Text("reads ", style="dim").append_text(safe(safe_text.cut(plain, LINE)))
        console.print(Padding(reads, (0, 0, 0, 6)))
    if len(line) > LINE:
        console.print(
            Text(f"      ({len(line):,} characters; gundog sql has them all)", style="dim")
        )


def _records(console: Console, events: Sequence[dict[str, Any]]) -> None:
    """Events as rows of what differs between them, after what is the same in all."""
    if not events:
        return
    same, names = event_rows.split(events)
    folder, files = event_rows.apart([event["source_file"] or "" for event in events])
    days = {f"{event['event_time']:%Y-%m-%d}" for event in events if event["event_time"]}
    day = f"{days.pop()}, " if len(days) == 1 else ""
    console.print(Text(f"  {day}").append_text(hanging(folder)), style="dim")
    if same:
        console.print(Text("  in all: ", style="dim").append_text(hanging(same)))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("  time", *names, *(["file"] if any(files) else [])):
        table.add_column(safe(name), overflow="fold")
    for event, file in zip(events, files, strict=True):
        row = {"role": event["role"], **event["event"]}
        cells = [safe(event_rows.cell(row.get(name))) for name in names]
        moment = event["event_time"]
        time = f"{moment:%H:%M:%S}" if day and moment else short_time(moment)
        table.add_row(f"  {time}", *cells, *([safe(file)] if any(files) else []))
    console.print(table)


# ---- what became of it ----


def _history(
    console: Console, con: duckdb.DuckDBPyConnection, row: Mapping[str, Any], late: timedelta
) -> None:
    happened = [*_changes(con, row), *_said(con, row), *_told(con, row)]
    lines = [
        f"{short_time(at)} {text}"
        for at, text in sorted(happened, key=lambda happening: happening[0])
    ]
    if row["interval_state"] == "provisional":
        lines.append(f"may still change until {short_time(row['interval_end'] + late)}")
    listing(console, "History", lines)


_Happened = Iterator[tuple[datetime, str]]


def _changes(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> _Happened:
    for change in database.rows(
        con,
        "select * from finding_changes where finding_id = ? order by changed_at",
        [row["finding_id"]],
    ):
        reason = f": {change['reason']}" if change["reason"] else ""
        yield change["changed_at"], change["change"] + reason


def _said(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> _Happened:
    for statement in database.rows(
        con, "select * from triage where finding_id = ? order by said_at", [row["finding_id"]]
    ):
        decided = ", ".join(filter(None, [statement["status"], statement["verdict"]]))
        note = f": {statement['note']}" if statement["note"] else ""
        yield statement["said_at"], f"{statement['actor']} on {statement['host']}: {decided}{note}"


def _told(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> _Happened:
    rows = database.rows(
        con,
        """select *, coalesce(list_contains(withdrawn_ids, $id), false) as as_gone
           from notifications
           where list_contains(finding_ids, $id) or list_contains(withdrawn_ids, $id)
           order by created_at, channel""",
        {"id": row["finding_id"]},
    )
    for notification in rows:
        kind = "digest" if notification["kind"] == "digest" else "message"
        about = ", as withdrawn" if notification["as_gone"] else ""
        name = f"{notification['channel']} ({kind}{about})"
        if notification["sent_at"]:
            yield notification["sent_at"], f"sent to {name}"
        elif notification["dead_at"]:
            yield (
                notification["dead_at"],
                f"gave up sending to {name}: {notification['last_error']}",
            )
        else:
            why = f": {notification['last_error']}" if notification["last_error"] else ""
            yield notification["created_at"], f"waits to be sent to {name}{why}"
