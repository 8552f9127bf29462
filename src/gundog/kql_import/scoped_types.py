"""A translated query without the branches for types that its values do not have.

What `known_types` does for the columns of one table, step by step for a whole query: for each
SELECT within it DuckDB says which types the values have that it asks for, over empty tables, and
only the branches that can run stay. A hunt binds such SQL every night, several times as fast.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb

from gundog.kql_import import known_types, word_patterns
from gundog.warehouse import quoting

Node = dict[str, Any]
# Name and type of each column that a SELECT returns; raises duckdb.Error for one that is not bound.
Describe = Callable[[str], Sequence[tuple[str, str]]]
# How a node was written, and not what it is.
_SPELLING = frozenset({"query_location", "query_location_length", "is_operator"})
# Clauses in which a name means a column of `from`, and never an alias of the SELECT.
_CLAUSES = ("select_list", "from_table", "where_clause", "group_expressions")
# Expressions that are not the same for every row.
_CHANGING = frozenset({"COLUMN_REF", "PARAMETER", "SUBQUERY", "LAMBDA", "WINDOW", "STAR"})
_NOTHING = frozenset[str]()


def simplified(sql: str, describe: Describe) -> str:
    """The same SELECT, with the branches that can run.

    Every value keeps its type. A step stays as it is where DuckDB does not say what was asked.

    Args:
        sql: one SELECT.
        describe: binds a SELECT where the tables are that it reads.

    Raises:
        ValueError: when DuckDB does not parse it.
    """
    with duckdb.connect() as con:
        scopes = _Scopes(con, describe, known_types.tree(con, sql))
        made = word_patterns.merged(scopes.query(scopes.root, ()), scopes.constant, _key)
        text = scopes.written(made)
        if _key(known_types.tree(con, text)["statements"][0]["node"]) != _key(made):
            return sql  # DuckDB does not write back what it read
        return text


class _Scopes:
    """One statement, and where its SELECTs are bound."""

    def __init__(self, con: duckdb.DuckDBPyConnection, describe: Describe, tree: Node) -> None:
        self._con, self._describe = con, describe
        self._whole = tree["statements"][0]
        self.root: Node = self._whole["node"]

    def query(self, node: Node, above: tuple[Node, ...]) -> Node:
        """A query with all its steps simplified; `above` are the steps that it may read, typed."""
        if node["type"] not in ("SELECT_NODE", "SET_OPERATION_NODE"):
            return node
        steps = list[Node]()
        for step in node["cte_map"]["map"]:
            inner = self.query(step["value"]["query_node"], above)
            steps.append({**step, "value": {**step["value"], "query_node": inner}})
            above = (*(other for other in above if other["key"] != step["key"]),
                     self._typed(steps[-1], above))  # fmt: skip
        node = {**node, "cte_map": {"map": steps}}
        if node["type"] == "SELECT_NODE":
            return self._select(node, above)
        return {
            **node,
            **{side: self.query(node[side], above) for side in ("left", "right") if node[side]},
            "children": [self.query(child, above) for child in node["children"]],
        }

    def _typed(self, step: Node, above: tuple[Node, ...]) -> Node:
        """A step in which each column is a null of its type."""
        whole = known_types.tree(self._con, "select * from (select 1) as step")
        source, made = whole["statements"][0]["node"]["from_table"], step["value"]
        source["subquery"]["node"] = made["query_node"]
        source["column_name_alias"] = made["aliases"]
        columns = self._bound(whole, above)
        nulls = ", ".join(
            f"{'null' if kind == _UNTYPED else f'cast(null as {kind})'} as {quoting.name(column)}"
            for column, kind in columns
        )
        typed = known_types.tree(self._con, f"select {nulls}")["statements"][0]["node"]
        return {**step, "value": {**made, "aliases": [], "query_node": typed}}

    def _select(self, node: Node, above: tuple[Node, ...]) -> Node:
        """One SELECT; what it holds in brackets first."""
        node = {name: self._brackets(value, above) if name != "cte_map" else value
                for name, value in node.items()}  # fmt: skip
        parts = [node[clause] for clause in _CLAUSES]
        asked = _unique(_asked(case) for case in _cases(parts, _NOTHING))
        types = self._types(asked.values(), node, above)
        known = {key: kind for key, kind in zip(asked, types, strict=True) if kind}
        if not known:
            return node
        cases = _unique([case] for case in _cases(parts, _NOTHING) if _reduced(case, known) != case)
        whole = self._types(cases.values(), node, above)
        taken = self._types([_reduced(case, known) for case in cases.values()], node, above)
        kinds = {
            key: (before, after)
            for key, before, after in zip(cases, whole, taken, strict=True)
            if before and after
        }
        made = {
            clause: self._rewritten(node[clause], known, kinds, _NOTHING) for clause in _CLAUSES
        }
        return {**node, **made}

    def _brackets(self, value: Any, above: tuple[Node, ...]) -> Any:
        """A part of a SELECT with the queries in it simplified."""
        if isinstance(value, list):
            return [self._brackets(item, above) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            name: {**inner, "node": self.query(inner["node"], above)}
            if name == "subquery" and isinstance(inner, dict)
            else self._brackets(inner, above)
            for name, inner in value.items()
        }

    def _types(
        self, values: Iterable[Node], scope: Node, above: tuple[Node, ...]
    ) -> list[str | None]:
        """The type of each value where a SELECT reads its rows; None where it is not known."""
        values = list(values)
        if not values:
            return []
        select = {
            **known_types.tree(self._con, "select 1")["statements"][0]["node"],
            "select_list": [{**value, "alias": f"v{turn}"} for turn, value in enumerate(values)],
            "from_table": scope["from_table"],
        }
        try:
            return [kind for _, kind in self._bound({"statements": [{"node": select}]}, above)]
        except duckdb.Error:
            if len(values) == 1:
                return [None]
            return [kind for value in values for kind in self._types([value], scope, above)]

    def _bound(self, tree: Node, steps: Sequence[Node]) -> Sequence[tuple[str, str]]:
        """Name and type of the columns that a SELECT returns over these steps."""
        node = {**tree["statements"][0]["node"], "cte_map": {"map": list(steps)}}
        return self._describe(self._text(node))

    def _rewritten(
        self,
        node: Any,
        known: Mapping[str, str],
        kinds: Mapping[str, tuple[str, str]],
        bound: frozenset[str],
    ) -> Any:
        """A part of a SELECT with the branches that its values take."""
        if isinstance(node, list):
            return [self._rewritten(item, known, kinds, bound) for item in node]
        if not isinstance(node, dict) or _is_query(node):
            return node
        bound = bound | _parameters(node)
        before, after = kinds.get(_key(node), ("", "")) if _is_case(node, bound) else ("", "")
        if not before:
            return {name: self._rewritten(inner, known, kinds, bound) for name, inner in
                    node.items()}  # fmt: skip
        taken = _reduced(node, known)
        if taken.get("class") == "CASE":
            made = {name: self._rewritten(inner, known, kinds, bound) for name, inner in
                    taken.items()}  # fmt: skip
        else:
            made = self._rewritten(taken, known, kinds, bound)
        if before != after:
            made = self._cast(made, before)
        return {**made, "alias": node["alias"] or made["alias"]}

    def _cast(self, value: Node, kind: str) -> Node:
        select = known_types.tree(self._con, f"select cast(null as {kind})")
        cast: Node = select["statements"][0]["node"]["select_list"][0]
        return {**cast, "child": value}

    def constant(self, value: Node) -> str | None:
        """The text that an expression always is; None where it reads a column, or fails."""
        if not _CHANGING.isdisjoint(_classes(value)):
            return None
        select = known_types.tree(self._con, "select 1")["statements"][0]["node"]
        try:
            rows = self._con.execute(self._text({**select, "select_list": [value]})).fetchall()
        except duckdb.Error:
            return None
        return None if rows[0][0] is None else str(rows[0][0])

    def _text(self, node: Node) -> str:
        whole = {**self._whole, "node": node}
        return known_types.text(self._con, {"error": False, "statements": [whole]})

    def written(self, node: Node) -> str:
        """A query as SQL, each of its steps on a line of its own."""
        steps = [
            f"{quoting.name(step['key'])} AS ({self._text(step['value']['query_node'])})"
            for step in node["cte_map"]["map"]
        ]
        last = self._text({**node, "cte_map": {"map": []}})
        return f"WITH {_STEPS.join(steps)}\n{last}" if steps else last


_UNTYPED = '"NULL"'
_STEPS = ",\n     "


def _unique(found: Iterable[Iterable[Node]]) -> dict[str, Node]:
    return {_key(node): node for nodes in found for node in nodes}


def _key(node: Any) -> str:
    """A node as text: the same for equal ones, wherever they are written."""
    return json.dumps(_placeless(node), sort_keys=True)


def _placeless(node: Any) -> Any:
    if isinstance(node, list):
        return [_placeless(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {name: _placeless(value) for name, value in node.items() if name not in _SPELLING}


def _classes(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _classes(item)
    elif isinstance(node, dict):
        yield str(node.get("class"))
        for value in node.values():
            yield from _classes(value)


def _is_query(node: Node) -> bool:
    return isinstance(node.get("subquery"), dict)


def _parameters(node: Node) -> frozenset[str]:
    """The names that a lambda gives to its parameters."""
    if node.get("class") != "LAMBDA":
        return _NOTHING
    return frozenset(_columns(node["lhs"]))


def _columns(node: Any) -> Iterator[str]:
    """The first part of each column's name within a node."""
    if isinstance(node, list):
        for item in node:
            yield from _columns(item)
    elif isinstance(node, dict):
        if node.get("class") == "COLUMN_REF":
            yield node["column_names"][0]
        for value in node.values():
            yield from _columns(value)


