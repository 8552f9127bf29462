"""Sources and staged tables of the content folders, read and checked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import duckdb

from gundog.core.errors import Problem, QueryError
from gundog.detections import checks, content_folder, source_ddl, stage_keys, stage_sql, staged
from gundog.detections.content_folder import Watch
from gundog.detections.staged import Source, StagedTable
from gundog.warehouse import context_columns, quoting, statement, tables


def load_sources(
    con: duckdb.DuckDBPyConnection,
    where: tuple[Path, ...],
    root: Path | None,
    problems: list[Problem],
    watch: Watch,
) -> dict[str, Source]:
    made: dict[str, tuple[str, str]] = {}
    for name, path in content_folder.sql_files(where, "sources", root, problems).items():
        own_problems: list[Problem] = []
        shown = content_folder.shown(path, root)
        if not watch.passes(path, shown, problems):
            continue
        ddl = None
        try:
            ddl = _load_source(con, name, path, shown, own_problems)
        except Exception as error:  # as of a detection
            own_problems.append(content_folder.defect_of(shown, error))
        problems += own_problems
        if ddl and not own_problems:
            made[name] = shown, ddl
    sources: dict[str, Source] = {}
    columns = _columns(con)
    for name, (shown, ddl) in made.items():
        if "Timestamp" in dict(columns.get(name, ())):
            sources[name] = Source(name, ddl, columns[name])
        else:
            problems.append(Problem(shown, "Timestamp", "is missing: every source has one"))
    return sources


def _columns(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[tuple[str, str], ...]]:
    """Name and type of the columns of every table, in one question for all of them."""
    columns = defaultdict[str, list[tuple[str, str]]](list)
    for table, name, kind in con.execute(
        """select table_name, column_name, data_type from duckdb_columns()
           where schema_name = 'main' and not internal order by table_name, column_index"""
    ).fetchall():
        if name not in staged.BESIDE_SOURCE:
            columns[table].append((name, kind))
    return {table: tuple(pairs) for table, pairs in columns.items()}


def _load_source(
    con: duckdb.DuckDBPyConnection, name: str, path: Path, where: str, problems: list[Problem]
) -> str | None:
    """The CREATE TABLE of a source, which was run; None where it cannot be."""
    problems += _name_problems(where, name, ())
    text = content_folder.text_of(path, where, problems)
    if text is None or problems:
        return None
    try:
        ddl = source_ddl.read(text, name)
        stage_sql.create_source(con, ddl)
    except QueryError as error:
        problems.append(Problem(where, "", str(error)))
        return None
    except duckdb.Error as error:
        reason = f"{checks.first_line(error)}: write one CREATE TABLE {name} (…)"
        problems.append(Problem(where, "", reason))
        return None
    return ddl


def _name_problems(where: str, name: str, others: Iterable[str]) -> Iterator[Problem]:
    """Problems with the name of a source or staged table, which is its file's."""
    if not quoting.is_word(name):
        reason = f"{name!r} is not a table name: rename the file with letters A to Z, digits and _"
        yield Problem(where, "", reason)
        return
    taken = {quoting.folded(other) for other in others} | {table.name for table in tables.TABLES}
    taken |= {context_columns.view_name(quoting.folded(other)) for other in others}
    if quoting.folded(name) in taken or statement.is_system((name,)):
        yield Problem(where, "", f"{name!r} is taken by another table: rename the file")


def load_stages(
    con: duckdb.DuckDBPyConnection,
    where: tuple[Path, ...],
    root: Path | None,
    sources: Mapping[str, Source],
    problems: list[Problem],
    watch: Watch,
) -> dict[str, StagedTable]:
    stages: dict[str, StagedTable] = {}
    for name, path in content_folder.sql_files(where, "stage", root, problems).items():
        own_problems: list[Problem] = []
        others = {*sources, *stages}
        if not watch.passes(path, content_folder.shown(path, root), problems):
            continue
        stage = None
        try:
            stage = _load_stage(
                con, name, path, content_folder.shown(path, root), sources, others, own_problems
            )
            if stage and not own_problems:
                stage_sql.create_stage(con, stage)
        except Exception as error:  # as of a detection
            own_problems.append(content_folder.defect_of(content_folder.shown(path, root), error))
        problems += own_problems
        if stage and not own_problems:
            stages[name] = stage
    return stages


def _load_stage(
    con: duckdb.DuckDBPyConnection,
    name: str,
    path: Path,
    where: str,
    sources: Mapping[str, Source],
    others: Iterable[str],
    problems: list[Problem],
) -> StagedTable | None:
    sql = content_folder.text_of(path, where, problems)
    if sql is None:
        return None
    problems += _name_problems(where, name, others)
    problems += [
        Problem(where, "", reason) for reason in statement.check_statement(sql, set(sources), where)
    ]
    if problems:
        return None
    read = sorted(statement.references(sql).tables)
    if len(read) != 1:
        problems.append(
            Problem(
                where, "", f"reads {', '.join(read) or 'nothing'}: read exactly one source table"
            )
        )
        return None
    try:
        columns = checks.columns_of(con, stage_sql.strip(sql))
    except duckdb.Error as error:
        problems.append(Problem(where, "", checks.first_line(error)))
        return None
    for column, kind in staged.STAGE_COLUMNS.items():
        if dict(columns).get(column) != kind:
            problems.append(Problem(where, column, f"must be returned, with the type {kind}"))
    problems += checks.column_name_problems(where, columns)
    keys = stage_keys.parse(sql)
    problems += [
        Problem(where, "Keys", reason) for reason in stage_keys.problems(keys, dict(columns))
    ]
    kept = stage_keys.parse(sql, "Contexts")
    problems += [
        Problem(where, "Contexts", reason)
        for reason in stage_keys.context_problems(kept, dict(columns))
    ]
    return StagedTable(
        name, where, sql, read[0], stage_sql.stage_hash(sql, sources[read[0]]), columns, keys, kept
    )
