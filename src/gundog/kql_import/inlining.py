"""Functions of a query that return tables, written out where they are called.

The translator knows functions that return values. A function that returns a table is its body with
the arguments in place of the parameters; what its body names by `let` gets a name of its own and
goes before the statement. Lines stay where they are: what is written out is one line.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gundog.kql_import import tokens
from gundog.kql_import.refusing import RefusalError
from gundog.kql_import.tokens import Token

# Functions that call functions are written out one after the other.
_MOST_CALLS = 200
_LONGEST = 200_000
_TABULAR = frozenset({"union", "datatable", "range", "print", "search", "find", "materialize"})


@dataclass(frozen=True)
class _Parameter:
    name: str
    default: str
    is_table: bool


@dataclass(frozen=True)
class _Function:
    """A function that returns a table: its parameters, and the tokens between its braces."""

    name: str
    parameters: tuple[_Parameter, ...]
    body: tuple[Token, ...]


def inlined(kql: str, columns: Collection[str]) -> str:
    """The query without functions that return tables.

    Args:
        kql: the query.
        columns: names of columns, which hide parameters of the same name in Kusto.

    Raises:
        RefusalError: for a function that calls itself, or a parameter that is also a column.
    """
    name = ""
    for number in range(_MOST_CALLS):
        stream = tokens.read(kql)
        functions = _functions(kql, stream)
        if not functions:
            return kql
        call = _first_call(stream, functions)
        if call is None:
            return _without(kql, stream, functions)
        name = stream[call].text
        kql = _written(kql, stream, call, functions[name], number, columns)
        if len(kql) > _LONGEST:
            break
    raise RefusalError(f"{name}()", "calls itself, or is called too often: write its steps out")


def statements(stream: Sequence[Token]) -> list[tuple[int, int]]:
    """The index ranges of the statements, each without its semicolon."""
    if not stream:
        return []
    depth = min(token.depth for token in stream)
    ends = [i for i, token in enumerate(stream) if token.text == ";" and token.depth == depth]
    edges = [-1, *ends, len(stream)]
    spans = [(low + 1, high) for low, high in itertools.pairwise(edges)]
    return [(low, high) for low, high in spans if low < high]


def _functions(kql: str, stream: tuple[Token, ...]) -> dict[str, _Function]:
    """The functions that return tables, by name."""
    bound: dict[str, _Function] = {}
    tables = _named_tables(stream)
    for low, high in statements(stream):
        opening = _opening(stream, low, high)
        if opening is None:
            continue
        brace = tokens.closing(stream, opening) + 1
        if brace >= high or stream[brace].text != "{":
            continue
        body = stream[brace + 1 : tokens.closing(stream, brace)]
        parameters = _parameters(kql, stream, opening)
        if _is_tabular(body, {p.name for p in parameters if p.is_table} | {*bound} | tables):
            name = stream[low + 1].text
            bound[name] = _Function(name, parameters, body)
    return bound


def _named_tables(stream: tuple[Token, ...]) -> set[str]:
    """Names that a `let` gives to something with a pipe in it."""
    names = set()
    for low, high in statements(stream):
        piped = any(
            part.text == "|" and part.depth == stream[low].depth for part in stream[low:high]
        )
        if stream[low].text == "let" and piped:
            names.add(stream[low + 1].text)
    return names


def _opening(stream: tuple[Token, ...], low: int, high: int) -> int | None:
    """The index of the bracket before a function's parameters; None for other statements."""
    if high - low < 6 or stream[low].text != "let" or stream[low + 2].text != "=":
        return None
    start = low + 3 + (stream[low + 3].text == "view")
    return start if stream[start].text == "(" else None


def _parameters(kql: str, stream: tuple[Token, ...], opening: int) -> tuple[_Parameter, ...]:
    made = []
    for low, high in tokens.arguments(stream, opening):
        parts = stream[low:high]
        equals = next((i for i, part in enumerate(parts) if part.text == "="), None)
        default = kql[parts[equals + 1].start : parts[-1].end] if equals else ""
        is_table = len(parts) > 2 and parts[2].text == "("
        made.append(_Parameter(parts[0].text, default, is_table))
    return tuple(made)


def _is_tabular(body: Sequence[Token], tables: Collection[str]) -> bool:
    spans = statements(body)
    if not spans:
        return False
    low, high = spans[-1]
    depth = body[low].depth
    piped = any(token.text == "|" and token.depth == depth for token in body[low:high])
    first = body[low].text
    return piped or first in _TABULAR or (high - low == 1 and first in tables)


def _first_call(stream: tuple[Token, ...], functions: dict[str, _Function]) -> int | None:
    """The index of a call outside the functions' own definitions."""
    inside = _definitions(stream, functions)
    for index, token in enumerate(stream):
        if token.kind != "word" or token.text not in functions:
            continue
        if any(low <= index < high for low, high in inside):
            continue
        before = stream[index - 1].text if index else ""
        if before in (".", "let") or (index + 1 < len(stream) and stream[index + 1].text == "="):
            continue
        return index
    return None


