"""The targets of `publishTo:` that the newest run could not reach, as `status` reports them."""

from __future__ import annotations

import duckdb

from gundog.health import watch
from gundog.health.watch import Fault

# What such a problem of a run begins with.
HEAD = "publishTo: "


def of(con: duckdb.DuckDBPyConnection) -> list[Fault]:
    """One fault for each target that failed; none when a later run reached it.

    Args:
        con: findings.duckdb.
    """
    rows = con.execute(
        """select unnest(problems) from (
               select problems from runs where finished_at is not null
               order by started_at desc limit 1
           )"""
    ).fetchall()
    texts = [str(problem) for (problem,) in rows if problem]
    return [Fault(watch.TARGET, text) for text in texts if text.startswith(HEAD)]
