"""Folders of detections and SQL read into one value, checked against each other and by DuckDB.

A folder holds `detections/`, `sql/`, `sql/sources/` and `sql/stage/`. Later folders win: a stage
file of one's own with the name of a shipped one replaces it.
"""

from __future__ import annotations

import hashlib
import json
import os
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from gundog import (
    cmdlets,
    commandline,
    detection,
    detection_files,
    locks,
    quoting,
    records,
    redelivery,
    source_ddl,
    stage_keys,
    statement,
    tables,
    text_files,
    warehouse,
)
from gundog.detection import Detection
from gundog.detection_files import Claim, Place
from gundog.errors import ContentError, InputError, Problem, QueryError
from gundog.fields import brief, brief_name, plain_key, unknown
from gundog.stage_keys import Keys

STAGE_COLUMNS = {
    "file_id": "BIGINT",
    "event_id": "UUID",
    "event_time": "TIMESTAMP WITH TIME ZONE",
    "reject_reason": "VARCHAR",
    "tenant": "VARCHAR",
}
HIDDEN_COLUMNS = ("file_id", "reject_reason")
_MATCH_COLUMNS = {"start_time": "TIMESTAMP WITH TIME ZONE", "end_time": "TIMESTAMP WITH TIME ZONE"}
_EVIDENCE_TYPE = "STRUCT(role VARCHAR, source_table VARCHAR, event_id UUID)[]"
_ENGINE_PARAMS = frozenset({"start", "end", "staged_from"})
_JOIN_PARAMS = _ENGINE_PARAMS | {"flagged"}
_SERIES_TITLE = frozenset(
    {"observed", "expected", "score", "hours", "start_time", "end_time", "series_key"}
)
# What any file system takes below any project folder.
_LONGEST_PATH = 512
_SHORTEST_SECRET = 6
_OVERRIDING = frozenset().union(
    detection.OVERRIDES,
    detection.SERIES_KEYS,
    detection.STATUSES,
    detection.SEVERITIES,
    detection.METHODS,
    detection.TRENDS,
    ("groupBy", "duration"),
)
# What is said of an error that nobody foresaw.
DEFECT = "a defect of gundog"
_NORMALISE = "normalise_command_line"
_NORMALISE_RECORD = "normalise_record"
_CMDLETS = "cmdlets_run"
_VERSIONS = {
    _NORMALISE: f"{commandline.VERSION}",
    _NORMALISE_RECORD: f"{records.VERSION}",
    _CMDLETS: f"{cmdlets.VERSION} {commandline.VERSION}",
}
_MOST_COLUMNS = 1_000


@dataclass(frozen=True)
class Source:
    """A source table: its CREATE TABLE and the columns that it promises, with their types."""

    name: str
    ddl: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Stage:
    """A staged table: the SELECT that fills it, from which source, with which columns.

    `keys` are the columns without which a row is of no use; they change no row and no hash.
    """

    name: str
    path: str
    sql: str
    source: str
    hash: str
    columns: tuple[tuple[str, str], ...]
    keys: Keys = ()

    @property
    def table(self) -> str:
        """The physical table as SQL writes it; a changed SELECT has another, so that rows of two
        never mix."""
        return staged_table(f"{self.name}_{self.hash[:8]}")

    @property
    def view(self) -> str:
        """The view of it that hunts read, by its name as SQL writes it."""
        return f"main.{quoting.name(self.name)}"


def staged_table(name: str) -> str:
    """A table of the schema that holds staged rows, as SQL writes it."""
    return f"staged.{quoting.name(name)}"


@dataclass(frozen=True)
class Hunt:
    """A detection with its SQL and the staged tables that it reads.

    `join` is the SELECT that turns the flagged hours of a series of method kql into findings.
    """

    detection: Detection
    sql: str
    stages: tuple[Stage, ...]
    hash: str
    join: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(sorted({stage.source for stage in self.stages}))

    @property
    def needs_history(self) -> bool:
        """True when the SQL asks since when its sources are staged, so that it may be learning."""
        return "staged_from" in statement.parameters(self.sql)


