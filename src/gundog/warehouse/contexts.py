"""Who does what from where: first and last time of each value, kept so that new ones are known.

A staged table's header names whose contexts they are and which columns are one. Each day's values
are taken from its staged rows once, and again when these change, as counts of series are. What
retention takes from the staged tables is kept in one row per value, so that a night costs the same
however old the history is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import duckdb

from gundog.warehouse import context_values, database
from gundog.warehouse.context_columns import Learned
from gundog.warehouse.context_values import day_sql

# More rows of several days are not learned in one go: what has to lie on disk meanwhile costs
# several times as much.
_ROWS_AT_A_TIME = 1_000_000


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
                    select {day_sql("hour")} as day, max(seq) as newest from stage_changes
                    where stage = $stage group by all)
                left join (from context_days where stage = $stage and kinds = $kinds)
                using (day)
                where newest > coalesce(seq, -1) order by day""",
            {"stage": learned.stage, "kinds": learned.shown},
        ).fetchall()
    ]
    for batch in _batches(con, learned, days):
        with database.transaction(con):
            take(con, learned, batch, database.current_seq(con))
    return len(days)


def _batches(
    con: duckdb.DuckDBPyConnection, learned: Learned, days: Sequence[datetime]
) -> list[list[datetime]]:
    """Days that are learned together: several small ones, or a large one by itself."""
    if len(days) < 2:
        return [[day] for day in days]
    _choose(con, days)
    rows = dict(con.execute(context_values.rows_per_day_sql(learned)).fetchall())
    batches, size = list[list[datetime]](), 0
    for day in days:
        size += rows.get(day, 0)
        if not batches or size > _ROWS_AT_A_TIME:
            batches.append([])
            size = rows.get(day, 0)
        batches[-1].append(day)
    return batches


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
    _insert(con, learned, "contexts")
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
    days = con.execute(f"select distinct {day_sql('event_time')} from {learned.view}").fetchall()
    if days:
        _choose(con, [day for (day,) in days])
        _insert(con, learned, table)


def _insert(con: duckdb.DuckDBPyConnection, learned: Learned, table: str) -> None:
    for sql in context_values.selects(learned, context_values.many_valued(con, learned)):
        con.execute(f"insert into {table} by name {sql}", {"stage": learned.stage})


def _choose(con: duckdb.DuckDBPyConnection, days: Iterable[datetime]) -> None:
    """Makes the temporary table `learning` of the days that are taken."""
    con.execute(
        "create or replace temp table learning as select unnest(?::timestamptz[]) as day",
        [list(days)],
    )


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
        f"delete from context_days where day >= {day_sql('$first::timestamptz')} and day <= $last",
        {"first": first, "last": last},
    )
