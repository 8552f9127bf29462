"""A file of sql/sources read as what it must be: one table with plain columns.

The statement is taken apart here and rewritten, so that what DuckDB runs holds names and types
and nothing else, whatever stood in the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gundog.core.errors import QueryError
from gundog.warehouse import quoting

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?\*/)|(?P<quoted>"(?:[^"]|"")+")|(?P<text>'(?:[^']|'')*')
    |(?P<word>[^\W\d]\w*)|(?P<number>\d+)|(?P<sign>[(),;\[\]])""",
    re.DOTALL | re.VERBOSE,
)
_TYPES = frozenset(
    """
    bigint bignum binary bit bitstring blob bool boolean bpchar bytea char character date
    datetime dec decimal double float float4 float8 guid hugeint int int1 int128 int16 int2
    int32 int4 int64 int8 integer interval json logical long numeric nvarchar oid real short
    signed smallint string text time time_ns timestamp timestamp_ms timestamp_ns timestamp_s
    timestamp_us timestamptz timestamptz_ns timetz tinyint ubigint uhugeint uint128 uint16
    uint32 uint64 uint8 uinteger usmallint utinyint uuid varbinary varchar variant
    """.split()
)
# What may follow a type's first word.
_ZONE: frozenset[tuple[str, ...]] = frozenset(
    {("with", "time", "zone"), ("without", "time", "zone")}
)
_LONGER: dict[str, frozenset[tuple[str, ...]]] = {
    "double": frozenset({("precision",)}),
    "char": frozenset({("varying",)}),
    "character": frozenset({("varying",)}),
    "time": _ZONE,
    "timestamp": _ZONE,
}
_NOTHING = frozenset[tuple[str, ...]]()
_NESTED = frozenset({"map", "row", "struct", "tuple", "union"})
_NAMED = frozenset({"row", "struct", "union"})


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        """The key word or type that it may be; empty for everything else."""
        return quoting.folded(self.text) if self.kind == "word" else ""


_END = _Token("end", "")


def read(text: str, table: str) -> str:
    """The CREATE TABLE of a file, rewritten with every name quoted.

    Args:
        text: what the file holds.
        table: the table's name, as the file is called.

    Raises:
        QueryError: when it is not exactly one CREATE TABLE of that name with plain columns.

    >>> read("create table Things (Id bigint, -- a number" + chr(10) + "Who text);", "Things")
    'create table "Things" ("Id" bigint, "Who" text)'
    >>> read("create table Things (Id bigint default 1)", "Things")
    Traceback (most recent call last):
    gundog.core.errors.QueryError: holds 'default' behind the type of 'Id': write plain columns, \
each a name and a type
    """
    return _Reader(list(_tokens(text)), table).statement()


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if not match:
            raise QueryError(f"holds {text[place]!r} , which is not allowed here: {_PLAIN}")
        if match.lastgroup != "blank":
            yield _Token(match.lastgroup or "", match[0])
        place = match.end()


_PLAIN = "write plain columns, each a name and a type"


class _Reader:
    """Goes through the tokens once, from the left."""

    def __init__(self, tokens: list[_Token], table: str) -> None:
        self._left = tokens[::-1]
        self._table = table
        self._depth = 0

    def statement(self) -> str:
        wanted = f"write one create table {self._table} (…)"
        for word in ("create", "table"):
            if self._next().word != word:
                raise QueryError(f"is not exactly one CREATE TABLE: {wanted}")
        if [self._peek(n).word for n in range(3)] == ["if", "not", "exists"]:
            self._left = self._left[:-3]
        name = self._name()
        if quoting.folded(name) != quoting.folded(self._table) or self._peek().text != "(":
            raise QueryError(f"creates a table with another name than its file: {wanted}")
        columns = self._columns()
        if self._peek().text == ";":
            self._next()
        if self._peek() is not _END:
            reason = f"holds {_shown(self._peek())} behind its table"
            raise QueryError(f"{reason}: {wanted} and nothing else")
        return f"create table {quoting.name(self._table)} {columns}"

    def _columns(self) -> str:
        seen: list[str] = []
        text = self._between(lambda: self._column(seen))
        folded = [quoting.folded(name) for name in seen]
        for name in seen:
            if reason := quoting.column_problem(name):
                raise QueryError(f"{name[:40]!r} {reason}")
            if folded.count(quoting.folded(name)) > 1:
                raise QueryError(f"has the column {name!r} twice: remove one")
        return text

    def _column(self, seen: list[str]) -> str:
        name = self._name()
        seen.append(name)
        kind = self._type()
        if self._peek().text not in (",", ")"):
            reason = f"holds {_shown(self._peek())} behind the type of {name!r}"
            raise QueryError(f"{reason}: {_PLAIN}")
        return f"{quoting.name(name)} {kind}"

    def _type(self) -> str:
        kind = self._next()
        if kind.word in _NESTED:
            inner = self._between(self._field if kind.word in _NAMED else self._type)
        elif kind.word == "enum":
            inner = self._between(self._text)
        elif kind.word in _TYPES:
            inner = self._between(self._number) if self._peek().text == "(" else ""
        else:
            raise QueryError(f"holds {_shown(kind)} where a type must be: {_PLAIN}")
        return kind.text + inner + self._longer(kind.word) + self._dimensions()

    def _longer(self, word: str) -> str:
        for more in _LONGER.get(word, _NOTHING):
            if tuple(self._peek(n).word for n in range(len(more))) == more:
                self._left = self._left[: -len(more)]
                return " " + " ".join(more)
        return ""

    def _dimensions(self) -> str:
        dimensions = ""
        while self._peek().text == "[":
            self._next()
            size = self._next().text if self._peek().kind == "number" else ""
            self._must("]")
            dimensions += f"[{size}]"
        return dimensions

    def _field(self) -> str:
        return f"{quoting.name(self._name())} {self._type()}"

    def _between(self, part: Callable[[], str]) -> str:
        """Parts between brackets, each read by `part`, with the brackets."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise QueryError(f"nests types more than {_DEEPEST} deep: read the column as json")
        self._must("(")
        parts = [part()]
        while self._peek().text == ",":
            self._next()
            parts.append(part())
        self._must(")")
        self._depth -= 1
        return f"({', '.join(parts)})"

    def _name(self) -> str:
        token = self._next()
        if token.kind == "quoted":
            return token.text[1:-1].replace('""', '"')
        if token.kind != "word" or token.word in _NO_NAMES:
            raise QueryError(f"holds {_shown(token)} where a name must be: {_PLAIN}")
        return token.text

    def _text(self) -> str:
        return self._of("text")

    def _number(self) -> str:
        return self._of("number")

    def _of(self, kind: str) -> str:
        token = self._next()
        if token.kind != kind:
            raise QueryError(f"holds {_shown(token)} where a {kind} must be: {_PLAIN}")
        return token.text

    def _must(self, sign: str) -> None:
        token = self._next()
        if token.text != sign:
            raise QueryError(f"holds {_shown(token)} where {sign} must be: {_PLAIN}")

    def _peek(self, ahead: int = 0) -> _Token:
        return self._left[-1 - ahead] if ahead < len(self._left) else _END

    def _next(self) -> _Token:
        return self._left.pop() if self._left else _END


def _shown(token: _Token) -> str:
    return repr(token.text[:40]) if token.text else "its end"


_DEEPEST = 50
# Words that begin something else than a column; as a column's name they stand in quotes.
_NO_NAMES = frozenset("check constraint exclude foreign like primary unique".split())
