"""JSON lines as rows of one source table: written as parquet, which is read like any other.

A line is a row. Its values are kept as text, an object or a list as its JSON, and become what the
source promises where parquet with texts would.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from gundog.detections.staged import Source
from gundog.lake import columns, exporters, json_text
from gundog.lake.json_text import Copied, NotLinesError
from gundog.lake.path import LOG_ANALYTICS, PLAIN, STREAMING_API
from gundog.staging import binding, read_columns, tails
from gundog.staging.batch import Batch, Limits, Task
from gundog.staging.binding import Remarks
from gundog.staging.tails import Tail
from gundog.warehouse import database, quoting

# What unpacked lines may take, in times of the memory limit.
_UNPACKED = 8
_MOST_KEYS = 5000
# What the Streaming API writes around a row, and what Log Analytics writes into one.
_ENVELOPE = frozenset({"category", "properties"})
# What diagnostic settings and Event Hubs consumers write around several rows.
_WRAPPER = "records"
_FLAT = frozenset({"TimeGenerated", "Type"})
_ARRAY = "is a JSON array: write one object on each line, for example with jq -c '.[]'"
_NO_LINE = "has no line that is a JSON object: write one object on each line, such as with jq -c ."


@dataclass(frozen=True)
class Look:
    """What the lines of a file are.

    Attributes:
        exporter: who wrote them, one of `gundog.lake.path.EXPORTERS`.
        names: the keys of rows, each spelling once.
        lines: how many lines there are, blank ones not counted.
        broken: how many of them are not a JSON object.
        first_broken: the place of the first of those, from 1; 0 without one.
    """

    exporter: str
    names: tuple[str, ...]
    lines: int
    broken: int
    first_broken: int = 0


class KeysChangedError(ValueError):
    """What was added to a file changes how the lines before it are read."""


Converted = tuple[tuple[tuple[Task, Path], ...], dict[int, Remarks], dict[int, Tail]]


def converted(batch: Batch) -> Converted:
    """The files of a batch as parquet with the columns of their source; remarks and tails of each.

    They lie in the folder that the batch's limits name, which whoever asked removes. A file whose
    task has a tail is read from there on. What is packed has no tail.

    Raises:
        NotLinesError: when a file is not JSON lines, or cut off.
        KeysChangedError: when a file with a tail has to be read whole.
        DoubledColumnError: when several keys may be one column of the source.
        duckdb.Error: when memory or disk lack.
    """
    files, remarks, ends = list[tuple[Task, Path]](), dict[int, Remarks](), dict[int, Tail]()
    most = batch.limits.memory * _UNPACKED
    with _connect(batch.limits) as con:
        for task, path in batch.files:
            rows = batch.limits.folder / f"{task.file_id}.rows.parquet"
            copied, remarks[task.file_id], tail = _of_file(con, task, path, rows, batch, most)
            if not copied.is_packed:
                ends[task.file_id] = replace(tail, digest=tails.digest(path, tail.end))
            files.append((task, rows))
    return tuple(files), remarks, ends


def _of_file(
    con: duckdb.DuckDBPyConnection, task: Task, path: Path, rows: Path, batch: Batch, most: int
) -> tuple[Copied, Remarks, Tail]:
    """Writes a file's rows; one that grew since it was listed is read to where it ended then."""
    text = batch.limits.folder / f"{task.file_id}.ndjson"
    start, size = task.tail.end if task.tail else 0, task.file.size
    for make in (json_text.link_or_copy, json_text.copy):
        text.unlink(missing_ok=True)  # of a process that was killed: no write may follow a link
        try:
            copied = make(path, text, size, most, start)
            remarks, tail = _convert(con, text, rows, copied, batch, task.tail)
        finally:
            text.unlink(missing_ok=True)
        if not (copied.is_link and path.stat().st_size > size):
            break
    return copied, remarks, tail


def _convert(
    con: duckdb.DuckDBPyConnection,
    text: Path,
    rows: Path,
    copied: Copied,
    batch: Batch,
    before: Tail | None,
) -> tuple[Remarks, Tail]:
    look = _look(con, text, batch, before)
    _refuse_other_json(text, look, before)
    keys = _keys(look, batch.source, batch.aliases)
    if before:
        _check_keys(look, keys, batch, before)
    written = con.execute(
        f"copy ({_select(text, look, keys, _written(batch))})"
        f" to {quoting.text(str(rows))} (format parquet, compression 'uncompressed')"
    ).fetchall()[0][0]
    tail = Tail(
        end=copied.end,
        said=_said(batch),
        exporter=look.exporter,
        names=look.names,
        lines=look.lines,
        broken=look.broken,
        first_broken=look.first_broken,
        too_long=copied.too_long,
        waiting=copied.waiting,
    )
    return _remarks(look, keys, tail, batch.source, written), tail


