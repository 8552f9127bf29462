"""How far a query looks back, and whether it bounds its rows by now() itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gundog.kql_import import translator
from gundog.kql_import.source_columns import TIME_NAMES

_CUT = ("startofday", "startofweek", "startofmonth", "startofyear")
_MORE = {
    "startofday": timedelta(days=1),
    "startofweek": timedelta(days=7),
    "startofmonth": timedelta(days=31),
    "startofyear": timedelta(days=366),
}


def farthest(query: Any) -> timedelta:
    """The longest way back from now() that the query names; zero when it names none."""
    ir = translator.ir
    longest = timedelta()
    for node in translator.nodes(query):
        span = None
        if isinstance(node, ir.FunctionCall) and node.name.lower() == "ago" and node.args:
            span = _span(node.args[0])
        elif isinstance(node, ir.FunctionCall) and node.name.lower() in _CUT:
            inner = farthest_within(node.args)
            span = inner + _MORE[node.name.lower()] if inner or _tells_now(node.args) else None
        elif isinstance(node, ir.BinaryOp) and node.op == "-" and _tells_now(node.left):
            span = _span(node.right)
        if span:
            longest = max(longest, span)
    return longest


def farthest_within(node: Any) -> timedelta:
    ir = translator.ir
    spans = [
        _span(inner.args[0]) or timedelta()
        for inner in translator.nodes(node)
        if isinstance(inner, ir.FunctionCall) and inner.name.lower() == "ago" and inner.args
    ]
    return max(spans, default=timedelta())


def widest(query: Any) -> timedelta:
    """The longest span between two events that the query looks at; zero when it names none.

    That is a width of `bin`, a span that is added to a column or taken from it, and one that two
    columns' difference is compared with.
    """
    ir = translator.ir
    longest = timedelta()
    for node in translator.nodes(query):
        span = None
        if isinstance(node, ir.FunctionCall) and node.name.lower() in ("bin", "floor"):
            is_time = len(node.args) == 2 and _is_time(node.args[0])
            span = _span(node.args[1]) if is_time else None
        elif isinstance(node, ir.BinaryOp) and node.op in ("+", "-") and _is_time(node.left):
            span = _span(node.right)
        elif isinstance(node, ir.BinaryOp) and node.op in ("<", "<=", ">", ">="):
            sides = (node.left, node.right)
            spans = [_span(b) for a, b in (sides, sides[::-1]) if _is_gap(a)]
            span = next((s for s in spans if s), None)
        longest = max(longest, span or timedelta())
    return longest


def _is_time(node: Any) -> bool:
    """True for a column that is called as times are, also the second of a join."""
    ir = translator.ir
    return isinstance(node, ir.ColumnRef) and node.name.rstrip("0123456789") in TIME_NAMES


def _is_gap(node: Any) -> bool:
    ir = translator.ir
    if isinstance(node, ir.FunctionCall) and node.name.lower() == "abs" and node.args:
        node = node.args[0]
    is_difference = isinstance(node, ir.BinaryOp) and node.op == "-"
    return is_difference and (_is_time(node.left) or _is_time(node.right)) and not _tells_now(node)


def bounds_itself(query: Any) -> bool:
    """True when a condition at the end of the query compares a time with now()."""
    ir = translator.ir
    for step in reversed(query.operators):
        if isinstance(step, (ir.Join, ir.Lookup, ir.Union, ir.Summarize)):
            return False
        if isinstance(step, ir.Where) and _tells_now(step.predicate) and len(query.operators) > 1:
            return any(
                isinstance(before, (ir.Join, ir.Lookup, ir.Union, ir.Summarize))
                for before in query.operators[: query.operators.index(step)]
            )
    return False


def reads_clock(query: Any) -> bool:
    """True when the query names now() or ago() anywhere."""
    return _tells_now(query)


def _tells_now(node: Any) -> bool:
    ir = translator.ir
    return any(
        isinstance(inner, ir.FunctionCall) and inner.name.lower() in ("now", "ago")
        for inner in translator.nodes(node)
    )


def _span(node: Any) -> timedelta | None:
    ir = translator.ir
    while isinstance(node, ir.LetRef):
        node = node.value
    if isinstance(node, ir.Literal) and node.kind == "timespan":
        return translator.span_of(str(node.value))
    if isinstance(node, ir.BinaryOp) and node.op == "*":
        sides = (node.left, node.right)
        for span, number in (sides, sides[::-1]):
            length = _span(span)
            if length is not None and isinstance(number, ir.Literal):
                return _times(length, float(number.value))
    return None


def _times(span: timedelta, number: float) -> timedelta:
    try:
        return span * number
    except (OverflowError, ValueError):
        return translator.FARTHEST
