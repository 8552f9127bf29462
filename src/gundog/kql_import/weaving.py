"""A mark of its event carried with every row, through all steps of a query.

The mark is one text column: `place/event id/microseconds` for each event behind a row, separated by
blanks. `place` is which reference to a table the event came in by. Where joined rows are grouped
later, the marks of each side stay in a column of their own until the end: see `join_marks`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from gundog.kql_import import join_marks, translator
from gundog.kql_import.probing import TypesOf
from gundog.kql_import.refusing import RefusalError
from gundog.kql_import.series_text import BINS, SERIES
from gundog.kql_import.source_columns import TICKS, TIME_NAMES
from gundog.kql_import.translator import EVENTS, Schema
from gundog.warehouse import quoting

MARK = "gundog_events"
_JOINED = (
    f'array_to_string(list_filter(CAST("{BINS}" AS VARCHAR[]), lambda gundog_m:'
    " gundog_m <> ''), ' ')"
)
_FLATTENING: tuple[Any, ...] = ()
if translator.ir is not None:
    _FLATTENING = tuple(
        getattr(translator.ir, name)
        for name in ("Summarize", "Distinct", "Count", "Join", "Lookup", "Union")
    )


@dataclass(frozen=True)
class Woven:
    """A query whose rows carry marks.

    Args:
        query: the structure.
        columns: its columns, the mark among them.
        places: (role, source table) by the number in a mark.
    """

    query: Any
    columns: tuple[str, ...]
    places: tuple[tuple[str, str], ...]


@dataclass
class _Weaver:
    columns: dict[str, list[str]]
    types_of: TypesOf
    lets: dict[str, Any] = field(default_factory=dict)
    places: list[tuple[str, str]] = field(default_factory=list)
    has_series: bool = False
    keeps_apart: bool = False

    def woven(self, query: Any, role: str) -> Any:
        """The query with the mark in each of its rows."""
        ir = translator.ir
        lets = []
        for name, bound in query.lets:
            kept = self.woven(bound, name) if isinstance(bound, ir.Query) else bound
            if isinstance(bound, ir.Query):
                self.columns[name] = translator.columns_of(kept, self.columns)
                self.lets[name] = kept
            lets.append((name, kept))
        new = ir.Query(query.source, [], lets, query.parameters)
        new.operators = list(self._started(query.source, role))
        for step in query.operators:
            if isinstance(step, _FLATTENING):
                new.operators += self._flat(new)
            if _needs_one_mark(step, new):
                new.operators += self._one_mark(new)
            new.operators += self._carried(step, new)
        return new

    def _flat(self, query: Any) -> list[Any]:
        """What makes one mark of the bins of a series, where the query has one."""
        ir = translator.ir
        if not self.has_series or BINS not in self._columns(query):
            return []
        every = f"trim(concat_ws(' ', \"{MARK}\", {_JOINED}))"
        return [_extend(ir.RenderedAggregate(every)), ir.ProjectAway((BINS,))]

    def _flattened(self, query: Any) -> Any:
        query.operators += self._flat(query)
        return query

    def _closed(self, query: Any) -> Any:
        """The query with one mark in each row."""
        query.operators += self._flat(query)
        query.operators += self._one_mark(query)
        return query

    def _apart(self, query: Any) -> tuple[str, ...]:
        """The columns of a query that hold marks beside its own."""
        return join_marks.of(self._columns(query)) if self.keeps_apart else ()

    def _one_mark(self, query: Any) -> list[Any]:
        ir = translator.ir
        if not (apart := self._apart(query)):
            return []
        every = ir.RenderedAggregate(join_marks.one_text((MARK, *apart)))
        return [_extend(every), ir.ProjectAway(apart)]

    def _started(self, source: Any, role: str) -> list[Any]:
        ir = translator.ir
        if not isinstance(source, ir.TableRef):
            if isinstance(source, (ir.WildcardTableRef, ir.GraphSource)):
                raise RefusalError("graph or wildcard", "is not imported: name each table")
            return [_extend(ir.Literal("", "string"))]
        if source.name in self.lets:
            return []
        if source.cluster or source.database:
            raise RefusalError(source.qualified, "is in another database: name the table alone")
        mark = f"'{len(self.places)}/' || \"{MARK}\""
        self.places.append((role, source.name))
        return [_extend(ir.RenderedAggregate(mark))]

    def _carried(self, step: Any, before: Any) -> list[Any]:
        """The step as it carries the mark, and what has to follow it."""
        ir = translator.ir
        if isinstance(step, ir.Project):
            bins = [BINS] if self._has_bins(before) else []
            ticks = [TICKS] if self._has_ticks(before) else []
            names = (MARK, *self._apart(before), *bins, *ticks)
            carried = (ir.NamedExpr(ir.ColumnRef(name), name) for name in names)
            return [replace(step, expressions=(*step.expressions, *carried))]
        if isinstance(step, ir.MvExpand) and self._has_bins(before):
            target = ir.MvExpandTarget(BINS, None, "string")
            both = ir.RenderedAggregate(f'trim(concat_ws(\' \', "{MARK}", "{BINS}"))')
            expanded = replace(step, targets=(*step.targets, target))
            return [expanded, _extend(both), ir.ProjectAway((BINS,))]
        if isinstance(step, ir.Summarize) and (series := series_of(step)):
            return self._binned(step, series)
        if isinstance(step, (ir.Count, ir.Distinct, ir.Summarize)):
            return self._grouped(step, before)
        if isinstance(step, (ir.Join, ir.Lookup)):
            return self._joined(step, before)
        if isinstance(step, ir.Union):
            branches = tuple(self._closed(self.woven(branch, "union")) for branch in step.branches)
            return self._united(replace(step, branches=branches), before)
        if isinstance(step, ir.GetSchema):
            raise RefusalError("getschema", "describes columns and finds nothing: remove it")
        if isinstance(step, ir.Take) and not _is_sorted(before):
            order = ir.SortKey(ir.ColumnRef(MARK), ascending=True)
            return [ir.Sort((order,)), step]
        return [step]

    def _grouped(self, step: Any, before: Any) -> list[Any]:
        """A step that makes one row of many, with the marks of all of them."""
        ir = translator.ir
        apart = self._apart(before)
        marks = tuple(
            ir.NamedExpr(ir.FunctionCall(EVENTS, (ir.ColumnRef(name),)), name)
            for name in (MARK, *apart)
        )
        if isinstance(step, ir.Count):
            count = ir.NamedExpr(ir.FunctionCall("count", ()), step.name)
            return [ir.Summarize((count, *marks), ())]
        if isinstance(step, ir.Distinct):
            return [ir.Summarize(marks, self._all(step.expressions, before))]
        kept = tuple(self._explicit(item, step, before) for item in step.aggregates)
        kept = join_marks.with_small_sets(kept) if apart else kept
        keyed, keys = _computed(step.by)
        return [*keyed, replace(step, aggregates=(*kept, *marks), by=keys)]

    def _ticked(self, query: Any, step: Any) -> list[Any]:
        """What gives a side of a join on a raw time the part of it within a microsecond."""
        ir = translator.ir
        if not joins_times(step):
            return []
        has_ticks = TICKS in self._columns(query)
        value = f'coalesce("{TICKS}", 0)' if has_ticks else "0"
        return [ir.Extend((ir.NamedExpr(ir.RenderedAggregate(value), TICKS),))]

    def _has_bins(self, query: Any) -> bool:
        return self.has_series and BINS in self._columns(query)

    def _binned(self, step: Any, series: Any) -> list[Any]:
        """A series with the marks of each of its bins beside it."""
        ir = translator.ir
        self.has_series = True
        call = ir.FunctionCall(BINS, (series.args[0], ir.ColumnRef(MARK), series.args[2]))
        listed = replace(step, aggregates=(*step.aggregates, ir.NamedExpr(call, BINS)))
        return [listed, _extend(ir.Literal("", "string"))]

    def _has_ticks(self, query: Any) -> bool:
        return TICKS in self._columns(query)

    def _joined(self, step: Any, before: Any) -> list[Any]:
        ir = translator.ir
        right = self._flattened(self.woven(step.right, "joined"))
        made = self._ticked(before, step)
        if made:
            right.operators += self._ticked(right, step)
            step = replace(step, keys=(*step.keys, ir.JoinKey(TICKS, TICKS)))
        elif self._has_ticks(right):
            right.operators.append(ir.ProjectAway((TICKS,)))
        step = replace(step, right=right)
        kind = step.kind
        if join_marks.is_one_sided(kind):
            return [*made, step]
        before = ir.Query(before.source, [*before.operators, *made], before.lets, [])
        left = self._columns(before)
        with_step = ir.Query(before.source, [*before.operators, step], before.lets, [])
        new = self._columns(with_step)[len(left) :]
        other = next(name for name in reversed(new) if name.startswith(MARK))
        dropped = (other, *(name for name in new if made and name.startswith(TICKS)))
        ours = {MARK, *dropped, *join_marks.of((*left, *new))}
        lone = {"rightouter": left, "leftouter": new, "fullouter": [*left, *new]}.get(kind, [])
        filled = self._filled(with_step, (name for name in lone if name not in ours))
        if self.keeps_apart:
            named = join_marks.fresh((*left, *new))
            kept = ir.Extend((ir.NamedExpr(ir.ColumnRef(other), named),))
        else:
            kept = _extend(ir.RenderedAggregate(f'concat_ws(\' \', "{MARK}", "{other}")'))
        return [*made, step, kept, ir.ProjectAway(dropped), *filled]

    def _united(self, step: Any, before: Any) -> list[Any]:
        """A union; the texts that some branch lacks are empty."""
        with_step = translator.ir.Query(before.source, [*before.operators, step], before.lets, [])
        branches = [{*self._columns(branch)} for branch in (before, *step.branches)]
        every = set[str].intersection(*branches)
        return [step, *self._filled(with_step, {*self._columns(with_step)} - every)]

    def _filled(self, query: Any, names: Iterable[str]) -> list[Any]:
        """What makes missing texts of these columns empty ones: Kusto has no text that is null."""
        ir = translator.ir
        names = list(names)
        if not names:
            return []
        inner = {name for name, _ in query.lets}
        lets = [(name, bound) for name, bound in self.lets.items() if name not in inner]
        whole = replace(query, lets=[*lets, *query.lets])
        types = self.types_of(translator.sql_of(whole, self.columns))
        texts = [name for name in types if name in names and types[name] == "VARCHAR"]
        if not texts:
            return []
        return [ir.Extend(tuple(ir.NamedExpr(_or_empty(name), name) for name in texts))]

    def _columns(self, query: Any) -> list[str]:
        return translator.columns_of(query, self.columns)

    def _all(self, expressions: tuple[Any, ...], before: Any) -> tuple[Any, ...]:
        """The expressions of `distinct`, `*` written out."""
        ir = translator.ir
        named = []
        for item in expressions:
            if isinstance(item.expr, ir.Wildcard):
                every = self._columns(before)
                ours = (MARK, TICKS, *join_marks.of(every))
                columns = [name for name in every if name not in ours]
                named += [ir.NamedExpr(ir.ColumnRef(name), name) for name in columns]
            else:
                named.append(item)
        return tuple(named)

    def _explicit(self, item: Any, step: Any, before: Any) -> Any:
        """arg_max(x, *) with the columns written out, without the mark."""
        ir = translator.ir
        call = item.expr
        if not isinstance(call, ir.FunctionCall) or not any(
            isinstance(argument, ir.Wildcard) for argument in call.args
        ):
            return item
        keys = {
            key.name or (key.expr.name if isinstance(key.expr, ir.ColumnRef) else "")
            for key in step.by
        }
        first = call.args[0]
        own = first.name if isinstance(first, ir.ColumnRef) else ""
        every = self._columns(before)
        taken = {*keys, MARK, TICKS, own, *join_marks.of(every)}
        columns = [name for name in every if name not in taken]
        arguments = (first, *(ir.ColumnRef(name) for name in columns))
        return replace(item, expr=replace(call, args=arguments))


def woven(query: Any, columns: Schema, types_of: TypesOf) -> Woven:
    """The query with a mark in each row of its result.

    Args:
        query: a structure of the translator.
        columns: the source tables' columns, each with MARK at their end.
        types_of: the types of a SELECT over these tables.

    Raises:
        RefusalError: where no mark can be carried.
    """
    weaver = _Weaver(
        {name: list(names) for name, names in columns.items()},
        types_of,
        keeps_apart=join_marks.are_grouped(query),
    )
    new = weaver._closed(weaver.woven(query, "event"))
    if weaver._has_ticks(new):
        new.operators.append(translator.ir.ProjectAway((TICKS,)))
    return Woven(new, tuple(weaver._columns(new)), tuple(weaver.places))


def joins_times(node: Any) -> bool:
    """True when a join within has a raw time among its keys."""
    ir = translator.ir
    return any(
        isinstance(inner, (ir.Join, ir.Lookup))
        and any({key.left, key.right} & {*TIME_NAMES} for key in inner.keys)
        for inner in translator.nodes(node)
    )


def series_of(step: Any) -> Any:
    """The call in a summarize that lists the bins of make-series; None where there is none."""
    ir = translator.ir
    calls = (item.expr for item in step.aggregates)
    return next(
        (call for call in calls if isinstance(call, ir.FunctionCall) and call.name == SERIES), None
    )


def _computed(by: tuple[Any, ...]) -> tuple[list[Any], tuple[Any, ...]]:
    """Keys with a name and a value computed before, and the keys that read them.

    DuckDB would take a column within the value for the key, where they differ only in case.
    """
    ir = translator.ir
    values, keys = [], []
    for number, key in enumerate(by):
        if not key.name or isinstance(key.expr, (ir.ColumnRef, ir.LetRef)):
            keys.append(key)
            continue
        made = f"{MARK}_key_{number}"
        values.append(ir.NamedExpr(key.expr, made))
        keys.append(ir.NamedExpr(ir.ColumnRef(made), key.name))
    return ([ir.Extend(tuple(values))] if values else []), tuple(keys)


def _extend(expr: Any) -> Any:
    ir = translator.ir
    return ir.Extend((ir.NamedExpr(expr, MARK),))


def _or_empty(name: str) -> Any:
    return translator.ir.RenderedAggregate(f"coalesce({quoting.name(name)}, '')")


def _needs_one_mark(step: Any, before: Any) -> bool:
    """True for a step that reads the mark itself, or matches rows by their columns."""
    ir = translator.ir
    if isinstance(step, ir.Summarize):
        return series_of(step) is not None
    return isinstance(step, ir.Union) or (isinstance(step, ir.Take) and not _is_sorted(before))


def _is_sorted(query: Any) -> bool:
    return bool(query.operators) and isinstance(query.operators[-1], translator.ir.Sort)
