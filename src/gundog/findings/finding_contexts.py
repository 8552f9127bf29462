"""From where and with what the events of a finding were made, and whether that was seen before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb

from gundog.core import app_names, safe_text
from gundog.detections.staged import StagedTable
from gundog.warehouse import context_columns, database, quoting

# So many values of a kind are shown; a burst through a proxy network may have hundreds.
SHOWN_VALUES = 5
_VALUE = 160
# Kinds in the order in which they are shown, in words; others follow under their own names.
_LABELS = {
    "network": "network",
    "isp": "provider",
    "country": "country",
    "client_family": "client",
    "app_id": "application",
    "app_id + record_app_id + client_family + access_mode": "way of access",
    "session_id": "session",
}


def store(
    con: duckdb.DuckDBPyConnection, stages: Iterable[StagedTable], ids: Sequence[str]
) -> None:
    """Counts the contexts in the stored evidence of findings.

    Args:
        con: the warehouse, in the transaction that stored the evidence.
        stages: the staged tables that the hunt reads.
        ids: the findings, of which nothing is counted so far.
    """
    for stage in stages:
        if stage.learned and ids:
            con.execute(_counts_sql(stage), [list(ids), stage.source, stage.name])


def _counts_sql(stage: StagedTable) -> str:
    kinds = stage.contexts[1:]
    columns = [
        f"{context_columns.value_sql(kind, _text_of)} as kind_{place}"
        for place, kind in enumerate(kinds)
    ]
    names = ", ".join(quoting.text(context_columns.kind_name(kind)) for kind in kinds)
    values = ", ".join(f"kind_{place}" for place in range(len(kinds)))
    return f"""
        insert into finding_contexts by name
        with events as (
            select finding_id, coalesce(try_cast(event ->> '$.items' as bigint), 0) as items,
                   {", ".join(columns)}
            from evidence
            where finding_id in (select unnest(?::uuid[])) and source_table in (?, ?)
        ),
        told as (
            select finding_id, items, unnest([{names}]) as kind, unnest([{values}]) as value
            from events
        )
        select finding_id, kind, value, count(*) as records, sum(items)::bigint as items
        from told where value is not null group by all"""


def _text_of(column: str) -> str:
    return f"nullif(event ->> {quoting.text(f'$.{column}')}, '')"


def delete(con: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> None:
    """Removes what was counted of findings."""
    con.execute(
        "delete from finding_contexts where finding_id in (select unnest(?::uuid[]))", [list(ids)]
    )


def recall(con: duckdb.DuckDBPyConnection) -> None:
    """Writes beside each context when its mailbox, and anybody in the tenant, had it first.

    Only what came before the finding counts. What is forgotten since stays as it was written.
    """
    if con.execute("select count(*) from finding_contexts").fetchall() == [(0,)]:
        return
    con.execute(
        """create or replace temp table asked as
           select c.finding_id, c.kind, c.value, coalesce(f.tenant, '') as tenant, f.mailbox,
                  f.start_time
           from finding_contexts as c inner join findings as f using (finding_id)"""
    )
    con.execute(
        """create or replace temp table recalled as
           with own as (
               select tenant, entity, kind, value, min(first_time) as first_time from contexts
               where entity in (select mailbox from asked) group by all
           ),
           anybodys as (
               select tenant, kind, value, min(first_time) as first_time from contexts
               where (tenant, kind, value) in (select (tenant, kind, value) from asked)
               group by all
           )
           select a.finding_id, a.kind, a.value,
                  case when o.first_time < a.start_time then o.first_time end as own,
                  case when n.first_time < a.start_time then n.first_time end as anybodys
           from asked as a
           left join own as o on o.tenant = a.tenant and o.entity = a.mailbox
               and o.kind = a.kind and o.value = a.value
           left join anybodys as n on n.tenant = a.tenant
               and n.kind = a.kind and n.value = a.value"""
    )
    con.execute(
        """update finding_contexts as c
           set first_for_mailbox = coalesce(r.own, c.first_for_mailbox),
               first_for_tenant = coalesce(r.anybodys, c.first_for_tenant)
           from recalled as r
           where r.finding_id = c.finding_id and r.kind = c.kind and r.value = c.value
           and (coalesce(r.own, c.first_for_mailbox) is distinct from c.first_for_mailbox
                or coalesce(r.anybodys, c.first_for_tenant) is distinct from c.first_for_tenant)"""
    )


def of(con: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
    """The contexts of findings that are new or most used, those that nobody had before first.

    Args:
        con: findings.duckdb, of this version or an older one.
        ids: of the findings.

    Returns:
        By finding id, rows of `finding_contexts`; `others` is how many of the kind follow a row.
    """
    tables = con.execute(
        "select count(*) from duckdb_tables() where table_name = 'finding_contexts'"
    ).fetchall()
    by_finding = defaultdict[str, list[Mapping[str, Any]]](list)
    if not tables[0][0]:
        return by_finding
    rows = database.rows(
        con,
        """select *, count(*) over (partition by finding_id, kind) - place as others from (
               select *, row_number() over (
                   partition by finding_id, kind
                   order by first_for_mailbox is not null, records desc, value) as place
               from finding_contexts where finding_id in (select unnest($ids::uuid[])))
           qualify place <= $shown
           order by first_for_mailbox is not null, first_for_tenant is not null,
                    coalesce(list_position($kinds, kind), 99), kind, place""",
        {"ids": list(ids), "shown": SHOWN_VALUES, "kinds": list(_LABELS)},
    )
    for row in rows:
        by_finding[str(row["finding_id"])].append(row)
    return by_finding


def left_out(contexts: Iterable[Mapping[str, Any]]) -> int:
    """How many values the rows that `of` gives do not show."""
    return sum(row["others"] for row in contexts if row["place"] == SHOWN_VALUES)


def label(row: Mapping[str, Any]) -> str:
    """What the kind of a row is called."""
    kind = str(row["kind"])
    return _LABELS.get(kind, kind)


def value(row: Mapping[str, Any]) -> str:
    """The value of a row, applications of Microsoft by name too."""
    text = app_names.within(str(row["value"]))
    return safe_text.cut(text, _VALUE)


def brief_value(row: Mapping[str, Any]) -> str:
    """The value for a narrow column: ids of named applications cut, parts that repeat left out.

    >>> brief_value({"kind": "a + b", "value": "00000003-0000-0000-c000-000000000000 + owa"})
    'Microsoft Graph (00000003…) + owa'
    """
    text, joint = str(row["value"]), context_columns.TOGETHER
    if joint in row["kind"]:
        parts = [part for part in text.split(joint) if part != context_columns.EMPTY]
        text = joint.join(dict.fromkeys(parts)) or text
    return safe_text.cut(app_names.brief(text), _VALUE)


def share(row: Mapping[str, Any], evidence_count: int | None) -> str:
    """How much of a finding's evidence has the value."""
    return f"{min(row['records'] / max(evidence_count or 0, 1), 1):.0%}"