def _written(batch: Batch) -> Source:
    """The source with only the columns that the batch's stages read, and that rows are counted by.

    Their values are nulls to whoever asks for another one, and nobody does.
    """
    stages = batch.files[0][0].stages
    read = read_columns.of(batch.source, stages)
    if read is None:
        return batch.source
    needed = read | {binding.TIME, binding.TENANT}
    columns_ = tuple(column for column in batch.source.columns if column[0] in needed)
    return replace(batch.source, columns=columns_)


def _said(batch: Batch) -> str:
    return json.dumps([sorted(batch.aliases.items()), batch.exporter, batch.time_format])


def _check_keys(look: Look, keys: Mapping[str, str], batch: Batch, before: Tail) -> None:
    """Raises KeysChangedError when lines that were read before would be read otherwise now."""
    was = replace(look, exporter=before.exporter, names=before.names)
    old = _keys(was, batch.source, batch.aliases)
    same = all(keys.get(name) == key for name, key in old.items())
    if not same or look.exporter != before.exporter or before.said != _said(batch):
        raise KeysChangedError("its columns are read from other keys than before: read it whole")


def _refuse_other_json(text: Path, look: Look, before: Tail | None) -> None:
    """Raises NotLinesError for JSON that does not stand in lines."""
    if before and before.lines > before.broken:
        return
    with text.open("rb") as opened:
        start = opened.read(100).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if look.broken == look.lines > 0 or (start == b"[" and look.broken * 2 >= look.lines > 0):
        raise NotLinesError(_ARRAY if start == b"[" else _NO_LINE)


def _connect(limits: Limits) -> duckdb.DuckDBPyConnection:
    return database.connect(
        memory_limit=f"{limits.memory}B",
        threads=limits.threads,
        temp_directory=str(limits.folder / "spill"),
    )


# ---- looking ----


def _look(con: duckdb.DuckDBPyConnection, text: Path, batch: Batch, before: Tail | None) -> Look:
    """What a file holds: every line is looked at, for a rare key may be in the last one."""
    is_flat = batch.exporter not in ("", STREAMING_API)
    _see(con, text, is_flat=is_flat)
    if _WRAPPER in _distinct(con, "outer_keys") and _unwrap(con, text, batch.source):
        _see(con, text, is_flat=is_flat)
    lines, broken = con.execute(
        """select coalesce(sum(lines), 0)::bigint,
                  coalesce(sum(lines) filter (not is_object), 0)::bigint from seen"""
    ).fetchall()[0]
    outer = _distinct(con, "outer_keys")
    all_keys = set(before.names if before else ())
    if before and before.exporter == STREAMING_API and not batch.exporter:
        exporter = STREAMING_API
    else:
        exporter = batch.exporter or _exporter(all_keys.union(outer), batch.source)
    names = _distinct(con, "inner_keys") if exporter == STREAMING_API else outer
    first = _first_broken(con, text) if broken else 0
    return Look(exporter, tuple(sorted(all_keys.union(names))), lines, broken, first)


def _see(con: duckdb.DuckDBPyConnection, text: Path, *, is_flat: bool) -> None:
    """Makes the temp table `seen`: how many lines have which keys."""
    # Both lists of keys in one call: each call parses the line.
    keys = "[json_keys(json), []]" if is_flat else "json_keys(json, ['$', '$.properties'])"
    con.execute(
        f"""create or replace temp table seen as
            select array_to_string(keys[1], chr(0)) as outer_keys,
                   array_to_string(keys[2], chr(0)) as inner_keys, is_object, count(*) as lines
            from (select {keys} as keys,
                         coalesce(starts_with(json::varchar, '{{'), false) as is_object
                  from {_objects(text)}) group by all"""
    )