@dataclass(frozen=True)
class Content:
    """Everything in the content folders that works, and every problem with what does not."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    stages: Mapping[str, Stage] = field(default_factory=dict)
    hunts: tuple[Hunt, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def detections(self) -> tuple[Detection, ...]:
        return tuple(hunt.detection for hunt in self.hunts)

    def hunt(self, name: str) -> Hunt:
        """The hunt of the detection with this id or file stem; InputError when there is none."""
        found = detection.find(self.detections, name)
        return next(hunt for hunt in self.hunts if hunt.detection is found)


def builtin() -> Path:
    """The folder of the content that ships: inside the wheel, or this repository's own."""
    packed = Path(__file__).parent / "content"
    return packed if packed.is_dir() else Path(__file__).parents[2]


def folders(names: Iterable[str], root: Path) -> tuple[Path, ...]:
    """The content folders that gundog.yaml names, each once."""
    found = [builtin() if name == "builtin" else (root / name).resolve() for name in names]
    return tuple(dict.fromkeys(folder.resolve() for folder in found))


@dataclass(frozen=True)
class Watch:
    """Tells which file is read at the moment; those in `skip` are problems and not read."""

    skip: Mapping[str, str] = field(default_factory=dict)
    at: Callable[[str], object] = len

    def passes(self, path: Path, where: str, problems: list[Problem]) -> bool:
        """True when the file is to be read."""
        if why := self.skip.get(str(path)):
            problems.append(Problem(where, "", why))
            return False
        self.at(str(path))
        return True


