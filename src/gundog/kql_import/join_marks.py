"""The marks of the other sides of joins, each in a column of its own until rows are told.

A join of a rows with b rows and a count of them needs the marks of a + b events. Joined into one
text for each pair they would be a * b texts, all different, and a third table multiplies again. In
columns of their own each aggregate sees each event's mark many times, and keeps it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from gundog.kql_import import translator
from gundog.warehouse import quoting

_PREFIX = "gundog_joined_"
_ONE_SIDED = ("leftsemi", "leftanti", "rightsemi", "rightanti")


def of(columns: Iterable[str]) -> tuple[str, ...]:
    """Those columns that hold such marks."""
    return tuple(name for name in columns if name.startswith(_PREFIX))


def fresh(columns: Iterable[str]) -> str:
    """A name for such a column that none of these has."""
    taken = {*columns}
    return next(name for number in count(1) if (name := f"{_PREFIX}{number}") not in taken)


def one_text(names: Iterable[str]) -> str:
    """SQL for the marks of these columns in one."""
    return f"trim(concat_ws(' ', {', '.join(map(quoting.name, names))}))"


def is_one_sided(kind: str) -> bool:
    """True for a kind of join that returns the rows of one side."""
    return kind.startswith(_ONE_SIDED)


def are_grouped(query: Any) -> bool:
    """True where a step of the query groups rows that a join has multiplied."""
    return _scanned(query, {})[0]


def _scanned(query: Any, lets: Mapping[str, bool]) -> tuple[bool, bool]:
    """Whether joined rows are grouped within, and whether its rows are joined ones."""
    ir = translator.ir
    named = dict(lets)
    grouped = False
    for name, bound in query.lets:
        if isinstance(bound, ir.Query):
            within, named[name] = _scanned(bound, named)
            grouped |= within
    joined = isinstance(query.source, ir.TableRef) and named.get(query.source.name, False)
    for step in query.operators:
        if isinstance(step, (ir.Join, ir.Lookup)):
            within, other = _scanned(step.right, named)
            grouped |= within
            joined |= other or not is_one_sided(step.kind)
        elif isinstance(step, ir.Union):
            grouped |= any(_scanned(branch, named)[0] for branch in step.branches)
            joined = False
        elif isinstance(step, (ir.Summarize, ir.Distinct, ir.Count)):
            grouped |= joined
    return grouped, joined


def with_small_sets(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Aggregates whose sets keep each value once, instead of once for each joined row."""
    ir = translator.ir

    def change(node: Any) -> Any:
        if isinstance(node, ir.FunctionCall) and node.name in translator.SMALL_SETS:
            return ir.FunctionCall(translator.SMALL_SETS[node.name], node.args)
        return node

    return tuple(translator.changed(item, change) for item in items)
