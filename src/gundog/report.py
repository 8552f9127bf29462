"""What people read in a terminal: findings, one finding's story, and the state of everything.

Reads findings.duckdb only, so it works while a run goes on. Text from events is shown with its
control characters as escapes, never acted upon.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gundog import exceptions, tables, text, triage, warehouse
from gundog.errors import InputError
from gundog.findings import plain
from gundog.interval import format_duration, format_time, parse_time

_STYLES = {"critical": "bold white on red", "high": "bold red", "medium": "yellow", "low": "cyan"}
SHOWN_EVIDENCE = 20
_COMMAND_WIDTH = 400


def console() -> Console:
    """A console on standard output that takes no text for markup."""
    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "120"))
    return Console(width=width, highlight=False, markup=False, emoji=False)


@contextmanager
def published(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """findings.duckdb opened read only, with what was said of findings since.

    Raises:
        InputError: when there is none yet.
    """
    if not path.exists():
        raise InputError(f"{path} is not there yet: run gundog hunt first")
    con = warehouse.connect(path, read_only=True)
    try:
        triage.overlay(con, triage.read(triage.beside(path))[0])
        yield con
    finally:
        con.close()


def safe(value: Any) -> Text:
    """A value as text that a terminal only shows."""
    shown = "" if value is None else value if isinstance(value, str) else str(plain(value))
    return Text(text.for_terminal(shown))


def short_time(moment: datetime | None) -> str:
    """A moment to the minute, in UTC, or to the second where that says more."""
    if moment is None:
        return ""
    shown = format_time(moment.replace(microsecond=0))[:-1].replace("T", " ")
    return shown.removesuffix(":00")


def select_findings(
    con: duckdb.DuckDBPyConnection,
    *,
    since: datetime | None = None,
    severity: str | None = None,
    everything: bool = False,
    run_id: str | None = None,
) -> list[dict[str, Any]]:
    """Findings, newest first: the open ones, or everything that is kept."""
    order = ["informational", "low", "medium", "high", "critical"]
    wanted = order[order.index(severity) :] if severity else order
    return warehouse.rows(
        con,
        f"""select * from {"findings" if everything else "open_findings"}
            where ($since is null or end_time >= $since)
            and severity in (select unnest($wanted))
            and ($run_id is null or run_id = $run_id::uuid)
            order by start_time desc, finding_id""",
        {"since": since, "wanted": wanted, "run_id": run_id},
    )


def findings_table(
    console: Console, rows: Sequence[Mapping[str, Any]], stories: Mapping[str, str] | None = None
) -> None:
    """Prints findings, one a row; with `stories`, by finding id, what each is."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    table.add_column("id", no_wrap=True, style="dim")
    table.add_column("when (UTC)", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("what", overflow="fold")
    for row in rows:
        style = _STYLES.get(row["severity"], "")
        cells: list[Any] = [
            str(row["finding_id"])[:8],
            short_time(row["start_time"])[:16],
            Text(row["severity"], style=style),
            _what(row, stories or {}),
        ]
        table.add_row(*cells)
    console.print(table)


def _what(row: Mapping[str, Any], stories: Mapping[str, str]) -> Text:
    """The title, and beneath it the story where one is known."""
    what = safe(text.cut(row["title"], 200))
    story = stories.get(str(row["finding_id"]))
    if story:
        what.append(f"\n{text.for_terminal(story)}", style="dim")
    return what


def as_json(rows: Iterable[Mapping[str, Any]], out: IO[str]) -> None:
    """Writes rows as one JSON array, ASCII only, a row a line; JSON columns become objects."""
    lines = [json.dumps(plain(_unpacked(row)), ensure_ascii=True) for row in rows]
    out.write("[" + ",\n ".join(lines) + "]\n")


def _unpacked(row: Mapping[str, Any]) -> dict[str, Any]:
    unpacked = dict(row)
    for name in ("details", "entities", "event", "summary", "params", "before"):
        value = row.get(name)
        if isinstance(value, str):
            try:
                unpacked[name] = json.loads(value)
            except ValueError:
                continue
    return unpacked


def find(con: duckdb.DuckDBPyConnection, prefix: str) -> dict[str, Any]:
    """The one finding whose id begins with `prefix`, or as it was when it was withdrawn.

    Raises:
        InputError: when none or several do.
    """
    rows = warehouse.rows(
        con,
        "select * from findings where starts_with(finding_id::varchar, ?) order by finding_id",
        [prefix.lower()],
    )
    rows = rows or withdrawn(con, prefix)
    if not rows:
        raise InputError(f"finding {prefix!r}: there is none: see gundog findings --all")
    if len(rows) > 1:
        some = ", ".join(str(row["finding_id"])[: len(prefix) + 4] for row in rows[:4])
        raise InputError(f"finding {prefix!r}: {len(rows)} begin so ({some} …): give more of it")
    return rows[0]


def stem_of(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> str:
    """What a finding's detection is called on the command line; its id when it is gone."""
    return str(_detection(con, row).get("stem") or row["detection_id"])


def withdrawn(con: duckdb.DuckDBPyConnection, prefix: str) -> list[dict[str, Any]]:
    """Findings that are no longer found, as they were; `interval_state` is `withdrawn`."""
    gone = warehouse.rows(
        con,
        f"""select c.finding_id, c."before", coalesce(t.status, 'new') as triage_status, t.verdict
            from finding_changes as c left join ({triage.NOW}) as t using (finding_id)
            where starts_with(c.finding_id::varchar, ?) and c.change = 'withdrawn'
            and c.finding_id not in (select finding_id from findings)
            qualify row_number() over (partition by c.finding_id order by c."at" desc) = 1""",
        [prefix.lower()],
    )
    return [
        {**tables.revived(tables.FINDINGS, row.pop("before")), **row, "interval_state": "withdrawn"}
        for row in gone
    ]


def show(
    console: Console, con: duckdb.DuckDBPyConnection, row: Mapping[str, Any], late: timedelta
) -> None:
    """Prints one finding: its story, why it fired, its evidence, and what to do about it."""
    detection = _detection(con, row)
    head = Text()
    head.append(row["severity"].upper(), style=_STYLES.get(row["severity"], "bold"))
    head.append("  ")
    head.append_text(safe(row["title"]))
    console.print(head)
    console.print(safe(f"{row['reason']}."))
    console.print()
    _facts(console, row, detection)
    _details(console, row)
    _evidence(console, con, row)
    for heading, lines in (
        ("What to do", detection.get("triage")),
        ("Harmless when", detection.get("false_positives")),
        ("Not seen by this hunt", detection.get("blind_spots")),
        ("Read more", detection.get("refs")),
    ):
        _list(console, heading, lines or ())
    _history(console, con, row, late)
    _said(console, con, row)


def _said(console: Console, con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> None:
    rows = warehouse.rows(
        con, 'select * from triage where finding_id = ? order by "at"', [row["finding_id"]]
    )
    lines = []
    for one in rows:
        state = ", ".join(filter(None, [one["status"], one["verdict"]]))
        note = f": {one['note']}" if one["note"] else ""
        lines.append(f"{short_time(one['at'])} {one['actor']}@{one['host']}: {state}{note}")
    _list(console, "Triage", lines)


def _detection(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> dict[str, Any]:
    rows = warehouse.rows(
        con, "select * from detections where detection_id = ?", [row["detection_id"]]
    )
    return rows[0] if rows else {}


def _facts(console: Console, row: Mapping[str, Any], detection: Mapping[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("finding", str(row["finding_id"]))
    table.add_row("detection", safe(f"{row['detection_name']} ({detection.get('stem', '?')})"))
    table.add_row("when (UTC)", f"{short_time(row['start_time'])} to {short_time(row['end_time'])}")
    for name in (
        "tenant",
        "host_name",
        "account_name",
        "account_sid",
        "mailbox",
        "app_id",
        "ip_address",
    ):
        if row[name]:
            table.add_row(name, safe(row[name]))
    if row["score"] is not None:
        table.add_row("score", f"{row['score']:.1f}")
    if row["observed"] is not None and row["expected"] is not None:
        table.add_row(
            "observed", f"{row['observed']:,.0f} where {row['expected']:,.1f} was expected"
        )
    table.add_row("attack", ", ".join([*row["tactics"], *row["techniques"]]))
    span = f"{short_time(row['interval_start'])} to {short_time(row['interval_end'])}"
    table.add_row("interval", f"{span}, {row['interval_state']}")
    if row["is_late"]:
        table.add_row("late", "some of its evidence arrived after the interval was first hunted")
    table.add_row("triage", ", ".join(filter(None, [row["triage_status"], row["verdict"]])))
    console.print(table)


def _details(console: Console, row: Mapping[str, Any]) -> None:
    details = json.loads(row["details"] or "{}")
    if not details:
        return
    console.print()
    console.print(Text("Details", style="bold"))
    for name, value in details.items():
        if value in (None, [], ""):
            continue
        if name == "hours" and row["kind"] == "series":
            _hours(console, value)
            continue
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        console.print(Text.assemble((f"  {name}: ", "dim"), safe(text.cut(shown, _COMMAND_WIDTH))))


def _hours(console: Console, hours: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("  hour (UTC)", "observed", "expected", "needs", "score"):
        table.add_column(name, justify="left" if "hour" in name else "right")
    for one in hours:
        table.add_row(
            "  " + one["hour"][:16].replace("T", " "),
            f"{one['observed']:,.0f}",
            f"{one['expected']:,.1f}",
            f"{one['upper']:,.0f}",
            f"{one['score']:.1f}",
        )
    console.print(table)


def _evidence(console: Console, con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> None:
    rows = warehouse.rows(
        con,
        "select * from evidence where finding_id = ? order by ordinal limit ?",
        [row["finding_id"], SHOWN_EVIDENCE],
    )
    console.print()
    console.print(Text(f"Evidence ({row['evidence_count']} events)", style="bold"))
    for one in rows:
        event = json.loads(one["event"])
        head = f"  {short_time(one['event_time'])}  {one['role']}  {one['source_file']}"
        console.print(Text(text.for_terminal(head), style="dim"))
        line = event.get("command_line") or _brief_event(event)
        console.print(Text("    ").append_text(safe(text.cut(line, _COMMAND_WIDTH))))
    rest = row["evidence_count"] - len(rows)
    if rest > 0:
        sql = f"select * from evidence where finding_id = '{row['finding_id']}'"
        console.print(Text(f'  … and {rest} more: gundog sql "{sql}"', style="dim"))


def _brief_event(event: Mapping[str, Any]) -> str:
    skipped = ("event_id", "event_time", "tenant")
    return ", ".join(
        f"{name} {value}" for name, value in event.items()
        if value not in (None, "", []) and name not in skipped
    )  # fmt: skip


def _list(console: Console, heading: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    console.print()
    console.print(Text(heading, style="bold"))
    for line in lines:
        console.print(Text("  - ").append_text(safe(line)))


def _history(
    console: Console, con: duckdb.DuckDBPyConnection, row: Mapping[str, Any], late: timedelta
) -> None:
    rows = warehouse.rows(
        con,
        'select * from finding_changes where finding_id = ? order by "at"',
        [row["finding_id"]],
    )
    lines = [
        f"{short_time(one['at'])} {one['change']}" + (f": {one['reason']}" if one["reason"] else "")
        for one in rows
    ]
    if row["interval_state"] == "provisional":
        lines.append(f"may still change until {short_time(row['interval_end'] + late)}")
    _list(console, "History", lines)


def status_problems(con: duckdb.DuckDBPyConnection) -> list[str]:
    """What needs a person, one sentence each."""
    problems = []
    for row in warehouse.rows(
        con,
        """select coalesce(d.stem, i.detection_id::varchar) as stem, i.*
           from run_intervals as i left join detections as d using (detection_id)
           where i.state in ('failed', 'no_data', 'stale', 'missing')
           and (d.detection_id is null or d.detection_hash = i.detection_hash)
           order by i.interval_start, stem""",
    ):
        what = {"failed": "failed", "no_data": "no data"}.get(row["state"], row["state"])
        why = f": {row['error']}" if row["error"] else ": gundog backfill hunts it"
        start, end = short_time(row["interval_start"]), short_time(row["interval_end"])
        problems.append(f"{row['stem']} {start} to {end}: {what}{why}")
    problems += [
        f"{row['path']}: rejected: {row['error']}"
        for row in warehouse.rows(
            con, "select path, error from source_files where state = 'rejected' order by path"
        )
    ]
    problems += [
        f"channel {row['channel']}: {row['n']} messages were given up: {row['error']}"
        for row in warehouse.rows(
            con,
            """select channel, count(*) as n, max(last_error) as error from notifications
               where dead_at is not null group by channel order by channel""",
        )
    ]
    return problems


def status(
    console: Console,
    con: duckdb.DuckDBPyConnection,
    names: Mapping[str, str],
    problems: Sequence[str],
    now: datetime,
) -> None:
    """Prints the state: a first line that says it all, then coverage, sources, files, outbox.

    Args:
        console: where to.
        con: findings.duckdb.
        names: detection stems by id, of the detections that run.
        problems: what needs a person.
        now: the present, for ages.
    """
    count = len(problems)
    console.print(Text("OK") if not count else Text(f"{count} PROBLEM{'S' if count > 1 else ''}"))
    for problem in problems:
        console.print(Text("  ").append_text(safe(problem)))
    _coverage(console, con, names)
    _sources(console, con, now)
    _exceptions(console, con, now)
    _remarks(console, con)
    _outbox(console, con)


def _coverage(console: Console, con: duckdb.DuckDBPyConnection, names: Mapping[str, str]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("detection", "hunted from", "to (UTC)", "intervals", "findings", "note"):
        table.add_column(name, overflow="fold")
    ledger = defaultdict[str, list[dict[str, Any]]](list)
    for row in warehouse.rows(con, "select * from run_intervals order by interval_start"):
        ledger[str(row["detection_id"])].append(row)
    for key, stem in sorted(names.items(), key=lambda item: item[1]):
        rows = ledger[key]
        if not rows:
            table.add_row(
                stem, "not hunted yet: the next gundog hunt starts it, a backfill adds history"
            )
            continue
        states = Counter(row["state"] for row in rows)
        note = next((row["note"] for row in reversed(rows) if row["note"]), "")
        table.add_row(
            stem,
            short_time(rows[0]["interval_start"]),
            short_time(rows[-1]["interval_end"]),
            ", ".join(f"{n} {state}" for state, n in sorted(states.items())),
            str(sum(row["findings"] or 0 for row in rows)),
            safe(note),
        )
    console.print()
    console.print(table)


def _sources(console: Console, con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("source", "files", "rows", "rejected rows", "newest event (UTC)", "age"):
        table.add_column(name)
    for row in warehouse.rows(
        con,
        """select source_table, count(*) as files, sum(rows) as rows,
                  sum(rejected_rows) as rejected, max(max_time) as newest
           from source_files group by source_table order by source_table""",
    ):
        age = now - row["newest"] if row["newest"] else None
        table.add_row(
            safe(row["source_table"]),
            f"{row['files']:,}",
            f"{row['rows'] or 0:,}",
            f"{row['rejected'] or 0:,}",
            short_time(row["newest"]),
            _age(age),
        )
    console.print()
    console.print(table)


def _age(age: timedelta | None) -> str:
    if age is None:
        return ""
    return format_duration(age - age % timedelta(hours=1)) if age >= timedelta(hours=1) else "<1h"


def _exceptions(console: Console, con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    rows = warehouse.rows(con, "select * from exceptions order by expires, exception_id")
    _list(console, "Exceptions", exceptions.attention(rows, now))


def _remarks(console: Console, con: duckdb.DuckDBPyConnection) -> None:
    rows = warehouse.rows(
        con,
        """select path, rejected_rows, missing_columns, cast_columns from source_files
           where state = 'staged'
           and (rejected_rows > 0 or len(missing_columns) > 0 or len(cast_columns) > 0)
           order by path""",
    )
    lines = []
    for row in rows:
        said = []
        if row["rejected_rows"]:
            said.append(f"{row['rejected_rows']} rows rejected")
        if row["missing_columns"]:
            said.append(f"lacks {', '.join(row['missing_columns'])}")
        if row["cast_columns"]:
            said.append(f"cast {', '.join(row['cast_columns'])}")
        lines.append(f"{row['path']}: {'; '.join(said)}")
    _list(console, "Files with remarks", lines)


def _outbox(console: Console, con: duckdb.DuckDBPyConnection) -> None:
    rows = warehouse.rows(
        con,
        """select channel, count(*) as n, max(last_error) as error from notifications
           where sent_at is null and dead_at is null group by channel order by channel""",
    )
    _list(
        console,
        "Unsent",
        [f"{r['channel']}: {r['n']} waiting: {r['error'] or 'next run'}" for r in rows],
    )


def write_rows(rows: pa.Table, form: str, out: IO[str], console: Console) -> None:
    """Prints the rows of a query as a table, CSV or JSON; a second `id` is called `id_1`."""
    rows = rows.rename_columns(_distinct(rows.column_names))
    if form == "json":
        as_json(rows.to_pylist(), out)
    elif form == "csv":
        out.write(_csv(rows))
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in rows.column_names:
            table.add_column(Text(text.for_terminal(name)), overflow="fold")
        for row in rows.to_pylist():
            table.add_row(*(safe(_cell(value)) for value in row.values()))
        console.print(table)
        console.print(Text(f"{rows.num_rows} rows", style="dim"))


def _distinct(names: Iterable[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        other, turn = name, 0
        while other in found:
            turn += 1
            other = f"{name}_{turn}"
        found.append(other)
    return found


def _cell(value: Any) -> Any:
    value = plain(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def _csv(rows: pa.Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(text.for_csv(name) for name in rows.column_names)
    for row in rows.to_pylist():
        writer.writerow(
            text.for_csv(value) if isinstance(value, str) else value
            for value in (_cell(one) for one in row.values())
        )
    return out.getvalue()
