"""One target brought up to date with the published findings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from gundog.core import places
from gundog.core.errors import StoreError
from gundog.core.waiting import Went, unseen
from gundog.findings import reader
from gundog.targets import file_store, parquet
from gundog.targets.config import PublishTo

PROJECT_ID = "publish-id.txt"


def publish(
    target: PublishTo,
    findings: Path,
    environ: Mapping[str, str],
    now: datetime,
    went: Went = unseen,
) -> None:
    """Makes a target hold what is published, and nothing else of gundog's.

    Args:
        target: where to.
        findings: findings.duckdb, which stays the truth.
        environ: where a store's credentials are looked for.
        now: the run's time.
        went: is told how much of what changed is there.

    Raises:
        GundogError: when it cannot; who reads the target sees what it held before, and the next
            time catches up.
    """
    project = project_id(findings.with_name(PROJECT_ID))
    with reader.published(findings) as con:
        if target.is_postgres:
            from gundog.targets import postgres  # needs gundog[postgres]

            postgres.publish(con, target, project, went)
        else:
            parquet.publish(con, file_store.opened(target.store, environ), project, now, went)


def project_id(path: Path) -> str:
    """The id that tells this project's targets from those of others; made when there is none.

    Raises:
        StoreError: when it can be neither read nor written.
    """
    try:
        if not path.exists():
            aside = path.with_name(f".{path.name}.tmp")
            aside.write_text(f"{uuid4()}\n")
            aside.replace(path)
        held = path.read_text().strip()
    except OSError as error:
        raise places.unusable(path, error) from error
    except ValueError:
        held = ""
    if not held:
        raise StoreError(f"{path}: holds no id: restore it, or remove it and empty the targets")
    return held
