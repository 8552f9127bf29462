"""Reads the published findings for the commands that show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from gundog.core.errors import InputError
from gundog.findings import triage
from gundog.warehouse import database, opening, tables


@contextmanager
def published(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """findings.duckdb opened read only, with what was said of findings since.

    Raises:
        InputError: when there is none yet.
        StoreError: when it is damaged, or another program keeps it open for writing.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist yet: run `gundog hunt` first")
    con = opening.published(path, partial(database.connect, read_only=True))
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
    return database.rows(
        con,
        f"""select * from {"findings" if everything else "open_findings"}
            where ($since is null or end_time >= $since)
            and severity in (select unnest($wanted))
            and ($run_id is null or run_id = $run_id::uuid)
            and ($tenant is null or lower(tenant) = lower($tenant))
            order by start_time desc, finding_id""",
        {"since": since, "wanted": wanted, "run_id": run_id, "tenant": tenant},
    )


def find(con: duckdb.DuckDBPyConnection, prefix: str) -> dict[str, Any]:
    """The one finding whose id begins with `prefix`, or as it was when it was withdrawn.

    Raises:
        InputError: when none or several do.
    """
    rows = database.rows(
        con,
        "select * from findings where starts_with(finding_id::varchar, ?) order by finding_id",
        [prefix.lower()],
    )
    rows = rows or withdrawn(con, prefix)
    if not rows:
        raise InputError(f"finding {prefix!r}: no finding has this id: see `gundog findings --all`")
    if len(rows) > 1:
        some = ", ".join(str(row["finding_id"])[: len(prefix) + 4] for row in rows[:4])
        raise InputError(
            f"finding {prefix!r} is ambiguous, {len(rows)} ids start with it ({some} …):"
            " give more characters"
        )
    return rows[0]


def stem_of(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> str:
    """What a finding's detection is called on the command line; its id when it is gone."""
    return str(detection_of(con, row).get("stem") or row["detection_id"])


def withdrawn(con: duckdb.DuckDBPyConnection, prefix: str) -> list[dict[str, Any]]:
    """Findings that are no longer found, as they were; `interval_state` is `withdrawn`."""
    gone = database.rows(
        con,
        f"""select c.finding_id, c."before", coalesce(t.status, 'new') as triage_status, t.verdict
            from finding_changes as c left join ({triage.NOW}) as t using (finding_id)
            where starts_with(c.finding_id::varchar, ?) and c.change = 'withdrawn'
            and c.finding_id not in (select finding_id from findings)
            qualify row_number() over (partition by c.finding_id order by c.changed_at desc) = 1""",
        [prefix.lower()],
    )
    return [
        {**tables.revived(tables.FINDINGS, row.pop("before")), **row, "interval_state": "withdrawn"}
        for row in gone
    ]


def detection_of(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> dict[str, Any]:
    """The finding's detection as it was last published; empty when it is gone."""
    rows = database.rows(
        con, "select * from detections where detection_id = ?", [row["detection_id"]]
    )
    return rows[0] if rows else {}
