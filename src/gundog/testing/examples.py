"""The examples inside detections, run: source events through stage SQL and hunt SQL to findings."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC
from typing import Any

import duckdb
import pyarrow as pa

from gundog.core import child, plain_values
from gundog.core.errors import GundogError, InputError
from gundog.core.fields import unknown
from gundog.core.times import DAY, Interval, floor, parse_time
from gundog.core.wording import count
from gundog.detections import stage_sql
from gundog.detections.detection import Example, repeated
from gundog.detections.hunt import Content, Hunt
from gundog.detections.staged import Source, StagedTable
from gundog.findings import words
from gundog.findings.model import Hit
from gundog.hunting import kusto_series, match, series
from gundog.warehouse import (
    contexts,
    database,
    locks,
    quoting,
    redeliveries,
    series_function,
    tables,
)

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
_FILE_ID = 1
_GIVEN = "events of an example"  # no table of a content folder has this name


def check(
    loaded: Content, hunt: Hunt, example: Example, con: duckdb.DuckDBPyConnection | None = None
) -> list[str]:
    """What differs between the findings an example promises and those it gives; empty when none.

    Args:
        loaded: the content that names the source tables.
        hunt: whose example it is.
        example: the example.
        con: an open `bench` of the hunt, which may have served other examples; None for a new one.
    """
    try:
        hits = run(loaded, hunt, example, con)
    except (GundogError, duckdb.Error) as error:
        return [str(error)]
    except OverflowError:
        return ["a time of its events is at an end of the calendar: write an ordinary time"]
    return compare(hunt, example, hits)


def compare(hunt: Hunt, example: Example, hits: Sequence[Hit]) -> list[str]:
    """What differs between the findings an example promises and these; empty when nothing."""
    shown = [_shown(hunt, hit) for hit in hits]
    problems = []
    left = list(shown)
    for wanted in example.findings:
        match = next((candidate for candidate in left if not _differences(wanted, candidate)), None)
        if match is not None:
            left.remove(match)
        else:
            problems.append(
                f"no finding has {plain_values.canonical(wanted)}{_nearest(wanted, left)}"
            )
    if len(shown) != len(example.findings):
        problems.append(f"{count(len(example.findings), 'finding')} expected, {len(shown)} found")
        problems += [f"not expected: {plain_values.canonical(_brief(finding))}" for finding in left]
    return problems


def run(
    loaded: Content, hunt: Hunt, example: Example, con: duckdb.DuckDBPyConnection | None = None
) -> tuple[Hit, ...]:
    """The hits that a detection has on an example's events, through the SQL that production runs.

    Takes what `check` takes.

    Raises:
        InputError: when an event names a table or column that does not exist.
        QueryError: when the SQL fails.
    """
    with nullcontext(con) if con else bench(loaded, hunt) as opened:
        rows = expand(example)
        times = [parse_time(row["Timestamp"]) for mine in rows.values() for row in mine
                 if row.get("Timestamp")]  # fmt: skip
        first = floor(min(times, default=example.interval.start), DAY)
        covers = Interval(min(first, example.interval.start), example.interval.end)
        fill(opened, loaded, hunt, rows, covers)
        if hunt.detection.series:
            return series.score(opened, hunt, example.interval, first, apart=child.unlimited).hits
        return match.match(opened, hunt, example.interval, first)


def expand(example: Example) -> Rows:
    """An example's events by source table, each `repeat` written out."""
    return {
        name: [row for event in events for row in repeated(event)]
        for name, events in example.events.items()
    }