def _is_case(node: Node, bound: frozenset[str]) -> bool:
    """True for a CASE that reads nothing but columns."""
    return node.get("class") == "CASE" and bound.isdisjoint(_columns(node))


def _cases(node: Any, bound: frozenset[str]) -> Iterator[Node]:
    """Every CASE of a SELECT itself, the outer ones first."""
    if isinstance(node, list):
        for item in node:
            yield from _cases(item, bound)
    elif isinstance(node, dict) and not _is_query(node):
        bound = bound | _parameters(node)
        if _is_case(node, bound):
            yield node
        for value in node.values():
            yield from _cases(value, bound)


def _asked(case: Node) -> Iterator[Node]:
    """The values whose types the branches of a CASE ask for."""
    for check in case["case_checks"]:
        yield from (value for value, _ in _questions(check["when_expr"]))


def _questions(node: Node) -> Iterator[tuple[Node, str]]:
    """The questions `typeof(value) = 'TYPE'` of a condition."""
    if node.get("type") == "CONJUNCTION_AND":
        for child in node["children"]:
            yield from _questions(child)
    elif question := known_types.question(node):
        yield question


def _reduced(case: Node, known: Mapping[str, str]) -> Node:
    """A CASE without the branches that never run; the one that always runs, alone."""
    checks, last = list[Node](), case["else_expr"]
    for check in case["case_checks"]:
        condition = _condition(check["when_expr"], known)
        if condition is True:
            last = check["then_expr"]
            break
        if condition is not False:
            checks.append({**check, "when_expr": condition})
    return {**case, "case_checks": checks, "else_expr": last} if checks else last


def _condition(node: Node, known: Mapping[str, str]) -> Node | bool:
    """What is left of a condition whose values have these types."""
    if node.get("type") == "CONJUNCTION_AND":
        parts = [_condition(child, known) for child in node["children"]]
        left = [part for part in parts if part is not True]
        if False in left:
            return False
        return {**node, "children": left} if len(left) > 1 else (left[0] if left else True)
    question = known_types.question(node)
    kind = known.get(_key(question[0])) if question else None
    return node if kind is None or question is None else kind == question[1]
