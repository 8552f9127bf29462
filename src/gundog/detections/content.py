"""Folders of detections and SQL read into one value, checked against each other and by DuckDB.

A folder holds `detections/`, `sql/`, `sql/sources/` and `sql/stage/`. Later folders win: a stage
file of your own with the name of a shipped one replaces it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from gundog.core import severity
from gundog.core.errors import Problem
from gundog.core.fields import brief, plain_key, unknown
from gundog.detections import (
    checks,
    content_folder,
    detection,
    detection_files,
    detection_yaml,
    stage_keys,
    stage_sql,
    table_files,
)
from gundog.detections.content_folder import UNWATCHED, Watch
from gundog.detections.detection import Detection
from gundog.detections.detection_files import Claim, Place
from gundog.detections.hunt import Content, Hunt
from gundog.detections.staged import StagedTable
from gundog.warehouse import (
    context_columns,
    database,
    locks,
    quoting,
    series_function,
    statement,
)

# What any file system takes below any project folder.
_LONGEST_PATH = 512
_SHORTEST_SECRET = 6
_OVERRIDING = frozenset().union(
    detection.OVERRIDES,
    detection.SERIES_KEYS,
    severity.STATUSES,
    severity.SEVERITIES,
    detection.METHODS,
    detection.TRENDS,
    ("groupBy", "duration"),
)


def load(
    where: Iterable[Path],
    overrides: Mapping[str, Any] | None = None,
    root: Path | None = None,
    watch: Watch = UNWATCHED,
) -> Content:
    """All content of the folders, checked.

    Args:
        where: content folders; later ones win.
        overrides: what gundog.yaml overrides, by detection stem or id.
        root: paths in messages are relative to it where they lie below it.
        watch: is told of each file, and may leave some out.

    Returns:
        What works; what does not is named in `problems`.
    """
    problems: list[Problem] = []
    where = tuple(where)
    con = database.connect(threads=1)
    _register(con)
    locks.lock(con)  # no SQL of a content folder is trusted, not even to be bound
    sources = table_files.load_sources(con, where, root, problems, watch)
    stages = table_files.load_stages(con, where, root, sources, problems, watch)
    hunts = _load_hunts(con, where, root, stages, overrides or {}, problems, watch)
    con.close()
    return Content(sources, stages, hunts, tuple(sorted(set(problems))))


def _register(con: duckdb.DuckDBPyConnection) -> None:
    stage_sql.declare_functions(con)
    series_function.FUNCTION.declare(con)
    con.execute("create schema if not exists staged")


def _load_hunts(
    con: duckdb.DuckDBPyConnection,
    where: tuple[Path, ...],
    root: Path | None,
    stages: Mapping[str, StagedTable],
    overrides: Mapping[str, Any],
    problems: list[Problem],
    watch: Watch,
) -> tuple[Hunt, ...]:
    loaded: dict[Path, Hunt] = {}
    claims = []
    places = detection_files.find(where, partial(content_folder.shown, root=root), problems)
    for place in places:
        own_problems: list[Problem] = []
        override = overrides.get(place.stem)
        hunt = None
        if watch.passes(place.path, place.shown, problems):
            hunt = _load_detection(con, place, where, stages, override, own_problems)
        if hunt:
            loaded[place.path] = hunt
        problems += own_problems
        key = hunt.detection.id if hunt else detection.claimed_id(place.path)
        claims.append(Claim(place, key, hunt is not None))
    kept, doubled = detection_files.contest(claims)
    stems = sorted({place.stem for place in places})
    problems += doubled
    problems += [
        Problem(
            "gundog.yaml",
            plain_key(f"overrides.{name}"),
            unknown(name, stems, "detection", secret=True),
        )
        for name in overrides
        if name not in stems
    ]
    hunts = [hunt for path, hunt in loaded.items() if path in kept]
    return tuple(sorted(hunts, key=lambda hunt: hunt.detection.stem))


def _load_detection(
    con: duckdb.DuckDBPyConnection,
    place: Place,
    where: tuple[Path, ...],
    stages: Mapping[str, StagedTable],
    override: Any,
    problems: list[Problem],
) -> Hunt | None:
    """The hunt of one detection's file; None when anything is wrong with it."""
    try:
        read = detection_yaml.load(place.path, place.shown, problems, override)
        hunt = _load_hunt(con, read, (place.folder, *where), stages, problems) if read else None
    except Exception as error:  # whatever a file makes gundog do wrong must never stop the others
        problems.append(content_folder.defect_of(place.shown, error))
    problems[:] = [_without(_texts(override), problem) for problem in problems]
    return None if problems else hunt


