"""What people read in a terminal: findings, and one finding's story.

Reads findings.duckdb only, so it works while a run goes on. Text from events is shown with its
control characters as escapes, never acted upon.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gundog.cli.finding_page import show
from gundog.cli.printing import STYLES, console, hanging, safe, short_time
from gundog.core import safe_text
from gundog.core.plain_values import plain
from gundog.core.wording import count

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "as_json",
    "console",
    "findings_table",
    "hanging",
    "safe",
    "short_time",
    "show",
    "write_rows",
]

_TENANT_WIDTH = 36  # what a tenant's id takes


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
            *([safe(safe_text.cut(row["tenant"] or "", 200))] if with_tenant else []),
            _what(row, stories or {}),
        ]
        table.add_row(*cells)
    console.print(table)


def _what(row: Mapping[str, Any], stories: Mapping[str, str]) -> Text:
    """The title, and beneath it the story where one is known."""
    title = safe(safe_text.cut(row["title"], 200))
    story = stories.get(str(row["finding_id"]))
    if story:
        title.append(f"\n{safe_text.for_terminal(story)}", style="dim")
    return title


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
            table.add_column(Text(safe_text.for_terminal(name)), overflow="fold")
        for row in rows.to_pylist():
            table.add_row(*(safe(_cell(value)) for value in row.values()))
        console.print(table)
        console.print(Text(count(rows.num_rows, "row"), style="dim"))


def _distinct(names: Iterable[str]) -> list[str]:
    distinct: list[str] = []
    for name in names:
        other, turn = name, 0
        while other in distinct:
            turn += 1
            other = f"{name}_{turn}"
        distinct.append(other)
    return distinct


def _cell(value: Any) -> Any:
    value = plain(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def _csv(rows: pa.Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(safe_text.for_csv(name) for name in rows.column_names)
    for row in rows.to_pylist():
        writer.writerow(
            safe_text.for_csv(value) if isinstance(value, str) else value
            for value in (_cell(value) for value in row.values())
        )
    return out.getvalue()
