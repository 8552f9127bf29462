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
from gundog.core import app_names, safe_text
from gundog.warehouse import database

# So many values of a kind are shown; a burst through a proxy network may have hundreds.
SHOWN_VALUES = 5
_VALUE = 160
_LABELS = {
    "network": "network",
    "isp": "provider",
    "country": "country",
    "client_family": "client",
    "app_id": "application",
    "app_id + record_app_id + client_family + access_mode": "way of access",
    "session_id": "session",
}


def show(console: Console, con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> None:
    """Prints the contexts of a finding, those that nobody had before first; nothing without any.

    Args:
        console: where to.
        con: findings.duckdb, of this version or an older one.
        row: of `findings`.
    """
    contexts = _contexts(con, row)
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
    most = max(row["evidence_count"] or 0, 1)
    for context in contexts:
        table.add_row(
            f"  {_LABELS.get(context['kind'], context['kind'])}",
            safe(_value(context)),
            f"{context['records']:,}",
            f"{context['items']:,}",
            f"{min(context['records'] / most, 1):.0%}",
            _since(context["first_for_mailbox"]),
            _since(context["first_for_tenant"]),
        )
    console.print(table)
    rest = sum(context["others"] for context in contexts if context["place"] == SHOWN_VALUES)
    if rest:
        sql = f"from finding_contexts where finding_id = '{row['finding_id']}'"
        console.print(Text(f'  … and {rest} more: gundog sql "{sql}"', style="dim"))


def _contexts(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The contexts of each kind that are new or most used, new ones first."""
    tables = con.execute(
        "select count(*) from duckdb_tables() where table_name = 'finding_contexts'"
    ).fetchall()
    if not tables[0][0]:
        return []
    return database.rows(
        con,
        """select *, count(*) over (partition by kind) - place as others from (
               select *, row_number() over (
                   partition by kind
                   order by first_for_mailbox is not null, records desc, value) as place
               from finding_contexts where finding_id = $id)
           qualify place <= $shown
           order by first_for_mailbox is not null, first_for_tenant is not null,
                    list_position($kinds, kind), place""",
        {"id": row["finding_id"], "shown": SHOWN_VALUES, "kinds": list(_LABELS)},
    )


def _value(context: Mapping[str, Any]) -> str:
    return safe_text.cut(app_names.within(str(context["value"])), _VALUE)


def _since(moment: datetime | None) -> Text:
    if moment is None:
        return Text("never before", style="bold")
    return Text(f"{moment:%Y-%m-%d}")
