"""What a query needs of each source table: which rows, and which columns.

Rows are those that pass the filters which stand before anything but row-wise steps, for any of the
references to the table. A filter that looks at more than its own row is not used: more rows are
staged then, never fewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gundog.kql_import import translator
from gundog.kql_import.weaving import MARK

# Not functions of their row.
_ELSEWHERE = frozenset(
    "now ago ingestion_time rand toscalar new_guid cursor_after prev next".split()
)
_NO_COLUMN = re.compile(r"\d+$")


@dataclass
class Use:
    """A source table as a query uses it.

    Args:
        filters: for each reference the conditions that all hold; empty when all rows are needed.
        whole: True when every column may show in the result.
    """

    table: str
    filters: list[tuple[Any, ...]] = field(default_factory=list)
    whole: bool = False


def of(query: Any, columns: Mapping[str, list[str]]) -> dict[str, Use]:
    """The uses of a query that is not woven yet, by table.

    Args:
        query: a structure of the translator.
        columns: the source tables' columns.
    """
    reader = _Reader(columns, dict(_tabular(query)))
    reader.walk(query, not _is_bounded(query.operators))
    return reader.uses


def without_unused(query: Any) -> Any:
    """The query without tables that a `let` names and nothing reads: they stage nothing."""
    ir = translator.ir

    def read(node: Any) -> set[str]:
        return {ref.name for ref in translator.nodes(node) if isinstance(ref, ir.TableRef)}

    used = read(replace(query, lets=[]))
    kept = []
    for name, bound in reversed(query.lets):
        if name in used or not isinstance(bound, ir.Query):
            kept.append((name, bound))
            used |= read(bound)
    return replace(query, lets=kept[::-1])


def named(query: Any) -> set[str]:
    """Every name that a query may mean a column by."""
    ir = translator.ir
    names = set[str]()
    for node in translator.nodes(query):
        if isinstance(node, (ir.ColumnRef, ir.LetRef)):
            names.add(node.name)
        elif isinstance(node, ir.JoinKey):
            names |= {node.left, node.right}
        elif isinstance(node, ir.MvExpandTarget):
            names.add(node.column)
        elif isinstance(node, ir.ProjectRename):
            names |= {old for _, old in node.renames}
    # A join calls the second X of its sides X1.
    return names | {_NO_COLUMN.sub("", name) for name in names}


def _tabular(query: Any) -> Iterator[tuple[str, Any]]:
    for node in translator.nodes(query):
        if isinstance(node, translator.ir.Query):
            for name, bound in node.lets:
                if isinstance(bound, translator.ir.Query):
                    yield name, bound


def _is_bounded(steps: list[Any]) -> bool:
    """True when a step names all columns that go on, and nothing behind it adds a table's own."""
    ir = translator.ir
    for step in reversed(steps):
        if isinstance(step, (ir.Join, ir.Lookup)) and not _is_bounded(step.right.operators):
            return False
        if isinstance(step, ir.Union) and not all(
            _is_bounded(branch.operators) for branch in step.branches
        ):
            return False
        if isinstance(step, (ir.Project, ir.Summarize, ir.Distinct, ir.Count)):
            return not any(isinstance(node, ir.Wildcard) for node in translator.nodes(step))
    return False


@dataclass
class _Reader:
    columns: Mapping[str, list[str]]
    lets: dict[str, Any]
    uses: dict[str, Use] = field(default_factory=dict)
    open: tuple[str, ...] = ()

    def walk(self, query: Any, whole: bool, after: tuple[Any, ...] = ()) -> None:
        """Notes the tables of a query; `after` are the steps of a query that reads it."""
        ir = translator.ir
        steps = (*query.operators, *after)
        source = query.source
        if isinstance(source, ir.TableRef):
            if source.name in self.lets and source.name not in self.open:
                outer = self.open
                self.open = (*outer, source.name)
                bound = self.lets[source.name]
                self.walk(bound, whole and not _is_bounded(bound.operators), steps)
                self.open = outer
            elif source.name in self.columns:
                use = self.uses.setdefault(source.name, Use(source.name))
                use.filters.append(tuple(_conditions(steps, set(self.columns[source.name]))))
                use.whole = use.whole or whole
        for step in query.operators:
            self._inner(step, whole)

    def _inner(self, step: Any, whole: bool) -> None:
        """Notes the tables that stand within one step."""
        ir = translator.ir
        if isinstance(step, (ir.Join, ir.Lookup)):
            self.walk(step.right, whole and not _is_bounded(step.right.operators))
        elif isinstance(step, ir.Union):
            for branch in step.branches:
                self.walk(branch, whole and not _is_bounded(branch.operators))
        else:
            self._subqueries(step)

    def _subqueries(self, node: Any) -> None:
        """Notes the tables that a condition reads."""
        stack = [node]
        while stack:
            item = stack.pop()
            if isinstance(item, translator.ir.Query):
                self.walk(item, not _is_bounded(item.operators))
            elif isinstance(item, (tuple, list)):
                stack.extend(item)
            elif hasattr(item, "__dataclass_fields__"):
                stack.extend(getattr(item, name) for name in item.__dataclass_fields__)


def _conditions(steps: tuple[Any, ...], columns: set[str]) -> Iterator[Any]:
    """The conditions on a table's own columns before its rows become others."""
    ir = translator.ir
    origins: dict[str, Any] = {name: ir.ColumnRef(name) for name in columns}
    for step in steps:
        if isinstance(step, ir.Where):
            for part in _parts(step.predicate):
                if (plain := _plain(part, origins)) is not None:
                    yield plain
        elif isinstance(step, ir.Extend):
            made = {
                named.name: _plain(named.expr, origins) for named in step.expressions if named.name
            }
            if any(named.name is None for named in step.expressions):
                return
            origins |= made
        elif isinstance(step, ir.Project):
            if any(
                named.name is None and not isinstance(named.expr, ir.ColumnRef)
                for named in step.expressions
            ):
                return
            origins = {
                named.name or named.expr.name: _plain(named.expr, origins)
                for named in step.expressions
            }
        elif isinstance(step, ir.ProjectRename):
            origins |= {new: origins.get(old) for new, old in step.renames}
        elif not isinstance(step, (ir.ProjectAway, ir.Sort)):
            return


def _parts(predicate: Any) -> Iterator[Any]:
    if isinstance(predicate, translator.ir.BinaryOp) and predicate.op == "and":
        yield from _parts(predicate.left)
        yield from _parts(predicate.right)
    else:
        yield predicate


def _plain(expr: Any, origins: Mapping[str, Any]) -> Any:
    """The expression over the table's own columns; None when it needs more than its row."""
    ir = translator.ir
    unfit = False

    def change(node: Any) -> Any:
        nonlocal unfit
        if isinstance(node, ir.ColumnRef):
            value = origins.get(node.name)
            unfit = unfit or value is None
            return value if value is not None else node
        if isinstance(node, ir.LetRef):
            return origins.get(node.name, node.value)
        if isinstance(node, ir.FunctionCall):
            unfit = unfit or node.name.lower() in _ELSEWHERE
        unfit = unfit or isinstance(node, (ir.Query, ir.ToScalar, ir.RowContext, ir.Parameter))
        return node

    plain = translator.changed(expr, change)
    names = {node.name for node in translator.nodes(plain) if isinstance(node, ir.ColumnRef)}
    return None if unfit or MARK in names else plain