def _texts(value: Any) -> Iterator[str]:
    """The texts in what gundog.yaml overrides: any may be a password in the wrong place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (*_texts(key), *_texts(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str) and len(value) >= _SHORTEST_SECRET and value not in _OVERRIDING:
        yield value


def _without(texts: Iterable[str], problem: Problem) -> Problem:
    reason = problem.reason
    for text in sorted(texts, key=len, reverse=True):
        reason = reason.replace(repr(text)[1:-1], "…").replace(text, "…")
    return Problem(problem.path, problem.key, reason)


def _load_hunt(
    con: duckdb.DuckDBPyConnection,
    loaded: Detection,
    where: tuple[Path, ...],
    stages: Mapping[str, StagedTable],
    problems: list[Problem],
) -> Hunt | None:
    sql = _read_sql(loaded, "sql", loaded.sql, where, stages, problems)
    joined = loaded.series.join if loaded.series else ""
    join = _read_sql(loaded, "series.join", joined, where, stages, problems) if joined else ""
    if sql is None or join is None:
        return None
    names = statement.references(sql).tables | (
        statement.references(join).tables if join else set()
    )
    readable = _readable(stages)
    read = tuple(stages[name] for name in sorted({readable[name] for name in names}))
    problems += checks.parameter_problems(loaded, sql, join)
    if not problems:
        problems += checks.optional_problems(loaded, [stage.name for stage in read])
        problems += checks.column_problems(con, loaded, sql, join, read)
    kept = [
        stage_keys.shown(stage.contexts)
        for stage in read
        if context_columns.view_name(stage.name) in names
    ]
    return Hunt(loaded, sql, read, hunt_hash(loaded, sql + "\n" + join, read, kept), join)


def _readable(stages: Mapping[str, StagedTable]) -> dict[str, str]:
    """The stage behind each table that a hunt may read: itself, or the contexts of it."""
    kept = {
        context_columns.view_name(name): name for name, stage in stages.items() if stage.contexts
    }
    return {name: name for name in stages} | kept


def _read_sql(
    loaded: Detection,
    key: str,
    name: str,
    where: tuple[Path, ...],
    stages: Mapping[str, StagedTable],
    problems: list[Problem],
) -> str | None:
    """The text of a SQL file that a detection names; None when it does not exist or is refused."""
    if not _is_sql_name(name):
        reason = (
            f"{brief(name)} is not a file below sql/: write letters A to Z, digits and _, then .sql"
        )
        problems.append(Problem(loaded.shown, key, reason))
        return None
    paths = (content_folder.layout(folder).sql / name for folder in where)
    path = next((path for path in paths if os.path.lexists(path)), None)
    if not path:
        reason = f"sql/{name} does not exist: create it or correct the name"
        problems.append(Problem(loaded.shown, key, reason))
        return None
    sql = content_folder.text_of(path, f"sql/{name}", problems)
    if sql is None:
        return None
    refused = statement.check_statement(sql, set(_readable(stages)), f"sql/{name}")
    if not refused:
        refused = _for_stages_only(sql)
    problems += [Problem(f"sql/{name}", "", reason) for reason in refused]
    return None if refused else sql


def _for_stages_only(sql: str) -> list[str]:
    """What is wrong with a hunt that calls gundog's own functions, which hunts do not have."""
    called = sorted(statement.see(sql).functions.intersection(stage_sql.VERSIONS))
    return [
        f"calls {name}, which only stages may call: call it in sql/stage/ and keep its result"
        for name in called
    ]


def _is_sql_name(name: str) -> bool:
    """True for a name that stays below sql/, in folders or not."""
    stem, dot, ending = name.rpartition(".")
    parts = stem.split("/")
    fits = len(stem) <= _LONGEST_PATH and all(len(part) <= quoting.LONGEST for part in parts)
    return dot + ending == ".sql" and fits and all(map(quoting.is_word, parts))


def hunt_hash(
    loaded: Detection, sql: str, read: tuple[StagedTable, ...], kept: Sequence[str] = ()
) -> str:
    """The hash of everything in a detection that can change its rows.

    `kept` are the contexts that it reads, each as its stage's header names them.
    """
    settings = {
        "params": loaded.params,
        "lookback": loaded.lookback,
        "frequency": loaded.frequency,
        "identity": loaded.identity,
        "series": loaded.series.settings if loaded.series else None,
    }
    settings |= {"optionalTables": loaded.optional} if loaded.optional else {}
    parts = [stage_sql.canonical(sql), json.dumps(settings, sort_keys=True, default=str)]
    return stage_sql.digest([*parts, *(stage.hash for stage in read), *kept])
