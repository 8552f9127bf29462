"""Lines in a stage file's header that name columns: `Keys:` and `Contexts:`.

Without its keys a row is of no use. Contexts are whose they are, such as a mailbox, and then the
columns that say from where and with what it was used; `a + b` is what both hold together.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from gundog.core.fields import unknown
from gundog.warehouse import context_columns

# Each key, as the columns of which one is enough.
Keys = tuple[tuple[str, ...], ...]
_NEXT_LINE = re.compile(r"--\s{2,}(?!\w+:)(\S.*)")


def parse(sql: str, header: str = "Keys") -> Keys:
    """The columns that a line at the top of a stage file names; empty when there is no such line.

    >>> parse("-- Mail." + chr(10) + "-- Keys: mailbox, host | device" + chr(10) + "select 1")
    (('mailbox',), ('host', 'device'))
    """
    text = " ".join(_told(sql, header))
    keys = (
        tuple(dict.fromkeys(map(str.strip, alternatives.split("|"))))
        for alternatives in text.split(",")
    )
    return tuple(dict.fromkeys(keys)) if text.strip() else ()


def _told(sql: str, header: str) -> list[str]:
    """What stands behind the header, and in the lines below it that go on."""
    told: list[str] = []
    named = re.compile(rf"--\s*{header}:(.*)", re.IGNORECASE)
    for line in sql.lstrip("\ufeff").splitlines():
        if not line.startswith("--"):
            break
        first_line = named.fullmatch(line.rstrip())
        more = _NEXT_LINE.fullmatch(line.rstrip()) if told else None
        if first_line and not told:
            told.append(first_line[1].strip())
        elif more:
            told.append(more[1].strip())
        elif told:
            break
    return told


def shown(keys: Keys) -> str:
    """The keys as they are written, so that the same keys are the same text.

    >>> shown((("mailbox",), ("host", "device")))
    'mailbox, host | device'
    """
    return ", ".join(map(name, keys))


def name(key: tuple[str, ...]) -> str:
    """One key as it is written."""
    return " | ".join(key)


def problems(keys: Keys, columns: Collection[str]) -> list[str]:
    """What is wrong with the keys of a stage that returns these columns."""
    if any(not column for key in keys for column in key):
        return ["names no column between its commas or bars: write Keys: mailbox, host | device"]
    return [
        f"names {column!r}: {unknown(column, columns, 'column')}"
        for key in keys
        for column in key
        if column not in columns
    ]


def context_problems(contexts: Keys, columns: Collection[str]) -> list[str]:
    """What is wrong with the contexts of a stage that returns these columns."""
    if not contexts:
        return []
    if len(contexts) == 1 or len(contexts[0]) > 1:
        return ["names whose contexts they are and then columns: write Contexts: mailbox, network"]
    firsts = [key[0] for key in contexts]
    twice = sorted({name for name in firsts if firsts.count(name) > 1})
    alone = tuple(
        tuple(part for column in key for part in context_columns.parts(column)) for key in contexts
    )
    return problems(alone, columns) or [f"names {name!r} twice: once is enough" for name in twice]
