"""Checks that a hunt's YAML and SQL belong together."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb

from gundog.core.errors import Problem
from gundog.core.fields import brief, brief_name, unknown
from gundog.core.times import DAY
from gundog.detections import stage_sql
from gundog.detections.detection import Detection
from gundog.detections.staged import StagedTable
from gundog.warehouse import quoting, schema, statement, tables

_MATCH_COLUMNS = {"start_time": "TIMESTAMP WITH TIME ZONE", "end_time": "TIMESTAMP WITH TIME ZONE"}


_EVIDENCE_TYPE = "STRUCT(role VARCHAR, source_table VARCHAR, event_id UUID)[]"


_ENGINE_PARAMS = frozenset({"start", "end", "staged_from"})


_JOIN_PARAMS = _ENGINE_PARAMS | {"flagged"}


_SERIES_TITLE = frozenset(
    {"observed", "expected", "score", "hours", "start_time", "end_time", "series_key"}
)


_MOST_COLUMNS = 1_000


def columns_of(
    con: duckdb.DuckDBPyConnection, select: str, params: Any = None
) -> tuple[tuple[str, str], ...]:
    rows = con.execute(f"describe {select}", params or {}).fetchall()
    return tuple((row[0], row[1]) for row in rows)


def column_name_problems(
    where: str, columns: Iterable[tuple[str, str]], own: str = schema.IS_COPY
) -> Iterator[Problem]:
    """Problems with the columns that a SELECT returns: their number and names."""
    columns, seen = tuple(columns), set[str]()
    if len(columns) > _MOST_COLUMNS:
        reason = f"returns {len(columns):,} columns: name those that are needed, up to"
        yield Problem(where, "", f"{reason} {_MOST_COLUMNS:,}")
        return
    for name, _ in columns:
        if reason := quoting.column_problem(name):
            yield Problem(where, "", f"{name[:40]!r} {reason}")
        elif quoting.folded(name) == own:
            yield Problem(where, name, "is reserved by gundog: rename the column")
        elif quoting.folded(name) in seen:
            yield Problem(
                where, name, "is returned twice: DuckDB ignores case, so rename one of them"
            )
        seen.add(quoting.folded(name))


def parameter_problems(loaded: Detection, sql: str, join: str) -> list[Problem]:
    file = f"sql/{loaded.sql}"
    named, used = set(loaded.params), statement.parameters(sql)
    problems = _missing_params(loaded, used - named - _ENGINE_PARAMS, file)
    if join and loaded.series:
        joined = statement.parameters(join)
        used |= joined
        other = f"sql/{loaded.series.join}"
        problems += _missing_params(loaded, joined - named - _JOIN_PARAMS, other)
        if "flagged" not in joined:
            problems.append(Problem(other, "$flagged", "is not used: read the flagged hours of it"))
    problems += [
        Problem(
            loaded.shown, f"params.{name}", f"is not used by {file}: use ${name} there or remove it"
        )
        for name in sorted(named - used)
    ]
    problems += [
        Problem(file, f"${name}", "is not used: rows must be limited to [$start, $end)")
        for name in ("start", "end")
        if name not in statement.parameters(sql)
    ]
    return problems


def _missing_params(loaded: Detection, names: frozenset[str], file: str) -> list[Problem]:
    return [
        Problem(loaded.shown, f"params.{name}", f"is missing, but {file} uses ${name}: add it")
        for name in sorted(names)
    ]


def bind_params(
    hunt_params: Mapping[str, Any], start: datetime, end: datetime, staged_from: datetime
) -> dict[str, Any]:
    """All parameters a hunt may name."""
    return {**hunt_params, "start": start, "end": end, "staged_from": staged_from}


def optional_problems(loaded: Detection, read: Sequence[str]) -> list[Problem]:
    """Problems with the tables that a hunt says it can do without."""
    if read and not set(read) - set(loaded.optional):
        reason = "names every table that the SQL reads: leave out those it cannot do without"
        return [Problem(loaded.shown, "optionalTables", reason)]
    return [
        Problem(
            loaded.shown,
            "optionalTables",
            f"names {brief_name(name)}, which sql/{loaded.sql} does not read: remove it",
        )
        for name in loaded.optional
        if name not in read
    ]


def column_problems(
    con: duckdb.DuckDBPyConnection,
    loaded: Detection,
    sql: str,
    join: str,
    read: tuple[StagedTable, ...],
) -> list[Problem]:
    """Problems with the columns that a hunt reads or returns, found by binding it."""
    series, problems = loaded.series, list[Problem]()
    matches = {**dict.fromkeys(loaded.identity), **_MATCH_COLUMNS, "evidence": _EVIDENCE_TYPE}
    hours: dict[str, str | None] = {}
    if series:
        hours = {"hour": "TIMESTAMP WITH TIME ZONE", series.measure: None}
        hours |= dict.fromkeys((*series.by, *series.newness))
    if series and not join:
        hours |= dict.fromkeys(loaded.identity)
    returned = _check_columns(
        con, loaded, sql, f"sql/{loaded.sql}", read, hours or matches, problems
    )
    if series and join and not problems:
        file = f"sql/{series.join}"
        returned = _check_columns(con, loaded, join, file, read, matches, problems)
    elif series:
        returned |= _SERIES_TITLE
    bound = not any(problem.key == "" for problem in problems)
    return problems + (_template_problems(loaded, returned) if bound else [])


def _check_columns(
    con: duckdb.DuckDBPyConnection,
    loaded: Detection,
    sql: str,
    file: str,
    read: tuple[StagedTable, ...],
    wanted: Mapping[str, str | None],
    problems: list[Problem],
) -> set[str]:
    """The columns that one SELECT returns; adds a problem for each wanted one that is not right."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    params = bind_params(loaded.params, moment, moment + DAY, moment)
    if loaded.series:
        hour = {**dict.fromkeys(loaded.series.by, ""), "hour": moment, loaded.series.measure: 0.0}
        params["flagged"] = [{**hour, "anomalies": 0.0, "score": 0.0, "baseline": 0.0}]
    params = {name: value for name, value in params.items() if name in statement.parameters(sql)}
    try:
        columns = dict(columns_of(con, f"select * from ({stage_sql.strip(sql)})", params))
    except duckdb.Error as error:
        problems.append(Problem(file, "", _bind_message(error, read)))
        return set()
    problems += column_name_problems(file, columns.items(), own="")
    for name, kind in wanted.items():
        if name not in columns:
            problems.append(
                Problem(
                    file,
                    brief_name(name),
                    "is not returned: add this column to the final select",
                )
            )
        elif kind and columns[name].replace('"', "") != kind:
            problems.append(Problem(file, name, f"has the type {columns[name]}: cast it to {kind}"))
    return set(columns)


