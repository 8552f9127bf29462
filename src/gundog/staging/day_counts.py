"""Rows by tenant and day: what each staged table made of what its source gave.

They are counted while files are read and kept per file, so that a file that changes takes its
counts with it. A day is known of a table when every file with rows in it was counted by the same
SQL and the same keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from gundog.core.times import DAY_US, MICROSECOND
from gundog.detections import stage_keys
from gundog.detections.stage_keys import Keys
from gundog.detections.staged import StagedTable
from gundog.health.drift import Table
from gundog.health.drift_series import moment, number
from gundog.warehouse import quoting

# The code of a row that was set aside; of a good one it is a sum of 1, 2, 4 … for keys it lacks.
SET_ASIDE = -1


# ---- counting what was read ----


def codes(rows: pa.Table, keys: Keys) -> pa.Array:
    """What each staged row is worth: -1 where it was set aside, else which keys it lacks."""
    code = pa.repeat(pa.scalar(0, pa.int32()), rows.num_rows)
    for place, key in enumerate(keys):
        lacks = _lacks(rows[key[0]])
        for column in key[1:]:
            lacks = pc.and_(lacks, _lacks(rows[column]))
        code = pc.add(code, pc.multiply(lacks.cast(pa.int32()), 2**place))
    return pc.if_else(pc.is_null(rows["reject_reason"]), code, SET_ASIDE)


def _lacks(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """True where there is no value, or an empty text."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pc.fill_null(pc.equal(column, ""), True)
    return pc.is_null(column)


# ---- keeping the counts ----


def store(con: duckdb.DuckDBPyConnection, stage: StagedTable, counts: str) -> None:
    """Keeps what was counted of the files in the temp table `batch`, in place of what was.

    Args:
        con: the warehouse, in the transaction that stores the files.
        stage: the staged table.
        counts: a table with file_id, tenant, hour, code and rows.
    """
    for table in ("day_counts", "counted_files"):
        con.execute(
            f"delete from {table} where stage = ? and file_id in (from batch)", [stage.name]
        )
    con.execute(
        "insert into counted_files select ?, file_id, ?, ? from batch",
        [stage.name, stage.hash, stage_keys.shown(stage.keys)],
    )
    con.execute(
        f"""insert into day_counts
            select ?, file_id, tenant, {_day_of("hour")} as day, code, sum(rows)
            from {counts} where file_id in (from batch) group by all""",
        [stage.name],
    )


def _day_of(column: str) -> str:
    return f"make_timestamptz((epoch_us({column}) // {DAY_US}) * {DAY_US})"


def follow_keys(con: duckdb.DuckDBPyConnection, stages: Iterable[StagedTable]) -> None:
    """Counts staged rows again where a stage's `Keys:` are others than those that were counted.

    The lake is not read again. Files whose rows are gone stay as they are, and are unknown.

    Args:
        con: the warehouse, in a transaction.
        stages: the stages as they are now.
    """
    for stage in stages:
        other = """from counted_files as c
                   inner join file_stages as f using (file_id, stage, stage_hash)
                   where stage = ? and stage_hash = ? and keys <> ?"""
        values = [stage.name, stage.hash, stage_keys.shown(stage.keys)]
        if con.execute(f"select count(*) {other}", values).fetchall() != [(0,)]:
            con.execute(f"create or replace temp table batch as select file_id {other}", values)
            store(con, stage, f"({_coded(stage)})")


def _coded(stage: StagedTable) -> str:
    """The SELECT that counts the staged rows of the files in `batch`."""
    lacking = [
        f"(case when {_none_of(key)} then {2**place} else 0 end)"
        for place, key in enumerate(stage.keys)
    ]
    return f"""
        select file_id, coalesce(tenant, '') as tenant, event_time as hour,
               case when reject_reason is not null then {SET_ASIDE}
                    else {" + ".join(lacking) or "0"} end as code,
               1 as rows
        from {stage.table} where file_id in (from batch)"""


def _none_of(key: tuple[str, ...]) -> str:
    return " and ".join(f"coalesce({quoting.name(column)}::varchar, '') = ''" for column in key)


