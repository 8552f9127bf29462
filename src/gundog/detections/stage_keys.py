"""The `Keys:` line in a stage file's header: the columns without which a row is of no use."""

from __future__ import annotations

import re
from collections.abc import Collection

from gundog.core.fields import unknown

# Each key, as the columns of which one is enough.
Keys = tuple[tuple[str, ...], ...]
_LINE = re.compile(r"--\s*keys:(.*)", re.IGNORECASE)
_NEXT_LINE = re.compile(r"--\s{2,}(?!\w+:)(\S.*)")


def parse(sql: str) -> Keys:
    """The keys that the comment at the top of a stage file declares; empty when none does.

    >>> parse("-- Mail." + chr(10) + "-- Keys: mailbox, host | device" + chr(10) + "select 1")
    (('mailbox',), ('host', 'device'))
    """
    text = " ".join(_told(sql))
    keys = (
        tuple(dict.fromkeys(map(str.strip, alternatives.split("|"))))
        for alternatives in text.split(",")
    )
    return tuple(dict.fromkeys(keys)) if text.strip() else ()


def _told(sql: str) -> list[str]:
    """What stands behind `Keys:`, and in the lines below it that go on."""
    told: list[str] = []
    for line in sql.lstrip("\ufeff").splitlines():
        if not line.startswith("--"):
            break
        first_line = _LINE.fullmatch(line.rstrip())
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
