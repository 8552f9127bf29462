"""The line and column of a refusal for which the translator or DuckDB gives none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from gundog.kql_import import inlining, tokens
from gundog.kql_import.refusing import RefusalError
from gundog.kql_import.tokens import Token

# What a refusal calls a construct, where the query has another word for it.
_WORDS = {"mvapply": ("mv-apply",), "mvexpand": ("mv-expand",), "reach": ("ago",)}
Fails = Callable[[str], bool]
_NAME = re.compile(r"[A-Za-z_][\w]*(?:-[a-z]+)?")
# A column or a function in DuckDB's messages.
_QUOTED = re.compile(r"""["']([A-Za-z_]\w*)(?="|\()""")


def located(kql: str, error: RefusalError, fails: Fails) -> RefusalError:
    """The refusal with the place of what it names, else of the step that fails, else of the query.

    Args:
        kql: the query as its file has it.
        error: the refusal; a line that it has already is kept.
        fails: whether another text is refused for the same cause.
    """
    stream = tokens.read(kql)
    if not stream:
        return RefusalError(error.cause, error.reason, error.line or 1, error.column or 1)
    if error.line:
        return _in_its_line(kql, stream, error)
    places = list(_named(stream, error))
    if len(places) == 1:
        return _at(kql, stream[places[0]], error)
    low, high = _failing_step(kql, stream, fails)
    within = [place for place in places if low <= place < high]
    return _at(kql, stream[[*within, *places[: not within], low][0]], error)


def _at(kql: str, token: Token, error: RefusalError) -> RefusalError:
    line, column = tokens.line_of(kql, token.start), tokens.column_of(kql, token.start)
    return RefusalError(error.cause, error.reason, line, column)


def _in_its_line(kql: str, stream: Sequence[Token], error: RefusalError) -> RefusalError:
    """The refusal with its column in the original text, where earlier edits moved it."""
    line = [token for token in stream if tokens.line_of(kql, token.start) == error.line]
    given = [token for token in line if tokens.column_of(kql, token.start) == error.column]
    named = [stream[place] for place in _named(stream, error) if stream[place] in line]
    if not line or (given and (not named or given[0] in named)):
        return error
    return _at(kql, [*named, line[0]][0], error)


def _named(stream: Sequence[Token], error: RefusalError) -> Iterator[int]:
    """Where the names of a refusal's cause are in the query; calls first where it is a function."""
    kind, _, cause = error.cause.rpartition(":")
    names = [] if cause == "types" else _NAME.findall(cause)[::-1]
    names = [word for name in names for word in _WORDS.get(name.lower(), (name,))]
    for name in (word.lower() for word in [*names, *_QUOTED.findall(error.reason)]):
        places = [
            place
            for place, token in enumerate(stream)
            if token.kind in ("word", "text") and token.text.strip("\"'").lower() == name
        ]
        calls = [p for p in places if p + 1 < len(stream) and stream[p + 1].text == "("]
        if places:
            yield from (calls or places) if kind in ("function", "aggregate") else places
            return


def _failing_step(kql: str, stream: tuple[Token, ...], fails: Fails) -> tuple[int, int]:
    """The indexes of the first step with which a statement fails; the first token without one."""
    for low, high in inlining.statements(stream):
        source = low + 3 if stream[low].text == "let" else low
        before, rest = kql[: stream[low].start], range(source, high)
        pipes = [i for i in rest if stream[i].text == "|" and stream[i].depth == stream[low].depth]
        if source >= high or (not pipes and source > low):
            continue
        ends = [*pipes, high]

        def refused(end: int, before: str = before, source: int = source) -> bool:
            return fails(before + kql[stream[source].start : stream[end - 1].end])

        if refused(high):
            first = _first(ends, refused)
            return (source if not first else ends[first - 1] + 1), ends[first]
    return 0, 1


def _first(ends: Sequence[int], refused: Callable[[int], bool]) -> int:
    """The first end with which the statement is refused; with all later ones it is too."""
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if refused(ends[middle]) else (middle + 1, high)
    return low
