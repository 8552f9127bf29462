"""What the newest run could not use: targets of `publishTo:` and workers, as `status` says it."""

from __future__ import annotations

import duckdb

from gundog.health import watch
from gundog.health.watch import Fault

# What such a problem of a run begins with.
HEAD = "publishTo: "
WORKERS = "workers"
_KINDS = {HEAD: watch.TARGET, f"{WORKERS}: ": watch.WORKERS}


def of(con: duckdb.DuckDBPyConnection) -> list[Fault]:
    """One fault for each that failed; none when a later run could use it.

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
    return [
        Fault(kind, text)
        for text in texts
        for head, kind in _KINDS.items()
        if text.startswith(head)
    ]
