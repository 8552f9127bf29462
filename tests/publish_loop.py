"""Publishes two findings files to a target by turns until it is killed: for `tests.forks.Fork`."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from gundog.findings import reader
from gundog.lake.path import LakePath
from gundog.targets import file_store, parquet, postgres
from gundog.targets.config import PublishTo

NOW = datetime(2026, 3, 10, tzinfo=UTC)


def publish(target: PublishTo, path: Path) -> None:
    """Brings the target up to date as a run does."""
    with reader.published(path) as con:
        if target.is_postgres:
            postgres.publish(con, target, "p")
        else:
            store = file_store.opened(LakePath(target.place), os.environ)
            parquet.publish(con, store, "p", NOW)


def by_turns(connection: Connection, target: PublishTo, *files: Path) -> None:
    """Says before each turn that it begins, so that a test knows."""
    for path in itertools.cycle(files):
        connection.send("begins")
        publish(target, path)
