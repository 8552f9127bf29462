"""Who does what from where: first and last time of each value, kept so that new ones are known.

A staged table's header names whose contexts they are and which columns are one. Each day's values
are taken from its staged rows once, and again when these change, as counts of series are. What
retention takes from the staged tables is kept in one row per value, so that a night costs the same
however old the history is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import duckdb

from gundog.core.times import DAY_US
from gundog.warehouse import context_columns, database, quoting
from gundog.warehouse.context_columns import ITSELF, Learned

# Days that are learned in one statement.
_DAYS_AT_A_TIME = 4


def learn(con: duckdb.DuckDBPyConnection, learned: Learned) -> int:
    """Takes the contexts of every day whose rows changed since it was learned, if ever.

    Args:
        con: the warehouse, writable, outside a transaction.
        learned: the staged table.

    Returns:
        How many days were learned.
    """
    days = [
        day
        for (day,) in con.execute(
            f"""select day from (
                    select {_day_of("hour")} as day, max(seq) as newest from stage_changes
                    where stage = $stage group by all)
                left join (from context_days where stage = $stage and kinds = $kinds)
                using (day)
                where newest > coalesce(seq, -1) order by day""",
            {"stage": learned.stage, "kinds": learned.shown},
        ).fetchall()
    ]
    for turn in range(0, len(days), _DAYS_AT_A_TIME):
        with database.transaction(con):
            take(con, learned, days[turn : turn + _DAYS_AT_A_TIME], database.current_seq(con))
    return len(days)


def _day_of(column: str) -> str:
    return f"make_timestamptz((epoch_us({column}) // {DAY_US}) * {DAY_US})"


def take(
    con: duckdb.DuckDBPyConnection, learned: Learned, days: Iterable[datetime], seq: int
) -> None:
    """Replaces the contexts of days by those of their staged rows.

    Args:
        con: the warehouse, in a transaction.
        learned: the staged table.
        days: their first moments, in UTC.
        seq: the staging step whose rows are taken.
    """
    _choose(con, days)
    for table in ("contexts", "context_days"):
        con.execute(
            f"delete from {table} where stage = ? and day in (from learning)", [learned.stage]
        )
    con.execute(f"insert into contexts by name {_values_sql(learned)}", {"stage": learned.stage})
    con.execute(
        "insert into context_days by name"
        " select $stage as stage, day, $seq as seq, $kinds as kinds from learning",
        {"stage": learned.stage, "seq": seq, "kinds": learned.shown},
    )


def lay(con: duckdb.DuckDBPyConnection, learned: Learned, table: str) -> None:
    """Puts the contexts of all rows of a view into a table like `contexts`, and nothing else.

    Args:
        con: any database.
        learned: the staged table, or rows like its own.
        table: as SQL writes it.
    """
    days = con.execute(f"select distinct {_day_of('event_time')} from {learned.view}").fetchall()
    if days:
        _choose(con, [day for (day,) in days])
        con.execute(f"insert into {table} by name {_values_sql(learned)}", {"stage": learned.stage})


def _choose(con: duckdb.DuckDBPyConnection, days: Iterable[datetime]) -> None:
    """Makes the temporary table `learning` of the days that `_values_sql` takes."""
    con.execute(
        "create or replace temp table learning as select unnest(?::timestamptz[]) as day",
        [list(days)],
    )


def _values_sql(learned: Learned) -> str:
    """The SELECT of the rows of `contexts` for the days in `learning`.

    Rows are first put together by all columns, of which a mailbox has few combinations a day.
    """
    columns = [
        f"{context_columns.value_sql(kind, _text_of)} as kind_{n}"
        for n, kind in enumerate(learned.kinds)
    ]
    names = [f"kind_{n}" for n in range(len(learned.kinds))]
    kinds = [ITSELF, *map(context_columns.kind_name, learned.kinds)]
    return f"""
        with seen as (
            select coalesce(tenant, '') as tenant,
                   {quoting.name(learned.entity)}::varchar as entity,
                   {_day_of("event_time")} as day, {", ".join(columns)},
                   min(event_time) as first_time, max(event_time) as last_time
            from {learned.view}
            where event_time >= (select min(day) from learning)
            and event_time < (select max(day) + interval 24 hours from learning)
            and {_day_of("event_time")} in (from learning)
            group by all
        ),
        told as (
            select tenant, entity, day, first_time, last_time,
                   unnest([{", ".join(map(quoting.text, kinds))}]) as kind,
                   unnest([{quoting.text(ITSELF)}, {", ".join(names)}]) as value
            from seen where coalesce(entity, '') <> ''
        )
        select $stage as stage, tenant, entity, kind, value, day,
               min(first_time) as first_time, max(last_time) as last_time
        from told where coalesce(value, '') <> '' group by all"""


def _text_of(column: str) -> str:
    return f"nullif({quoting.name(column)}::varchar, '')"


def settle(con: duckdb.DuckDBPyConnection, stage: str, days: Iterable[datetime]) -> None:
    """Puts the contexts of days whose rows go into one row per value, and learns the days again.

    A value that was seen on one day only goes with the rows: most of them are sessions.

    Args:
        con: the warehouse, in the transaction that removes the rows.
        stage: the staged table.
        days: their first moments.
    """
    con.execute(
        "create or replace temp table settling as select unnest(?::timestamptz[]) as day",
        [list(days)],
    )
    mine = "stage = $stage and (day is null or day in (from settling))"
    con.execute(
        f"""create or replace temp table settled as
            select stage, tenant, entity, kind, value, null::timestamptz as day,
                   min(first_time) as first_time, max(last_time) as last_time,
                   bool_or(day is null) or count(*) > 1 as stays
            from contexts where {mine} group by all""",
        {"stage": stage},
    )
    con.execute(f"delete from contexts where {mine}", {"stage": stage})
    con.execute(
        "insert into contexts by name select * exclude (stays) from settled as s where stays"
        " or exists (from contexts as c where c.stage = s.stage and c.tenant = s.tenant"
        " and c.entity = s.entity and c.kind = s.kind and c.value = s.value)"
    )
    con.execute("delete from context_days where stage = ? and day in (from settling)", [stage])


def forget(con: duckdb.DuckDBPyConnection, before: datetime) -> None:
    """Removes values that were seen last before a moment, of days whose rows are gone."""
    con.execute("delete from contexts where day is null and last_time < ?", [before])


def purge(con: duckdb.DuckDBPyConnection, entity: str) -> int:
    """Removes what is known of one entity, in any case of letters; returns how many rows went."""
    gone = con.execute("delete from contexts where lower(entity) = ? returning 1", [entity])
    return len(gone.fetchall())


def doubt(con: duckdb.DuckDBPyConnection, first: datetime, last: datetime) -> None:
    """Has the days from one moment to another learned again by the next run."""
    con.execute(
        f"delete from context_days where day >= {_day_of('$first::timestamptz')} and day <= $last",
        {"first": first, "last": last},
    )
