"""A translated query without the branches for types that its values do not have.

What `known_types` does for the columns of one table, step by step for a whole query: for each
SELECT within it DuckDB says which types the values have that it asks for, over empty tables, and
only the branches that can run stay. A hunt binds such SQL every night, several times as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb

from gundog.kql_import import known_types, sql_tree, word_patterns
from gundog.warehouse import quoting

Node = dict[str, Any]
# Name and type of each column that a SELECT returns; raises duckdb.Error for one that is not bound.
Describe = Callable[[str], Sequence[tuple[str, str]]]
# Clauses in which a name means a column of `from`, and never an alias of the SELECT.
_CLAUSES = ("select_list", "from_table", "where_clause", "group_expressions")
# Expressions that are not the same for every row.
_CHANGING = frozenset({"COLUMN_REF", "PARAMETER", "SUBQUERY", "LAMBDA", "WINDOW", "STAR"})
_NOTHING = frozenset[str]()


def simplified(sql: str, describe: Describe, con: duckdb.DuckDBPyConnection) -> str:
    """The same SELECT, with the branches that can run.

    Every value keeps its type. A step stays as it is where DuckDB does not say what was asked.

    Args:
        sql: one SELECT.
        describe: binds a SELECT where the tables are that it reads.
        con: where SQL is parsed.

    Raises:
        ValueError: when DuckDB does not parse it.
    """
    scopes = _Scopes(con, describe, known_types.tree(con, sql))
    made = word_patterns.merged(scopes.query(scopes.root, ()), scopes.constant, sql_tree.key)
    text = scopes.written(made)
    read_back = known_types.tree(con, text)["statements"][0]["node"]
    if sql_tree.key(read_back) != sql_tree.key(made):
        return sql  # DuckDB does not write back what it read
    return text


class _Scopes:
    """One statement, and where its SELECTs are bound."""

    def __init__(self, con: duckdb.DuckDBPyConnection, describe: Describe, tree: Node) -> None:
        self._con, self._describe = con, describe
        self._whole = tree["statements"][0]
        self.root: Node = self._whole["node"]
        self._select_one, self._select_all = (
            known_types.tree(con, sql)["statements"][0]["node"]
            for sql in ("select 1", "select * from (select 1) as step")
        )

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
        children = [self.query(child, above) for child in node["children"]]
        return {**node, "children": self._of_one_type({**node, "children": children}, above)}

    def _of_one_type(self, union: Node, above: tuple[Node, ...]) -> list[Node]:
        """The parts of a union; texts in a column that is JSON elsewhere are JSON texts."""
        children: list[Node] = union["children"]
        if union["setop_type"] != "UNION_BY_NAME":
            return children
        kinds = dict(self._returned(union, above))
        made = list[Node]()
        for child in children:
            own = self._returned(child, above)
            texts = [n for n, kind in own if kind == "VARCHAR" and kinds[n] == "JSON"]
            made.append(self._with_json(child, texts) if texts else child)
        return made

    def _with_json(self, query: Node, columns: Sequence[str]) -> Node:
        """A query some of whose texts are JSON texts."""
        names = [quoting.name(column) for column in columns]
        listed = ", ".join(f"to_json({name}) as {name}" for name in names)
        sql = f"select * replace ({listed}) from (select 1) as step"
        select: Node = known_types.tree(self._con, sql)["statements"][0]["node"]
        select["from_table"]["subquery"]["node"] = query
        return select

    def _returned(
        self, query: Node, above: tuple[Node, ...], aliases: Sequence[str] = ()
    ) -> Sequence[tuple[str, str]]:
        """Name and type of the columns that a query returns."""
        source = self._select_all["from_table"]
        inner = {**source["subquery"], "node": query}
        source = {**source, "subquery": inner, "column_name_alias": list(aliases)}
        return self._bound({**self._select_all, "from_table": source}, above)

    def _typed(self, step: Node, above: tuple[Node, ...]) -> Node:
        """A step in which each column is a null of its type."""
        made = step["value"]
        columns = self._returned(made["query_node"], above, made["aliases"])
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
        asked = sql_tree.unique(_asked(case) for case in sql_tree.cases(parts, _NOTHING))
        types = self._types(asked.values(), node, above)
        held = {key: kind for key, kind in zip(asked, types, strict=True) if kind}
        made = self._taken(node, held, above) if held else node
        return self._one_kind(made, above)

    def _taken(self, node: Node, held: Mapping[str, str], above: tuple[Node, ...]) -> Node:
        """A SELECT with the branches that its values take, whose types are known."""
        parts = [node[clause] for clause in _CLAUSES]
        cases = sql_tree.unique(
            [case] for case in sql_tree.cases(parts, _NOTHING) if _reduced(case, held) != case
        )
        whole = self._types(cases.values(), node, above)
        taken = self._types([_reduced(case, held) for case in cases.values()], node, above)
        kinds = {
            key: (before, after)
            for key, before, after in zip(cases, whole, taken, strict=True)
            if before and after
        }
        made = {clause: self._rewritten(node[clause], held, kinds, _NOTHING) for clause in _CLAUSES}
        return {**node, **made}

    def _one_kind(self, node: Node, above: tuple[Node, ...]) -> Node:
        """A SELECT in which a choice between JSON and text is JSON, whatever the text is."""
        parts = [node[clause] for clause in _CLAUSES]
        choices = sql_tree.unique([choice] for choice in sql_tree.choices(parts, _NOTHING))
        kinds = self._types(choices.values(), node, above)
        wanted = {key for key, kind in zip(choices, kinds, strict=True) if kind == "JSON"}
        outcomes = sql_tree.unique(sql_tree.outcomes(choices[key]) for key in wanted)
        kinds = self._types(outcomes.values(), node, above)
        texts = {key for key, kind in zip(outcomes, kinds, strict=True) if kind == "VARCHAR"}
        if not texts:
            return node
        made = {clause: self._mixed(node[clause], wanted, texts) for clause in _CLAUSES}
        return {**node, **made}

    def _mixed(self, node: Any, wanted: Container[str], texts: Container[str]) -> Any:
        if isinstance(node, list):
            return [self._mixed(item, wanted, texts) for item in node]
        if not isinstance(node, dict) or sql_tree.is_query(node):
            return node
        inner = {name: self._mixed(value, wanted, texts) for name, value in node.items()}
        if not sql_tree.is_choice(node) or sql_tree.key(node) not in wanted:
            return inner
        return sql_tree.with_outcomes(
            inner,
            [
                self._json(new) if sql_tree.key(old) in texts else new
                for old, new in zip(sql_tree.outcomes(node), sql_tree.outcomes(inner), strict=True)
            ],
        )

    def _json(self, text: Node) -> Node:
        """A text as JSON: what is JSON by itself, else a JSON text."""
        column = text.get("class") == "COLUMN_REF"
        form = "to_json(x)" if column else "coalesce(try_cast(x as json), to_json(x))"
        made = known_types.tree(self._con, f"select {form}")["statements"][0]["node"]
        value = sql_tree.put(made["select_list"][0], {**text, "alias": ""})
        return {**value, "alias": text["alias"]}

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
            **self._select_one,
            "select_list": [{**value, "alias": f"v{turn}"} for turn, value in enumerate(values)],
            "from_table": scope["from_table"],
        }
        try:
            return [kind for _, kind in self._bound(select, above)]
        except duckdb.Error:
            if len(values) == 1:
                return [None]
            return [kind for value in values for kind in self._types([value], scope, above)]

    def _bound(self, select: Node, steps: Sequence[Node]) -> Sequence[tuple[str, str]]:
        """Name and type of the columns that a SELECT returns over these steps."""
        return self._describe(self._text({**select, "cte_map": {"map": list(steps)}}))

    def _rewritten(
        self,
        node: Any,
        held: Mapping[str, str],
        kinds: Mapping[str, tuple[str, str]],
        bound: frozenset[str],
    ) -> Any:
        """A part of a SELECT with the branches that its values take."""
        if isinstance(node, list):
            return [self._rewritten(item, held, kinds, bound) for item in node]
        if not isinstance(node, dict) or sql_tree.is_query(node):
            return node
        bound = bound | sql_tree.parameters(node)
        is_case = sql_tree.is_case(node, bound)
        before, after = kinds.get(sql_tree.key(node), ("", "")) if is_case else ("", "")
        if not before:
            return {name: self._rewritten(inner, held, kinds, bound) for name, inner in
                    node.items()}  # fmt: skip
        taken = _reduced(node, held)
        if taken.get("class") == "CASE":
            made = {name: self._rewritten(inner, held, kinds, bound) for name, inner in
                    taken.items()}  # fmt: skip
        else:
            made = self._rewritten(taken, held, kinds, bound)
        if before != after:
            made = self._cast(made, before)
        return {**made, "alias": node["alias"] or made["alias"]}

    def _cast(self, value: Node, kind: str) -> Node:
        select = known_types.tree(self._con, f"select cast(null as {kind})")
        cast: Node = select["statements"][0]["node"]["select_list"][0]
        return {**cast, "child": value}

    def constant(self, value: Node) -> str | None:
        """The text that an expression always is; None where it reads a column, or fails."""
        if not _CHANGING.isdisjoint(sql_tree.classes(value)):
            return None
        try:
            sql = self._text({**self._select_one, "select_list": [value]})
            rows = self._con.execute(sql).fetchall()
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


def _reduced(case: Node, held: Mapping[str, str]) -> Node:
    """A CASE without the branches that never run; the one that always runs, alone."""
    checks, last = list[Node](), case["else_expr"]
    for check in case["case_checks"]:
        condition = _condition(check["when_expr"], held)
        if condition is True:
            last = check["then_expr"]
            break
        if condition is not False:
            checks.append({**check, "when_expr": condition})
    return {**case, "case_checks": checks, "else_expr": last} if checks else last


def _condition(node: Node, held: Mapping[str, str]) -> Node | bool:
    """What is left of a condition whose values have these types."""
    if node.get("type") == "CONJUNCTION_AND":
        parts = [_condition(child, held) for child in node["children"]]
        left = [part for part in parts if part is not True]
        if False in left:
            return False
        return {**node, "children": left} if len(left) > 1 else (left[0] if left else True)
    question = known_types.question(node)
    kind = held.get(sql_tree.key(question[0])) if question else None
    return node if kind is None or question is None else kind == question[1]
