"""What people read in a terminal: findings, and one finding's story.

Reads findings.duckdb only, so it works while a run goes on. Text from events is shown with its
control characters as escapes, never acted upon.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gundog import opening, story, tables, text, triage, warehouse
from gundog.errors import InputError
from gundog.findings import plain
from gundog.printing import STYLES, console, hanging, safe, short_time
from gundog.story import show
from gundog.wording import count

__all__ = [
    "as_json", "console", "find", "findings_table", "hanging", "published", "safe",
    "select_findings", "short_time", "show", "stem_of", "withdrawn", "write_rows",
]  # fmt: skip

_TENANT_WIDTH = 36  # what a tenant's id takes


@contextmanager
def published(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """findings.duckdb opened read only, with what was said of findings since.

    Raises:
        InputError: when there is none yet.
        StoreError: when it is damaged, or another program keeps it open for writing.
    """
    if not path.exists():
        raise InputError(f"{path} is not there yet: run gundog hunt first")
    con = opening.published(path, partial(warehouse.connect, read_only=True))
    try:
        with opening.explained(path):
            triage.overlay(con, triage.read(triage.beside(path))[0])
            yield con
    finally:
        con.close()


def select_findings(
    con: duckdb.DuckDBPyConnection,
    *,
    since: datetime | None = None,
    severity: str | None = None,
    everything: bool = False,
    run_id: str | None = None,
    tenant: str | None = None,
) -> list[dict[str, Any]]:
    """Findings, newest first: the open ones, or everything that is kept; of one tenant or all."""
    order = ["informational", "low", "medium", "high", "critical"]
    wanted = order[order.index(severity) :] if severity else order
    return warehouse.rows(
        con,
        f"""select * from {"findings" if everything else "open_findings"}
            where ($since is null or end_time >= $since)
            and severity in (select unnest($wanted))
            and ($run_id is null or run_id = $run_id::uuid)
            and ($tenant is null or lower(tenant) = lower($tenant))
            order by start_time desc, finding_id""",
        {"since": since, "wanted": wanted, "run_id": run_id, "tenant": tenant},
    )


def findings_table(
    console: Console, rows: Sequence[Mapping[str, Any]], stories: Mapping[str, str] | None = None
) -> None:
    """Prints findings, one a row; with `stories`, by finding id, what each is.

    Their tenants stand beside them where any has one.
    """
    with_tenant = any(row["tenant"] for row in rows)
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    table.add_column("id", no_wrap=True, style="dim")
    table.add_column("when (UTC)", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    if with_tenant:
        table.add_column("tenant", overflow="fold", max_width=_TENANT_WIDTH)
    table.add_column("what", overflow="fold")
    for row in rows:
        style = STYLES.get(row["severity"], "")
        cells: list[Any] = [
            str(row["finding_id"])[:8],
            short_time(row["start_time"])[:16],
            Text(row["severity"], style=style),
            *([safe(text.cut(row["tenant"] or "", 200))] if with_tenant else []),
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
    return str(story.detection_of(con, row).get("stem") or row["detection_id"])


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
        console.print(Text(count(rows.num_rows, "row"), style="dim"))


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
