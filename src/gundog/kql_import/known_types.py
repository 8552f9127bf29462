"""Translated SQL without the branches for types that its columns do not have.

The translator does not know the types of columns and asks for them in SQL, `case when typeof(x) =
'JSON' …`, for each use of each column. Of a staged table they are known, and without the branches
that never run DuckDB plans it several times as fast.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import duckdb

Node = dict[str, Any]


def simplified(sql: str, types: Mapping[str, str]) -> str:
    """The SELECT with only the branches that these columns take.

    Args:
        sql: one SELECT, in which a name in `types` means one column everywhere.
        types: DuckDB's type by column.

    Raises:
        ValueError: when DuckDB does not parse it.
    """
    with duckdb.connect() as con:
        return text(con, _simple(tree(con, sql), types))


def tree(con: duckdb.DuckDBPyConnection, sql: str) -> Node:
    """DuckDB's own parse of one SELECT.

    Raises:
        ValueError: when it is something else.
    """
    parsed: Node = json.loads(_value(con, "select json_serialize_sql($1::varchar)", sql))
    if parsed.get("error"):
        raise ValueError(f"not one SELECT: {parsed.get('error_message', '')}")
    return parsed


def text(con: duckdb.DuckDBPyConnection, parsed: Node) -> str:
    """The SQL of what DuckDB parsed."""
    return _value(con, "select json_deserialize_sql($1::json)", json.dumps(parsed))


def _value(con: duckdb.DuckDBPyConnection, sql: str, argument: str) -> str:
    [(value,)] = con.execute(sql, [argument]).fetchall()
    return str(value)


def _simple(node: Any, types: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_simple(item, types) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("class") == "CASE":
        return _taken(node, types)
    return {key: _simple(value, types) for key, value in node.items()}


def _taken(node: Node, types: Mapping[str, str]) -> Any:
    """A CASE without the branches whose type is not the column's; the branch that is, alone."""
    checks: list[Node] = []
    for check in node["case_checks"]:
        asked = _asked(check["when_expr"], types)
        if asked is None:
            checks.append(check)
        elif asked:
            node = {**node, "else_expr": check["then_expr"]}
            break
    if not checks:
        taken = _simple(node["else_expr"], types)
        return {**taken, "alias": node["alias"] or taken["alias"]}
    kept = {**node, "case_checks": checks}
    return {key: _simple(value, types) for key, value in kept.items()}


def _asked(node: Node, types: Mapping[str, str]) -> bool | None:
    """Whether `typeof(column) = 'TYPE'` holds; None for every other condition."""
    asked = question(node)
    if asked is None or asked[0]["class"] != "COLUMN_REF":
        return None
    kind = types.get(asked[0]["column_names"][-1])
    return None if kind is None else bool(kind == asked[1])


def question(node: Node) -> tuple[Node, str] | None:
    """The value and the type of `typeof(value) = 'TYPE'`; None for every other condition."""
    if node.get("type") != "COMPARE_EQUAL" or node["left"].get("function_name") != "typeof":
        return None
    wanted = node["right"].get("literal", {})
    if wanted.get("kind") != "STRING":
        return None
    return node["left"]["arguments"][0]["expression"], wanted["text"]
