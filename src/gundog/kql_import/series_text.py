"""`make-series` and the series functions in operators that the translator knows.

`make-series` counts by key and bin, then lists the bins of each key. A series function gives one
list for each name that it is assigned to. The names made here are those of `translator`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gundog.hunting.kusto_outputs import OUTPUTS
from gundog.kql_import import tokens
from gundog.kql_import.refusing import RefusalError
from gundog.kql_import.tokens import Token

BIN = "gundog_bin"
SERIES, AXIS, BINS = "gundog_series", "gundog_axis", "gundog_bins"
_Edit = tuple[int, int, str]
_CLAUSES = ("on", "from", "to", "step", "in", "by")


def edits(kql: str, stream: tuple[Token, ...]) -> Iterator[_Edit]:
    """What to write for each make-series and series function."""
    for index, token in enumerate(stream):
        if token.text == "make-series":
            end = tokens.step_end(stream, index)
            yield token.start, stream[end - 1].end, _series(kql, stream[index:end])
        elif token.text == "extend":
            yield from _extended(kql, stream, index)


def _refused(kql: str, token: Token, reason: str) -> RefusalError:
    line, column = tokens.line_of(kql, token.start), tokens.column_of(kql, token.start)
    return RefusalError("make-series", reason, line, column)


def clauses(kql: str, step: tuple[Token, ...]) -> dict[str, tuple[Token, ...]]:
    """The parts of a make-series by the word before each; the aggregates have none."""
    depth = step[0].depth
    starts = [(0, "")] + [
        (i, token.text)
        for i, token in enumerate(step)
        if i and token.depth == depth and token.kind == "word" and token.text in _CLAUSES
    ]
    parts = {}
    for (start, name), (end, _) in zip(starts, [*starts[1:], (len(step), "")], strict=True):
        parts[name] = step[start + 1 : end]
    if "in" in parts:  # the old spelling: in range(from, to, step)
        old = parts.pop("in")
        spans = tokens.arguments(old, 1) if len(old) > 1 else []
        if len(spans) == 3:
            names = ("from", "to", "step")
            parts |= {n: old[low:high] for n, (low, high) in zip(names, spans, strict=True)}
    if missing := [name for name in ("on", "from", "to", "step") if not parts.get(name)]:
        reason = f"lacks {missing[0]}: give on, from, to and step"
        raise _refused(kql, step[0], reason)
    return parts


def _series(kql: str, step: tuple[Token, ...]) -> str:
    parts = clauses(kql, step)
    axis = tokens.joined(parts["on"])
    if not re.fullmatch(r"\w+", axis):
        raise _refused(kql, step[0], "has an axis that is computed: extend a column first")
    low, high, width = (f"({tokens.joined(parts[name])})" for name in ("from", "to", "step"))
    keys = [keyed(kql, item) for item in split(parts.get("by", ()))]
    values_of = [counted(kql, item) for item in split(parts[""])]
    many = f"tolong(ceiling(({high} - {low}) / {width}))"
    values = ", ".join(f"gundog_value_{n} = {call}" for n, (_, call, _) in enumerate(values_of))
    lists = ", ".join(
        f"{name} = {SERIES}({BIN}, gundog_value_{n}, {many}, {default})"
        for n, (name, _, default) in enumerate(values_of)
    )
    by = "".join(f", {key}" for key, _ in keys)
    named = ", ".join(name for _, name in keys)
    return (
        f"where {axis} >= {low} and {axis} < {high}"
        f" | extend {BIN} = tolong(({axis} - {low}) / {width})"
        f" | summarize {values} by {BIN}{by}"
        f" | summarize {lists}, {axis} = {AXIS}({low}, {width}, {many})"
        + (f" by {named}" if named else "")
    )


def split(part: Sequence[Token]) -> list[Sequence[Token]]:
    if not part:
        return []
    depth = part[0].depth
    commas = [i for i, token in enumerate(part) if token.text == "," and token.depth == depth]
    edges = [-1, *commas, len(part)]
    return [part[edges[i] + 1 : edges[i + 1]] for i in range(len(edges) - 1)]


def keyed(kql: str, item: Sequence[Token]) -> tuple[str, str]:
    """A by-column as it is written, and its name."""
    if len(item) == 1:
        return item[0].text, item[0].text
    if len(item) > 2 and item[1].text == "=":
        return tokens.joined(item), item[0].text
    if len(item) == 4 and item[1].text == "(" and item[0].text.startswith("to"):
        return f"{item[2].text} = {tokens.joined(item)}", item[2].text
    raise _refused(kql, item[0], "has a key without a name: write by name = …")


def counted(kql: str, item: Sequence[Token]) -> tuple[str, str, str]:
    """An aggregate's name, its call, and what a bin without rows has."""
    default = "0"
    depth = item[0].depth
    for place, token in enumerate(item):
        if token.text == "default" and token.depth == depth and item[place + 1].text == "=":
            default = tokens.joined(item[place + 2 :])
            item = item[:place]
            break
    is_named = len(item) > 2 and item[1].text == "="
    call = item[2:] if is_named else item
    if len(call) < 3 or call[1].text != "(":
        raise _refused(kql, item[0], "counts by an expression: give one aggregate function")
    own = call[2].text if len(call) == 4 else ""
    name = item[0].text if is_named else f"{call[0].text}_{own}"
    return name, tokens.joined(call), f"({default})"


def _extended(kql: str, stream: tuple[Token, ...], index: int) -> Iterator[_Edit]:
    """`extend (a, b) = series_f(x)` as one column for each name."""
    end = tokens.step_end(stream, index)
    for item in split(stream[index + 1 : end]):
        opening = next((i for i, part in enumerate(item) if part.text in OUTPUTS), None)
        if opening is None:
            if item and item[0].text == "(" and _is_tuple(item):
                raise RefusalError(
                    "tuple", "assigns several columns at once: extend them one by one",
                    tokens.line_of(kql, item[0].start), tokens.column_of(kql, item[0].start),
                )  # fmt: skip
            continue
        if opening not in (0, 2) and not _is_tuple(item):
            continue  # within another call, which the translator refuses by name
        yield item[0].start, item[-1].end, _assigned(kql, item, opening)


def _is_tuple(item: Sequence[Token]) -> bool:
    """True for `(a, b) = …`."""
    if item[0].text != "(":
        return False
    end = tokens.closing(tuple(item), 0)
    return end + 1 < len(item) and item[end + 1].text == "="


def _assigned(kql: str, item: Sequence[Token], opening: int) -> str:
    call = tuple(item[opening:])
    function, outputs = call[0].text, OUTPUTS[call[0].text]
    given = tokens.arguments(call, 1) if len(call) > 1 else []
    if not given or tokens.closing(call, 1) != len(call) - 1:
        raise _refused(kql, call[0], f"cannot read this call of {function}")
    texts = [tokens.joined(call[low:high]) for low, high in given]
    if item[0].text == "(":
        names = [part.text for part in item[1 : tokens.closing(tuple(item), 0)] if part.text != ","]
    elif opening:
        names = [item[0].text]
    else:
        names = [f"{function}_{texts[0]}_{output}" for output in outputs]
    if len(names) > len(outputs):
        raise _refused(kql, call[0], f"{function} gives {len(outputs)} columns")
    return ", ".join(
        f"{name} = {function}_{output}_{len(texts)}({', '.join(texts)})"
        for name, output in zip(names, outputs, strict=False)
    )
