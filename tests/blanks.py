"""Empty warehouses and empty published files, copied: to make one costs more than most tests.

The first of each process is made by gundog's own code, hundreds of comments and all, and every test
that needs another gets a copy of it. What is promised of the making itself is tested with
`new_blanks`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from gundog.findings import publish
from gundog.warehouse import database, opening

_attached, _create = database.attached, publish._create
_kept: dict[str, bytes] = {}


def copy() -> None:
    """From now on an empty file is a copy."""
    database.attached, publish._create = _copied_attached, _copied_create


def make_new() -> None:
    """From now on an empty file is made as it is outside of the tests."""
    database.attached, publish._create = _attached, _create


@contextmanager
def _copied_attached(
    con: duckdb.DuckDBPyConnection, path: Path, *, is_complete: bool = False
) -> Iterator[None]:
    is_new = not os.path.lexists(path) and not opening.log_of(path).exists()
    if is_new and path.parent.is_dir() and os.access(path.parent, os.W_OK):
        path.write_bytes(_blank("warehouse", _make_warehouse))
    with _attached(con, path, is_complete=is_complete):
        yield


def _make_warehouse(path: Path) -> None:
    with database.engine(path, 1_000_000_000, 1) as con, _attached(con, path):
        pass


def _copied_create(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    path.write_bytes(_blank(publish._digest(), lambda made: _create(con, made)))


def _blank(name: str, make: Callable[[Path], None]) -> bytes:
    if name not in _kept:
        with TemporaryDirectory() as folder:
            make(Path(folder) / "blank.duckdb")
            _kept[name] = (Path(folder) / "blank.duckdb").read_bytes()
    return _kept[name]
