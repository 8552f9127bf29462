"""JSON lines as rows of one source table: written as parquet, which is read like any other.

A line is a row. Its values are kept as text, an object or a list as its JSON, and become what the
source promises where parquet with texts would.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from gundog.detections.staged import Source
from gundog.lake import columns, exporters, json_text
from gundog.lake.json_text import Copied, NotLinesError
from gundog.lake.path import LOG_ANALYTICS, STREAMING_API
from gundog.staging import binding, json_look, json_sample, read_columns, tails
from gundog.staging.batch import Batch, Limits, Task
from gundog.staging.binding import Remarks
from gundog.staging.json_look import ENVELOPE_TENANT, Look
from gundog.staging.json_sample import Doubts
from gundog.staging.tails import Tail
from gundog.warehouse import database, quoting

# What unpacked lines may take, in times of the memory limit.
_UNPACKED = 8
# The column that says of a line whose row it is.
_LINE = "kind of line"
_ITS_OWN, _ANOTHERS, _DOUBTED = 0, 1, 2
# The rows of the source, of what is written.
OWN_ROWS = f"{quoting.name(_LINE)} <> {_ANOTHERS}"
_ARRAY = "is a JSON array: write one object on each line, for example with jq -c '.[]'"
_NO_LINE = "has no line that is a JSON object: write one object on each line, such as with jq -c ."


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
    look, keys, kinds = _written(con, text, rows, batch, before)
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
    written = kinds.total() - kinds[_ANOTHERS]
    return _remarks(look, keys, tail, batch.source, written), tail


Written = tuple[Look, dict[str, str], Counter[int]]


def _written(
    con: duckdb.DuckDBPyConnection, text: Path, rows: Path, batch: Batch, before: Tail | None
) -> Written:
    """Writes the rows of a file; what its lines are, the key of each column, lines by kind."""
    return _by_sample(con, text, rows, batch, before) or _by_all(con, text, rows, batch, before)


def _by_all(
    con: duckdb.DuckDBPyConnection, text: Path, rows: Path, batch: Batch, before: Tail | None
) -> Written:
    look = json_look.whole(con, text, batch, before)
    _refuse_other_json(text, look, before)
    keys = _keys(look, batch.source, batch.aliases)
    if before:
        _check_keys(look, keys, batch, before)
    return look, keys, _write(con, rows, _select(text, look, keys, _read(batch), None))


def _by_sample(
    con: duckdb.DuckDBPyConnection, text: Path, rows: Path, batch: Batch, before: Tail | None
) -> Written | None:
    """The same without a look at every line; None where that may not do, or not surely."""
    some = text.with_suffix(".sample")
    if not json_sample.write(text, some):
        return None
    look = json_look.sample(con, some, batch, before)
    some.unlink()
    try:
        keys = _keys(look, batch.source, batch.aliases)
    except columns.DoubledColumnError:  # another line may have the name that is meant
        return None
    look_out = json_sample.doubts(look, keys, batch, _read(batch))
    if look_out is None:
        return None
    if before:
        _check_keys(look, keys, batch, before)
    kinds = _write(con, rows, _select(text, look, look_out.keys, _read(batch), look_out))
    if kinds[_DOUBTED] or json_sample.is_doubtful(text, look_out, kinds.total()):
        return None
    return replace(look, lines=kinds.total()), keys, kinds


def _write(con: duckdb.DuckDBPyConnection, rows: Path, select: str) -> Counter[int]:
    name = quoting.text(str(rows))
    con.execute(f"copy ({select}) to {name} (format parquet, compression 'uncompressed')")
    kinds = con.execute(f"select {quoting.name(_LINE)}, count(*) from {name} group by all")
    return Counter(dict(kinds.fetchall()))


def _read(batch: Batch) -> Source:
    """The source with only the columns that the batch's stages read, and that rows are counted by.

    Their values are nulls to whoever asks for another one, and nobody does.
    """
    read = read_columns.of(batch.source, batch.files[0][0].stages)
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


# ---- reading ----


def _keys(look: Look, source: Source, aliases: Mapping[str, str]) -> dict[str, str]:
    """The key that is read as each column of the source that the rows have."""
    wanted = [name for name, _ in source.columns]
    aliases = exporters.aliases(look.names, source.name, wanted, aliases, look.exporter)
    places = {
        name: columns.find(look.names, source.name, name, aliases) for name, _ in source.columns
    }
    return {name: look.names[place] for name, place in places.items() if place is not None}


def _select(
    text: Path, look: Look, keys: Mapping[str, str], source: Source, look_out: Doubts | None
) -> str:
    """The rows of a source; with doubts all lines, those of others without values."""
    wanted = sorted({keys[name] for name, _ in source.columns if name in keys})
    if not columns.is_plain(wanted):
        raise columns.DoubledColumnError(
            f"columns of {source.name} are read from keys that differ only in case:"
            " correct columns: in gundog.yaml"
        )
    if look.exporter == STREAMING_API:
        return _of_envelopes(text, wanted, keys, source, look_out)
    kinds, is_own = dict.fromkeys(wanted or (binding.TIME,), "varchar"), "true"
    if look.exporter == LOG_ANALYTICS and "type" not in {key.lower() for key in wanted}:
        kinds["Type"] = "varchar"
        is_own = _is_table("type", source)
    lines = _lines(text, kinds, is_own, list(kinds), look_out)
    picked = ", ".join(
        f"{_of_own(quoting.name(keys[name])) if name in keys else 'null::varchar'}"
        f" as {quoting.name(name)}"
        for name, _ in source.columns
    )
    return f"select {picked}, {quoting.name(_LINE)} from ({lines})"


def _of_envelopes(
    text: Path,
    wanted: Sequence[str],
    keys: Mapping[str, str],
    source: Source,
    look_out: Doubts | None,
) -> str:
    fields = ", ".join(f"{quoting.name(key)} varchar" for key in wanted or (binding.TIME,))
    kinds = {"category": "varchar", ENVELOPE_TENANT: "varchar", "properties": f"struct({fields})"}
    lines = _lines(text, kinds, _is_table("category", source), list(kinds), look_out)
    picked = []
    for name, _ in source.columns:
        value = "null::varchar"
        if name in keys:
            value = f"struct_extract(properties, {quoting.text(keys[name])})"
        if name == binding.TENANT:
            value = f"coalesce(nullif({value}, ''), {quoting.name(ENVELOPE_TENANT)})"
        picked.append(f"{value} as {quoting.name(name)}")
    named = quoting.name(_LINE)
    return f"""select {", ".join(picked)}, {named}
               from (select {_of_own("properties")} as properties,
                            {quoting.name(ENVELOPE_TENANT)}, {named} from ({lines}))"""


def _of_own(value: str) -> str:
    return f"case when {OWN_ROWS} then {value} end"


def _lines(
    text: Path,
    kinds: Mapping[str, str],
    is_own: str,
    some: Sequence[str],
    look_out: Doubts | None,
) -> str:
    """Lines with their kind: those of the source, or with doubts all of them.

    Args:
        text: the file.
        kinds: the keys that are read, and as what.
        is_own: true for rows of the source.
        some: keys of which each line has one, or it is doubted.
        look_out: what else is doubted.
    """
    named = quoting.name(_LINE)
    if look_out is None:
        return f"select *, {_ITS_OWN}::tinyint as {named} from {_rows(text, kinds)} where {is_own}"
    signs = ["(" + " and ".join(f"{quoting.name(key)} is null" for key in some) + ")"]
    signs += [f"{quoting.name(key)} is not null" for key in look_out.outer]
    signs += [f"{quoting.name(ENVELOPE_TENANT)} is null"] if look_out.is_tenant_told else []
    kind = f"""case when {" or ".join(signs)} then {_DOUBTED}
                    when {is_own} then {_ITS_OWN} else {_ANOTHERS} end"""
    read = _rows(text, {**kinds, **dict.fromkeys(look_out.outer, "varchar")})
    return f"select *, ({kind})::tinyint as {named} from {read}"


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
