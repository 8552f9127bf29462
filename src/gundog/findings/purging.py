"""Everything that is known of one mailbox or account, removed on request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb

from gundog.core import appending, places
from gundog.detections import series_keys, staged
from gundog.findings import retention
from gundog.warehouse import contexts, database, quoting, redeliveries, schema

_MAILBOX = ("mailbox",)
_ACCOUNT = ("account_name", "account_key", "account_name_raw", "actor", "account_sid", "grantee")


@dataclass(frozen=True)
class Whom:
    """Whose rows go: one mailbox or one account, in any case of letters."""

    mailbox: str | None = None
    account: str | None = None

    @property
    def name(self) -> str:
        return (self.mailbox or self.account or "").strip().lower()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that can name it."""
        return _MAILBOX if self.mailbox else _ACCOUNT


@dataclass(frozen=True)
class Purged:
    """How many staged rows, findings, rows of evidence of other findings and counts went."""

    staged: int
    findings: int
    evidence: int
    series: int


def purge(con: duckdb.DuckDBPyConnection, whom: Whom, triage_file: Path) -> Purged:
    """Removes staged rows, findings, evidence, messages, series and what was said of findings.

    New files of the lake bring new rows: what must not be stored again has to leave the lake.

    Args:
        con: the warehouse, writable.
        whom: the mailbox or account.
        triage_file: what people said, which loses its lines about the findings that go.
    """
    with database.transaction(con):
        ids = _findings(con, whom)
        done = Purged(
            staged=sum(_purge_table(con, name, whom) for name in retention.staged_tables(con)),
            findings=retention.delete_findings(con, ids),
            evidence=_purge_evidence(con, whom),
            series=_purge_series(con, whom),
        )
        if whom.mailbox:
            contexts.purge(con, whom.name)
        for table in ("finding_changes", "triage"):
            con.execute(
                f"delete from {table} where finding_id in (select unnest(?::uuid[]))", [ids]
            )
        con.execute(
            """delete from notifications where list_has_any(finding_ids, ?::uuid[])
               or contains(lower(body::varchar), ?)""",
            [ids, json.dumps(whom.name)[1:-1]],
        )
    _forget_lines(triage_file, set(ids))
    return done


def _findings(con: duckdb.DuckDBPyConnection, whom: Whom) -> list[str]:
    """Findings about it, and stored versions of findings that are no more."""
    said = " or ".join(f"lower(\"row\" ->> '$.{column}') = $name" for column in whom.columns)
    was = " or ".join(
        f"lower(json_extract_string(before, '$.row')::json ->> '$.{column}') = $name"
        for column in whom.columns
    )
    rows = con.execute(
        f"""select finding_id from findings where {said}
            or list_contains(string_split(lower(coalesce(details ->> '$.series_key', '')), '/'),
                             $name)
            union
            select finding_id from finding_changes where before is not null and ({was})""",
        {"name": whom.name},
    ).fetchall()
    return [str(row[0]) for row in rows]


def _purge_table(con: duckdb.DuckDBPyConnection, name: str, whom: Whom) -> int:
    """Rows that name it, and rejected rows that mention it anywhere."""
    have = con.execute(
        """select column_name from duckdb_columns()
           where schema_name = 'staged' and table_name = ?""",
        [name],
    ).fetchall()
    table, columns = staged.table(name), {column for (column,) in have}
    named = sorted(columns.intersection(whom.columns))
    mine = " or ".join(f"lower({quoting.name(column)}) = w.name" for column in named) or "false"
    gone = con.execute(
        f"""delete from {table} as t using (select ? as name, ? as quoted) as w
            where {mine} or (reject_reason is not null
                             and contains(lower(to_json(t)::varchar), w.quoted))
            returning event_time""",
        [whom.name, json.dumps(whom.name)[1:-1]],
    ).fetchall()
    times = [at for (at,) in gone if at]
    if times:  # what they taught of mailboxes of others goes when the days are learned again
        contexts.doubt(con, min(times), max(times))
    if times and schema.IS_COPY in columns:  # tables of older versions have no marks
        redeliveries.promote(con, table, min(times), max(times))
    return len(gone)


def _purge_evidence(con: duckdb.DuckDBPyConnection, whom: Whom) -> int:
    """Evidence of findings about someone else, or about the whole tenant."""
    said = " or ".join(f"lower(event ->> '$.{column}') = ?" for column in whom.columns)
    return len(
        con.execute(
            f"delete from evidence where {said} returning 1", [whom.name] * len(whom.columns)
        ).fetchall()
    )


def _purge_series(con: duckdb.DuckDBPyConnection, whom: Whom) -> int:
    gone = 0
    for table in ("series_counts", "series_points"):
        gone += len(
            con.execute(
                f"""delete from {table}
                    where list_contains(string_split(lower(series_key), '/'), ?) returning 1""",
                [series_keys.escape(whom.name).lower()],
            ).fetchall()
        )
    return gone


def _forget_lines(path: Path, ids: set[str]) -> None:
    if not path.is_file():
        return
    gone = [finding_id.encode() for finding_id in ids]
    with appending.locked(path.with_suffix(".lock")):
        kept = [
            line
            for line in path.read_bytes().splitlines(keepends=True)
            if not any(finding_id in line.lower() for finding_id in gone)
        ]
        appending.replace(path, b"".join(kept))


def compact(path: Path) -> None:
    """Rewrites the warehouse, so that no removed row is left in a freed part of the file.

    No connection may have it open.
    """
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    con = database.connect()
    try:
        con.execute(f"attach {quoting.text(str(path))} as old (read_only)")
        con.execute(f"attach {quoting.text(str(aside))} as new")
        con.execute("copy from database old to new")
        con.execute("checkpoint new")
    finally:
        con.close()
    places.keep_access(aside, path)
    aside.replace(path)