# ---- reading them ----


def tables(
    con: duckdb.DuckDBPyConnection,
    source: str,
    stages: Sequence[StagedTable],
    first: int,
    last: int,
) -> list[Table]:
    """What is known of a source and of each staged table that reads it, day by day.

    Args:
        con: the warehouse.
        source: the source table.
        stages: its stages.
        first: the first day, counted from 1970.
        last: the last one.

    Returns:
        The source alone, then each stage.
    """
    span = moment(first), moment(last + 1)
    given = defaultdict[str, dict[int, int]](dict)
    for tenant, day, rows in con.execute(
        f"""select coalesce(tenant, ''), epoch_us(hour) // {DAY_US} as day, sum(rows)::bigint
            from source_hours where source_table = ? and hour >= ? and hour < ? group by all""",
        [source, *span],
    ).fetchall():
        given[tenant][day] = rows
    uncounted = _uncounted(con, source, *span)
    alone = Table(source, given=given, unknown=uncounted | _rejected(con, source, first, last))
    return [alone, *(_staged(con, stage, given, uncounted, first, last) for stage in stages)]


def _staged(
    con: duckdb.DuckDBPyConnection,
    stage: StagedTable,
    given: dict[str, dict[int, int]],
    uncounted: frozenset[int],
    first: int,
    last: int,
) -> Table:
    rows = con.execute(
        f"""select tenant, epoch_us(coalesce(c.day, f.covers_start)) // {DAY_US} as number,
                   code, sum(c.rows)::bigint
            from day_counts as c
            inner join counted_files as k using (stage, file_id)
            left join source_files as f using (file_id)
            where stage = ? and stage_hash = ? and keys = ?
            and number between ? and ? group by all""",
        [stage.name, stage.hash, stage_keys.shown(stage.keys), first, last],
    ).fetchall()
    kept, rejected = _by_tenant(), _by_tenant()
    lacking = {stage_keys.name(key): _by_tenant() for key in stage.keys}
    for tenant, day, code, count in rows:
        into = rejected if code == SET_ASIDE else kept
        into[tenant][day] = into[tenant].get(day, 0) + count
        for place, mine in enumerate(lacking.values()):
            if code != SET_ASIDE and code & 2**place:
                mine[tenant][day] = mine[tenant].get(day, 0) + count
    unknown = uncounted | _uncounted(con, stage.source, moment(first), moment(last + 1), stage)
    return Table(stage.source, stage.name, given, kept, rejected, lacking, unknown)


def _by_tenant() -> defaultdict[str, dict[int, int]]:
    return defaultdict(dict)


def _uncounted(
    con: duckdb.DuckDBPyConnection,
    source: str,
    start: datetime,
    end: datetime,
    stage: StagedTable | None = None,
) -> frozenset[int]:
    """Days of which not every file was counted: by tenant, or by a stage as it is now.

    Those are files that an older gundog staged, or that this stage has not read.
    """
    uncounted, values = "tenant is null", list[str]()
    if stage:
        uncounted = """file_id not in (select file_id from counted_files
                                  where stage = ? and stage_hash = ? and keys = ?)"""
        values = [stage.name, stage.hash, stage_keys.shown(stage.keys)]
    rows = con.execute(
        f"""select distinct epoch_us(hour) // {DAY_US} from source_hours
            where source_table = ? and hour >= ? and hour < ? and {uncounted}""",
        [source, start, end, *values],
    ).fetchall()
    return frozenset(day for (day,) in rows)


def _rejected(con: duckdb.DuckDBPyConnection, source: str, first: int, last: int) -> frozenset[int]:
    """Days that rejected files stand for, which are named elsewhere."""
    rows = con.execute(
        """select covers_start, covers_end from source_files
           where source_table = ? and state = 'rejected' and covers_start is not null""",
        [source],
    ).fetchall()
    return frozenset(
        day
        for start, end in rows
        for day in range(
            max(first, number(start)),
            min(last, number((end or start) - MICROSECOND)) + 1,
        )
    )
