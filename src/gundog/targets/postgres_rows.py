"""Published rows as PostgreSQL takes them: text without U+0000, JSON that jsonb can hold."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from gundog.targets import sections
from gundog.warehouse import quoting

_REPLACED = "\N{REPLACEMENT CHARACTER}"
# Escapes that may stand for what jsonb refuses: U+0000, and one half of a surrogate pair.
_DOUBTFUL = re.compile(r"\\u(?:0000|d[89a-f])", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")


def rows(con: duckdb.DuckDBPyConnection, table: str, days: Sequence[str]) -> pa.Table:
    """The rows of some days of a table; UUIDs and JSON as text, to be cast there.

    U+0000, which no text of PostgreSQL can hold, becomes U+FFFD.
    """
    held = sections.named(table).published_columns
    chosen = ", ".join(_plain(column.name, column.type) for column in held)
    batch = con.sql(
        f"""select {chosen} from {table} as t
            where {sections.day_of(table)} in (select unnest($days))""",
        params={"days": list(days)},
    ).to_arrow_table()
    for place, column in enumerate(held):
        if column.type == "JSON":
            texts = [for_jsonb(text) for text in batch.column(place).to_pylist()]
            batch = batch.set_column(place, column.name, pa.array(texts, pa.string()))
    return batch


def _plain(column: str, kind: str) -> str:
    kind, name = kind.removesuffix(" PRIMARY KEY"), quoting.name(column)
    if kind in ("UUID", "JSON"):
        return f"t.{name}::varchar as {name}"
    if kind == "UUID[]":
        return f"t.{name}::varchar[] as {name}"
    if kind == "VARCHAR":
        return f"replace(t.{name}, chr(0), chr(65533)) as {name}"
    if kind == "VARCHAR[]":
        return f"list_transform(t.{name}, lambda x: replace(x, chr(0), chr(65533))) as {name}"
    return f"t.{name} as {name}"


def for_jsonb(text: str | None) -> str | None:
    r"""JSON that means the same and that jsonb takes; text that is not JSON as a JSON string.

    >>> print(for_jsonb('{"a": "x\\u0000y", "b": "\\\\u0000"}'))
    {"a": "x\ufffdy", "b": "\\u0000"}
    """
    if text is None:
        return None
    if "\0" not in text and not _DOUBTFUL.search(text):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return json.dumps(_clean(value), ensure_ascii=True)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub(_REPLACED, value.replace("\0", _REPLACED))
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value
