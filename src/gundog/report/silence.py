"""What the silence of each detection rests on: how much its newest interval had to look at."""

from __future__ import annotations

import duckdb

from gundog.report.model import Looked, Silence
from gundog.report.scope import Scope, rows

# More rows than this nobody reads; those that say that something was not looked at come first.
_MOST = 100


def of(con: duckdb.DuckDBPyConnection, scope: Scope) -> Silence:
    """The table, by detection and tenant; empty where an older gundog wrote the file."""
    if not rows(con, "select 1 from duckdb_tables() where table_name = 'looked_at'"):
        return Silence((), 0, 0)
    looked = [
        Looked(**row)
        for row in rows(
            con,
            """select d.stem as detection, l.tenant, l.interval_end as until, l.rows, l.mailboxes,
                      l.scored, l.learning, l.throttled, l.silent
               from looked_at as l inner join detections as d using (detection_id)
               where ($tenant is null or lower(l.tenant) = lower($tenant))
               and l.detection_id::varchar in (select unnest($ids::varchar[]))
               order by d.stem, l.tenant""",
            {"tenant": scope.asked.tenant, "ids": list(scope.ids)},
        )
    ]
    shown = looked
    if len(looked) > _MOST:
        worst = sorted(looked, key=lambda row: not row.is_partial)[:_MOST]
        shown = sorted(worst, key=lambda row: (row.detection, row.tenant))
    partial = {row.detection for row in looked if row.is_partial}
    return Silence(tuple(shown), len(looked) - len(shown), len(partial))
