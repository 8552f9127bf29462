"""How far a query looks back, and whether it bounds its rows by now() itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gundog.kql_import import translator

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
                return length * float(number.value)
    return None
