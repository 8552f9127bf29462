"""KQL cut into tokens, each with its place, so that a text can be rewritten and cited by line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*)
    |(?P<text>[hH]?(?:@"(?:[^"]|"")*"|@'(?:[^']|'')*'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    |(?P<fence>[hH]?(?:```|~~~))
    |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+|[A-Za-z]+)?)
    |(?P<word>[A-Za-z_$][\w$]*(?:-(?:reorder|away|keep|rename|expand|apply|series|where|nested
        |kv|by-names|smart)\b)?)
    |(?P<blank>\s+)
    |(?P<sign>!=|!~|=~|==|=>|>=|<=|<>|\.\.|.)""",
    re.DOTALL | re.VERBOSE,
)
_NOTHING = frozenset({"blank", "comment"})


@dataclass(frozen=True)
class Token:
    """A piece of the text: what it is, where it starts, and how deep in brackets it stands."""

    kind: str
    text: str
    start: int
    depth: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def read(kql: str) -> tuple[Token, ...]:
    """The tokens of a query that mean something, in order; a closing bracket is outside its pair.

    >>> [token.text for token in read("T | mv-expand x // no" + chr(10) + "| where a == 'b|c'")]
    ['T', '|', 'mv-expand', 'x', '|', 'where', 'a', '==', "'b|c'"]
    """
    return tuple(token for token in _all(kql) if token.kind not in _NOTHING)


def _all(kql: str) -> Iterator[Token]:
    depth = 0
    for match in _TOKEN.finditer(kql):
        kind, text = match.lastgroup or "sign", match.group()
        if kind == "sign" and text in ")]}":
            depth -= 1
        yield Token(kind, text, match.start(), depth)
        if kind == "sign" and text in "([{":
            depth += 1


def joined(part: Sequence[Token], names: Mapping[int, str] | None = None) -> str:
    """The tokens as one line, with a blank where something lay between two of them.

    Args:
        part: tokens in their order.
        names: what stands for a token, by its place in `part`.

    >>> joined(read("ago(1d) //x" + chr(10) + " - 2h"))
    'ago(1d) - 2h'
    """
    words = []
    for index, token in enumerate(part):
        apart = index and token.start > part[index - 1].end
        words += [" " if apart else "", (names or {}).get(index, token.text)]
    return "".join(words)


def line_of(kql: str, place: int) -> int:
    """The line of a place in the text, from 1."""
    return kql.count("\n", 0, place) + 1


def column_of(kql: str, place: int) -> int:
    """The column of a place in its line, from 1."""
    return place - kql.rfind("\n", 0, place)


def closing(tokens: tuple[Token, ...], opening: int) -> int:
    """The index of the bracket that closes the one at `opening`; the last index without one."""
    depth = tokens[opening].depth
    for index in range(opening + 1, len(tokens)):
        if tokens[index].depth == depth and tokens[index].text in (")", "]", "}"):
            return index
    return len(tokens) - 1


def step_end(tokens: tuple[Token, ...], start: int) -> int:
    """The index where the step that starts there ends: its `|`, `;`, bracket, or the end."""
    depth = tokens[start].depth
    for index in range(start + 1, len(tokens)):
        token = tokens[index]
        if token.depth < depth or (token.depth == depth and token.text in ("|", ";")):
            return index
    return len(tokens)


def arguments(tokens: tuple[Token, ...], opening: int) -> list[tuple[int, int]]:
    """The index ranges of a call's arguments; `opening` is the index of its bracket."""
    end, depth = closing(tokens, opening), tokens[opening].depth + 1
    commas = [
        index
        for index in range(opening + 1, end)
        if tokens[index].text == "," and tokens[index].depth == depth
    ]
    edges = [opening, *commas, end]
    spans = [(low + 1, high) for low, high in itertools.pairwise(edges)]
    return [span for span in spans if span[0] < span[1]]
