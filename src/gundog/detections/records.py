"""Undoes what exporters do to a JSON record before it lands: wrapping, and names in another case.

A record is one JSON object. On its way into a lake it may become a text that holds JSON, a list
with only this object, the value of another object's key, or an object whose keys were written in
another case. Nothing is guessed beyond that: what holds two records is neither of them.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NoReturn

_LEVELS = 3
_WRAPPERS = frozenset({"auditdata", "raweventdata"})
# A byte order mark, and the same three bytes read as Latin-1.
_MARKS = ("\ufeff", "\u00ef\u00bb\u00bf")
_LONGEST_NUMBER = 1000


def normalise(text: str, names: str) -> str:
    """The record that a JSON text holds, as the JSON text of an object with the names as asked.

    Undone are, in any order and nesting: a byte order mark, JSON text within JSON text (up to three
    levels), a list of exactly one, and a wrapper (an object with a key AuditData or RawEventData
    that holds the record).

    Args:
        text: a JSON text; any string.
        names: the keys as the caller spells them, with blanks between; a key that differs from
            one in case only is renamed, at every depth, unless the object has that key too.

    Returns:
        Compact JSON of an object, numbers with a fraction as their text; the text as it is where it
        holds no such record.

    >>> normalise('["{\\\\"auditData\\\\": {\\\\"id\\\\": 1, \\\\"other\\\\": 2}}"]', "Id")
    '{"Id":1,"other":2}'
    """
    try:
        value = _parse(text, names)
        record = _record(value, names, _LEVELS)
    except (ValueError, RecursionError):
        return text
    return text if record is None else json.dumps(record, separators=(",", ":"))


def _parse(text: str, names: str) -> Any:
    text = text.strip()
    for mark in _MARKS:
        text = text.removeprefix(mark)
    spelled = _spelled(names)
    return json.loads(
        text,
        object_pairs_hook=lambda pairs: _named(pairs, spelled),
        parse_int=lambda digits: int(digits) if len(digits) < _LONGEST_NUMBER else digits,
        parse_float=str,
        parse_constant=_refuse,
    )


@lru_cache(64)
def _spelled(names: str) -> dict[str, str]:
    return {name.lower(): name for name in names.split()}


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _named(pairs: list[tuple[str, Any]], spelled: dict[str, str]) -> dict[str, Any]:
    """An object with its keys spelled as asked; of a duplicate key the first counts."""
    first_values: dict[str, Any] = {}
    for key, value in pairs:
        first_values.setdefault(key, value)
    renamed: dict[str, Any] = {}
    for key, value in first_values.items():
        name = spelled.get(key.lower(), key)
        renamed.setdefault(key if name in first_values else name, value)
    return renamed


def _record(value: Any, names: str, levels: int) -> dict[str, Any] | None:
    """The object that a value holds, once texts, lists of one and wrappers are opened."""
    if isinstance(value, str) and levels:
        try:
            return _record(_parse(value, names), names, levels - 1)
        except ValueError:
            return None
    if isinstance(value, list) and len(value) == 1:
        return _record(value[0], names, levels)
    if not isinstance(value, dict):
        return None
    wrapped = (inner for key, inner in value.items() if key.lower() in _WRAPPERS)
    opened = (_record(inner, names, levels) for inner in wrapped)
    return next((record for record in opened if record is not None), value)
