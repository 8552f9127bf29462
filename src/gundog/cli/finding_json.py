"""`gundog show --json`: a whole finding as one JSON object, whose keys are part of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any

import duckdb

from gundog.core.plain_values import plain
from gundog.findings import reader
from gundog.findings.around import Around
from gundog.warehouse import database, tables

_JSON = ("details", "entities", "event", "params", "before")
# What belongs to a finding: the key, the table, and the order of its rows.
_PARTS = {
    "evidence": ("evidence", "ordinal"),
    "contexts": ("finding_contexts", "kind, records desc, value"),
    "changes": ("finding_changes", "changed_at, change"),
    "triage": ("triage", "said_at"),
}


def write(
    con: duckdb.DuckDBPyConnection,
    row: Mapping[str, Any],
    surroundings: Around | str | None,
    out: IO[str],
) -> None:
    """Writes a finding, its detection, and all that belongs to it; ASCII only.

    Args:
        con: the published findings.
        row: of `findings`, or of one that was withdrawn.
        surroundings: what is staged around it, why that cannot be read now, or None where
            nothing is staged.
        out: where to.
    """
    names = [column.name for column in tables.FINDINGS.published_columns]
    whole: dict[str, Any] = {
        "finding": _unpacked({name: row.get(name) for name in names}),
        "detection": _unpacked(reader.detection_of(con, row)) or None,
    }
    for key, (table, order) in _PARTS.items():
        rows = database.rows(
            con, f"select * from {table} where finding_id = ? order by {order}", [row["finding_id"]]
        )
        whole[key] = [_unpacked(part) for part in rows]
    whole["around"] = _around(surroundings)
    json.dump(whole, out, ensure_ascii=True, indent=1)
    out.write("\n")


def _around(surroundings: Around | str | None) -> dict[str, Any] | None:
    """Where else its contexts were used, and what was changed; `error` where nobody can know."""
    if surroundings is None:
        return None
    if isinstance(surroundings, Around):
        shown, error = surroundings, None
    else:
        shown, error = Around(), surroundings
    values: dict[str, Any] = plain({**asdict(shown), "error": error})
    return values


def _unpacked(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row in plain values, its JSON columns as what they hold."""
    held = {name: _loaded(value) if name in _JSON else value for name, value in row.items()}
    values: dict[str, Any] = plain(held)
    return values


def _loaded(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value
