"""How the status looks: a page for people, and JSON for programs."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gundog.cli.printing import hanging, heading, listing, safe, short_time
from gundog.core.times import Interval, format_duration, format_time
from gundog.core.wording import count
from gundog.health import acknowledged, clock, watch
from gundog.health.watch import Trouble
from gundog.run.status_model import CanarySeen, Coverage, LookedAt, Status

_NOT_YET = "not hunted yet: the next gundog hunt starts it, a backfill adds history"


def first_line(status: Status) -> str:
    """OK, or how many problems there are."""
    count = len(status.troubles)
    return "OK" if not count else f"{count} PROBLEM{'S' if count > 1 else ''}"


def show(console: Console, status: Status) -> None:
    """Prints the status: a first line that says it all, then what it is made of."""
    console.print(Text(first_line(status)))
    for trouble in status.troubles:
        console.print(Text("  ").append_text(hanging(trouble.text)))
    _how_to_acknowledge(console, status.troubles)
    listing(console, "Notes", status.notes)
    _coverage(console, status.coverage)
    listing(console, "What silence rests on", [_looked_at(row) for row in status.looked_at])
    listing(console, "Canaries", [_canary(row) for row in status.canaries])
    _sources(console, status)
    listing(console, "Exceptions", status.exceptions)
    _acknowledged(console, status)
    listing(
        console,
        "Files with remarks",
        [
            f"{remark.example}: {remark.text}"
            if remark.files == 1
            else f"{remark.source}: {count(remark.files, 'file')},"
            f" the last of them {remark.example}: {remark.text}"
            for remark in status.remarks
        ],
    )
    listing(
        console,
        "Unsent",
        [f"{backlog.channel}: {backlog.messages} waiting: {backlog.error or 'next run'}"
         for backlog in status.unsent],
    )  # fmt: skip


def _how_to_acknowledge(console: Console, troubles: Sequence[Trouble]) -> None:
    """The command that says of the first such trouble that it is known."""
    for trouble in troubles:
        kind = watch.KNOWN_AS.get(trouble.kind)
        tenant = trouble.tenant or ""
        # What cannot be printed cannot be copied.
        copied = tenant.isprintable() and trouble.kind != watch.SILENT
        if kind and trouble.span and trouble.source and copied:
            # A tenant is whatever events or folders say, and stays one word of the command.
            whose = f" --tenant={shlex.quote(tenant)}" if tenant else ""
            option = f" --kind {kind}" if kind != acknowledged.HOLE else ""
            command = (
                f"gundog acknowledge {trouble.source} {watch.asked(trouble.span)}{option}{whose}"
            )
            console.print(Text("  Known, and not going to be fixed? ", style="dim").append_text(
                safe(f"{command} --reason TEXT")))  # fmt: skip
            return


def _coverage(console: Console, rows: Sequence[Coverage]) -> None:
    """A table of what was hunted; beneath it what the detections say, equal words once."""
    if not rows:
        return
    heading(console, "Detections")
    _what_was_hunted(console, [(coverage, coverage.span) for coverage in rows if coverage.span])
    said = defaultdict[str, list[str]](list)
    for coverage in rows:
        words = f"does not run: {coverage.idle}" if coverage.idle else coverage.note or ""
        if words or not coverage.span:
            said[words or _NOT_YET].append(coverage.detection)
    for words, stems in said.items():
        console.print(Text("  ").append_text(hanging(f"{', '.join(stems)}: {words}")))


def _looked_at(row: LookedAt) -> str:
    """What a detection looked at in its newest interval, without what is none or not known."""
    figures = {
        "judged": row.scored,
        "learning": row.learning,
        "throttled": row.throttled,
        "without a record for 30 days": row.silent,
    }
    parts = [f"{figure:,} {words}" for words, figure in figures.items() if figure]
    tenants = f"{row.tenants:,} tenants, " if row.tenants > 1 else ""
    mailboxes = "" if row.mailboxes is None else f", {count(row.mailboxes, 'mailbox')}"
    told = f": {', '.join(parts)}" if parts else ""
    return f"{row.detection}: {tenants}{count(row.rows, 'row')}{mailboxes}{told}"


def _canary(row: CanarySeen) -> str:
    """Whether it came in the newest time that was looked at, and how late."""
    span = Interval(row.span_start, row.span_end)
    head = f"{row.name} ({row.detection}) {watch.when(span)}"
    if not row.came:
        return f"{head}: lost: {row.lost}"
    if row.delay_s is None:
        return f"{head}: found"
    delay = timedelta(seconds=round(row.delay_s))
    return f"{head}: found {format_duration(delay)} after it happened"


def _what_was_hunted(console: Console, rows: Sequence[tuple[Coverage, Interval]]) -> None:
    """A table, or a line each where the terminal is too narrow for whole names in a table."""
    cells = []
    for coverage, span in rows:
        states = ", ".join(
            f"{n} {name.replace('_', ' ')}" for name, n in coverage.intervals.items()
        )
        cells.append((coverage.detection, _hunted(span), states, f"{coverage.findings:,}"))
    widest = [max((len(cell) for cell in column), default=0) for column in zip(*cells, strict=True)]
    if sum(widest[:3]) + len(" findings") + 6 > console.width:
        for name, span_shown, states, findings in cells:
            line = f"{name}: {span_shown}: {states}; findings: {findings}"
            console.print(Text("  ").append_text(safe(line)))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("detection", "hunted (UTC)", "intervals", "findings"):
        table.add_column(name, overflow="fold")
    for row in cells:
        table.add_row(*(safe(cell) for cell in row))
    if cells:
        console.print(table)


def _hunted(span: Interval) -> str:
    start, end = short_time(span.start), short_time(span.end)
    if start.endswith(" 00:00") and end.endswith(" 00:00"):
        start, end = acknowledged.ends(span)
    return f"{start} to {end}"


def _sources(console: Console, status: Status) -> None:
    if not status.sources:
        return
    heading(console, "Sources")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("source", "files", "rows", "rejected rows", "newest event (UTC)", "age"):
        table.add_column(name, overflow="fold")
    for source in status.sources:
        table.add_row(
            safe(source.name),
            f"{source.files:,}",
            f"{source.rows:,}",
            f"{source.rejected_rows:,}",
            short_time(source.newest),
            clock.age(status.now - source.newest) if source.newest else "",
        )
    console.print(table)


def _acknowledged(console: Console, status: Status) -> None:
    lines = []
    for entry, covers in status.acknowledged:
        unit = {acknowledged.REJECTED: "file", acknowledged.DRIFT: "day"}.get(
            entry.kind, "interval"
        )
        covered = f"covers {covers} {unit}{'s' if covers != 1 else ''}"
        left = "no longer matches anything: the entry can be removed"
        lines.append(f"{entry.shown}: {covered if covers else left}")
    listing(console, f"Acknowledged ({acknowledged.FILE})", lines)


# ---- JSON ----


def as_json(status: Status, out: IO[str]) -> None:
    """Writes the status as one JSON object in ASCII; times are ISO 8601 in UTC, null if unknown."""
    out.write(json.dumps(as_dict(status), ensure_ascii=True, indent=1) + "\n")


def as_dict(status: Status) -> dict[str, Any]:
    """The status under the keys that docs/operations.md lists."""
    return {
        "status": "PROBLEMS" if status.troubles else "OK",
        "at": _time(status.now),
        "nightly": status.nightly,
        "problems": [_as_problem(trouble) for trouble in status.troubles],
        "notes": list(status.notes),
        "detections": [
            {
                "detection": coverage.detection,
                "detection_id": coverage.detection_id,
                **_ends(coverage.span),
                "intervals": dict(coverage.intervals),
                "findings": coverage.findings,
                "note": coverage.note or None,
                "idle": coverage.idle or None,
            }
            for coverage in status.coverage
        ],
        "looked_at": [vars(row) for row in status.looked_at],
        "canaries": [
            {
                **vars(row),
                "span_start": _time(row.span_start),
                "span_end": _time(row.span_end),
                "found_at": _time(row.found_at),
            }
            for row in status.canaries
        ],
        "sources": [
            {
                "source": source.name,
                "files": source.files,
                "rows": source.rows,
                "rejected_rows": source.rejected_rows,
                "newest_event": _time(source.newest),
                "age_seconds": _seconds(status.now, source.newest),
                "rows_ahead": source.rows_ahead,
                "ahead_until": _time(source.ahead_until),
            }
            for source in status.sources
        ],
        "exceptions": list(status.exceptions),
        "acknowledged": [
            {
                "kind": entry.kind,
                "source": entry.source,
                "tenant": entry.tenant,
                **_ends(entry.span),
                "reason": entry.reason,
                "owner": entry.owner or None,
                "covers": covers,
            }
            for entry, covers in status.acknowledged
        ],
        "remarks": [
            {
                "source": remark.source,
                "files": remark.files,
                "example": remark.example,
                "text": remark.text,
            }
            for remark in status.remarks
        ],
        "unsent": [
            {
                "channel": backlog.channel,
                "messages": backlog.messages,
                "error": backlog.error or None,
            }
            for backlog in status.unsent
        ],
    }


def _as_problem(trouble: Trouble) -> dict[str, Any]:
    return {
        "key": trouble.key,
        "kind": trouble.kind,
        "source": trouble.source or None,
        "tenant": trouble.tenant,
        "detections": list(trouble.detections),
        **_ends(trouble.span),
        "count": trouble.count,
        "text": trouble.text,
    }


def _ends(span: Interval | None) -> dict[str, str | None]:
    """From, and to, exclusive."""
    return {"from": _time(span.start if span else None), "to": _time(span.end if span else None)}


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _seconds(now: datetime, moment: datetime | None) -> int | None:
    return int((now - moment).total_seconds()) if moment else None
