"""A process that publishes two findings files to a target by turns, until it is killed.

    python -m tests.publish_loop TARGET SCHEMA FIRST SECOND

It prints a line before each time, so that a test knows that it has begun.
"""

from __future__ import annotations

import itertools
import os
import sys
from datetime import UTC, datetime
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


def main() -> None:
    place, schema, *files = sys.argv[1:]
    target = PublishTo(place, "loop", schema)
    for path in itertools.cycle(map(Path, files)):
        sys.stdout.write("begins\n")
        sys.stdout.flush()
        publish(target, path)


if __name__ == "__main__":
    main()
