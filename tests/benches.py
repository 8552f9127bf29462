"""Benches that stay open: an example on a new one costs more to prepare than to hunt.

`examples.fill` empties a bench before it stages an example, so hunts that read the same tables
take turns on one, also hunts whose SQL a test made wrong.
"""

from __future__ import annotations

from contextlib import ExitStack

import duckdb

from gundog.detections.hunt import Content, Hunt
from gundog.testing import examples

_Key = tuple[object, ...]
_MOST = 3
_open: dict[_Key, tuple[ExitStack, duckdb.DuckDBPyConnection]] = {}


def of(loaded: Content, hunt: Hunt) -> duckdb.DuckDBPyConnection:
    """An open bench with the tables of a hunt; a few are kept."""
    key = (*sorted(hunt.sources), *(stage.table for stage in hunt.stages))
    if key not in _open:
        if len(_open) >= _MOST:
            _open.pop(next(iter(_open)))[0].close()
        stack = ExitStack()
        _open[key] = stack, stack.enter_context(examples.bench(loaded, hunt))
    return _open[key][1]
