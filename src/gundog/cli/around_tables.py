"""What else is staged around a finding, as two tables of its page."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gundog.cli.printing import heading, safe, short_time
from gundog.core import app_names, safe_text
from gundog.findings import around
from gundog.findings.around import Around, Change, Used

_VALUE = 300


def show(console: Console, surroundings: Around | str) -> None:
    """Prints where else its session, network or application was used, and what was changed.

    Args:
        console: where to.
        surroundings: what is staged, or why it cannot be read now.
    """
    if isinstance(surroundings, str):
        heading(console, "Around it")
        console.print(Text("  ").append_text(safe(surroundings)), style="dim")
        return
    if surroundings.used:
        heading(console, f"Used elsewhere, {around.DAYS} days before and after")
        console.print(_of_uses(surroundings.used))
    if surroundings.changes:
        heading(console, f"Changes by or for the account, {around.DAYS} days before and after")
        console.print(_of_changes(surroundings.changes))
    if surroundings.more:
        console.print(
            Text(
                f"  … and {surroundings.more} more: gundog sql --staged asks mail_changes",
                style="dim",
            )
        )


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _of_uses(uses: Iterable[Used]) -> Table:
    table = _table("  what", "value", "where", "first seen there", "last seen there")
    for used in uses:
        table.add_row(
            f"  {around.KINDS[used.kind]}",
            safe(app_names.brief(used.value)),
            safe(_where(used)),
            short_time(used.first_time),
            short_time(used.last_time),
        )
    return table


def _where(used: Used) -> str:
    """The other network, or the other mailboxes, of which a few are named."""
    if used.place:
        return f"same mailbox, from {used.place}"
    more = used.mailboxes - len(used.names)
    return ", ".join(used.names) + (f" and {more} more mailboxes" if more else "")


def _of_changes(changes: Iterable[Change]) -> Table:
    table = _table("  when (UTC)", "who", "what", "about", "from")
    for change in changes:
        table.add_row(
            f"  {short_time(change.event_time)}",
            safe(change.actor),
            safe(change.activity),
            safe(safe_text.cut(app_names.within(change.about), _VALUE)),
            safe(" ".join(filter(None, [change.ip_address, change.country]))),
        )
    return table
