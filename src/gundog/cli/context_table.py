"""Who is different: from where and with what a finding came, and since when that is known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gundog.cli.printing import heading, safe
from gundog.findings import finding_contexts


def show(console: Console, con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> None:
    """Prints the contexts of a finding, those that nobody had before first; nothing without any.

    Args:
        console: where to.
        con: findings.duckdb, of this version or an older one.
        row: of `findings`.
    """
    contexts = finding_contexts.of(con, [str(row["finding_id"])])[str(row["finding_id"])]
    if not contexts:
        return
    heading(console, "Who read it")
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in (
        "  what",
        "value",
        "records",
        "items",
        "share",
        "mailbox: first seen",
        "tenant: first seen",
    ):
        is_number = name in ("records", "items", "share")
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for context in contexts:
        table.add_row(
            f"  {finding_contexts.label(context)}",
            safe(finding_contexts.brief_value(context)),
            f"{context['records']:,}",
            f"{context['items']:,}",
            finding_contexts.share(context, row["evidence_count"]),
            _since(context["first_for_mailbox"]),
            _since(context["first_for_tenant"]),
        )
    console.print(table)
    if rest := finding_contexts.left_out(contexts):
        sql = f"from finding_contexts where finding_id = '{row['finding_id']}'"
        console.print(Text(f'  … and {rest} more: gundog sql "{sql}"', style="dim"))


def _since(moment: datetime | None) -> Text:
    if moment is None:
        return Text("never before", style="bold")
    return Text(f"{moment:%Y-%m-%d}")
