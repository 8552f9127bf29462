"""The translator's structure changed where it knows a function in fewer forms than Kusto."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from gundog.core.times import DAY
from gundog.kql_import import translator
from gundog.kql_import.refusing import RefusalError
from gundog.kql_import.source_columns import TIME_NAMES

# Days from Kusto's first instant, 0001-01-01, to 1970-01-01, from which the translator counts.
_DAYS = 719_162
_PLACES = frozenset("geo_info_from_ip_address geoip_lookup ipv4_lookup get_geo_info".split())
_SETS = frozenset("make_set make_list makeset makelist make_set_if make_list_if".split())
_PRIVATE = r"^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)\d"


def rewritten(query: Any, time_column: str) -> tuple[Any, tuple[tuple[str, str], ...]]:
    """The query with such calls replaced, and the columns that are null because of it.

    Args:
        query: a structure of the translator.
        time_column: the query's own name of the time.

    Raises:
        RefusalError: for a width of `bin` that cannot be counted as Kusto counts it.
    """
    stand_ins: list[tuple[str, str]] = []

    def change(node: Any) -> Any:
        if type(node) is translator.ir.NamedExpr and _places(node.expr):
            stand_ins.append((node.name or "", "geo_info_from_ip_address"))
        return _changed(node, time_column)

    new = translator.changed(query, change)
    return new, tuple(stand_ins)


def _places(node: Any) -> bool:
    ir = translator.ir
    return any(
        isinstance(inner, ir.FunctionCall) and inner.name in _PLACES
        for inner in translator.nodes(node)
    )


def _changed(node: Any, time_column: str) -> Any:
    ir = translator.ir
    if isinstance(node, ir.Between):
        return _ended(node)
    if not isinstance(node, ir.FunctionCall):
        return node
    name, arguments = node.name.lower(), node.args
    if name == "ingestion_time" and not arguments:
        return ir.ColumnRef(time_column)
    if name in _PLACES:
        return ir.Literal(None, "dynamic")
    if name == "split" and len(arguments) == 3:
        whole = ir.FunctionCall("split", arguments[:2])
        part = ir.PathAccess(whole, (ir.PathStep(index=arguments[2]),))
        return ir.FunctionCall("pack_array", (part,))
    if name == "ipv4_is_match" and len(arguments) == 2:
        return replace(node, args=(*arguments, ir.Literal(32, "long")))
    if name == "ipv4_is_private" and len(arguments) == 1:
        pattern = ir.Literal(_PRIVATE, "string")
        return ir.BinaryOp("matches regex", arguments[0], pattern)
    if name == "parse_command_line" and not _is_windows(arguments):
        raise RefusalError(node.name, "knows lines of Windows: give 'windows' as second argument")
    if name in ("bin", "floor") and len(arguments) == 2:
        return _binned(node)
    return node


def texts_for_numbers(query: Any, texts: Collection[str]) -> Any:
    """The query where a text is looked for in a list of numbers: the list as texts.

    DuckDB would make numbers of all texts of the column, and the first other text ends the hunt.

    Args:
        query: a structure of the translator.
        texts: the columns that hold text in every table.
    """
    ir = translator.ir

    def change(node: Any) -> Any:
        if not isinstance(node, ir.InList) or not isinstance(node.value, ir.ColumnRef):
            return node
        is_number = [isinstance(item, ir.Literal) and item.kind == "long" for item in node.items]
        if node.value.name not in texts or not any(is_number) or not all(is_number):
            return node
        items = tuple(ir.Literal(str(item.value), "string") for item in node.items)
        return replace(node, items=items)

    return translator.changed(query, change)


def _is_windows(arguments: tuple[Any, ...]) -> bool:
    kind = arguments[1] if len(arguments) == 2 else None
    return isinstance(kind, translator.ir.Literal) and str(kind.value).lower() == "windows"


def refuse_sets(query: Any) -> None:
    """Raises RefusalError where a value is looked for in a table whose column holds sets.

    Whether Kusto looks into the sets or compares with them is not documented.
    """
    ir = translator.ir
    nodes = list(translator.nodes(query))
    lets = dict(pair for node in nodes if isinstance(node, ir.Query) for pair in node.lets)
    for node in nodes:
        table = node.subquery if isinstance(node, ir.InList) else None
        while table and not table.operators and isinstance(table.source, ir.TableRef):
            table = lets.get(table.source.name)
        last = table.operators[-1] if isinstance(table, ir.Query) and table.operators else None
        if isinstance(last, ir.Summarize) and not last.by and _makes_set(last.aggregates[0].expr):
            call = last.aggregates[0].expr.name
            raise RefusalError(call, "is looked into as one value: write distinct in its place")


def _makes_set(node: Any) -> bool:
    return isinstance(node, translator.ir.FunctionCall) and node.name.lower() in _SETS


def _ended(node: Any) -> Any:
    """`time between (start .. 1h)`, whose end is an hour after its start."""
    ir = translator.ir
    high, value = node.high, node.value
    while isinstance(high, ir.LetRef):
        high = high.value
    is_time = isinstance(value, ir.ColumnRef) and value.name in TIME_NAMES
    if is_time and isinstance(high, ir.Literal) and high.kind == "timespan":
        return replace(node, high=ir.BinaryOp("+", node.low, high))
    return node


def _binned(node: Any) -> Any:
    """`bin` of a time, counted from Kusto's first instant where that makes a difference."""
    ir = translator.ir
    value, width = node.args
    if not isinstance(width, ir.Literal) or width.kind != "timespan":
        return node
    span = translator.span_of(str(width.value))
    if not span or not (_DAYS * DAY) % span:
        return node
    offset = (_DAYS * DAY) % span
    whole = ir.Literal(f"{offset // (DAY / 86_400)}s", "timespan")
    moved = ir.BinaryOp("+", value, whole)
    if offset % (DAY / 86_400):
        raise RefusalError(f"bin(…, {width.value})", "has a width that does not divide a day")
    return ir.BinaryOp("-", ir.FunctionCall(node.name, (moved, width)), whole)


def refuse_deciding(query: Any, stand_ins: Iterable[tuple[str, str]]) -> None:
    """Raises RefusalError where a column that is null here decides which rows there are."""
    why = dict(stand_ins)
    if not why:
        return
    ir = translator.ir
    made = set(why)
    for node in translator.nodes(query):
        if isinstance(node, ir.NamedExpr) and node.name and _names(node.expr) & made:
            origin = next(why[name] for name in _names(node.expr) & made)
            made.add(node.name)
            why.setdefault(node.name, origin)
    for node in translator.nodes(query):
        deciding: Any = ()
        if isinstance(node, ir.Where):
            deciding = node.predicate
        elif isinstance(node, (ir.Join, ir.Lookup)):
            deciding = tuple(
                ir.ColumnRef(side) for key in node.keys for side in (key.left, key.right)
            )
        elif isinstance(node, ir.Summarize):
            deciding = node.by
        elif isinstance(node, (ir.Top, ir.Distinct)):
            deciding = node
        if used := sorted(_names(deciding) & made):
            raise RefusalError(
                why[used[0]],
                f"fills {used[0]}, which decides what is found, and cannot be had here:"
                " remove that step",
            )


def _names(node: Any) -> set[str]:
    ir = translator.ir
    return {inner.name for inner in translator.nodes(node) if isinstance(inner, ir.ColumnRef)}
