"""Benches that stay open: an example on a new one costs more to prepare than to hunt.

`examples.fill` empties the tables that a hunt reads before it stages an example, so hunts take
turns on one bench, also hunts whose SQL a test made wrong. A bench gets the tables that it lacks; a
hunt needs another one where a table has its name and is not its own.
"""

from __future__ import annotations

from contextlib import ExitStack

import duckdb

from gundog.detections import stage_sql
from gundog.detections.hunt import Content, Hunt
from gundog.testing import examples
from gundog.warehouse import quoting

# What each table was made from, by its name.
_Made = dict[str, object]
_MOST = 3
_open: list[tuple[_Made, ExitStack, duckdb.DuckDBPyConnection]] = []


def of(loaded: Content, hunt: Hunt) -> duckdb.DuckDBPyConnection:
    """An open bench with the tables of a hunt; a few are kept."""
    sources: _Made = {name: loaded.sources[name].ddl for name in hunt.sources}
    stages: _Made = {s.view: (s.table, s.columns, s.contexts) for s in hunt.stages}
    for made, _, con in _open:
        wanted = {**sources, **stages}
        if all(made.get(name, definition) == definition for name, definition in wanted.items()):
            _add(con, loaded, hunt, made)
            made |= wanted
            return con
    if len(_open) >= _MOST:
        _open.pop(0)[1].close()
    stack = ExitStack()
    con = stack.enter_context(examples.bench(loaded, hunt))
    _open.append((sources | stages, stack, con))
    return con


def _add(con: duckdb.DuckDBPyConnection, loaded: Content, hunt: Hunt, made: _Made) -> None:
    for name in set(hunt.sources) - made.keys():
        con.execute(f"drop table if exists {quoting.name(name)}")  # of rows that no stage reads
        stage_sql.create_source(con, loaded.sources[name].ddl)
    for stage in hunt.stages:
        if stage.view not in made:
            stage_sql.create_stage(con, stage)