def _template_problems(loaded: Detection, returned: set[str]) -> list[Problem]:
    """Problems with columns named by the title, entity mappings and suppression."""
    findings = {column.name for column in tables.FINDINGS.columns}
    named = [("title", name) for name in template_fields(loaded.title)]
    named += [("entityMappings", name) for entity in loaded.entities for _, name in entity.columns]
    if loaded.suppression:
        named += [("suppression.groupBy", name) for name in loaded.suppression.group_by]
    return [
        Problem(
            loaded.shown,
            key,
            f"names {brief(name)}: {unknown(name, returned | findings, 'column')}",
        )
        for key, name in named
        if name not in returned | findings
    ]


def template_fields(template: str) -> list[str]:
    """The column names that a title template holds.

    >>> template_fields("{account_name} on {host_name}")
    ['account_name', 'host_name']
    """
    try:
        return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError:
        return [template]


def _bind_message(error: duckdb.Error, read: tuple[StagedTable, ...]) -> str:
    text = first_line(error)
    if "not found in FROM clause" in text or "does not have a column named" in text:
        return f"{text}: if it is not staged yet, add it to {' or '.join(s.path for s in read)}"
    return text


def first_line(error: BaseException) -> str:
    """The first line, and what DuckDB thinks was meant."""
    first = str(error).strip().splitlines()[0]
    _, separator, candidates = statement.message(error).partition("; candidates: ")
    return first.rstrip("!") + separator + candidates
