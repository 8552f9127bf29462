"""SQL that gives null where a value does not fit, since an error would end the whole hunt.

One event is enough: a text that is not a list or a number, a number beyond 64 bits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

# A call of the query as SQL; None where the translator's table has it.
Form = Callable[[Any], str | None]

# DuckDB's try() takes no aggregate, subquery or window; there numbers are wide, or few.
_BEYOND_TRY = re.compile(
    r"(?i)\b(SELECT|OVER|UNNEST|FILTER|sum|count|min|max|avg|list|any_value|string_agg|median|mode"
    r"|arg_m\w+|quantile\w*|stddev\w*|var_\w+|bool_\w+|first|last|approx\w*)\b\s*\(?"
)
_PLAIN_SIDE = re.compile(r"^'(?:[^']|'')*'$|kqlnow|\bTIMESTAMP\b|\"Time(?:stamp|Generated)\"")
# Functions of the translator that some value ends.
_FALLIBLE = (
    "array_index_of", "array_length", "array_reverse", "array_slice", "array_sort_asc",
    "array_sort_desc", "array_sum", "binary_and", "binary_or", "binary_shift_left",
    "binary_shift_right", "binary_xor", "set_has_element",
)  # fmt: skip
# And those that it writes by hand. Rounded times stay as they are: they are in bounds.
_FALLIBLE_FORMS = ("array_concat", "substring", "zip")
_ROUNDED = ("bin", "floor")


class Careful(str):
    """A template in brackets whose result may be an error."""

    __slots__ = ()

    def format(self, *arguments: object, **_: object) -> str:
        plain = super().format(*arguments)
        return plain if _BEYOND_TRY.search(plain) else f"try{plain}"


class Compared(Careful):
    """A comparison, null for a text that is not the number that it is compared with.

    Those with a text in quotes or with a time stay as they are: DuckDB can use them to skip rows.
    """

    __slots__ = ()

    def format(self, *arguments: object, **_: object) -> str:
        if any(_PLAIN_SIDE.search(str(argument)) for argument in arguments):
            return str.format(self, *arguments)
        return super().format(*arguments)


def templates(registry: Mapping[str, Any]) -> dict[str, Any]:
    """Those functions of the translator's table that some value ends, made careful."""
    return {
        name: replace(registry[name], template=Careful(f"({registry[name].template})"))
        for name in _FALLIBLE
    }


def forms(registry: Mapping[str, Form]) -> dict[str, Form]:
    """The same of those that it writes by hand."""
    made = {name: _form(registry[name], _BEYOND_TRY) for name in _FALLIBLE_FORMS}
    return made | {name: _form(registry[name], _BEYOND_TRY, _PLAIN_SIDE) for name in _ROUNDED}


def _form(render: Form, *without: re.Pattern[str]) -> Form:
    def written(node: Any) -> str | None:
        sql = render(node)
        if sql is None or any(pattern.search(sql) for pattern in without):
            return sql
        return f"try({sql})"

    return written
