"""The warehouse copied into findings.duckdb, aside, and renamed into place.

Readers hold the old file until they open again; none waits, fails, or sees half a run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from gundog.core import places
from gundog.core.errors import StoreError
from gundog.core.plain_values import plain
from gundog.core.times import format_duration
from gundog.detections.hunt import Hunt
from gundog.findings import finding_contexts, triage, views
from gundog.warehouse import database, file_identity, opening, quoting, tables
from gundog.warehouse.schema import Table

STORAGE_VERSION = "v1.5.0"
_TABLES = tuple(table for table in tables.TABLES if table.published)
SENT = ("runs", "notifications")  # what changes when messages are sent


def write_detections(con: duckdb.DuckDBPyConnection, hunts: Iterable[Hunt]) -> None:
    """Writes down the detections as they stand."""
    records = []
    for hunt in hunts:
        detection = hunt.detection
        records.append(
            {
                "detection_id": detection.id,
                "stem": detection.stem,
                "name": detection.name,
                "detection_hash": hunt.hash,
                "kind": detection.kind,
                "status": detection.status if detection.enabled else "deprecated",
                "severity": detection.severity,
                "description": detection.description,
                "triage": list(detection.triage),
                "false_positives": list(detection.false_positives),
                "blind_spots": list(detection.blind_spots),
                "refs": list(detection.references),
                "sql": "\n".join(filter(None, (hunt.sql, hunt.join))),
                "params": json.dumps(plain(detection.params)),
                "frequency": format_duration(detection.frequency),
                "lookback": format_duration(detection.lookback),
            }
        )
    with database.transaction(con):
        con.execute("delete from detections")
        database.insert(con, "detections", records)


def publish(
    con: duckdb.DuckDBPyConnection,
    target: Path,
    *,
    now: datetime,
    late_arrival: timedelta,
    due: Sequence[dict[str, Any]] = (),
) -> tuple[Path, ...]:
    """Builds the published file beside `target` and renames it into place.

    Args:
        con: the warehouse, writable.
        target: findings.duckdb.
        now: the run's time; decides provisional or final.
        late_arrival: how long an interval stays provisional after its end.
        due: ledger rows of intervals that are missing or stale.

    Returns:
        The logs that other programs had left beside the file, and that were removed.

    Raises:
        StoreError: when the disk is full; the old file stays.
    """
    triage.copy_in(con, triage.read(triage.beside(target))[0])
    _write_sources(con, now)
    finding_contexts.recall(con)
    aside, blank = _aside(target), _blank(target)
    is_old = blank.exists()
    try:
        _build(con, aside, blank, now, late_arrival, due)
    except duckdb.Error as error:
        blank.unlink(missing_ok=True)
        if not is_old or not _is_of(aside, error):
            raise
        aside.unlink(missing_ok=True)  # the blank file was cut or is another's
        _build(con, aside, blank, now, late_arrival, due)
    return _put(aside, target)


def _build(
    con: duckdb.DuckDBPyConnection,
    aside: Path,
    blank: Path,
    now: datetime,
    late_arrival: timedelta,
    due: Sequence[dict[str, Any]],
) -> None:
    if not blank.exists():
        _create(con, aside)
        _rename(aside, blank)
    _copy_file(blank, aside)
    filled = _filled(con)
    with _attached(con, aside):
        for table in _TABLES:
            if table.name in filled:
                _copy(con, table, now, late_arrival)
        _mark_due(con, due)


def _filled(con: duckdb.DuckDBPyConnection) -> set[str]:
    """The names of the tables that have rows to publish."""
    counts = " union all ".join(
        f"select '{table.name}' as name, count(*) as many from main.{table.name}"
        for table in _TABLES
    )
    rows = con.execute(f"select name from ({counts}) where many > 0").fetchall()
    return {name for (name,) in rows}


def _is_of(aside: Path, error: duckdb.Error) -> bool:
    """Whether the file that is built is to blame: it cannot be read, or lacks tables."""
    lacks = isinstance(error, (duckdb.CatalogException, duckdb.BinderException))
    return lacks or aside.name in str(error)


def publish_sent(con: duckdb.DuckDBPyConnection, target: Path) -> tuple[Path, ...]:
    """Publishes what sending messages changed, on top of what this run has just published.

    Args:
        con: the warehouse, writable; since `publish` only `SENT` changed in it.
        target: findings.duckdb, as `publish` left it.

    Returns:
        As `publish`.

    Raises:
        StoreError: when the disk is full; the file stays as it was.
    """
    aside = _aside(target)
    _copy_file(target, aside)
    with _attached(con, aside):
        for table in _TABLES:
            if table.name in SENT:
                con.execute(f"delete from published.main.{table.name}")
                _copy(con, table)
    return _put(aside, target)


def _put(aside: Path, target: Path) -> tuple[Path, ...]:
    """Puts a finished file in place of the last one, so that no reader's log changes it.

    Mode, group and symlink of the file that it replaces stay.
    """
    file_identity.renew(aside)  # a log that fits the old file does not fit this one
    place = target.resolve() if target.is_symlink() else target
    places.give_access(aside, place)
    if place != target:  # a rename works only inside one file system
        near = place.with_name(aside.name)
        _copy_file(aside, near)
        places.keep_access(near, aside)
        aside.unlink()
        aside = near
    _rename(aside, place)
    # What a reader's program left beside the old file: DuckDB would refuse to open with it there.
    left = [log for log in {opening.log_of(place), opening.log_of(target)} if log.exists()]
    for log in left:
        log.unlink()
    return tuple(left)


def _write_sources(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """How new each source is; events ahead of the clock make none of them newer."""
    with database.transaction(con):
        con.execute("delete from sources")
        con.execute(
            """insert into sources by name
               with files as (
                   select source_table, max(max_time) filter (max_time <= $now) as newest,
                          max(max_time) filter (max_time > $now) as ahead_until
                   from source_files where state = 'staged' group by source_table
               ),

               hours as (
                   select source_table, max(hour) filter (hour <= $now) as newest,
                          coalesce(sum(rows) filter (hour > $now), 0)::bigint as rows_ahead
                   from source_hours
                   where file_id in (select file_id from source_files where state = 'staged')
                   group by source_table
               )

               select source_table, greatest(f.newest, h.newest) as newest_event,
                      coalesce(rows_ahead, 0) as rows_ahead,
                      case when rows_ahead > 0 then ahead_until end as ahead_until
               from files as f left join hours as h using (source_table)
               order by source_table""",
            {"now": now},
        )


def _aside(target: Path) -> Path:
    """Where the next file is built; what killed runs and older versions left there is removed."""
    places.folder(target.parent)
    places.check_files((target, _blank(target)))
    for left in target.parent.iterdir():
        is_mine = left.name.startswith(f".{target.name}.")
        if is_mine and left != _blank(target) and not left.is_dir():
            left.unlink()  # one run at a time
    return target.with_name(f".{target.name}.{os.getpid()}.tmp")


def _blank(target: Path) -> Path:
    """The published file before anything is in it, kept for the next publish.

    Its hundreds of comments take longer to write than the rows of a night.
    """
    return target.with_name(f".{target.name}.{_digest()}.blank")


@cache
def _digest() -> str:
    """What a blank file depends on."""
    made = [list(tables.create(table, published=True)) for table in _TABLES]
    parts = [STORAGE_VERSION, duckdb.__version__, made, views.VIEWS, views.SAID_OF]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _create(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    with _attached(con, path):
        for table in _TABLES:
            for statement in tables.create(table, "published.main", published=True):
                con.execute(statement)
    views.create_views(path)


@contextmanager
def _attached(con: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    """A file as the database `published`, in one transaction."""
    con.execute(
        f"attach {quoting.text(str(path))} as published (storage_version '{STORAGE_VERSION}')"
    )
    # The commit writes into the file itself, not into a log that detaching writes there again.
    con.execute("set checkpoint_threshold = '0 B'")
    try:
        with database.transaction(con):
            yield
    finally:
        con.execute("reset checkpoint_threshold")
        con.execute("detach published")


def _copy(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    now: datetime | None = None,
    late_arrival: timedelta | None = None,
) -> None:
    special = {
        "findings": {"interval_state": _FINAL, "triage_status": _STATUS, "verdict": _VERDICT},
        "run_intervals": {"state": f"case when state = 'done' then {_FINAL} else state end"},
    }.get(table.name, {})
    columns = ", ".join(
        f"{special.get(c.name, quoting.name(c.name))} as {quoting.name(c.name)}"
        for c in table.published_columns
    )
    values = {"now": now, "late": late_arrival} if special else {}
    con.execute(
        f"insert into published.main.{table.name} select {columns} from main.{table.name}"
        f" {_WHERE.get(table.name, '')} {_ORDER.get(table.name, '')}",
        values,
    )


_FINAL = "case when interval_end + $late > $now then 'provisional' else 'final' end"
_SAID = f"(select {{}} from ({triage.NOW}) as said where said.finding_id = findings.finding_id)"
_STATUS = f"coalesce({_SAID.format('status')}, 'new')"
_VERDICT = _SAID.format("verdict")
_WHERE = {
    "source_files": "where state <> 'expired'",
    # The tenants' own series whole; a mailbox's only where it has a finding.
    "series_points": """where series_key like '%/*' or (detection_id, series_key) in (
        select (detection_id, details ->> '$.series_key') from main.findings
        where kind = 'series')""",
}
_ORDER = {
    "findings": "order by start_time, finding_id",
    "evidence": "order by finding_id, ordinal",
    "series_points": "order by detection_id, series_key, hour",
    "run_intervals": "order by detection_id, interval_start",
    "source_files": "order by source_table, path",
}


def _mark_due(con: duckdb.DuckDBPyConnection, due: Sequence[dict[str, Any]]) -> None:
    """Lets the published ledger name what is stale or missing as well."""
    for row in due:
        con.execute(
            """update published.main.run_intervals set state = 'stale'
               where detection_id = ? and interval_start = ? and interval_end = ?""",
            [row["detection_id"], row["interval_start"], row["interval_end"]],
        )
    missing = [row for row in due if row["state"] == "missing"]
    database.insert(con, "published.main.run_intervals", missing)


def _copy_file(source: Path, aside: Path) -> None:
    try:
        shutil.copyfile(source, aside)
    except OSError as error:
        raise StoreError(
            f"{aside}: cannot be written ({error.strerror}): free disk space: nothing is left half"
            " done, run again"
        ) from error


def _rename(aside: Path, target: Path) -> None:
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
