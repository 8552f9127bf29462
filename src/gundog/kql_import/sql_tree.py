"""Parts of DuckDB's own parse of a SELECT: plain values, found and compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Node = dict[str, Any]
# How a node was written, and not what it is.
_SPELLING = frozenset({"query_location", "query_location_length", "is_operator"})
_NOTHING = frozenset[str]()


def key(node: Any) -> str:
    """A node as text: the same for equal ones, wherever they are written."""
    return json.dumps(_placeless(node), sort_keys=True)


def _placeless(node: Any) -> Any:
    if isinstance(node, list):
        return [_placeless(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _placeless(value) for name, value in node.items() if name not in _SPELLING}
    if plain.get("replace_list"):  # of a star, which DuckDB writes in an order of its own
        plain["replace_list"].sort(key=lambda replaced: json.dumps(replaced, sort_keys=True))
    return plain


def is_query(node: Node) -> bool:
    """True for a query in brackets."""
    return isinstance(node.get("subquery"), dict)


def classes(node: Any) -> Iterator[str]:
    """The kinds of the nodes within a node."""
    if isinstance(node, list):
        for item in node:
            yield from classes(item)
    elif isinstance(node, dict):
        yield str(node.get("class"))
        for value in node.values():
            yield from classes(value)


def parameters(node: Node) -> frozenset[str]:
    """The names that a lambda gives to its parameters."""
    if node.get("class") != "LAMBDA":
        return _NOTHING
    return frozenset(columns(node["lhs"]))


def columns(node: Any) -> Iterator[str]:
    """The first part of each column's name within a node."""
    if isinstance(node, list):
        for item in node:
            yield from columns(item)
    elif isinstance(node, dict):
        if node.get("class") == "COLUMN_REF":
            yield node["column_names"][0]
        for value in node.values():
            yield from columns(value)


def is_choice(node: Node) -> bool:
    """True for a CASE or a COALESCE."""
    return node.get("class") == "CASE" or node.get("type") == "OPERATOR_COALESCE"


def choices(node: Any, bound: frozenset[str]) -> Iterator[Node]:
    """Every CASE and COALESCE of a SELECT itself that reads nothing but columns."""
    return _of_columns(node, bound, is_choice)


def outcomes(choice: Node) -> list[Node]:
    """What a choice may give."""
    if choice.get("class") != "CASE":
        return list(choice["children"])
    return [*(check["then_expr"] for check in choice["case_checks"]), choice["else_expr"]]


def with_outcomes(choice: Node, new: Sequence[Node]) -> Node:
    """A choice that gives these instead, in their order."""
    if choice.get("class") != "CASE":
        return {**choice, "children": list(new)}
    checks = [
        {**check, "then_expr": outcome}
        for check, outcome in zip(choice["case_checks"], new, strict=False)
    ]
    return {**choice, "case_checks": checks, "else_expr": new[-1]}


def put(node: Any, value: Node) -> Any:
    """A template with its column replaced by a value."""
    if isinstance(node, list):
        return [put(item, value) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("class") == "COLUMN_REF":
        return value
    return {name: put(inner, value) for name, inner in node.items()}


def is_case(node: Node, bound: frozenset[str]) -> bool:
    """True for a CASE that reads nothing but columns."""
    return node.get("class") == "CASE" and not _reads(node, bound)


def _reads(node: Node, names: frozenset[str]) -> bool:
    """Whether a node names one of these; mostly there are none, and then nobody looks."""
    return bool(names) and not names.isdisjoint(columns(node))


def cases(node: Any, bound: frozenset[str]) -> Iterator[Node]:
    """Every CASE of a SELECT itself, the outer ones first."""
    return _of_columns(node, bound, lambda inner: inner.get("class") == "CASE")


def _of_columns(
    node: Any, bound: frozenset[str], is_wanted: Callable[[Node], bool]
) -> Iterator[Node]:
    """Wanted nodes of a SELECT itself that read no parameter of a lambda, the outer ones first."""
    if isinstance(node, list):
        for item in node:
            yield from _of_columns(item, bound, is_wanted)
    elif isinstance(node, dict) and not is_query(node):
        bound = bound | parameters(node)
        if is_wanted(node) and not _reads(node, bound):
            yield node
        for value in node.values():
            yield from _of_columns(value, bound, is_wanted)


def unique(found: Iterable[Iterable[Node]]) -> dict[str, Node]:
    """Nodes by their key, each once."""
    return {key(node): node for nodes in found for node in nodes}
