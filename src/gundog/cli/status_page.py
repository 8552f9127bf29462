"""How the state of everything looks: a page for people, and JSON for programs."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gundog.cli.printing import hanging, heading, listing, safe, short_time
from gundog.core.times import Interval, format_time
from gundog.core.wording import count
from gundog.health import acknowledged, clock, watch
from gundog.health.watch import Trouble
from gundog.run.status_model import Coverage, State

_NOT_YET = "not hunted yet: the next gundog hunt starts it, a backfill adds history"


def first_line(state: State) -> str:
    """OK, or how many problems there are."""
    count = len(state.troubles)
    return "OK" if not count else f"{count} PROBLEM{'S' if count > 1 else ''}"


def show(console: Console, state: State) -> None:
    """Prints the state: a first line that says it all, then what it is made of."""
    console.print(Text(first_line(state)))
    for trouble in state.troubles:
        console.print(Text("  ").append_text(hanging(trouble.text)))
    _how_to_acknowledge(console, state.troubles)
    listing(console, "Notes", state.notes)
    _coverage(console, state.coverage)
    _sources(console, state)
    listing(console, "Exceptions", state.exceptions)
    _acknowledged(console, state)
    listing(
        console,
        "Files with remarks",
        [
            f"{one.example}: {one.text}"
            if one.files == 1
            else f"{one.source}: {count(one.files, 'file')}, the last of them {one.example}:"
            f" {one.text}"
            for one in state.remarks
        ],
    )
    listing(
        console,
        "Unsent",
        [f"{one.channel}: {one.messages} waiting: {one.error or 'next run'}"
         for one in state.unsent],
    )  # fmt: skip


def _how_to_acknowledge(console: Console, troubles: Sequence[Trouble]) -> None:
    """The command that says of the first such trouble that it is known."""
    for one in troubles:
        kind = watch.KNOWN_AS.get(one.kind)
        tenant = one.tenant or ""
        # What cannot be printed cannot be copied.
        copied = tenant.isprintable() and one.kind != watch.SILENT
        if kind and one.span and one.source and copied:
            # A tenant is whatever events or folders say, and stays one word of the command.
            whose = f" --tenant={shlex.quote(tenant)}" if tenant else ""
            what = f" --kind {kind}" if kind != acknowledged.HOLE else ""
            command = f"gundog acknowledge {one.source} {watch.asked(one.span)}{what}{whose}"
            console.print(Text("  Known, and not to be mended? ", style="dim").append_text(
                safe(f"{command} --reason TEXT")))  # fmt: skip
            return


def _coverage(console: Console, rows: Sequence[Coverage]) -> None:
    """A table of what was hunted; beneath it what the detections say, equal words once."""
    if not rows:
        return
    heading(console, "Detections")
    _what_was_hunted(console, [(one, one.span) for one in rows if one.span])
    said = defaultdict[str, list[str]](list)
    for one in rows:
        words = f"does not run: {one.idle}" if one.idle else one.note or ""
        if words or not one.span:
            said[words or _NOT_YET].append(one.detection)
    for words, stems in said.items():
        console.print(Text("  ").append_text(hanging(f"{', '.join(stems)}: {words}")))


def _what_was_hunted(console: Console, rows: Sequence[tuple[Coverage, Interval]]) -> None:
    """A table, or a line each where the terminal is too narrow for whole names in a table."""
    cells = []
    for one, span in rows:
        states = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in one.intervals.items())
        cells.append((one.detection, _hunted(span), states, f"{one.findings:,}"))
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


def _sources(console: Console, state: State) -> None:
    if not state.sources:
        return
    heading(console, "Sources")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("source", "files", "rows", "rejected rows", "newest event (UTC)", "age"):
        table.add_column(name, overflow="fold")
    for one in state.sources:
        table.add_row(
            safe(one.name),
            f"{one.files:,}",
            f"{one.rows:,}",
            f"{one.rejected_rows:,}",
            short_time(one.newest),
            clock.age(state.now - one.newest) if one.newest else "",
        )
    console.print(table)


def _acknowledged(console: Console, state: State) -> None:
    lines = []
    for entry, covers in state.acknowledged:
        unit = {acknowledged.REJECTED: "file", acknowledged.DRIFT: "day"}.get(
            entry.kind, "interval"
        )
        what = f"covers {covers} {unit}{'s' if covers != 1 else ''}"
        left = "nothing is left of it: the entry can be removed"
        lines.append(f"{entry.shown}: {what if covers else left}")
    listing(console, f"Acknowledged ({acknowledged.FILE})", lines)


# ---- JSON ----


def as_json(state: State, out: IO[str]) -> None:
    """Writes the state as one JSON object in ASCII; times are ISO 8601 in UTC, null if unknown."""
    out.write(json.dumps(as_dict(state), ensure_ascii=True, indent=1) + "\n")


def as_dict(state: State) -> dict[str, Any]:
    """The state under the keys that docs/operations.md lists."""
    return {
        "status": "PROBLEMS" if state.troubles else "OK",
        "at": _time(state.now),
        "nightly": state.nightly,
        "problems": [_trouble(one) for one in state.troubles],
        "notes": list(state.notes),
        "detections": [
            {
                "detection": one.detection,
                "detection_id": one.detection_id,
                **_ends(one.span),
                "intervals": dict(one.intervals),
                "findings": one.findings,
                "note": one.note or None,
                "idle": one.idle or None,
            }
            for one in state.coverage
        ],
        "sources": [
            {
                "source": one.name,
                "files": one.files,
                "rows": one.rows,
                "rejected_rows": one.rejected_rows,
                "newest_event": _time(one.newest),
                "age_seconds": _seconds(state.now, one.newest),
                "rows_ahead": one.rows_ahead,
                "ahead_until": _time(one.ahead_until),
            }
            for one in state.sources
        ],
        "exceptions": list(state.exceptions),
        "acknowledged": [
            {
                "kind": one.kind,
                "source": one.source,
                "tenant": one.tenant,
                **_ends(one.span),
                "reason": one.reason,
                "owner": one.owner or None,
                "covers": covers,
            }
            for one, covers in state.acknowledged
        ],
        "remarks": [
            {"source": one.source, "files": one.files, "example": one.example, "text": one.text}
            for one in state.remarks
        ],
        "unsent": [
            {"channel": one.channel, "messages": one.messages, "error": one.error or None}
            for one in state.unsent
        ],
    }


def _trouble(one: Trouble) -> dict[str, Any]:
    return {
        "key": one.key,
        "kind": one.kind,
        "source": one.source or None,
        "tenant": one.tenant,
        "detections": list(one.detections),
        **_ends(one.span),
        "count": one.count,
        "text": one.text,
    }


def _ends(span: Interval | None) -> dict[str, str | None]:
    """From, and to, exclusive."""
    return {"from": _time(span.start if span else None), "to": _time(span.end if span else None)}


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _seconds(now: datetime, moment: datetime | None) -> int | None:
    return int((now - moment).total_seconds()) if moment else None
