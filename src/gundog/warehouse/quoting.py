"""Names and texts written into SQL: whatever they hold, they are one name or one text there."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Longer ones are not names that people read.
LONGEST = 128


def name(text: str) -> str:
    """The text as one SQL identifier.

    >>> name('a"b.c')
    '"a""b.c"'
    """
    return '"' + text.replace('"', '""') + '"'


def names(texts: Iterable[str]) -> str:
    """The texts as a list of SQL identifiers.

    >>> names(["a", "b c"])
    '"a", "b c"'
    """
    return ", ".join(map(name, texts))


def text(value: str) -> str:
    """The value as one SQL text.

    >>> text("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def is_word(value: str) -> bool:
    """True for what files, tables and parameters may be called.

    >>> [is_word(name) for name in ("mail_access", "Mail2", "2mail", "mail.access", "")]
    [True, True, False, False, False]
    """
    return _WORD.fullmatch(value) is not None


def folded(value: str) -> str:
    """A name as DuckDB compares names: only A to Z have no case.

    Python's own lower() makes a k of the Kelvin sign, and would take two names for the same.

    >>> folded("Mail"), folded("\\N{KELVIN SIGN}") == "k"
    ('mail', False)
    """
    return value.translate(_LOWER)


_LOWER = {ord(letter): ord(letter.lower()) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def column_problem(column: str) -> str:
    """What is wrong with a column's name; empty when it may be one.

    >>> column_problem('a.b "c"'), column_problem("a\\nb")
    ('', 'has a control character in its name: rename the column')
    """
    if not column.isprintable():
        return "has a control character in its name: rename the column"
    if not column.strip():
        return "is a column without a name: name it with as"
    if len(column) > LONGEST:
        return f"has a name of {len(column)} characters: use at most {LONGEST}"
    return ""
