"""`mv-apply` whose steps look at one row each, as `mv-expand` and these steps."""

from __future__ import annotations

from collections.abc import Iterator

from gundog.kql_import import tokens
from gundog.kql_import.tokens import Token

_ROWWISE = ("where", "extend", "project")


def applied(stream: tuple[Token, ...]) -> Iterator[tuple[int, int, str]]:
    """`mv-apply x = y on (where c | extend z)` as `mv-expand x = y | where c | extend z`.

    The two are the same where each step looks at its row alone. `project` names what is kept of the
    step's own columns; those of the row stay.
    """
    for index, token in enumerate(stream):
        if token.text != "mv-apply":
            continue
        step = stream[index : tokens.step_end(stream, index)]
        on = _on(step)
        steps = _rowwise(step)
        if not steps:
            continue
        yield token.start, token.end, "mv-expand"
        yield step[on].start, step[on + 1].end, "| "
        yield step[-1].start, step[-1].end, " "
        for part in steps:
            if part[0].text == "project":
                yield part[0].start, part[-1].end, _extending(part)


def _on(step: tuple[Token, ...]) -> int:
    """The place of `on` in a mv-apply whose steps stand in brackets; 0 without it."""
    depth = step[0].depth
    on = next((i for i, part in enumerate(step) if part.text == "on" and part.depth == depth), 0)
    return on if on and step[-1].text == ")" and step[on + 1].text == "(" else 0


def _rowwise(step: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    """The steps within a mv-apply that look at one row each; none where another one does not."""
    on = _on(step)
    steps = _steps(step[on + 2 : -1]) if on else []
    for part in steps:
        is_nested = part[0].text == "mv-apply" and bool(_rowwise(part))
        if not is_nested and part[0].text not in _ROWWISE:
            return []
        if not _keeps_rows(part, steps, step[1].text):
            return []
    return steps


def _steps(inner: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    """The steps of a pipeline that has no source."""
    if not inner:
        return []
    depth = inner[0].depth
    edges = [i for i, part in enumerate(inner) if part.text == "|" and part.depth == depth]
    spans = zip([-1, *edges], [*edges, len(inner)], strict=True)
    parts = [inner[low + 1 : high] for low, high in spans]
    return parts if all(parts) else []


def _items(part: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    """What a `project` or `extend` names, item by item."""
    depth = part[0].depth
    edges = [i for i, token in enumerate(part) if token.text == "," and token.depth == depth]
    spans = zip([0, *edges], [*edges, len(part)], strict=True)
    return [part[low + 1 : high] for low, high in spans]


def _keeps_rows(part: tuple[Token, ...], steps: list[tuple[Token, ...]], expanded: str) -> bool:
    """True for a step that is not `project`, or one that drops nothing made before it."""
    if part[0].text != "project":
        return True
    items = _items(part)
    if not all(len(item) == 1 or (len(item) > 2 and item[1].text == "=") for item in items):
        return False
    made = {expanded} | {
        item[0].text
        for other in steps
        if other[0].text == "extend"
        for item in _items(other)
        if len(item) > 1 and item[1].text == "="
    }
    return made <= {item[0].text for item in items}


def _extending(part: tuple[Token, ...]) -> str:
    """`project a, b = f(a)` as the columns that it makes."""
    made = [tokens.joined(item) for item in _items(part) if len(item) > 1]
    return f"extend {', '.join(made)}" if made else "where true"
