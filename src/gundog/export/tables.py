"""The published tables and views as they leave gundog: which rows, and in types all tools read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import duckdb

from gundog.core.errors import InputError
from gundog.core.fields import unknown
from gundog.findings import views
from gundog.warehouse import quoting, tables

_OF_FINDING = "finding_id in (select finding_id from findings where end_time >= $since)"
# Which rows are new enough for `--since`; what has no time of its own is exported whole.
SINCE = {
    "runs": "started_at >= $since",
    "source_files": "created_at >= $since",
    "sources": "",
    "drifts": "until >= $since",
    "run_intervals": "interval_end >= $since",
    "looked_at": "interval_end >= $since",
    "canaries": "span_end >= $since",
    "series_points": "hour >= $since",
    "findings": "end_time >= $since",
    "evidence": _OF_FINDING,
    "finding_contexts": _OF_FINDING,
    "finding_changes": "changed_at >= $since",
    "triage": "said_at >= $since",
    "exceptions": "",
    "detections": "",
    "notifications": "created_at >= $since",
    "open_findings": "end_time >= $since",
    "findings_by_day": "day >= date_trunc('day', $since::timestamptz)",
    "risk_by_entity": "",
}
_PUBLISHED = tuple(table.name for table in tables.TABLES if table.published)
NAMES = (*_PUBLISHED, *views.VIEWS)
# Types that parquet has, and that few of its readers know.
_AS_TEXT = {"UUID": "VARCHAR", "JSON": "VARCHAR", "UUID[]": "VARCHAR[]"}


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """The tables and views that are asked for, each once; all of them when none is named.

    Raises:
        InputError: for a name that no table and no view has.
    """
    wanted = tuple(dict.fromkeys(names)) or NAMES
    for name in wanted:
        if name not in NAMES:
            raise InputError(f"{name!r}: {unknown(name, NAMES, 'table')}")
    return wanted


def json_columns(con: duckdb.DuckDBPyConnection, name: str) -> tuple[str, ...]:
    """The columns of a table or view that hold JSON."""
    return tuple(column for column, kind in _columns(con, name) if kind == "JSON")


def rows(
    con: duckdb.DuckDBPyConnection, name: str, since: datetime | None = None
) -> duckdb.DuckDBPyRelation:
    """A query of a table or view: UUIDs and JSON as text, in the order they are published in.

    Args:
        con: the published findings.
        name: one of `NAMES`.
        since: leaves out rows that are older, see `SINCE`; None for all rows.
    """
    columns = ", ".join(_plain(column, kind) for column, kind in _columns(con, name))
    where = SINCE[name] if since is not None else ""
    values: dict[str, Any] = {"since": since} if where else {}
    return con.sql(
        f"select {columns} from {name}{f' where {where}' if where else ''}", params=values or None
    )


def count(con: duckdb.DuckDBPyConnection, name: str, since: datetime | None = None) -> int:
    """How many rows a table or view has; arguments as for `rows`."""
    query = rows(con, name, since).aggregate("count(*)")
    return int(query.fetchall()[0][0])


def _columns(con: duckdb.DuckDBPyConnection, name: str) -> list[tuple[str, str]]:
    try:
        described = con.execute(f"describe {quoting.name(name)}").fetchall()
    except duckdb.CatalogException as error:
        raise InputError(
            f"the published findings have no {name}, so an older gundog or another program wrote"
            " them: run `gundog hunt`, which writes the file again"
        ) from error
    return [(column, kind) for column, kind, *_ in described]


def _plain(column: str, kind: str) -> str:
    name, text = quoting.name(column), _AS_TEXT.get(kind)
    return f"{name}::{text} as {name}" if text else name
