"""The SELECTs that take the first and last time of each context out of staged rows.

A mailbox has few combinations of network, application and the like in a day, so rows are put
together by all of them first. A session is another matter: where nearly every row has its own,
there are as many combinations as rows, and all kinds of context would be grouped that many times.
Such kinds are taken from the rows one by one, which changes no result.
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from gundog.core.times import DAY_US
from gundog.warehouse import context_columns, quoting
from gundog.warehouse.context_columns import ITSELF, Learned

# A kind with more values than one in so many rows is taken by itself, unless rows are few: each
# further statement costs some milliseconds.
_ROWS_PER_VALUE = 4
_FEW_ROWS = 20_000


def day_sql(column: str) -> str:
    """The start of the UTC day of a moment, as SQL."""
    return f"make_timestamptz((epoch_us({column}) // {DAY_US}) * {DAY_US})"


def rows_per_day_sql(learned: Learned) -> str:
    """The SELECT of how many rows each of the days in the table `learning` has, if any."""
    return f"select day, count(*) from ({_rows_sql(learned, ())}) group by all"


def many_valued(con: duckdb.DuckDBPyConnection, learned: Learned) -> frozenset[int]:
    """The places of the kinds of which there are nearly as many values as rows, of many rows.

    Args:
        con: a database with the view and the table `learning`.
        learned: the staged table.
    """
    if not learned.kinds:
        return frozenset()
    kinds = range(len(learned.kinds))
    counts = ", ".join(f"approx_count_distinct({_name(n)})" for n in kinds)
    sql = f"select count(*), {counts} from ({_rows_sql(learned, kinds)})"
    rows, *values = con.execute(sql).fetchall()[0]
    if rows < _FEW_ROWS:
        return frozenset()
    return frozenset(n for n, count in enumerate(values) if count * _ROWS_PER_VALUE > rows)


def selects(learned: Learned, apart: Collection[int]) -> list[str]:
    """SELECTs whose rows together are those of `contexts` for the days in the table `learning`.

    Args:
        learned: the staged table; its name is the parameter `$stage`.
        apart: the places of the kinds that are taken by themselves.
    """
    together = [n for n in range(len(learned.kinds)) if n not in apart]
    return [_together_sql(learned, together), *(_alone_sql(learned, n) for n in sorted(apart))]


def _alone_sql(learned: Learned, n: int) -> str:
    return f"""
        select $stage as stage, tenant, entity, {_kind_sql(learned, n)} as kind,
               {_name(n)} as value, day,
               min(event_time) as first_time, max(event_time) as last_time
        from ({_rows_sql(learned, [n])}) where {_name(n)} <> '' group by all"""


def _together_sql(learned: Learned, kinds: Collection[int]) -> str:
    names = [quoting.text(ITSELF), *(_kind_sql(learned, n) for n in kinds)]
    values = [quoting.text(ITSELF), *map(_name, kinds)]
    return f"""
        with seen as (
            select * exclude (event_time),
                   min(event_time) as first_time, max(event_time) as last_time
            from ({_rows_sql(learned, kinds)}) group by all
        ),
        told as (
            select tenant, entity, day, first_time, last_time,
                   unnest([{", ".join(names)}]) as kind, unnest([{", ".join(values)}]) as value
            from seen
        )
        select $stage as stage, tenant, entity, kind, value, day,
               min(first_time) as first_time, max(last_time) as last_time
        from told where value <> '' group by all"""


def _rows_sql(learned: Learned, kinds: Collection[int]) -> str:
    """Each row of the days with the values of some kinds, null where there is none."""
    columns = "".join(
        f", {context_columns.value_sql(learned.kinds[n], _text_of)} as {_name(n)}" for n in kinds
    )
    entity = f"{quoting.name(learned.entity)}::varchar"
    day = day_sql("event_time")
    return f"""
        select coalesce(tenant, '') as tenant, {entity} as entity, {day} as day,
               event_time{columns}
        from {learned.view}
        where event_time >= (select min(day) from learning)
        and event_time < (select max(day) + interval 24 hours from learning)
        and {day} in (from learning) and {entity} <> ''"""


def _kind_sql(learned: Learned, n: int) -> str:
    return quoting.text(context_columns.kind_name(learned.kinds[n]))


def _name(n: int) -> str:
    return f"kind_{n}"


def _text_of(column: str) -> str:
    return f"nullif({quoting.name(column)}::varchar, '')"
