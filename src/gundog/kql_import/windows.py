"""A query that cuts time into bins, rewritten so that it looks at true windows.

`bin(Timestamp, 1h)` parts two events around a full hour. What is rewritten keeps the query's own
filters and steps, in KQL, and compares the times themselves:

- two sides that are joined on a bin become a pair at most one width apart;
- a count by bin becomes a count over the width that ends with each event, of which each key keeps
  the first that passes the conditions behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gundog.kql_import import critic_words, inlining, tokens, translator
from gundog.kql_import.source_columns import TIME_NAMES
from gundog.kql_import.tokens import Token

_ROWS, _END = "gundog_rows", "gundog_end"
_KEEPING = ("where", "extend")
_Edit = tuple[int, int, str]
Items = Sequence[Token]


@dataclass(frozen=True)
class Window:
    """A rewritten query, and how far two of its events may be apart."""

    kql: str
    width: timedelta


@dataclass(frozen=True)
class _Binned:
    """A `summarize … by …, bin(time, width)`.

    Args:
        step: the index range of the step.
        call: the index range of `bin(…)`; `time`, `width` its arguments, `name` its column's name.
        keys: the other by-columns.
        aggregates: the tokens between `summarize` and `by`.
    """

    step: tuple[int, int]
    call: tuple[int, int]
    time: str
    width: str
    name: str
    keys: tuple[Items, ...]
    aggregates: Items


def rewritten(kql: str) -> Window | None:
    """The query with true windows; None where it has no such bins, or more than can be read."""
    stream = tokens.read(kql)
    named = critic_words.named_spans(stream)
    binned = _first(stream)
    width = binned and (named.get(binned.width) or translator.span_of(binned.width))
    if not width:
        return None
    kql = _edited(kql, list(_earlier(stream, width, named)))
    stream = tokens.read(kql)
    edits = _edits(kql, stream)
    return Window(_edited(kql, edits), width) if edits else None


def _first(stream: tuple[Token, ...]) -> _Binned | None:
    """The first summary by bin of the last statement."""
    if not stream:
        return None
    low, high = inlining.statements(stream)[-1]
    return next(_summarized(stream, low, high, stream[low].depth), None)


def _edits(kql: str, stream: tuple[Token, ...]) -> list[_Edit] | None:
    binned, (low, high) = _first(stream), inlining.statements(stream)[-1]
    if binned is None:
        return None
    return _paired(stream, binned, high) or _counted(kql, stream, low, high, binned)


def _edited(kql: str, edits: Sequence[_Edit]) -> str:
    for start, end, text in sorted(edits, reverse=True):
        kql = kql[:start] + text + kql[end:]
    return kql


def _summarized(stream: tuple[Token, ...], low: int, high: int, depth: int) -> Iterator[_Binned]:
    """The summaries by bin of one pipeline, in their order."""
    for index in range(low + 1, high):
        token = stream[index]
        if token.text != "summarize" or token.depth != depth or stream[index - 1].text != "|":
            continue
        if binned := _binned(stream, index):
            yield binned


def _binned(stream: tuple[Token, ...], index: int) -> _Binned | None:
    end, depth = tokens.step_end(stream, index), stream[index].depth
    by = [i for i in range(index, end) if stream[i].text == "by" and stream[i].depth == depth]
    if not by:
        return None
    keys, bins = [], []
    for low, high in _items(stream, by[0] + 1, end):
        named = low + 2 < high and stream[low + 1].text == "="
        start = low + 2 if named else low
        given = tokens.arguments(stream, start + 1) if stream[start].text == "bin" else []
        is_time = len(given) == 2 and stream[given[0][0]].text in TIME_NAMES
        if not is_time or given[0][1] - given[0][0] > 1:
            keys.append(stream[low:high])
            continue
        time = stream[given[0][0]].text
        width = tokens.joined(stream[slice(*given[1])])
        bins.append(((start, high), time, width, stream[low].text if named else time))
    if len(bins) != 1:
        return None
    call, time, width, name = bins[0]
    return _Binned((index, end), call, time, width, name, tuple(keys), stream[index + 1 : by[0]])


def _items(stream: tuple[Token, ...], low: int, high: int) -> list[tuple[int, int]]:
    """The index ranges of what commas part."""
    depth = stream[low].depth
    commas = [i for i in range(low, high) if stream[i].text == "," and stream[i].depth == depth]
    edges = [low - 1, *commas, high]
    return [(edges[i] + 1, edges[i + 1]) for i in range(len(edges) - 1)]


def _paired(stream: tuple[Token, ...], left: _Binned, high: int) -> list[_Edit] | None:
    """`… by k, bin(t, w) | join (… by k, bin(t, w)) on k, bin` as a join of times; None for others.

    The times of a pair are compared behind the join, and the bin is not one of its keys.
    """
    join = left.step[1] + 1
    if join >= high or stream[join].text != "join":
        return None
    end, depth = tokens.step_end(stream, join), stream[join].depth
    opening = next((i for i in range(join, end) if stream[i].text == "("), end)
    on = next((i for i in range(join, end) if _is(stream[i], "on", depth)), end)
    if on == end or opening > on:
        return None
    right = list(_summarized(stream, opening, tokens.closing(stream, opening), depth + 1))
    items = _items(stream, on + 1, end)
    names = [tokens.joined(stream[low:high]) for low, high in items]
    kind = _kind(stream, join, opening)
    if len(right) != 1 or left.name not in names or len(names) < 2 or kind is None:
        return None
    if right[0].name != left.name or right[0].width != left.width:
        return None
    kept = ", ".join(name for name in names if name != left.name)
    near = (
        f"\n| where {left.name}1 between (({left.name} - {left.width}) .. "
        f"({left.name} + {left.width}))"
    )
    return [
        *(_replaced(stream, side.call, side.time) for side in (left, right[0])),
        kind,
        _replaced(stream, (on + 1, end), kept + near),
    ]


def _is(token: Token, text: str, depth: int) -> bool:
    return token.text == text and token.depth == depth


def _kind(stream: tuple[Token, ...], join: int, opening: int) -> _Edit | None:
    """What makes the join an inner one: of its left rows none may be dropped before the times."""
    words = [token.text for token in stream[join + 1 : opening]]
    if words[:2] == ["kind", "="] and words[2:3] in (["inner"], ["innerunique"]):
        return _replaced(stream, (join + 3, join + 4), "inner")
    return None if "kind" in words else (stream[join].end, stream[join].end, " kind=inner")


def _replaced(stream: tuple[Token, ...], span: tuple[int, int], text: str) -> _Edit:
    return stream[span[0]].start, stream[span[1] - 1].end, text


def _counted(
    kql: str, stream: tuple[Token, ...], low: int, high: int, count: _Binned
) -> list[_Edit] | None:
    """`T | summarize n by k, bin(t, w) | where n > 3` over the width before each event."""
    named = [_named(key) for key in count.keys]
    keys = [name for name, _ in named]
    joined = any(
        token.text in ("join", "lookup", "union") for token in stream[count.step[1] : high]
    )
    if joined or not keys or not all(keys) or count.time in keys:
        return None
    start, (step, end) = stream[low].start, count.step
    made = [text for _, text in named if text]
    source = kql[start : stream[step - 1].start].rstrip()
    by = ", ".join(keys)
    window = "\n".join(
        [
            f"let {_ROWS} = {source}" + (f"\n| extend {', '.join(made)};" if made else ";"),
            _ROWS,
            f"| join kind=inner ({_ROWS} | summarize by {by}, {_END} = {count.time}) on {by}",
            f"| where {count.time} between (({_END} - {count.width}) .. {_END})",
            f"| summarize {tokens.joined(count.aggregates)} by {by}, {count.name} = {_END}",
        ]
    )
    rest = _behind(stream, end, high)
    first = f"\n| summarize arg_min({count.name}, *) by {by}"
    if rest == end:
        return [(start, stream[end - 1].end, window + first)]
    return [
        (start, stream[end - 1].end, window),
        (stream[rest - 1].end, stream[rest - 1].end, first),
    ]


def _named(key: Items) -> tuple[str, str]:
    """A key's name, and the text that makes it where it is computed; no name for other keys."""
    if len(key) == 1 and key[0].kind == "word":
        return key[0].text, ""
    if len(key) > 2 and key[1].text == "=":
        return key[0].text, tokens.joined(key)
    return "", ""


def _behind(stream: tuple[Token, ...], end: int, high: int) -> int:
    """The index behind the conditions that follow a step."""
    while end + 1 < high and stream[end].text == "|" and stream[end + 1].text in _KEEPING:
        end = tokens.step_end(stream, end + 1)
    return end


def _earlier(
    stream: tuple[Token, ...], width: timedelta, named: critic_words.Spans
) -> Iterator[_Edit]:
    """`Timestamp > ago(1d)` as far back as a window that ends there begins."""
    for index in range(2, len(stream) - 2):
        if stream[index].text != "ago" or stream[index - 1].text not in (">", ">="):
            continue
        given = stream[index + 2]
        span = named.get(given.text) or translator.span_of(given.text)
        if stream[index - 2].text in TIME_NAMES and span and stream[index + 3].text == ")":
            seconds = (span + width).total_seconds()
            yield given.start, given.end, _written(seconds)


def _written(seconds: float) -> str:
    """A timespan as KQL writes it.

    >>> _written(90000), _written(90), _written(0.5)
    ('25h', '90s', '0.5s')
    """
    if seconds % 3600 == 0:
        return f"{seconds / 3600:g}h"
    return f"{seconds / 60:g}m" if seconds % 60 == 0 else f"{seconds:g}s"
