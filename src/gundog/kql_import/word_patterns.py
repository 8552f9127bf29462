"""Searches for whole words as one pattern for all words, not one for each.

To compile a pattern that knows the letters of every script takes DuckDB about 4 ms, each time that
the SQL is bound; ten words in one pattern take as long as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Node = dict[str, Any]
# The text that an expression always is; None where it hangs on a row.
Constant = Callable[[Node], str | None]
# A node as text: the same for equal ones, wherever they are written.
Key = Callable[[Any], str]


@dataclass(frozen=True)
class _Search:
    """A search for a word, and what is before and behind the word in its pattern."""

    call: Node
    head: str
    word: str
    tail: str
    is_never_null: bool = False


def merged(node: Any, constant: Constant, key: Key) -> Any:
    """A part of a SELECT in which the words that are looked for in one value are one pattern.

    Args:
        node: DuckDB's parse of it.
        constant: the text of an expression that reads no column.
        key: tells nodes apart.
    """
    if isinstance(node, list):
        return [merged(item, constant, key) for item in node]
    if not isinstance(node, dict):
        return node
    found = _searches(node, constant)
    if found is None:
        parts = node["children"] if node.get("type") == "CONJUNCTION_OR" else []
        found = [search for part in parts for search in _searches(part, constant) or ()]
        rest = [merged(part, constant, key) for part in parts if _searches(part, constant) is None]
    else:
        rest = []
    if not found:
        return {name: merged(value, constant, key) for name, value in node.items()}
    groups = dict[tuple[str, str, str, bool], list[_Search]]()
    for search in found:
        value = key(search.call["arguments"][0])
        place = (value, search.head, search.tail, search.is_never_null)
        groups.setdefault(place, []).append(search)
    parts = [*(_written(group) for group in groups.values()), *rest]
    if len(parts) == 1:
        return {**parts[0], "alias": node["alias"]}
    return {**_either(node), "children": parts}


def _either(node: Node) -> Node:
    """The `or` of a condition, of which it may be the only part that can be null."""
    while node.get("type") != "CONJUNCTION_OR":
        node = {**node["children"][0], "alias": node["alias"]}
    return node


def _searches(node: Node, constant: Constant) -> list[_Search] | None:
    """The searches of which a condition is made, joined by `or`; None for any other condition."""
    if node.get("type") == "OPERATOR_COALESCE" and _is_false(node["children"][1:]):
        inner = _searches(node["children"][0], constant)
        return inner and [_never_null(search) for search in inner]
    if node.get("type") == "CONJUNCTION_OR":
        parts = [_searches(child, constant) for child in node["children"]]
        return None if None in parts else [item for part in parts for item in part or ()]
    search = _search(node, constant)
    return [search] if search else None


def _never_null(search: _Search) -> _Search:
    return _Search(search.call, search.head, search.word, search.tail, is_never_null=True)


def _is_false(nodes: list[Node]) -> bool:
    return [node.get("literal", {}).get("text") for node in nodes] == ["false"]


def _search(node: Node, constant: Constant) -> _Search | None:
    """`regexp_matches(value, 'head' || regexp_escape('word') || 'tail')`."""
    if node.get("function_name") != "regexp_matches" or len(node["arguments"]) != 2:
        return None
    parts = _joined(node["arguments"][1]["expression"])
    words = [n for n, part in enumerate(parts) if part.get("function_name") == "regexp_escape"]
    texts = [constant(part) for part in parts] if len(words) == 1 else [None]
    if None in texts:
        return None
    place, plain = words[0], [text or "" for text in texts]
    head, tail = "".join(plain[:place]), "".join(plain[place + 1 :])
    return _Search(node, head, plain[place], tail)


def _joined(node: Node) -> list[Node]:
    """The parts of `a || b || c`."""
    if node.get("function_name") != "||":
        return [node]
    return [part for argument in node["arguments"] for part in _joined(argument["expression"])]


def _written(group: list[_Search]) -> Node:
    """One search for any of the words."""
    words = dict.fromkeys(search.word for search in group)
    first = group[0]
    pattern = f"{first.head}(?:{'|'.join(words)}){first.tail}"
    value, old = first.call["arguments"]
    literal = {
        "class": "CONSTANT",
        "type": "VALUE_CONSTANT",
        "alias": "",
        "query_location": first.call["query_location"],
        "query_location_length": 0,
        "literal": {"kind": "STRING", "text": pattern},
    }
    call = {**first.call, "alias": "", "arguments": [value, {**old, "expression": literal}]}
    return _or_false(call) if first.is_never_null else call


def _or_false(call: Node) -> Node:
    place = {"query_location": call["query_location"], "query_location_length": 0}
    false = {"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", **place,
             "literal": {"kind": "BOOLEAN", "text": "false"}}  # fmt: skip
    return {"class": "OPERATOR", "type": "OPERATOR_COALESCE", "alias": "", **place,
            "children": [call, false]}  # fmt: skip