def _definitions(
    stream: tuple[Token, ...], functions: dict[str, _Function]
) -> list[tuple[int, int]]:
    return [
        (low, high)
        for low, high in statements(stream)
        if stream[low].text == "let"
        and stream[low + 1].text in functions
        and _opening(stream, low, high)
    ]


def _without(kql: str, stream: tuple[Token, ...], functions: dict[str, _Function]) -> str:
    """The text without the definitions, whose lines stay as empty ones."""
    for low, high in reversed(_definitions(stream, functions)):
        start = stream[low].start
        end = stream[high].end if high < len(stream) else stream[high - 1].end
        kql = kql[:start] + "\n" * kql.count("\n", start, end) + kql[end:]
    return kql


def _written(
    kql: str,
    stream: tuple[Token, ...],
    call: int,
    function: _Function,
    number: int,
    columns: Collection[str],
) -> str:
    """The text with one call written out."""
    has_arguments = call + 1 < len(stream) and stream[call + 1].text == "("
    end = tokens.closing(stream, call + 1) if has_arguments else call
    given = tokens.arguments(stream, call + 1) if has_arguments else []
    values = [kql[stream[low].start : stream[high - 1].end] for low, high in given]
    is_invoked = call > 0 and stream[call - 1].text == "invoke"
    statement = next(span for span in statements(stream) if span[0] <= call < span[1])
    start, before = stream[statement[0]].start, ""
    if is_invoked:
        values, before, first = _piped(kql, stream, call, statement, number, values)
    else:
        first = stream[call].start
    names = _arguments(kql, stream[call], function, values, columns)
    hoisted, body = _body(function, names, number)
    previous = "(" if is_invoked else (stream[call - 1].text if call else ";")
    starts = previous in ("(", ";") or (previous == "=" and call - 3 == statement[0])
    made = body if starts else f"({body})"
    rest = kql[first : stream[call].start].count("\n")
    return (
        kql[:start] + before + hoisted + kql[start:first] + made + "\n" * rest
        + "\n" * kql.count("\n", stream[call].start, stream[end].end) + kql[stream[end].end :]
    )  # fmt: skip


def _piped(
    kql: str,
    stream: tuple[Token, ...],
    call: int,
    statement: tuple[int, int],
    number: int,
    values: list[str],
) -> tuple[list[str], str, int]:
    """The table before `| invoke f()` as a `let` of its own and the first argument."""
    low = statement[0]
    if stream[call].depth != stream[low].depth:
        raise RefusalError(
            f"invoke {stream[call].text}", "stands in brackets: name the table by a let",
            tokens.line_of(kql, stream[call].start), tokens.column_of(kql, stream[call].start),
        )  # fmt: skip
    source = low + 3 if stream[low].text == "let" else low
    name = f"gundog_table_{number}"
    first = stream[source].start
    table = tokens.joined(stream[source : call - 2])
    return [name, *values], f"let {name} = {table}; ", first


def _arguments(
    kql: str,
    call: Token,
    function: _Function,
    values: Sequence[str],
    columns: Collection[str],
) -> dict[str, str]:
    """What stands for each parameter."""
    line, column = tokens.line_of(kql, call.start), tokens.column_of(kql, call.start)
    if len(values) > len(function.parameters):
        raise RefusalError(f"{function.name}()", "has too many arguments", line, column)
    names = {}
    for place, parameter in enumerate(function.parameters):
        if not parameter.is_table and parameter.name in columns:
            raise RefusalError(
                f"{function.name}({parameter.name})",
                "has the name of a column, which Kusto reads instead: rename the parameter",
                line, column,
            )  # fmt: skip
        value = values[place] if place < len(values) else parameter.default
        if not value:
            raise RefusalError(
                f"{function.name}()", f"lacks the argument {parameter.name}", line, column
            )
        parts = tokens.read(value)
        flat = tokens.joined(parts)
        names[parameter.name] = flat if len(parts) == 1 else f"({flat})"
    return names


def _body(function: _Function, names: dict[str, str], number: int) -> tuple[str, str]:
    """The body's `let` statements under names of their own, and its last statement."""
    spans = statements(function.body)
    bound, hoisted = dict(names), ""
    for low, high in spans[:-1]:
        part = function.body[low:high]
        if part[0].text != "let":
            raise RefusalError(f"{function.name}()", "holds more than let statements and one query")
        own = f"{part[1].text}_{function.name}_{number}"
        hoisted += f"let {own} = {_text(part[3:], bound)}; "
        bound[part[1].text] = own
    low, high = spans[-1]
    return hoisted, _text(function.body[low:high], bound)


def _text(part: Sequence[Token], names: Mapping[str, str]) -> str:
    """The tokens as one line, names replaced where they do not name a column."""
    replaced = {}
    for index, token in enumerate(part):
        before = part[index - 1].text if index else ""
        after = part[index + 1].text if index + 1 < len(part) else ""
        is_name = token.kind == "word" and token.text in names
        if is_name and before not in (".", "$left", "$right") and after not in ("=", ":"):
            replaced[index] = names[token.text]
    return tokens.joined(part, replaced)