def _unwrap(con: duckdb.DuckDBPyConnection, text: Path, source: Source) -> bool:
    """Puts each row of a `{"records": [...]}` on a line of its own; False where there is none."""
    wrappers = con.execute("select count(*) from seen where outer_keys = ?", [_WRAPPER])
    has_column = any(name.lower() == _WRAPPER for name, _ in source.columns)
    if has_column or not wrappers.fetchall()[0][0]:
        return False
    target = text.with_suffix(".unwrapped")
    is_wrapper = f"""array_to_string(json_keys(json), chr(0)) = '{_WRAPPER}'
                     and json_type(json, '$.{_WRAPPER}') = 'ARRAY'"""
    con.execute(
        f"""copy (
                select unnest(
                    case when {is_wrapper} then json_extract(json, '$.{_WRAPPER}[*]')
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


def _exporter(names: Collection[str], source: Source) -> str:
    held = {name for name, _ in source.columns}
    if set(names) >= _ENVELOPE and not held & {"properties"}:
        return STREAMING_API
    return LOG_ANALYTICS if set(names) >= _FLAT and "Type" not in held else PLAIN


def _first_broken(con: duckdb.DuckDBPyConnection, text: Path) -> int:
    rows = con.execute(
        f"""select line from (select row_number() over () as line, json from {_objects(text)})
            where not coalesce(starts_with(json::varchar, '{{'), false) order by line limit 1"""
    ).fetchall()
    return int(rows[0][0]) if rows else 0


# ---- reading ----


def _keys(look: Look, source: Source, aliases: Mapping[str, str]) -> dict[str, str]:
    """The key that is read as each column of the source that the rows have."""
    wanted = [name for name, _ in source.columns]
    aliases = exporters.aliases(look.names, source.name, wanted, aliases, look.exporter)
    places = {
        name: columns.find(look.names, source.name, name, aliases) for name, _ in source.columns
    }
    return {name: look.names[place] for name, place in places.items() if place is not None}


def _select(text: Path, look: Look, keys: Mapping[str, str], source: Source) -> str:
    wanted = sorted({keys[name] for name, _ in source.columns if name in keys})
    if not columns.is_plain(wanted):
        raise columns.DoubledColumnError(
            f"columns of {source.name} are read from keys that differ only in case:"
            " correct columns: in gundog.yaml"
        )
    if look.exporter == STREAMING_API:
        return _of_envelopes(text, wanted, keys, source)
    kinds, where = dict.fromkeys(wanted, "varchar"), ""
    if look.exporter == LOG_ANALYTICS and "type" not in {key.lower() for key in wanted}:
        kinds["Type"] = "varchar"
        where = " where " + _is_table("type", source)
    picked = ", ".join(
        f"{quoting.name(keys[name]) if name in keys else 'null::varchar'} as {quoting.name(name)}"
        for name, _ in source.columns
    )
    return f"select {picked} from {_rows(text, kinds or {binding.TIME: 'varchar'})}{where}"


def _of_envelopes(
    text: Path, wanted: Sequence[str], keys: Mapping[str, str], source: Source
) -> str:
    fields = ", ".join(f"{quoting.name(key)} varchar" for key in wanted or (binding.TIME,))
    kinds = {"category": "varchar", "tenantId": "varchar", "properties": f"struct({fields})"}
    picked = []
    for name, _ in source.columns:
        value = "null::varchar"
        if name in keys:
            value = f"struct_extract(properties, {quoting.text(keys[name])})"
        if name == binding.TENANT:
            value = f"coalesce(nullif({value}, ''), \"tenantId\")"
        picked.append(f"{value} as {quoting.name(name)}")
    where = _is_table("category", source)
    return f"select {', '.join(picked)} from {_rows(text, kinds)} where {where}"


def _is_table(column: str, source: Source) -> str:
    """True for rows of the source, and for those that do not say of which table they are."""
    name = quoting.text(source.name.lower())
    usual = quoting.text(f"AdvancedHunting-{source.name}")  # spares most rows the pattern
    said = f"regexp_replace(lower({column}), '^.*-|_cl$', '', 'g')"
    return (
        f"({column} = {usual} or {column} is null or {column} = ''"
        f" or {said} = {name} or lower({column}) = {name})"
    )


def _rows(text: Path, kinds: Mapping[str, str]) -> str:
    said = ", ".join(f"{quoting.text(key)}: {quoting.text(kind)}" for key, kind in kinds.items())
    return (
        f"read_ndjson({quoting.text(str(text))}, columns = {{{said}}}, ignore_errors = true,"
        " compression = 'none')"
    )


# ---- remarks ----


def _remarks(
    look: Look, keys: Mapping[str, str], tail: Tail, source: Source, written: int
) -> Remarks:
    missing = (name for name, _ in source.columns if name not in keys and name != binding.TENANT)
    used = set(keys.values())
    return Remarks(
        missing=tuple(missing),
        extra=tuple(name for name in look.names if name not in used),
        held=look.names,
        exporter=look.exporter,
        other_rows=look.lines - written,
        lines=tail.words(),
        too_long=tail.too_long,
    )
