"""`gundog except`: a finding turned into an entry of exceptions.yaml, and what that hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from gundog.cli import finding_list
from gundog.core.errors import InputError
from gundog.core.times import DAY, floor, format_time
from gundog.core.wording import count
from gundog.findings import exceptions, reader, suppression, triage
from gundog.findings.exceptions import Entry
from gundog.project import schemas
from gundog.project.settings import Settings
from gundog.warehouse import database

SHOWN = 20


def run(
    console: Console,
    settings: Settings,
    prefix: str,
    columns: Sequence[str],
    days: int,
    reason: str,
    owner: str | None,
    now: datetime,
) -> None:
    """Adds the entry that hides what is like a finding, and prints the lines and what they hide.

    It holds from the day of the finding until `days` days from today, and for the finding's tenant
    alone where it has one.

    Raises:
        InputError: when there is no such finding or column, or such an exception already.
        ContentError: when exceptions.yaml is wrong already.
    """
    with reader.published(settings.findings) as con:
        row = reader.find(con, prefix)
        rows = database.rows(
            con,
            """select * from findings where detection_id = ?
               order by start_time desc, finding_id""",
            [row["detection_id"]],
        )
        stem = reader.stem_of(con, row)
    entry = exceptions.propose(
        stem,
        suppression.columns_of(row),
        [*(["tenant"] if row["tenant"] else []), *columns],
        start=floor(row["start_time"], DAY),
        end=floor(now, DAY) + days * DAY,
        reason=reason,
        owner=owner or triage.actor(),
    )
    if entry.start >= entry.end:
        raise InputError(f"the finding starts after {format_time(entry.end)}: give more --days")
    added = exceptions.append(
        settings.root,
        entry,
        settings.findings.with_name("exceptions.lock"),
        schemas.first_line(settings.root, "exceptions"),
    )
    _tell(console, entry, added, stem, rows)


def _tell(
    console: Console, entry: Entry, added: str, stem: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    console.print(Text(f"{exceptions.FILE}, exception {entry.id}:", style="bold"))
    for line in added.splitlines():
        console.print(Text("+ ", style="green").append_text(finding_list.safe(line)))
    alike = [row for row in rows if exceptions.matcher(entry)(suppression.columns_of(row))]
    hidden = [row for row in alike if entry.start <= row["start_time"] < entry.end]
    console.print()
    console.print(
        f"From the next run on, it hides {len(hidden)} of {count(len(rows), 'finding')} of {stem}:"
    )
    finding_list.findings_table(console, hidden[:SHOWN])
    if len(hidden) > SHOWN:
        console.print(f"and {len(hidden) - SHOWN} more")
    if older := len(alike) - len(hidden):
        day = format_time(entry.start)[:10]
        console.print(
            f"{older} older ones like it are not hidden: to hide them, set from ({day}) to an"
            " earlier day"
        )