def load(
    where: Iterable[Path],
    overrides: Mapping[str, Any] | None = None,
    root: Path | None = None,
    watch: Watch = Watch(),
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
    con = warehouse.connect()
    _register(con)
    locks.lock(con)  # no SQL of a content folder is trusted, not even to be bound
    sources = _load_sources(con, where, root, problems, watch)
    stages = _load_stages(con, where, root, sources, problems, watch)
    hunts = _load_hunts(con, where, root, stages, overrides or {}, problems, watch)
    con.close()
    return Content(sources, stages, hunts, tuple(sorted(set(problems))))


def require(content: Content) -> Content:
    """The content, or a ContentError with every problem."""
    if content.problems:
        raise ContentError(content.problems)
    return content


def _register(con: duckdb.DuckDBPyConnection) -> None:
    register_functions(con)
    con.execute("create schema if not exists staged")


def register_functions(con: duckdb.DuckDBPyConnection) -> None:
    """Makes gundog's own functions known to a connection that runs stage SQL."""

    def normalise(text: str) -> dict[str, Any]:
        plain, steps = commandline.normalise(text)
        return {"text": plain, "steps": list(steps)}

    def run(text: str) -> list[dict[str, str]]:
        return [{"name": one.name, "arguments": one.arguments} for one in cmdlets.run_by(text)]

    con.create_function(
        _NORMALISE,
        normalise,
        ["VARCHAR"],
        "STRUCT(text VARCHAR, steps VARCHAR[])",
    )
    con.create_function(_NORMALISE_RECORD, records.normalise, ["VARCHAR", "VARCHAR"], "VARCHAR")
    con.create_function(_CMDLETS, run, ["VARCHAR"], "STRUCT(name VARCHAR, arguments VARCHAR)[]")


def shown(path: Path, root: Path | None) -> str:
    """The path as people know it: relative to the project where it lies below it."""
    for base in (root, builtin()):
        if base and path.is_relative_to(base.resolve()):
            return text_files.readable(str(path.relative_to(base.resolve())))
    return text_files.readable(str(path))


def _files(
    where: Iterable[Path], below: str, root: Path | None, problems: list[Problem]
) -> dict[str, Path]:
    """SQL files by stem; a later folder's wins."""
    found: dict[str, Path] = {}
    for folder in where:
        listed = text_files.find(folder / below, (".sql",))
        problems += [Problem(shown(path, root), "", what) for path, what in listed.wrong]
        found |= {path.stem: path for path in listed.files}
    return found


def _text(path: Path, where: str, problems: list[Problem]) -> str | None:
    """The text of a file; None, with a problem noted, when it cannot be read."""
    try:
        return text_files.read(path)
    except InputError as error:
        problems.append(Problem(where, "", str(error)))
        return None


def _load_sources(
    con: duckdb.DuckDBPyConnection,
    where: tuple[Path, ...],
    root: Path | None,
    problems: list[Problem],
    watch: Watch,
) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for name, path in _files(where, "sql/sources", root, problems).items():
        found: list[Problem] = []
        if not watch.passes(path, shown(path, root), problems):
            continue
        source = None
        try:
            source = _load_source(con, name, path, shown(path, root), found)
        except Exception as error:  # as of a detection
            found.append(_defect(shown(path, root), error))
        problems += found
        if source and not found:
            sources[name] = source
    return sources


def _load_source(
    con: duckdb.DuckDBPyConnection, name: str, path: Path, where: str, problems: list[Problem]
) -> Source | None:
    problems += _name_problems(where, name, ())
    text = _text(path, where, problems)
    if text is None or problems:
        return None
    try:
        ddl = source_ddl.read(text, name)
        con.execute(ddl)
        columns = _columns(con, f"from {quoting.name(name)}")
        add_hidden_columns(con, name)
    except QueryError as error:
        problems.append(Problem(where, "", str(error)))
        return None
    except duckdb.Error as error:
        what = f"{_first_line(error)}: write one CREATE TABLE {name} (…)"
        problems.append(Problem(where, "", what))
        return None
    if "Timestamp" not in dict(columns):
        problems.append(Problem(where, "Timestamp", "is missing: every source has one"))
    return Source(name, ddl, columns)


def _name_problems(where: str, name: str, others: Iterable[str]) -> Iterator[Problem]:
    """Problems with the name of a source or staged table, which is its file's."""
    if not quoting.is_word(name):
        what = f"{name!r} is no table name: rename the file with letters A to Z, digits and _"
        yield Problem(where, "", what)
        return
    taken = {quoting.folded(one) for one in others} | {table.name for table in tables.TABLES}
    if quoting.folded(name) in taken or statement.is_system((name,)):
        yield Problem(where, "", f"{name!r} is taken by another table: rename the file")


def add_hidden_columns(con: duckdb.DuckDBPyConnection, source: str) -> None:
    """Adds what stage SQL may read beside a source's own columns.

    `file_id` is the file, `timestamp_ns` the file's own Timestamp in ns since 1970: a TIMESTAMPTZ
    has no room for Kusto's ticks of 100 ns.
    """
    for column in ("file_id", "timestamp_ns"):
        con.execute(f"alter table {quoting.name(source)} add column {column} BIGINT")


def nanoseconds(column: str | None, held: str, moment: str) -> str:
    """The expression for `timestamp_ns`.

    Args:
        column: the file's column that holds the time; None when it has none.
        held: that column's DuckDB type.
        moment: the expression for the same time as TIMESTAMPTZ.
    """
    quoted = quoting.name(column or "")
    if held.endswith("_NS"):
        return f"epoch_ns({quoted})"
    whole = f"try(epoch_ns({moment}))"
    if held == "VARCHAR":  # a cast of text drops what is finer than 1 us
        finer = rf"rpad(regexp_extract({quoted}, '[.,]\d{{6}}(\d{{1,3}})', 1), 3, '0')"
        return f"{whole} + try_cast({finer} as bigint)"
    return whole


def _columns(
    con: duckdb.DuckDBPyConnection, select: str, params: Any = None
) -> tuple[tuple[str, str], ...]:
    rows = con.execute(f"describe {select}", params or {}).fetchall()
    return tuple((row[0], row[1]) for row in rows)


def _load_stages(
    con: duckdb.DuckDBPyConnection,
    where: tuple[Path, ...],
    root: Path | None,
    sources: Mapping[str, Source],
    problems: list[Problem],
    watch: Watch,
) -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    for name, path in _files(where, "sql/stage", root, problems).items():
        found: list[Problem] = []
        others = {*sources, *stages}
        if not watch.passes(path, shown(path, root), problems):
            continue
        stage = None
        try:
            stage = _load_stage(con, name, path, shown(path, root), sources, others, found)
            if stage and not found:
                create_stage(con, stage)
        except Exception as error:  # as of a detection
            found.append(_defect(shown(path, root), error))
        problems += found
        if stage and not found:
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
) -> Stage | None:
    sql = _text(path, where, problems)
    if sql is None:
        return None
    problems += _name_problems(where, name, others)
    problems += [
        Problem(where, "", what) for what in statement.check_statement(sql, set(sources), where)
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
        columns = _columns(con, strip(sql))
    except duckdb.Error as error:
        problems.append(Problem(where, "", _first_line(error)))
        return None
    for column, kind in STAGE_COLUMNS.items():
        if dict(columns).get(column) != kind:
            problems.append(Problem(where, column, f"must be returned, with the type {kind}"))
    problems += _column_name_problems(where, columns)
    keys = stage_keys.parse(sql)
    problems += [Problem(where, "Keys", what) for what in stage_keys.problems(keys, dict(columns))]
    return Stage(name, where, sql, read[0], stage_hash(sql, sources[read[0]]), columns, keys)


def _column_name_problems(
    where: str, columns: Iterable[tuple[str, str]], own: str = redelivery.COLUMN
) -> Iterator[Problem]:
    """Problems with the columns that a SELECT returns: their number and names."""
    columns, seen = tuple(columns), set[str]()
    if len(columns) > _MOST_COLUMNS:
        what = f"returns {len(columns):,} columns: name those that are needed, up to"
        yield Problem(where, "", f"{what} {_MOST_COLUMNS:,}")
        return
    for name, _ in columns:
        if what := quoting.column_problem(name):
            yield Problem(where, "", f"{name[:40]!r} {what}")
        elif quoting.folded(name) == own:
            yield Problem(where, name, "is gundog's own: rename the column")
        elif quoting.folded(name) in seen:
            yield Problem(where, name, "is returned twice: DuckDB sees no case, rename one of them")
        seen.add(quoting.folded(name))


def stage_hash(sql: str, source: Source) -> str:
    """The hash of everything that can change the rows of a staged table.

    Of gundog's own functions that the SQL calls it covers the version, not the code.
    """
    plain = canonical(sql)
    called = (f"{name} {version}" for name, version in _VERSIONS.items() if name in plain.lower())
    kinds = (f"{name} {kind}" for name, kind in source.columns)
    return _digest([plain, *kinds, redelivery.COLUMN, *called])


def canonical(sql: str) -> str:
    """The SQL without comments and with single blanks, so that prose changes no hash.

    >>> canonical("select 1 -- one" + chr(10) + "   , '--x'")
    "select 1 , '--x'"
    """
    encoded = sql.encode()
    tokens = duckdb.tokenize(sql)
    ends = [start for start, _ in tokens[1:]] + [len(encoded)]
    kept = [
        encoded[start:end].decode().strip()
        for (start, kind), end in zip(tokens, ends, strict=True)
        if kind != duckdb.token_type.comment
    ]
    return " ".join(kept)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def create_stage(con: duckdb.DuckDBPyConnection, stage: Stage) -> None:
    """Makes a staged table where it is not, and the view of it that hunts read."""
    columns = ", ".join(f"{quoting.name(name)} {kind}" for name, kind in stage.columns)
    con.execute(
        f"create table if not exists {stage.table}"
        f" ({columns}, {redelivery.COLUMN} boolean default false)"
    )
    con.execute(view_sql(stage))


def view_sql(stage: Stage) -> str:
    """The view hunts read: good rows, each event once."""
    names = quoting.names(name for name, _ in stage.columns if name not in HIDDEN_COLUMNS)
    return (
        f"create or replace view {stage.view} as select {names} from {stage.table}"
        f" where reject_reason is null and not {redelivery.COLUMN}"
    )


def _load_hunts(
    con: duckdb.DuckDBPyConnection,
    where: tuple[Path, ...],
    root: Path | None,
    stages: Mapping[str, Stage],
    overrides: Mapping[str, Any],
    problems: list[Problem],
    watch: Watch,
) -> tuple[Hunt, ...]:
    loaded: dict[Path, Hunt] = {}
    claims = []
    places = detection_files.find(where, partial(shown, root=root), problems)
    for place in places:
        found: list[Problem] = []
        override = overrides.get(place.stem)
        hunt = None
        if watch.passes(place.path, place.shown, problems):
            hunt = _load_detection(con, place, where, stages, override, found)
        if hunt:
            loaded[place.path] = hunt
        problems += found
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
    stages: Mapping[str, Stage],
    override: Any,
    problems: list[Problem],
) -> Hunt | None:
    """The hunt of one detection's file; None when anything is wrong with it."""
    try:
        read = detection.load(place.path, place.shown, problems, override)
        hunt = _load_hunt(con, read, (place.folder, *where), stages, problems) if read else None
    except Exception as error:  # whatever a file makes gundog do wrong must never stop the others
        problems.append(_defect(place.shown, error))
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
    what = problem.what
    for text in sorted(texts, key=len, reverse=True):
        what = what.replace(repr(text)[1:-1], "…").replace(text, "…")
    return Problem(problem.path, problem.key, what)


