"""What the lines of a file of JSON are: who wrote them, which keys they have, which are broken."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import duckdb

from gundog.detections.staged import Source
from gundog.lake.json_text import NotLinesError
from gundog.lake.path import LOG_ANALYTICS, PLAIN, STREAMING_API
from gundog.staging.batch import Batch
from gundog.staging.tails import Tail
from gundog.warehouse import quoting

_MOST_KEYS = 5000
# What the Streaming API writes around a row, and what Log Analytics writes into one.
ENVELOPE = frozenset({"category", "properties"})
ENVELOPE_TENANT = "tenantId"
FLAT = frozenset({"TimeGenerated", "Type"})
# What diagnostic settings and Event Hubs consumers write around several rows.
WRAPPER = "records"


@dataclass(frozen=True)
class Look:
    """What the lines of a file are.

    Attributes:
        exporter: who wrote them, one of `gundog.lake.path.EXPORTERS`.
        names: the keys of rows, each spelling once.
        lines: how many lines there are, blank ones not counted.
        broken: how many of them are not a JSON object.
        first_broken: the place of the first of those, from 1; 0 without one.
        outer: the keys of lines, which are those of rows but for an envelope.
    """

    exporter: str
    names: tuple[str, ...]
    lines: int
    broken: int
    first_broken: int = 0
    outer: tuple[str, ...] = ()


def whole(con: duckdb.DuckDBPyConnection, text: Path, batch: Batch, before: Tail | None) -> Look:
    """What a file holds: every line is looked at, and `{"records": [...]}` becomes its rows."""
    is_flat = _is_flat(batch)
    _see(con, text, is_flat=is_flat)
    if WRAPPER in _distinct(con, "outer_keys") and _unwrap(con, text, batch.source):
        _see(con, text, is_flat=is_flat)
    lines, broken = con.execute(
        """select coalesce(sum(lines), 0)::bigint,
                  coalesce(sum(lines) filter (not is_object), 0)::bigint from seen"""
    ).fetchall()[0]
    outer = _distinct(con, "outer_keys")
    exporter = _exporter(outer, batch, before)
    names = _distinct(con, "inner_keys") if exporter == STREAMING_API else outer
    first = _first_broken(con, text) if broken else 0
    return Look(exporter, _all(names, before), lines, broken, first, outer)


def sample(con: duckdb.DuckDBPyConnection, text: Path, batch: Batch, before: Tail | None) -> Look:
    """The same of some lines of a file, which are left as they are."""
    seen = con.execute(_seen(text, is_flat=_is_flat(batch))).fetchall()
    outer, inner = ({key for row in seen for key in _split(row[place])} for place in (0, 1))
    lines, broken = sum(row[3] for row in seen), sum(row[3] for row in seen if not row[2])
    exporter = _exporter(outer, batch, before)
    names = inner if exporter == STREAMING_API else outer
    return Look(exporter, _all(names, before), lines, broken, outer=tuple(sorted(outer)))


def _all(names: Collection[str], before: Tail | None) -> tuple[str, ...]:
    return tuple(sorted({*names, *(before.names if before else ())}))


def _exporter(outer: Collection[str], batch: Batch, before: Tail | None) -> str:
    if batch.exporter:
        return batch.exporter
    if before and before.exporter == STREAMING_API:
        return STREAMING_API
    names, held = set(_all(outer, before)), {name for name, _ in batch.source.columns}
    if names >= ENVELOPE and not held & {"properties"}:
        return STREAMING_API
    return LOG_ANALYTICS if names >= FLAT and "Type" not in held else PLAIN


def _is_flat(batch: Batch) -> bool:
    return batch.exporter not in ("", STREAMING_API)


def _see(con: duckdb.DuckDBPyConnection, text: Path, *, is_flat: bool) -> None:
    """Makes the temp table `seen`: how many lines have which keys."""
    con.execute(f"create or replace temp table seen as {_seen(text, is_flat=is_flat)}")


def _seen(text: Path, *, is_flat: bool) -> str:
    # Both lists of keys in one call: each call parses the line.
    keys = "[json_keys(json), []]" if is_flat else "json_keys(json, ['$', '$.properties'])"
    return f"""select array_to_string(keys[1], chr(0)) as outer_keys,
                      array_to_string(keys[2], chr(0)) as inner_keys, is_object, count(*) as lines
               from (select {keys} as keys,
                            coalesce(starts_with(json::varchar, '{{'), false) as is_object
                     from {_objects(text)}) group by all"""


def _split(keys: str | None) -> list[str]:
    return keys.split("\0") if keys else []


def _unwrap(con: duckdb.DuckDBPyConnection, text: Path, source: Source) -> bool:
    """Puts each row of a `{"records": [...]}` on a line of its own; False where there is none."""
    wrappers = con.execute("select count(*) from seen where outer_keys = ?", [WRAPPER])
    has_column = any(name.lower() == WRAPPER for name, _ in source.columns)
    if has_column or not wrappers.fetchall()[0][0]:
        return False
    target = text.with_suffix(".unwrapped")
    is_wrapper = f"""array_to_string(json_keys(json), chr(0)) = '{WRAPPER}'
                     and json_type(json, '$.{WRAPPER}') = 'ARRAY'"""
    con.execute(
        f"""copy (
                select unnest(
                    case when {is_wrapper} then json_extract(json, '$.{WRAPPER}[*]')
                         else [coalesce(json, 'null'::json)] end
                )::varchar from {_objects(text)}
            ) to {quoting.text(str(target))}
            (format csv, header false, quote '', escape '', delimiter '\x01')"""
    )
    target.replace(text)
    return True


def _objects(text: Path) -> str:
    name = quoting.text(str(text))
    return f"read_ndjson_objects({name}, ignore_errors = true, compression = 'none')"


def _distinct(con: duckdb.DuckDBPyConnection, column: str) -> tuple[str, ...]:
    rows = con.execute(
        f"""select distinct unnest(string_split({column}, chr(0))) as name from seen
            where {column} <> '' order by name limit {_MOST_KEYS + 1}"""
    ).fetchall()
    if len(rows) > _MOST_KEYS:
        raise NotLinesError(
            f"has more than {_MOST_KEYS:,} different keys: write each row's values under the names"
            " of columns"
        )
    return tuple(name for (name,) in rows)


def _first_broken(con: duckdb.DuckDBPyConnection, text: Path) -> int:
    rows = con.execute(
        f"""select line from (select row_number() over () as line, json from {_objects(text)})
            where not coalesce(starts_with(json::varchar, '{{'), false) order by line limit 1"""
    ).fetchall()
    return int(rows[0][0]) if rows else 0
