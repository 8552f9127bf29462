"""Evidence and details as people read them: what events share, and what tells them apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from gundog.core import safe_text
from gundog.core.wording import count

# A value is shown up to so many characters; a row of events has so many columns.
VALUE = 400
COLUMNS = 6


def in_words(value: Any) -> str:
    """A detail as people read it: parts as `app (98% of the excess, 51 records)`."""
    if isinstance(value, str):
        return value
    shares = isinstance(value, list) and all(
        isinstance(one, dict) and one.keys() == {"value", "records", "share"} for one in value
    )
    if shares:
        return ", ".join(
            f"{one['value']} ({one['share']:.0%} of the excess, {count(one['records'], 'record')})"
            for one in value
        )
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


def apart(files: Sequence[str]) -> tuple[str, list[str]]:
    """The folder that all files lie in, and the rest of each where it differs from the one before.

    >>> apart(["lake/h=06/a.parquet", "lake/h=06/a.parquet", "lake/h=07/a.parquet"])
    ('lake/', ['h=06/a.parquet', '', 'h=07/a.parquet'])
    >>> apart(["lake/a.parquet", "lake/a.parquet"])
    ('lake/a.parquet', ['', ''])
    """
    if len(set(files)) == 1:
        return files[0], [""] * len(files)
    levels = zip(*(file.split("/") for file in files), strict=False)
    shared = "".join(f"{some[0]}/" for some in takewhile(lambda some: len(set(some)) == 1, levels))
    tails = [file[len(shared) :] for file in files]
    before = [None, *tails]
    return shared, ["" if one == last else one for one, last in zip(tails, before, strict=False)]


def split(events: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """What all events share, in words, and the columns that tell them apart.

    A column that is different in every event, such as an id, tells nothing and is left out.
    """
    rows = [{"role": one["role"], **one["event"]} for one in events]
    names = [name for name in dict.fromkeys(name for row in rows for name in row)
             if name not in ("event_id", "event_time", "tenant")]  # fmt: skip
    values = {name: [cell(row.get(name)) for row in rows] for name in names}
    shared = {name: found[0] for name, found in values.items() if len(set(found)) == 1 and found[0]}
    counts = {name: len(set(found)) for name, found in values.items() if len(set(found)) > 1}
    telling = [name for name, count in counts.items() if count < len(events) or len(events) < 3]
    same = ", ".join(f"{name} {value}" for name, value in shared.items())
    return same, telling[:COLUMNS]


def cell(value: Any) -> str:
    """A value of an event as one cell; empty for nothing."""
    if value in (None, "", []):
        return ""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return safe_text.cut(shown, VALUE // 4)