def _defect(where: str, error: Exception) -> Problem:
    first = (str(error).strip().splitlines() or [""])[0]
    what = f"{type(error).__name__}: {brief_name(first)}"
    return Problem(where, "", f"cannot be used, {DEFECT} ({what}): report it with the file")


def _load_hunt(
    con: duckdb.DuckDBPyConnection,
    loaded: Detection,
    where: tuple[Path, ...],
    stages: Mapping[str, Stage],
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
    read = tuple(stages[name] for name in sorted(names))
    problems += _parameter_problems(loaded, sql, join)
    if not problems:
        problems += _column_problems(con, loaded, sql, join, read)
    return Hunt(loaded, sql, read, hunt_hash(loaded, sql + "\n" + join, read), join)


def _read_sql(
    loaded: Detection,
    key: str,
    name: str,
    where: tuple[Path, ...],
    stages: Mapping[str, Stage],
    problems: list[Problem],
) -> str | None:
    """The text of a SQL file that a detection names; None when it is not there or refused."""
    if not _is_sql_name(name):
        what = f"{brief(name)} is no file below sql/: write letters A to Z, digits and _, then .sql"
        problems.append(Problem(loaded.shown, key, what))
        return None
    path = next((f / "sql" / name for f in where if os.path.lexists(f / "sql" / name)), None)
    if not path:
        what = f"sql/{name} is not there: write it or correct the name"
        problems.append(Problem(loaded.shown, key, what))
        return None
    sql = _text(path, f"sql/{name}", problems)
    if sql is None:
        return None
    refused = statement.check_statement(sql, set(stages), f"sql/{name}")
    if not refused:
        refused = _for_stages_only(sql)
    problems += [Problem(f"sql/{name}", "", what) for what in refused]
    return None if refused else sql


def _for_stages_only(sql: str) -> list[str]:
    """What is wrong with a hunt that calls gundog's own functions, which hunts do not have."""
    called = sorted(statement.see(sql).functions.intersection(_VERSIONS))
    return [
        f"calls {name}, which only stages may call: call it in sql/stage/ and keep its result"
        for name in called
    ]


def _is_sql_name(name: str) -> bool:
    """True for a name that stays below sql/, in folders or not."""
    stem, dot, ending = name.rpartition(".")
    parts = stem.split("/")
    fits = len(stem) <= _LONGEST_PATH and all(len(one) <= quoting.LONGEST for one in parts)
    return dot + ending == ".sql" and fits and all(map(quoting.is_word, parts))


def _parameter_problems(loaded: Detection, sql: str, join: str) -> list[Problem]:
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


def _column_problems(
    con: duckdb.DuckDBPyConnection, loaded: Detection, sql: str, join: str, read: tuple[Stage, ...]
) -> list[Problem]:
    """Problems with the columns that a hunt reads or returns, found by binding it."""
    series, problems = loaded.series, list[Problem]()
    matches = {**dict.fromkeys(loaded.identity), **_MATCH_COLUMNS, "evidence": _EVIDENCE_TYPE}
    hours: dict[str, str | None] = {}
    if series:
        hours = {"hour": "TIMESTAMP WITH TIME ZONE", series.measure: None}
        hours |= dict.fromkeys(series.by)
    if series and not join:
        hours |= dict.fromkeys(loaded.identity)
    known = _check_columns(con, loaded, sql, f"sql/{loaded.sql}", read, hours or matches, problems)
    if series and join and not problems:
        file = f"sql/{series.join}"
        known = _check_columns(con, loaded, join, file, read, matches, problems)
    elif series:
        known |= _SERIES_TITLE
    bound = not any(problem.key == "" for problem in problems)
    return problems + (_template_problems(loaded, known) if bound else [])


def _check_columns(
    con: duckdb.DuckDBPyConnection,
    loaded: Detection,
    sql: str,
    file: str,
    read: tuple[Stage, ...],
    wanted: Mapping[str, str | None],
    problems: list[Problem],
) -> set[str]:
    """The columns that one SELECT returns; adds a problem for each wanted one that is not right."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    params = bind_params(loaded.params, moment, moment + timedelta(days=1), moment)
    if loaded.series:
        one = {**dict.fromkeys(loaded.series.by, ""), "hour": moment, loaded.series.measure: 0.0}
        params["flagged"] = [{**one, "anomalies": 0.0, "score": 0.0, "baseline": 0.0}]
    params = {name: value for name, value in params.items() if name in statement.parameters(sql)}
    try:
        columns = dict(_columns(con, f"select * from ({strip(sql)})", params))
    except duckdb.Error as error:
        problems.append(Problem(file, "", _bind_message(error, read)))
        return set()
    problems += _column_name_problems(file, columns.items(), own="")
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


def _template_problems(loaded: Detection, known: set[str]) -> list[Problem]:
    """Problems with columns named by the title, entity mappings and suppression."""
    findings = {column.name for column in tables.FINDINGS.columns}
    named = [("title", name) for name in template_fields(loaded.title)]
    named += [("entityMappings", name) for one in loaded.entities for _, name in one.columns]
    if loaded.suppression:
        named += [("suppression.groupBy", name) for name in loaded.suppression.group_by]
    return [
        Problem(
            loaded.shown, key, f"names {brief(name)}: {unknown(name, known | findings, 'column')}"
        )
        for key, name in named
        if name not in known | findings
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


def _bind_message(error: duckdb.Error, read: tuple[Stage, ...]) -> str:
    text = _first_line(error)
    if "not found in FROM clause" in text or "does not have a column named" in text:
        return f"{text}: if it is not staged yet, add it to {' or '.join(s.path for s in read)}"
    return text


def _first_line(error: BaseException) -> str:
    """The first line, and what DuckDB thinks was meant."""
    first = str(error).strip().splitlines()[0]
    _, found, candidates = statement.message(error).partition("; candidates: ")
    return first.rstrip("!") + found + candidates


def strip(sql: str) -> str:
    """The statement without comments or a final semicolon, to stand inside another."""
    return canonical(sql).rstrip("; ")


def hunt_hash(loaded: Detection, sql: str, read: tuple[Stage, ...]) -> str:
    """The hash of everything in a detection that can change its rows."""
    settings = {
        "params": loaded.params,
        "lookback": loaded.lookback,
        "frequency": loaded.frequency,
        "identity": loaded.identity,
        "series": vars(loaded.series) if loaded.series else None,
    }
    parts = [canonical(sql), json.dumps(settings, sort_keys=True, default=str)]
    return _digest([*parts, *(stage.hash for stage in read)])
