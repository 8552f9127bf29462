"""The published tables and views as PostgreSQL has them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gundog.findings import views
from gundog.targets.sections import DAYS, NO_DAY, OF_FINDING, TABLES, WHOLE
from gundog.warehouse import quoting
from gundog.warehouse.schema import Table

# What this project published, and which sections of it; beside the tables, for gundog alone.
TARGET, SECTIONS = "gundog_target", "gundog_sections"
_TYPES = {
    "VARCHAR": "text",
    "VARCHAR[]": "text[]",
    "UUID": "uuid",
    "UUID[]": "uuid[]",
    "JSON": "jsonb",
    "TIMESTAMPTZ": "timestamp with time zone",
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "DOUBLE": "double precision",
    "BOOLEAN": "boolean",
}
_INDEXED = {"findings": "finding_id", "evidence": "finding_id", "finding_contexts": "finding_id"}
_RISK = views.RISK.replace("\n", " ")
_VIEWS = {
    "open_findings": """
        select f.* from {schema}.findings as f
        inner join {schema}.detections as d using (detection_id)
        where f.triage_status in ('new', 'in_progress') and f.suppressed_by is null
        and d.status = 'stable'
        order by f.start_time desc, f.finding_id""",
    "findings_by_day": """
        select date_trunc('day', end_time at time zone 'UTC') at time zone 'UTC' as day,
               detection_name, severity, count(*) as findings
        from {schema}.findings group by 1, 2, 3 order by day desc, detection_name""",
    "risk_by_entity": f"""
        with latest as (
            select coalesce(
                (select max(interval_end) from {{schema}}.run_intervals
                 where state in ('provisional', 'final')),
                (select max(interval_end) from {{schema}}.findings)
            ) as newest
        ),

        counted as (
            select f.*, {_RISK} as risk
            from {{schema}}.findings as f
            inner join {{schema}}.detections as d using (detection_id)
            where d.status = 'stable' and f.suppressed_by is null
            and coalesce(f.verdict, '') not in ({views.HARMLESS})
        ),

        named as (
            select c.tenant, n.kind, n.name, c.finding_id, c.end_time, c.risk
            from counted as c
            cross join lateral (values
                ('host', c.host_name), ('account', c.account_name), ('mailbox', c.mailbox)
            ) as n (kind, name)
        )

        select kind, name, tenant,
               coalesce(sum(risk) filter (where end_time > newest - interval '168 hours'), 0)
                   as risk_7d,
               sum(risk) as risk_30d,
               array_agg(finding_id order by end_time desc, finding_id) as findings
        from named cross join latest
        where name is not null and name not in ('', '*')
        and end_time > newest - interval '720 hours' and end_time <= newest
        group by kind, name, tenant
        order by risk_30d desc, kind, name, tenant""",
}
VIEWS = tuple(_VIEWS)


def columns(table: Table) -> dict[str, str]:
    """The columns of a table with PostgreSQL's types, as `format_type` names them."""
    return {
        column.name: _TYPES[column.type.removesuffix(" PRIMARY KEY")]
        for column in table.published_columns
    }


def full(schema: str, name: str) -> str:
    """A table's name with its schema, quoted."""
    return f"{quoting.name(schema)}.{quoting.name(name)}"


def own(schema: str) -> Iterator[str]:
    """The statements that make the two tables for gundog alone."""
    yield f"""create table {full(schema, TARGET)} (
        project text, version text, layout text, published_at timestamp with time zone)"""
    yield f"create table {full(schema, SECTIONS)} (table_name text, day text, digest text)"


def create(schema: str, table: Table) -> Iterator[str]:
    """The statements that make a table."""
    inner = ", ".join(f"{quoting.name(name)} {kind}" for name, kind in columns(table).items())
    yield f"create table {full(schema, table.name)} ({inner})"
    if table.name in _INDEXED:
        yield f"create index on {full(schema, table.name)} ({_INDEXED[table.name]})"


def described(schema: str) -> Iterator[str]:
    """The statements that make the views again, and say what each table, view and column is."""
    for name, sql in _VIEWS.items():
        yield f"drop view if exists {full(schema, name)}"
        yield f"create view {full(schema, name)} as {sql.format(schema=quoting.name(schema))}"
        yield f"comment on view {full(schema, name)} is {quoting.text(views.VIEWS[name][0])}"
    for table in TABLES:
        where = full(schema, table.name)
        yield f"comment on table {where} is {quoting.text(table.comment)}"
        for column in table.published_columns:
            said = quoting.text(column.comment)
            yield f"comment on column {where}.{quoting.name(column.name)} is {said}"


def layout() -> str:
    """A digest of everything that `create` and `described` make."""
    made = [list(create("s", table)) for table in TABLES], list(described("s"))
    return hashlib.sha256(repr(made).encode()).hexdigest()[:16]


def day_of(schema: str, table: str) -> str:
    """PostgreSQL for the section's day of a row `t`, equal to `sections.day_of`."""
    if table in WHOLE:
        return "'all'"
    if table in OF_FINDING:
        findings = full(schema, "findings")
        day = f"""(select {_day("f.interval_start")} from {findings} as f
                   where f.finding_id = t.finding_id limit 1)"""
        return f"coalesce({day}, '{NO_DAY}')"
    return f"coalesce({_day(f't.{DAYS[table]}')}, '{NO_DAY}')"


def _day(column: str) -> str:
    return f"to_char({column} at time zone 'UTC', 'YYYY-MM-DD')"
