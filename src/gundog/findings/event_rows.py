"""Evidence and details as people read them: what events share, and how they differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from gundog.core import app_names, safe_text
from gundog.core.wording import count

# A value is shown up to so many characters; a row of events has so many columns.
VALUE = 400
COLUMNS = 6


def in_words(value: Any) -> str:
    """A detail as people read it: parts as `app (98% of the excess, 51 records)`.

    Parts that say whether they are new are of all records: `app (98%, 51 records, new)`.
    """
    if isinstance(value, str):
        return app_names.within(value)
    if are_shares(value, {"value", "records", "share"}):
        return ", ".join(
            f"{app_names.within(str(part['value']))} ({part['share']:.0%} of the excess,"
            f" {count(part['records'], 'record')})"
            for part in value
        )
    if are_shares(value, {"value", "records", "share", "is_new"}):
        return ", ".join(
            f"{app_names.within(str(part['value']))} ({part['share']:.0%},"
            f" {count(part['records'], 'record')}{', new' if part['is_new'] else ''})"
            for part in value
        )
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return app_names.within(", ".join(value))
    return app_names.within(json.dumps(value, ensure_ascii=False))


def are_shares(value: Any, keys: set[str]) -> bool:
    """True for a list of parts that have exactly these keys."""
    return isinstance(value, list) and all(
        isinstance(part, dict) and part.keys() == keys for part in value
    )


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
    return shared, ["" if tail == last else tail for tail, last in zip(tails, before, strict=False)]


def split(events: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """What all events share, in words, and the columns in which they differ.

    A column that is different in every event, such as an id, is not useful and is left out.
    """
    rows = [{"role": event["role"], **event["event"]} for event in events]
    names = [name for name in dict.fromkeys(name for row in rows for name in row)
             if name not in ("event_id", "event_time", "tenant")]  # fmt: skip
    values = {name: [cell(row.get(name)) for row in rows] for name in names}
    shared = {name: cells[0] for name, cells in values.items() if len(set(cells)) == 1 and cells[0]}
    counts = {name: len(set(cells)) for name, cells in values.items() if len(set(cells)) > 1}
    telling = [name for name, count in counts.items() if count < len(events) or len(events) < 3]
    same = ", ".join(f"{name} {value}" for name, value in shared.items())
    return same, telling[:COLUMNS]


def cell(value: Any) -> str:
    """A value of an event as one cell; empty for nothing."""
    if value in (None, "", []):
        return ""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return safe_text.cut(app_names.within(shown), VALUE // 4)
