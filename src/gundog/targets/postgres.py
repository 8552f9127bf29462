"""The published tables in PostgreSQL, in a schema of their own and in one transaction.

Rows are deleted and inserted, so that readers never wait: each sees what was there when it began.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

import gundog
from gundog.core.errors import StoreError
from gundog.core.waiting import Went, unseen
from gundog.lake.path import split_uri
from gundog.targets import postgres_rows, postgres_tables, sections
from gundog.targets.config import PublishTo
from gundog.targets.postgres_tables import SECTIONS, TARGET, full
from gundog.warehouse import quoting

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection, Cursor

_LOAD = "gundog_load"
# Days of one table that are in memory at once.
_DAYS_AT_ONCE = 31
_CONNECT_S, _LOCK_S = 15, 30
_CURES = (
    (
        "password|authentication|role .* does not exist",
        "check the user and password in the address",
    ),
    ("permission denied|must be owner", "let this user create tables in its schema"),
    ("lock timeout", "something else locks a table there: end it; the next run tries again"),
    ("depend on it", "drop what was built upon gundog's tables, and make it again after the run"),
    ("does not exist", "create the database, or correct the address"),
    ("encoding", "use a database whose encoding is UTF8"),
)


def publish(
    con: duckdb.DuckDBPyConnection, target: PublishTo, project: str, went: Went = unseen
) -> int:
    """Brings the tables of a target up to date, all at once or not at all.

    Args:
        con: the published findings.
        target: where to.
        project: the id of the project that its tables belong to.
        went: is told how many of the changed days of tables are written.

    Returns:
        How many sections were written again.

    Raises:
        StoreError: when that fails; what was there stays.
    """
    with _connected(target) as there, there.cursor() as cursor:
        _begin(cursor, target.schema)
        _own(cursor, target, project)
        _make(cursor, target.schema)
        changed = _changed(con, cursor, target.schema)
        _delete(cursor, target.schema, changed)
        done, total = 0, sum(map(len, changed.values()))
        for table, digests in changed.items():
            days = [day for day, digest in digests.items() if digest]
            for start in range(0, len(days), _DAYS_AT_ONCE):
                some = days[start : start + _DAYS_AT_ONCE]
                _insert(cursor, target.schema, table, postgres_rows.rows(con, table, some))
            done += len(digests)
            went(done, total, "section")
        _remember(cursor, target.schema, project, changed)
        there.commit()
    return total


@contextmanager
def _connected(target: PublishTo) -> Iterator[Connection]:
    """A connection; its errors are explained without the password in the address."""
    try:
        from adbc_driver_manager import Error
        from adbc_driver_postgresql import dbapi
    except ImportError as error:
        raise StoreError(
            f"{target.name}: needs the driver of PostgreSQL: install gundog[postgres]"
        ) from error
    try:
        with dbapi.connect(_patient(target.place)) as connection:
            yield connection
    except Error as error:
        raise _explained(target, error) from error


def _patient(address: str) -> str:
    """The address with a limit to how long it is tried, unless it has its own."""
    if "connect_timeout=" in address:
        return address
    return f"{address}{'&' if '?' in address else '?'}connect_timeout={_CONNECT_S}"


def _explained(target: PublishTo, error: Exception) -> StoreError:
    reason = " ".join(str(error).split())
    _, authority, _ = split_uri(target.place)
    for secret in authority.rpartition("@")[0].partition(":")[2:]:
        reason = reason.replace(secret, "***") if secret else reason
    cures = (cure for sign, cure in _CURES if re.search(sign, reason, re.IGNORECASE))
    cure = next(cures, "check the address and the server")
    return StoreError(f"{target.name}: cannot be published to ({reason}): {cure}")


def _execute(cursor: Cursor, sql: str, values: Sequence[Any] | None = None) -> list[Any]:
    """Runs a statement; the rows it returns."""
    cursor.execute(sql, values)
    return list(cursor.fetchall()) if cursor.description else []


def _begin(cursor: Cursor, schema: str) -> None:
    """One run at a time, and none that waits for ever for a lock."""
    _execute(cursor, f"set local lock_timeout = '{_LOCK_S}s'")
    _execute(cursor, "set local timezone = 'UTC'")
    _execute(cursor, f"select pg_advisory_xact_lock(hashtext({quoting.text(f'gundog {schema}')}))")


def _relations(cursor: Cursor, schema: str) -> set[str]:
    """The names of the tables and views in the schema."""
    rows = _execute(
        cursor,
        f"""select c.relname::text from pg_class as c
            inner join pg_namespace as n on n.oid = c.relnamespace
            where n.nspname = {quoting.text(schema)} and c.relkind in ('r', 'v', 'm', 'p', 'f')""",
    )
    return {name for (name,) in rows}


def _own(cursor: Cursor, target: PublishTo, project: str) -> None:
    """Makes the schema gundog's, or sees that it is.

    Raises:
        StoreError: when it holds tables of the same names, or those of another project.
    """
    schema = target.schema
    schemas = _execute(cursor, f"select 1 from pg_namespace where nspname = {quoting.text(schema)}")
    if not schemas:
        _execute(cursor, f"create schema {quoting.name(schema)}")
    there = _relations(cursor, schema)
    if TARGET in there:
        owners = _execute(cursor, f"select project from {full(schema, TARGET)}")
        if owners and owners != [(project,)]:
            raise StoreError(
                f"{target.name}: the schema {schema} belongs to another project"
                f" ({owners[0][0]}): give each project a schema of its own"
            )
        return
    names = {table.name for table in sections.TABLES} | {*postgres_tables.VIEWS}
    if taken := sorted(names & there):
        raise StoreError(
            f"{target.name}: the schema {schema} has a table {taken[0]} that is not gundog's:"
            " name another schema"
        )
    for statement in postgres_tables.own(schema):
        _execute(cursor, statement)


def _make(cursor: Cursor, schema: str) -> None:
    """Makes the tables as this version publishes them; rows of other columns go and come again."""
    held = _columns(cursor, schema)
    odd = [
        table.name
        for table in sections.TABLES
        if not held.get(table.name, {}).items() <= postgres_tables.columns(table).items()
    ]
    if odd:
        _drop(cursor, schema, held)
        held = {}
    for table in sections.TABLES:
        if table.name not in held:
            for statement in postgres_tables.create(schema, table):
                _execute(cursor, statement)
        elif added := postgres_tables.columns(table).items() - held[table.name].items():
            for name, kind in added:
                where = full(schema, table.name)
                _execute(cursor, f"alter table {where} add column {quoting.name(name)} {kind}")
            _forget(cursor, schema, table.name)
    layout = _execute(cursor, f"select layout from {full(schema, TARGET)}")
    if layout != [(postgres_tables.layout(),)] or len(held) < len(sections.TABLES):
        for statement in postgres_tables.described(schema):
            _execute(cursor, statement)


def _columns(cursor: Cursor, schema: str) -> dict[str, dict[str, str]]:
    """The columns of the published tables that are there, with their types."""
    names = ", ".join(quoting.text(table.name) for table in sections.TABLES)
    rows = _execute(
        cursor,
        f"""select c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
            from pg_attribute as a
            inner join pg_class as c on c.oid = a.attrelid
            inner join pg_namespace as n on n.oid = c.relnamespace
            where n.nspname = {quoting.text(schema)} and c.relname in ({names})
            and a.attnum > 0 and not a.attisdropped""",
    )
    held = defaultdict[str, dict[str, str]](dict)
    for table, column, kind in rows:
        held[table][column] = kind
    return dict(held)


def _drop(cursor: Cursor, schema: str, tables: Mapping[str, Any]) -> None:
    for view in postgres_tables.VIEWS:
        _execute(cursor, f"drop view if exists {full(schema, view)}")
    for table in tables:
        _execute(cursor, f"drop table {full(schema, table)}")
        _forget(cursor, schema, table)


def _forget(cursor: Cursor, schema: str, table: str) -> None:
    """Lets every section of a table be written again."""
    _execute(
        cursor,
        f"""update {full(schema, SECTIONS)} set digest = '' where table_name =
            {quoting.text(table)}""",
    )


def _changed(
    con: duckdb.DuckDBPyConnection, cursor: Cursor, schema: str
) -> dict[str, dict[str, str]]:
    """The digest of each section that differs, by table and day; empty where it is gone."""
    rows = _execute(cursor, f"select table_name, day, digest from {full(schema, SECTIONS)}")
    held = {(table, day): digest for table, day, digest in rows}
    wanted = {(part.table, part.day): part.digest for part in sections.sections(con)}
    changed = defaultdict[str, dict[str, str]](dict)
    for table, day in sorted({*held, *wanted}):
        digest = wanted.get((table, day), "")
        if held.get((table, day)) != digest:
            changed[table][day] = digest
    return dict(changed)


def _delete(cursor: Cursor, schema: str, changed: Mapping[str, Mapping[str, str]]) -> None:
    """Removes the rows of sections that changed; those of findings last, by which others go."""
    for table in sorted(changed, key=lambda name: name not in sections.OF_FINDING):
        days = ", ".join(map(quoting.text, changed[table]))
        day = postgres_tables.day_of(schema, table)
        _execute(cursor, f"delete from {full(schema, table)} as t where {day} in ({days})")


def _insert(cursor: Cursor, schema: str, table: str, rows: Any) -> None:
    """Adds rows through a table of text, for uuid and jsonb take only casts."""
    if not rows.num_rows:
        return
    cursor.adbc_ingest(_LOAD, rows, mode="create", temporary=True)
    kinds = postgres_tables.columns(sections.named(table))
    names = ", ".join(map(quoting.name, kinds))
    casts = ", ".join(f"{quoting.name(name)}::{kind}" for name, kind in kinds.items())
    _execute(
        cursor, f"insert into {full(schema, table)} ({names}) select {casts} from pg_temp.{_LOAD}"
    )
    _execute(cursor, f"drop table pg_temp.{_LOAD}")


def _remember(
    cursor: Cursor, schema: str, project: str, changed: Mapping[str, Mapping[str, str]]
) -> None:
    """Writes down which sections are there, and whose they are."""
    where = full(schema, SECTIONS)
    for table, digests in changed.items():
        days = ", ".join(map(quoting.text, digests))
        name = quoting.text(table)
        _execute(cursor, f"delete from {where} where table_name = {name} and day in ({days})")
        kept = [(day, digest) for day, digest in digests.items() if digest]
        if kept:
            values = ", ".join(
                f"({name}, {quoting.text(day)}, {quoting.text(digest)})" for day, digest in kept
            )
            _execute(cursor, f"insert into {where} values {values}")
    _execute(cursor, f"delete from {full(schema, TARGET)}")
    texts = (project, gundog.__version__, postgres_tables.layout())
    said = ", ".join(map(quoting.text, texts))
    _execute(cursor, f"insert into {full(schema, TARGET)} values ({said}, now())")
