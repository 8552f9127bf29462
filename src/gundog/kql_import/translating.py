"""A query as the SQL of a detection: its SELECT and its staged tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import duckdb

from gundog.core.times import DAY
from gundog.detections import content_folder
from gundog.detections.staged import Source
from gundog.kql_import import (
    critic,
    hunt_sql,
    lengths,
    locating,
    preparing,
    probing,
    rewriting,
    scoped_types,
    source_columns,
    spans,
    stage_sql,
    tokens,
    translator,
    uses,
    weaving,
    windows,
)
from gundog.kql_import.query import KqlQuery
from gundog.kql_import.refusing import RefusalError, Remark
from gundog.kql_import.source_columns import KqlTable
from gundog.kql_import.stage_sql import Need
from gundog.kql_import.weaving import MARK
from gundog.warehouse import quoting

_MOST_REACH = 366 * DAY
_READS = "\1"


@dataclass(frozen=True)
class Sources:
    """The source tables that queries may read, and which of their columns hold JSON."""

    tables: Mapping[str, Source]
    dynamic: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Translation:
    """A query in SQL.

    Args:
        shape: what its SELECT is made of.
        header: the comment at its top, but for the staged tables.
        needs: what it needs of each source table.
        types: the columns of the query's result by name, without gundog's own.
        order: those columns in the order in which they are shown.
        keys: the columns by which the last summarize groups; None for rows of events.
        frequency, lookback: how often it runs, and how far before its interval it reads.
        remarks: what a person should know of it.
    """

    shape: hunt_sql.Shape
    header: str
    needs: Mapping[str, Need]
    types: Mapping[str, str]
    order: tuple[str, ...]
    keys: tuple[str, ...] | None
    frequency: timedelta
    lookback: timedelta
    remarks: tuple[Remark, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """The source tables that it reads."""
        return tuple(sorted(self.needs))

    def sql(self, stages: Mapping[str, str]) -> str:
        """The SELECT of the detection over these staged tables, each by its source table."""
        reads = ", ".join(stages[source] for source in self.sources)
        return hunt_sql.select(self.shape, stages, self.header.replace(_READS, reads))


def digest(kql: str) -> str:
    """The hash that a translated file's header names; ends of lines do not change it."""
    lines = [line.rstrip() for line in kql.strip().splitlines()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def translate(query: KqlQuery, sources: Sources) -> Translation:
    """The query in SQL over staged tables.

    Args:
        query: as it was read.
        sources: the tables that it may read.

    Raises:
        RefusalError: with the construct, its line and its column.
    """
    translator.require()
    try:
        return _shallow(query, sources)
    except RefusalError as error:
        cause = error.cause

        def fails(kql: str) -> bool:
            try:
                _shallow(replace(query, query=kql), sources, is_tried=True)
            except RefusalError as other:
                return other.cause == cause
            return False

        raise locating.located(query.query, error, fails) from error


def _shallow(query: KqlQuery, sources: Sources, *, is_tried: bool = False) -> Translation:
    """The translation; a refusal of what nests deeper than Python's own limit."""
    try:
        return _translated(query, sources, is_tried=is_tried)
    except RecursionError as error:
        reason = "nests too deep: write a chain of or as has_any or in, or split the query with let"
        raise RefusalError("depth", reason) from error


def _translated(query: KqlQuery, sources: Sources, *, is_tried: bool = False) -> Translation:
    """The translation; of a part that is only tried the SQL stays as long as it is."""
    prepared = preparing.prepare(query.query, _schema(query.query, sources))
    parsed = translator.parse(prepared.kql)
    if not isinstance(parsed, translator.ir.Query):
        raise RefusalError("query", "is not one query: keep one statement")
    lengths.refuse_long(parsed)
    written = parsed = uses.without_unused(parsed)
    stamp = _stamp(prepared.kql)
    parsed, places = rewriting.rewritten(parsed, stamp)
    rewriting.refuse_deciding(parsed, (*prepared.stand_ins, *places))
    readable = _tables(parsed, prepared.kql, sources)
    rewriting.refuse_sets(parsed)
    parsed = rewriting.texts_for_numbers(parsed, source_columns.texts(readable.values()))
    used = uses.of(parsed, {name: table.columns for name, table in readable.items()})
    if not used:
        raise RefusalError("no table", "is read: a hunt reads at least one source table")
    kept = {name: _pruned(readable[name], used[name], uses.named(parsed)) for name in sorted(used)}
    if weaving.joins_times(parsed):
        kept = {name: source_columns.with_ticks(table) for name, table in kept.items()}
    columns = {name: [*table.columns, MARK] for name, table in kept.items()}
    with probing.over({n: {**t.types, MARK: "VARCHAR"} for n, t in kept.items()}) as types_of:
        woven = weaving.woven(parsed, columns, types_of)
        sql = translator.sql_of(woven.query, columns)
        types = types_of(sql)
        sql = sql if is_tried else shortened(sql, types, types_of)
    frequency, reach = _spans(query, parsed)
    has_series = any(
        isinstance(node, translator.ir.Summarize) and weaving.series_of(node)
        for node in translator.nodes(parsed)
    )
    keys = _keys(woven.query, types)
    shape = hunt_sql.Shape(
        sql, tuple(kept.values()), woven.places, types, prepared.order, keys, reach,
        cut=not (has_series or spans.bounds_itself(parsed)),
    )  # fmt: skip
    remarks = (
        *prepared.remarks,
        *(
            Remark(0, f"{name or 'a column'} is null here: {why} cannot be had")
            for name, why in places
        ),
        *_offered(query.query),
        *critic.remarks(query.query, written, types, frequency, reach, query.period),
    )
    return Translation(
        shape,
        _header(query),
        {name: _need(table, used[name]) for name, table in kept.items()},
        {name: kind for name, kind in types.items() if name != MARK},
        tuple(hunt_sql.columns(types, prepared.order)),
        keys,
        frequency,
        reach - frequency,
        tuple(sorted(set(remarks))),
    )


def shortened(sql: str, types: Mapping[str, str], probe: probing.Probe) -> str:
    """The SELECT without branches that never run; itself where that is not the same to DuckDB.

    Args:
        sql: one SELECT.
        types: the columns that it returns.
        probe: the empty tables that it reads.
    """
    try:
        short = scoped_types.simplified(sql, probe.described, probe.con)
        return short if probe(short) == types else sql
    except (duckdb.Error, ValueError, RecursionError, RefusalError):
        return sql


def _offered(kql: str) -> tuple[Remark, ...]:
    """What `gundog import --rewrite` would write."""
    if windows.rewritten(kql) is None:
        return ()
    place = tokens.read(kql)
    line = next((tokens.line_of(kql, t.start) for t in place if t.text == "bin"), 0)
    return (Remark(line, "gundog import --rewrite writes it with true windows beside this one"),)


def _schema(kql: str, sources: Sources) -> dict[str, list[str]]:
    """The columns of the source tables that a query names; the time under both its names."""
    words = {token.text for token in tokens.read(kql)}
    return {
        name: [*(column for column, _ in source.columns), *source_columns.TIME_NAMES[1:]]
        for name, source in sources.tables.items()
        if name in words
    }


def _need(table: KqlTable, use: uses.Use) -> Need:
    """What a query needs of a source, in the source's own names."""
    ir = translator.ir

    def change(node: Any) -> Any:
        if isinstance(node, ir.ColumnRef) and node.name in table.staged:
            column = ir.ColumnRef(table.staged[node.name])
            is_parsed = node.name in table.parsed
            return ir.FunctionCall("parse_json", (column,)) if is_parsed else column
        return node

    types = {
        table.staged[name]: "VARCHAR" if name in table.parsed else kind
        for name, kind in table.types.items()
    }
    branches = tuple(
        stage_sql.affordable(
            tuple(translator.changed(condition, change) for condition in conditions), types
        )
        for conditions in dict.fromkeys(use.filters)
    )
    return Need(table.name, types, branches, table.every)


def _stamp(kql: str) -> str:
    words = {token.text for token in tokens.read(kql)}
    return next((name for name in source_columns.TIME_NAMES if name in words), "Timestamp")


def _tables(parsed: Any, kql: str, sources: Sources) -> dict[str, KqlTable]:
    """The source tables that the query names, with the columns that it may see."""
    words = {token.text for token in tokens.read(kql)}
    paths = _path_bases(parsed)
    readable = {}
    spelled = {quoting.folded(word): word for word in sorted(words)}
    for name, source in sources.tables.items():
        if name in words:
            dynamic = sources.dynamic.get(name, ())
            readable[name] = source_columns.table(source, dynamic, paths, words, spelled)
    _refuse_unknown(parsed, readable, kql)
    return readable


def _path_bases(parsed: Any) -> set[str]:
    """Columns of text that the query takes apart as JSON: malformed text must not end it."""
    ir = translator.ir
    return {
        node.base.name
        for node in translator.nodes(parsed)
        if isinstance(node, ir.PathAccess) and isinstance(node.base, ir.ColumnRef)
    }


def _refuse_unknown(parsed: Any, readable: Mapping[str, Any], kql: str) -> None:
    ir = translator.ir
    lets = {name for node in _queries(parsed) for name, _ in node.lets}
    for node in _queries(parsed):
        source = node.source
        if isinstance(source, ir.TableRef) and source.name not in lets | readable.keys():
            place = kql.find(source.name)
            line = tokens.line_of(kql, place) if place >= 0 else 0
            column = tokens.column_of(kql, place) if place >= 0 else 0
            ships = (content_folder.builtin() / "sql/sources" / f"{source.name}.sql").is_file()
            cure = (
                "builtin to content in gundog.yaml" if ships else f"sql/sources/{source.name}.sql"
            )
            reason = f"is not a source table here: add {cure}"
            raise RefusalError(f"table {source.name}", reason, line, column)


def _queries(parsed: Any) -> list[Any]:
    return [node for node in translator.nodes(parsed) if isinstance(node, translator.ir.Query)]


def _pruned(table: KqlTable, use: uses.Use, names: set[str]) -> KqlTable:
    """The table with the columns that may show or are named."""
    if use.whole:
        return table
    kept = {
        name: kind for name, kind in table.types.items() if name in names or name in table.stamps
    }
    return replace(table, types=kept)


def _spans(query: KqlQuery, parsed: Any) -> tuple[timedelta, timedelta]:
    """How often it runs, and how far it reads back from the end of its interval."""
    frequency = query.frequency or DAY
    named = max(query.period or timedelta(), spans.farthest(parsed))
    if named > _MOST_REACH:
        days = named // DAY
        raise RefusalError("reach", f"is {days} days: look back {_MOST_REACH // DAY} at most")
    return frequency, max(frequency, named)


def _keys(woven: Any, types: Mapping[str, str]) -> tuple[str, ...] | None:
    """The columns by which the last summarize groups, those that the result still has."""
    ir = translator.ir
    for step in reversed(woven.operators):
        if isinstance(step, ir.Summarize) and weaving.series_of(step):
            return None
        if isinstance(step, ir.Summarize):
            names = [_name(key) for key in step.by]
            return tuple(name for name in names if name in types)
    lets = dict(woven.lets)
    source = woven.source
    if isinstance(source, ir.TableRef) and isinstance(lets.get(source.name), ir.Query):
        return _keys(lets.pop(source.name), types)
    return None


def _name(key: Any) -> str:
    """The name of a by-column, as far as the query gives it."""
    ir = translator.ir
    if key.name:
        return str(key.name)
    expr = key.expr
    while isinstance(expr, ir.FunctionCall) and expr.args:
        expr = expr.args[0]
    return str(expr.name) if isinstance(expr, ir.ColumnRef) else ""


def _header(query: KqlQuery) -> str:
    """The comment at the top of a SELECT: what it is, and what it was made of."""
    made_with = f"duckdb-kql {translator.VERSION}"
    return "\n".join(
        [
            f"-- {_plain(query.name)}, translated from KQL.",
            "--",
            "-- Grain:    one row per row of the query's result.",
            "-- Interval: rows whose newest event lies in [start, end).",
            f"-- Reads:    {_READS}",
            "-- Params:   $start, $end   timestamptz; the interval [start, end)",
            f"-- Imported: {_plain(query.file)}, KQL {digest(query.query)}, {made_with}",
            "",
        ]
    )


def _plain(text: str) -> str:
    """A text for a comment line."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:150]