@contextmanager
def bench(loaded: Content, hunt: Hunt) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty warehouse in memory, with the source and staged tables of a hunt."""
    con = database.connect(threads=1)
    try:
        stage_sql.register_functions(con)
        series_function.register(con, kusto_series.compute)
        con.execute("create schema staged")
        for table in tables.TABLES:
            con.execute(next(tables.create(table)))
        for name in hunt.sources:
            _make_source(con, loaded.sources[name])
        for stage in hunt.stages:
            stage_sql.create_stage(con, stage)
        locks.lock(con)
        yield con
    finally:
        con.close()


def _make_source(con: duckdb.DuckDBPyConnection, source: Source) -> None:
    stage_sql.create_source(con, source.ddl)


def fill(
    con: duckdb.DuckDBPyConnection,
    loaded: Content,
    hunt: Hunt,
    rows: Rows,
    covers: Interval,
    file_ids: Mapping[str, Sequence[int]] | None = None,
) -> None:
    """Stages rows into a bench, in place of what it held.

    Args:
        con: from `bench`.
        loaded: the content that names the source tables.
        hunt: whose staged tables are filled.
        rows: by source table, columns by name.
        covers: the time that every file stands for, so that an hour without events in it is a
            quiet one and not a missing one.
        file_ids: the file of each row; without it all are of one.

    Raises:
        InputError: when a row names a table or column that does not exist.
    """
    con.execute("delete from source_files")
    con.execute("delete from file_stages")
    for name in rows.keys() - loaded.sources.keys():
        raise InputError(f"events.{name}: {unknown(name, loaded.sources, 'source table')}")
    for name in rows.keys() - hunt.sources:  # no stage reads them; their rows are checked too
        if not con.execute("from duckdb_tables() where table_name = ?", [name]).fetchall():
            _make_source(con, loaded.sources[name])
    for name in {*rows, *hunt.sources}:
        mine = rows.get(name, ())
        files = (file_ids or {}).get(name) or [_FILE_ID] * len(mine)
        _insert_events(con, loaded.sources[name], mine, files)
        _cover(con, name, covers, set(files) or {_FILE_ID})
    for stage in hunt.stages:
        con.execute(f"delete from {stage.table}")
        columns = quoting.names(name for name, _ in stage.columns)
        con.execute(
            f"insert into {stage.table} ({columns})"
            f" select {columns} from ({stage_sql.strip(stage.sql)})"
        )
        con.execute(
            "insert into file_stages (file_id, stage, stage_hash)"
            " select file_id, ?, ? from source_files where source_table = ?",
            [stage.name, stage.hash, stage.source],
        )
        redeliveries.mark(con, stage.table)
    for stage in hunt.learned:
        _learn(con, stage)


def _learn(con: duckdb.DuckDBPyConnection, stage: StagedTable) -> None:
    """Takes the contexts of all staged rows, in place of what the bench held."""
    con.execute("delete from contexts")
    days = con.execute(
        f"select distinct date_trunc('day', event_time) from {stage.view}"
    ).fetchall()
    if stage.learned and days:
        contexts.take(con, stage.learned, [day for (day,) in days], 1)


def _insert_events(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    rows: Sequence[Mapping[str, Any]],
    file_ids: Sequence[int],
) -> None:
    con.execute(f"delete from {quoting.name(source.name)}")
    kinds = dict(source.columns)
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        if name not in kinds:
            raise InputError(f"events.{source.name}.{name}: {unknown(name, kinds, 'column')}")
    if not rows:
        return
    texts = {name: pa.array([_as_text(row.get(name)) for row in rows], pa.string())
             for name in ("Timestamp", *names)}  # fmt: skip
    con.register(_GIVEN, pa.table({**texts, "file_id": pa.array(file_ids, pa.int64())}))
    casts = ", ".join(
        f"{quoting.name(name)}::{kinds[name]} as {quoting.name(name)}" for name in texts
    )
    ns = stage_sql.nanoseconds("Timestamp", "VARCHAR", '"Timestamp"::timestamptz')
    con.execute(
        f"insert into {quoting.name(source.name)} by name"
        f" select {casts}, file_id, {ns} as timestamp_ns from {quoting.name(_GIVEN)}"
    )
    con.unregister(_GIVEN)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (dict, list)):
        return json.dumps(plain_values.plain(value))
    return str(plain_values.plain(value))


def _cover(
    con: duckdb.DuckDBPyConnection, source: str, covers: Interval, file_ids: Collection[int]
) -> None:
    con.execute(
        """insert into source_files (file_id, source_table, path, covers_start, covers_end, state,
                                     seen_seq)
           select unnest(?::bigint[]), ?, 'example', ?, ?, 'staged', 1""",
        [sorted(file_ids), source, covers.start, covers.end],
    )


def _shown(hunt: Hunt, hit: Hit) -> dict[str, Any]:
    """A hit as an example may describe it."""
    return {
        **plain_values.plain(hit.row),
        **words.present(hunt.detection, hit.row),
        "evidence_count": hit.evidence_count,
    }


def _differences(wanted: Mapping[str, Any], finding: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name, value in wanted.items()
        if name not in finding or not _equal(plain_values.plain(value), finding[name])
    ]


def _equal(wanted: Any, actual: Any) -> bool:
    if isinstance(wanted, float | int) and isinstance(actual, float | int):
        return math.isclose(wanted, actual, rel_tol=1e-6, abs_tol=1e-9)
    return bool(_normal(wanted) == _normal(actual))


def _normal(value: Any) -> Any:
    """Times compare as moments however they are written."""
    if isinstance(value, str) and len(value) >= 10 and value[4:5] == "-":
        try:
            return parse_time(value).astimezone(UTC)
        except InputError:
            return value
    return value


def _nearest(wanted: Mapping[str, Any], left: Sequence[Mapping[str, Any]]) -> str:
    """What the nearest finding has instead."""
    if not left:
        return ""
    near = min(left, key=lambda finding: len(_differences(wanted, finding)))
    instead = {name: near.get(name) for name in _differences(wanted, near)}
    return f"; the nearest has {plain_values.canonical(instead)}"


def _brief(finding: Mapping[str, Any]) -> dict[str, Any]:
    return {name: finding[name] for name in ("title", "start_time", "end_time") if name in finding}
