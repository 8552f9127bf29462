"""Where in a query a refusal is about, for one that came without its place.

The translator gives no place for a function, an aggregate or a name; DuckDB gives none for types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from gundog.kql_import import tokens
from gundog.kql_import.refusing import RefusalError
from gundog.kql_import.tokens import Token

_NAME = re.compile(r"[A-Za-z_$][\w$-]*")
_SAID = re.compile(r'"([^"]+)"')
# What the translator calls a construct, where the query has another word for it.
_WORDS = {
    "between": ("between", "!between"),
    "datatable": ("datatable",),
    "mvapply": ("mv-apply",),
    "mvexpand": ("mv-expand",),
    "reach": ("ago", "queryPeriod"),
}


def placed(error: RefusalError, kql: str) -> RefusalError:
    """The refusal with a line, and with a column where a word of the query is meant.

    It is the place of the first word that the refusal names. A refusal of the query as a whole has
    the line of its first word.
    """
    if error.line:
        return error
    stream = tokens.read(kql)
    token = _first(error, stream)
    if token is not None:
        line, column = tokens.line_of(kql, token.start), tokens.column_of(kql, token.start)
        return replace(error, line=line, column=column)
    return replace(error, line=tokens.line_of(kql, stream[0].start) if stream else 1)


def _first(error: RefusalError, stream: tuple[Token, ...]) -> Token | None:
    """The first token that a refusal names, in the order of its words."""
    for name in _names(error):
        folded = name.casefold()
        for token in stream:
            if token.text.casefold() == folded:
                return token
    return None


def _names(error: RefusalError) -> Iterator[str]:
    """The names that a refusal is about: those of its cause, then those quoted in its reason."""
    for name in reversed(_NAME.findall(error.cause)):
        yield from _WORDS.get(name.casefold(), (name,))
    yield from _SAID.findall(error.reason)
